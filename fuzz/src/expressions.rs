//! Expressions: parsing, errors, the canonical text, and the laws of fire times.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kairos::Expression;
use kairos::expression::{ExpressionError, Language};
use kairos::timetable::Timetable;

use crate::input;
use crate::refusal::{check_line, check_place};

/// Fire times that are looked at, in each direction.
const LOOKED_AT: usize = 16;
const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);

/// An expression is refused with a place, a reason and a suggestion that can be parsed; or its canonical text is the same expression,
/// and it fires by the laws of time in any zone, from any instant, within any bounds.
pub fn expressions(text: &str) {
    let (settings, expression) = text.split_once('\n').unwrap_or(("", text));
    match Expression::parse(expression) {
        Ok(expression) => accepted(expression, &timetable(expression, settings), settings),
        Err(error) => refused(expression, &error),
    }
}

fn timetable(expression: Expression, settings: &str) -> Timetable {
    let mut settings = settings.split_ascii_whitespace();
    let zone = settings.next().map_or(TimeZone::UTC, input::zone);
    let mut instant = || input::optional_instant(settings.next());
    let _ = instant();
    let (start, end, anchor) = (instant(), instant(), instant());
    Timetable::new(expression, zone)
        .with_start(start)
        .with_end(end)
        .with_anchor(anchor.unwrap_or(Timestamp::UNIX_EPOCH))
}

fn accepted(expression: Expression, timetable: &Timetable, settings: &str) {
    let canonical = expression.to_string();
    let again = Expression::parse(&canonical).unwrap_or_else(|error| panic!("{canonical}: {error}"));
    assert_eq!(again, expression, "{canonical}");
    assert_eq!(again.to_string(), canonical);
    for language in [Language::English, Language::Spanish] {
        check_line(&expression.describe(language));
    }

    let instant = input::instant(settings.split_ascii_whitespace().nth(1).unwrap_or("2026-01-01T00:00:00Z"));
    let forwards: Vec<_> = timetable.after(instant).take(LOOKED_AT).collect();
    let backwards: Vec<_> = timetable.before(instant).take(LOOKED_AT).collect();
    let same = Timetable::new(again, timetable.zone().clone())
        .with_start(timetable.start())
        .with_end(timetable.end())
        .with_anchor(timetable.anchor());
    assert_eq!(same.after(instant).take(LOOKED_AT).collect::<Vec<_>>(), forwards);

    assert!(forwards.first().is_none_or(|&first| first > instant) && forwards.is_sorted_by(|one, other| one < other));
    assert!(backwards.first().is_none_or(|&last| last < instant) && backwards.is_sorted_by(|one, other| one > other));
    for &fire in forwards.iter().chain(&backwards) {
        check_fire(timetable, fire);
    }
    // Nothing lies between what is next to each other.
    for pair in forwards.windows(2) {
        assert_eq!(timetable.previous_before(pair[1]), Some(pair[0]));
    }
    for pair in backwards.windows(2) {
        assert_eq!(timetable.next_after(pair[1]), Some(pair[0]));
    }
    check_words(timetable, instant, &forwards);
}

fn check_fire(timetable: &Timetable, fire: Timestamp) {
    if let Ok(after) = fire.checked_add(NANOSECOND) {
        assert_eq!(timetable.previous_before(after), Some(fire));
    }
    if let Ok(before) = fire.checked_sub(NANOSECOND) {
        assert_eq!(timetable.next_after(before), Some(fire));
    }
    let local = timetable.zone().to_datetime(fire);
    match timetable.expression() {
        Expression::Cron(_) => assert_eq!((local.second(), local.subsec_nanosecond()), (0, 0), "{fire}"),
        Expression::Rate(rate) => {
            let passed = fire.duration_since(timetable.anchor()).as_nanos();
            assert!(passed >= 0 && passed % rate.period().as_nanos() == 0, "{fire}");
        }
        Expression::At(at) => return assert_eq!(local, at.local(), "{fire}"),
    }
    assert!(timetable.start().is_none_or(|start| start <= fire), "{fire}");
    assert!(timetable.end().is_none_or(|end| fire <= end), "{fire}");
}

/// Previews show the same times, and say why there are none.
fn check_words(timetable: &Timetable, instant: Timestamp, forwards: &[Timestamp]) {
    let upcoming = timetable.upcoming(instant, 3);
    assert!(upcoming.iter().map(|fire| &fire.at).eq(forwards.iter().take(3)));
    for fire in upcoming {
        assert_eq!(fire.offset.to_datetime(fire.at), fire.local);
        fire.notes.iter().for_each(|note| check_line(&note.to_string()));
    }
    let never = timetable.why_never(instant);
    assert_eq!(never.is_some(), forwards.is_empty());
    never.iter().for_each(|never| check_line(&never.to_string()));
}

fn refused(text: &str, error: &ExpressionError) {
    check_line(&error.to_string());
    check_line(error.message());
    check_place(text, error.at());
    if let Some(suggestion) = error.suggestion() {
        assert_ne!(suggestion, text);
        Expression::parse(suggestion).unwrap_or_else(|error| panic!("{text:?}, suggested {suggestion:?}: {error}"));
    }
}
