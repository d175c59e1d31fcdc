//! What goes wrong in a run, and how often: drawn from its seed, so that calm runs with one kind of fault stand beside stormy ones.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};

/// Chance, shared by all of one run.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Arc<Mutex<StdRng>>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    pub(crate) fn below(&self, end: usize) -> usize {
        self.0.lock().unwrap().random_range(0..end)
    }

    pub(crate) fn happens(&self, probability: f64) -> bool {
        self.0.lock().unwrap().random_bool(probability)
    }

    pub(crate) fn between(&self, from: Duration, to: Duration) -> Duration {
        let range = u64::try_from(from.as_millis()).unwrap()..=u64::try_from(to.as_millis()).unwrap();
        Duration::from_millis(self.0.lock().unwrap().random_range(range))
    }

    pub(crate) fn one_of<'a, T>(&self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Probabilities per call, unless said otherwise. Those that are 0 are kinds of fault that this run does not have.
#[derive(Clone, Debug)]
pub(crate) struct Climate {
    /// How many processes each user has: where there are few, schedules come and go with them.
    pub(crate) processes: usize,
    /// Whether anybody reconciles before the end.
    pub(crate) is_reconciled: bool,
    /// A call is refused: throttled, or the service is down.
    pub(crate) refused: f64,
    /// A message of a batch is refused, while others of it are taken. Per message.
    pub(crate) entry_refused: f64,
    /// A call reaches nobody, and its caller waits for an answer in vain.
    pub(crate) request_lost: f64,
    /// A call takes effect, and its answer is lost.
    pub(crate) answer_lost: f64,
    /// A call or its answer is under way for a while.
    pub(crate) slow: f64,
    /// A message is sent twice, or received twice; a trigger is delivered twice.
    pub(crate) doubled: f64,
    /// A trigger is delivered late, behind others. Per delivery.
    pub(crate) delayed: f64,
    /// A call of the scheduler, or a dispatcher, dies on its way. Per call.
    pub(crate) crash: f64,
    /// How long a worker lives at most; `None` is for the whole run.
    pub(crate) worker_life: Option<Duration>,
    /// How often two parties are cut off from each other; `None` is never.
    pub(crate) cut_every: Option<Duration>,
    /// The state of every backend is written out and read back. Per step of anybody.
    pub(crate) rewritten: f64,
}

impl Climate {
    pub(crate) fn drawn(dice: &Dice) -> Self {
        let some = |most: f64| if dice.happens(0.5) { most * [0.2, 0.5, 1.0][dice.below(3)] } else { 0.0 };
        let often = |least: u64, most: u64| {
            dice.happens(0.5).then(|| dice.between(Duration::from_secs(least), Duration::from_secs(most)))
        };
        Self {
            processes: *dice.one_of(&[1, 2, 6]),
            is_reconciled: dice.happens(0.5),
            refused: some(0.08),
            entry_refused: some(0.4),
            request_lost: some(0.04),
            answer_lost: some(0.06),
            slow: some(0.5),
            doubled: some(0.2),
            delayed: some(0.4),
            crash: some(0.3),
            worker_life: often(60, 900),
            cut_every: often(120, 900),
            rewritten: some(0.02),
        }
    }
}
