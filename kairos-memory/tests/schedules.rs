//! Triggers and their firing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{at, clock, now, secs};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use kairos::backend::{ScheduleBackend, Trigger};
use kairos::clock::{Clock as _, ManualClock};
use kairos::page::{Cursor, PageRequest};
use kairos::{ErrorKind, Specification};
use kairos_memory::{Firing, MemorySchedules};
use proptest::prelude::*;

const DAY: u64 = 24 * 60 * 60;

fn trigger(specification: Specification) -> Trigger {
    Trigger::new(specification.schedule_id(), specification)
}

fn create(schedules: &MemorySchedules, specification: Specification) -> Trigger {
    let trigger = trigger(specification);
    now(schedules.create(&trigger)).unwrap();
    trigger
}

fn times(firings: &[Firing]) -> Vec<String> {
    firings.iter().filter_map(|firing| Some(firing.input.scheduled_time?.to_string())).collect()
}

#[test]
fn creating_again_is_a_success_only_with_the_same_definition() {
    let (_, clock) = clock();
    let schedules = MemorySchedules::new(clock);
    let nine = Specification::new("cron(0 9 * * ? *)");
    let trigger = Trigger::new(nine.schedule_id(), nine.clone()).with_description(String::from("diario"));
    let name = now(schedules.create(&trigger)).unwrap();
    assert_eq!(now(schedules.create(&trigger.clone().with_description(None))).unwrap(), name);
    assert_eq!(now(schedules.get(&trigger.key())).unwrap(), Some(trigger.clone()));
    let other = nine.with_time_zone("America/Santiago").with_end(at("2027-01-01T00:00:00Z"));
    let error = now(schedules.create(&Trigger::new(trigger.schedule_id.clone(), other.clone()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.faults().iter().map(|fault| fault.field).collect::<Vec<_>>(), ["zonaHoraria", "fin"]);
    // The same name in another group is another trigger.
    let grouped = Trigger::new(trigger.schedule_id.clone(), other.with_group("nocturno"));
    assert_ne!(now(schedules.create(&grouped)).unwrap(), name);
    assert_eq!(schedules.len(), 2);
    now(schedules.delete(&trigger.key())).unwrap();
    now(schedules.delete(&trigger.key())).unwrap();
    assert_eq!(now(schedules.get(&trigger.key())).unwrap(), None);
    assert_eq!(now(schedules.get(&grouped.key())).unwrap(), Some(grouped));
}

#[test]
fn every_field_comes_back_as_it_was_written() {
    let (_, clock) = clock();
    let schedules = MemorySchedules::new(clock);
    let bare = Specification::new("0  9 * * ? *");
    let mut utc = bare.clone();
    utc.time_zone = Some("UTC".into());
    for specification in [
        bare.clone(),
        utc,
        bare.clone().with_time_zone("America/Santiago"),
        bare.clone().with_time_zone("america/santiago"),
        bare.clone().with_group("g"),
        bare.clone().with_start(at("2026-02-01T00:00:00.123456789Z")).with_end(at("2026-03-01T00:00:00Z")),
        bare.with_window_minutes(1_440),
    ] {
        let trigger = create(&schedules, specification);
        assert_eq!(now(schedules.get(&trigger.key())).unwrap(), Some(trigger));
    }
}

#[test]
fn what_the_service_would_refuse_is_refused_by_field() {
    let (_, clock) = clock();
    let schedules = MemorySchedules::new(clock);
    let start = at("2026-02-01T00:00:00Z");
    let mut all_wrong = Specification::new("cron(0 9 * * * *)")
        .with_time_zone("Marte/Olimpo")
        .with_start(start)
        .with_end(start)
        .with_window_minutes(1_441)
        .with_group("a b");
    let error = now(schedules.create(&Trigger::new("x y".into(), all_wrong.clone()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let fields: BTreeSet<_> = error.faults().iter().map(|fault| fault.field).collect();
    let expected = ["idCalendarizacion", "grupo", "ventanaMinutos", "fin", "cron", "zonaHoraria"];
    assert_eq!(fields, BTreeSet::from(expected), "{error}");
    all_wrong = Specification::new("rate(1 minute)");
    let error = now(schedules.create(&Trigger::new("x".repeat(65).into(), all_wrong))).unwrap_err();
    assert_eq!(error.faults().len(), 1, "{error}");
    assert!(schedules.is_empty());
}

#[test]
fn a_jump_in_time_leaves_no_occurrence_out() {
    let (clock, shared) = clock();
    let schedules = MemorySchedules::new(shared);
    create(&schedules, Specification::new("rate(20 minutes)"));
    create(&schedules, Specification::new("cron(30 * * * ? *)"));
    clock.advance(secs(60 * 60));
    let (first, rest) = (schedules.take_due(2), schedules.take_due(10));
    assert_eq!(times(&first), ["2026-01-01T00:20:00Z", "2026-01-01T00:30:00Z"]);
    assert_eq!(times(&rest), ["2026-01-01T00:40:00Z", "2026-01-01T01:00:00Z"]);
    assert_eq!(schedules.next_due(), Some(at("2026-01-01T01:20:00Z")));
    assert!(rest.iter().all(|firing| firing.attempt == 1 && firing.first_taken_at == clock.now()));
}

#[test]
fn a_rate_counts_from_its_start_or_from_its_creation() {
    let (clock, shared) = clock();
    let schedules = MemorySchedules::new(shared);
    create(&schedules, Specification::new("rate(1 hour)").with_start(at("2025-12-31T23:10:00Z")));
    create(&schedules, Specification::new("rate(1 hour)").with_start(at("2026-01-01T00:50:00Z")));
    clock.advance(secs(7 * 60));
    create(&schedules, Specification::new("rate(1 hour)"));
    clock.advance(secs(70 * 60));
    let expected = ["2026-01-01T00:10:00Z", "2026-01-01T00:50:00Z", "2026-01-01T01:07:00Z", "2026-01-01T01:10:00Z"];
    assert_eq!(times(&schedules.take_due(10)), expected);
}

#[test]
fn what_never_fires_again_stays_listed_without_a_timer() {
    let (clock, shared) = clock();
    let schedules = MemorySchedules::new(shared);
    create(&schedules, Specification::new("at(2026-01-01T00:00:01)"));
    create(&schedules, Specification::new("at(2025-01-01T00:00:00)"));
    create(&schedules, Specification::new("cron(0 0 30 2 ? *)"));
    create(&schedules, Specification::new("rate(1 minute)").with_end(at("2026-01-01T00:00:30Z")));
    clock.advance(secs(DAY));
    assert_eq!(times(&schedules.take_due(10)), ["2026-01-01T00:00:01Z"]);
    assert_eq!((schedules.next_due(), schedules.len()), (None, 4));
    assert_eq!(now(schedules.list(&PageRequest::default())).unwrap().items.len(), 4);
}

#[test]
fn a_window_delays_the_firing_but_not_the_nominal_time() {
    let (clock, shared) = clock();
    let schedules = MemorySchedules::new(shared);
    let mut delays = BTreeSet::new();
    for minute in 0..50 {
        create(&schedules, Specification::new(format!("cron({minute} 9 1 * ? *)")).with_window_minutes(15));
    }
    while let Some(due) = schedules.next_due().filter(|due| *due < at("2026-02-01T00:00:00Z")) {
        clock.advance_to(due);
        for firing in schedules.take_due(100) {
            let nominal = firing.input.scheduled_time.unwrap();
            let delay = due.as_millisecond() - nominal.as_millisecond();
            assert!((0..15 * 60_000).contains(&delay), "{delay}");
            delays.insert(delay);
        }
    }
    assert!(delays.len() > 45, "{delays:?}");
    let next: Vec<_> = (0..50).map(|_| schedules.next_due().map(|due| clock.advance_to(due))).collect();
    assert!(next.iter().all(Option::is_some));
}

#[test]
fn after_deletion_nothing_fires_also_what_was_due() {
    let (clock, shared) = clock();
    let schedules = MemorySchedules::new(shared);
    let trigger = create(&schedules, Specification::new("rate(1 minute)"));
    clock.advance(secs(90));
    now(schedules.delete(&trigger.key())).unwrap();
    clock.advance(secs(DAY));
    assert_eq!((schedules.take_due(10), schedules.next_due()), (vec![], None));
}

#[test]
fn a_failed_delivery_comes_back_until_it_is_given_up() {
    let (clock, shared) = clock();
    let schedules = MemorySchedules::new(shared);
    create(&schedules, Specification::new("at(2026-01-01T00:00:00)").with_time_zone("America/Santiago"));
    clock.advance_to(schedules.next_due().unwrap());
    let first_taken = clock.now();
    let mut waits = Vec::new();
    let mut attempts = 0;
    while schedules.dead_letters().is_empty() {
        let mut firings = schedules.take_due(10);
        let firing = firings.pop().unwrap();
        assert!(firings.is_empty());
        attempts += 1;
        assert_eq!((firing.attempt, firing.first_taken_at), (attempts, first_taken));
        let before = clock.now();
        schedules.give_back(firing);
        if let Some(due) = schedules.next_due() {
            waits.push(due.as_millisecond() - before.as_millisecond());
            clock.advance_to(due);
        }
    }
    assert!(clock.now() <= first_taken + std::time::Duration::from_secs(DAY), "{}", clock.now());
    assert!((100..=186).contains(&attempts), "{attempts}");
    assert!(waits[0] <= 1_000 && (300_000..=600_000).contains(waits.last().unwrap()), "{waits:?}");
    assert_eq!(schedules.dead_letters()[0].attempt, attempts);
    assert_eq!(schedules.next_due(), None);
}

#[test]
fn whoever_waits_hears_of_what_is_due_earlier() {
    let (_, shared) = clock();
    let schedules = MemorySchedules::new(shared);
    create(&schedules, Specification::new("rate(1 hour)"));
    now(schedules.changed());
    let mut changed = Box::pin(schedules.changed());
    create(&schedules, Specification::new("rate(2 hours)"));
    assert!((&mut changed).now_or_never().is_none(), "later than what is known");
    create(&schedules, Specification::new("rate(1 minute)"));
    now(changed);
}

#[test]
fn pages_give_each_trigger_once_while_others_come_and_go() {
    let (_, shared) = clock();
    let schedules = MemorySchedules::new(shared);
    let created: Vec<_> = (1..=25)
        .map(|minutes| create(&schedules, Specification::new(format!("rate({} minutes)", minutes + 1))))
        .collect();
    let mut page = PageRequest::first(10);
    let first = now(schedules.list(&page)).unwrap();
    now(schedules.delete(&created[3].key())).unwrap();
    now(schedules.delete(&created[9].key())).unwrap();
    now(schedules.delete(&created[15].key())).unwrap();
    create(&schedules, Specification::new("rate(1 minute)"));
    let mut seen = first.items;
    let mut next = first.next;
    while next.is_some() {
        page = page.with_cursor(next);
        let found = now(schedules.list(&page)).unwrap();
        seen.extend(found.items);
        next = found.next;
    }
    for (number, trigger) in created.iter().enumerate() {
        let times = seen.iter().filter(|seen| *seen == trigger).count();
        assert!(if number == 15 { times == 0 } else { times == 1 }, "{number}: {times}");
    }
    let error = now(schedules.list(&PageRequest::default().with_cursor(Cursor::new("0")))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
}

fn specification() -> impl Strategy<Value = Specification> {
    let expression = prop_oneof![
        (1..90u32).prop_map(|minutes| format!("rate({minutes} minute{})", if minutes == 1 { "" } else { "s" })),
        (0..60u32, 0..24u32).prop_map(|(minute, hour)| format!("cron({minute} {hour} * * ? *)")),
        (1..30u32).prop_map(|step| format!("cron(*/{step} * * * ? *)")),
        (0..24u32, 0..60u32).prop_map(|(hour, minute)| format!("at(2026-01-01T{hour:02}:{minute:02}:30)")),
    ];
    let zone = prop::option::of(prop::sample::select(vec!["America/Santiago", "Asia/Kathmandu"]));
    let bound = || prop::option::of(0..DAY as i64);
    (expression, zone, bound(), bound()).prop_map(|(expression, zone, start, length)| {
        let mut specification = Specification::new(expression);
        specification.time_zone = zone.map(str::to_owned);
        let instant = |second: i64| at(common::START) + jiff::SignedDuration::new(second, 123_456_789);
        specification.start = start.map(instant);
        specification.end = length.map(|length| instant(start.unwrap_or(0) + 1 + length));
        specification
    })
}

proptest! {
    /// However time moves, what comes out is what the timetables say, in order of time.
    #[test]
    fn firings_are_the_occurrences_of_the_timetables(
        specifications in prop::collection::vec(specification(), 1..12),
        jumps in prop::collection::vec((0..4u32, 1..500usize), 1..12),
    ) {
        let clock = ManualClock::at(at(common::START));
        let schedules = MemorySchedules::new(Arc::new(clock.clone()));
        let mut expected = BTreeSet::new();
        let until = at("2026-01-02T00:00:00Z");
        for specification in &specifications {
            create(&schedules, specification.clone());
            let timetable = specification.timetable(clock.now()).unwrap();
            let id = specification.schedule_id();
            expected.extend(timetable.after(clock.now()).take_while(|fire| *fire <= until).map(|fire| (fire, id.clone())));
        }
        let mut fired: Vec<(Timestamp, _)> = Vec::new();
        let mut take = |max| {
            let firings = schedules.take_due(max);
            assert!(firings.len() <= max);
            fired.extend(firings.into_iter().map(|firing| (firing.input.scheduled_time.unwrap(), firing.input.schedule_id)));
        };
        for (hours, max) in jumps {
            clock.advance(secs(u64::from(hours) * 3_600 + 1_234).min(secs(DAY)));
            if clock.now() > until {
                break;
            }
            take(max);
        }
        clock.advance_to(until);
        take(usize::MAX);
        let millis = |(time, _): &(Timestamp, _)| time.as_millisecond();
        prop_assert!(fired.is_sorted_by_key(millis));
        fired.retain(|(time, _)| *time <= until);
        prop_assert_eq!(fired.len(), expected.len(), "nothing comes out twice");
        prop_assert_eq!(fired.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}
