//! The canonical text of an expression: what is read back as the same expression.

use std::fmt;

use super::compact::Values;
use super::cron::Cron;
use super::days::DayRule;
use super::field::{Field, WEEKDAYS};
use super::{At, Rate, Unit};

/// The canonical text: sets as `*`, ranges and lists, and as steps where those are shorter; months and days of the week
/// by name. Ranges wrap (`20-2`, `FRI-MON`) in hours and days of the week only.
impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = |field, set| Values::of_bits(field, set).text();
        let minutes = bits(Field::Minute, self.minutes);
        let hours = bits(Field::Hour, u64::from(self.hours));
        let months = bits(Field::Month, u64::from(self.months));
        let years = Values::new(Field::Year, self.years.iter()).text();
        let mut by_date = String::from("?");
        let mut by_weekday = String::from("?");
        let name = |weekday: u8| WEEKDAYS[usize::from(weekday)];
        match self.days {
            DayRule::Days(days) => by_date = bits(Field::DayOfMonth, u64::from(days)),
            DayRule::BeforeLast(0) => by_date = String::from("L"),
            DayRule::BeforeLast(before) => by_date = format!("L-{before}"),
            DayRule::LastWorkday => by_date = String::from("LW"),
            DayRule::Workday(day) => by_date = format!("{day}W"),
            DayRule::Weekdays(days) => by_weekday = bits(Field::DayOfWeek, u64::from(days) << 1),
            DayRule::LastWeekday(weekday) => by_weekday = format!("{}L", name(weekday)),
            DayRule::NthWeekday(weekday, nth) => by_weekday = format!("{}#{nth}", name(weekday)),
        }
        write!(f, "cron({minutes} {hours} {by_date} {months} {by_weekday} {years})")
    }
}

/// The canonical text: `rate(1 day)`, `rate(5 minutes)`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Minutes => "minute",
            Unit::Hours => "hour",
            Unit::Days => "day",
        };
        write!(f, "rate({} {unit}{})", self.every, if self.every == 1 { "" } else { "s" })
    }
}

/// The canonical text: `at(2026-12-31T23:59:59)`.
impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at({})", self.local)
    }
}
