//! A year on a manual clock, beside the cost of evaluating the expressions alone.

use std::sync::Arc;

use jiff::Timestamp;
use kairos::backend::{ScheduleBackend as _, Trigger};
use kairos::clock::{Clock as _, ManualClock, between};
use kairos::timetable::Timetable;
use kairos::{Policy, Registration};
use kairos_memory::{Embedded, MemorySchedules};

use crate::measure::Cost;
use crate::schedules::now;
use crate::table::{Table, number};

/// Expressions as they were found in public sources, with their zones.
const FOUND: &str = include_str!("../../kairos/tests/data/expressions_in_the_wild.tsv");
const START: &str = "2026-01-01T00:00:00Z";
const END: &str = "2027-01-01T00:00:00Z";
/// Expressions that fire more often than this in the year, about twice a day, are left out: a few of every minute would be all there is to see.
const MOST: usize = 800;

/// Prints what a year of so many processes costs.
pub(crate) fn run(processes: u32) {
    let (start, end) = (instant(START), instant(END));
    let registrations = registrations(processes, start, end);
    let timetables: Vec<Timetable> =
        registrations.iter().filter_map(|registration| registration.specification().timetable(start).ok()).collect();

    let all = || timetables.iter().map(|timetable| count(timetable, start, end)).sum();
    let evaluated = year(|| all);
    let occurrences = evaluated.timed;
    println!("{processes} processes from {START} to {END}: {occurrences} occurrences\n");

    let mut table = Table::new(&["", "CPU ns each", "each second", "times evaluating", "allocations"]);
    let mut row = |name: &str, cost: &Cost| {
        assert_eq!(cost.timed, occurrences, "every occurrence fires once");
        let nanos = cost.nanos_each();
        table.row(name, [nanos, 1e9 / nanos, nanos / evaluated.nanos_each(), cost.allocations_each()].map(number));
    };
    row("evaluating the expressions of all processes", &evaluated);
    row("a trigger for each process, fired at its times", &year(|| triggers(&registrations, start, end)));
    row("the whole, without history", &year(|| whole(&registrations, start, end, false)));
    row("the whole, claimed and recorded", &year(|| whole(&registrations, start, end, true)));
    table.print();
}

fn instant(text: &str) -> Timestamp {
    #[allow(clippy::expect_used, reason = "both are written above")]
    text.parse().expect("an instant")
}

fn count(timetable: &Timetable, start: Timestamp, end: Timestamp) -> usize {
    timetable.after(start).take_while(|occurrence| *occurrence <= end).count()
}

fn registrations(processes: u32, start: Timestamp, end: Timestamp) -> Vec<Registration> {
    let policy = Policy::default();
    let sound: Vec<Registration> = FOUND
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split('\t');
            let registration = Registration::new("", columns.next()?, "kairos:task:count");
            let zone = columns.next().filter(|zone| !zone.is_empty());
            Some(zone.iter().fold(registration, |registration, zone| registration.with_time_zone(*zone)))
        })
        .filter(|registration| {
            let mut named = registration.clone();
            named.name = "a".into();
            policy.check(&named).is_ok()
        })
        .filter(|registration| {
            let timetable = registration.specification().timetable(start);
            timetable.is_ok_and(|timetable| (1..=MOST).contains(&count(&timetable, start, end)))
        })
        .collect();
    println!(
        "{} of the expressions found fire up to {MOST} times in the year; they are dealt out in turn",
        sound.len()
    );
    let named = |(number, registration): (u32, &Registration)| {
        let mut registration = registration.clone();
        registration.name = format!("process-{number}");
        registration
    };
    (0..processes).zip(sound.iter().cycle()).map(named).collect()
}

/// What a year costs that is prepared once to be timed, and once to be counted. It answers how many occurrences there were.
fn year<R: FnMut() -> usize>(prepare: impl Fn() -> R) -> Cost {
    let mut cost = Cost::default();
    let mut all = prepare();
    cost.timed = cost.time(0, &mut all);
    // Not before: to take down what was prepared is no part of a year.
    drop(all);
    cost.counted = cost.count(0, prepare());
    cost
}

/// Each process with a trigger of its own: as much as is evaluated above.
fn triggers(registrations: &[Registration], start: Timestamp, end: Timestamp) -> impl FnMut() -> usize + use<> {
    let clock = ManualClock::at(start);
    let schedules = MemorySchedules::new(Arc::new(clock.clone()));
    for (group, registration) in registrations.iter().enumerate() {
        let mut specification = registration.specification();
        specification.group = Some(format!("group-{group}"));
        let created = now(schedules.create(&Trigger::new(specification.schedule_id(), specification)));
        assert!(created.is_ok(), "every specification is sound");
    }
    move || {
        let mut fired = 0;
        while let Some(due) = schedules.next_due().filter(|due| *due <= end) {
            clock.advance_to(due);
            fired += schedules.take_due(1_000).len();
        }
        fired
    }
}

fn whole(
    registrations: &[Registration],
    start: Timestamp,
    end: Timestamp,
    has_history: bool,
) -> impl FnMut() -> usize + use<> {
    let clock = ManualClock::at(start);
    let builder = Embedded::builder().with_task("count", |_| async { Ok(()) });
    let builder = if has_history { builder } else { builder.without_history() };
    let mut kairos = builder.simulate(clock.clone());
    for registration in registrations {
        assert!(now(kairos.scheduler().register(registration)).is_ok(), "every registration is sound");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    #[allow(clippy::expect_used, reason = "without a runtime there is nothing to measure")]
    let runtime = runtime.expect("a runtime");
    move || {
        runtime.block_on(kairos.advance(between(clock.now(), end)));
        usize::try_from(kairos.executor().counts().succeeded).unwrap_or_default()
    }
}
