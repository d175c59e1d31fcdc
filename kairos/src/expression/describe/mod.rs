//! Expressions in words.
//!
//! What is to be said is decided once, here; each language only says it.

mod english;
mod spanish;

use super::cron::Cron;
use super::days::DayRule;
use super::field::Field;
use super::{At, Expression, Unit};

/// The language of a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Language {
    /// English, with the 24-hour clock.
    English,
    /// Spanish, with the 24-hour clock.
    Spanish,
}

impl Expression {
    /// The expression in one line of words, without a final stop. Times are local to the schedule's zone.
    ///
    /// ```
    /// use kairos::expression::{Expression, Language};
    ///
    /// let expression: Expression = "cron(0 9 ? * MON-FRI *)".parse()?;
    /// assert_eq!(expression.describe(Language::English), "at 09:00, Monday to Friday");
    /// assert_eq!(expression.describe(Language::Spanish), "a las 09:00, de lunes a viernes");
    /// # Ok::<(), kairos::expression::ExpressionError>(())
    /// ```
    #[must_use]
    pub fn describe(&self, language: Language) -> String {
        let voice: &dyn Voice = match language {
            Language::English => &english::English,
            Language::Spanish => &spanish::Spanish,
        };
        match self {
            Expression::Cron(cron) => describe_cron(cron, voice),
            Expression::Rate(rate) => voice.every(rate.every, rate.unit),
            Expression::At(at) => voice.once(*at),
        }
    }
}

/// What a language has to say. Each part of a sentence but the times brings its own leading blank or comma.
trait Voice {
    /// An interval: every 5 minutes.
    fn every(&self, count: u32, unit: Unit) -> String;
    /// A single date and time.
    fn once(&self, at: At) -> String;
    fn times(&self, times: &Times) -> String;
    fn every_day(&self) -> &'static str;
    /// Days of the month, in all months or in some.
    fn days(&self, rule: DayRule, months: &Pattern) -> String;
    fn weekdays(&self, weekdays: &[Run]) -> String;
    fn months(&self, months: &Pattern) -> String;
    /// Years, after the months.
    fn years(&self, years: &Pattern, months: &Pattern) -> String;
}

/// From one value to another, both included; from the larger to the smaller past the end of the field.
type Run = (u16, u16);

/// How the values of a field lie.
#[derive(Debug, PartialEq, Eq)]
enum Pattern {
    All,
    /// From, to, step: at least four values, two or more apart.
    Stride(u16, u16, u16),
    Runs(Vec<Run>),
}

/// Hour and minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock(u16, u16);

/// How the fire times of a day lie.
#[derive(Debug, PartialEq, Eq)]
enum Times {
    /// These.
    At(Vec<Clock>),
    /// Every so many minutes in each of these spans, or all day where there is none.
    EveryMinutes(u16, Vec<(Clock, Clock)>),
    /// Every so many hours in each of these spans, or all day at a minute where there is none.
    EveryHours(u16, u16, Vec<(Clock, Clock)>),
    /// Some minutes of some hours.
    Minutes(Pattern, Pattern),
}

impl Times {
    fn of(cron: &Cron, whole_days: bool) -> Times {
        /// More times than this are not read out one by one.
        const FEW: usize = 6;
        let minutes = values(Field::Minute, cron.minutes);
        let hours = values(Field::Hour, u64::from(cron.hours));
        if minutes.len() <= 2 && minutes.len() * hours.len() <= FEW {
            let at = hours.iter().flat_map(|&hour| minutes.iter().map(move |&minute| Clock(hour, minute)));
            return Times::At(at.collect());
        }
        let (first, last) = (minutes[0], minutes[minutes.len() - 1]);
        // From one day's evening into the next one's morning only if both are named.
        let runs = if hours.len() == 24 { Vec::new() } else { runs(Field::Hour, &hours, whole_days) };
        let spans = |runs: Vec<Run>| runs.into_iter().map(|(from, to)| (Clock(from, first), Clock(to, last))).collect();
        if let Some(step) = step(&minutes)
            && first == 0
            && last + step == 60
        {
            return Times::EveryMinutes(step, spans(runs));
        }
        if let (Some(step), [hour]) = (step(&minutes), &hours[..])
            && minutes.len() > 2
        {
            return Times::EveryMinutes(step, vec![(Clock(*hour, first), Clock(*hour, last))]);
        }
        if minutes.len() > 1 {
            return Times::Minutes(
                Pattern::of(Field::Minute, &minutes, false),
                Pattern::of(Field::Hour, &hours, false),
            );
        }
        match step(&hours) {
            Some(step) if first == 0 && hours[0] == 0 && hours[hours.len() - 1] + step == 24 => {
                Times::EveryHours(step, 0, Vec::new())
            }
            Some(step) if step > 1 => Times::EveryHours(step, first, spans(vec![(hours[0], hours[hours.len() - 1])])),
            _ => Times::EveryHours(1, first, spans(runs)),
        }
    }

    /// Whether they go on through the whole day, so that nothing needs to be said of days.
    fn all_day(&self) -> bool {
        match self {
            Times::At(_) => false,
            Times::EveryMinutes(_, spans) | Times::EveryHours(_, _, spans) => spans.is_empty(),
            Times::Minutes(_, hours) => *hours == Pattern::All,
        }
    }
}

impl Pattern {
    fn of(field: Field, values: &[u16], wraps: bool) -> Pattern {
        if values.len() == usize::from(field.count()) {
            return Pattern::All;
        }
        match step(values) {
            Some(step) if step > 1 && values.len() > 3 => Pattern::Stride(values[0], values[values.len() - 1], step),
            _ => Pattern::Runs(runs(field, values, wraps)),
        }
    }
}

fn values(field: Field, set: u64) -> Vec<u16> {
    (field.min()..=field.max()).filter(|value| set >> value & 1 == 1).collect()
}

/// The distance of the values, if they all lie alike.
fn step(values: &[u16]) -> Option<u16> {
    let mut steps = values.windows(2).map(|pair| pair[1] - pair[0]);
    let first = steps.next()?;
    steps.all(|step| step == first).then_some(first)
}

fn runs(field: Field, values: &[u16], wraps: bool) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for &value in values {
        match runs.last_mut() {
            Some((_, to)) if *to + 1 == value => *to = value,
            _ => runs.push((value, value)),
        }
    }
    if let [first, .., last] = &mut runs[..]
        && wraps
        && first.0 == field.min()
        && last.1 == field.max()
    {
        // Of two values, `SAT,SUN`, only the order is of interest.
        if first.0 == first.1 && last.0 == last.1 {
            runs.rotate_left(1);
        } else {
            last.1 = first.1;
            runs.remove(0);
        }
    }
    runs
}

fn describe_cron(cron: &Cron, voice: &dyn Voice) -> String {
    let years: Vec<u16> = cron.years.iter().collect();
    let years = Pattern::of(Field::Year, &years, false);
    let months = values(Field::Month, u64::from(cron.months));
    let mut months = Pattern::of(Field::Month, &months, years == Pattern::All);
    if let Pattern::Stride(from, to, step) = months {
        months = Pattern::Runs((from..=to).step_by(usize::from(step)).map(|month| (month, month)).collect());
    }
    let every_day = cron.days.is_every_day();
    let times = Times::of(cron, every_day && months == Pattern::All && years == Pattern::All);
    let mut text = voice.times(&times);
    match cron.days {
        DayRule::Weekdays(days) if !every_day => {
            text += &voice.weekdays(&runs(Field::DayOfWeek, &values(Field::DayOfWeek, u64::from(days) << 1), true));
            text += &voice.months(&months);
        }
        rule if !every_day => text += &voice.days(rule, &months),
        _ => {
            if !times.all_day() {
                text += voice.every_day();
            }
            text += &voice.months(&months);
        }
    }
    text + &voice.years(&years, &months)
}

/// A list in words: commas, and a last conjunction.
fn join<T: AsRef<str>>(items: &[T], conjunction: &str) -> String {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text += if index + 1 == items.len() { conjunction } else { ", " };
        }
        text += item.as_ref();
    }
    text
}

/// Runs in words: long ones as ranges, others value by value.
fn spell(runs: &[Run], conjunction: &str, one: impl Fn(u16) -> String, range: impl Fn(u16, u16) -> String) -> String {
    let items: Vec<String> = runs
        .iter()
        .flat_map(|&(from, to)| match (to + 1).checked_sub(from) {
            Some(1) => vec![one(from)],
            Some(2) => vec![one(from), one(to)],
            _ => vec![range(from, to)],
        })
        .collect();
    join(&items, conjunction)
}

/// How many years there are, the first and the last, where they are too many and too scattered to be read out.
fn scattered(years: &[Run]) -> Option<(u16, u16, u16)> {
    const MANY: usize = 8;
    let (first, last) = (years.first()?, years.last()?);
    (years.len() > MANY).then(|| (years.iter().map(|&(from, to)| to - from + 1).sum(), first.0, last.1))
}

/// Whether some run would be spelled as a range.
fn has_range(runs: &[Run]) -> bool {
    runs.iter().any(|&(from, to)| to < from || to > from + 1)
}

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests;
