//! Mends rates.

use crate::expression::anatomy::Anatomy;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What is between the parentheses, as it was meant.
pub(super) fn mend(anatomy: &Anatomy<'_>) -> Option<String> {
    let inner = anatomy.inner.trim();
    let end = inner.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(inner.len());
    let (number, unit) = inner.split_at(end);
    let unit = unit.trim();
    // The unit that is by far the most common.
    let (seconds, by_default) = if unit.is_empty() { (MINUTE, true) } else { (unit_of(unit)?, false) };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if by_default && !fraction.is_empty() {
        return None;
    }
    let total = in_seconds(whole, fraction, seconds)?;
    let (every, unit) = match total {
        0 => return None,
        // What is written in seconds becomes the shortest rate; a part of a larger unit is not made another rate.
        1..=59 if seconds < MINUTE => (1, "minute"),
        _ if seconds >= DAY && total % DAY == 0 => (total / DAY, "day"),
        _ if seconds >= HOUR && total % HOUR == 0 => (total / HOUR, "hour"),
        _ if total % MINUTE == 0 => (total / MINUTE, "minute"),
        _ => return None,
    };
    let mended = format!("{every} {unit}{}", if every == 1 { "" } else { "s" });
    (mended != anatomy.inner).then_some(mended)
}

/// The length of a unit in seconds, by any of its usual names or one slip from it.
fn unit_of(word: &str) -> Option<u64> {
    const UNITS: [(&[&str], u64); 5] = [
        (&["second", "seconds", "s", "sec", "secs"], 1),
        (&["minute", "minutes", "m", "min", "mins"], MINUTE),
        (&["hour", "hours", "h", "hr", "hrs"], HOUR),
        (&["day", "days", "d"], DAY),
        (&["week", "weeks", "w"], 7 * DAY),
    ];
    let word = word.to_ascii_lowercase();
    let by = |test: &dyn Fn(&str) -> bool| {
        UNITS.iter().find(|(names, _)| names.iter().any(|name| test(name))).map(|&(_, seconds)| seconds)
    };
    let slip = |name: &str| name.len() > 3 && crate::zone::distance(name, &word, 1).is_some();
    by(&|name| name == word).or_else(|| by(&slip))
}

fn in_seconds(whole: &str, fraction: &str, unit: u64) -> Option<u64> {
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    if fraction.is_empty() {
        return Some(whole);
    }
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(unit)?;
    (part % scale == 0).then(|| whole + part / scale)
}
