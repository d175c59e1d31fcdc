//! A day of a million triggers in `MemorySchedules`, beside the least that would fire them, and beside a peer.

mod bare;
mod peer;

use std::sync::Arc;

use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use kairos::Specification;
use kairos::backend::{ScheduleBackend as _, Trigger};
use kairos::clock::ManualClock;
use kairos_memory::MemorySchedules;

use crate::measure::Cost;
use crate::table::{Table, number};

/// How many operations are measured at once, so that what they work on is made outside the measurement.
const CHUNK: u32 = 10_000;
const MINUTES_PER_DAY: u32 = 24 * 60;
/// The minute of the day at which a tenth of all triggers fires, or all of them.
const RUSH: u32 = 9 * 60;

/// What fires triggers.
trait Timers {
    /// Adds triggers. The first is the one of this number, and so on.
    fn add(&mut self, first: u32, triggers: &[Trigger]);
    /// Whether it knows what is next.
    fn is_next_known(&mut self) -> bool;
    /// Fires all that is due, and sets each for its next occurrence. How many were due.
    fn fire(&mut self, now: Timestamp) -> usize;
    /// Cancels triggers, each with its number.
    fn cancel(&mut self, triggers: &[(u32, Trigger)]);
}

/// When triggers fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// Over the day, a tenth of them in one minute.
    Spread,
    /// All in one minute.
    Together,
}

#[derive(Debug, Default)]
struct Costs {
    register: Cost,
    idle: Cost,
    rush: Cost,
    day: Cost,
    together: Cost,
    cancel: Cost,
}

/// Prints what `count` triggers cost, and what a hundredth and a tenth of them do.
pub(crate) fn run(count: u32) {
    println!(
        "distinct daily schedules, a tenth of them due in one minute; and as many that are all due in one minute\n"
    );
    crate::memory::run();
    let header = ["CPU ns each", "bytes", "register", "idle", "fire: a tenth", "all", "over the day", "cancel half"];
    let mut table = Table::new(&header);
    let ours = |count: u32| measure(count, Kairos::new);
    let (few, some, all) = (ours(count / 100), ours(count / 10), ours(count));
    for (count, costs) in [(count / 100, &few), (count / 10, &some), (count, &all)] {
        table.row(&format!("kairos, {count}"), cells(costs));
    }
    let evaluated = [
        ("map of minutes to lists", measure(count, bare::Minutes::new)),
        ("the same, evaluated together", measure(count, bare::Minutes::together)),
        ("binary heap", measure(count, bare::Heap::new)),
        ("tokio-util's DelayQueue", measure(count, bare::Delays::new)),
    ];
    for (name, costs) in &evaluated {
        table.row(&format!("{name}, {count}"), cells(costs));
    }
    let blind = measure(count, bare::Blind::new);
    table.row(&format!("map of minutes, nothing evaluated, {count}"), cells(&blind));
    table.print();

    let mut table = Table::new(&["kairos's cost in times that of", "fire: a tenth", "all", "over the day"]);
    let ratio = |theirs: &Costs| {
        [
            all.rush.nanos_each() / theirs.rush.nanos_each(),
            all.together.nanos_each() / theirs.together.nanos_each(),
            all.day.nanos_each() / theirs.day.nanos_each(),
        ]
    };
    for (name, costs) in &evaluated {
        table.row(name, ratio(costs).map(number));
    }
    table.row("map of minutes, nothing evaluated", ratio(&blind).map(number));
    table.print();

    let counts = [count / 100, count / 10, count];
    let header: Vec<_> = counts.iter().map(|count| format!("of {count}")).collect();
    let header: Vec<_> =
        std::iter::once("cancel by id, CPU ns each").chain(header.iter().map(String::as_str)).collect();
    let mut table = Table::new(&header);
    table.row("kairos", [&few, &some, &all].map(|costs| number(costs.cancel.nanos_each())));
    table.row("bare hash table of ids", counts.map(|count| number(bare::remove_by_id(count).nanos_each())));
    table.print();

    println!("allocations of kairos: {} a fire", number(all.day.allocations_each()));
    let (id, both) = text(count);
    println!("bytes of text of a trigger: {id:.1} of its id, {:.1} of its expression\n", both - id);
    peer::run();
}

fn cells(costs: &Costs) -> impl Iterator<Item = String> {
    let times = [&costs.register, &costs.idle, &costs.rush, &costs.together, &costs.day, &costs.cancel];
    std::iter::once(number(costs.register.bytes_each())).chain(times.map(|cost| number(cost.nanos_each())))
}

/// How long the ids are, and ids and expressions together.
fn text(count: u32) -> (f64, f64) {
    let (mut ids, mut all) = (0, 0);
    for specification in (0..count).map(|number| specification(number, Due::Spread)) {
        let id = specification.schedule_id().as_str().len();
        ids += id;
        all += id + specification.expression.len();
    }
    #[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
    let each = |bytes: usize| bytes as f64 / f64::from(count);
    (each(ids), each(all))
}

fn start() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 56)
}

/// Distinct texts that all mean "daily", at a minute of the day that depends on the number.
fn specification(number: u32, due: Due) -> Specification {
    const DAYS: [&str; 4] = ["*", "1-31", "1/1", "*/1"];
    const MONTHS: [&str; 3] = ["*", "1-12", "JAN-DEC"];
    const NINE: [&str; 10] =
        ["0 9", "00 9", "000 9", "0-0 9", "00-0 9", "0 09", "00 09", "000 09", "0-0 09", "00-0 09"];
    let in_words = |minute: u32| format!("{} {}", minute % 60, minute / 60);
    let (time, variant) = match (due, number % 10) {
        (Due::Together, last) => (NINE[last as usize].to_owned(), number / 10),
        (Due::Spread, 0) => (in_words(RUSH), number / 10),
        (Due::Spread, last) => (in_words(number % MINUTES_PER_DAY), number / MINUTES_PER_DAY * 10 + last),
    };
    let (days, variant) = (DAYS[variant as usize % DAYS.len()], variant / 4);
    let (months, variant) = (MONTHS[variant as usize % MONTHS.len()], variant / 3);
    let (first, last) = (1970 + variant % 55, 2040 + variant / 55 % 160);
    Specification::new(format!("cron({time} {days} {months} ? {first}-{last})"))
}

fn trigger(number: u32, due: Due) -> Trigger {
    let specification = specification(number, due);
    Trigger::new(specification.schedule_id(), specification)
}

/// A daily trigger unlike those of all other numbers.
pub(crate) fn daily(number: u32) -> Trigger {
    trigger(number, Due::Spread)
}

fn chunks(count: u32) -> impl Iterator<Item = std::ops::Range<u32>> {
    (0..count).step_by(CHUNK as usize).map(move |from| from..(from + CHUNK).min(count))
}

/// Fires through some minutes of the day, one after the other.
fn fire(timers: &mut impl Timers, minutes: std::ops::Range<u32>, cost: &mut Cost) {
    let ends = minutes.map(|minute| start() + SignedDuration::from_secs(i64::from(minute) * 60 + 59));
    let fired: usize = cost.time(0, || ends.map(|end| timers.fire(end)).sum());
    cost.timed += fired;
}

fn measure<T: Timers>(count: u32, new: impl Fn() -> T) -> Costs {
    let mut costs = Costs::default();
    let registered = || register(count, Due::Spread, new(), &mut Cost::default());
    let mut timers = costs.register.count(count as usize, registered);
    costs.day.count(count as usize, || fire(&mut timers, 0..MINUTES_PER_DAY, &mut Cost::default()));
    drop(timers);

    let mut timers = register(count, Due::Spread, new(), &mut costs.register);
    costs.idle.time(1_000, || assert!((0..1_000).all(|_| timers.is_next_known()), "something is next"));
    fire(&mut timers, 0..RUSH, &mut costs.day);
    fire(&mut timers, RUSH..RUSH + 1, &mut costs.rush);
    fire(&mut timers, RUSH + 1..MINUTES_PER_DAY, &mut costs.day);
    assert_eq!(costs.rush.timed + costs.day.timed, count as usize, "each fires once a day");
    for chunk in chunks(count) {
        let triggers: Vec<_> = chunk.step_by(2).map(|number| (number, trigger(number, Due::Spread))).collect();
        costs.cancel.time(triggers.len(), || timers.cancel(&triggers));
    }
    drop(timers);

    let mut timers = register(count, Due::Together, new(), &mut Cost::default());
    fire(&mut timers, 0..MINUTES_PER_DAY, &mut costs.together);
    assert_eq!(costs.together.timed, count as usize, "each fires once a day");
    costs
}

fn register<T: Timers>(count: u32, due: Due, mut timers: T, cost: &mut Cost) -> T {
    for chunk in chunks(count) {
        let triggers: Vec<Trigger> = chunk.clone().map(|number| trigger(number, due)).collect();
        cost.time(triggers.len(), || timers.add(chunk.start, &triggers));
    }
    timers
}

pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    #[allow(clippy::expect_used, reason = "nothing in memory has to wait")]
    future.now_or_never().expect("it does not wait")
}

struct Kairos {
    clock: ManualClock,
    schedules: MemorySchedules,
}

impl Kairos {
    fn new() -> Self {
        let clock = ManualClock::at(start());
        Self { schedules: MemorySchedules::new(Arc::new(clock.clone())), clock }
    }
}

impl Timers for Kairos {
    fn add(&mut self, _: u32, triggers: &[Trigger]) {
        for trigger in triggers {
            assert!(now(self.schedules.create(trigger)).is_ok(), "every specification is sound and distinct");
        }
    }

    fn is_next_known(&mut self) -> bool {
        self.schedules.next_due().is_some()
    }

    fn fire(&mut self, now: Timestamp) -> usize {
        self.clock.advance_to(now);
        std::iter::repeat_with(|| self.schedules.take_due(1_000).len()).take_while(|taken| *taken > 0).sum()
    }

    fn cancel(&mut self, triggers: &[(u32, Trigger)]) {
        for (_, trigger) in triggers {
            assert!(now(self.schedules.delete(&trigger.key())).is_ok(), "it is there");
        }
    }
}
