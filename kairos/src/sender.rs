//! Puts many messages on the queue: in batches, several at a time, each failed one again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};

use crate::backend::{Message, Queue, QueueLimits};
use crate::clock::{Clock, ClockExt as _};
use crate::error::{Error, ErrorKind};
use crate::model::Body;
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
    pub(crate) async fn send(&self, messages: Vec<Message>, seed: u128) -> Sent {
        let mut sending = self.sending(seed);
        sending.add(messages);
        sending.finish().await
    }

    /// The same of messages that come bit by bit.
    pub(crate) fn sending(&self, seed: u128) -> Sending<'_> {
        let (waiting, under_way) = (VecDeque::new(), FuturesUnordered::new());
        Sending { sender: self, seed, begun: 0, waiting, under_way, sent: Sent::default() }
    }

    async fn send_batch(&self, mut batch: Vec<Message>, seed: u128) -> Sent {
        let mut sent = Sent::default();
        let count = batch.len();
        for attempt in 1.. {
            let mut is_whole = false;
            let (failed, error) = match self.queue.send(&batch).await {
                Ok(mut answers) => {
                    // No answer is no promise.
                    answers.resize_with(batch.len(), || Err(unanswered()));
                    let mut failed = Vec::new();
                    let mut retryable = None;
                    for (message, answer) in batch.into_iter().zip(answers) {
                        match answer {
                            Ok(()) => sent.queued += 1,
                            Err(error) if error.is_retryable() => {
                                failed.push(message);
                                retryable.get_or_insert(error);
                            }
                            Err(error) => sent.fail(1, error),
                        }
                    }
                    (failed, retryable)
                }
                Err(error) if error.is_retryable() => {
                    is_whole = true;
                    (batch, Some(error))
                }
                Err(error) => {
                    sent.fail(batch.len(), error);
                    break;
                }
            };
            let Some(error) = error else { break };
            if attempt >= self.config.attempts {
                sent.is_down = is_whole || (failed.len() == count && count > 1);
                sent.fail(failed.len(), error);
                break;
            }
            let delay = pause(&error, self.config.backoff, attempt, seed);
            sent.retries += 1;
            batch = failed;
            self.clock.sleep(delay).await;
        }
        sent
    }
}

fn unanswered() -> Error {
    Error::new(ErrorKind::Unavailable, "the queue did not answer for this message")
}

/// Messages on their way to the queue: batches that wait, and those that are under way.
pub(crate) struct Sending<'s> {
    sender: &'s Sender,
    seed: u128,
    /// How many batches have been begun.
    begun: u128,
    waiting: VecDeque<Vec<Message>>,
    under_way: FuturesUnordered<BoxFuture<'s, Sent>>,
    sent: Sent,
}

impl Sending<'_> {
    /// Lets messages follow those that wait.
    pub(crate) fn add(&mut self, messages: Vec<Message>) {
        let (batches, too_large) = plan_batches(messages, &self.sender.limits());
        for size in too_large {
            self.sent.fail(1, Error::new(ErrorKind::Invalid, format!("a message of {size} bytes fits in no batch")));
        }
        self.waiting.extend(batches);
    }

    /// Until one more batch is done with; false if there was none. It may be dropped at any time, and goes on when it is called again.
    pub(crate) async fn step(&mut self) -> bool {
        while self.under_way.len() < self.sender.config.concurrency.max(1) {
            let Some(batch) = self.waiting.pop_front() else { break };
            self.under_way.push(self.sender.send_batch(batch, self.seed ^ self.begun).boxed());
            self.begun += 1;
        }
        let done = self.under_way.next().await;
        done.map(|sent| self.sent.merge(sent)).is_some()
    }

    /// Whether messages may follow: none waits, and the queue has taken one or has been given time to.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.is_empty() && (self.sent.queued > 0 || self.under_way.is_empty())
    }

    /// A queue that refuses a whole batch time and again is down: what follows would not fare better.
    pub(crate) fn is_down(&self) -> bool {
        self.sent.is_down && self.sent.queued == 0
    }

    /// Until all are done with.
    pub(crate) async fn finish(mut self) -> Sent {
        while self.step().await {}
        self.sent
    }
}

/// Cuts messages into batches within the limits, in order; and the sizes of those that fit in none.
fn plan_batches(messages: Vec<Message>, limits: &QueueLimits) -> (Vec<Vec<Message>>, Vec<usize>) {
    let (mut batches, mut too_large) = (Vec::new(), Vec::new());
    let (mut current, mut bytes) = (Vec::new(), 0);
    for mut message in messages {
        let mut size = 0;
        if let Some(most) = limits.batch_bytes {
            // Where bytes count it is sent as text, which is made once.
            message.body = Body::from_json(message.body.to_json());
            size = message.body.to_json().len();
            if size > most {
                too_large.push(size);
                continue;
            }
        }
        let is_full = current.len() >= limits.batch_messages.max(1);
        if is_full || limits.batch_bytes.is_some_and(|most| bytes + size > most) {
            batches.push(std::mem::take(&mut current));
            bytes = 0;
        }
        current.push(message);
        bytes += size;
    }
    batches.push(current);
    batches.retain(|batch| !batch.is_empty());
    (batches, too_large)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of the messages of each batch.
    fn plan(sizes: &[usize], limits: &QueueLimits) -> (Vec<Vec<usize>>, Vec<usize>) {
        let messages = sizes.iter().map(|size| Message::new(Body::from_json("x".repeat(*size)))).collect();
        let (batches, too_large) = plan_batches(messages, limits);
        let size = |message: &Message| message.body.to_json().len();
        (batches.iter().map(|batch| batch.iter().map(size).collect()).collect(), too_large)
    }

    #[test]
    fn a_batch_ends_at_either_limit() {
        let plan = |sizes: &[usize], most| plan(sizes, &QueueLimits::new(most).with_batch_bytes(100));
        assert_eq!(plan(&[1; 5], 2), (vec![vec![1, 1], vec![1, 1], vec![1]], vec![]));
        assert_eq!(plan(&[60, 40, 1, 99, 1], 10), (vec![vec![60, 40], vec![1, 99], vec![1]], vec![]));
        assert_eq!(plan(&[], 10), (vec![], vec![]));
    }

    #[test]
    fn what_fits_in_no_batch_harms_no_other() {
        let plan = |sizes: &[usize]| plan(sizes, &QueueLimits::new(10).with_batch_bytes(100));
        assert_eq!(plan(&[1, 101, 2, 3]), (vec![vec![1, 2, 3]], vec![101]));
        assert_eq!(plan(&[101]), (vec![], vec![101]));
        assert_eq!(plan(&[200, 101]), (vec![], vec![200, 101]));
    }

    #[test]
    fn without_a_limit_on_bytes_only_the_count_matters() {
        assert_eq!(plan(&[1; 5], &QueueLimits::new(2)).0, vec![vec![1, 1], vec![1, 1], vec![1]]);
    }
}
