//! From when to when an expression fires, and when it does in between.

use std::borrow::Borrow;

use jiff::Timestamp;

use super::wall::{Moment, Wall};
use crate::expression::{Expression, Rate};

/// From when to when an expression fires, and from when a rate counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The instant from which a rate without a start counts, such as the schedule's creation; the Unix epoch by default. It is the rate's first
    /// fire time; means nothing to other expressions.
    pub anchor: Timestamp,
    /// The earliest instant at which it may fire, and from which a rate counts. Ignored by one-time expressions, as the service ignores it.
    pub start: Option<Timestamp>,
    /// The latest instant at which it may fire. Ignored by one-time expressions, as the service ignores it.
    pub end: Option<Timestamp>,
}

impl Bounds {
    /// Where a rate begins: at the start if there is one, else at the anchor.
    pub(super) fn anchor(&self) -> Timestamp {
        self.start.unwrap_or(self.anchor)
    }

    /// The first fire time strictly after an instant. `moment` finds the moment of a second on the wall, or has found it already.
    pub(super) fn next_after<M: Borrow<Moment>>(
        &self,
        expression: &Expression,
        wall: &Wall,
        instant: Timestamp,
        moment: impl FnOnce(i64) -> M,
    ) -> Option<Timestamp> {
        match expression {
            Expression::Cron(cron) => {
                let from = self.start.map_or(i64::MIN, ceil).max(floor(instant) + 1);
                let fire = Timestamp::from_second(wall.first_from(cron, moment(from).borrow())?).ok()?;
                self.end.is_none_or(|end| fire <= end).then_some(fire)
            }
            Expression::Rate(rate) => {
                let fire = self.rate_after(*rate, instant)?;
                self.end.is_none_or(|end| fire <= end).then_some(fire)
            }
            Expression::At(at) => wall.once(*at).filter(|&fire| fire > instant),
        }
    }

    /// The last fire time strictly before an instant.
    pub(super) fn previous_before(
        &self,
        expression: &Expression,
        wall: &Wall,
        instant: Timestamp,
    ) -> Option<Timestamp> {
        match expression {
            Expression::Cron(cron) => {
                let until = self.end.map_or(i64::MAX, floor).min(ceil(instant) - 1);
                let fire = Timestamp::from_second(wall.last_until(cron, until)?).ok()?;
                self.start.is_none_or(|start| fire >= start).then_some(fire)
            }
            Expression::Rate(rate) => self.rate_before(*rate, instant),
            Expression::At(at) => wall.once(*at).filter(|&fire| fire < instant),
        }
    }

    /// The first occurrence of a rate after an instant, whatever the end.
    fn rate_after(&self, rate: Rate, instant: Timestamp) -> Option<Timestamp> {
        let anchor = self.anchor();
        if instant < anchor {
            return Some(anchor);
        }
        let period = rate.seconds();
        // Both ends have their fraction of a second: where the instant's is the smaller, a whole second is not yet over.
        let passed = floor(instant) - floor(anchor) - i64::from(fraction(instant) < fraction(anchor));
        nth(anchor, period, passed / period + 1)
    }

    /// The last occurrence of a rate before an instant and not after the end.
    fn rate_before(&self, rate: Rate, instant: Timestamp) -> Option<Timestamp> {
        let anchor = self.anchor();
        let period = rate.seconds();
        let whole = |until: Timestamp| floor(until) - floor(anchor) - i64::from(fraction(until) < fraction(anchor));
        let exact = i64::from(fraction(instant) == fraction(anchor));
        let passed = self.end.map_or(i64::MAX, whole).min(whole(instant) - exact);
        if passed < 0 { None } else { nth(anchor, period, passed / period) }
    }
}

/// So many periods after an anchor, unless that is beyond the largest timestamp.
fn nth(anchor: Timestamp, period: i64, count: i64) -> Option<Timestamp> {
    let second = anchor.as_second().checked_add(period.checked_mul(count)?)?;
    Timestamp::new(second, anchor.subsec_nanosecond()).ok()
}

/// The last whole second at or before an instant. (Before the epoch, a timestamp's own second is the next one.)
pub(super) fn floor(instant: Timestamp) -> i64 {
    instant.as_second() - i64::from(instant.subsec_nanosecond() < 0)
}

/// The first whole second at or after an instant.
fn ceil(instant: Timestamp) -> i64 {
    instant.as_second() + i64::from(instant.subsec_nanosecond() > 0)
}

/// Nanoseconds since the last whole second.
fn fraction(instant: Timestamp) -> i32 {
    instant.subsec_nanosecond().rem_euclid(1_000_000_000)
}
