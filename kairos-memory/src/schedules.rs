//! Triggers in memory, and their firing.

mod missed;
mod retries;
mod saved;

use std::collections::VecDeque;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kairos::backend::{ScheduleBackend, Trigger, TriggerKey};
use kairos::clock::{Clock, between, later};
use kairos::page::{Page, PageRequest};
use kairos::retry::Backoff;
use kairos::{Result, TriggerInput};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error;
use crate::listing::{Listing, fingerprint};
use crate::push::push_with;
use crate::triggers::{Fired, Triggers};
use missed::{Account, Untold};
use retries::{Retries, Room};

pub use missed::Missed;
pub use saved::SavedSchedules;

/// How often a firing is delivered again at most: the default of EventBridge Scheduler's `RetryPolicy`,
/// `MaximumRetryAttempts`.
const MAX_RETRIES: u32 = 185;
/// For how long a firing is delivered again at most: the default of EventBridge Scheduler's `RetryPolicy`,
/// `MaximumEventAgeInSeconds`.
const MAX_AGE: Duration = Duration::from_secs(86_400);
/// The service documents that its waits grow exponentially, not from where to where. With these, both of its limits are
/// reached at about the same time.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10 * 60));

/// For how many firings there is room before their list grows.
const AT_FIRST: usize = 64;
/// How many dead letters are kept.
const MAX_DEAD_LETTERS: usize = 10_000;
/// How old an occurrence may be when it is taken, if nobody says.
const CATCH_UP: Duration = Duration::from_secs(86_400);
/// A clock that is set back by less makes time stand still for as long; by more, it is followed.
const STEP: Duration = Duration::from_secs(1);

/// A [`ScheduleBackend`] in memory, which fires: whoever embeds it asks for what is due and hands that to a dispatcher.
///
/// A timing wheel holds one timer per trigger, so that idle triggers cost nothing and firing one costs the same among a
/// million as among ten. Time is counted in whole milliseconds.
///
/// # When nothing can be delivered
///
/// Memory stays bounded, and each occurrence is accounted for.
///
/// - The wheel is the backlog: a later occurrence is computed when it is taken, so that it costs nothing until then. At most 10 000
///   firings wait to be delivered again, besides those that callers have in hand; while so many do, nothing else is taken.
/// - While half as many wait, a schedule of which one waits has to wait with its others: it is looked at again every minute. So a few schedules
///   whose delivery always fails take room from each other only. Where 10 000 firings of more than 5 000 schedules fail for ever, others wait until
///   one of them is given up, after 24 hours at most.
/// - Of all that is due, what has been due for longest is taken first, given back or not: nothing is overtaken for ever.
/// - An occurrence that is older than the [catch-up window](Self::with_catch_up) when it is taken is [missed](Self::missed).
/// - The newest 10 000 [dead letters](Self::dead_letters) are kept, and all are [counted](Self::given_up).
///
/// An occurrence is thus delivered within the window and the 24 hours of its retries, or stands in one of these accounts.
///
/// # When the clock is set
///
/// Forwards, what was due in between fires at once, late. Back, what has fired does not fire again when its time comes once
/// more, and what was given back waits for no longer than was left when the clock was last looked at before.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use kairos::backend::{ScheduleBackend, Trigger};
/// use kairos::clock::ManualClock;
/// use kairos::Specification;
/// use kairos_memory::MemorySchedules;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let clock = ManualClock::at("2026-01-01T08:59:59Z".parse()?);
/// let schedules = MemorySchedules::new(Arc::new(clock.clone()));
/// let daily = Specification::new("cron(0 9 * * ? *)");
/// schedules.create(&Trigger::new(daily.schedule_id(), daily)).await?;
///
/// assert!(schedules.take_due(10).is_empty());
/// assert_eq!(schedules.next_due(), Some("2026-01-01T09:00:00Z".parse()?));
/// clock.advance(Duration::from_secs(24 * 60 * 60 + 1));
/// let days: Vec<_> = schedules.take_due(10).into_iter().filter_map(|firing| firing.input.scheduled_time).collect();
/// assert_eq!(days, ["2026-01-01T09:00:00Z".parse()?, "2026-01-02T09:00:00Z".parse()?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemorySchedules {
    clock: Arc<dyn Clock>,
    catch_up: Duration,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    triggers: Triggers,
    retries: Retries,
    dead_letters: VecDeque<Firing>,
    given_up: u64,
    missed: Account,
    /// The latest time seen.
    latest: Timestamp,
}

/// A trigger that has fired for one occurrence, to be handed to a dispatcher.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Firing {
    /// What to hand over: the schedule and the nominal time of the occurrence.
    pub input: TriggerInput,
    /// Which delivery this is, from 1.
    pub attempt: u32,
    /// When it was taken for the first time.
    pub first_taken_at: Timestamp,
}

impl MemorySchedules {
    /// No triggers yet, firing by this clock, and catching up on 24 hours.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            triggers: Triggers::new(),
            retries: Retries::default(),
            dead_letters: VecDeque::new(),
            given_up: 0,
            missed: Account::default(),
            latest: Timestamp::MIN,
        };
        Self { clock, catch_up: CATCH_UP, state: Mutex::new(state), changed: Notify::new() }
    }

    /// The same, firing no occurrence that is older than `window` when it is taken; 24 hours if not said otherwise, as EventBridge
    /// Scheduler keeps a delivery for so long at most (`MaximumEventAgeInSeconds`). Less than a minute is taken for a minute, as no
    /// clock wakes in no time; [`Duration::MAX`] is without limit.
    ///
    /// An occurrence of exactly this age still fires. Its age counts from when it was to fire, which is its nominal time, or a moment
    /// within its [flexible window](kairos::Specification::window_minutes). Of all that are older, the first and the last and how many they
    /// were goes to the [account](Self::missed), without a step for each: returning after a year costs about as much as after a day.
    #[must_use]
    pub fn with_catch_up(mut self, window: Duration) -> Self {
        self.catch_up = window.max(Duration::from_secs(60));
        self
    }

    /// When to call [`take_due`](Self::take_due) next; `None` if nothing will ever be due as things stand.
    ///
    /// It is never too late. It can be too early where the earliest trigger was deleted; asking again then tells better.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let mut state = self.state.lock();
        state.see(self.clock.now());
        state.next_due()
    }

    /// Takes at most `max` firings that are due, of occurrences and of those given back, in the order in which they came due.
    ///
    /// However much time has passed, no occurrence within the [catch-up window](Self::with_catch_up) is left out: several of one trigger come
    /// out one after the other. What has been taken is the caller's: it hands it to a dispatcher, and [gives it back](Self::give_back) if that
    /// fails, before it takes more; what is in hand longer than that is not counted among those that wait.
    pub fn take_due(&self, max: usize) -> Vec<Firing> {
        let mut firings = Vec::new();
        let missed = {
            let mut state = self.state.lock();
            let now = state.see(self.clock.now());
            if state.next_due().is_some_and(|due| due <= now) {
                firings.reserve(max.min(AT_FIRST));
            }
            state.take(now, self.catch_up, max, &mut firings);
            state.missed.tell()
        };
        if let Some(Untold { schedules, first, last }) = missed {
            tracing::warn!(schedules, %first, %last, "occurrences were missed: they are older than what is caught up on");
        }
        firings
    }

    /// Takes back a firing whose delivery failed. It comes due again after a wait that doubles each time, from at most one second
    /// to at most ten minutes; after 185 retries, or where the next would be more than 24 hours after the first delivery, it goes to
    /// the [dead letters](Self::dead_letters) instead.
    ///
    /// These limits are the defaults of EventBridge Scheduler's `RetryPolicy`.
    pub fn give_back(&self, mut firing: Firing) {
        let seed = fingerprint(firing.input.schedule_id.as_str().as_bytes());
        let mut state = self.state.lock();
        let due = later(state.see(self.clock.now()), BACKOFF.delay(firing.attempt, seed.into()));
        if firing.attempt > MAX_RETRIES || due > later(firing.first_taken_at, MAX_AGE) {
            state.bury(firing);
            return;
        }
        firing.attempt += 1;
        state.retries.insert(due, firing);
        drop(state);
        self.changed.notify_one();
    }

    /// The firings that were given up, oldest first: the newest 10 000 of them.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<Firing> {
        self.state.lock().dead_letters.iter().cloned().collect()
    }

    /// How many firings were given up, also those that no longer lie with the [dead letters](Self::dead_letters).
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.state.lock().given_up
    }

    /// The occurrences that never fired, as they were older than the [catch-up window](Self::with_catch_up) when they were taken: one entry
    /// for each trigger that has missed some since it was created, by schedule id. A [backfill](kairos::Scheduler::backfill) runs them.
    #[must_use]
    pub fn missed(&self) -> Vec<Missed> {
        self.state.lock().missed.iter().cloned().collect()
    }

    /// How many firings wait to be delivered again.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state.lock().retries.len()
    }

    /// Completes when something may be due earlier than [`next_due`](Self::next_due) said, also if that happened
    /// between that call and this one. Of several that wait, one is woken: it sees to what is new.
    ///
    /// ```no_run
    /// # use kairos::clock::Clock;
    /// # use jiff::Timestamp;
    /// # async fn fire(schedules: &kairos_memory::MemorySchedules, clock: &dyn Clock) {
    /// loop {
    ///     for firing in schedules.take_due(100) {
    ///         // …dispatch it…
    ///     }
    ///     let next = schedules.next_due().unwrap_or(Timestamp::MAX);
    ///     tokio::select! {
    ///         () = clock.sleep_until(next) => {}
    ///         () = schedules.changed() => {}
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// How many triggers there are, those that never fire again among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().triggers.len()
    }

    /// Whether there is no trigger.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl State {
    /// The time now. When the clock was set back, what waits has been brought to it.
    fn see(&mut self, now: Timestamp) -> Timestamp {
        let back = between(now, self.latest);
        if back >= STEP {
            self.triggers.set_back(now);
            self.retries.set_back(back);
            self.latest = now;
        }
        self.latest = self.latest.max(now);
        self.latest
    }

    fn next_due(&self) -> Option<Timestamp> {
        let occurrence = self.triggers.next_due().filter(|_| self.retries.room() != Room::None);
        match self.retries.next_due() {
            Some(retry) => Some(occurrence.map_or(retry, |occurrence| occurrence.min(retry))),
            None => occurrence,
        }
    }

    /// Adds what is due, until there are `max`.
    fn take(&mut self, now: Timestamp, catch_up: Duration, max: usize, firings: &mut Vec<Firing>) {
        // Nearly always nothing was given back, and there is nothing to compare with.
        if self.retries.len() == 0 {
            self.take_occurrences(now, catch_up, max, firings);
            return;
        }
        // As some have failed, all that are taken here may be given back.
        while firings.len() < max {
            if self.take_occurrences(now, catch_up, firings.len() + 1, firings)
                && let Some(firing) = firings.last()
            {
                self.retries.hold(&firing.input.schedule_id);
            } else if let Some(firing) = self.retries.take(now) {
                firings.push(firing);
            } else {
                break;
            }
        }
        firings.iter().for_each(|firing| self.retries.release(&firing.input.schedule_id));
    }

    /// Adds occurrences that have been due for as long as any firing that was given back, until there are `max`. Whether one was added.
    fn take_occurrences(&mut self, now: Timestamp, catch_up: Duration, max: usize, firings: &mut Vec<Firing>) -> bool {
        let Self { triggers, retries, missed, .. } = self;
        let (before, room) = (firings.len(), retries.room());
        if room == Room::None || before >= max {
            return false;
        }
        let until = retries.next_due().map_or(now, |due| due.min(now));
        let is_held_back = |schedule: &str| room == Room::Others && retries.has(schedule);
        triggers.fire(now, until, catch_up, is_held_back, |fired| {
            match fired {
                Fired::Due(id, occurrence) => push_with(firings, || {
                    let input = TriggerInput::new(id.clone(), occurrence);
                    Firing { input, attempt: 1, first_taken_at: now }
                }),
                Fired::Missed(occurrences) => missed.add(occurrences),
            }
            if firings.len() < max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        firings.len() > before
    }

    fn bury(&mut self, firing: Firing) {
        self.given_up += 1;
        if self.dead_letters.len() == MAX_DEAD_LETTERS {
            self.dead_letters.pop_front();
        }
        self.dead_letters.push_back(firing);
    }
}

impl fmt::Debug for MemorySchedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("MemorySchedules")
            .field("triggers", &state.triggers.len())
            .field("retries", &state.retries.len())
            .field("given_up", &state.given_up)
            .field("missed", &state.missed.len())
            .field("next_due", &state.next_due())
            .finish()
    }
}

#[async_trait]
impl ScheduleBackend for MemorySchedules {
    async fn create(&self, trigger: &Trigger) -> Result<String> {
        let timetable = trigger.timetable(self.clock.now())?;
        let key = trigger.key();
        let mut state = self.state.lock();
        let now = state.see(self.clock.now());
        if let Some(existing) = state.triggers.find(&key).and_then(|slot| state.triggers.get(slot)) {
            let faults = existing.specification.differences(&trigger.specification);
            return if faults.is_empty() {
                Ok(name(&key))
            } else {
                Err(error::other_trigger(&key.schedule_id, faults))
            };
        }
        let before = state.next_due();
        state.triggers.insert(trigger, &timetable, timetable.next_after(now));
        let is_earlier = state.next_due().is_some_and(|due| before.is_none_or(|before| due < before));
        drop(state);
        if is_earlier {
            self.changed.notify_one();
        }
        Ok(name(&key))
    }

    async fn delete(&self, key: &TriggerKey) -> Result<()> {
        let mut state = self.state.lock();
        state.triggers.remove(key);
        state.missed.remove(&key.schedule_id);
        Ok(())
    }

    async fn get(&self, key: &TriggerKey) -> Result<Option<Trigger>> {
        let state = self.state.lock();
        Ok(state.triggers.find(key).and_then(|slot| state.triggers.get(slot)))
    }

    async fn list(&self, page: &PageRequest) -> Result<Page<Trigger>> {
        let listing = Listing::new("triggers", &());
        let after = listing.after_number(page, |text| text.parse().ok())?;
        Ok(listing.page(page.limit, self.state.lock().triggers.after(after)))
    }
}

/// What stands for an ARN.
fn name(key: &TriggerKey) -> String {
    match &key.group {
        Some(group) => ["kairos:memory:schedule/", group, "/", key.schedule_id.as_str()].concat(),
        None => ["kairos:memory:schedule/", key.schedule_id.as_str()].concat(),
    }
}
