//! What a piece of work costs: CPU time of the thread that does it, which others on the machine disturb less than the
//! clock on the wall, and memory, which nothing disturbs.

use std::time::Duration;

use cpu_time::{ProcessTime, ThreadTime};
use kairos::clock::{Clock as _, SystemClock, between};

use crate::allocator::counted;

/// What pieces of work cost, added up. Each is done once to be timed and once more to be counted, as counting takes time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// CPU time of this thread.
    pub(crate) time: Duration,
    /// How many operations were timed.
    pub(crate) timed: usize,
    /// Bytes allocated and still there, less those freed.
    bytes: isize,
    allocations: usize,
    /// How many operations were counted.
    pub(crate) counted: usize,
}

impl Cost {
    /// Does the work and adds how long it took, as so many operations.
    pub(crate) fn time<T>(&mut self, operations: usize, work: impl FnOnce() -> T) -> T {
        let started = ThreadTime::now();
        let result = work();
        self.time += started.elapsed();
        self.timed += operations;
        result
    }

    /// Does the work and adds what it allocated, as so many operations.
    pub(crate) fn count<T>(&mut self, operations: usize, work: impl FnOnce() -> T) -> T {
        let (result, change) = counted(work);
        // Growing and shrinking in place count among these.
        self.bytes += change.bytes_allocated.cast_signed() - change.bytes_deallocated.cast_signed();
        self.allocations += change.allocations + change.reallocations;
        self.counted += operations;
        result
    }

    pub(crate) fn nanos_each(&self) -> f64 {
        self.time.as_secs_f64() * 1e9 / each(self.timed)
    }

    #[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
    pub(crate) fn bytes_each(&self) -> f64 {
        self.bytes as f64 / each(self.counted)
    }

    #[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
    pub(crate) fn allocations_each(&self) -> f64 {
        self.allocations as f64 / each(self.counted)
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
fn each(operations: usize) -> f64 {
    operations.max(1) as f64
}

/// What each side costs, the sides taking turns: the median round of each, so that what disturbs the machine for a while
/// disturbs both alike, and is left out if it was brief. A side is called twice before that, to warm up, and once after it, to be counted.
///
/// A side does a batch of its work and answers how many operations that was. It is called as often as a round needs to
/// be long beside the reading of the clock.
pub(crate) fn in_turns<const SIDES: usize>(
    rounds: usize,
    mut sides: [&mut dyn FnMut() -> usize; SIDES],
) -> [Cost; SIDES] {
    const ROUND: Duration = Duration::from_millis(5);

    let batches = sides.each_mut().map(|side| {
        side();
        let mut once = Cost::default();
        once.time(0, side);
        ROUND.as_nanos().div_ceil(once.time.as_nanos().max(1))
    });
    let mut costs: [Vec<Cost>; SIDES] = std::array::from_fn(|_| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for ((side, costs), batches) in sides.iter_mut().zip(&mut costs).zip(batches) {
            let mut cost = Cost::default();
            cost.timed = cost.time(0, || (0..batches).map(|_| side()).sum());
            costs.push(cost);
        }
    }
    std::array::from_fn(|index| {
        let mut cost = median(std::mem::take(&mut costs[index]));
        cost.counted = cost.count(0, &mut sides[index]);
        cost
    })
}

/// The round in the middle by time of an operation; nothing where there was none.
pub(crate) fn median(mut rounds: Vec<Cost>) -> Cost {
    rounds.sort_by(|one, other| one.nanos_each().total_cmp(&other.nanos_each()));
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}

/// What work on several threads costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parallel {
    /// CPU time of the whole program.
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

impl Parallel {
    pub(crate) fn of(work: impl FnOnce()) -> Self {
        let (cpu, wall) = (ProcessTime::now(), SystemClock.now());
        work();
        Self { cpu: cpu.elapsed(), wall: between(wall, SystemClock.now()) }
    }
}
