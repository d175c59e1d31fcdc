//! Triggers in memory, and their firing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kairos::backend::{ScheduleBackend, Trigger, TriggerKey};
use kairos::clock::{Clock, later};
use kairos::page::{Page, PageRequest};
use kairos::retry::Backoff;
use kairos::{Error, Fault, Result, Specification, TriggerInput, limits};
use tokio::sync::Notify;

use crate::error;
use crate::listing::{Listing, fingerprint};
use crate::sync::lock;
use crate::triggers::Triggers;

/// How often a firing is delivered again at most: the default of EventBridge Scheduler's `RetryPolicy`,
/// `MaximumRetryAttempts`.
const MAX_RETRIES: u32 = 185;
/// For how long a firing is delivered again at most: the default of EventBridge Scheduler's `RetryPolicy`,
/// `MaximumEventAgeInSeconds`.
const MAX_AGE: Duration = Duration::from_secs(86_400);
/// The service documents that its waits grow exponentially, not from where to where. With these, both of its limits are
/// reached at about the same time.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10 * 60));

/// A [`ScheduleBackend`] in memory, which fires: whoever embeds it asks for what is due and hands that to a dispatcher.
///
/// A timing wheel holds one timer per trigger, so that idle triggers cost nothing and firing one costs the same among a
/// million as among ten. Time is counted in whole milliseconds.
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
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    triggers: Triggers,
    /// By when they are due, and among those of one time by when they were given back.
    retries: BTreeMap<(Timestamp, u64), Firing>,
    given_back: u64,
    dead_letters: Vec<Firing>,
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
    /// No triggers yet, firing by this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state =
            State { triggers: Triggers::new(), retries: BTreeMap::new(), given_back: 0, dead_letters: Vec::new() };
        Self { clock, state: Mutex::new(state), changed: Notify::new() }
    }

    /// When to call [`take_due`](Self::take_due) next; `None` if nothing will ever be due as things stand.
    ///
    /// It is never too late. It can be too early where the earliest trigger was deleted; asking again then tells better.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        lock(&self.state).next_due()
    }

    /// Takes at most `max` firings that are due: first those given back, then occurrences in the order of their times.
    ///
    /// However much time has passed, no occurrence is left out: several of one trigger come out one after the other.
    /// What has been taken is the caller's: it hands it to a dispatcher, and [gives it back](Self::give_back) if that fails.
    pub fn take_due(&self, max: usize) -> Vec<Firing> {
        let now = self.clock.now();
        let mut state = lock(&self.state);
        let mut firings = Vec::new();
        while firings.len() < max
            && let Some(firing) = state.take(now)
        {
            firings.push(firing);
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
        let due = later(self.clock.now(), BACKOFF.delay(firing.attempt, seed.into()));
        let mut state = lock(&self.state);
        if firing.attempt > MAX_RETRIES || due > later(firing.first_taken_at, MAX_AGE) {
            state.dead_letters.push(firing);
            return;
        }
        firing.attempt += 1;
        state.given_back += 1;
        let key = (due, state.given_back);
        state.retries.insert(key, firing);
        drop(state);
        self.changed.notify_one();
    }

    /// The firings that were given up, oldest first.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<Firing> {
        lock(&self.state).dead_letters.clone()
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
        lock(&self.state).triggers.len()
    }

    /// Whether there is no trigger.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl State {
    fn next_due(&self) -> Option<Timestamp> {
        let retry = self.retries.first_key_value().map(|((due, _), _)| *due);
        [retry, self.triggers.next_due()].into_iter().flatten().min()
    }

    fn take(&mut self, now: Timestamp) -> Option<Firing> {
        if let Some(retry) = self.retries.first_entry().filter(|retry| retry.key().0 <= now) {
            return Some(retry.remove());
        }
        let input = self.triggers.fire(now)?;
        Some(Firing { input, attempt: 1, first_taken_at: now })
    }
}

impl fmt::Debug for MemorySchedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("MemorySchedules")
            .field("triggers", &state.triggers.len())
            .field("retries", &state.retries.len())
            .field("dead_letters", &state.dead_letters.len())
            .field("next_due", &state.next_due())
            .finish()
    }
}

#[async_trait]
impl ScheduleBackend for MemorySchedules {
    async fn create(&self, trigger: &Trigger) -> Result<String> {
        let now = self.clock.now();
        let (timetable, id_length) = check(trigger, now)?;
        let key = trigger.key();
        let mut state = lock(&self.state);
        if let Some(existing) = state.triggers.find(&key).and_then(|slot| state.triggers.get(slot)) {
            let faults = differences(&existing.specification, &trigger.specification);
            return if faults.is_empty() {
                Ok(name(&key))
            } else {
                Err(error::other_trigger(&key.schedule_id, faults))
            };
        }
        let before = state.next_due();
        state.triggers.insert(trigger, &timetable, id_length, now);
        let is_earlier = state.next_due().is_some_and(|due| before.is_none_or(|before| due < before));
        drop(state);
        if is_earlier {
            self.changed.notify_one();
        }
        Ok(name(&key))
    }

    async fn delete(&self, key: &TriggerKey) -> Result<()> {
        lock(&self.state).triggers.remove(key);
        Ok(())
    }

    async fn get(&self, key: &TriggerKey) -> Result<Option<Trigger>> {
        let state = lock(&self.state);
        Ok(state.triggers.find(key).and_then(|slot| state.triggers.get(slot)))
    }

    async fn list(&self, page: &PageRequest) -> Result<Page<Trigger>> {
        let listing = Listing::new("triggers", &());
        let after = listing.after_number(page, |text| text.parse().ok())?;
        Ok(listing.page(page.limit, lock(&self.state).triggers.after(after)))
    }
}

/// What stands for an ARN.
fn name(key: &TriggerKey) -> String {
    match &key.group {
        Some(group) => format!("kairos:memory:schedule/{group}/{}", key.schedule_id),
        None => format!("kairos:memory:schedule/{}", key.schedule_id),
    }
}

/// Refuses what EventBridge Scheduler refuses, so that a test fails here and not there.
fn check(trigger: &Trigger, now: Timestamp) -> Result<(kairos::Timetable, u8)> {
    const MAX_NAME: u8 = 64;
    let specification = &trigger.specification;
    let mut faults = Vec::new();
    let is_name = |text: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        u8::try_from(text.len()).ok().filter(|length| (1..=MAX_NAME).contains(length) && text.chars().all(fits))
    };
    let id_length = is_name(trigger.schedule_id.as_str());
    if id_length.is_none() {
        faults.push(Fault::new(
            "idCalendarizacion",
            format!(
                "'{}' is no name of a trigger: 1 to 64 letters, digits, '-', '_' and '.' are expected",
                trigger.schedule_id
            ),
        ));
    }
    if let Some(group) = specification.group.as_deref().filter(|group| is_name(group).is_none()) {
        faults.push(Fault::new(
            "grupo",
            format!("'{group}' is no group name: 1 to 64 letters, digits, '-', '_' and '.' are expected"),
        ));
    }
    if let Some(minutes) = specification.window_minutes.filter(|minutes| !limits::WINDOW_MINUTES.contains(minutes)) {
        faults.push(Fault::new("ventanaMinutos", format!("{minutes} is out of range 1-1440")));
    }
    if let (Some(start), Some(end)) = (specification.start, specification.end)
        && end <= start
    {
        faults.push(Fault::new("fin", format!("must be after inicio ({start}), not {end}")));
    }
    match (specification.timetable(trigger.anchor.unwrap_or(now)), id_length) {
        (Ok(timetable), Some(id_length)) if faults.is_empty() => Ok((timetable, id_length)),
        (timetable, _) => {
            faults.extend(timetable.err().iter().flat_map(Error::faults).cloned());
            Err(Error::invalid(faults).during("create").about(&trigger.schedule_id))
        }
    }
}

/// The fields in which a trigger that exists differs from the one that is wanted.
fn differences(existing: &Specification, wanted: &Specification) -> Vec<Fault> {
    fn show(value: Option<impl fmt::Display>) -> String {
        value.map_or_else(|| "nothing".into(), |value| format!("'{value}'"))
    }
    [
        ("cron", show(Some(&existing.expression)), show(Some(&wanted.expression))),
        ("zonaHoraria", show(existing.time_zone.as_ref()), show(wanted.time_zone.as_ref())),
        ("inicio", show(existing.start), show(wanted.start)),
        ("fin", show(existing.end), show(wanted.end)),
        ("ventanaMinutos", show(existing.window_minutes), show(wanted.window_minutes)),
    ]
    .into_iter()
    .filter(|(_, existing, wanted)| existing != wanted)
    .map(|(field, existing, wanted)| Fault::new(field, format!("is {existing}, not {wanted}")))
    .collect()
}
