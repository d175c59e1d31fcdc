//! What would fail, told before the first occurrence.

use std::sync::Arc;

use jiff::Timestamp;
use kairos::backend::Invocation;
use kairos::{Arn, ErrorKind, ExecutionId, Fault, Placeholders, Process, Result, Target, TargetKind};

use super::failure::Failure;
#[cfg(feature = "lambda")]
use super::lambda;
use super::message::{attributes, body, check_size};
use super::sessions::Session;
#[cfg(feature = "sns")]
use super::sns;
#[cfg(feature = "sfn")]
use super::step_functions;
use super::{AwsInvoker, KINDS};

impl AwsInvoker {
    /// What would fail if the process were executed now, by field; nothing if all is well. Nothing is called.
    ///
    /// The role is assumed, and the target looked for as that role: by a dry run of a function, `DescribeStateMachine`, `GetTopicAttributes`
    /// or `GetQueueUrl`. A role that may not look at a state machine or topic may be allowed to call it all the same, which
    /// is not looked into: that it may not look is no fault.
    ///
    /// # Errors
    /// Any that [is retryable](kairos::Error::is_retryable), where a service did not tell.
    pub async fn check(&self, process: &Process) -> Result<Vec<Fault>> {
        let target = match Target::parse(&process.target) {
            Ok(target) => target,
            Err(error) => return Ok(vec![Fault::new("arnProceso", error.to_string())]),
        };
        let kind = target.kind();
        let Some(arn) = target.arn().filter(|_| KINDS.contains(&kind)) else {
            return Ok(vec![Fault::new("arnProceso", format!("no target of kind {kind} is called here"))]);
        };
        let mut faults = payload_faults(&target, process);
        let identity = match self.identity(kind, process) {
            Ok(identity) => identity,
            Err(error) => {
                faults.extend(error.faults().iter().cloned());
                return Ok(faults);
            }
        };
        // Apart from the call, whose refusal would look the same.
        if let Err(error) = self.sessions.get(&identity).await {
            if error.is_retryable() {
                return Err(error);
            }
            faults.push(Fault::new("arnRol", format!("cannot be assumed: {}", error.message())));
            return Ok(faults);
        }
        let look = |session: Arc<Session>| async move { self.look(&session, kind, arn).await };
        match self.acting_as(&identity, look).await {
            Ok(()) => {}
            Err(error) if error.is_retryable() => return Err(error.during("check").about(target)),
            Err(error) => match error.kind() {
                ErrorKind::Denied if matches!(kind, TargetKind::StepFunctions | TargetKind::Sns) => {}
                ErrorKind::Denied => {
                    faults.push(Fault::new("arnRol", format!("may not call '{target}': {}", error.message())));
                }
                ErrorKind::NotFound => faults.push(Fault::new("arnProceso", format!("'{target}' does not exist"))),
                _ => faults.push(Fault::new("arnProceso", format!("'{target}' cannot be called: {}", error.message()))),
            },
        }
        Ok(faults)
    }

    async fn look(&self, session: &Session, kind: TargetKind, target: &Arn) -> Result<(), Failure> {
        match kind {
            #[cfg(feature = "lambda")]
            TargetKind::Lambda => lambda::check(&self.lambda, session, target).await,
            #[cfg(feature = "sfn")]
            TargetKind::StepFunctions => step_functions::check(&self.step_functions, session, target).await,
            #[cfg(feature = "sns")]
            TargetKind::Sns => sns::check(&self.sns, session, target).await,
            #[cfg(feature = "sqs")]
            TargetKind::Sqs => self.queues.check(session, target).await,
            kind => Err(crate::error::unsupported_target(kind).into()),
        }
    }
}

/// Of the latest, most tried execution there can be: its values are the longest.
fn payload_faults(target: &Target, process: &Process) -> Vec<Fault> {
    let (kind, scheduled_time, attempt) = (target.kind(), Timestamp::MAX, u32::MAX);
    let execution_id = ExecutionId::of_occurrence(&process.id, scheduled_time);
    let (process_id, schedule_id) = (&process.id, &process.schedule_id);
    let placeholders = Placeholders { execution_id, scheduled_time, process_id, schedule_id, attempt };
    let payload = process.parameters.as_deref().map(|parameters| placeholders.fill(parameters));
    let is_message = matches!(kind, TargetKind::Sns | TargetKind::Sqs);
    let attributes = if is_message {
        let invocation = Invocation::new(target.clone(), Arc::new(process.clone()), execution_id, scheduled_time);
        attributes(&invocation.with_attempt(attempt))
    } else {
        Vec::new()
    };
    let checked = if is_message { body(kind, payload.as_deref()).map(|_| ()) } else { Ok(()) };
    let checked = checked.and_then(|()| check_size(kind, payload.as_deref(), &attributes));
    checked.err().map_or(Vec::new(), |error| error.faults().to_vec())
}
