//! Puts many messages on the queue: in batches, several at a time, each failed one again.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::backend::{Message, Queue, QueueLimits};
use crate::clock::{Clock, ClockExt as _};
use crate::error::{Error, ErrorKind};
use crate::retry::{Backoff, pause};

/// How messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendConfig {
    /// How many batches are under way at once, at least 1.
    pub concurrency: usize,
    /// How often a message is tried, at least 1.
    pub attempts: u32,
    /// How long to wait between tries.
    pub backoff: Backoff,
}

impl Default for SendConfig {
    /// Eight batches at once; five tries, 100 ms to 5 s apart.
    fn default() -> Self {
        Self { concurrency: 8, attempts: 5, backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)) }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Sender {
    queue: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    config: SendConfig,
}

/// What became of the messages of one call.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// How many are on the queue.
    pub(crate) queued: usize,
    /// How many tries beyond the first were needed.
    pub(crate) retries: u64,
    /// How many are not on the queue, and why the first of them is not.
    pub(crate) failed: usize,
    pub(crate) error: Option<Error>,
    /// Whether the queue refused a whole batch until the last try.
    pub(crate) is_down: bool,
}

impl Sent {
    pub(crate) fn merge(&mut self, other: Self) {
        self.queued += other.queued;
        self.retries += other.retries;
        self.failed += other.failed;
        self.error = self.error.take().or(other.error);
        self.is_down |= other.is_down;
    }

    fn fail(&mut self, count: usize, error: Error) {
        self.failed += count;
        self.error.get_or_insert(error);
    }
}

impl Sender {
    pub(crate) fn new(queue: Arc<dyn Queue>, clock: Arc<dyn Clock>, config: SendConfig) -> Self {
        Self { queue, clock, config }
    }

    pub(crate) fn with_config(mut self, config: SendConfig) -> Self {
        self.config = config;
        self
    }

    pub(crate) fn limits(&self) -> QueueLimits {
        self.queue.limits()
    }

    /// Sends all messages, whatever becomes of single ones. The seed spreads the retries of different calls.
    pub(crate) async fn send(&self, messages: &[Message], seed: u128) -> Sent {
        let limits = self.queue.limits();
        let mut total = Sent::default();
        let (batches, too_large) = plan_batches(messages, &limits);
        for size in too_large {
            total.fail(1, Error::new(ErrorKind::Invalid, format!("a message of {size} bytes fits in no batch")));
        }
        let mut batches = stream::iter(batches)
            .map(|range| self.send_batch(&messages[range.clone()], seed ^ range.start as u128))
            .buffer_unordered(self.config.concurrency.max(1));
        while let Some(sent) = batches.next().await {
            total.merge(sent);
        }
        total
    }

    async fn send_batch(&self, batch: &[Message], seed: u128) -> Sent {
        let mut sent = Sent::default();
        // The first try needs no copy; what failed is copied for the next.
        let mut again: Vec<Message> = Vec::new();
        for attempt in 1.. {
            let current = if attempt == 1 { batch } else { &again };
            let mut is_whole = false;
            let (failed, error) = match self.queue.send(current).await {
                Ok(mut answers) => {
                    // No answer is no promise.
                    answers.resize_with(current.len(), || Err(unanswered()));
                    let mut failed = Vec::new();
                    let mut retryable = None;
                    for (message, answer) in current.iter().zip(answers) {
                        match answer {
                            Ok(()) => sent.queued += 1,
                            Err(error) if error.is_retryable() => {
                                failed.push(message.clone());
                                retryable.get_or_insert(error);
                            }
                            Err(error) => sent.fail(1, error),
                        }
                    }
                    (failed, retryable)
                }
                Err(error) if error.is_retryable() => {
                    is_whole = true;
                    (current.to_vec(), Some(error))
                }
                Err(error) => {
                    sent.fail(current.len(), error);
                    break;
                }
            };
            let Some(error) = error else { break };
            if attempt >= self.config.attempts {
                sent.is_down = is_whole || (failed.len() == batch.len() && batch.len() > 1);
                sent.fail(failed.len(), error);
                break;
            }
            let delay = pause(&error, self.config.backoff, attempt, seed);
            sent.retries += 1;
            again = failed;
            self.clock.sleep(delay).await;
        }
        sent
    }
}

fn unanswered() -> Error {
    Error::new(ErrorKind::Unavailable, "the queue did not answer for this message")
}

/// Cuts messages into batches within the limits, in order; and the sizes of those that fit in none.
fn plan_batches(messages: &[Message], limits: &QueueLimits) -> (Vec<Range<usize>>, Vec<usize>) {
    let most = limits.batch_messages.max(1);
    let Some(most_bytes) = limits.batch_bytes else {
        let batches = (0..messages.len()).step_by(most).map(|from| from..(from + most).min(messages.len()));
        return (batches.collect(), Vec::new());
    };
    let (mut batches, mut too_large) = (Vec::new(), Vec::new());
    let mut current = 0..0;
    let mut bytes = 0;
    for (index, message) in messages.iter().enumerate() {
        let size = message.body.to_json().len();
        let alone = size > most_bytes;
        if alone || current.len() == most || bytes + size > most_bytes {
            batches.push(std::mem::replace(&mut current, index..index));
            bytes = 0;
        }
        if alone {
            too_large.push(size);
            current = index + 1..index + 1;
        } else {
            current.end = index + 1;
            bytes += size;
        }
    }
    batches.push(current);
    batches.retain(|batch| !batch.is_empty());
    (batches, too_large)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Body;

    fn plan(sizes: &[usize], most: usize, bytes: usize) -> (Vec<Range<usize>>, Vec<usize>) {
        let messages: Vec<_> = sizes.iter().map(|size| Message::new(Body::from_json("x".repeat(*size)))).collect();
        plan_batches(&messages, &QueueLimits::new(most).with_batch_bytes(bytes))
    }

    #[test]
    fn a_batch_ends_at_either_limit() {
        assert_eq!(plan(&[1; 5], 2, 100), (vec![0..2, 2..4, 4..5], vec![]));
        assert_eq!(plan(&[60, 40, 1, 99, 1], 10, 100), (vec![0..2, 2..4, 4..5], vec![]));
        assert_eq!(plan(&[], 10, 100), (vec![], vec![]));
    }

    #[test]
    fn what_fits_in_no_batch_harms_no_other() {
        assert_eq!(plan(&[1, 101, 1, 1], 10, 100), (vec![0..1, 2..4], vec![101]));
        assert_eq!(plan(&[101], 10, 100), (vec![], vec![101]));
        assert_eq!(plan(&[200, 101], 10, 100), (vec![], vec![200, 101]));
    }

    #[test]
    fn without_a_limit_on_bytes_only_the_count_matters() {
        let messages: Vec<_> = (0..5).map(|_| Message::new(Body::from_json("x"))).collect();
        assert_eq!(plan_batches(&messages, &QueueLimits::new(2)).0, vec![0..2, 2..4, 4..5]);
    }
}
