//! State machines: an execution is started under the execution id, so that it is started once.

use aws_sdk_sfn::Client;
use aws_sdk_sfn::operation::start_execution::StartExecutionError;
use kairos::backend::Invocation;
use kairos::{Arn, TargetKind};

use super::as_session;
use super::failure::Failure;
use super::message::check_size;
use super::sessions::Session;
use crate::error;

pub(super) async fn invoke(
    client: &Client,
    session: &Session,
    target: &Arn,
    invocation: &Invocation,
) -> Result<(), Failure> {
    check_size(TargetKind::StepFunctions, invocation.payload.as_deref(), &[])?;
    let answer = client
        .start_execution()
        .state_machine_arn(target.as_str())
        .name(invocation.execution_id.to_string())
        .set_input(invocation.payload.clone())
        .customize()
        .config_override(as_session!(aws_sdk_sfn, session, target))
        .send()
        .await;
    match answer {
        Ok(_) => Ok(()),
        // An earlier try has started it. It has ended since, or its input said which try it was.
        Err(error) if error.as_service_error().is_some_and(StartExecutionError::is_execution_already_exists) => Ok(()),
        Err(error) => Err(Failure::of(error, error::of_start_execution)),
    }
}

/// Whether the state machine is there.
pub(super) async fn check(client: &Client, session: &Session, target: &Arn) -> Result<(), Failure> {
    client
        .describe_state_machine()
        .state_machine_arn(target.as_str())
        .customize()
        .config_override(as_session!(aws_sdk_sfn, session, target))
        .send()
        .await
        .map(|_| ())
        .map_err(|error| Failure::of(error, error::of_describe_state_machine))
}
