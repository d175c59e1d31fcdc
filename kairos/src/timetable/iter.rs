//! Iterators over fire times.

use std::iter::FusedIterator;

use jiff::Timestamp;

use super::Timetable;

/// The fire times after an instant, ascending; made by [`Timetable::after`].
#[derive(Clone, Debug)]
pub struct After<'a> {
    timetable: &'a Timetable,
    /// None once there are no more.
    last: Option<Timestamp>,
}

/// The fire times before an instant, descending; made by [`Timetable::before`].
#[derive(Clone, Debug)]
pub struct Before<'a> {
    timetable: &'a Timetable,
    /// None once there are no more.
    last: Option<Timestamp>,
}

impl<'a> After<'a> {
    pub(super) fn new(timetable: &'a Timetable, instant: Timestamp) -> After<'a> {
        After { timetable, last: Some(instant) }
    }
}

impl<'a> Before<'a> {
    pub(super) fn new(timetable: &'a Timetable, instant: Timestamp) -> Before<'a> {
        Before { timetable, last: Some(instant) }
    }
}

impl Iterator for After<'_> {
    type Item = Timestamp;

    fn next(&mut self) -> Option<Timestamp> {
        self.last = self.timetable.next_after(self.last?);
        self.last
    }
}

impl Iterator for Before<'_> {
    type Item = Timestamp;

    fn next(&mut self) -> Option<Timestamp> {
        self.last = self.timetable.previous_before(self.last?);
        self.last
    }
}

impl FusedIterator for After<'_> {}

impl FusedIterator for Before<'_> {}
