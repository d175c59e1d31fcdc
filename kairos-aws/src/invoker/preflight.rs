//! What would fail, told before the first occurrence.

use std::sync::Arc;

use jiff::Timestamp;
use kairos::backend::Invocation;
use kairos::{ErrorKind, ExecutionId, Fault, Process, Result, Target, TargetKind};

#[cfg(feature = "ecs")]
use super::ecs;
#[cfg(feature = "events")]
use super::events;
use super::failure::Failure;
#[cfg(feature = "lambda")]
use super::lambda;
use super::sessions::Session;
#[cfg(feature = "sns")]
use super::sns;
#[cfg(feature = "sfn")]
use super::step_functions;
use super::{AwsInvoker, Call, KINDS};

impl AwsInvoker {
    /// What would fail if the process were executed now, by field; nothing if all is well. Nothing is called.
    ///
    /// The role is assumed, and the target looked for as that role: by a dry run of a function, `DescribeStateMachine`, `GetTopicAttributes`,
    /// `GetQueueUrl`, `DescribeClusters` and `DescribeTaskDefinition`, or `DescribeEventBus`. Except for functions and queues, a role that may
    /// not look may be allowed to call all the same, which is not looked into: that it may not look is no fault.
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
        let invocation = last_try(&target, process);
        let mut faults = invocation.check_size().err().map_or(Vec::new(), |error| error.faults().to_vec());
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
        let invocation = &invocation;
        let look = |session: Arc<Session>| async move {
            self.look(&Call { session: &session, target: arn, invocation }).await
        };
        match self.acting_as(&identity, look).await {
            Ok(()) => {}
            Err(error) if error.is_retryable() => return Err(error.during("check").about(target)),
            Err(error) if !error.faults().is_empty() => faults.extend_from_slice(error.faults()),
            Err(error) => match error.kind() {
                // A call looks first as well, or is what was tried.
                ErrorKind::Denied if !matches!(kind, TargetKind::Lambda | TargetKind::Sqs) => {}
                ErrorKind::Denied => {
                    faults.push(Fault::new("arnRol", format!("may not call '{target}': {}", error.message())));
                }
                ErrorKind::NotFound => faults.push(Fault::new("arnProceso", format!("'{target}' does not exist"))),
                _ => faults.push(Fault::new("arnProceso", format!("'{target}' cannot be called: {}", error.message()))),
            },
        }
        Ok(faults)
    }

    async fn look(&self, call: &Call<'_>) -> Result<(), Failure> {
        match call.invocation.target.kind() {
            #[cfg(feature = "lambda")]
            TargetKind::Lambda => lambda::check(&self.lambda, call).await,
            #[cfg(feature = "sfn")]
            TargetKind::StepFunctions => step_functions::check(&self.step_functions, call).await,
            #[cfg(feature = "sns")]
            TargetKind::Sns => sns::check(&self.sns, call).await,
            #[cfg(feature = "sqs")]
            TargetKind::Sqs => self.queues.check(call).await,
            #[cfg(feature = "ecs")]
            TargetKind::Ecs => ecs::check(&self.ecs, call).await,
            #[cfg(feature = "events")]
            TargetKind::EventBus => events::check(&self.events, call).await,
            kind => Err(crate::error::unsupported_target(kind).into()),
        }
    }
}

/// The latest, most tried execution that there can be: what is said about it is longest.
fn last_try(target: &Target, process: &Process) -> Invocation {
    let execution_id = ExecutionId::of_occurrence(&process.id, Timestamp::MAX);
    let process = Arc::new(process.clone());
    let invocation = Invocation::new(target.clone(), process, execution_id, Timestamp::MAX).with_attempt(u32::MAX);
    match invocation.payload.as_deref().map(|parameters| invocation.placeholders().fill(parameters).into_owned()) {
        Some(payload) => invocation.with_payload(payload),
        None => invocation,
    }
}
