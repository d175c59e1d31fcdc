//! Firings that were given back, until they are taken again.

use std::collections::BTreeMap;
use std::collections::btree_map::OccupiedEntry;
use std::time::Duration;

use hashbrown::HashMap;
use jiff::Timestamp;
use kairos::ScheduleId;
use kairos::clock::earlier;

use super::Firing;

/// How many firings wait at most before the wheel stands still. Some 300 bytes each; at the longest wait between two deliveries, a
/// dispatcher that is back hears of all of them within ten minutes.
pub(super) const MOST: usize = 10_000;
/// How many of these may be of schedules of which others wait already.
pub(super) const SHARED: usize = MOST / 2;

/// Firings by when they are due again, and how many there are of each schedule.
#[derive(Debug, Default)]
pub(super) struct Retries {
    /// Among those of one time by when they were given back.
    by_due: BTreeMap<(Timestamp, u64), Firing>,
    /// Places: of those that wait, and of those that are being taken.
    of_schedule: HashMap<ScheduleId, usize>,
    /// The sum of these.
    places: usize,
    given_back: u64,
}

/// For which schedules there is room, should their delivery fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    All,
    /// For those of which nothing waits.
    Others,
    None,
}

impl Retries {
    pub(super) fn insert(&mut self, due: Timestamp, firing: Firing) {
        self.given_back += 1;
        self.hold(&firing.input.schedule_id);
        self.by_due.insert((due, self.given_back), firing);
    }

    /// All that wait, in the order in which they are due.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (Timestamp, &Firing)> {
        self.by_due.iter().map(|((due, _), firing)| (*due, firing))
    }

    pub(super) fn len(&self) -> usize {
        self.by_due.len()
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.by_due.first_key_value().map(|((due, _), _)| *due)
    }

    /// The one that has been due for longest, if one is due. Its place is kept until it is [released](Self::release).
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Firing> {
        self.by_due.first_entry().filter(|first| first.key().0 <= now).map(OccupiedEntry::remove)
    }

    /// Keeps a place for a firing that may be given back.
    pub(super) fn hold(&mut self, schedule: &ScheduleId) {
        self.places += 1;
        match self.of_schedule.get_mut(schedule) {
            Some(count) => *count += 1,
            None => {
                self.of_schedule.insert(schedule.clone(), 1);
            }
        }
    }

    /// Gives up the place of one that was taken.
    pub(super) fn release(&mut self, schedule: &ScheduleId) {
        if let Some(count) = self.of_schedule.get_mut(schedule) {
            self.places -= 1;
            *count -= 1;
            if *count == 0 {
                self.of_schedule.remove(schedule);
            }
        }
    }

    pub(super) fn room(&self) -> Room {
        match self.places {
            MOST.. => Room::None,
            SHARED.. => Room::Others,
            _ => Room::All,
        }
    }

    pub(super) fn has(&self, schedule: &str) -> bool {
        self.of_schedule.contains_key(schedule)
    }

    /// Brings all of them forward.
    pub(super) fn set_back(&mut self, by: Duration) {
        let all = std::mem::take(&mut self.by_due);
        self.by_due = all.into_iter().map(|((due, order), firing)| ((earlier(due, by), order), firing)).collect();
    }
}
