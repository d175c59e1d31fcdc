//! A day of a million triggers in `MemorySchedules`, beside the same timers in a `BinaryHeap`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use kairos::backend::{ScheduleBackend as _, Trigger, TriggerKey};
use kairos::clock::{Clock as _, ManualClock};
use kairos::{Specification, Timetable};
use kairos_memory::MemorySchedules;

use crate::measure::Cost;
use crate::table::{Table, number};

/// How many operations are measured at once, so that what they work on is made outside the measurement.
const CHUNK: u32 = 10_000;
const MINUTES_PER_DAY: u32 = 24 * 60;
/// The minute of the day at which a tenth of all triggers fires.
const RUSH: u32 = 9 * 60;

#[derive(Debug, Default)]
struct Costs {
    register: Cost,
    idle: Cost,
    rush: Cost,
    day: Cost,
    cancel: Cost,
}

/// Prints what `count` triggers cost.
pub(crate) fn run(count: u32) {
    let text: usize =
        (0..count).map(specification).map(|spec| spec.expression.len() + spec.schedule_id().as_str().len()).sum();
    println!("{count} distinct daily schedules, a tenth of them due in the same minute\n");
    let (wheel, heap) = (wheel(count), heap(count));

    let mut times = Table::new(&["ns per operation", "operations", "kairos", "bare heap", "ratio", "allocations"]);
    for (name, ours, theirs) in [
        ("register", wheel.register, heap.register),
        ("ask what is next, idle", wheel.idle, heap.idle),
        ("fire, all in one minute", wheel.rush, heap.rush),
        ("fire, over the day", wheel.day, heap.day),
        ("cancel every other", wheel.cancel, heap.cancel),
    ] {
        let (ours_each, theirs_each) = (ours.nanos_each(), theirs.nanos_each());
        let ratio = number(ours_each / theirs_each);
        let allocations = number(ours.allocations_each());
        times.row(name, [ours.operations.to_string(), number(ours_each), number(theirs_each), ratio, allocations]);
    }
    times.print();

    let mut bytes = Table::new(&["bytes per schedule", "kairos", "bare heap", "ratio"]);
    let (ours, theirs) = (wheel.register.bytes_each(), heap.register.bytes_each());
    bytes.row("all", [number(ours), number(theirs), number(ours / theirs)]);
    #[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
    let text = text as f64 / f64::from(count);
    bytes.row("of these, id and expression as text", [number(text)]);
    bytes.print();
    println!(
        "The bare heap holds due times and timetables: no ids, no texts, no lookup, no deletion but by mark and sweep."
    );
}

fn start() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 56)
}

/// Distinct texts that all mean "daily", at a minute of the day that depends on the number.
fn specification(number: u32) -> Specification {
    const DAYS: [&str; 4] = ["*", "1-31", "1/1", "*/1"];
    const MONTHS: [&str; 3] = ["*", "1-12", "JAN-DEC"];
    let (minute, variant) = match number % 10 {
        0 => (RUSH, number / 10),
        _ => (number % MINUTES_PER_DAY, number / MINUTES_PER_DAY * 10 + number % 10),
    };
    let (days, variant) = (DAYS[variant as usize % DAYS.len()], variant / 4);
    let (months, variant) = (MONTHS[variant as usize % MONTHS.len()], variant / 3);
    let (first, last) = (1970 + variant % 55, 2040 + variant / 55 % 160);
    Specification::new(format!("cron({} {} {days} {months} ? {first}-{last})", minute % 60, minute / 60))
}

fn trigger(number: u32) -> Trigger {
    let specification = specification(number);
    Trigger::new(specification.schedule_id(), specification)
}

fn chunks(count: u32) -> impl Iterator<Item = std::ops::Range<u32>> {
    (0..count).step_by(CHUNK as usize).map(move |from| from..(from + CHUNK).min(count))
}

fn minutes() -> impl Iterator<Item = (u32, Timestamp)> {
    (0..MINUTES_PER_DAY).map(|minute| (minute, start() + SignedDuration::from_mins(i64::from(minute) + 1)))
}

fn now<T>(future: impl Future<Output = T>) -> T {
    #[allow(clippy::expect_used, reason = "nothing in memory has to wait")]
    future.now_or_never().expect("it does not wait")
}

fn wheel(count: u32) -> Costs {
    let mut costs = Costs::default();
    let clock = ManualClock::at(start());
    let schedules = costs.register.add(0, || MemorySchedules::new(Arc::new(clock.clone())));
    for chunk in chunks(count) {
        let triggers: Vec<Trigger> = chunk.map(trigger).collect();
        let created = costs
            .register
            .add(triggers.len(), || triggers.iter().filter(|trigger| now(schedules.create(trigger)).is_ok()).count());
        assert_eq!(created, triggers.len(), "every specification is sound and distinct");
    }
    assert_eq!(schedules.len(), count as usize, "every specification is distinct");
    let asked = costs.idle.add(1_000, || (0..1_000).filter_map(|_| schedules.next_due()).count());
    assert_eq!(asked, 1_000);
    let take = |most| {
        let mut taken = 0;
        loop {
            match schedules.take_due(1_000).len() {
                0 => return taken,
                some => taken += some,
            }
            assert!(taken <= most, "nothing fires twice");
        }
    };
    for (minute, end) in minutes() {
        clock.advance_to(end - SignedDuration::from_secs(1));
        let cost = if minute == RUSH { &mut costs.rush } else { &mut costs.day };
        let taken = cost.add(0, || take(count as usize));
        cost.operations += taken;
    }
    assert_eq!(costs.rush.operations + costs.day.operations, count as usize, "each fires once a day");
    for chunk in chunks(count) {
        let keys: Vec<TriggerKey> = chunk.step_by(2).map(|number| trigger(number).key()).collect();
        costs.cancel.add(keys.len(), || keys.iter().for_each(|key| drop(now(schedules.delete(key)))));
    }
    assert_eq!(schedules.len(), count as usize / 2);
    costs
}

/// The least that fires the same occurrences.
struct Heap {
    timers: BinaryHeap<Reverse<(Timestamp, u32)>>,
    timetables: Vec<Timetable>,
    cancelled: Vec<bool>,
}

fn heap(count: u32) -> Costs {
    let mut costs = Costs::default();
    let clock = ManualClock::at(start());
    let mut heap = Heap { timers: BinaryHeap::new(), timetables: Vec::new(), cancelled: Vec::new() };
    for chunk in chunks(count) {
        let specifications: Vec<Specification> = chunk.clone().map(specification).collect();
        costs.register.add(specifications.len(), || {
            for (number, specification) in chunk.zip(&specifications) {
                let Ok(timetable) = specification.timetable(clock.now()) else { continue };
                if let Some(next) = timetable.next_after(clock.now()) {
                    heap.timers.push(Reverse((next, number)));
                }
                heap.timetables.push(timetable);
                heap.cancelled.push(false);
            }
        });
    }
    let asked = costs.idle.add(1_000, || (0..1_000).filter_map(|_| std::hint::black_box(&heap.timers).peek()).count());
    assert_eq!(asked, 1_000);
    for (minute, end) in minutes() {
        clock.advance_to(end - SignedDuration::from_secs(1));
        let cost = if minute == RUSH { &mut costs.rush } else { &mut costs.day };
        let taken = cost.add(0, || heap.fire(clock.now()));
        cost.operations += taken;
    }
    assert_eq!(costs.rush.operations + costs.day.operations, count as usize, "each fires once a day");
    costs.cancel.add(count as usize / 2, || {
        (0..count as usize).step_by(2).for_each(|number| heap.cancelled[number] = true);
        let Heap { timers, cancelled, .. } = &mut heap;
        timers.retain(|Reverse((_, number))| !cancelled[*number as usize]);
    });
    costs
}

impl Heap {
    fn fire(&mut self, now: Timestamp) -> usize {
        let mut fired = 0;
        while let Some(Reverse((due, number))) = self.timers.peek().copied().filter(|Reverse((due, _))| *due <= now) {
            self.timers.pop();
            fired += 1;
            if let Some(next) = self.timetables[number as usize].next_after(due) {
                self.timers.push(Reverse((next, number)));
            }
        }
        fired
    }
}
