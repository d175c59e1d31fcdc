//! What a piece of work costs: CPU time of the thread that does it, which others on the machine disturb less than the
//! clock on the wall, and memory, which nothing disturbs.

use std::time::Duration;

use cpu_time::ThreadTime;
use stats_alloc::Region;

use crate::ALLOCATOR;

/// What pieces of work cost, added up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// CPU time of this thread.
    pub(crate) time: Duration,
    /// Bytes allocated and still there, less those freed.
    pub(crate) bytes: isize,
    pub(crate) allocations: usize,
    /// How many operations it was.
    pub(crate) operations: usize,
}

impl Cost {
    /// Does the work and adds what it cost, as so many operations.
    pub(crate) fn add<T>(&mut self, operations: usize, work: impl FnOnce() -> T) -> T {
        let region = Region::new(ALLOCATOR);
        let started = ThreadTime::now();
        let result = work();
        self.time += started.elapsed();
        let change = region.change();
        // Growing and shrinking in place count among these.
        self.bytes += change.bytes_allocated.cast_signed() - change.bytes_deallocated.cast_signed();
        self.allocations += change.allocations + change.reallocations;
        self.operations += operations;
        result
    }

    pub(crate) fn nanos_each(&self) -> f64 {
        self.time.as_secs_f64() * 1e9 / self.each()
    }

    #[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
    pub(crate) fn bytes_each(&self) -> f64 {
        self.bytes as f64 / self.each()
    }

    #[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
    pub(crate) fn allocations_each(&self) -> f64 {
        self.allocations as f64 / self.each()
    }

    #[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
    fn each(&self) -> f64 {
        self.operations.max(1) as f64
    }
}
