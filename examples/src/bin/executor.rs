//! The Lambda function behind the execution queue. Its event source must have `FunctionResponseTypes: [ReportBatchItemFailures]`.

use kairos_examples::functions::execute::ExecutorFunction;
use kairos_examples::functions::{Installation, SetupError};
use lambda_runtime::service_fn;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), SetupError> {
    let function = ExecutorFunction::new(Installation::from_environment().await?)?;
    lambda_runtime::run(service_fn(|event| function.clone().handle(event))).await
}
