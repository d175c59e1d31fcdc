//! Where executions wait for their turn.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::error::{Result, one_line};
use crate::model::{Body, ExecutionId, Failure, MessageId, ProcessId};
use crate::target::Target;

/// The sending side of the execution queue.
///
/// # Contract
/// - Every message that was answered with `Ok` is received at least once, unless it outlives the queue's retention.
/// - There is one answer per message, in the order of the batch. An empty batch is a success.
///
/// # Idempotency
/// A message sent again is another message. The execution id in its body makes that harmless.
///
/// # Errors
/// Of the whole call where nothing was sent, or nobody knows; of single messages in the answers.
/// [`Invalid`](crate::ErrorKind::Invalid) for a batch beyond [`QueueLimits`];
/// [`Throttled`](crate::ErrorKind::Throttled), [`Timeout`](crate::ErrorKind::Timeout), [`Unavailable`](crate::ErrorKind::Unavailable),
/// [`Denied`](crate::ErrorKind::Denied) as the service behind it says.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Queue: fmt::Debug + Send + Sync + 'static {
    /// Sends a batch within the limits.
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>>;

    /// What a batch may hold.
    fn limits(&self) -> QueueLimits;
}

/// What a batch of a [`Queue`] may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueLimits {
    /// Most messages in one batch, at least 1.
    pub batch_messages: usize,
    /// Most bytes of all bodies of one batch as JSON, at least [`limits::MESSAGE`](crate::limits::MESSAGE); `None` if they do not matter.
    pub batch_bytes: Option<usize>,
    /// Longest delay of a message.
    pub delay: Duration,
}

impl QueueLimits {
    /// Batches of so many messages, of any size, with delays of up to 15 minutes.
    #[must_use]
    pub const fn new(batch_messages: usize) -> Self {
        Self { batch_messages, batch_bytes: None, delay: Duration::from_secs(15 * 60) }
    }

    /// The same with a limit on the bytes of a batch.
    #[must_use]
    pub const fn with_batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = Some(bytes);
        self
    }
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// What it says.
    pub body: Body,
    /// How long it stays invisible first.
    pub delay: Duration,
}

impl Message {
    /// A message that is visible at once.
    pub fn new(body: impl Into<Body>) -> Self {
        Self { body: body.into(), delay: Duration::ZERO }
    }

    /// The same, invisible for a while first.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// The receiving side of the execution queue.
///
/// # Contract
/// - A received message is invisible to others for the queue's visibility timeout, counted from its receipt or from the last
///   [`change_visibility`](Receiver::change_visibility). After that it is received again, with a higher [`Delivery::receive_count`].
/// - A message that was acknowledged or put with the dead letters is not received again.
/// - A receipt is good for the delivery that brought it. One from an earlier delivery of the same message may be refused, or do nothing.
///
/// # Idempotency
/// Acknowledging twice is a success.
///
/// # Errors
/// [`NotFound`](crate::ErrorKind::NotFound) for a receipt that is no longer good;
/// [`Throttled`](crate::ErrorKind::Throttled), [`Timeout`](crate::ErrorKind::Timeout), [`Unavailable`](crate::ErrorKind::Unavailable),
/// [`Denied`](crate::ErrorKind::Denied) as the service behind it says.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Receiver: fmt::Debug + Send + Sync + 'static {
    /// Up to `max` messages; waits up to `wait` for the first.
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>>;

    /// Takes messages off the queue for good: any number of them, one answer per receipt, in order.
    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>>;

    /// Makes a message visible again after `delay` from now, never before; zero is at once. A queue that counts in longer units rounds up.
    async fn change_visibility(&self, receipt: &Receipt, delay: Duration) -> Result<()>;

    /// Puts a message with the dead letters, with the reason, and takes it off the queue.
    async fn dead_letter(&self, delivery: &Delivery, reason: &DeadLetterReason) -> Result<()>;

    /// Puts up to `max` dead letters back on the queue, the oldest first, and says how many.
    /// They are delivered with [`Delivery::redriven`] set, and their [receive count](Delivery::receive_count) begins at 1 again.
    async fn redrive(&self, max: usize) -> Result<usize>;

    /// The queue's visibility timeout.
    fn visibility_timeout(&self) -> Duration;
}

/// What stands for one delivery of a message towards its queue. Up to 23 bytes are kept in place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(SmolStr);

impl Receipt {
    /// A receipt from the text that the backend made of it.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(SmolStr::new(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Of texts that are put together: up to 23 bytes of them without a text in between.
impl<'t> FromIterator<&'t str> for Receipt {
    fn from_iter<I: IntoIterator<Item = &'t str>>(parts: I) -> Self {
        Self(parts.into_iter().collect())
    }
}

/// One delivery of one message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Delivery {
    /// The message's own id, the same at each delivery.
    pub message_id: MessageId,
    /// Stands for this delivery.
    pub receipt: Receipt,
    /// How often it has been received, from 1.
    pub receive_count: u32,
    /// When it was sent, the same at each delivery: a message of the older dispatcher is known by it.
    pub sent_at: Timestamp,
    /// Whether it comes back from the dead letters, because somebody wants it run once more.
    pub redriven: bool,
    /// Its group, on a queue that keeps order within groups: those of one group run one after the other, in the order of the batch, and one
    /// that comes back keeps those after it back.
    pub group: Option<Arc<str>>,
    /// What it says.
    pub body: Body,
}

impl Delivery {
    /// The first delivery of a message.
    pub fn new(message_id: impl Into<MessageId>, receipt: Receipt, sent_at: Timestamp, body: impl Into<Body>) -> Self {
        let (message_id, body) = (message_id.into(), body.into());
        Self { message_id, receipt, receive_count: 1, sent_at, redriven: false, group: None, body }
    }

    /// The same, as the delivery of this count.
    #[must_use]
    pub fn with_receive_count(mut self, count: u32) -> Self {
        self.receive_count = count;
        self
    }

    /// The same, back from the dead letters or not.
    #[must_use]
    pub fn with_redriven(mut self, redriven: bool) -> Self {
        self.redriven = redriven;
        self
    }

    /// The same, of a group or of none.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<Option<Arc<str>>>) -> Self {
        self.group = group.into();
        self
    }
}

/// Why a message lies with the dead letters. Backends write it as attributes of the message.
///
/// As JSON it bears the names that an [`Execution`](crate::Execution) has for the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadLetterReason {
    /// What failed.
    #[serde(rename = "Error")]
    pub failure: Failure,
    /// How often it was tried; 0 if it never was.
    #[serde(rename = "Intentos")]
    pub attempts: u32,
    /// The execution, if the message named one.
    #[serde(rename = "IdEjecucion", default, skip_serializing_if = "Option::is_none")]
    pub execution_id: Option<ExecutionId>,
    /// The process, if the message named one.
    #[serde(rename = "IdProceso", default, skip_serializing_if = "Option::is_none")]
    pub process_id: Option<ProcessId>,
    /// The target, as the message named it: one line, cut where no target would be as long.
    #[serde(rename = "ArnProceso", default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl DeadLetterReason {
    /// A failure, of a message that could not be read.
    #[must_use]
    pub fn new(failure: Failure) -> Self {
        Self { failure, attempts: 0, execution_id: None, process_id: None, target: None }
    }

    /// The same, of an execution that was tried so often.
    #[must_use]
    pub fn of_work(failure: Failure, work: &crate::model::WorkItem, attempts: u32) -> Self {
        Self {
            failure,
            attempts,
            execution_id: Some(work.execution_id),
            process_id: Some(work.process.id.clone()),
            target: Some(one_line(&work.process.target, Target::MAX_LEN).into_owned()),
        }
    }
}
