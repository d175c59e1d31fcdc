//! From text to an expression: one pass over the bytes, no allocation. What is wrong is only noted here, by kind and
//! place; the words for it are found afterwards, by the errors.

use super::cron::{Cron, Years};
use super::days::DayRule;
use super::field::Field;
use super::{At, Expression, Rate, Unit};

/// The longest expression, in characters; documented for the service's `ScheduleExpression`.
pub(crate) const MAX_LENGTH: usize = 256;

/// What is wrong, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) kind: Kind,
}

/// The kinds of fault. Values are not kept: they are in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    TooLong,
    /// Neither `cron(`, `rate(` or `at(` nor something like six fields.
    Form,
    /// The last character is no closing parenthesis.
    Unclosed,
    /// Not six fields, or blanks before the first or after the last.
    Fields,
    /// No value where one must be.
    Missing(Field),
    /// A character that cannot be here.
    Unexpected(Field),
    /// A number outside the field's range.
    Range(Field),
    /// A word that the field does not know.
    Word(Field),
    StepMissing(Field),
    StepZero(Field),
    /// A step larger than this.
    StepRange(Field, u16),
    /// A range of years that ends before it begins.
    Reversed,
    /// Only the first to the fifth of a weekday exist.
    Nth,
    /// `L-n` with n outside 1-30.
    BeforeLast,
    /// Neither day field is `?`.
    BothDays,
    /// Both day fields are `?`.
    NoDay,
    /// Somewhere in `rate(…)`.
    Rate,
    /// Somewhere in `at(…)`.
    At,
}

/// Reads a whole expression.
pub(crate) fn expression(text: &str) -> Result<Expression, Fault> {
    let bytes = text.as_bytes();
    // A character has at most four bytes: hostile input is refused without looking at it.
    let too_long = |limit: usize| bytes.len() > limit && (bytes.len() > 4 * limit || text.chars().count() > limit);
    if too_long(MAX_LENGTH) {
        return Err(Fault { at: 0, kind: Kind::TooLong });
    }
    match bytes {
        [b'c', b'r', b'o', b'n', b'(', ..] => Cursor::inside(bytes, 5)?.cron().map(Expression::Cron),
        [b'r', b'a', b't', b'e', b'(', ..] => Cursor::inside(bytes, 5)?.rate().map(Expression::Rate),
        [b'a', b't', b'(', ..] => Cursor::inside(bytes, 3)?.at().map(Expression::At),
        _ if !looks_bare(bytes) => Err(Fault { at: 0, kind: Kind::Form }),
        _ if too_long(MAX_LENGTH - "cron()".len()) => Err(Fault { at: 0, kind: Kind::TooLong }),
        _ => Cursor { bytes, position: 0 }.cron().map(Expression::Cron),
    }
}

/// Whether a text is meant as bare fields: it has no parentheses and at least two words.
fn looks_bare(bytes: &[u8]) -> bool {
    !bytes.iter().any(|&byte| matches!(byte, b'(' | b')' | b'@'))
        && bytes.trim_ascii().iter().any(|&byte| is_blank(byte))
}

pub(crate) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A set that a field is read into.
trait Set: Default {
    fn insert(&mut self, value: u16);
    /// Inserts `from`, `from + step`, … up to `to`; a step is never 0.
    fn insert_range(&mut self, from: u16, to: u16, step: u16);
}

impl Set for u64 {
    fn insert(&mut self, value: u16) {
        *self |= 1 << value;
    }

    fn insert_range(&mut self, from: u16, to: u16, step: u16) {
        if step == 1 {
            *self |= (u64::MAX >> (63 - (to - from))) << from;
        } else {
            (from..=to).step_by(usize::from(step)).for_each(|value| self.insert(value));
        }
    }
}

impl Set for Years {
    fn insert(&mut self, value: u16) {
        Years::insert(self, value);
    }

    fn insert_range(&mut self, from: u16, to: u16, step: u16) {
        if step == 1 {
            Years::insert_range(self, from, to);
        } else {
            (from..=to).step_by(usize::from(step)).for_each(|year| self.insert(year));
        }
    }
}

#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    /// What is between the opening parenthesis, which ends at an offset, and the closing one.
    fn inside(bytes: &'a [u8], open: usize) -> Result<Cursor<'a>, Fault> {
        match bytes.split_last() {
            Some((b')', inner)) => Ok(Cursor { bytes: inner, position: open }),
            _ => Err(Fault { at: bytes.len(), kind: Kind::Unclosed }),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    /// The byte that is so many ahead, in upper case.
    fn ahead(&self, by: usize) -> Option<u8> {
        self.bytes.get(self.position + by).map(u8::to_ascii_uppercase)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    fn fault<T>(&self, kind: Kind) -> Result<T, Fault> {
        Err(Fault { at: self.position, kind })
    }

    /// Whether the field ends here.
    fn at_end_of_field(&self) -> bool {
        self.peek().is_none_or(is_blank)
    }

    fn cron(mut self) -> Result<Cron, Fault> {
        let minutes = self.list::<u64>(Field::Minute)?;
        self.blank()?;
        let hours = self.list::<u64>(Field::Hour)?;
        self.blank()?;
        let by_date = self.day_of_month()?;
        self.blank()?;
        let months = self.list::<u64>(Field::Month)?;
        self.blank()?;
        let day_of_week = self.position;
        let by_weekday = self.day_of_week()?;
        self.blank()?;
        let years = self.list::<Years>(Field::Year)?;
        if self.peek().is_some() {
            return self.fault(Kind::Fields);
        }
        let days = match (by_date, by_weekday) {
            (Some(days), None) | (None, Some(days)) => days,
            (Some(_), Some(_)) => return Err(Fault { at: day_of_week, kind: Kind::BothDays }),
            (None, None) => return Err(Fault { at: day_of_week, kind: Kind::NoDay }),
        };
        Ok(Cron { minutes, hours: low_u32(hours), months: low_u16(months), days, years })
    }

    /// One blank or more, with something after it.
    fn blank(&mut self) -> Result<(), Fault> {
        while self.peek().is_some_and(is_blank) {
            self.position += 1;
        }
        if self.peek().is_none() { self.fault(Kind::Fields) } else { Ok(()) }
    }

    /// A whole field of values, ranges and steps. Inlined, so that the ranges of each field are constants there.
    #[inline(always)]
    fn list<S: Set>(&mut self, field: Field) -> Result<S, Fault> {
        let mut set = S::default();
        // Most fields are a star and nothing else.
        if self.peek() == Some(b'*') && self.bytes.get(self.position + 1).is_none_or(|&byte| is_blank(byte)) {
            self.position += 1;
            set.insert_range(field.min(), field.max(), 1);
            return Ok(set);
        }
        loop {
            self.item(field, &mut set)?;
            if self.at_end_of_field() {
                return Ok(set);
            }
            if !self.take(b',') {
                return self.fault(Kind::Unexpected(field));
            }
        }
    }

    /// `*`, `n`, `a-b`, each perhaps with `/step`. Inlined as [`Cursor::list`] is.
    #[inline(always)]
    fn item(&mut self, field: Field, set: &mut impl Set) -> Result<(), Fault> {
        let (from, to, max_step);
        if self.take(b'*') {
            (from, to, max_step) = (field.min(), field.max(), field.max_step());
        } else {
            from = self.value(field)?;
            if self.peek() == Some(b'-') {
                let dash = self.position;
                self.position += 1;
                to = self.value(field)?;
                if to < from && field == Field::Year {
                    return Err(Fault { at: dash, kind: Kind::Reversed });
                }
                max_step = field.max_step();
            } else {
                to = if self.peek() == Some(b'/') { field.max() } else { from };
                max_step = field.count();
            }
        }
        let step = if self.take(b'/') { self.step(field, max_step)? } else { 1 };
        if to < from {
            // Past the field's end the sequence goes on at its beginning, in the same stride.
            let left = (field.max() - from) % step;
            let resumed = field.min() + (step - left - 1);
            set.insert_range(from, field.max(), step);
            if resumed <= to {
                set.insert_range(resumed, to, step);
            }
        } else {
            set.insert_range(from, to, step);
        }
        Ok(())
    }

    fn step(&mut self, field: Field, max: u16) -> Result<u16, Fault> {
        let start = self.position;
        match self.number() {
            None => self.fault(Kind::StepMissing(field)),
            Some(0) => Err(Fault { at: start, kind: Kind::StepZero(field) }),
            Some(step) if step > max => Err(Fault { at: start, kind: Kind::StepRange(field, max) }),
            Some(step) => Ok(step),
        }
    }

    /// A number or a name, within the field's range.
    fn value(&mut self, field: Field) -> Result<u16, Fault> {
        let start = self.position;
        if let Some(number) = self.number() {
            return if (field.min()..=field.max()).contains(&number) {
                Ok(number)
            } else {
                Err(Fault { at: start, kind: Kind::Range(field) })
            };
        }
        match self.peek() {
            Some(byte) if byte.is_ascii_alphabetic() => self.word(field),
            None | Some(b' ' | b'\t' | b',' | b'/') => self.fault(Kind::Missing(field)),
            Some(_) => self.fault(Kind::Unexpected(field)),
        }
    }

    /// Digits, if there are any; a number too large for any field comes out as the largest there is.
    fn number(&mut self) -> Option<u16> {
        let start = self.position;
        let mut number = 0_u16;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number.saturating_mul(10).saturating_add(u16::from(digit - b'0'));
            self.position += 1;
        }
        (self.position > start).then_some(number)
    }

    /// A name. Apart from the rest, since most values are numbers.
    #[inline(never)]
    fn word(&mut self, field: Field) -> Result<u16, Fault> {
        let fault = Fault { at: self.position, kind: Kind::Word(field) };
        let word: &[u8; 3] = self.bytes[self.position..].first_chunk().ok_or(fault)?;
        let word = word.map(|byte| byte.to_ascii_uppercase());
        let found = (1..).zip(field.words()).find(|(_, name)| name.as_bytes().first_chunk() == Some(&word));
        let (number, _) = found.ok_or(fault)?;
        self.position += 3;
        // `FRIL` is a form of its own, `MONDAY` is none.
        let is_last = field == Field::DayOfWeek && self.ahead(0) == Some(b'L');
        if self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric()) && !is_last { Err(fault) } else { Ok(number) }
    }

    /// The day-of-month field; `None` for `?`.
    fn day_of_month(&mut self) -> Result<Option<DayRule>, Fault> {
        const FIELD: Field = Field::DayOfMonth;
        let start = *self;
        let rule = if self.take(b'?') {
            None
        } else if self.ahead(0) == Some(b'L') {
            self.position += 1;
            if self.ahead(0) == Some(b'W') {
                self.position += 1;
                Some(DayRule::LastWorkday)
            } else if self.take(b'-') {
                Some(DayRule::BeforeLast(self.before_last()?))
            } else {
                Some(DayRule::BeforeLast(0))
            }
        } else if self.number().is_some() && self.ahead(0) == Some(b'W') {
            *self = start;
            let day = low_u8(self.value(FIELD)?);
            self.position += 1;
            Some(DayRule::Workday(day))
        } else {
            *self = start;
            let days = self.list::<u64>(FIELD)?;
            Some(DayRule::Days(low_u32(days)))
        };
        if self.at_end_of_field() { Ok(rule) } else { self.fault(Kind::Unexpected(FIELD)) }
    }

    /// The n of `L-n`.
    fn before_last(&mut self) -> Result<u8, Fault> {
        let start = self.position;
        match self.number() {
            None => self.fault(Kind::Missing(Field::DayOfMonth)),
            Some(days @ 1..=30) => Ok(low_u8(days)),
            Some(_) => Err(Fault { at: start, kind: Kind::BeforeLast }),
        }
    }

    /// The day-of-week field; `None` for `?`.
    fn day_of_week(&mut self) -> Result<Option<DayRule>, Fault> {
        const FIELD: Field = Field::DayOfWeek;
        let start = *self;
        let rule = if self.take(b'?') {
            None
        } else if self.ahead(0) == Some(b'L') {
            self.position += 1;
            Some(DayRule::Weekdays(1 << 6))
        } else if self.peek() == Some(b'*') {
            Some(self.weekdays()?)
        } else {
            let weekday = low_u8(self.value(FIELD)?) - 1;
            if self.ahead(0) == Some(b'L') {
                self.position += 1;
                Some(DayRule::LastWeekday(weekday))
            } else if self.take(b'#') {
                let start = self.position;
                match self.number() {
                    None => return self.fault(Kind::Missing(FIELD)),
                    Some(nth @ 1..=5) => Some(DayRule::NthWeekday(weekday, low_u8(nth))),
                    Some(_) => return Err(Fault { at: start, kind: Kind::Nth }),
                }
            } else {
                *self = start;
                Some(self.weekdays()?)
            }
        };
        if self.at_end_of_field() { Ok(rule) } else { self.fault(Kind::Unexpected(FIELD)) }
    }

    fn weekdays(&mut self) -> Result<DayRule, Fault> {
        let days = self.list::<u64>(Field::DayOfWeek)?;
        Ok(DayRule::Weekdays(low_u8(low_u16(days >> 1))))
    }

    /// A number, one blank, a unit.
    fn rate(mut self) -> Result<Rate, Fault> {
        let start = self.position;
        let mut every = 0_u32;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            let longer = every.checked_mul(10).and_then(|every| every.checked_add(u32::from(digit - b'0')));
            every = longer.ok_or(Fault { at: start, kind: Kind::Rate })?;
            self.position += 1;
        }
        if every == 0 {
            return Err(Fault { at: start, kind: Kind::Rate });
        }
        if !self.take(b' ') {
            return self.fault(Kind::Rate);
        }
        // Recorded from the service: `1 minutes` and `2 minute` are both accepted.
        let unit = match &self.bytes[self.position..] {
            b"minute" | b"minutes" => Unit::Minutes,
            b"hour" | b"hours" => Unit::Hours,
            b"day" | b"days" => Unit::Days,
            _ => return self.fault(Kind::Rate),
        };
        Ok(Rate { every, unit })
    }

    /// `yyyy-mm-ddThh:mm:ss`, nothing more or less.
    fn at(mut self) -> Result<At, Fault> {
        const SHAPE: &[u8; 19] = b"0000-00-00T00:00:00";
        let start = self.position;
        for &shape in SHAPE {
            match self.peek() {
                Some(byte) if byte == shape || (shape == b'0' && byte.is_ascii_digit()) => self.position += 1,
                _ => return self.fault(Kind::At),
            }
        }
        if self.peek().is_some() {
            return self.fault(Kind::At);
        }
        let text = &self.bytes[start..];
        let digits = |range: std::ops::Range<usize>| {
            text[range].iter().fold(0_i16, |number, digit| number * 10 + i16::from(digit - b'0'))
        };
        let small = |from: usize| i8::try_from(digits(from..from + 2)).unwrap_or(i8::MAX);
        let fault = |at: usize| Fault { at: start + at, kind: Kind::At };
        let (year, month, day) = (digits(0..4), small(5), small(8));
        if year == 0 {
            return Err(fault(0));
        }
        if !(1..=12).contains(&month) {
            return Err(fault(5));
        }
        let date = jiff::civil::Date::new(year, month, day).map_err(|_| fault(8))?;
        let (hour, minute, second) = (small(11), small(14), small(17));
        if let Some(at) = [(hour > 23, 11), (minute > 59, 14), (second > 59, 17)].iter().find(|(wrong, _)| *wrong) {
            return Err(fault(at.1));
        }
        Ok(At { local: date.at(hour, minute, second, 0) })
    }
}

// A field's values are below its width by then: each is checked against the field's range, and no set holds more.

#[allow(clippy::cast_possible_truncation, reason = "days and hours are below 32")]
const fn low_u32(set: u64) -> u32 {
    set as u32
}

#[allow(clippy::cast_possible_truncation, reason = "months and days of the week are below 16")]
const fn low_u16(set: u64) -> u16 {
    set as u16
}

#[allow(clippy::cast_possible_truncation, reason = "days, and sets of days of the week, are below 256")]
const fn low_u8(value: u16) -> u8 {
    value as u8
}
