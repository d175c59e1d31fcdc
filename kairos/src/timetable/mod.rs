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
//! costs some 20 ns, whatever the zone; that nothing fires again is known within microseconds. Many expressions that are
//! asked about the same instant, as a scheduler asks them, share the half of it: see [`WallClock`].

mod bounds;
mod fire;
mod iter;
mod wall;
mod wall_clock;

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::expression::Expression;
use wall::Wall;

pub use bounds::Bounds;
pub use fire::{Fire, Never, ZoneNote};
pub use iter::{After, Before};
pub use wall_clock::WallClock;

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
    wall: Arc<Wall>,
    bounds: Bounds,
}

impl Timetable {
    /// The fire times of an expression in a zone: without bounds, and for a rate counted from the Unix epoch.
    ///
    /// The first timetable of each named zone computes the zone's changes, some 50 µs; all others share them.
    #[must_use]
    pub fn new(expression: Expression, zone: TimeZone) -> Timetable {
        Timetable { expression, wall: Wall::of(zone), bounds: Bounds::default() }
    }

    /// The same for another expression. What has been found out about the zone is shared.
    #[must_use]
    pub fn with_expression(mut self, expression: Expression) -> Timetable {
        self.expression = expression;
        self
    }

    /// The instant from which a rate without a start counts, such as the schedule's creation. It is the rate's first fire
    /// time; means nothing to other expressions.
    #[must_use]
    pub fn with_anchor(mut self, anchor: Timestamp) -> Timetable {
        self.bounds.anchor = anchor;
        self
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
        self.bounds.start = start.into();
        self
    }

    /// The latest instant at which it may fire. Ignored by one-time expressions, as the service ignores it.
    #[must_use]
    pub fn with_end(mut self, end: impl Into<Option<Timestamp>>) -> Timetable {
        self.bounds.end = end.into();
        self
    }

    /// The expression.
    #[must_use]
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    /// The time zone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        self.wall.zone()
    }

    /// Where a rate begins: at the start if there is one, else at the anchor.
    #[must_use]
    pub fn anchor(&self) -> Timestamp {
        self.bounds.anchor()
    }

    /// The earliest instant at which it fires, if it is bounded.
    #[must_use]
    pub fn start(&self) -> Option<Timestamp> {
        self.bounds.start
    }

    /// The latest instant at which it fires, if it is bounded.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        self.bounds.end
    }

    /// The first fire time strictly after an instant; `None` if it never fires again, and then
    /// [`why_never`](Timetable::why_never) tells why.
    #[must_use]
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        self.bounds.next_after(&self.expression, &self.wall, instant, |from| self.wall.moment(from))
    }

    /// The last fire time strictly before an instant; `None` if it never fired before.
    #[must_use]
    pub fn previous_before(&self, instant: Timestamp) -> Option<Timestamp> {
        self.bounds.previous_before(&self.expression, &self.wall, instant)
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
}
