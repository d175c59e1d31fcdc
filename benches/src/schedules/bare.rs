//! The least that fires the same occurrences: numbers instead of ids, no texts, no lookup, nothing handed on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::poll_fn;
use std::time::Duration;

use futures_util::FutureExt as _;
use hashbrown::HashMap;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use kairos::backend::Trigger;
use kairos::clock::between;
use kairos::timetable::{Bounds, Timetable, WallClock};
use kairos::{Expression, ScheduleId, Specification};
use tokio::runtime::Runtime;
use tokio::task::unconstrained;
use tokio_util::time::{DelayQueue, delay_queue};

use super::{Timers, chunks, daily, start};
use crate::measure::Cost;

const DAY: i64 = 24 * 60 * 60;

/// Expressions by number, all in UTC.
struct Expressions {
    evaluated: Evaluated,
    expressions: Vec<Expression>,
}

enum Evaluated {
    /// Each by itself, as by any crate. The timetable is lent to one after the other: it is there but while it is.
    Alone(Option<Timetable>),
    /// With what was found out about an instant for the one before.
    Together(WallClock),
}

impl Expressions {
    fn alone() -> Self {
        #[allow(clippy::expect_used, reason = "it is sound")]
        let timetable = Specification::new("rate(1 day)").timetable(start()).expect("a timetable");
        Self { evaluated: Evaluated::Alone(Some(timetable)), expressions: Vec::new() }
    }

    fn together() -> Self {
        Self { evaluated: Evaluated::Together(WallClock::new(TimeZone::UTC)), expressions: Vec::new() }
    }

    /// Reads an expression, and tells when it fires first.
    fn add(&mut self, trigger: &Trigger) -> Timestamp {
        #[allow(clippy::expect_used, reason = "every specification is sound")]
        let expression = Expression::parse(&trigger.specification.expression).expect("an expression");
        self.expressions.push(expression);
        self.next(self.expressions.len() - 1, start())
    }

    fn next(&mut self, number: usize, after: Timestamp) -> Timestamp {
        let expression = &self.expressions[number];
        let next = match &mut self.evaluated {
            Evaluated::Alone(lent) => {
                let timetable = lent.take().map(|timetable| timetable.with_expression(*expression));
                let next = timetable.as_ref().and_then(|timetable| timetable.next_after(after));
                *lent = timetable;
                next
            }
            Evaluated::Together(clock) => clock.next_after(expression, &Bounds::default(), after),
        };
        next.unwrap_or(Timestamp::MAX)
    }
}

/// The numbers that are due in each minute.
pub(super) struct Minutes {
    expressions: Expressions,
    minutes: BTreeMap<i64, Vec<u32>>,
}

impl Minutes {
    pub(super) fn new() -> Self {
        Self { expressions: Expressions::alone(), minutes: BTreeMap::new() }
    }

    /// The same, evaluated together.
    pub(super) fn together() -> Self {
        Self { expressions: Expressions::together(), ..Self::new() }
    }
}

impl Timers for Minutes {
    fn add(&mut self, first: u32, triggers: &[Trigger]) {
        for (number, trigger) in (first..).zip(triggers) {
            let due = self.expressions.add(trigger);
            self.minutes.entry(due.as_second() / 60).or_default().push(number);
        }
    }

    fn is_next_known(&mut self) -> bool {
        std::hint::black_box(&self.minutes).first_key_value().is_some()
    }

    fn fire(&mut self, now: Timestamp) -> usize {
        let mut fired = 0;
        while let Some(first) = self.minutes.first_entry().filter(|first| *first.key() <= now.as_second() / 60) {
            let (minute, numbers) = first.remove_entry();
            fired += numbers.len();
            let due = Timestamp::from_second(minute * 60).unwrap_or_default();
            for number in numbers {
                let next = self.expressions.next(number as usize, due);
                self.minutes.entry(next.as_second() / 60).or_default().push(number);
            }
        }
        fired
    }

    /// A search through the list of its minute would be quadratic: all lists are gone through once.
    fn cancel(&mut self, triggers: &[(u32, Trigger)]) {
        let mut cancelled = vec![false; self.expressions.expressions.len()];
        triggers.iter().for_each(|(number, _)| cancelled[*number as usize] = true);
        self.minutes.values_mut().for_each(|numbers| numbers.retain(|number| !cancelled[*number as usize]));
    }
}

/// A heap of due times and numbers.
pub(super) struct Heap {
    expressions: Expressions,
    timers: BinaryHeap<Reverse<(i64, u32)>>,
}

impl Heap {
    pub(super) fn new() -> Self {
        Self { expressions: Expressions::alone(), timers: BinaryHeap::new() }
    }
}

impl Timers for Heap {
    fn add(&mut self, first: u32, triggers: &[Trigger]) {
        for (number, trigger) in (first..).zip(triggers) {
            let due = self.expressions.add(trigger);
            self.timers.push(Reverse((due.as_second(), number)));
        }
    }

    fn is_next_known(&mut self) -> bool {
        std::hint::black_box(&self.timers).peek().is_some()
    }

    fn fire(&mut self, now: Timestamp) -> usize {
        let mut fired = 0;
        while let Some(mut first) = self.timers.peek_mut().filter(|first| first.0.0 <= now.as_second()) {
            let Reverse((due, number)) = *first;
            let due = Timestamp::from_second(due).unwrap_or_default();
            // In its place: the heap is put in order once instead of twice.
            *first = Reverse((self.expressions.next(number as usize, due).as_second(), number));
            fired += 1;
        }
        fired
    }

    fn cancel(&mut self, triggers: &[(u32, Trigger)]) {
        let mut cancelled = vec![false; self.expressions.expressions.len()];
        triggers.iter().for_each(|(number, _)| cancelled[*number as usize] = true);
        self.timers.retain(|Reverse((_, number))| !cancelled[*number as usize]);
    }
}

/// tokio-util's delay queue, on a clock that jumps to what is next when nothing else is to be done.
pub(super) struct Delays {
    expressions: Expressions,
    queue: DelayQueue<u32>,
    keys: Vec<delay_queue::Key>,
    runtime: Runtime,
    started: tokio::time::Instant,
}

impl Delays {
    pub(super) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        #[allow(clippy::expect_used, reason = "without a runtime there is nothing to measure")]
        let runtime = runtime.expect("a runtime");
        let started = runtime.block_on(async { tokio::time::Instant::now() });
        Self { expressions: Expressions::alone(), queue: DelayQueue::new(), keys: Vec::new(), runtime, started }
    }
}

impl Timers for Delays {
    fn add(&mut self, first: u32, triggers: &[Trigger]) {
        let Self { expressions, queue, keys, runtime, started } = self;
        runtime.block_on(async {
            for (number, trigger) in (first..).zip(triggers) {
                let due = expressions.add(trigger);
                keys.push(queue.insert_at(number, *started + between(start(), due)));
            }
        });
    }

    fn is_next_known(&mut self) -> bool {
        std::hint::black_box(&self.queue).peek().is_some()
    }

    fn fire(&mut self, now: Timestamp) -> usize {
        let Self { expressions, queue, keys, runtime, started } = self;
        runtime.block_on(async {
            let ahead = (*started + between(start(), now)).duration_since(tokio::time::Instant::now());
            tokio::time::advance(ahead).await;
            let mut fired = 0;
            // Nothing else is to be done meanwhile: it need not give way.
            while let Some(Some(expired)) = unconstrained(poll_fn(|context| queue.poll_expired(context))).now_or_never()
            {
                let after = expired.deadline().duration_since(*started).as_secs();
                let due = start() + Duration::from_secs(after);
                let number = expired.into_inner();
                let next = expressions.next(number as usize, due);
                keys[number as usize] = queue.insert_at(number, *started + between(start(), next));
                fired += 1;
            }
            fired
        })
    }

    fn cancel(&mut self, triggers: &[(u32, Trigger)]) {
        let Self { queue, keys, runtime, .. } = self;
        runtime.block_on(async {
            for (number, _) in triggers {
                queue.remove(&keys[*number as usize]);
            }
        });
    }
}

/// What it costs to take every other id out of a hash table of so many, whatever it stands for: the least that cancels by name.
pub(super) fn remove_by_id(count: u32) -> Cost {
    let mut ids: HashMap<ScheduleId, u32> = (0..count).map(|number| (daily(number).schedule_id, number)).collect();
    let mut cost = Cost::default();
    for chunk in chunks(count) {
        let triggers: Vec<_> = chunk.step_by(2).map(daily).collect();
        cost.time(triggers.len(), || {
            for trigger in &triggers {
                assert!(ids.remove(&trigger.key().schedule_id).is_some(), "it is there");
            }
        });
    }
    cost
}

/// Minutes again, of what is known to come every day: no expression is evaluated, and none is kept.
pub(super) struct Blind {
    expressions: Expressions,
    minutes: BTreeMap<i64, Vec<u32>>,
    count: usize,
}

impl Blind {
    pub(super) fn new() -> Self {
        Self { expressions: Expressions::alone(), minutes: BTreeMap::new(), count: 0 }
    }
}

impl Timers for Blind {
    fn add(&mut self, first: u32, triggers: &[Trigger]) {
        for (number, trigger) in (first..).zip(triggers) {
            let due = self.expressions.add(trigger);
            self.expressions.expressions.clear();
            self.minutes.entry(due.as_second() / 60).or_default().push(number);
            self.count += 1;
        }
    }

    fn is_next_known(&mut self) -> bool {
        std::hint::black_box(&self.minutes).first_key_value().is_some()
    }

    fn fire(&mut self, now: Timestamp) -> usize {
        let mut fired = 0;
        while let Some(first) = self.minutes.first_entry().filter(|first| *first.key() <= now.as_second() / 60) {
            let (minute, numbers) = first.remove_entry();
            fired += numbers.len();
            for number in numbers {
                self.minutes.entry(minute + DAY / 60).or_default().push(number);
            }
        }
        fired
    }

    fn cancel(&mut self, triggers: &[(u32, Trigger)]) {
        let mut cancelled = vec![false; self.count];
        triggers.iter().for_each(|(number, _)| cancelled[*number as usize] = true);
        self.minutes.values_mut().for_each(|numbers| numbers.retain(|number| !cancelled[*number as usize]));
    }
}
