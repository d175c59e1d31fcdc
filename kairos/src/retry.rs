//! How long to wait before trying again.

use std::future::Future;
use std::time::Duration;

use crate::clock::{Clock, ClockExt as _};
use crate::error::{Error, Result};

/// Exponential backoff with jitter: each wait is up to twice the one before, and half of it is spread.
///
/// The spread is derived from an identifier, so that many that failed together do not come back together, and the same one
/// always waits the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first wait.
    pub base: Duration,
    /// The longest wait at all.
    pub max: Duration,
}

impl Backoff {
    /// Waits from `base` on, never longer than `max`.
    #[must_use]
    pub const fn new(base: Duration, max: Duration) -> Self {
        Self { base, max }
    }

    /// The wait after the `attempt`-th failure, from 1, for whatever `seed` identifies:
    /// between half and all of `base · 2^(attempt-1)`, at most `max`.
    #[must_use]
    pub fn delay(&self, attempt: u32, seed: u128) -> Duration {
        let doubled = 2u32.saturating_pow(attempt.saturating_sub(1));
        let longest = self.base.saturating_mul(doubled).min(self.max);
        longest / 2 + (longest / 2).mul_f64(spread(seed, attempt))
    }
}

/// The result of `operation`, tried again while it fails with an error that [is retryable](Error::is_retryable), `attempts` times at most.
pub(crate) async fn retrying<T, F, Fut>(
    clock: &dyn Clock,
    attempts: u32,
    backoff: Backoff,
    seed: u128,
    mut operation: F,
) -> Result<T>
where
    F: FnMut() -> Fut + Send,
    Fut: Future<Output = Result<T>> + Send,
{
    let mut attempt = 1;
    loop {
        match operation().await {
            Err(error) if error.is_retryable() && attempt < attempts => {
                clock.sleep(pause(&error, backoff, attempt, seed)).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

/// As long as the service asks for, or as the backoff says.
pub(crate) fn pause(error: &Error, backoff: Backoff, attempt: u32, seed: u128) -> Duration {
    error.retry_after().unwrap_or_else(|| backoff.delay(attempt, seed))
}

/// A number from 0 to 1 that looks random: the finaliser of `SplitMix64` (Steele, Lea and Flood 2014) over the seed.
#[allow(clippy::cast_possible_truncation, reason = "both halves of the seed are used")]
fn spread(seed: u128, attempt: u32) -> f64 {
    let mut bits = (seed as u64) ^ ((seed >> 64) as u64) ^ (u64::from(attempt) << 32);
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_secs(4), Duration::from_secs(60));

    #[test]
    fn waits_double_up_to_the_longest() {
        for (attempt, longest) in [(1, 4), (2, 8), (3, 16), (4, 32), (5, 60), (40, 60), (u32::MAX, 60)] {
            for seed in 0..50u128 {
                let delay = BACKOFF.delay(attempt, seed << 40);
                let longest = Duration::from_secs(longest);
                assert!(longest / 2 <= delay && delay <= longest, "{attempt}: {delay:?}");
            }
        }
    }

    #[test]
    fn waits_are_spread_by_seed_and_repeatable() {
        let waits: std::collections::BTreeSet<_> = (0..100u128).map(|seed| BACKOFF.delay(3, seed)).collect();
        assert!(waits.len() > 90);
        assert_eq!(BACKOFF.delay(3, 7), BACKOFF.delay(3, 7));
        let upper = (0..1_000u128).filter(|seed| BACKOFF.delay(3, *seed) > Duration::from_secs(12)).count();
        assert!((400..600).contains(&upper), "{upper} of 1000 in the upper half");
    }
}
