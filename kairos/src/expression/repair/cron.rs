//! Mends cron fields.

use super::shorthand;
use crate::expression::anatomy::{Anatomy, counts_from_zero, is_weekdays, short_name, token};
use crate::expression::explain::{follow_seconds, is_dash, is_foreign_blank, is_quartz, is_year, is_zero};
use crate::expression::field::{Field, WEEKDAYS};
use crate::expression::parse::{Fault, Kind};

pub(super) fn mend(text: &str, anatomy: &Anatomy<'_>, fault: Fault) -> Option<String> {
    if !text.is_ascii() || text.contains(is_foreign_blank) {
        return in_ascii(text);
    }
    let fields: Vec<&str> = anatomy.fields().into_iter().map(|(_, field)| field).collect();
    if let [word] = fields[..]
        && word.starts_with('@')
    {
        return shorthand(word).map(str::to_owned);
    }
    let mended = match fields[..] {
        [minute, hour, by_date, month, by_weekday] => unix([minute, hour, by_date, month, by_weekday])?.join(" "),
        // Quartz has exactly one `?`, in one of its day fields.
        [seconds, minute, hour, by_date, month, by_weekday, _]
            if is_zero(seconds)
                && (by_date == "?") != (by_weekday == "?")
                && follow_seconds(minute, hour, by_date, month) =>
        {
            fields[1..].join(" ")
        }
        [_, ref rest @ ..] if is_quartz(&fields) => format!("{} *", rest.join(" ")),
        [_, _, _, _, _, _] if anatomy.starts_blank() || anatomy.ends_blank() => fields.join(" "),
        [minute, hour, by_date, month, by_weekday, year] => {
            let mut fields = [minute, hour, by_date, month, by_weekday, year].map(str::to_owned);
            if !days(&mut fields, fault.kind) {
                return value(text, anatomy, fault);
            }
            fields.join(" ")
        }
        _ => return None,
    };
    Some(anatomy.with_inner(&mended))
}

/// Word processors turn hyphens into dashes and blanks into no-break spaces; long lines are broken.
fn in_ascii(text: &str) -> Option<String> {
    let replace = |c: char| match c {
        c if is_dash(c) => '-',
        c if c.is_whitespace() => ' ',
        c => c,
    };
    let mended: String = text.replace("\r\n", "\n").chars().map(replace).collect();
    (mended != text).then_some(mended)
}

/// Five fields are Unix cron's: no year, days of the week from 0, and no `?`.
///
/// Days of the week as numbers are clear only where a 0 shows how they are counted. Both day fields given means "or" in
/// Unix cron, which one expression cannot say.
fn unix(fields: [&str; 5]) -> Option<Vec<String>> {
    let [minute, hour, by_date, month, by_weekday] = fields;
    let is_open = |field: &str| matches!(field, "*" | "?");
    if is_year(by_weekday) {
        return None;
    }
    let (by_date, by_weekday) = if is_open(by_weekday) {
        (if by_date == "?" { "*" } else { by_date }, String::from("?"))
    } else if !is_open(by_date) {
        return None;
    } else if counts_from_zero(by_weekday) {
        ("?", named(by_weekday)?)
    } else if by_weekday.trim_start_matches("*/").bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    } else {
        ("?", by_weekday.to_owned())
    };
    let given = [minute, hour, by_date, month, &by_weekday, "*"];
    Some(given.map(str::to_owned).to_vec())
}

/// Days of the week counted from 0 (or 7), by name.
fn named(field: &str) -> Option<String> {
    let name = |value: &str| match value.parse::<usize>() {
        Ok(number) if number <= 7 => Some(WEEKDAYS[number % 7]),
        Ok(_) => None,
        Err(_) => WEEKDAYS.into_iter().find(|weekday| weekday.eq_ignore_ascii_case(value)),
    };
    let range = |item: &str| match item.split_once('-') {
        Some((from, to)) => Some(format!("{}-{}", name(from)?, name(to)?)),
        None => name(item).map(str::to_owned),
    };
    field.split(',').map(range).collect::<Option<Vec<_>>>().map(|items| items.join(","))
}

/// Mends the two day fields and what was mistaken for them; says whether it did.
fn days(fields: &mut [String; 6], kind: Kind) -> bool {
    let [_, _, by_date, month, by_weekday, year] = fields;
    match kind {
        Kind::NoDay => *by_date = String::from("*"),
        Kind::BothDays if by_weekday == "*" => *by_weekday = String::from("?"),
        Kind::BothDays if by_date == "*" => *by_date = String::from("?"),
        Kind::BothDays => return nth_weekday(by_date, by_weekday),
        // The two day fields are swapped with the month between them.
        Kind::Unexpected(Field::Month) if month == "?" && by_date == "*" => std::mem::swap(by_date, month),
        Kind::Unexpected(Field::Month) if month == "?" && by_weekday == "*" => std::mem::swap(by_weekday, month),
        // A `?` for any year, where the days do without it.
        Kind::Unexpected(Field::Year)
            if year == "?" && (by_date == "?" || by_weekday == "?" || is_weekdays(by_weekday)) =>
        {
            *year = String::from("*");
        }
        // A weekday after the `?` that was put in its place.
        Kind::Word(Field::Year) if by_weekday == "?" && is_weekdays(year) => {
            *by_weekday = std::mem::replace(year, String::from("*"));
            if by_date == "*" {
                *by_date = String::from("?");
            } else {
                return nth_weekday(by_date, by_weekday);
            }
        }
        Kind::Range(Field::DayOfWeek) if counts_from_zero(by_weekday) => match named(by_weekday) {
            Some(names) => *by_weekday = names,
            None => return false,
        },
        _ => return false,
    }
    true
}

/// A week of days of the month and one day of the week together mean the nth such day: `8-14` and `SUN` is `SUN#2`.
fn nth_weekday(by_date: &mut String, by_weekday: &mut String) -> bool {
    let nth = ["1-7", "8-14", "15-21", "22-28"].iter().position(|week| week == by_date);
    let is_single =
        matches!(by_weekday.as_bytes(), [b'1'..=b'7']) || (by_weekday.len() == 3 && is_weekdays(by_weekday));
    match nth {
        Some(nth) if is_single => {
            *by_weekday = format!("{by_weekday}#{}", nth + 1);
            *by_date = String::from("?");
            true
        }
        _ => false,
    }
}

/// Mends one value where it stands.
fn value(text: &str, anatomy: &Anatomy<'_>, fault: Fault) -> Option<String> {
    let found = token(text, fault.at);
    let replaced =
        |from: usize, len: usize, with: &str| Some(format!("{}{with}{}", text.get(..from)?, text.get(from + len..)?));
    match fault.kind {
        Kind::Range(Field::Hour) if found == "24" => replaced(fault.at, found.len(), "0"),
        Kind::Word(field) => replaced(fault.at, found.len(), short_name(field, found)?),
        Kind::Missing(_) if text[fault.at..].starts_with('/') => replaced(fault.at, 0, "*"),
        // Every 60 minutes of an hour is once an hour.
        Kind::StepRange(field, _)
            if found.parse() == Ok(field.count()) && anatomy.field(field) == format!("*/{found}") =>
        {
            replaced(fault.at - 2, found.len() + 2, &field.min().to_string())
        }
        _ => None,
    }
}
