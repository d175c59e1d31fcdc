//! The execution queue on Amazon SQS.

mod attributes;
mod deletions;
mod outgoing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::operation::send_message::builders::SendMessageFluentBuilder;
use aws_sdk_sqs::types::{Message as Received, MessageSystemAttributeName, SendMessageBatchRequestEntry};
use aws_smithy_types::timeout::TimeoutConfig;
use futures_util::StreamExt as _;
use futures_util::stream;
use kairos::backend::{DeadLetterReason, Delivery, Message, Queue, QueueLimits, Receipt, Receiver};
use kairos::{Error, ErrorKind, Result, limits};

use self::attributes::{Attributes, Envelope, of_dead_letter, of_redriven, sent_at};
use self::deletions::{Deletions, delete};
use self::outgoing::{Keys, MAX_DELAY, check, whole_seconds};
use crate::error::sqs::{batch_too_large, no_dead_letters, refused_message, sqs, sqs_entry, unanswered};
use crate::timeouts::bounded;

/// Most entries of a batch, and most messages of one receipt (SQS API Reference, `SendMessageBatch`, `ReceiveMessage`).
const BATCH: usize = 10;
/// Longest wait of one receipt (SQS API Reference, `ReceiveMessage`, `WaitTimeSeconds`).
const LONGEST_POLL: i32 = 20;
/// Longest visibility timeout (SQS API Reference, `ChangeMessageVisibility`, `VisibilityTimeout`).
const LONGEST_VISIBILITY: Duration = Duration::from_secs(12 * 60 * 60);
/// How many batches of receipts are acknowledged at once.
const CONCURRENCY: usize = 4;
/// How long a dead letter is invisible while it is put back: much longer than that takes.
const REDRIVE_VISIBILITY: Duration = Duration::from_secs(60);
/// A call and all its tries, where the client has no timeouts of its own.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A [`Queue`] and its [`Receiver`] on Amazon SQS: a standard queue, or a FIFO queue if its URL ends in `.fifo`.
///
/// Delays and visibility are counted in whole seconds, rounded up; waits for messages too, but rounded down. What a client has no timeouts
/// for ends after 10 seconds a try, 30 in all; a receipt has as long as it waits besides. Bodies must hold what SQS carries: no control
/// characters but tab and line ends, no U+FFFE, no U+FFFF.
///
/// # Standard and FIFO queues
/// The message group is the process: on a standard queue it keeps one process with many executions from holding up all others, on a FIFO
/// queue it makes them run one after the other. On a FIFO queue the deduplication id is the execution, so that one that is sent again
/// within five minutes is dropped by the queue, but for a backfill of it; delays cannot be given there.
///
/// # Acknowledgements
/// What is acknowledged one by one at the same time goes in one request, up to ten messages: a call waits 100 ms for others at most, and not
/// at all with ten. Until then, and if all who wait are gone, the message comes back when its visibility timeout ends.
///
/// # Dead letters
/// A dead letter bears the reason as message attributes: `Kairos.Tipo` and `Kairos.Texto` (what failed), `Kairos.IdEjecucion`,
/// `Kairos.IdProceso`, `Kairos.ArnProceso` and `Kairos.Intentos`, as far as the 10 attributes and 1 MiB of a message leave room; and
/// `Kairos.Mensaje`, its first id and when it was sent. What bears that is [redriven](Delivery::redriven) wherever it is received, so that the
/// console may move dead letters back as well, and is the same message as before: [`Delivery::message_id`] and [`Delivery::sent_at`]
/// are the first ones. Attributes that others gave it stay with it all the way.
///
/// [`redrive`](Receiver::redrive) goes message by message: who may do it needs to receive from and delete on the dead-letter queue, and
/// to send to this one. A crash between two of its steps, or of those of [`dead_letter`](Receiver::dead_letter), leaves the message on both queues,
/// never on none.
#[derive(Clone)]
pub struct SqsQueue {
    client: Client,
    url: Arc<str>,
    dead_letters: Option<Arc<str>>,
    visibility_timeout: Duration,
    deletions: Arc<Deletions>,
    acknowledgement_delay: Duration,
}

impl SqsQueue {
    /// The queue at a URL, with a visibility timeout of 30 seconds and without dead letters.
    ///
    /// Requests go to the client's endpoint, whatever host the URL names.
    #[must_use]
    pub fn new(client: &Client, url: impl Into<Arc<str>>) -> Self {
        let config = client.config();
        let timeouts = bounded(config.timeout_config(), ATTEMPT_TIMEOUT, CALL_TIMEOUT);
        let client = Client::from_conf(config.to_builder().timeout_config(timeouts).build());
        let url = url.into();
        Self {
            deletions: Arc::new(Deletions::new(client.clone(), url.clone())),
            client,
            url,
            dead_letters: None,
            visibility_timeout: Duration::from_secs(30),
            acknowledgement_delay: Duration::from_millis(100),
        }
    }

    /// The same with the URL of its dead-letter queue, of the same kind, standard or FIFO. Without it, burying and redriving are
    /// [`Unsupported`](ErrorKind::Unsupported).
    #[must_use]
    pub fn with_dead_letters(mut self, url: impl Into<Arc<str>>) -> Self {
        self.dead_letters = Some(url.into());
        self
    }

    /// The same, receiving with another visibility timeout: 1 second to 12 hours, brought within that range and rounded up to whole seconds.
    ///
    /// It goes with each receipt, so that the queue's own does not matter. Where something else receives, such as a Lambda event source,
    /// it must be the queue's own.
    #[must_use]
    pub fn with_visibility_timeout(mut self, timeout: Duration) -> Self {
        let timeout = timeout.clamp(Duration::from_secs(1), LONGEST_VISIBILITY);
        self.visibility_timeout = Duration::from_secs(whole_seconds(timeout).unsigned_abs().into());
        self
    }

    /// The same, keeping an acknowledgement back for at most this long, until ten have come together that go in one request: 100 ms at
    /// first, a tenth of the visibility timeout at most. Zero is a request for each call.
    ///
    /// Clones share what they acknowledge.
    #[must_use]
    pub fn with_acknowledgement_delay(mut self, delay: Duration) -> Self {
        self.acknowledgement_delay = delay;
        self
    }

    /// The delivery of a message that something else has received from this queue, such as a Lambda event source.
    ///
    /// The message must have its id, receipt handle, body, the attributes `ApproximateReceiveCount` and `SentTimestamp`, of a FIFO queue
    /// `MessageGroupId` and `SequenceNumber` too, and all its message attributes. Whoever answers by the service's ids must keep them: that of a redriven message is not [`Delivery::message_id`].
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if something is missing.
    pub fn delivery(message: &Received) -> Result<Delivery> {
        attributes::delivery(message)
    }

    fn is_fifo(url: &str) -> bool {
        url.ends_with(".fifo")
    }

    fn entry(&self, index: usize, message: &Message, body: &str) -> Result<SendMessageBatchRequestEntry> {
        let is_fifo = Self::is_fifo(&self.url);
        check(message, body, self.limits().delay)?;
        let keys = Keys::of(body, is_fifo);
        SendMessageBatchRequestEntry::builder()
            .id(index.to_string())
            .message_body(body)
            .set_delay_seconds(Some(whole_seconds(message.delay)).filter(|seconds| *seconds > 0))
            .set_message_group_id(keys.group)
            .set_message_deduplication_id(keys.deduplication)
            .build()
            .map_err(|error| Error::new(ErrorKind::Invalid, "the request could not be made").with_source(error))
    }

    /// One receipt, of a wait that one may have.
    async fn poll(&self, url: &str, max: usize, wait: i32, visibility: Duration) -> Result<Vec<Received>> {
        let patience = Duration::from_secs(wait.unsigned_abs().into());
        let timeouts = TimeoutConfig::builder()
            .read_timeout(patience + ATTEMPT_TIMEOUT)
            .operation_attempt_timeout(patience + ATTEMPT_TIMEOUT)
            .operation_timeout(patience + CALL_TIMEOUT);
        let received = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(i32::try_from(max.min(BATCH)).unwrap_or(1))
            .wait_time_seconds(wait)
            .visibility_timeout(whole_seconds(visibility))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_system_attribute_names(MessageSystemAttributeName::SequenceNumber)
            .message_attribute_names("All")
            .customize()
            .config_override(aws_sdk_sqs::config::Config::builder().timeout_config(timeouts.build()))
            .send()
            .await
            .map_err(sqs)?;
        Ok(received.messages.unwrap_or_default())
    }

    async fn change(&self, url: &str, handle: &str, delay: Duration) -> Result<()> {
        let request = self.client.change_message_visibility().queue_url(url).receipt_handle(handle);
        request.visibility_timeout(whole_seconds(delay)).send().await.map(drop).map_err(sqs)
    }

    /// Puts a message from one queue on another. `id` is that of the message where it comes from.
    fn moved(&self, url: &str, body: &str, id: &str, attributes: Attributes) -> SendMessageFluentBuilder {
        let keys = Keys::of_moved(body, Self::is_fifo(url), id);
        self.client
            .send_message()
            .queue_url(url)
            .message_body(body)
            .set_message_attributes(Some(attributes).filter(|attributes| !attributes.is_empty()))
            .set_message_group_id(keys.group)
            .set_message_deduplication_id(keys.deduplication)
    }

    async fn bury(&self, delivery: &Delivery, reason: &DeadLetterReason) -> Result<()> {
        let dead_letters = self.dead_letters.as_deref().ok_or_else(no_dead_letters)?;
        let envelope = Envelope::of_receipt(&delivery.receipt);
        let body = delivery.body.to_json();
        let attributes = of_dead_letter(delivery, &envelope, reason, &body)?;
        // A late receipt must leave nothing with the dead letters; and a good one keeps the message away until it lies there.
        self.change(&self.url, &envelope.handle, self.visibility_timeout).await?;
        let id = envelope.extra.as_ref().and_then(|extra| extra.id.as_deref()).unwrap_or(delivery.message_id.as_str());
        self.moved(dead_letters, &body, id, attributes).send().await.map_err(sqs)?;
        let request = self.client.delete_message().queue_url(&*self.url).receipt_handle(envelope.handle);
        request.send().await.map(drop).map_err(sqs)
    }

    /// Puts a received dead letter back on the queue.
    async fn revive(&self, message: &Received) -> Result<()> {
        let attributes = of_redriven(message)?;
        let (body, id) = (message.body().unwrap_or_default(), message.message_id().unwrap_or_default());
        self.moved(&self.url, body, id, attributes).send().await.map(drop).map_err(sqs)
    }

    /// Puts what lies foremost with the dead letters back, at most ten. How many that were, whether there may be more, and the first error.
    async fn revive_some(&self, dead_letters: &str, max: usize) -> Result<(usize, bool, Option<Error>)> {
        // A wait, so that all of the service's servers are asked.
        let mut messages = self.poll(dead_letters, max, 1, REDRIVE_VISIBILITY).await?;
        messages.sort_by_key(sent_at);
        let mut failure = None;
        let mut revived = Vec::with_capacity(messages.len());
        for message in &messages {
            let handle = message.receipt_handle().unwrap_or_default();
            match self.revive(message).await {
                Ok(()) => revived.push(handle.to_owned()),
                Err(error) => {
                    // If it cannot be let go it is visible again in a minute.
                    let _ = self.change(dead_letters, handle, Duration::ZERO).await;
                    failure.get_or_insert(error);
                }
            }
        }
        let mut moved = revived.len();
        if !revived.is_empty() {
            for error in delete(&self.client, dead_letters, &revived).await.into_iter().filter_map(Result::err) {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "a dead letter was put back and is still there; it may be redriven once more"
                );
                // None would ever leave, and each be put back time and again.
                if error.kind() == ErrorKind::Denied {
                    moved -= 1;
                    failure.get_or_insert(error);
                }
            }
        }
        Ok((moved, !messages.is_empty(), failure))
    }
}

impl fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsQueue")
            .field("url", &self.url)
            .field("dead_letters", &self.dead_letters)
            .field("visibility_timeout", &self.visibility_timeout)
            .finish_non_exhaustive()
    }
}

/// The answers to the entries of a batch, in order. Entries are known by their place.
struct Answers(Vec<Option<Result<()>>>);

impl Answers {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| None).collect())
    }

    fn set(&mut self, id: &str, answer: Result<()>) {
        if let Some(place) = id.parse::<usize>().ok().and_then(|index| self.0.get_mut(index)) {
            *place = Some(answer);
        }
    }

    /// No answer is no promise.
    fn finish(self) -> Vec<Result<()>> {
        self.0.into_iter().map(|answer| answer.unwrap_or_else(|| Err(unanswered()))).collect()
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        if batch.len() > BATCH {
            return Err(batch_too_large(format!("{} messages; {BATCH} are allowed", batch.len())));
        }
        let bodies: Vec<_> = batch.iter().map(|message| message.body.to_json()).collect();
        let bytes: usize = bodies.iter().map(|body| body.len()).sum();
        if bytes > limits::MESSAGE {
            return Err(batch_too_large(format!("{bytes} bytes; {} are allowed", limits::MESSAGE)));
        }
        let mut answers = Answers::new(batch.len());
        let mut entries = Vec::with_capacity(batch.len());
        for (index, (message, body)) in batch.iter().zip(&bodies).enumerate() {
            match self.entry(index, message, body) {
                Ok(entry) => entries.push(entry),
                Err(error) => answers.set(&index.to_string(), Err(error.during("send"))),
            }
        }
        if !entries.is_empty() {
            let request = self.client.send_message_batch().queue_url(&*self.url).set_entries(Some(entries));
            let answer = request.send().await.map_err(|error| sqs(error).during("send"))?;
            answer.successful().iter().for_each(|entry| answers.set(entry.id(), Ok(())));
            answer.failed().iter().for_each(|entry| answers.set(entry.id(), Err(sqs_entry(entry).during("send"))));
        }
        Ok(answers.finish())
    }

    fn limits(&self) -> QueueLimits {
        let mut limits = QueueLimits::new(BATCH).with_batch_bytes(limits::MESSAGE);
        // A FIFO queue has one delay for all its messages (SQS API Reference, `SendMessage`, `DelaySeconds`).
        limits.delay = if Self::is_fifo(&self.url) { Duration::ZERO } else { MAX_DELAY };
        limits
    }
}

#[async_trait]
impl Receiver for SqsQueue {
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut left = i32::try_from(wait.as_secs()).unwrap_or(i32::MAX);
        loop {
            let seconds = left.min(LONGEST_POLL);
            let received = self.poll(&self.url, max, seconds, self.visibility_timeout).await;
            let received = received.map_err(|error| error.during("receive"))?;
            left -= seconds;
            let deliveries: Vec<_> = received.iter().filter_map(readable).collect();
            if !deliveries.is_empty() || left == 0 {
                return Ok(deliveries);
            }
        }
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        let handles: Vec<_> = receipts.iter().map(|receipt| Envelope::of_receipt(receipt).handle).collect();
        // What waits here is done with, and must not come back.
        let delay = self.acknowledgement_delay.min(self.visibility_timeout / 10);
        let batches: Vec<_> = handles.chunks(BATCH).map(|batch| self.deletions.delete(batch, delay)).collect();
        let answers: Vec<_> = stream::iter(batches).buffered(CONCURRENCY).collect().await;
        let name = |(answer, receipt): (Result<()>, &Receipt)| {
            answer.map_err(|error| error.during("acknowledge").about(receipt.as_str()))
        };
        Ok(answers.into_iter().flatten().zip(receipts).map(name).collect())
    }

    async fn change_visibility(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        let handle = Envelope::of_receipt(receipt).handle;
        let changed = if delay > LONGEST_VISIBILITY {
            let why = format!("{delay:?} is longer than the {LONGEST_VISIBILITY:?} allowed");
            Err(refused_message("delay", why))
        } else {
            self.change(&self.url, &handle, delay).await
        };
        changed.map_err(|error| error.during("change_visibility").about(handle))
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &DeadLetterReason) -> Result<()> {
        let buried = self.bury(delivery, reason).await;
        buried.map_err(|error| error.during("dead_letter").about(&delivery.message_id))
    }

    /// One by one, those that one receipt of the dead letters gives the oldest first. What cannot be put back stays there; it is an error if it
    /// kept all others from being put back, else it is logged.
    async fn redrive(&self, max: usize) -> Result<usize> {
        let named = |error: Error| error.during("redrive");
        let dead_letters = self.dead_letters.as_deref().ok_or_else(no_dead_letters).map_err(named)?;
        let mut redriven = 0;
        while redriven < max {
            let (revived, goes_on, failure) = match self.revive_some(dead_letters, max - redriven).await {
                Ok(outcome) => outcome,
                Err(error) => (0, false, Some(error)),
            };
            redriven += revived;
            match failure.map(named) {
                Some(error) if redriven == 0 => return Err(error),
                Some(error) => {
                    tracing::warn!(error = format!("{error:#}"), redriven, "not all dead letters could be put back");
                    break;
                }
                None if !goes_on => break,
                None => {}
            }
        }
        Ok(redriven)
    }

    fn visibility_timeout(&self) -> Duration {
        self.visibility_timeout
    }
}

/// What the service leaves out cannot be made up. The message comes back.
fn readable(message: &Received) -> Option<Delivery> {
    attributes::delivery(message)
        .inspect_err(|error| {
            tracing::error!(
                message = message.message_id(),
                error = format!("{error:#}"),
                "a message was received in part"
            );
        })
        .ok()
}
