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

/// Every three of the calls that change what is registered, from the starts in which most is at stake.
fn triples() -> Vec<Scenario> {
    let calls = [Call::RegisterA, Call::RegisterB, Call::UnregisterA, Call::UnregisterB, Call::MoveA, Call::Reconcile];
    let mut scenarios = Vec::new();
    for start in [Start::Empty, Start::A, Start::Abandoned] {
        for (i, one) in calls.into_iter().enumerate() {
            for (j, two) in calls.into_iter().enumerate().skip(i) {
                for three in calls.into_iter().skip(j) {
                    scenarios.push(Scenario { start, calls: vec![one, two, three], mistake: None });
                }
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
    let explored = all_hold(&pairs(), Bounds { crashes: 1, switches: usize::MAX });
    assert!(explored.states > 20_000, "{explored}");
}

#[test]
fn any_three_calls_with_up_to_two_switches_and_a_crash_anywhere() {
    let explored = all_hold(&triples(), Bounds { crashes: 1, switches: 2 });
    assert!(explored.states > 50_000, "{explored}");
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
        let broken = explore(&scenario, Bounds { crashes: 0, switches: usize::MAX }).expect_err("the mistake is seen");
        println!("{broken}");
        assert!(broken.path.len() <= 16, "{broken}");
    }
}
