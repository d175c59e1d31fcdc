//! What calls targets.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::error::{Error, Fault, Result};
use crate::model::{Attribute, ContainerTask, ExecutionId, Placeholders, Process, payload};
use crate::target::{Target, TargetKind};

/// Calls the target of a process, as the role of the process.
///
/// # Contract
/// - `Ok` means that the target has taken the call: for asynchronous targets that they have accepted it, for tasks that they have ended well.
/// - Targets with an idempotency key of their own get the execution id as that key.
/// - The future may be dropped at any await. Whether the target was called is open then.
///
/// # Idempotency
/// As far as the target lets that be: a call repeated under the same execution id is a success where the target says that it knows it already.
///
/// # Errors
/// The kind decides what happens: [retryable](crate::Error::is_retryable) ones come back later, all others go to the dead letters at once.
/// [`Unsupported`](crate::ErrorKind::Unsupported) for a kind of target that is not in [`InvokerCapabilities`].
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Invoker: fmt::Debug + Send + Sync + 'static {
    /// Calls a target once.
    async fn invoke(&self, invocation: Invocation) -> Result<()>;

    /// What this backend can do.
    fn capabilities(&self) -> InvokerCapabilities;
}

/// What an [`Invoker`] can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvokerCapabilities {
    /// The kinds of target that it calls.
    pub kinds: BTreeSet<TargetKind>,
    /// The tasks that are registered, if it calls tasks.
    pub tasks: BTreeSet<String>,
}

impl InvokerCapabilities {
    /// Calls these kinds of target.
    pub fn new(kinds: impl IntoIterator<Item = TargetKind>) -> Self {
        Self { kinds: kinds.into_iter().collect(), tasks: BTreeSet::new() }
    }

    /// Whether this target would be called.
    #[must_use]
    pub fn covers(&self, target: &Target) -> bool {
        self.kinds.contains(&target.kind()) && target.task().is_none_or(|name| self.tasks.contains(name))
    }
}

/// One call of a target: one try of one execution.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invocation {
    /// What to call.
    pub target: Target,
    /// The parameters with their placeholders filled in.
    pub payload: Option<Arc<str>>,
    /// The process: its role, name and labels.
    pub process: Arc<Process>,
    /// The execution; the same at each try.
    pub execution_id: ExecutionId,
    /// When it should have run.
    pub scheduled_time: Timestamp,
    /// Which try it is, from 1.
    pub attempt: u32,
}

impl Invocation {
    /// The first try of an execution, with the parameters of its process as they are.
    #[must_use]
    pub fn new(target: Target, process: Arc<Process>, execution_id: ExecutionId, scheduled_time: Timestamp) -> Self {
        Self { target, payload: process.parameters.clone(), process, execution_id, scheduled_time, attempt: 1 }
    }

    /// The same with another payload.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Arc<str>>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// The same without a payload.
    #[must_use]
    pub fn without_payload(mut self) -> Self {
        self.payload = None;
        self
    }

    /// The same as another try.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// The values of the placeholders.
    #[must_use]
    pub fn placeholders(&self) -> Placeholders<'_> {
        Placeholders {
            execution_id: self.execution_id,
            scheduled_time: self.scheduled_time,
            process_id: &self.process.id,
            schedule_id: &self.process.schedule_id,
            attempt: self.attempt,
        }
    }

    /// Whether its target is known to refuse it for its size: its payload, with what the call says beside it, or its name.
    ///
    /// The same was checked at registration, of the latest, most tried execution that there can be; a process may have been stored, and
    /// a message made, by others.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), with the field.
    pub fn check_size(&self) -> Result<()> {
        let (kind, name) = (self.target.kind(), &self.process.name);
        let fault = payload::name_fault(kind, name).or_else(|| {
            let checked = payload::check_size(kind, name, self.payload.as_deref(), &self.placeholders());
            checked.err().map(|message| Fault::new("parametros", message))
        });
        fault.map_or(Ok(()), |fault| Err(Error::invalid(vec![fault])))
    }

    /// What a message says beside its body: the values of the placeholders, under their names.
    #[must_use]
    pub fn attributes(&self) -> Vec<Attribute> {
        payload::attributes(&self.placeholders())
    }

    /// Who an event comes from, and its resources: `kairos:execution:ID`, `kairos:process:ID` and `kairos:schedule:ID`.
    #[must_use]
    pub fn event_source(&self) -> (&'static str, [String; 3]) {
        (payload::EVENT_SOURCE, payload::event_resources(&self.placeholders()))
    }

    /// The task to run on a cluster, its containers told about this execution.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the payload is none.
    pub fn container_task(&self) -> Result<ContainerTask> {
        ContainerTask::of(self.payload.as_deref(), &self.placeholders())
            .map_err(|message| Error::invalid(vec![Fault::new("parametros", message)]))
    }
}
