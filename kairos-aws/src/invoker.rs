//! Targets on AWS, called as the roles of their processes.

mod config;
#[cfg(feature = "ecs")]
mod ecs;
#[cfg(feature = "events")]
mod events;
mod failure;
#[cfg(feature = "lambda")]
mod lambda;
#[cfg(any(feature = "sns", feature = "sqs"))]
mod message;
mod names;
mod preflight;
mod sessions;
#[cfg(feature = "sns")]
mod sns;
#[cfg(feature = "sqs")]
mod sqs;
#[cfg(feature = "sfn")]
mod step_functions;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use kairos::backend::{Invocation, Invoker, InvokerCapabilities};
use kairos::clock::Clock;
use kairos::{Arn, Process, Result, TargetKind};

pub use config::SessionConfig;
use failure::Failure;
use sessions::{Identity, Key, Session, Sessions};

use crate::{error, timeouts};

/// One call of a target, as a session.
struct Call<'a> {
    session: &'a Session,
    target: &'a Arn,
    invocation: &'a Invocation,
}

/// Sends a request as a session, in the region of its target. The connections are those of the one client of the service.
macro_rules! send_as {
    ($service:ident, $call:expr, $request:expr) => {{
        let region = $service::config::Region::new($call.target.region().to_owned());
        let mut config = $service::Config::builder().region(region);
        config.set_credentials_provider($call.session.credentials.clone());
        $request.customize().config_override(config).send().await
    }};
}
use send_as;

/// An [`Invoker`] of targets on AWS, in any partition and region, called as the role of their process.
///
/// It calls the kinds of target whose features are on:
///
/// | kind | call | under the execution id | largest payload |
/// | --- | --- | --- | --- |
/// | Lambda function, `lambda` | `Invoke`, asynchronous | | 1 MiB |
/// | state machine, `sfn` | `StartExecution` | the name: an execution that has been started is a success | 256 KiB |
/// | SNS topic, `sns` | `Publish` | the deduplication id of a FIFO topic | 256 KiB with attributes |
/// | SQS queue, `sqs` with `invoker` | `SendMessage` | the deduplication id of a FIFO queue | 1 MiB with attributes |
/// | ECS cluster, `ecs` | `RunTask` of one task | the client token, so that a task is run once within a day at most, and `startedBy` | a [`ContainerTask`](kairos::ContainerTask) with 8 KiB of overrides |
/// | event bus, `events` | `PutEvents` of one event | the first of its resources | a JSON object, less than 256 KiB with the rest of the event |
///
/// Messages carry `kairos.execution-id`, `kairos.process-id`, `kairos.schedule-id`, `kairos.scheduled-time` and `kairos.attempt` as
/// attributes; the process is the group of messages at a FIFO target. Of a task and an event the same is told by
/// [`ContainerTask`](kairos::ContainerTask) and [`TargetKind::EventBus`]. An event that is put to a bus that does not exist is lost without
/// a word from the service; [`check`](Self::check) finds that out.
///
/// # Roles
/// The executor's own credentials must be allowed to assume them (`sts:AssumeRole`), and each must be allowed its call:
/// `lambda:InvokeFunction`, `states:StartExecution`, `sns:Publish`, `sqs:SendMessage` and `sqs:GetQueueUrl`, `ecs:RunTask` and `iam:PassRole` for
/// the roles of the task definition, or `events:PutEvents`.
///
/// A role is assumed once for all who call as it at that time, kept until shortly before its session ends, and assumed again if its
/// session is refused when it is used: revoked, or over by the service's clock. A call that was refused for such a reason is
/// made a second time. A role that cannot be assumed is asked for again at the next call.
///
/// # Errors
/// Kinds are those of [`Invoker`]. The executor's own credentials being refused is
/// [`Unavailable`](kairos::ErrorKind::Unavailable): it is not the process that is wrong, and its executions come back.
///
/// ```no_run
/// use std::sync::Arc;
/// use kairos::clock::SystemClock;
/// use kairos_aws::{AwsInvoker, SessionConfig};
///
/// # async fn run() -> kairos::Result<()> {
/// let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
/// let sessions = SessionConfig::default().with_external_id("kairos-prod");
/// let invoker = AwsInvoker::new(&config, Arc::new(SystemClock)).with_sessions(sessions)?;
/// # Ok(()) }
/// ```
pub struct AwsInvoker {
    clock: Arc<dyn Clock>,
    sts: aws_sdk_sts::Client,
    sessions: Sessions,
    per_process: bool,
    #[cfg(feature = "lambda")]
    lambda: aws_sdk_lambda::Client,
    #[cfg(feature = "sfn")]
    step_functions: aws_sdk_sfn::Client,
    #[cfg(feature = "sns")]
    sns: aws_sdk_sns::Client,
    #[cfg(feature = "sqs")]
    queues: sqs::Queues,
    #[cfg(feature = "ecs")]
    ecs: aws_sdk_ecs::Client,
    #[cfg(feature = "events")]
    events: aws_sdk_eventbridge::Client,
}

/// The kinds of target that are called.
const KINDS: &[TargetKind] = &[
    #[cfg(feature = "lambda")]
    TargetKind::Lambda,
    #[cfg(feature = "sfn")]
    TargetKind::StepFunctions,
    #[cfg(feature = "sns")]
    TargetKind::Sns,
    #[cfg(feature = "sqs")]
    TargetKind::Sqs,
    #[cfg(feature = "ecs")]
    TargetKind::Ecs,
    #[cfg(feature = "events")]
    TargetKind::EventBus,
];

/// How long one try of a call may take, and all its tries together, where the configuration does not say.
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(60));

impl AwsInvoker {
    /// Calls targets with clients of this configuration: its credentials assume the roles, in its region; its endpoints, timeouts and
    /// retries hold for all services. Where it has no timeouts, a try takes 20 s at most and a call 60 s.
    #[must_use]
    pub fn new(config: &SdkConfig, clock: Arc<dyn Clock>) -> Self {
        let config = &with_timeouts(config);
        let sts = aws_sdk_sts::Client::new(config);
        Self {
            sessions: Sessions::new(sts.clone(), clock.clone(), SessionConfig::default()),
            per_process: false,
            clock,
            sts,
            #[cfg(feature = "lambda")]
            lambda: aws_sdk_lambda::Client::new(config),
            #[cfg(feature = "sfn")]
            step_functions: aws_sdk_sfn::Client::new(config),
            #[cfg(feature = "sns")]
            sns: aws_sdk_sns::Client::new(config),
            #[cfg(feature = "sqs")]
            queues: sqs::Queues::new(aws_sdk_sqs::Client::new(config)),
            #[cfg(feature = "ecs")]
            ecs: aws_sdk_ecs::Client::new(config),
            #[cfg(feature = "events")]
            events: aws_sdk_eventbridge::Client::new(config),
        }
    }

    /// The same, assuming roles in another way.
    ///
    /// # Errors
    /// [`Invalid`](kairos::ErrorKind::Invalid), with every field that the service would refuse.
    pub fn with_sessions(mut self, config: SessionConfig) -> Result<Self> {
        config.check()?;
        self.per_process = config.per_process;
        self.sessions = Sessions::new(self.sts.clone(), self.clock.clone(), config);
        Ok(self)
    }

    fn identity(&self, kind: TargetKind, process: &Process) -> Result<Identity> {
        let Some(role) = &process.role else {
            return if kind.needs_role() { Err(error::no_role(kind)) } else { Ok(Identity::Own) };
        };
        Arn::parse(role).map_err(error::not_a_role)?;
        let process = self.per_process.then(|| process.id.clone());
        Ok(Identity::Role(Key { role: role.as_str().into(), process }))
    }

    async fn call(&self, call: &Call<'_>) -> Result<(), Failure> {
        match call.invocation.target.kind() {
            #[cfg(feature = "lambda")]
            TargetKind::Lambda => lambda::invoke(&self.lambda, call).await,
            #[cfg(feature = "sfn")]
            TargetKind::StepFunctions => step_functions::invoke(&self.step_functions, call).await,
            #[cfg(feature = "sns")]
            TargetKind::Sns => sns::invoke(&self.sns, call).await,
            #[cfg(feature = "sqs")]
            TargetKind::Sqs => self.queues.invoke(call).await,
            #[cfg(feature = "ecs")]
            TargetKind::Ecs => ecs::invoke(&self.ecs, call).await,
            #[cfg(feature = "events")]
            TargetKind::EventBus => events::invoke(&self.events, call).await,
            kind => Err(error::unsupported_target(kind).into()),
        }
    }

    /// Does something as an identity. If the session is refused, as it may be at any time, once more with a fresh one.
    async fn acting_as<F>(&self, identity: &Identity, call: impl Fn(Arc<Session>) -> F) -> Result<()>
    where
        F: Future<Output = Result<(), Failure>>,
    {
        let session = self.sessions.get(identity).await?;
        let Err(failure) = call(session.clone()).await else { return Ok(()) };
        let is_over = failure.refusal.is_some_and(|refusal| self.sessions.refused(identity, &session, refusal));
        if !is_over {
            return Err(failure.error);
        }
        let session = self.sessions.get(identity).await?;
        call(session).await.map_err(|failure| failure.error)
    }
}

#[async_trait]
impl Invoker for AwsInvoker {
    async fn invoke(&self, invocation: Invocation) -> Result<()> {
        let kind = invocation.target.kind();
        let target = invocation.target.arn().filter(|_| KINDS.contains(&kind));
        let target = target.ok_or_else(|| error::unsupported_target(kind))?;
        let identity = self.identity(kind, &invocation.process);
        let about = |error: kairos::Error| error.during("invoke").about(target);
        let identity = identity.map_err(about)?;
        invocation.check_size().map_err(about)?;
        let invocation = &invocation;
        let call =
            |session: Arc<Session>| async move { self.call(&Call { session: &session, target, invocation }).await };
        self.acting_as(&identity, call).await.map_err(about)
    }

    fn capabilities(&self) -> InvokerCapabilities {
        InvokerCapabilities::new(KINDS.iter().copied())
    }
}

impl fmt::Debug for AwsInvoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsInvoker").field("kinds", &KINDS).field("sessions", &self.sessions).finish_non_exhaustive()
    }
}

fn with_timeouts(config: &SdkConfig) -> SdkConfig {
    let (attempt, call) = TIMEOUTS;
    config.to_builder().timeout_config(timeouts::bounded(config.timeout_config(), attempt, call)).build()
}
