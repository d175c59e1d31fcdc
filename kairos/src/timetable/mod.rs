//! When an expression fires: next, previous, and one after the other, in a time zone.
//!
//! Everything here is a pure function of expression, zone, bounds and the instant asked about, and ends on every input.
//!
//! - A cron expression names local minutes. One that a zone change skips does not fire that day; one that a change repeats
//!   fires once, the first time (AWS documentation, "Schedule types on EventBridge Scheduler"). That holds for each minute
//!   of wildcards and lists too (Kairos's decision): no local minute ever fires twice.
//! - A rate goes by elapsed time, without drift: it fires at its anchor and every whole number of periods after it.
//! - A one-time expression fires once, unless its local time is skipped.
//!
//! # Cost
//!
//! A search goes through the calendar once: at most one step for each named month of 1970 to 2199 (2760), each of a
//! nanosecond or less, and one for each zone change that skips what was found. So the next fire time of a usual expression
//! costs some 20 ns, whatever the zone; that nothing fires again is known within microseconds.

mod fire;
mod iter;
mod wall;

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::expression::{At, Expression, Rate};
use wall::Wall;

pub use fire::{Fire, Never, ZoneNote};
pub use iter::{After, Before};

/// An expression in a time zone, with the bounds between which it fires.
///
/// ```
/// use jiff::Timestamp;
/// use kairos::{timetable::Timetable, zone};
///
/// let timetable = Timetable::new("cron(30 2 * * ? *)".parse()?, zone::get("America/New_York")?);
/// let saturday: Timestamp = "2026-03-07T12:00:00-05:00".parse()?;
///
/// // On Sunday, 8 March, there is no 02:30: the next fire time is Monday's.
/// let next = timetable.next_after(saturday);
/// assert_eq!(next, Some("2026-03-09T02:30:00-04:00".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Timetable {
    expression: Expression,
    zone: TimeZone,
    wall: Arc<Wall>,
    anchor: Timestamp,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

impl Timetable {
    /// The fire times of an expression in a zone: without bounds, and for a rate counted from the Unix epoch.
    ///
    /// The first timetable of each named zone computes the zone's changes, some 50 µs; all others share them.
    #[must_use]
    pub fn new(expression: Expression, zone: TimeZone) -> Timetable {
        let wall = Wall::of(&zone);
        Timetable { expression, zone, wall, anchor: Timestamp::UNIX_EPOCH, start: None, end: None }
    }

    /// The same for another expression. What has been found out about the zone is shared.
    #[must_use]
    pub fn with_expression(mut self, expression: Expression) -> Timetable {
        self.set_expression(expression);
        self
    }

    /// Sets another expression. One timetable may so stand for many, one after the other, where its zone need not be shared by as many copies.
    pub fn set_expression(&mut self, expression: Expression) {
        self.expression = expression;
    }

    /// The instant from which a rate without a start counts, such as the schedule's creation. It is the rate's first fire
    /// time; means nothing to other expressions.
    #[must_use]
    pub fn with_anchor(mut self, anchor: Timestamp) -> Timetable {
        self.set_anchor(anchor);
        self
    }

    /// Sets [another anchor](Self::with_anchor).
    pub fn set_anchor(&mut self, anchor: Timestamp) {
        self.anchor = anchor;
    }

    /// The earliest instant at which it may fire, and from which a rate counts. Ignored by one-time expressions, as the
    /// service ignores it.
    ///
    /// ```
    /// use jiff::Timestamp;
    /// use kairos::timetable::Timetable;
    ///
    /// let start: Timestamp = "2026-01-01T00:10:00Z".parse()?;
    /// let timetable = Timetable::new("rate(1 hour)".parse()?, jiff::tz::TimeZone::UTC).with_start(start);
    /// assert_eq!(timetable.next_after(Timestamp::MIN), Some(start));
    /// assert_eq!(timetable.next_after(start), Some("2026-01-01T01:10:00Z".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_start(mut self, start: impl Into<Option<Timestamp>>) -> Timetable {
        self.set_start(start);
        self
    }

    /// Sets [another start](Self::with_start), or none.
    pub fn set_start(&mut self, start: impl Into<Option<Timestamp>>) {
        self.start = start.into();
    }

    /// The latest instant at which it may fire. Ignored by one-time expressions, as the service ignores it.
    #[must_use]
    pub fn with_end(mut self, end: impl Into<Option<Timestamp>>) -> Timetable {
        self.set_end(end);
        self
    }

    /// Sets [another end](Self::with_end), or none.
    pub fn set_end(&mut self, end: impl Into<Option<Timestamp>>) {
        self.end = end.into();
    }

    /// The expression.
    #[must_use]
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// The time zone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Where a rate begins: at the start if there is one, else at the anchor.
    #[must_use]
    pub fn anchor(&self) -> Timestamp {
        self.start.unwrap_or(self.anchor)
    }

    /// The earliest instant at which it fires, if it is bounded.
    #[must_use]
    pub fn start(&self) -> Option<Timestamp> {
        self.start
    }

    /// The latest instant at which it fires, if it is bounded.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        self.end
    }

    /// The first fire time strictly after an instant; `None` if it never fires again, and then
    /// [`why_never`](Timetable::why_never) tells why.
    #[must_use]
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        match &self.expression {
            Expression::Cron(cron) => {
                let from = self.start.map_or(i64::MIN, ceil).max(floor(instant) + 1);
                let fire = Timestamp::from_second(self.wall.first_from(cron, from)?).ok()?;
                self.end.is_none_or(|end| fire <= end).then_some(fire)
            }
            Expression::Rate(rate) => {
                let fire = self.rate_after(*rate, instant)?;
                self.end.is_none_or(|end| fire <= end).then_some(fire)
            }
            Expression::At(at) => self.once(*at).filter(|&fire| fire > instant),
        }
    }

    /// The last fire time strictly before an instant; `None` if it never fired before.
    #[must_use]
    pub fn previous_before(&self, instant: Timestamp) -> Option<Timestamp> {
        match &self.expression {
            Expression::Cron(cron) => {
                let until = self.end.map_or(i64::MAX, floor).min(ceil(instant) - 1);
                let fire = Timestamp::from_second(self.wall.last_until(cron, until)?).ok()?;
                self.start.is_none_or(|start| fire >= start).then_some(fire)
            }
            Expression::Rate(rate) => self.rate_before(*rate, instant),
            Expression::At(at) => self.once(*at).filter(|&fire| fire < instant),
        }
    }

    /// The fire times strictly after an instant, ascending.
    ///
    /// ```
    /// use kairos::timetable::Timetable;
    ///
    /// let timetable = Timetable::new("cron(0 0 L 2 ? *)".parse()?, jiff::tz::TimeZone::UTC);
    /// let fires: Vec<_> = timetable.after("2026-01-01T00:00:00Z".parse()?).take(3).map(|fire| fire.to_string()).collect();
    /// assert_eq!(fires, ["2026-02-28T00:00:00Z", "2027-02-28T00:00:00Z", "2028-02-29T00:00:00Z"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn after(&self, instant: Timestamp) -> After<'_> {
        After::new(self, instant)
    }

    /// The fire times strictly before an instant, descending: [`after`](Timetable::after) in reverse.
    #[must_use]
    pub fn before(&self, instant: Timestamp) -> Before<'_> {
        Before::new(self, instant)
    }

    /// The instant of a one-time expression: none in a gap, the first of an overlap.
    fn once(&self, at: At) -> Option<Timestamp> {
        if let Ok(local) = Offset::UTC.to_timestamp(at.local()).map(Timestamp::as_second)
            && Wall::shows(local)
        {
            return Timestamp::from_second(self.wall.first_pass(local)?).ok();
        }
        // Of other years the zone itself has to be asked.
        let offset = match self.zone.to_ambiguous_timestamp(at.local()).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Fold { before, .. } => before,
            AmbiguousOffset::Gap { .. } => return None,
        };
        offset.to_timestamp(at.local()).ok()
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
fn floor(instant: Timestamp) -> i64 {
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
