//! Triggers, each with its place and its next occurrence.

use jiff::Timestamp;
use kairos::Result;
use kairos::backend::Trigger;

use super::Triggers;
use crate::saved;

/// A trigger, the slot that it is in, and its next occurrence if it has one.
pub(crate) type Placed = (u32, Trigger, Option<Timestamp>);

impl Triggers {
    /// All triggers, in the order in which they are due; those that never fire again come last.
    pub(crate) fn placed(&self) -> Vec<Placed> {
        let Self { packed, timers, .. } = self;
        let due = timers.in_order().into_iter().map(|(slot, _)| (slot, true));
        let rest = packed.slots_from(0).map(|(slot, _)| (slot, false)).filter(|(slot, _)| timers.due(*slot).is_none());
        let placed = |(slot, fires): (u32, bool)| {
            let row = packed.get(slot)?;
            Some((slot, self.unpack(slot, row), fires.then(|| row.next())))
        };
        due.chain(rest).filter_map(placed).collect()
    }

    /// The slots that are free, in the order in which they will be filled.
    pub(crate) fn holes(&self) -> Vec<u32> {
        self.packed.holes()
    }

    /// No triggers yet, and the places for those that will be inserted, one after the other.
    ///
    /// # Errors
    /// See [`saved::slab`].
    pub(crate) fn to_be_filled(places: impl Iterator<Item = u32>, holes: &[u32]) -> Result<Self> {
        Ok(Self { packed: saved::slab("Disparadores", places, holes)?, ..Self::new() })
    }
}
