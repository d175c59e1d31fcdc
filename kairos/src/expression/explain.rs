//! What is wrong, in words.

use super::anatomy::{Anatomy, counts_from_zero, is_weekdays, short_name, token, word};
use super::field::Field;
use super::parse::{self, Fault, Kind, MAX_LENGTH};

const SIX_FIELDS: &str = "expected six fields (minute hour day-of-month month day-of-week year)";

/// The place of the culprit, and the message.
pub(super) fn explain(text: &str, fault: Fault) -> (usize, String) {
    match fault.kind {
        Kind::TooLong => {
            let limit = text.char_indices().nth(MAX_LENGTH).map_or(text.len(), |(at, _)| at);
            (limit, format!("an expression has at most {MAX_LENGTH} characters, cron( and ) included"))
        }
        Kind::Form => form(text),
        Kind::Unclosed => match text.rfind(')') {
            Some(close) => (close + 1, String::from("nothing may follow the closing parenthesis")),
            None => (text.len(), String::from("the closing parenthesis is missing")),
        },
        Kind::Rate => rate(text, fault.at),
        Kind::At => at(text, fault.at),
        _ => cron(text, fault),
    }
}

fn form(text: &str) -> (usize, String) {
    const FORMS: &str = "expected cron(…), rate(…), at(…) or six cron fields";
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return (0, format!("the expression is empty; {FORMS}"));
    }
    if trimmed.len() < text.len() {
        let at = if text.starts_with(char::is_whitespace) { 0 } else { trimmed.len() };
        return (at, String::from("no blank may come before or after the expression"));
    }
    if text.starts_with('@') {
        return (0, String::from("shorthands such as @daily are not part of the dialect; write the fields"));
    }
    let word = token(text, 0);
    let keyword = ["cron", "rate", "at"].into_iter().find(|keyword| keyword.eq_ignore_ascii_case(word));
    match keyword {
        Some(keyword) if keyword != word => (0, format!("{keyword} is written in lower case")),
        Some(keyword) => (word.len(), format!("an opening parenthesis must follow {keyword}")),
        None => (0, String::from(FORMS)),
    }
}

fn cron(text: &str, fault: Fault) -> (usize, String) {
    let Fault { at, kind } = fault;
    let anatomy = Anatomy::of(text);
    let fields = anatomy.fields();
    let culprit = character_at(text, at).filter(|&c| !c.is_ascii() || is_foreign_blank(c)).map(|c| (at, c));
    // Only where it leaves fields unseparated is such a blank worse than what is wrong before it.
    let glue = || text.char_indices().find(|&(_, c)| is_foreign_blank(c)).filter(|_| fields.len() != 6);
    if let Some((at, character)) = culprit.or_else(glue) {
        let hint = match character {
            c if is_dash(c) => "; a range is written with -",
            c if is_foreign_blank(c) => "; only spaces and tabs separate fields",
            _ => "",
        };
        return (at, format!("unexpected character {character:?}{hint}"));
    }
    if fields.len() != 6 {
        return field_count(text, &anatomy, &fields);
    }
    if let Some(message) = quartz(&fields) {
        return (fields[0].0, message);
    }
    if anatomy.starts_blank() || (anatomy.ends_blank() && kind == Kind::Fields) {
        let at = if anatomy.starts_blank() { anatomy.before.len() } else { fields[5].0 + fields[5].1.len() };
        return (at, String::from("no blank may come before the first field or after the last"));
    }
    let found = token(text, at);
    let message = match kind {
        Kind::Range(Field::DayOfWeek) if found.len() < anatomy.field(Field::DayOfWeek).len() => {
            let field = Field::DayOfWeek;
            special(field, anatomy.field(field)).unwrap_or_else(|| out_of_range(field, found))
        }
        Kind::Range(field) => out_of_range(field, found),
        Kind::Unexpected(field) if starts_word(text, at) => {
            let at = word_start(text, at);
            let message = special(field, anatomy.field(field));
            return (at, message.unwrap_or_else(|| unexpected(text, at, Kind::Word(field), field)));
        }
        Kind::Missing(field) | Kind::Unexpected(field) | Kind::Word(field) => {
            special(field, anatomy.field(field)).unwrap_or_else(|| unexpected(text, at, kind, field))
        }
        Kind::StepMissing(field) => format!("the {} step after / is missing", field.name()),
        Kind::StepZero(field) => format!("{} step must be 1 or more", one(field)),
        Kind::StepRange(field, max) => {
            let hint = if is_rate(field, found, &fields) {
                format!("; for every {found} minutes use rate({found} minutes)")
            } else {
                String::new()
            };
            format!("{} step {found} is out of range 1-{max}{hint}", field.name())
        }
        Kind::Reversed => format!("the years {} end before they begin", anatomy.field(Field::Year)),
        Kind::Nth => format!("a month has at most five of a weekday; expected 1-5 after #, found {found}"),
        Kind::BeforeLast => format!("L-{found} is out of range L-1 to L-30"),
        Kind::BothDays => {
            let count = if is_counted(anatomy.field(Field::DayOfWeek)) {
                "; days of the week count 1-7 = SUN-SAT here"
            } else {
                ""
            };
            format!("day-of-month and day-of-week are both given; use ? in one of them{count}")
        }
        Kind::NoDay => {
            String::from("day-of-month and day-of-week are both ?; give one of them, such as * for every day")
        }
        Kind::Fields | Kind::TooLong | Kind::Form | Kind::Unclosed | Kind::Rate | Kind::At => String::from(SIX_FIELDS),
    };
    (at, message)
}

fn character_at(text: &str, at: usize) -> Option<char> {
    text.get(at..).and_then(|rest| rest.chars().next())
}

/// Whether a character is blank, but none of those that separate fields.
pub(super) fn is_foreign_blank(character: char) -> bool {
    character.is_whitespace() && !matches!(character, ' ' | '\t')
}

/// Whether a step is one of minutes past the hour, and nothing else is restricted: then a rate says the same.
fn is_rate(field: Field, step: &str, fields: &[(usize, &str)]) -> bool {
    let [(_, minute), others @ ..] = fields else { return false };
    field == Field::Minute
        && step.parse().is_ok_and(|step: u32| step > u32::from(field.count()))
        && !minute.contains([',', '-'])
        && others.iter().all(|&(_, other)| matches!(other, "*" | "?"))
}

/// Whether days of the week are given by their numbers, in a form that Unix cron has too.
fn is_counted(by_weekday: &str) -> bool {
    let is_counted =
        |item: &str| item.split('/').next().is_some_and(|days| days.contains(|c: char| c.is_ascii_digit()));
    !by_weekday.contains(['#', 'L', 'l']) && by_weekday.split(',').any(is_counted)
}

/// The name of a field with its article.
fn one(field: Field) -> String {
    let article = if field == Field::Hour { "an" } else { "a" };
    format!("{article} {}", field.name())
}

pub(super) const fn is_dash(character: char) -> bool {
    matches!(character, '\u{2010}'..='\u{2015}' | '\u{2212}')
}

fn field_count(text: &str, anatomy: &Anatomy<'_>, fields: &[(usize, &str)]) -> (usize, String) {
    let end = text.len() - anatomy.after.len();
    match fields {
        [] => (anatomy.before.len(), format!("{SIX_FIELDS}, found none")),
        [(at, word)] if word.starts_with('@') => {
            (*at, String::from("shorthands such as @daily are not part of the dialect; write the fields"))
        }
        [.., (_, day)] if fields.len() == 5 => {
            let digits = day.bytes().any(|byte| byte.is_ascii_digit()) && !day.contains(['/', '#']);
            let hint = if digits && !is_year(day) && !counts_from_zero(day) {
                "add the year and put ? in one day field; days of the week count 1-7 = SUN-SAT here, so write their names"
            } else if [1, 3].iter().any(|&index: &usize| fields[index].1 == "?") {
                "one before the ? is missing"
            } else {
                "add the year and put ? in one day field"
            };
            (end, format!("{SIX_FIELDS}, found 5; {hint}"))
        }
        &[(at, first), (_, minute), (_, hour), (_, by_date), (_, month), _, _]
            if follow_seconds(minute, hour, by_date, month) =>
        {
            let hint = if is_zero(first) { "leave the first one out" } else { "the finest step is one minute" };
            (at, format!("{SIX_FIELDS}, found 7; there are no seconds, {hint}"))
        }
        _ => {
            let at = fields.get(6).map_or(end, |&(at, _)| at);
            (at, format!("{SIX_FIELDS}, found {}", fields.len()))
        }
    }
}

/// Six fields that begin with seconds, as Quartz writes them: then the `?` is one field too late, where it can only be
/// meant as a day field.
fn quartz(fields: &[(usize, &str)]) -> Option<String> {
    is_quartz(&fields.iter().map(|&(_, field)| field).collect::<Vec<_>>()).then(|| {
        String::from("there are no seconds, and the year is the last field; leave the first field out and add the year")
    })
}

pub(super) fn is_quartz(fields: &[&str]) -> bool {
    match fields {
        [seconds, minute, hour, by_date, month, by_weekday] => {
            is_zero(seconds)
                && follow_seconds(minute, hour, by_date, month)
                && ((*by_date == "?" && (is_weekdays(by_weekday) || by_weekday.contains(['#', 'L', 'l'])))
                    || (*by_weekday == "?" && *by_date != "?"))
        }
        _ => false,
    }
}

/// Whether fields can be read as those that come after seconds.
pub(super) fn follow_seconds(minute: &str, hour: &str, by_date: &str, month: &str) -> bool {
    let is_date = |c: char| !c.is_ascii_alphabetic() || matches!(c.to_ascii_uppercase(), 'L' | 'W');
    by_date.chars().all(is_date) && parse::expression(&format!("{minute} {hour} * {month} ? *")).is_ok()
}

pub(super) fn is_zero(field: &str) -> bool {
    !field.is_empty() && field.bytes().all(|byte| byte == b'0')
}

/// Whether a field can only be meant as years.
pub(super) fn is_year(field: &str) -> bool {
    field.split([',', '-', '/']).any(|value| value.len() == 4 && value.bytes().all(|byte| byte.is_ascii_digit()))
}

fn out_of_range(field: Field, found: &str) -> String {
    let hint = match field {
        Field::Hour if found == "24" => "; midnight is hour 0",
        Field::DayOfWeek => "; 1-7 = SUN-SAT",
        _ => "",
    };
    format!("{} {found} is out of range {}-{}{hint}", field.name(), field.min(), field.max())
}

/// The reason why a form that exists elsewhere, or alone, cannot be here.
fn special(field: Field, text: &str) -> Option<String> {
    let text = text.to_ascii_uppercase();
    let is_list = text.contains(',');
    let has_last = || text.split(',').any(|item| item.ends_with('L') || item.starts_with("L-") || item == "LW");
    let has_nearest = || text.split(',').any(|item| item.ends_with('W') && !item.starts_with('-'));
    let reason = match field {
        Field::DayOfMonth if text.contains('#') => "# belongs in day-of-week, such as MON#1 for the first Monday",
        Field::DayOfMonth if is_list && has_nearest() => {
            "W takes a single day and stands alone in day-of-month; make one schedule of each day"
        }
        Field::DayOfMonth if is_list && has_last() => {
            "L stands alone in day-of-month; make one schedule of L and one of the other days"
        }
        Field::DayOfMonth if text.starts_with("L-") && text.ends_with('W') => {
            "L-n and W do not combine; use LW for the last weekday of the month, or a day such as 15W"
        }
        Field::DayOfMonth if text.ends_with('W') => "W follows a single day, such as 15W, or L, as LW",
        Field::DayOfMonth if text.contains('L') && !is_weekdays(&text) => {
            "L in day-of-month is L, LW or L-n; for the last of a weekday write FRIL in day-of-week"
        }
        Field::DayOfMonth if is_weekdays(&text) => "a weekday belongs in day-of-week, with ? in day-of-month",
        Field::DayOfWeek if text.matches('#').count() > 1 => {
            "only one # fits in day-of-week; make one schedule of each"
        }
        Field::DayOfWeek if text.contains('#') && text.contains([',', '-', '/']) => {
            "# takes a single weekday and stands alone in day-of-week, such as MON#1"
        }
        Field::DayOfWeek if is_list && has_last() => {
            "L takes a single weekday and stands alone in day-of-week; make one schedule of each"
        }
        Field::DayOfWeek if text.ends_with('W') => "W belongs in day-of-month, such as 15W",
        Field::Year if is_weekdays(&text) => "a weekday belongs in day-of-week, the fifth field; the sixth is the year",
        Field::DayOfMonth | Field::DayOfWeek if text.contains('?') => "? stands alone in its field",
        _ if text.contains('?') => {
            return Some(format!("? belongs in day-of-month or day-of-week, not in {}", field.name()));
        }
        _ => return None,
    };
    Some(String::from(reason))
}

/// Whether what cannot be here is a letter: then the whole word is to be named.
fn starts_word(text: &str, at: usize) -> bool {
    text.as_bytes().get(at).is_some_and(u8::is_ascii_alphabetic)
}

fn word_start(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at).rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    at - before
}

fn unexpected(text: &str, at: usize, kind: Kind, field: Field) -> String {
    let (name, expected) = (field.name(), field.expected());
    let missing = || format!("{} is missing; expected {expected}", one(field));
    let word = word(text, at);
    match kind {
        Kind::Missing(_) => missing(),
        Kind::Word(_) => match short_name(field, word) {
            Some(_) => format!("{name} {word} is unknown; names have three letters"),
            None => format!("{name} {word} is unknown; expected {expected}"),
        },
        _ => match character_at(text, at) {
            Some(character) => format!("unexpected {character:?} in {name}; expected {expected}"),
            None => missing(),
        },
    }
}

fn rate(text: &str, at: usize) -> (usize, String) {
    let anatomy = Anatomy::of(text);
    let open = anatomy.before.len();
    let inner = anatomy.inner;
    let digits = inner.find(|c: char| !c.is_ascii_digit()).unwrap_or(inner.len());
    let (number, rest) = inner.split_at(digits);
    let unit = rest.trim();
    let message = if inner.is_empty() {
        String::from("expected a number and a unit, such as 5 minutes")
    } else if inner.trim().len() < inner.len() {
        let blank = if inner.starts_with(char::is_whitespace) { 0 } else { inner.trim_end().len() };
        let message = "no blank may come inside the parentheses of rate, but one before the unit";
        return (open + blank, String::from(message));
    } else if number.is_empty() {
        String::from("a rate begins with a whole number of 1 or more")
    } else if rest.starts_with(['.', ',']) {
        let unit = rest.trim_start_matches(|c: char| !c.is_alphabetic());
        let message = if unit.starts_with(['h', 'd', 'H', 'D']) {
            "a rate is a whole number; take a smaller unit"
        } else {
            "a rate is a whole number of minutes, hours or days"
        };
        return (open + digits, String::from(message));
    } else if number.bytes().all(|byte| byte == b'0') {
        String::from("a rate must be 1 or more")
    } else if number.parse::<u32>().is_err() {
        format!("rate {number} is out of range 1-{}", u32::MAX)
    } else if unit.is_empty() {
        return (open + digits, String::from("a rate needs a unit: minutes, hours or days"));
    } else {
        return (at.max(open + digits), rate_unit(rest));
    };
    (open, message)
}

fn rate_unit(rest: &str) -> String {
    let unit = rest.trim();
    match unit.to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => String::from("one minute is the shortest rate"),
        "w" | "week" | "weeks" => String::from("a rate counts minutes, hours or days; a week is 7 days"),
        "month" | "months" => String::from(
            "a rate counts minutes, hours or days; for months use cron, such as cron(0 0 1 * ? *) for the first of each month",
        ),
        "year" | "years" => String::from(
            "a rate counts minutes, hours or days; for years use cron, such as cron(0 0 1 1 ? *) for each 1 January",
        ),
        "minute" | "minutes" | "hour" | "hours" | "day" | "days"
            if unit.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            String::from("the unit is written in lower case")
        }
        "minute" | "minutes" | "hour" | "hours" | "day" | "days" => {
            String::from("one blank comes between the number and the unit")
        }
        _ => format!("rate unit {unit} is unknown; expected minutes, hours or days"),
    }
}

fn at(text: &str, at: usize) -> (usize, String) {
    const SHAPE: &str = "expected yyyy-mm-ddThh:mm:ss";
    let anatomy = Anatomy::of(text);
    let inner = anatomy.inner;
    let place = at - anatomy.before.len();
    let rest = inner.get(place..).unwrap_or_default();
    let two = token(text, at);
    let message = match (place, rest.chars().next()) {
        // Past the shape's first nineteen characters, or short of them, the shape is wrong; within, a value is.
        (19.., Some('Z' | 'z' | '+' | '-' | '[')) => {
            String::from("no time zone is written here; the time is local to the zone of the schedule")
        }
        (19.., Some('.' | ',')) => String::from("seconds have no fraction"),
        (10, None) => format!("the time is missing after the date; {SHAPE}"),
        (16, None) => format!("the seconds are missing; {SHAPE}"),
        (0, Some(' ')) => String::from("no blank may come inside the parentheses of at"),
        (19.., Some(' ')) => String::from("no blank may come inside the parentheses of at"),
        (10, Some(' ' | 't')) => String::from("a T comes between date and time"),
        (0, Some('0')) if two == "0000" => String::from("year 0000 is out of range 0001-9999"),
        (5, Some('0'..='9')) if two.len() == 2 => format!("month {two} is out of range 1-12"),
        (8, Some('0'..='9')) if two.len() == 2 => format!("day {two} does not exist in {}", &inner[..7]),
        (11, Some('0'..='9')) if two.len() == 2 => format!("hour {two} is out of range 0-23"),
        (14, Some('0'..='9')) if two.len() == 2 => format!("minute {two} is out of range 0-59"),
        (17, Some('0'..='9')) if two.len() == 2 => format!("second {two} is out of range 0-59"),
        (_, Some(character)) => format!("unexpected {character:?}; {SHAPE}"),
        (_, None) => String::from(SHAPE),
    };
    (at, message)
}
