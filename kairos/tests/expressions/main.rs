//! Schedule expressions, from text to fire times, against what the service was seen to answer and against a slow and
//! obvious reading of the rules.

#[cfg(test)]
mod dialect;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod previews;
#[cfg(test)]
mod random;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod wild;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kairos::{expression::Expression, timetable::Timetable, zone};

#[cfg(test)]
fn timetable(expression: &str, zone: &str) -> Timetable {
    let expression = Expression::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    Timetable::new(expression, zone::get(zone).unwrap())
}

/// The next fire times, as local times with their offsets.
#[cfg(test)]
fn fires(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let timetable = timetable(expression, zone);
    let after: Timestamp = after.parse().unwrap();
    timetable.after(after).take(count).map(|fire| local(timetable.zone(), fire)).collect()
}

#[cfg(test)]
fn local(zone: &TimeZone, instant: Timestamp) -> String {
    zone.to_datetime(instant).strftime("%Y-%m-%dT%H:%M").to_string() + &zone.to_offset(instant).to_string()
}
