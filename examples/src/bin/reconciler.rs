//! The Lambda function that a schedule calls about once an hour: repairs what failed calls have left behind.

use kairos_examples::functions::reconcile::ReconcilerFunction;
use kairos_examples::functions::{Installation, SetupError};
use lambda_runtime::service_fn;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), SetupError> {
    let function = ReconcilerFunction::new(Installation::from_environment().await?)?;
    lambda_runtime::run(service_fn(|event| function.clone().handle(event))).await
}
