//! Schedule expressions in the dialect of EventBridge Scheduler: what it accepts is accepted, what it refuses is refused.
//!
//! | form | fires |
//! | --- | --- |
//! | `cron(minute hour day-of-month month day-of-week year)` | at each local minute that is named |
//! | `rate(n unit)` | every n minutes, hours or days of 24 hours, from an anchor |
//! | `at(yyyy-mm-ddThh:mm:ss)` | once, at that local time |
//!
//! The six cron fields may also come bare, without `cron( … )`.
//!
//! | field | values | beside `,` `-` `*` `/` |
//! | --- | --- | --- |
//! | minute | 0-59 | |
//! | hour | 0-23 | |
//! | day-of-month | 1-31 | `?` `L` `L-n` `LW` `nW` |
//! | month | 1-12 or JAN-DEC | |
//! | day-of-week | 1-7 or SUN-SAT | `?` `L` `nL` `n#k` |
//! | year | 1970-2199 | |
//!
//! Exactly one of the two day fields is `?`. Fields are separated by blanks or tabs; names and letters may be in any case,
//! and numbers may begin with zeros. The keyword is in lower case, and the whole has at most 256 characters.
//!
//! - `a-b` past the end of its field goes on at the beginning: `20-2` in hours (AWS documentation, "Schedule types on
//!   EventBridge Scheduler") and `FRI-MON`, `NOV-FEB` and the like (Kairos's decision, since they are in wide use); not so
//!   years. Each day is matched by itself: `20-2` names the hours 20 to 23 and 0 to 2 of the days named.
//! - `*/s` and `a-b/s` take steps up to the field's largest value (`*/60` in minutes was seen to be refused); `n/s` runs from
//!   n to the end of the field and takes steps up to the number of its values (Kairos's decision: `0/60` is widely deployed).
//! - `L` is the last day of the month, or Saturday; `L-3` is three days before the last (Kairos's decision); `LW` the last
//!   day from Monday to Friday; `15W` the one nearest the 15th in the same month, and none in a month without such a day;
//!   `6L` the last Friday; `3#2` the second Tuesday. Each of them stands alone in its field.
//! - Days that never come (30 February) are accepted, and never fire (Kairos's decision).
//!
//! What fires when, in which time zone, is a [`Timetable`](crate::timetable::Timetable)'s to say.

mod anatomy;
mod civil;
mod compact;
mod cron;
mod days;
mod describe;
mod display;
mod error;
mod explain;
mod field;
mod parse;
mod repair;

pub(crate) use civil::Minute;
pub use cron::Cron;
pub use describe::Language;
pub use error::ExpressionError;

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::DateTime;

/// When something is to run. Small, without anything on the heap, and equal to what means the same: `*/30` and `0,30`.
///
/// `Display` writes the canonical text, which is read back as the same expression.
///
/// ```
/// use kairos::expression::Expression;
///
/// let expression: Expression = "cron(00,30 9-16 ? * 2,3,4,5,6 *)".parse()?;
/// assert_eq!(expression.to_string(), "cron(0,30 9-16 ? * MON-FRI *)");
/// assert_eq!(expression.to_string().parse(), Ok(expression));
/// # Ok::<(), kairos::expression::ExpressionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expression {
    /// At the local minutes that a cron expression names.
    Cron(Cron),
    /// At a fixed interval.
    Rate(Rate),
    /// Once.
    At(At),
}

const _: () = assert!(size_of::<Expression>() <= 64, "expressions are copied freely");

/// A fixed interval: `rate(5 minutes)`.
///
/// From 1 to 4 294 967 295 units (the upper bound is Kairos's decision). Singular and plural are interchangeable, as the
/// service was seen to accept them. Two rates are equal when they are written in the same unit: 60 minutes is not 1 hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    every: u32,
    unit: Unit,
}

/// The unit of a [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// 60 seconds.
    Minutes,
    /// 60 minutes.
    Hours,
    /// 24 hours, whatever the time zone does.
    Days,
}

/// One local date and time: `at(2026-12-31T23:59:59)`.
///
/// In the years 0001 to 9999; that one in the past is accepted, and never fires, was seen of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct At {
    local: DateTime,
}

impl Expression {
    /// Reads `cron( … )`, `rate( … )`, `at( … )` or the six bare cron fields.
    ///
    /// ```
    /// use kairos::expression::Expression;
    ///
    /// assert_eq!(Expression::parse("0 9 ? * MON-FRI *"), Expression::parse("cron(0 9 ? * 2-6 *)"));
    /// assert!(Expression::parse("cron(0 9 * * * *)").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// For all that the dialect refuses: the error points at the culprit, says what was expected and, where it is clear,
    /// what was meant. Work is bounded by the 256 characters that an expression may have: longer ones are refused unread.
    pub fn parse(text: &str) -> Result<Expression, ExpressionError> {
        parse::expression(text).map_err(|fault| ExpressionError::new(text, fault))
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Expression, ExpressionError> {
        Expression::parse(text)
    }
}

impl TryFrom<&str> for Expression {
    type Error = ExpressionError;

    fn try_from(text: &str) -> Result<Expression, ExpressionError> {
        Expression::parse(text)
    }
}

impl Rate {
    /// How many units; 1 or more.
    #[must_use]
    pub const fn every(&self) -> u32 {
        self.every
    }

    /// The unit.
    #[must_use]
    pub const fn unit(&self) -> Unit {
        self.unit
    }

    /// The interval, a whole number of minutes.
    #[must_use]
    pub const fn period(&self) -> SignedDuration {
        SignedDuration::from_secs(self.seconds())
    }

    pub(crate) const fn seconds(&self) -> i64 {
        let unit = match self.unit {
            Unit::Minutes => 60,
            Unit::Hours => 60 * 60,
            Unit::Days => 24 * 60 * 60,
        };
        self.every as i64 * unit
    }
}

impl At {
    /// The local date and time, in whole seconds.
    #[must_use]
    pub const fn local(&self) -> DateTime {
        self.local
    }
}

/// The canonical text.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Cron(cron) => cron.fmt(f),
            Expression::Rate(rate) => rate.fmt(f),
            Expression::At(at) => at.fmt(f),
        }
    }
}
