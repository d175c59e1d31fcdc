//! The registration protocol, explored: the real scheduler over the in-memory backend, every interleaving of concurrent calls at their
//! awaits, with a crash, a fault or a delay at any of them. In each situation, and after reconciling at the end of each run, it is asked
//! whether every promise holds.
//!
//! A call is a function of what it has been answered (`calls.rs`), and the backend one of what it stores (`world.rs`): either is run once
//! for each such case, and its outcome looked up ever after. What is left to the search (`search.rs`) are numbers.
//!
//! Three calls are explored up to a bound on preemptions: a call goes on until it is answered, waits or dies, unless another one is put
//! before it, at most so often in a run. To go deeper by hand, set `KAIROS_PREEMPTIONS` to a number, or to `all` for no bound:
//!
//! ```text
//! KAIROS_PREEMPTIONS=4 cargo test -p kairos --test exploration -- --nocapture
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod calls;
mod faults;
mod gate;
mod mistakes;
mod promises;
mod request;
mod scenario;
mod search;
mod steps;
mod table;
mod universe;
mod world;

use mistakes::Mistake;
use scenario::{Bounds, Call, Scenario, Start};
use search::{Explored, explore, explore_all};
use universe::Universe;

#[track_caller]
fn all_hold(scenarios: &[Scenario], bounds: Bounds) -> Explored {
    match explore_all(scenarios, bounds) {
        Ok(explored) => {
            println!("{} scenarios, {bounds}: {explored}", scenarios.len());
            explored
        }
        Err(broken) => panic!("{broken}"),
    }
}

/// So many preemptions, unless other bounds are asked for.
fn preemptions(most: u32) -> Option<u32> {
    match std::env::var("KAIROS_PREEMPTIONS") {
        Ok(text) if text == "all" => None,
        Ok(text) => Some(text.parse().expect("KAIROS_PREEMPTIONS is a number, or 'all'")),
        Err(_) => Some(most),
    }
}

#[test]
fn any_two_calls_in_full_with_a_crash_anywhere() {
    let explored = all_hold(&scenario::all(2), Bounds { crashes: 1, ..Bounds::default() });
    assert!(explored.states > 20_000, "{explored}");
}

#[test]
fn any_two_calls_in_full_with_a_fault_or_a_late_request_and_a_crash_anywhere() {
    let explored = all_hold(&scenario::all(2), Bounds { crashes: 1, faults: 1, ..Bounds::default() });
    assert!(explored.states > 20_000, "{explored}");
}

#[test]
fn any_two_calls_in_full_held_up_anywhere_until_every_hold_has_ended() {
    let explored = all_hold(&scenario::all(2), Bounds { lapses: 1, ..Bounds::default() });
    assert!(explored.states > 20_000, "{explored}");
}

#[test]
fn any_three_calls_up_to_a_bound_on_preemptions_with_a_crash_anywhere() {
    let bounds = Bounds { preemptions: preemptions(3), crashes: 1, ..Bounds::default() };
    let explored = all_hold(&scenario::all(3), bounds);
    assert!(explored.states > 2_000_000 || preemptions(3) != Some(3), "{explored}");
}

/// That the exploration can see: each mistake is found, with the shortest run that shows it, and without it the same calls hold.
#[test]
fn each_seeded_mistake_is_found_by_a_short_run() {
    let calm = Bounds::default();
    let lapse = Bounds { lapses: 1, ..calm };
    let (a, b) = (Call::RegisterA, Call::RegisterB);
    let seeded = [
        (Mistake::OkBeforeTheTriggerExists, Start::Empty, vec![a, b], calm, 6),
        (Mistake::JoiningWhatIsBeingCreated, Start::Empty, vec![a, b], calm, 6),
        (Mistake::JoiningWhatIsBeingRetired, Start::A, vec![Call::UnregisterA, b], calm, 8),
        (Mistake::CountOutsideTheTransaction, Start::Empty, vec![a, b], calm, 14),
        (Mistake::TakingOverTooEarly, Start::A, vec![Call::UnregisterA, b], calm, 11),
        (Mistake::DeletingTheTriggerWithoutHolding, Start::A, vec![Call::UnregisterA, b], calm, 11),
        (Mistake::SettlingWhatIsNoLongerMine, Start::Empty, vec![a, Call::UnregisterA], lapse, 13),
    ];
    for (mistake, start, calls, bounds, most_steps) in seeded {
        let right = Scenario { start, calls, mistake: None };
        explore(&right, bounds, &mut Universe::new(None)).unwrap_or_else(|broken| panic!("{broken}"));
        let wrong = Scenario { mistake: Some(mistake), ..right };
        let broken = explore(&wrong, bounds, &mut Universe::new(Some(mistake)))
            .map(|explored| panic!("{mistake:?} is not seen in {explored}"))
            .unwrap_err();
        println!("{broken}");
        assert!(broken.path.len() <= most_steps, "{broken}");
    }
}
