//! Chance, drawn in this one place: from the system, or from a seed so that a run can be repeated.

use std::sync::{Mutex, PoisonError};

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};
use uuid::Uuid;

/// A source of fresh identifiers: lease owners, and keys of manual runs that brought none.
///
/// What only needs to be spread, such as the jitter of a retry, is derived from identifiers instead and needs no chance.
#[derive(Debug)]
pub struct Chance(Mutex<StdRng>);

impl Chance {
    /// Unpredictable, seeded by the operating system.
    ///
    /// # Panics
    /// If the operating system has no randomness to give: nothing on that machine can draw a unique id.
    #[must_use]
    #[allow(clippy::expect_used, reason = "without randomness no identifier would be unique; see # Panics")]
    pub fn from_system() -> Self {
        let rng = StdRng::try_from_rng(&mut SysRng).expect("the operating system provides randomness");
        Self(Mutex::new(rng))
    }

    /// The same sequence for the same seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// A fresh random identifier (UUID version 4).
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        // The generator stays valid whatever panicked while holding it.
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rng.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
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
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rng.fill_bytes(own);
        other.copy_from_slice(drawn.as_bytes());
        *rng = StdRng::from_seed(seed);
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
