//! The Lambda function that triggers call: queues every enabled process of their schedule.

use kairos_examples::functions::dispatch::DispatcherFunction;
use kairos_examples::functions::{Installation, SetupError};
use lambda_runtime::service_fn;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), SetupError> {
    let function = DispatcherFunction::new(Installation::from_environment().await?)?;
    lambda_runtime::run(service_fn(|event| function.clone().handle(event))).await
}
