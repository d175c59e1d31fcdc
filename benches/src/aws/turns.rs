//! Several ways of doing the same work, in turns.

use std::time::Duration;

use kairos::clock::{Clock as _, SystemClock, between};
use tokio::runtime::Runtime;

use super::Outcome;
use crate::measure::{Cost, median};
use crate::table::{Table, number};

/// What each side costs, round by round.
pub(super) struct Turns {
    operations: usize,
    sides: Vec<Side>,
}

struct Side {
    name: &'static str,
    walls: Vec<Duration>,
    costs: Vec<Cost>,
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
        let (mut cost, start) = (Cost::default(), SystemClock.now());
        cost.add(self.operations, || runtime.block_on(work))?;
        let wall = between(start, SystemClock.now());
        match self.sides.iter_mut().find(|side| side.name == name) {
            Some(side) => {
                side.walls.push(wall);
                side.costs.push(cost);
            }
            // Connections are made and caches filled in the first round, which does not count.
            None => self.sides.push(Side { name, walls: Vec::new(), costs: Vec::new() }),
        }
        Ok(())
    }

    /// Prints the medians, and how they compare with those of one side.
    pub(super) fn print(self, title: &str, base: &str) {
        #[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
        let operations = self.operations as f64;
        let medians = self.sides.into_iter().map(|Side { name, mut walls, costs }| {
            walls.sort();
            let wall = walls.get(walls.len() / 2).copied().unwrap_or_default();
            (name, operations / wall.as_secs_f64(), median(costs))
        });
        let medians: Vec<_> = medians.collect();
        let Some((_, base_rate, base_cost)) = medians.iter().find(|(name, ..)| *name == base) else { return };
        let header = [title, "each second", &format!("/ {base}"), "CPU µs each", "/ same", "allocations"];
        let mut table = Table::new(&header);
        for (name, rate, cost) in &medians {
            let nanos = cost.nanos_each();
            let cells = [*rate, rate / base_rate, nanos / 1e3, nanos / base_cost.nanos_each(), cost.allocations_each()];
            table.row(name, cells.map(number));
        }
        table.print();
    }
}
