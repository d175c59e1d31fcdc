//! The whole pipeline, simulated with everything that can go wrong: the real scheduler, dispatcher and executor over the in-memory backends,
//! on a manual clock, in an order and with faults that follow from a seed.
//!
//! Users register, move, switch and unregister processes; triggers fire late, twice and out of order; calls are refused, slow,
//! lost on their way or on their way back; parties are cut off from each other; whoever works may die at any await; the state of
//! every backend is written out and read back between any two steps. Then everything heals, and it is asked whether every
//! occurrence of every enabled process ran, once, or lies with the dead letters with its reason.
//!
//! One run by its number, with all that happened: `SEED=17 cargo test -p kairos --test simulation -- --nocapture`.
//! Many more: `SEEDS=100000 cargo test --release -p kairos --test simulation -- --nocapture`, and `FIRST_SEED` where to begin.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod actors;
mod climate;
mod driver;
mod journal;
mod network;
mod oracle;
mod target;
mod world;

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use network::Faults;
use world::{Ran, run};

/// How many runs are made where nobody says otherwise.
const SEEDS: u64 = 1_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// What many runs came to.
#[derive(Default)]
struct Total {
    executions: usize,
    repeated: usize,
    calls: u64,
    polls: u64,
    faults: Faults,
    failed: Vec<(u64, Vec<String>)>,
}

impl Total {
    fn add(&mut self, seed: u64, ran: Result<Ran, String>) {
        match ran {
            Ok(ran) => {
                self.executions += ran.executions;
                self.repeated += ran.repeated;
                self.calls += ran.calls;
                self.polls += ran.polls;
                self.faults += ran.faults;
                if !ran.wrong.is_empty() {
                    self.failed.push((seed, ran.wrong));
                }
            }
            Err(panic) => self.failed.push((seed, vec![panic])),
        }
    }
}

fn caught(seed: u64) -> Result<Ran, String> {
    catch_unwind(|| run(seed, false)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        format!("panicked: {}", text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default())
    })
}

#[test]
fn every_occurrence_runs_once_whatever_goes_wrong() {
    if let Some(seed) = number("SEED") {
        return replay(seed);
    }
    let seeds = number("SEEDS").unwrap_or(SEEDS);
    let first = number("FIRST_SEED").unwrap_or(0);
    let next = AtomicU64::new(first);
    let total = Mutex::new(Total::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    let ran = caught(seed);
                    total.lock().unwrap().add(seed, ran);
                }
            });
        }
    });
    let mut total = total.into_inner().unwrap();
    println!(
        "{seeds} runs: {} calls of the scheduler answered, {} executions, of which {} ran again for a cause, {} steps\n{:#?}",
        total.calls, total.executions, total.repeated, total.polls, total.faults
    );
    total.failed.sort();
    if let Some((seed, wrong)) = total.failed.first() {
        panic!(
            "{} of {seeds} runs broke a promise; the first:\n{}\nSEED={seed} cargo test -p kairos --test simulation -- --nocapture\nall: {:?}",
            total.failed.len(),
            wrong.join("\n"),
            total.failed.iter().map(|(seed, _)| seed).collect::<Vec<_>>()
        );
    }
    if seeds >= SEEDS {
        total.faults.assert_all_happened();
        assert!(total.executions as u64 > 30 * seeds, "{} executions are too few", total.executions);
    }
}

fn replay(seed: u64) {
    let ran = run(seed, true);
    println!("{}\n{:#?}\n{:#?}", ran.trace.join("\n"), ran.climate, ran.faults);
    assert!(ran.wrong.is_empty(), "{}", ran.wrong.join("\n"));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [3, 1_414, 99_999_999] {
        let (one, other) = (run(seed, true), run(seed, true));
        assert!(one.trace.len() > 100);
        assert_eq!(one.trace, other.trace);
        assert_ne!(one.trace, run(seed + 1, true).trace);
    }
}
