//! The six fields of a cron expression: their names, their ranges and the words they know.

use super::civil::{FIRST_YEAR, LAST_YEAR};

/// The names of months, as a field writes them; the first is number 1.
pub(crate) const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// The names of days of the week, as a field writes them; the first is number 1.
pub(crate) const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// One of the six fields, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
    Year,
}

impl Field {
    pub(crate) const ALL: [Field; 6] =
        [Field::Minute, Field::Hour, Field::DayOfMonth, Field::Month, Field::DayOfWeek, Field::Year];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Field::Minute => "minute",
            Field::Hour => "hour",
            Field::DayOfMonth => "day-of-month",
            Field::Month => "month",
            Field::DayOfWeek => "day-of-week",
            Field::Year => "year",
        }
    }

    pub(crate) const fn min(self) -> u16 {
        match self {
            Field::Minute | Field::Hour => 0,
            Field::DayOfMonth | Field::Month | Field::DayOfWeek => 1,
            Field::Year => FIRST_YEAR,
        }
    }

    pub(crate) const fn max(self) -> u16 {
        match self {
            Field::Minute => 59,
            Field::Hour => 23,
            Field::DayOfMonth => 31,
            Field::Month => 12,
            Field::DayOfWeek => 7,
            Field::Year => LAST_YEAR,
        }
    }

    /// How many values the field has.
    pub(crate) const fn count(self) -> u16 {
        self.max() - self.min() + 1
    }

    /// The largest step after `*` or a range: the field's largest value, and for years the distance from first to last.
    /// Recorded from the service for minutes (`*/60` is refused).
    pub(crate) const fn max_step(self) -> u16 {
        match self {
            Field::Year => LAST_YEAR - FIRST_YEAR,
            _ => self.max(),
        }
    }

    /// The words that stand for numbers, counted from 1; empty where there are none.
    pub(crate) const fn words(self) -> &'static [&'static str] {
        match self {
            Field::Month => &MONTHS,
            Field::DayOfWeek => &WEEKDAYS,
            _ => &[],
        }
    }

    /// What a value looks like, in words.
    pub(crate) const fn expected(self) -> &'static str {
        match self {
            Field::Minute => "0-59",
            Field::Hour => "0-23",
            Field::DayOfMonth => "1-31",
            Field::Month => "1-12 or JAN-DEC",
            Field::DayOfWeek => "1-7 or SUN-SAT",
            Field::Year => "1970-2199",
        }
    }
}
