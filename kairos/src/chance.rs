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
}
