//! One wall clock for many expressions.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Timetable;
use super::bounds::Bounds;
use super::wall::{Moment, Wall};
use crate::expression::Expression;

/// The wall clock of a zone, asked about many expressions one after the other.
///
/// It says of each what its [`Timetable`] would say. What an instant is on the clock it finds out once for all that are asked about
/// the same instant in turn, as a scheduler does of whatever has fired at nine: that is half of a fire time's cost.
///
/// ```
/// use kairos::timetable::{Bounds, WallClock};
/// use kairos::zone;
///
/// let mut clock = WallClock::new(zone::get("Europe/Madrid")?);
/// let nine = "2026-03-28T09:00:00+01:00".parse()?;
/// let next = |clock: &mut WallClock, expression: &str| -> Result<_, Box<dyn std::error::Error>> {
///     Ok(clock.next_after(&expression.parse()?, &Bounds::default(), nine))
/// };
/// assert_eq!(next(&mut clock, "cron(0 9 * * ? *)")?, Some("2026-03-29T09:00:00+02:00".parse()?));
/// assert_eq!(next(&mut clock, "cron(0 9 1 * ? *)")?, Some("2026-04-01T09:00:00+02:00".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct WallClock {
    wall: Arc<Wall>,
    /// What was asked about last.
    moment: Moment,
}

impl WallClock {
    /// The wall clock of a zone.
    ///
    /// The first of each named zone computes the zone's changes, some 50 µs; all others share them.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        let wall = Wall::of(zone);
        Self { moment: wall.moment(0), wall }
    }

    /// The time zone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        self.wall.zone()
    }

    /// The fire times of an expression on this clock.
    #[must_use]
    pub fn timetable(&self, expression: Expression, bounds: Bounds) -> Timetable {
        Timetable { expression, wall: self.wall.clone(), bounds }
    }

    /// The first fire time of an expression strictly after an instant; `None` if it never fires again.
    #[must_use]
    pub fn next_after(&mut self, expression: &Expression, bounds: &Bounds, instant: Timestamp) -> Option<Timestamp> {
        let Self { wall, moment } = self;
        bounds.next_after(expression, wall, instant, |from| {
            if moment.second() != from {
                *moment = wall.moment(from);
            }
            &*moment
        })
    }
}
