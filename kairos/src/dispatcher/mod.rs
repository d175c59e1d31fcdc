//! The dispatcher: one occurrence in, one message per enabled process out.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::ready;
use jiff::Timestamp;
use uuid::Uuid;

use crate::backend::{Message, ProcessFilter, Queue, Store};
use crate::clock::{Clock, between, later};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Body, Occurrence, Origin, Process, ProcessId, ScheduleId, TriggerInput};
use crate::page::{Cursor, Page, PageRequest};
use crate::retry::retrying;
use crate::sender::{Sender, Sent};

pub use crate::sender::SendConfig;

/// Queues every enabled process of a schedule for one occurrence.
///
/// Any number of processes is dispatched in bounded memory: page by page, the next one being read while one is sent, and sent as soon as
/// all of that is under way.
/// Dispatching an occurrence again is harmless: its executions have the same ids.
///
/// ```
/// # use std::sync::Arc;
/// use kairos::clock::{Clock, SystemClock};
/// use kairos::dispatcher::{DispatchRequest, Dispatcher};
/// use kairos::{ScheduleId, TriggerInput};
/// use kairos_memory::{MemoryQueue, MemoryStore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> kairos::Result<()> {
/// let clock: Arc<dyn Clock> = Arc::new(SystemClock);
/// let queue = Arc::new(MemoryQueue::new(clock.clone()));
/// let dispatcher = Dispatcher::new(Arc::new(MemoryStore::new()), queue, clock.clone());
///
/// let input = TriggerInput::from_json(r#"{"IdCalendarizacion":"calendarizacion-x"}"#)?;
/// let dispatched = dispatcher.dispatch(&DispatchRequest::of_trigger(input, clock.now())).await?;
/// assert_eq!((dispatched.queued, dispatched.next), (0, None));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Dispatcher {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    sender: Sender,
    config: DispatcherConfig,
}

/// How a [`Dispatcher`] works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DispatcherConfig {
    /// How many processes are read and sent at once.
    pub page_size: usize,
    /// How much time must be left before the deadline to begin another page.
    pub margin: Duration,
    /// How messages are sent.
    pub send: SendConfig,
    /// Over how long a time from its nominal one an occurrence is spread, so that its targets are not all called at once; zero is not
    /// at all. Each process has its own place in it, the same at every occurrence, whoever dispatches it and however often. No message is
    /// delayed for longer than the [queue can](crate::backend::QueueLimits::delay).
    pub spread: Duration,
}

impl Default for DispatcherConfig {
    /// Pages of 500; 10 s for the last one; no spread.
    fn default() -> Self {
        Self { page_size: 500, margin: Duration::from_secs(10), send: SendConfig::default(), spread: Duration::ZERO }
    }
}

impl DispatcherConfig {
    /// The same, reading and sending so many processes at once.
    #[must_use]
    pub fn with_page_size(mut self, size: usize) -> Self {
        self.page_size = size;
        self
    }

    /// The same, spreading each occurrence over a time.
    #[must_use]
    pub fn with_spread(mut self, spread: Duration) -> Self {
        self.spread = spread;
        self
    }
}

/// Which occurrence to dispatch, from where on, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DispatchRequest {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// The occurrence.
    pub scheduled_time: Timestamp,
    /// Where an earlier dispatch of it ran out of time.
    pub cursor: Option<Cursor>,
    /// When to stop and hand over a cursor; `None` is never.
    pub deadline: Option<Timestamp>,
}

impl DispatchRequest {
    /// An occurrence, from its first process to its last.
    #[must_use]
    pub fn new(schedule_id: ScheduleId, scheduled_time: Timestamp) -> Self {
        Self { schedule_id, scheduled_time, cursor: None, deadline: None }
    }

    /// What a trigger asks for. Input of older triggers names no time: then it is the time at which it was got.
    #[must_use]
    pub fn of_trigger(input: TriggerInput, got_at: Timestamp) -> Self {
        Self {
            scheduled_time: input.scheduled_time.unwrap_or(got_at),
            schedule_id: input.schedule_id,
            cursor: input.cursor,
            deadline: None,
        }
    }

    /// The same, to be stopped before a deadline.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Timestamp) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The input with which a dispatch that stopped at `cursor` goes on.
    #[must_use]
    pub fn continuation(&self, cursor: Cursor) -> TriggerInput {
        let mut input = TriggerInput::new(self.schedule_id.clone(), self.scheduled_time);
        input.cursor = Some(cursor);
        input
    }
}

/// What a dispatch did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dispatched {
    /// How many messages are on the queue.
    pub queued: usize,
    /// How many pages were read.
    pub pages: usize,
    /// How many batches had to be sent again.
    pub retries: u64,
    /// Where to go on, if the time ran out; `None` when every process of the occurrence is on the queue, or handed over.
    pub next: Option<Cursor>,
    /// Whether what follows was handed over to another dispatcher.
    pub handed_over: bool,
}

impl Dispatcher {
    /// A dispatcher of the processes in `store` onto `queue`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, queue: Arc<dyn Queue>, clock: Arc<dyn Clock>) -> Self {
        Self::with_config(store, queue, clock, DispatcherConfig::default())
    }

    /// The same, working as configured.
    #[must_use]
    pub fn with_config(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        config: DispatcherConfig,
    ) -> Self {
        let sender = Sender::new(queue, clock.clone(), config.send);
        Self { store, clock, sender, config }
    }

    /// Queues every enabled process of the occurrence.
    ///
    /// `Ok` without a [cursor](Dispatched::next) means that all of them are on the queue.
    ///
    /// # Errors
    /// Whatever kept any process from being queued, after retries. Dispatching again, as the trigger's own retries do, is all
    /// that is needed: a message that no queue would take keeps none of the others back.
    pub async fn dispatch(&self, request: &DispatchRequest) -> Result<Dispatched> {
        self.dispatch_pages(request, |_| ready(false)).await
    }

    /// Queues the first page of what is left of the occurrence, and hands the rest over to another dispatcher while it does: so a large
    /// occurrence is sent by as many dispatchers as it has pages, each a moment after the one before.
    ///
    /// `Ok` without a cursor means that the page is on the queue, and the rest with whoever took it. What nobody takes is queued here.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kairos::clock::{Clock, SystemClock};
    /// # use kairos::dispatcher::{DispatchRequest, Dispatcher};
    /// # use kairos::{ScheduleId, TriggerInput};
    /// # use kairos_memory::{MemoryQueue, MemoryStore};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> kairos::Result<()> {
    /// # let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    /// # let queue = Arc::new(MemoryQueue::new(clock.clone()));
    /// # let dispatcher = Dispatcher::new(Arc::new(MemoryStore::new()), queue, clock.clone());
    /// # let request = DispatchRequest::of_trigger(TriggerInput::from_json(r#"{"IdCalendarizacion":"calendarizacion-x"}"#)?, clock.now());
    /// let hand_over = |rest: TriggerInput| async move {
    ///     // An asynchronous invocation of the same function, or a message to the same queue.
    ///     println!("{}", serde_json::to_string(&rest).unwrap_or_default());
    ///     Ok(())
    /// };
    /// assert!(!dispatcher.dispatch_relayed(&request, hand_over).await?.handed_over, "there is one page");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Self::dispatch`]. Dispatching again hands over again, which is as harmless.
    pub async fn dispatch_relayed<F, Fut>(&self, request: &DispatchRequest, hand_over: F) -> Result<Dispatched>
    where
        F: Fn(TriggerInput) -> Fut + Send + Sync,
        Fut: Future<Output = Result<()>> + Send,
    {
        let took = |rest: TriggerInput| {
            let handed_over = hand_over(rest);
            async {
                handed_over
                    .await
                    .inspect_err(|error| {
                        tracing::warn!(
                            error = format!("{error:#}"),
                            "nobody takes the rest of an occurrence; it is queued here"
                        );
                    })
                    .is_ok()
            }
        };
        self.dispatch_pages(request, took).await
    }

    async fn dispatch_pages<F, Fut>(&self, request: &DispatchRequest, hand_over: F) -> Result<Dispatched>
    where
        F: Fn(TriggerInput) -> Fut + Send + Sync,
        Fut: Future<Output = bool> + Send,
    {
        let dispatched = self.queue_pages(request, hand_over).await;
        dispatched.map_err(|error| error.during("dispatch").about(&request.schedule_id))
    }

    async fn queue_pages<F, Fut>(&self, request: &DispatchRequest, hand_over: F) -> Result<Dispatched>
    where
        F: Fn(TriggerInput) -> Fut + Send + Sync,
        Fut: Future<Output = bool> + Send,
    {
        let mut dispatched = Dispatched::default();
        let mut sending = self.sender.sending(seed(request));
        let mut page = self.read(request, request.cursor.clone()).await?;
        let ended = loop {
            dispatched.pages += 1;
            let Page { items, mut next } = page;
            sending.add(self.plan(items, request.scheduled_time));
            if self.is_out_of_time(request) {
                dispatched.next = next.take();
            }
            let mut following = pin!(async {
                let cursor = next?;
                if hand_over(request.continuation(cursor.clone())).await {
                    dispatched.handed_over = true;
                    return None;
                }
                Some(self.read(request, Some(cursor)).await)
            });
            let following = loop {
                tokio::select! {
                    // Not by chance: what happens on a manual clock happens again.
                    biased;
                    true = sending.step() => {}
                    following = &mut following => break following,
                }
            };
            // Its batches follow those of this page without a gap.
            while !sending.has_room() {
                sending.step().await;
            }
            match following {
                Some(following) if !sending.is_down() => match following {
                    Ok(following) => page = following,
                    Err(error) => break Err(error),
                },
                _ => break Ok(()),
            }
        };
        let sent = sending.finish().await;
        ended?;
        dispatched.queued = sent.queued;
        dispatched.retries = sent.retries;
        finish(sent, dispatched)
    }

    /// One message for each process: what is on the queue after this is all that an occurrence means.
    fn plan(&self, processes: Vec<Arc<Process>>, scheduled_time: Timestamp) -> Vec<Message> {
        let occurrence = Occurrence::new(scheduled_time);
        let message = |process| Message::new(Body::of_occurrence(process, &occurrence, Origin::Schedule));
        let processes = processes.into_iter();
        if self.config.spread.is_zero() {
            return processes.map(message).collect();
        }
        let (now, longest) = (self.clock.now(), self.sender.limits().delay);
        let delay = |process: &Process| {
            let due = later(scheduled_time, place(&process.id, self.config.spread));
            between(now, due).min(longest)
        };
        let delayed = |process: Arc<Process>| {
            let delay = delay(&process);
            message(process).with_delay(delay)
        };
        processes.map(delayed).collect()
    }

    fn is_out_of_time(&self, request: &DispatchRequest) -> bool {
        request.deadline.is_some_and(|deadline| later(self.clock.now(), self.config.margin) >= deadline)
    }

    async fn read(&self, request: &DispatchRequest, cursor: Option<Cursor>) -> Result<Page<Arc<Process>>> {
        let filter = ProcessFilter::of_schedule(request.schedule_id.clone()).with_enabled(true);
        let page = PageRequest::first(self.config.page_size).with_cursor(cursor);
        let SendConfig { attempts, backoff, .. } = self.config.send;
        retrying(&*self.clock, attempts, backoff, seed(request), || self.store.list_processes(&filter, &page)).await
    }
}

/// A process's place in a time over which occurrences are spread.
fn place(id: &ProcessId, spread: Duration) -> Duration {
    const PARTS: u128 = 1 << 32;
    let part = Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_str().as_bytes()).as_u128() % PARTS;
    Duration::from_nanos_u128(spread.as_nanos() * part / PARTS)
}

/// Spreads the retries of different occurrences.
fn seed(request: &DispatchRequest) -> u128 {
    request.scheduled_time.as_nanosecond().unsigned_abs()
}

fn finish(sent: Sent, dispatched: Dispatched) -> Result<Dispatched> {
    let Some(error) = sent.error else {
        return Ok(dispatched);
    };
    // The occurrence has to be dispatched again, whatever kept single messages back.
    let kind = if error.is_retryable() { error.kind() } else { ErrorKind::Failed };
    let message = format!("{} of {} messages could not be queued", sent.failed, sent.failed + sent.queued);
    Err(Error::new(kind, message).with_source(error))
}
