//! The registration protocol, explored: the real scheduler over the in-memory backend, every interleaving of concurrent calls at
//! their awaits, with a crash at any of them. After each step and at the end of each run it is asked whether every promise holds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod explorer;
mod gated;
mod promises;
mod world;

use explorer::{Bounds, Explored, Scenario, explore};
use gated::Mistake;
use world::{Call, Start};

/// Every pair of calls, from every start.
fn pairs() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for start in Start::ALL {
        for (index, one) in Call::ALL.into_iter().enumerate() {
            for other in &Call::ALL[index..] {
                scenarios.push(Scenario { start, calls: vec![one, *other], mistake: None });
            }
        }
    }
    scenarios
}

#[track_caller]
fn all_hold(scenarios: &[Scenario], bounds: Bounds) -> Explored {
    let mut total = Explored::default();
    for scenario in scenarios {
        match explore(scenario, bounds) {
            Ok(explored) => total += explored,
            Err(broken) => panic!("{broken}"),
        }
    }
    println!("{} scenarios: {total}", scenarios.len());
    total
}

#[test]
fn any_two_calls_in_full_with_a_crash_anywhere() {
    let explored = all_hold(&pairs(), Bounds { crashes: 1 });
    assert!(explored.states > 20_000, "{explored}");
}

/// That the exploration can see: each of three mistakes is found, with the shortest run that shows it.
#[test]
fn each_seeded_mistake_is_found() {
    let seeded = [
        (Mistake::OkBeforeTheTriggerExists, vec![Call::RegisterA, Call::RegisterB]),
        (Mistake::JoiningWhatIsHeld, vec![Call::RegisterA, Call::RegisterB]),
        (Mistake::CountOutsideTheTransaction, vec![Call::RegisterA, Call::RegisterB]),
    ];
    for (mistake, calls) in seeded {
        let scenario = Scenario { start: Start::Empty, calls, mistake: Some(mistake) };
        let broken = explore(&scenario, Bounds { crashes: 0 }).expect_err("the mistake is seen");
        println!("{broken}");
        assert!(broken.path.len() <= 20, "{broken}");
    }
}
