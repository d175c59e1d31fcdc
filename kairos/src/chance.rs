//! Chance, drawn in this one place: from the system, or from a seed so that a run can be repeated.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use crate::model::Owner;

/// A source of fresh identifiers: owners of leases, and keys of manual runs that brought none.
///
/// What only needs to be spread, such as the jitter of a retry, is derived from identifiers instead and needs no chance.
#[derive(Debug)]
pub struct Chance {
    rng: Mutex<StdRng>,
    /// The half that all owners have in common until something is mixed in, and how many there were.
    owners: AtomicU64,
    owned: AtomicU64,
}

impl Chance {
    /// Unpredictable, seeded by the operating system.
    ///
    /// # Panics
    /// If the operating system has no randomness to give: nothing on that machine can draw a unique id.
    #[must_use]
    #[allow(clippy::expect_used, reason = "without randomness no identifier would be unique; see # Panics")]
    pub fn from_system() -> Self {
        let rng = StdRng::try_from_rng(&mut SysRng).expect("the operating system provides randomness");
        Self::new(rng)
    }

    /// The same sequence for the same seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self::new(StdRng::seed_from_u64(seed))
    }

    fn new(mut rng: StdRng) -> Self {
        Self { owners: AtomicU64::new(rng.next_u64()), owned: AtomicU64::new(0), rng: Mutex::new(rng) }
    }

    /// A fresh random identifier (UUID version 4).
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        // The generator stays valid whatever panicked while holding it.
        let mut rng = self.rng.lock();
        rng.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A fresh owner (UUID version 8, RFC 9562). There is one for each delivery: a draw for all of them, by which they differ from those of
    /// other sources, and a number for each.
    #[must_use]
    pub fn owner(&self) -> Owner {
        let (owners, owned) = (self.owners.load(Ordering::Relaxed), self.owned.fetch_add(1, Ordering::Relaxed));
        let bytes = Uuid::from_u64_pair(owners, owned).into_bytes();
        Owner::new(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Mixes in what another source has drawn. What comes from then on depends on both, and repeats nothing that either has given
    /// out: for state that is read back and holds identifiers of the source that it was written under.
    ///
    /// ```
    /// use kairos::chance::Chance;
    ///
    /// let before = Chance::from_seed(0);
    /// let key = before.uuid();
    /// let after = Chance::from_seed(0);
    /// after.mix(before.uuid());
    /// assert_ne!(after.uuid(), key);
    /// ```
    pub fn mix(&self, drawn: Uuid) {
        let mut seed = [0; 32];
        let (own, other) = seed.split_at_mut(16);
        let mut rng = self.rng.lock();
        rng.fill_bytes(own);
        other.copy_from_slice(drawn.as_bytes());
        *rng = StdRng::from_seed(seed);
        self.owners.store(rng.next_u64(), Ordering::Relaxed);
    }
}

impl Default for Chance {
    fn default() -> Self {
        Self::from_system()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_the_system_does_not() {
        let (one, two) = (Chance::from_seed(7), Chance::from_seed(7));
        let first = one.uuid();
        assert_eq!(first, two.uuid());
        assert_ne!(first, one.uuid());
        assert_ne!(Chance::from_system().uuid(), Chance::from_system().uuid());
    }

    #[test]
    fn no_owner_comes_twice() {
        let [one, two, other] = [7, 7, 8].map(Chance::from_seed);
        let first = one.owner();
        assert_eq!(first, two.owner(), "a run can be repeated");
        two.mix(one.uuid());
        let owners = [first, one.owner(), two.owner(), other.owner(), other.owner(), Owner::new(one.uuid())];
        assert_eq!(owners.iter().collect::<std::collections::BTreeSet<_>>().len(), owners.len());
    }

    #[test]
    fn what_is_mixed_in_decides_and_is_not_repeated() {
        let drawn = Chance::from_seed(7).uuid();
        let next = |seed: u64, drawn: Uuid| {
            let chance = Chance::from_seed(seed);
            chance.mix(drawn);
            chance.uuid()
        };
        assert_eq!(next(7, drawn), next(7, drawn), "a run can be repeated");
        assert_ne!(next(7, drawn), next(8, drawn));
        assert_ne!(next(7, drawn), next(7, Uuid::nil()));
        assert_ne!(next(7, drawn), drawn);
    }
}
