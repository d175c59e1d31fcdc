//! Laws that hold for every expression, zone and instant.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kairos::expression::Expression;
use kairos::timetable::{Bounds, Timetable, WallClock};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::random;
use crate::reference::Reference;

const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);

fn parse(text: &str) -> Expression {
    Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn zone_and_instant() -> impl Strategy<Value = (TimeZone, Timestamp)> {
    random::zone().prop_flat_map(|zone| random::instant(&zone).prop_map(move |instant| (zone.clone(), instant)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_next_fire_times_are_the_reference_s(text in random::cron(), (zone, instant) in zone_and_instant()) {
        const DAYS: u32 = 45;
        let found: Vec<_> = Timetable::new(parse(&text), zone.clone()).after(instant).take(5).collect();
        let expected = Reference::new(&text, zone).after(instant, 5, DAYS);
        // What the reference has not found in its days must lie beyond them.
        prop_assert_eq!(&found[..expected.len().min(found.len())], &expected[..], "{}", text);
        if let Some(beyond) = found.get(expected.len()) {
            prop_assert!(*beyond > instant + SignedDuration::from_hours(24 * i64::from(DAYS - 5)), "{text}: {beyond}");
        }
    }

    #[test]
    fn the_dates_are_the_reference_s(text in random::cron(), first in 0..80_000_i64) {
        let first = Timestamp::from_second(first * 86_400).unwrap();
        let next = Timetable::new(parse(&text), TimeZone::UTC).next_after(first - NANOSECOND);
        let next = next.map(|next| TimeZone::UTC.to_datetime(next).date());
        let mut date = TimeZone::UTC.to_datetime(first).date();
        let reference = Reference::new(&text, TimeZone::UTC);
        for _ in 0..3_000 {
            if Some(date) == next || date.year() > 2199 {
                break;
            }
            prop_assert!(!reference.names_date(date), "{text} names {date}, before {next:?}");
            date = date.tomorrow().unwrap();
        }
        if Some(date) == next {
            prop_assert!(reference.names_date(date), "{text} does not name {date}");
        }
    }

    #[test]
    fn previous_is_the_mirror_of_next(text in random::cron(), (zone, instant) in zone_and_instant()) {
        let timetable = Timetable::new(parse(&text), zone);
        if let Some(next) = timetable.next_after(instant) {
            prop_assert!(next > instant);
            prop_assert_eq!(timetable.previous_before(next + NANOSECOND), Some(next));
            prop_assert!(timetable.previous_before(next).is_none_or(|previous| previous <= instant));
        }
        if let Some(previous) = timetable.previous_before(instant) {
            prop_assert!(previous < instant);
            prop_assert_eq!(timetable.next_after(previous - NANOSECOND), Some(previous));
            prop_assert!(timetable.next_after(previous).is_none_or(|next| next >= instant));
        }
    }

    #[test]
    fn forwards_is_backwards_reversed(text in random::cron(), (zone, instant) in zone_and_instant(), hours in 1..2_000_i64) {
        let timetable = Timetable::new(parse(&text), zone);
        let end = instant + SignedDuration::from_hours(hours);
        let forwards: Vec<_> = timetable.after(instant).take_while(|&fire| fire < end).take(2_000).collect();
        let last = if forwards.len() < 2_000 { end } else { *forwards.last().unwrap() + NANOSECOND };
        let mut backwards: Vec<_> = timetable.before(last).take_while(|&fire| fire > instant).collect();
        backwards.reverse();
        prop_assert!(forwards.is_sorted_by(|one, other| one < other));
        prop_assert_eq!(forwards, backwards);
    }

    #[test]
    fn no_local_minute_fires_twice(text in random::cron(), (zone, instant) in zone_and_instant()) {
        let timetable = Timetable::new(parse(&text), zone.clone());
        let fires = timetable.after(instant).take(300).map(|fire| zone.to_datetime(fire));
        let fires: Vec<_> = fires.collect();
        prop_assert!(fires.is_sorted_by(|one, other| one < other), "{text}: {fires:?}");
    }

    #[test]
    fn bounds_only_take_away(text in random::cron(), (zone, start) in zone_and_instant(), hours in 0..3_000_i64) {
        let end = start + SignedDuration::from_hours(hours);
        let free = Timetable::new(parse(&text), zone);
        let bounded = free.clone().with_start(start).with_end(end);
        let early = start - SignedDuration::from_hours(1_000);
        let expected: Vec<_> = free.after(start - NANOSECOND).take_while(|&fire| fire <= end).take(50).collect();
        prop_assert_eq!(bounded.after(early).take(50).collect::<Vec<_>>(), expected);
        let expected: Vec<_> = free.before(end + NANOSECOND).take_while(|&fire| fire >= start).take(50).collect();
        prop_assert_eq!(bounded.before(end + SignedDuration::from_hours(1_000)).take(50).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_wall_clock_says_of_each_expression_what_its_timetable_says(
        texts in vec(prop_oneof![8 => random::cron().boxed(), 1 => Just("rate(7 hours)".to_owned()).boxed(), 1 => Just("at(2026-03-29T02:30:00)".to_owned()).boxed()], 1..5),
        (zone, instants) in random::zone().prop_flat_map(|zone| (Just(zone.clone()), vec(random::instant(&zone), 1..4))),
        start in proptest::option::of(-3_000..3_000_i64),
        end in proptest::option::of(-3_000..3_000_i64),
    ) {
        let mut clock = WallClock::new(zone.clone());
        for instant in instants.iter().copied().flat_map(|instant| [instant, instant + NANOSECOND, instant]) {
            let near = |hours: Option<i64>| hours.map(|hours| instant + SignedDuration::from_hours(hours));
            let bounds = Bounds { anchor: instants[0], start: near(start), end: near(end) };
            for text in &texts {
                let expression = parse(text);
                let alone = Timetable::new(expression, zone.clone()).with_anchor(bounds.anchor).with_start(bounds.start).with_end(bounds.end);
                let expected = alone.next_after(instant);
                prop_assert_eq!(clock.next_after(&expression, &bounds, instant), expected, "{} after {}", text, instant);
                prop_assert_eq!(clock.timetable(expression, bounds).next_after(instant), expected);
            }
        }
    }

    #[test]
    fn a_rate_counts_from_its_anchor(
        every in 1..100_000_u32,
        unit in proptest::sample::select(vec!["minutes", "hours", "days"]),
        anchor in -1_000_000_000..2_000_000_000_i64,
        nanos in 0..1_000_000_000_i32,
        periods in 0..1_000_i64,
        near in prop_oneof![-1_500_000_000..1_500_000_000_i64, Just(0), any::<i32>().prop_map(|away| i64::from(away) * 1_000_003)],
    ) {
        let seconds = match unit { "minutes" => 60, "hours" => 3_600, _ => 86_400 } * i64::from(every);
        let anchor = Timestamp::new(anchor, 0).unwrap() + SignedDuration::from_nanos(i64::from(nanos));
        let away = SignedDuration::from_secs(seconds * periods) + SignedDuration::from_nanos(near);
        let instant = anchor.saturating_add(away.max(SignedDuration::ZERO)).unwrap();
        let timetable = Timetable::new(parse(&format!("rate({every} {unit})")), TimeZone::UTC).with_anchor(anchor);
        if let Some(next) = timetable.next_after(instant) {
            prop_assert!(next > instant);
            prop_assert!(next.duration_since(instant) <= SignedDuration::from_secs(seconds));
            prop_assert_eq!(next.duration_since(anchor).as_nanos() % (i128::from(seconds) * 1_000_000_000), 0);
            let previous = timetable.previous_before(next).unwrap();
            prop_assert_eq!(next.duration_since(previous), SignedDuration::from_secs(seconds));
            prop_assert!(previous <= instant);
        }
        prop_assert_eq!(timetable.next_after(anchor - NANOSECOND), Some(anchor));
        prop_assert_eq!(timetable.next_after(anchor - SignedDuration::from_hours(1)), Some(anchor));
        prop_assert_eq!(timetable.previous_before(anchor), None);
        prop_assert_eq!(timetable.previous_before(anchor + NANOSECOND), Some(anchor));
    }

    #[test]
    fn canonical_text_is_read_back(text in prop_oneof![9 => random::cron().boxed(), 1 => random::tangled_years().boxed()]) {
        let expression = parse(&text);
        let canonical = expression.to_string();
        prop_assert_eq!(parse(&canonical), expression, "{} became {}", text, canonical);
        prop_assert_eq!(parse(&canonical).to_string(), canonical);
    }

    #[test]
    fn bare_fields_are_the_same(text in random::cron()) {
        let bare = text.strip_prefix("cron(").unwrap().strip_suffix(')').unwrap();
        prop_assert_eq!(parse(bare), parse(&text));
    }

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        check_answer(&text);
    }

    #[test]
    fn any_text_in_parentheses_is_answered(keyword in "cron|rate|at|CRON|", text in "[-*/,?#LW0-9 a-zA-Zñ—\t:.TZ]{0,40}") {
        check_answer(&format!("{keyword}({text})"));
    }

    #[test]
    fn any_damage_is_answered(
        text in prop_oneof![
            4 => random::cron(),
            1 => (1..100_u32).prop_map(|every| format!("rate({every} minutes)")),
            1 => Just("at(2026-12-31T23:59:59)".to_owned()),
        ],
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, proptest::char::any()), 1..4),
    ) {
        let mut characters: Vec<char> = text.chars().collect();
        for (index, kind, character) in damage {
            let index = index.index(characters.len());
            match kind {
                0 => drop(characters.remove(index)),
                1 => characters[index] = character,
                2 => characters.insert(index, character),
                _ => characters.insert(index, characters[index]),
            }
            if characters.is_empty() {
                break;
            }
        }
        check_answer(&characters.into_iter().collect::<String>());
    }

    #[test]
    fn descriptions_are_one_line(text in random::cron()) {
        for language in [kairos::expression::Language::English, kairos::expression::Language::Spanish] {
            let words = parse(&text).describe(language);
            prop_assert!(!words.is_empty() && !words.contains('\n') && !words.contains("  ") && words.trim() == words, "{text}: {words:?}");
        }
    }
}

/// What holds for every answer, whatever was asked.
fn check_answer(text: &str) {
    match Expression::parse(text) {
        Ok(expression) => assert_eq!(parse(&expression.to_string()), expression),
        Err(error) => {
            assert!(text.is_char_boundary(error.at()), "{text:?}: {}", error.at());
            assert!(!error.message().is_empty() && !error.to_string().contains('\n'));
            if let Some(suggestion) = error.suggestion() {
                parse(suggestion);
                assert_ne!(suggestion, text);
            }
        }
    }
}
