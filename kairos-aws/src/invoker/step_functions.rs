//! State machines: an execution is started under the execution id, so that it is started once.

use aws_sdk_sfn::Client;
use aws_sdk_sfn::operation::start_execution::StartExecutionError;

use super::failure::Failure;
use super::{Call, send_as};
use crate::error;

pub(super) async fn invoke(client: &Client, call: &Call<'_>) -> Result<(), Failure> {
    let request = client
        .start_execution()
        .state_machine_arn(call.target.as_str())
        .name(call.invocation.execution_id.to_string())
        .set_input(call.invocation.payload.as_deref().map(str::to_owned));
    match send_as!(aws_sdk_sfn, call, request) {
        Ok(_) => Ok(()),
        // An earlier try has started it. It has ended since, or its input said which try it was.
        Err(error) if error.as_service_error().is_some_and(StartExecutionError::is_execution_already_exists) => Ok(()),
        Err(error) => Err(Failure::of(error, error::of_start_execution)),
    }
}

/// Whether the state machine is there.
pub(super) async fn check(client: &Client, call: &Call<'_>) -> Result<(), Failure> {
    let request = client.describe_state_machine().state_machine_arn(call.target.as_str());
    let answer = send_as!(aws_sdk_sfn, call, request);
    answer.map(|_| ()).map_err(|error| Failure::of(error, error::of_describe_state_machine))
}
