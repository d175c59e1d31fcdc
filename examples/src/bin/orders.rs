//! A Lambda function that Kairos calls: takes purchase orders, each once.

use kairos_examples::functions::SetupError;
use kairos_examples::orders::OrdersFunction;
use lambda_runtime::service_fn;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), SetupError> {
    let function = OrdersFunction::from_environment().await?;
    lambda_runtime::run(service_fn(|event| function.clone().handle(event))).await
}
