//! A queue in memory: invisible while somebody works, back if nobody acknowledges.

mod saved;

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::select;
use jiff::Timestamp;
use kairos::backend::{DeadLetterReason, Delivery, Message, Queue, QueueLimits, Receipt, Receiver};
use kairos::chance::Chance;
use kairos::clock::{Clock, between, earlier, later};
use kairos::executor::WorkerConfig;
use kairos::{Body, ErrorKind, Failure, MessageId, Result};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::error;
use crate::push::push_with;
use crate::slab::Slab;
use crate::wheel::{Wheel, due_tick, instant, tick};

pub use saved::SavedQueue;

/// A [`Queue`] and its [`Receiver`] in memory, with the behaviour of Amazon SQS: visibility timeouts, redelivery, delays,
/// retention, dead letters and their redrive.
///
/// Visible messages are received in the order in which they became visible. Sending, receiving and acknowledging cost the
/// same however many messages wait. Time is counted in whole milliseconds, and receivers that wait sleep until something
/// becomes visible: nothing polls. When the clock is set back, all that waits is brought forward by as much: nothing is hidden for
/// longer than was left of its wait when the queue last looked at the clock before.
///
/// It holds a bounded number of messages, see [`with_capacity`](Self::with_capacity): one that nobody drains refuses what is sent
/// instead of taking all of the machine's memory, and whoever sends keeps it.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use kairos::backend::{Message, Queue, Receiver};
/// use kairos::clock::ManualClock;
/// use kairos::Body;
/// use kairos_memory::MemoryQueue;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let clock = ManualClock::at("2026-01-01T00:00:00Z".parse()?);
/// let queue = MemoryQueue::new(Arc::new(clock.clone())).with_visibility_timeout(Duration::from_secs(60));
/// queue.send(&[Message::new(Body::from_json("{}"))]).await?;
///
/// let first = queue.receive(10, Duration::ZERO).await?;
/// assert_eq!(first[0].receive_count, 1);
/// assert!(queue.receive(10, Duration::ZERO).await?.is_empty(), "invisible to others for a minute");
///
/// clock.advance(Duration::from_secs(60));
/// let again = queue.receive(10, Duration::ZERO).await?;
/// assert_eq!((&again[0].message_id, again[0].receive_count), (&first[0].message_id, 2));
/// queue.acknowledge(&[again[0].receipt.clone()]).await?.remove(0)?;
/// assert_eq!(queue.len(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryQueue {
    clock: Arc<dyn Clock>,
    visibility_timeout: Duration,
    retention: Duration,
    max_receive_count: Option<u32>,
    limits: QueueLimits,
    capacity: usize,
    /// The upper half of all message ids. What is restored brings its own.
    id_prefix: AtomicU64,
    state: Mutex<State>,
    changed: Notify,
}

/// How many messages and dead letters there is room for, if nobody says.
const CAPACITY: usize = 1_000_000;
/// A clock that is set back by less makes the queue's time stand still for as long; by more, all that waits is brought forward.
const STEP: Duration = Duration::from_secs(1);

struct State {
    messages: Slab<Entry>,
    /// When each message becomes visible. Those whose time has come are the visible ones.
    visible: Wheel,
    /// When each message is dropped.
    expiry: Wheel,
    dead_letters: VecDeque<Dead>,
    /// The latest time seen.
    latest: Timestamp,
    /// How many messages were ever sent.
    sent: u64,
    expired: u64,
}

/// A message on the queue.
#[derive(Debug)]
struct Entry {
    body: Body,
    sent_at: Timestamp,
    /// The lower half of its id.
    sequence: u64,
    /// How often it was received since it was sent or redriven.
    receive_count: u32,
    /// How often it was received at all: tells its receipts apart.
    deliveries: u32,
    redriven: bool,
}

#[derive(Debug)]
struct Dead {
    entry: Entry,
    reason: DeadLetterReason,
    at: Timestamp,
}

/// A message that lies with the dead letters.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The message's own id.
    pub message_id: MessageId,
    /// What it says.
    pub body: Body,
    /// Why it lies here.
    pub reason: DeadLetterReason,
    /// Since when.
    pub at: Timestamp,
}

impl MemoryQueue {
    /// An empty queue on this clock: a visibility timeout of 30 seconds, a retention of 14 days, no limit on receipts, batches
    /// of up to 1000 messages, and room for a million.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            visibility_timeout: Duration::from_secs(30),
            retention: Duration::from_secs(14 * 24 * 60 * 60),
            max_receive_count: None,
            limits: QueueLimits::new(1_000),
            capacity: CAPACITY,
            id_prefix: AtomicU64::new(0),
            state: Mutex::new(State::new()),
            changed: Notify::new(),
        }
    }

    /// The same with another visibility timeout.
    #[must_use]
    pub fn with_visibility_timeout(mut self, timeout: Duration) -> Self {
        self.visibility_timeout = timeout;
        self
    }

    /// The same, dropping messages this long after they were sent or redriven, and dead letters this long after they got there.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// The same, putting a message with the dead letters instead of delivering it more often than this, at least once.
    ///
    /// The count starts anew when it is redriven.
    #[must_use]
    pub fn with_max_receive_count(mut self, count: impl Into<Option<u32>>) -> Self {
        self.max_receive_count = count.into().map(|count| count.max(1));
        self
    }

    /// The same with other limits on what is sent.
    #[must_use]
    pub fn with_limits(mut self, limits: QueueLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The same with room for so many messages and dead letters together; 1 000 000 if not said otherwise, 0 is taken for 1.
    ///
    /// A queue in memory must end somewhere, or it takes its process with it, and all that is on it. A message takes some 120 bytes besides
    /// its process, which all messages of one share: a million is 120 MB, and far more than any queue that is drained ever holds.
    ///
    /// A message for which there is no room is answered with [`Throttled`](ErrorKind::Throttled), which is retryable, and is not on the
    /// queue; others of its batch may be. A dispatcher then fails, its firing is given back, and comes again once there may be
    /// room. There must be room for all the processes of one schedule at once: each try begins with the first of them.
    /// Nothing but [`send`](Queue::send) asks for room: acknowledging makes some, and burying and redriving leave the sum as it is. Dead letters
    /// that nobody redrives can be [taken away](Self::take_dead_letters).
    #[must_use]
    pub fn with_capacity(mut self, messages: usize) -> Self {
        self.capacity = messages.max(1);
        self
    }

    /// The same with message ids that no other queue gives out. Without it, every queue counts from 1.
    #[must_use]
    pub fn with_chance(mut self, chance: &Chance) -> Self {
        self.id_prefix = chance.uuid().as_u64_pair().0.into();
        self
    }

    /// How a worker of such a queue should work, where nobody says otherwise: as [everywhere](WorkerConfig::default), but receiving as many messages
    /// at once as there is room for, as soon as there is any. A receipt is no request here.
    #[must_use]
    pub fn worker_config() -> WorkerConfig {
        WorkerConfig::default().with_batch(usize::MAX).with_gathering(Duration::ZERO)
    }

    /// Puts a message on the queue that some other system wrote: any text, also where there is no room. Gives its id.
    pub fn inject(&self, text: impl Into<Arc<str>>) -> MessageId {
        let (mut state, now) = self.lock();
        let sequence = state.send(Body::from_json(text), now, Duration::ZERO, self.retention);
        drop(state);
        self.changed.notify_waiters();
        self.message_id(sequence)
    }

    /// What lies with the dead letters, oldest first.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        let (state, _) = self.lock();
        state.dead_letters.iter().map(|dead| self.letter(dead)).collect()
    }

    /// Takes up to `max` dead letters away for good, the oldest first, which makes room for as many messages.
    pub fn take_dead_letters(&self, max: usize) -> Vec<DeadLetter> {
        let (mut state, _) = self.lock();
        let count = max.min(state.dead_letters.len());
        let taken: Vec<Dead> = state.dead_letters.drain(..count).collect();
        drop(state);
        taken.iter().map(|dead| self.letter(dead)).collect()
    }

    fn letter(&self, dead: &Dead) -> DeadLetter {
        DeadLetter {
            message_id: self.message_id(dead.entry.sequence),
            body: dead.entry.body.clone(),
            reason: dead.reason.clone(),
            at: dead.at,
        }
    }

    /// How many messages are on the queue, visible or not; dead letters are not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().0.messages.len()
    }

    /// Whether no message is on the queue.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages were received and are invisible since. Looks at every message.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let (state, now) = self.lock();
        let is_hidden = |slot| state.visible.due(slot).is_some_and(|due| due > tick(now));
        let received = |(slot, entry): (u32, Option<&Entry>)| {
            entry.is_some_and(|entry| entry.receive_count > 0) && is_hidden(slot)
        };
        state.messages.slots_from(0).filter(|slot| received(*slot)).count()
    }

    /// How many messages and dead letters were dropped, as they had outlived the retention.
    #[must_use]
    pub fn expired(&self) -> u64 {
        self.lock().0.expired
    }

    /// The state as it is now, without what has expired, and the time now.
    fn lock(&self) -> (MutexGuard<'_, State>, Timestamp) {
        let mut state = self.state.lock();
        // Read under the lock: of two that look, none comes with an older time after the other.
        let now = state.see(self.clock.now());
        state.expire(now, self.retention);
        (state, now)
    }

    /// Takes what is visible, and says when something else will be.
    fn take(&self, max: usize) -> (Vec<Delivery>, Option<Timestamp>) {
        let (mut state, now) = self.lock();
        let mut deliveries = Vec::with_capacity(max.min(state.messages.len()));
        while deliveries.len() < max
            && let Some(slot) = state.visible.pop(tick(now))
        {
            let Some(entry) = state.messages.get_mut(slot) else { continue };
            let message_id = self.message_id(entry.sequence);
            if self.max_receive_count.is_some_and(|max| entry.receive_count >= max) {
                let reason = received_too_often(entry, message_id.as_str());
                state.bury(slot, reason, now);
                continue;
            }
            entry.receive_count += 1;
            entry.deliveries += 1;
            push_with(&mut deliveries, || {
                Delivery::new(message_id, receipt(slot, entry), entry.sent_at, entry.body.clone())
                    .with_receive_count(entry.receive_count)
                    .with_redriven(entry.redriven)
            });
            state.visible.set(slot, visible_at(now, self.visibility_timeout));
        }
        (deliveries, state.visible.next_due().map(instant))
    }

    /// UUID version 8 (RFC 9562): of the queue's prefix and the message's number.
    fn message_id(&self, sequence: u64) -> MessageId {
        let bytes = Uuid::from_u64_pair(self.id_prefix.load(Ordering::Relaxed), sequence).into_bytes();
        let uuid = uuid::Builder::from_custom_bytes(bytes).into_uuid();
        MessageId::from(&*uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }

    fn check_batch(&self, batch: &[Message]) -> Result<()> {
        let most = self.limits.batch_messages;
        if batch.len() > most {
            return Err(error::batch_too_large(format!("{} messages; {most} are allowed", batch.len())));
        }
        let Some(most) = self.limits.batch_bytes else { return Ok(()) };
        let bytes: usize = batch.iter().map(|message| message.body.to_json().len()).sum();
        if bytes > most {
            return Err(error::batch_too_large(format!("{bytes} bytes; {most} are allowed")));
        }
        Ok(())
    }
}

impl State {
    fn new() -> Self {
        Self {
            messages: Slab::new(),
            visible: Wheel::new(),
            expiry: Wheel::new(),
            dead_letters: VecDeque::new(),
            latest: Timestamp::MIN,
            sent: 0,
            expired: 0,
        }
    }

    /// The time now, once all that waits has been brought to it: what is left of a wait does not grow when the clock is set back.
    fn see(&mut self, now: Timestamp) -> Timestamp {
        let back = between(now, self.latest);
        if back >= STEP {
            let ticks = tick(self.latest) - tick(now);
            for wheel in [&mut self.visible, &mut self.expiry] {
                wheel.set_back(tick(now), |due| due.saturating_sub(ticks));
            }
            for dead in &mut self.dead_letters {
                dead.at = earlier(dead.at, back);
            }
            self.latest = now;
        }
        self.latest = self.latest.max(now);
        self.latest
    }

    fn send(&mut self, body: Body, now: Timestamp, delay: Duration, retention: Duration) -> u64 {
        self.sent += 1;
        let sequence = self.sent;
        let entry = Entry { body, sent_at: now, sequence, receive_count: 0, deliveries: 0, redriven: false };
        self.insert(entry, now, delay, retention);
        sequence
    }

    fn insert(&mut self, entry: Entry, now: Timestamp, delay: Duration, retention: Duration) {
        let slot = self.messages.insert(entry);
        self.visible.set(slot, visible_at(now, delay));
        self.expiry.set(slot, due_tick(later(now, retention)));
    }

    fn remove(&mut self, slot: u32) -> Option<Entry> {
        self.visible.cancel(slot);
        self.expiry.cancel(slot);
        self.messages.remove(slot)
    }

    fn bury(&mut self, slot: u32, reason: DeadLetterReason, at: Timestamp) {
        if let Some(mut entry) = self.remove(slot) {
            // Its receipts are no longer good, also once it comes back.
            entry.deliveries += 1;
            self.dead_letters.push_back(Dead { entry, reason, at });
        }
    }

    fn expire(&mut self, now: Timestamp, retention: Duration) {
        while let Some(slot) = self.expiry.pop(tick(now)) {
            self.remove(slot);
            self.expired += 1;
        }
        while self.dead_letters.front().is_some_and(|dead| later(dead.at, retention) <= now) {
            self.dead_letters.pop_front();
            self.expired += 1;
        }
    }

    fn find(&self, receipt: &Receipt, operation: &'static str) -> Result<Found> {
        let known = numbers(receipt.as_str()).filter(|[_, sequence, _]| *sequence <= self.sent);
        let Some([slot, sequence, delivery]) = known else {
            return Err(error::unknown_receipt(operation, receipt.as_str()));
        };
        let entry = u32::try_from(slot).ok().and_then(|slot| Some((slot, self.messages.get(slot)?)));
        Ok(match entry.filter(|(_, entry)| entry.sequence == sequence) {
            None => Found::Gone,
            Some((_, entry)) if u64::from(entry.deliveries) != delivery => Found::Late,
            Some((slot, _)) => Found::Held(slot),
        })
    }

    fn held(&self, receipt: &Receipt, operation: &'static str) -> Result<u32> {
        match self.find(receipt, operation)? {
            Found::Held(slot) => Ok(slot),
            Found::Late | Found::Gone => Err(error::late_receipt(operation, receipt.as_str())),
        }
    }
}

/// What a receipt stands for by now.
enum Found {
    /// The last delivery of the message in this slot.
    Held(u32),
    /// An earlier delivery of a message that was received again.
    Late,
    /// A message that was acknowledged, buried or dropped.
    Gone,
}

/// It is made for each delivery: without a text in between.
fn receipt(slot: u32, entry: &Entry) -> Receipt {
    let mut numbers: [_; 3] = std::array::from_fn(|_| itoa::Buffer::new());
    let [one, two, three] = &mut numbers;
    let parts = [one.format(slot), "-", two.format(entry.sequence), "-", three.format(entry.deliveries)];
    Receipt::from_iter(parts)
}

/// Reads the three numbers of a receipt. Each execution has one read: in one pass, as the general way takes several.
fn numbers(receipt: &str) -> Option<[u64; 3]> {
    let mut numbers = [None; 3];
    let mut place = 0;
    for byte in receipt.bytes() {
        match byte {
            b'-' if place < 2 => place += 1,
            b'0'..=b'9' => {
                let number = numbers.get_mut(place)?;
                let digit = u64::from(byte - b'0');
                *number = Some(number.unwrap_or(0u64).checked_mul(10)?.checked_add(digit)?);
            }
            _ => return None,
        }
    }
    let [Some(slot), Some(sequence), Some(delivery)] = numbers else { return None };
    Some([slot, sequence, delivery])
}

/// When a message that stays away for `delay` is visible: never earlier, and at once only if there is nothing to wait for.
fn visible_at(now: Timestamp, delay: Duration) -> u64 {
    if delay.is_zero() { tick(now) } else { due_tick(later(now, delay)) }
}

fn received_too_often(entry: &Entry, message_id: &str) -> DeadLetterReason {
    let failure = Failure {
        kind: ErrorKind::Timeout.as_str().into(),
        text: format!("received {} times and never acknowledged", entry.receive_count),
    };
    match entry.body.work(message_id, entry.sent_at) {
        Ok(work) => DeadLetterReason::of_work(failure, &work, entry.receive_count),
        Err(_) => DeadLetterReason::new(failure),
    }
}

impl fmt::Debug for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("MemoryQueue")
            .field("messages", &state.messages.len())
            .field("dead_letters", &state.dead_letters.len())
            .field("capacity", &self.capacity)
            .field("sent", &state.sent)
            .field("expired", &state.expired)
            .field("visibility_timeout", &self.visibility_timeout)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        self.check_batch(batch)?;
        let answers = {
            let (mut state, now) = self.lock();
            let mut send = |message: &Message| {
                if message.delay > self.limits.delay {
                    return Err(error::delay_too_long(message.delay, self.limits.delay));
                }
                if state.messages.len() + state.dead_letters.len() >= self.capacity {
                    return Err(error::queue_full(self.capacity));
                }
                state.send(message.body.clone(), now, message.delay, self.retention);
                Ok(())
            };
            batch.iter().map(&mut send).collect()
        };
        self.changed.notify_waiters();
        Ok(answers)
    }

    fn limits(&self) -> QueueLimits {
        self.limits
    }
}

#[async_trait]
impl Receiver for MemoryQueue {
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let mut deadline = later(self.clock.now(), wait);
        loop {
            let mut changed = pin!(self.changed.notified());
            // From here on no change is missed, also one made before the wait below begins.
            changed.as_mut().enable();
            let (deliveries, next) = self.take(max);
            if !deliveries.is_empty() || max == 0 {
                return Ok(deliveries);
            }
            let now = self.clock.now();
            if now >= deadline {
                return Ok(deliveries);
            }
            // A clock that was set back makes nobody wait for longer than that from now.
            deadline = deadline.min(later(now, wait));
            let wake = next.map_or(deadline, |next| next.min(deadline));
            select(changed, self.clock.sleep_until(wake)).await;
        }
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        // Whatever the time is.
        let mut state = self.state.lock();
        let acknowledge = |receipt: &Receipt| match state.find(receipt, "acknowledge")? {
            Found::Held(slot) => {
                state.remove(slot);
                Ok(())
            }
            Found::Gone => Ok(()),
            Found::Late => Err(error::late_receipt("acknowledge", receipt.as_str())),
        };
        Ok(receipts.iter().map(acknowledge).collect())
    }

    async fn change_visibility(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        let (mut state, now) = self.lock();
        let slot = state.held(receipt, "change visibility")?;
        state.visible.set(slot, visible_at(now, delay));
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &DeadLetterReason) -> Result<()> {
        let (mut state, now) = self.lock();
        let slot = state.held(&delivery.receipt, "dead-letter")?;
        state.bury(slot, reason.clone(), now);
        Ok(())
    }

    async fn redrive(&self, max: usize) -> Result<usize> {
        let (mut state, now) = self.lock();
        let count = max.min(state.dead_letters.len());
        let letters: Vec<Dead> = state.dead_letters.drain(..count).collect();
        for Dead { entry, .. } in letters {
            let entry = Entry { receive_count: 0, redriven: true, ..entry };
            state.insert(entry, now, Duration::ZERO, self.retention);
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(count)
    }

    fn visibility_timeout(&self) -> Duration {
        self.visibility_timeout
    }
}
