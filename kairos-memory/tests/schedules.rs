//! Triggers and their firing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{Settable, at, clock, now, secs};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use kairos::backend::{ScheduleBackend, Trigger};
use kairos::clock::{Clock as _, ManualClock};
use kairos::page::{Cursor, PageRequest};
use kairos::{ErrorKind, Specification};
use kairos_memory::{Firing, MemorySchedules, Missed};
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

/// Schedule, how many, whether exactly, first, last.
fn account(schedules: &MemorySchedules) -> Vec<(String, u64, bool, String, String)> {
    let entry = |Missed { schedule_id, count, is_exact, first, last, .. }| {
        (schedule_id.expression().unwrap_or_default(), count, is_exact, first.to_string(), last.to_string())
    };
    schedules.missed().into_iter().map(entry).collect()
}

fn entry(expression: &str, count: u64, is_exact: bool, first: &str, last: &str) -> (String, u64, bool, String, String) {
    (expression.into(), count, is_exact, first.into(), last.into())
}

#[test]
fn an_occurrence_as_old_as_the_window_fires_and_an_older_one_is_missed() {
    let due = at("2026-01-01T09:00:00Z");
    for (window, late, fires) in
        [(3_600, 3_600_000, true), (3_600, 3_600_001, false), (0, 60_000, true), (59, 60_001, false)]
    {
        let (clock, shared) = clock();
        let schedules = MemorySchedules::new(shared).with_catch_up(secs(window));
        create(&schedules, Specification::new("at(2026-01-01T09:00:00)"));
        clock.advance_to(due + std::time::Duration::from_millis(late));
        assert_eq!(schedules.take_due(10).len(), usize::from(fires), "{window} {late}");
        assert_eq!(schedules.missed().len(), usize::from(!fires), "{window} {late}");
        assert_eq!(schedules.next_due(), None);
    }
}

#[test]
fn what_is_missed_is_accounted_for_by_schedule() {
    let (clock, shared) = clock();
    let schedules = MemorySchedules::new(shared);
    create(&schedules, Specification::new("rate(20 minutes)"));
    create(&schedules, Specification::new("cron(30 9 * * ? *)"));
    let ended = create(&schedules, Specification::new("rate(1 hour)").with_end(at("2026-01-01T05:30:00Z")));
    create(&schedules, Specification::new("rate(9 days)"));
    clock.advance_to(at("2026-01-04T00:30:00Z"));
    let fired = schedules.take_due(1_000);
    assert_eq!(
        times(&fired[..2]),
        ["2026-01-03T00:40:00Z", "2026-01-03T01:00:00Z"],
        "24 hours, if nobody says otherwise"
    );
    assert_eq!(fired.len(), 72 + 1);
    let twenty = entry("rate(20 minutes)", 72 + 72 + 1, true, "2026-01-01T00:20:00Z", "2026-01-03T00:20:00Z");
    let daily = entry("cron(30 9 * * ? *)", 2, true, "2026-01-01T09:30:00Z", "2026-01-02T09:30:00Z");
    let over = entry("", 5, true, "2026-01-01T01:00:00Z", "2026-01-01T05:00:00Z");
    assert_eq!(account(&schedules).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([over, daily.clone(), twenty]));
    // The next time some are missed, the same entry tells of all.
    now(schedules.delete(&ended.key())).unwrap();
    clock.advance_to(at("2026-01-07T00:30:00Z"));
    assert_eq!(schedules.take_due(1_000).len(), 72 + 1);
    let twenty = entry("rate(20 minutes)", 2 * 145 - 1, true, "2026-01-01T00:20:00Z", "2026-01-06T00:20:00Z");
    let daily = entry("cron(30 9 * * ? *)", 4, true, "2026-01-01T09:30:00Z", "2026-01-05T09:30:00Z");
    assert_eq!(account(&schedules).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([daily, twenty]));
}

#[test]
fn a_window_of_the_schedule_is_no_lateness() {
    let (clock, shared) = clock();
    let schedules = MemorySchedules::new(shared).with_catch_up(secs(60));
    for minute in 0..20 {
        create(&schedules, Specification::new(format!("cron({minute} 9 1 1 ? 2026)")).with_window_minutes(600));
    }
    let mut fired = 0;
    while let Some(due) = schedules.next_due() {
        clock.advance_to(due + std::time::Duration::from_secs(if fired < 10 { 60 } else { 61 }));
        fired += schedules.take_due(1).len();
    }
    assert_eq!((fired, schedules.missed().len()), (10, 10));
}

/// What is missed in centuries is jumped over: a step for each would take minutes.
#[test]
fn catching_up_does_not_step_through_what_is_missed() {
    let (clock, shared) = clock();
    let schedules = MemorySchedules::new(shared);
    create(&schedules, Specification::new("rate(1 minute)"));
    create(&schedules, Specification::new("cron(* * * * ? *)"));
    clock.advance_to(at("2190-01-01T00:00:00Z"));
    assert_eq!(times(&schedules.take_due(2)), ["2189-12-31T00:00:00Z"; 2]);
    let minutes = (at("2189-12-31T00:00:00Z").as_second() - at(common::START).as_second()) / 60 - 1;
    let (first, last) = ("2026-01-01T00:01:00Z", "2189-12-30T23:59:00Z");
    let counted = entry("cron(* * * * ? *)", 10_000, false, first, last);
    let computed = entry("rate(1 minute)", minutes.unsigned_abs(), true, first, last);
    assert_eq!(account(&schedules), [counted, computed]);
}

#[test]
fn schedules_whose_delivery_always_fails_keep_no_others_from_firing() {
    let (clock, shared) = clock();
    let schedules = MemorySchedules::new(shared);
    let broken: Vec<_> = (0..50)
        .map(|second| {
            Specification::new("rate(1 minute)").with_start(at(common::START) + std::time::Duration::from_secs(second))
        })
        .map(|specification| create(&schedules, specification).schedule_id)
        .collect();
    let sound = create(&schedules, Specification::new("rate(10 minutes)")).schedule_id;
    let (mut fired, mut most) = (0, 0);
    for _ in 0..26 * 6 {
        clock.advance(secs(600));
        for firing in schedules.take_due(usize::MAX) {
            if broken.contains(&firing.input.schedule_id) {
                schedules.give_back(firing);
            } else {
                assert_eq!(
                    (&firing.input.schedule_id, firing.input.scheduled_time),
                    (&sound, Some(clock.now())),
                    "on time"
                );
                fired += 1;
            }
        }
        most = most.max(schedules.waiting());
    }
    assert_eq!(fired, 26 * 6);
    // 50 a minute for 24 hours would be 72 000.
    assert!((5_000..=5_050).contains(&most), "{most}");
    assert!(schedules.given_up() > 0, "those that were given up made room for others of the same");
}

#[test]
fn what_has_been_due_for_longest_is_taken_first_given_back_or_not() {
    let (clock, shared) = clock();
    let schedules = MemorySchedules::new(shared);
    create(&schedules, Specification::new("at(2026-01-01T00:01:00)"));
    clock.advance(secs(60));
    // Comes due again within a second.
    schedules.give_back(schedules.take_due(1).remove(0));
    create(&schedules, Specification::new("cron(2,3,4 0 1 1 ? 2026)"));
    clock.advance(secs(60));
    schedules.take_due(1).into_iter().for_each(|firing| schedules.give_back(firing));
    clock.advance(secs(120));
    assert_eq!(times(&schedules.take_due(1)), ["2026-01-01T00:02:00Z"], "due a second before what was given back");
    clock.advance(secs(60));
    let rest = ["2026-01-01T00:01:00Z", "2026-01-01T00:03:00Z", "2026-01-01T00:04:00Z"];
    assert_eq!([0; 3].map(|_| times(&schedules.take_due(1)).remove(0)), rest);
}

#[test]
fn while_as_many_wait_as_may_the_wheel_is_the_backlog() {
    let (clock, shared) = clock();
    let schedules = MemorySchedules::new(shared);
    for number in 0..12_000 {
        create(
            &schedules,
            Specification::new("rate(30 minutes)")
                .with_start(at(common::START) + std::time::Duration::from_millis(number)),
        );
    }
    let mut looks = 0;
    let mut time = clock.now();
    while clock.now() < at("2026-01-01T01:10:00Z") {
        let due = schedules.next_due().unwrap();
        assert!(due > clock.now() || schedules.waiting() < 10_000, "nobody is woken for what may not be taken");
        clock.advance_to(due);
        looks += usize::from(clock.now() > time);
        time = clock.now();
        for firing in schedules.take_due(500) {
            schedules.give_back(firing);
        }
        assert!(schedules.waiting() <= 10_000, "{}", schedules.waiting());
    }
    assert!(schedules.waiting() >= 10_000 && looks > 100, "{looks}");
    // Whatever failed comes in the end: every occurrence once.
    let mut taken = BTreeSet::new();
    let end = clock.now();
    while let Some(due) = schedules.next_due().filter(|due| *due <= end || schedules.waiting() > 0) {
        clock.advance_to(due);
        for firing in schedules.take_due(500) {
            let occurrence = (firing.input.schedule_id, firing.input.scheduled_time.unwrap());
            assert!(taken.insert(occurrence), "twice");
        }
    }
    let before = taken.iter().filter(|(_, time)| *time < at("2026-01-01T01:10:00Z")).count();
    // 00:00 of all but the one that begins as it is created; 00:30 and 01:00 of all.
    assert_eq!((before, schedules.missed().len(), schedules.given_up()), (11_999 + 2 * 12_000, 0, 0));
}

#[test]
fn the_newest_dead_letters_are_kept_and_all_are_counted() {
    let (clock, shared) = clock();
    let schedules = MemorySchedules::new(shared);
    create(&schedules, Specification::new("rate(1 minute)"));
    clock.advance(secs(60 * 20));
    for _ in 0..500 {
        clock.advance(secs(60 * 21));
        for mut firing in schedules.take_due(100) {
            firing.attempt = 186;
            schedules.give_back(firing);
        }
    }
    let letters = schedules.dead_letters();
    let total = 20 + 500 * 21;
    assert_eq!((letters.len(), schedules.given_up(), schedules.waiting()), (10_000, total, 0));
    assert!(letters.is_sorted_by_key(|letter| letter.input.scheduled_time));
    assert_eq!(letters[9_999].input.scheduled_time, Some(clock.now()));
}

#[test]
fn a_clock_that_is_set_back_fires_nothing_twice_and_makes_no_wait_longer() {
    let elapsed = ManualClock::at(at(common::START));
    let clock = Settable::new(elapsed.clone());
    let schedules = MemorySchedules::new(Arc::new(clock.clone()));
    create(&schedules, Specification::new("rate(20 minutes)"));
    elapsed.advance(secs(65 * 60));
    let mut firings = schedules.take_due(10);
    assert_eq!(firings.len(), 3);
    firings[0].attempt = 10;
    schedules.give_back(firings.remove(0));
    elapsed.advance(secs(60));
    clock.set_by(-3_600);
    // 00:06 once more: the wait of at most ten minutes ends, and what is created now fires at its time.
    assert!(schedules.take_due(10).is_empty());
    create(&schedules, Specification::new("cron(10,50 0 * * ? *)"));
    assert_eq!(schedules.next_due().map(|due| due < at("2026-01-01T00:15:00Z")), Some(true));
    let mut seen = Vec::new();
    for _ in 0..75 {
        elapsed.advance(secs(60));
        for firing in schedules.take_due(10) {
            seen.push((clock.now().to_string(), times(&[firing]).remove(0)));
        }
    }
    let again = seen.iter().position(|(_, time)| time == "2026-01-01T00:20:00Z").unwrap();
    assert!(seen.remove(again).0.as_str() <= "2026-01-01T00:16:00Z", "{seen:?}");
    let on_time = ["2026-01-01T00:10:00Z", "2026-01-01T00:50:00Z", "2026-01-01T01:20:00Z"];
    assert_eq!(seen, on_time.map(|time| (time.to_owned(), time.to_owned())));
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

    /// Each occurrence fires or is missed, once, and its age alone decides which.
    #[test]
    fn what_does_not_fire_is_accounted_for(
        specifications in prop::collection::vec(specification(), 1..8),
        jumps in prop::collection::vec(1..20_000u64, 1..12),
        window in 60..10_000u64,
    ) {
        let clock = ManualClock::at(at(common::START));
        let schedules = MemorySchedules::new(Arc::new(clock.clone())).with_catch_up(secs(window));
        let created: BTreeSet<_> = specifications.iter().map(|specification| {
            let timetable = Arc::new(specification.timetable(clock.now()).unwrap());
            (create(&schedules, specification.clone()).schedule_id, timetable.after(clock.now()).take(5_000).collect::<Vec<_>>())
        }).collect();
        let mut fired = BTreeSet::new();
        let mut expected = BTreeSet::new();
        let mut missed: Vec<(_, u64, Timestamp, Timestamp)> = Vec::new();
        for jump in jumps {
            let before = clock.now();
            clock.advance(secs(jump));
            let millis = |time: Timestamp| time.as_millisecond();
            for (id, occurrences) in &created {
                let due = occurrences.iter().copied().filter(|at| (millis(before) + 1..=millis(clock.now())).contains(&millis(*at)));
                for occurrence in due {
                    if millis(clock.now()) - millis(occurrence) <= i64::try_from(window).unwrap() * 1_000 {
                        expected.insert((id.clone(), occurrence));
                    } else if let Some((_, count, _, last)) = missed.iter_mut().find(|entry| entry.0 == *id) {
                        (*count, *last) = (*count + 1, occurrence);
                    } else {
                        missed.push((id.clone(), 1, occurrence, occurrence));
                    }
                }
            }
            for firing in schedules.take_due(usize::MAX) {
                prop_assert!(fired.insert((firing.input.schedule_id, firing.input.scheduled_time.unwrap())));
            }
        }
        prop_assert_eq!(fired, expected);
        let found: Vec<_> = schedules.missed().into_iter().map(|entry| (entry.schedule_id, entry.count, entry.first, entry.last)).collect();
        prop_assert_eq!(found, missed.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
    }
}
