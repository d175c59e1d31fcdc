//! A refused text taken apart as far as it can be, for the words and for the repair.

use super::field::{Field, MONTHS, WEEKDAYS};
use super::parse::is_blank;

/// A text as what is before, between and after its parentheses; of bare fields, all is between.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anatomy<'a> {
    pub(super) before: &'a str,
    pub(super) inner: &'a str,
    pub(super) after: &'a str,
}

impl<'a> Anatomy<'a> {
    pub(super) fn of(text: &'a str) -> Anatomy<'a> {
        let (before, inner) = text.split_at(text.find('(').map_or(0, |open| open + 1));
        let (inner, after) = match inner.strip_suffix(')') {
            Some(inner) if !before.is_empty() => (inner, ")"),
            _ => (inner, ""),
        };
        Anatomy { before, inner, after }
    }

    /// The fields, each with its place in the whole text.
    pub(super) fn fields(&self) -> Vec<(usize, &'a str)> {
        let start = self.inner.as_ptr().addr();
        let words = self.inner.split([' ', '\t']).filter(|word| !word.is_empty());
        words.map(|word| (self.before.len() + word.as_ptr().addr() - start, word)).collect()
    }

    /// The text of one of six fields, or nothing where there is no such field.
    pub(super) fn field(&self, field: Field) -> &'a str {
        let index = Field::ALL.iter().position(|&other| other == field);
        index.and_then(|index| self.fields().get(index).map(|&(_, text)| text)).unwrap_or_default()
    }

    pub(super) fn starts_blank(&self) -> bool {
        self.inner.bytes().next().is_some_and(is_blank)
    }

    pub(super) fn ends_blank(&self) -> bool {
        self.inner.bytes().next_back().is_some_and(is_blank)
    }

    /// The same parentheses around something else.
    pub(super) fn with_inner(&self, inner: &str) -> String {
        format!("{}{inner}{}", self.before, self.after)
    }
}

/// The digits, or else the letters, at a place in a text.
pub(super) fn token(text: &str, at: usize) -> &str {
    let rest = text.get(at..).unwrap_or_default();
    let is_digits = rest.starts_with(|c: char| c.is_ascii_digit());
    let end = rest.find(|c: char| if is_digits { !c.is_ascii_digit() } else { !c.is_ascii_alphanumeric() });
    &rest[..end.unwrap_or(rest.len())]
}

/// The letters and digits at a place in a text.
pub(super) fn word(text: &str, at: usize) -> &str {
    let rest = text.get(at..).unwrap_or_default();
    &rest[..rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())]
}

/// The three letters that a field knows for a longer name, such as `MONDAY`, `Tues` or `sept`.
pub(super) fn short_name(field: Field, word: &str) -> Option<&'static str> {
    const LONG_MONTHS: [&str; 12] = [
        "JANUARY",
        "FEBRUARY",
        "MARCH",
        "APRIL",
        "MAY",
        "JUNE",
        "JULY",
        "AUGUST",
        "SEPTEMBER",
        "OCTOBER",
        "NOVEMBER",
        "DECEMBER",
    ];
    const LONG_WEEKDAYS: [&str; 7] = ["SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY"];
    let (long, short): (&[&str], &[&'static str]) = match field {
        Field::Month => (&LONG_MONTHS, &MONTHS),
        Field::DayOfWeek => (&LONG_WEEKDAYS, &WEEKDAYS),
        _ => return None,
    };
    let word = word.to_ascii_uppercase();
    let names = |long: &str| word.len() > 3 && (long.starts_with(&word) || long == word.trim_end_matches('S'));
    long.iter().position(|long| names(long)).map(|index| short[index])
}

/// Whether a field holds nothing but names of days of the week, with commas and dashes.
pub(super) fn is_weekdays(text: &str) -> bool {
    !text.is_empty()
        && text.split([',', '-']).all(|word| WEEKDAYS.iter().any(|weekday| weekday.eq_ignore_ascii_case(word)))
}

/// Whether a field counts days of the week from 0, as Unix does; only a zero tells.
pub(super) fn counts_from_zero(text: &str) -> bool {
    text.split([',', '-']).any(|value| !value.is_empty() && value.bytes().all(|byte| byte == b'0'))
}
