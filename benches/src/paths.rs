//! The hot paths one by one, for whoever counts their instructions: `scripts/instructions`.

use std::hint::black_box;
use std::sync::Arc;

use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use kairos::backend::{Delivery, Receiver as _, ScheduleBackend as _, Trigger};
use kairos::clock::ManualClock;
use kairos::dispatcher::DispatchRequest;
use kairos::expression::Expression;
use kairos::{Registration, ScheduleId, Specification, Timetable, zone};
use kairos_memory::{Embedded, MemorySchedules, Simulation};

use crate::schedules::daily;

/// A path, and what does it so many times.
type Path = (&'static str, fn(usize));

const PATHS: [Path; 14] = [
    ("parse", parse),
    ("next, UTC", |count| search(count, "UTC", Timetable::next_after)),
    ("next, New York", |count| search(count, "America/New_York", Timetable::next_after)),
    ("previous, UTC", |count| search(count, "UTC", Timetable::previous_before)),
    ("previous, New York", |count| search(count, "America/New_York", Timetable::previous_before)),
    ("never, no such day", |count| never(count, "0 0 30 2 ? *")),
    ("never, always in a gap", |count| never(count, "30 2 ? 3 1#2 2007-2199")),
    ("fire a trigger", fire),
    ("register a trigger beside 10 000", |count| register(count, 10_000)),
    ("cancel a trigger of 10 000", |count| cancel(count, 10_000)),
    ("cancel a trigger of 1 000 000", |count| cancel(count, 1_000_000)),
    ("dispatch a page of 100", dispatch),
    ("execute, claimed and recorded", |count| execute(count, Embedded::builder())),
    ("execute, without history", |count| execute(count, Embedded::builder().without_history())),
];

/// Ten that use everything the dialect has.
pub(crate) const CRONS: [&str; 10] = [
    "* * * * ? *",
    "0/15 8-17 ? * MON-FRI *",
    "0 9 * * ? *",
    "0 9 1,15 * ? *",
    "0 0 L * ? *",
    "0 9 LW * ? *",
    "0 9 15W * ? *",
    "0 12 ? * 6L *",
    "0 9 ? * 2#1 *",
    "0 0 1 1 ? 2030-2040/5",
];

/// The names of all paths.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PATHS.iter().map(|(name, _)| *name)
}

/// Does a path so many times; whether there is such a path.
pub(crate) fn run(name: &str, count: usize) -> bool {
    let path = PATHS.iter().find(|(known, _)| *known == name);
    path.iter().for_each(|(_, run)| run(count));
    path.is_some()
}

/// What is counted: callgrind collects inside of this function alone.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}

fn start() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 56)
}

fn parse(count: usize) {
    counted(&mut || {
        for text in CRONS.iter().cycle().take(count) {
            let _ = black_box(Expression::parse(black_box(text)));
        }
    });
}

fn timetables(texts: &[&str], name: &str) -> Vec<Timetable> {
    let zone = zone::get(name).unwrap_or(jiff::tz::TimeZone::UTC);
    let expressions = texts.iter().filter_map(|text| Expression::parse(text).ok());
    expressions.map(|expression| Timetable::new(expression, zone.clone())).collect()
}

/// From all over a year, the days and the times of day apart from each other.
fn search(count: usize, name: &str, search: fn(&Timetable, Timestamp) -> Option<Timestamp>) {
    let timetables = timetables(&CRONS, name);
    let instants: Vec<_> = (0..16).map(|index| start() + SignedDuration::from_secs(index * 1_973_567)).collect();
    let questions: Vec<_> = instants.iter().flat_map(|at| timetables.iter().map(move |one| (one, *at))).collect();
    counted(&mut || {
        for &(timetable, at) in questions.iter().cycle().take(count) {
            black_box(search(timetable, black_box(at)));
        }
    });
}

fn never(count: usize, text: &str) {
    for timetable in timetables(&[text], "America/New_York") {
        counted(&mut || {
            for _ in 0..count {
                assert_eq!(timetable.next_after(black_box(start())), None);
            }
        });
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    #[allow(clippy::expect_used, reason = "nothing in memory has to wait")]
    future.now_or_never().expect("it does not wait")
}

/// A thousand triggers that fire in every minute.
fn fire(count: usize) {
    const TRIGGERS: usize = 1_000;
    let clock = ManualClock::at(start());
    let schedules = MemorySchedules::new(Arc::new(clock.clone()));
    for number in 0..TRIGGERS {
        let specification = Specification::new("cron(* * * * ? *)").with_group(format!("group-{number}"));
        let created = now(schedules.create(&Trigger::new(specification.schedule_id(), specification)));
        assert!(created.is_ok(), "every specification is sound and distinct");
    }
    counted(&mut || {
        for _ in 0..count.div_ceil(TRIGGERS) {
            clock.advance(SignedDuration::from_mins(1).unsigned_abs());
            assert_eq!(black_box(schedules.take_due(TRIGGERS)).len(), TRIGGERS);
        }
    });
}

fn register_all(schedules: &MemorySchedules, triggers: &mut dyn Iterator<Item = Trigger>) {
    for trigger in triggers {
        assert!(now(schedules.create(&trigger)).is_ok(), "every specification is sound and distinct");
    }
}

fn register(count: usize, others: u32) {
    let schedules = MemorySchedules::new(Arc::new(ManualClock::at(start())));
    register_all(&schedules, &mut (0..others).map(daily));
    let mut triggers = (others..).map(daily).take(count).collect::<Vec<_>>().into_iter();
    counted(&mut || register_all(&schedules, &mut triggers));
}

fn cancel(count: usize, of: u32) {
    let schedules = MemorySchedules::new(Arc::new(ManualClock::at(start())));
    register_all(&schedules, &mut (0..of).map(daily));
    let keys: Vec<_> = (0..of).step_by(2).map(|number| daily(number).key()).take(count).collect();
    counted(&mut || keys.iter().for_each(|key| assert!(now(schedules.delete(key)).is_ok())));
    assert_eq!(schedules.len(), of as usize - count, "each was there");
}

/// How many processes an occurrence has.
const PAGE: usize = 100;

fn installation(builder: kairos_memory::EmbeddedBuilder) -> (Simulation, ScheduleId) {
    let kairos = builder.with_task("nothing", |_| async { Ok(()) }).simulate(ManualClock::at(start()));
    let mut schedule = ScheduleId::from("");
    for number in 0..PAGE {
        let registration = Registration::new(format!("process-{number}"), "cron(0 9 * * ? *)", "kairos:task:nothing")
            .with_parameters(format!(r#"{{"number":{number}}}"#));
        #[allow(clippy::expect_used, reason = "every registration is sound")]
        let registered = now(kairos.scheduler().register(&registration)).expect("registered");
        schedule = registered.process.schedule_id.clone();
    }
    (kairos, schedule)
}

fn occurrences(schedule: &ScheduleId, count: usize) -> Vec<DispatchRequest> {
    let times = (1..).map(|day| start() + SignedDuration::from_hours(24 * day));
    times.take(count).map(|time| DispatchRequest::new(schedule.clone(), time)).collect()
}

fn dispatch(count: usize) {
    let (kairos, schedule) = installation(Embedded::builder());
    let occurrences = occurrences(&schedule, count);
    counted(&mut || {
        for occurrence in &occurrences {
            let dispatched = now(kairos.dispatcher().dispatch(occurrence));
            assert_eq!(dispatched.map_or(0, |dispatched| dispatched.queued), PAGE);
        }
    });
}

fn execute(count: usize, builder: kairos_memory::EmbeddedBuilder) {
    let (kairos, schedule) = installation(builder);
    let mut deliveries: Vec<Delivery> = Vec::new();
    for occurrence in occurrences(&schedule, count.div_ceil(PAGE)) {
        let dispatched = now(kairos.dispatcher().dispatch(&occurrence));
        assert_eq!(dispatched.map_or(0, |dispatched| dispatched.queued), PAGE);
    }
    while let Ok(received) = now(kairos.queue().receive(10, std::time::Duration::ZERO))
        && !received.is_empty()
    {
        deliveries.extend(received);
    }
    deliveries.truncate(count);
    assert_eq!(deliveries.len(), count, "all are received");
    let mut deliveries = deliveries.into_iter();
    counted(&mut || deliveries.by_ref().for_each(|delivery| drop(black_box(now(kairos.executor().handle(&delivery))))));
    assert_eq!(kairos.executor().counts().succeeded, count as u64, "each ran once");
}
