//! The Lambda function behind API Gateway: the HTTP API.

use kairos_examples::functions::{Installation, SetupError, gateway};
use lambda_http::{run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), SetupError> {
    let router = gateway::api(&Installation::from_environment().await?)?;
    run(service_fn(|request| gateway::answer(router.clone(), request))).await
}
