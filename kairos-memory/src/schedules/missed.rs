//! The account of occurrences that never fired.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kairos::ScheduleId;

/// Occurrences of one schedule that were too old to be fired when they were taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missed {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// How many; at least, if [`is_exact`](Self::is_exact) is not set.
    pub count: u64,
    /// Whether all were counted. Those of a rate are; those of a cron expression up to 10 000 each time that some are missed.
    pub is_exact: bool,
    /// The scheduled time of the first.
    pub first: Timestamp,
    /// The scheduled time of the last.
    pub last: Timestamp,
}

impl Missed {
    pub(crate) fn new(schedule_id: ScheduleId, count: u64, is_exact: bool, first: Timestamp, last: Timestamp) -> Self {
        Self { schedule_id, count, is_exact, first, last }
    }

    fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.is_exact &= other.is_exact;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// One entry per schedule, however often it has missed some.
#[derive(Debug, Default)]
pub(super) struct Account {
    entries: BTreeMap<ScheduleId, Missed>,
    untold: Option<Untold>,
}

/// What was missed since it was last told of, by all schedules together.
#[derive(Debug)]
pub(super) struct Untold {
    pub(super) schedules: usize,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

impl Account {
    pub(super) fn add(&mut self, missed: Missed) {
        let Missed { first, last, .. } = missed;
        let untold = self.untold.get_or_insert(Untold { schedules: 0, first, last });
        untold.schedules += 1;
        untold.first = untold.first.min(first);
        untold.last = untold.last.max(last);
        self.insert(missed);
    }

    /// Adds to the account of a schedule what has been told already.
    pub(super) fn insert(&mut self, missed: Missed) {
        match self.entries.get_mut(&missed.schedule_id) {
            Some(entry) => entry.merge(&missed),
            None => {
                self.entries.insert(missed.schedule_id.clone(), missed);
            }
        }
    }

    pub(super) fn remove(&mut self, schedule: &ScheduleId) {
        self.entries.remove(schedule);
    }

    pub(super) fn tell(&mut self) -> Option<Untold> {
        self.untold.take()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Missed> {
        self.entries.values()
    }
}
