//! Other crates that evaluate cron expressions, each spoken to in its own syntax.

use chrono::{DateTime, Utc};
use croner::parser::CronParser;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The six fields of an expression as Kairos reads it.
pub(super) type Fields<'a> = [&'a str; 6];

/// A crate that parses cron expressions and finds the next fire time.
pub(super) trait Peer {
    const NAME: &'static str;
    type Cron;
    /// An instant as its search takes and gives it.
    type Instant;

    /// The expression in its syntax; nothing where that has no way to say it. Whether it is understood, `parse` tells.
    fn translate(fields: Fields<'_>, zone: Option<&str>) -> Option<String>;
    fn parse(text: &str) -> Option<Self::Cron>;
    fn instant(second: i64, zone: &TimeZone) -> Option<Self::Instant>;
    fn second(instant: &Self::Instant) -> i64;
    /// The first fire time after an instant.
    fn next(cron: &Self::Cron, after: &Self::Instant) -> Option<Self::Instant>;
}

/// Cloudflare's, without years and time zones.
pub(super) enum Saffron {}

impl Peer for Saffron {
    const NAME: &'static str = "saffron";
    type Cron = saffron::Cron;
    type Instant = DateTime<Utc>;

    fn translate(fields: Fields<'_>, zone: Option<&str>) -> Option<String> {
        (fields[5] == "*" && zone.is_none()).then(|| five(fields))
    }

    fn parse(text: &str) -> Option<Self::Cron> {
        text.parse().ok()
    }

    fn instant(second: i64, _: &TimeZone) -> Option<Self::Instant> {
        DateTime::from_timestamp(second, 0)
    }

    fn second(instant: &Self::Instant) -> i64 {
        instant.timestamp()
    }

    fn next(cron: &Self::Cron, after: &Self::Instant) -> Option<Self::Instant> {
        cron.next_after(*after)
    }
}

/// With seconds and years. It knows time zones through another crate, which is not asked here.
pub(super) enum Cron {}

impl Peer for Cron {
    const NAME: &'static str = "cron";
    type Cron = cron::Schedule;
    type Instant = DateTime<Utc>;

    fn translate(fields: Fields<'_>, zone: Option<&str>) -> Option<String> {
        zone.is_none().then(|| seven(fields))
    }

    fn parse(text: &str) -> Option<Self::Cron> {
        text.parse().ok()
    }

    fn instant(second: i64, _: &TimeZone) -> Option<Self::Instant> {
        DateTime::from_timestamp(second, 0)
    }

    fn second(instant: &Self::Instant) -> i64 {
        instant.timestamp()
    }

    fn next(cron: &Self::Cron, after: &Self::Instant) -> Option<Self::Instant> {
        cron.after(after).next()
    }
}

/// With all the letters, over `chrono` in UTC.
pub(super) enum Croner {}

impl Peer for Croner {
    const NAME: &'static str = "croner";
    type Cron = croner::Cron;
    type Instant = DateTime<Utc>;

    fn translate(fields: Fields<'_>, zone: Option<&str>) -> Option<String> {
        zone.is_none().then(|| if fields[5] == "*" { five(fields) } else { seven(fields) })
    }

    fn parse(text: &str) -> Option<Self::Cron> {
        // Sunday is 1, and `0/15` is allowed.
        CronParser::builder().alternative_weekdays(true).sloppy_ranges(true).build().parse(text).ok()
    }

    fn instant(second: i64, _: &TimeZone) -> Option<Self::Instant> {
        DateTime::from_timestamp(second, 0)
    }

    fn second(instant: &Self::Instant) -> i64 {
        instant.timestamp()
    }

    fn next(cron: &Self::Cron, after: &Self::Instant) -> Option<Self::Instant> {
        cron.find_next_occurrence(after, false).ok()
    }
}

/// The same over `jiff`, in any zone.
pub(super) enum CronerZoned {}

impl Peer for CronerZoned {
    const NAME: &'static str = "croner";
    type Cron = croner::Cron;
    type Instant = Zoned;

    fn translate(fields: Fields<'_>, _: Option<&str>) -> Option<String> {
        Croner::translate(fields, None)
    }

    fn parse(text: &str) -> Option<Self::Cron> {
        Croner::parse(text)
    }

    fn instant(second: i64, zone: &TimeZone) -> Option<Self::Instant> {
        Some(Timestamp::from_second(second).ok()?.to_zoned(zone.clone()))
    }

    fn second(instant: &Self::Instant) -> i64 {
        instant.timestamp().as_second()
    }

    fn next(cron: &Self::Cron, after: &Self::Instant) -> Option<Self::Instant> {
        cron.find_next_occurrence(after, false).ok()
    }
}

/// With a time zone as its last field, without years.
pub(super) enum Cronexpr {}

impl Peer for Cronexpr {
    const NAME: &'static str = "cronexpr";
    type Cron = cronexpr::Crontab;
    type Instant = Timestamp;

    fn translate(fields: Fields<'_>, zone: Option<&str>) -> Option<String> {
        let [minutes, hours, days, months, weekdays, year] = fields;
        let five = five([minutes, hours, days, months, &from_zero(weekdays), year]);
        (year == "*").then(|| zone.map_or_else(|| five.clone(), |zone| format!("{five} {zone}")))
    }

    fn parse(text: &str) -> Option<Self::Cron> {
        let mut options = cronexpr::ParseOptions::default();
        options.fallback_timezone_option = cronexpr::FallbackTimezoneOption::UTC;
        cronexpr::parse_crontab_with(text, options).ok()
    }

    fn instant(second: i64, _: &TimeZone) -> Option<Self::Instant> {
        Timestamp::from_second(second).ok()
    }

    fn second(instant: &Self::Instant) -> i64 {
        instant.as_second()
    }

    fn next(cron: &Self::Cron, after: &Self::Instant) -> Option<Self::Instant> {
        cron.find_next(*after).ok().map(|next| next.timestamp())
    }
}

/// Without the year, and with `*` for the day field that says nothing.
fn five([minutes, hours, days, months, weekdays, _]: Fields<'_>) -> String {
    let day = |field: &str| if field == "?" { "*".to_owned() } else { field.to_owned() };
    format!("{minutes} {hours} {} {months} {}", day(days), day(weekdays))
}

/// With seconds before the rest.
fn seven(fields: Fields<'_>) -> String {
    format!("0 {} {}", five(fields), fields[5])
}

/// Days of the week counted from Sunday as 0: each number but those after `#` and `/`.
fn from_zero(weekdays: &str) -> String {
    let mut before = ' ';
    weekdays
        .chars()
        .map(|mut c| {
            if !matches!(before, '#' | '/')
                && let Some(number) = c.to_digit(8)
            {
                c = char::from_digit(number.saturating_sub(1), 8).unwrap_or(c);
            }
            before = c;
            c
        })
        .collect()
}
