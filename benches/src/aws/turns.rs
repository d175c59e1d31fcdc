//! Several ways of doing the same work, in turns.

use std::time::Duration;

use kairos::clock::{Clock as _, SystemClock, between};
use tokio::runtime::Runtime;

use super::Outcome;
use crate::measure::{Cost, median};
use crate::table::{Table, number};

/// How many turns of each side come before those that are timed.
pub(super) const WARM_UP: u64 = 2;

/// What each side costs: a first round to warm up, one to be counted, and the others to be timed.
pub(super) struct Turns {
    operations: usize,
    sides: Vec<Side>,
}

struct Side {
    name: &'static str,
    walls: Vec<Duration>,
    times: Vec<Cost>,
    counts: Cost,
}

impl Turns {
    /// Of so many operations a round.
    pub(super) fn new(operations: usize) -> Self {
        Self { operations, sides: Vec::new() }
    }

    /// One side's turn. Sides are listed in the order in which they come first.
    pub(super) fn take(
        &mut self,
        runtime: &Runtime,
        name: &'static str,
        work: impl Future<Output = Outcome<()>>,
    ) -> Outcome<()> {
        let work = || runtime.block_on(work);
        match self.sides.iter_mut().find(|side| side.name == name) {
            // Connections are made and caches filled in the first round, which does not count.
            None => {
                work()?;
                self.sides.push(Side { name, walls: Vec::new(), times: Vec::new(), counts: Cost::default() });
            }
            Some(side) if side.counts.counted == 0 => side.counts.count(self.operations, work)?,
            Some(side) => {
                let (mut cost, start) = (Cost::default(), SystemClock.now());
                cost.time(self.operations, work)?;
                side.walls.push(between(start, SystemClock.now()));
                side.times.push(cost);
            }
        }
        Ok(())
    }

    /// Prints the medians, and how they compare with those of one side.
    pub(super) fn print(self, title: &str, base: &str) {
        #[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
        let operations = self.operations as f64;
        let medians = self.sides.into_iter().map(|Side { name, mut walls, times, counts }| {
            walls.sort();
            let wall = walls.get(walls.len() / 2).copied().unwrap_or_default();
            (name, operations / wall.as_secs_f64(), median(times).nanos_each(), counts.allocations_each())
        });
        let medians: Vec<_> = medians.collect();
        let Some((_, base_rate, base_nanos, _)) = medians.iter().find(|(name, ..)| *name == base) else { return };
        let header = [title, "each second", &format!("/ {base}"), "CPU µs each", "/ same", "allocations"];
        let mut table = Table::new(&header);
        for (name, rate, nanos, allocations) in &medians {
            let cells = [*rate, rate / base_rate, nanos / 1e3, nanos / base_nanos, *allocations];
            table.row(name, cells.map(number));
        }
        table.print();
    }
}
