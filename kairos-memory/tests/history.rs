//! The history against a naive list of executions.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeMap;

use common::{at, now, secs, work};
use jiff::{SignedDuration, Timestamp};
use kairos::backend::{Claim, Claimed, ExecutionFilter, History, Outcome};
use kairos::page::{Cursor, PageRequest};
use kairos::{ErrorKind, Execution, ExecutionId, ExecutionState, Failure, Hold, Owner, ProcessId, WorkItem};
use kairos_memory::MemoryHistory;
use proptest::prelude::*;

fn second(second: i64) -> Timestamp {
    at(common::START) + SignedDuration::from_secs(second)
}

const ONE: Owner = Owner::from_u128(1);
const TWO: Owner = Owner::from_u128(2);

fn claim(work: &WorkItem, owner: Owner, now: i64) -> Claim {
    Claim::new(work.clone(), Hold { owner, until: second(now + 60) }, second(now))
}

fn list(history: &MemoryHistory, filter: &ExecutionFilter, limit: usize) -> Vec<Execution> {
    let mut all = Vec::new();
    let mut page = PageRequest::first(limit);
    loop {
        let found = now(history.list(filter, &page)).unwrap();
        assert!(found.items.len() <= limit);
        all.extend(found.items);
        match found.next {
            Some(next) => page = page.with_cursor(next),
            None => return all,
        }
    }
}

fn get(history: &MemoryHistory, work: &WorkItem) -> Execution {
    now(history.get(work.execution_id)).unwrap().unwrap()
}

#[test]
fn a_claim_is_one_delivery_s_until_it_ends() {
    let history = MemoryHistory::new();
    let work = work("a", second(0));
    assert_eq!(now(history.claim(&claim(&work, ONE, 0))).unwrap(), Claimed::Granted { attempt: 1 });
    assert_eq!(now(history.claim(&claim(&work, TWO, 10))).unwrap(), Claimed::Held { until: second(60) });
    // Its own owner asks again, as the answer was lost.
    assert_eq!(now(history.claim(&claim(&work, ONE, 20))).unwrap(), Claimed::Granted { attempt: 1 });
    assert_eq!(now(history.claim(&claim(&work, TWO, 79))).unwrap(), Claimed::Held { until: second(80) });
    now(history.renew(work.execution_id, ONE, second(90))).unwrap();
    assert_eq!(now(history.claim(&claim(&work, TWO, 89))).unwrap(), Claimed::Held { until: second(90) });
    assert_eq!(now(history.claim(&claim(&work, TWO, 90))).unwrap(), Claimed::Granted { attempt: 2 });
    // The first one is out.
    for lost in [
        now(history.renew(work.execution_id, ONE, second(500))),
        now(history.record(&Outcome::new(work.execution_id, ONE, ExecutionState::Succeeded, second(95)))),
        now(history.renew(ExecutionId::of_request(&"x".into(), "x"), ONE, second(500))),
    ] {
        assert_eq!(lost.unwrap_err().kind(), ErrorKind::Lost);
    }
    assert_eq!((get(&history, &work).attempts, get(&history, &work).started_at), (2, second(90)));
}

#[test]
fn an_owner_whose_claim_has_ended_may_still_record_if_nobody_took_over() {
    let history = MemoryHistory::new();
    let work = work("a", second(0));
    now(history.claim(&claim(&work, ONE, 0))).unwrap();
    let outcome = Outcome::new(work.execution_id, ONE, ExecutionState::Succeeded, second(100));
    now(history.record(&outcome)).unwrap();
    now(history.record(&outcome)).unwrap();
    let other = Outcome::new(work.execution_id, ONE, ExecutionState::Dead, second(100));
    assert_eq!(now(history.record(&other)).unwrap_err().kind(), ErrorKind::Lost);
    let running = Outcome::new(work.execution_id, ONE, ExecutionState::Running, second(100));
    assert_eq!(now(history.record(&running)).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(get(&history, &work).finished_at, Some(second(100)));
    assert_eq!(get(&history, &work).state, ExecutionState::Succeeded);
}

#[test]
fn what_failed_is_tried_again_and_the_dead_only_when_redriven() {
    let history = MemoryHistory::new();
    let work = work("a", second(0));
    let failure = Failure { kind: "throttled".into(), text: "busy".into() };
    let record = |owner, state, time| {
        let outcome = Outcome::new(work.execution_id, owner, state, second(time)).with_failure(failure.clone());
        now(history.record(&outcome)).unwrap();
    };
    for (attempt, owner) in (1..).zip([1, 2, 3].map(Owner::from_u128)) {
        assert_eq!(now(history.claim(&claim(&work, owner, 0))).unwrap(), Claimed::Granted { attempt });
        assert_eq!(get(&history, &work).error, None);
        record(owner, if attempt < 3 { ExecutionState::Failed } else { ExecutionState::Dead }, 1);
        assert_eq!(get(&history, &work).error.as_ref(), Some(&failure));
    }
    let again = claim(&work, Owner::from_u128(4), 2);
    assert_eq!(now(history.claim(&again)).unwrap(), Claimed::Finished(ExecutionState::Dead));
    assert_eq!(now(history.claim(&again.with_redriven(true))).unwrap(), Claimed::Granted { attempt: 1 });
    record(Owner::from_u128(4), ExecutionState::Failed, 3);
    // Later deliveries of a redriven message go on counting.
    let again = claim(&work, Owner::from_u128(5), 4);
    assert_eq!(now(history.claim(&again)).unwrap(), Claimed::Granted { attempt: 2 });
    now(history.record(&Outcome::new(work.execution_id, Owner::from_u128(5), ExecutionState::Succeeded, second(5))))
        .unwrap();
    let again = claim(&work, Owner::from_u128(6), 6).with_redriven(true);
    assert_eq!(now(history.claim(&again)).unwrap(), Claimed::Finished(ExecutionState::Succeeded));
}

#[test]
fn executions_are_kept_for_the_retention_after_they_were_last_touched() {
    let history = MemoryHistory::new().with_retention(secs(100));
    let (old, held, new) = (work("a", second(-900)), work("b", second(-900)), work("a", second(0)));
    now(history.claim(&claim(&old, ONE, 0))).unwrap();
    now(history.record(&Outcome::new(old.execution_id, ONE, ExecutionState::Succeeded, second(1)))).unwrap();
    now(history.claim(&claim(&held, ONE, 0))).unwrap();
    now(history.claim(&claim(&new, ONE, 100))).unwrap();
    assert_eq!(history.len(), 3);
    now(history.claim(&claim(&new, ONE, 101))).unwrap();
    assert_eq!(now(history.get(old.execution_id)).unwrap(), None);
    assert_eq!(get(&history, &held).state, ExecutionState::Running, "its claim ended at 60");
    now(history.claim(&claim(&new, ONE, 160))).unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(list(&history, &ExecutionFilter::all(), 10), [get(&history, &new)]);
    // Forgotten is unknown.
    assert_eq!(now(history.claim(&claim(&old, TWO, 161))).unwrap(), Claimed::Granted { attempt: 1 });
}

#[test]
fn a_cursor_is_good_for_its_own_listing_only() {
    let history = MemoryHistory::new();
    for time in 0..5 {
        now(history.claim(&claim(&work("a", second(time)), ONE, time))).unwrap();
    }
    let page = now(history.list(&ExecutionFilter::all(), &PageRequest::first(2))).unwrap();
    let next = PageRequest::first(2).with_cursor(page.next.clone());
    let other = ExecutionFilter::all().with_state(ExecutionState::Running);
    assert_eq!(now(history.list(&other, &next)).unwrap_err().kind(), ErrorKind::Malformed);
    let broken = Cursor::new(format!("{}x", page.next.unwrap()));
    let error = now(history.list(&ExecutionFilter::all(), &PageRequest::first(2).with_cursor(broken))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
}

#[test]
fn of_concurrent_claims_one_is_granted() {
    let history = MemoryHistory::new();
    let works: Vec<_> = (0..200).map(|time| work("a", second(time))).collect();
    let granted: usize = std::thread::scope(|scope| {
        let claimants: Vec<_> = (0..4)
            .map(|owner| {
                let (history, works) = (&history, &works);
                scope.spawn(move || {
                    let granted = |work: &&WorkItem| {
                        now(history.claim(&claim(work, Owner::from_u128(owner), 0))).unwrap()
                            == Claimed::Granted { attempt: 1 }
                    };
                    works.iter().filter(granted).count()
                })
            })
            .collect();
        claimants.into_iter().map(|claimant| claimant.join().unwrap()).sum()
    });
    assert_eq!(granted, works.len());
}

fn state() -> impl Strategy<Value = ExecutionState> {
    use ExecutionState::{Dead, Failed, Running, Skipped, Succeeded};
    prop::sample::select(vec![Running, Succeeded, Failed, Dead, Skipped])
}

proptest! {
    #[test]
    fn it_lists_what_a_sorted_list_would(
        executions in prop::collection::vec((0..6u8, -50..50i64, state()), 0..80),
        process in prop::option::of(0..7u8),
        filtered in prop::option::of(state()),
        from in prop::option::of(-60..60i64),
        until in prop::option::of(-60..60i64),
        limit in 1..9usize,
    ) {
        let history = MemoryHistory::new();
        let mut model: BTreeMap<ExecutionId, Execution> = BTreeMap::new();
        for (process, time, state) in executions {
            // Half seconds before the epoch of a position's whole seconds as well as after it.
            let scheduled = Timestamp::UNIX_EPOCH + SignedDuration::from_millis(time * 500);
            let work = work(&process.to_string(), scheduled);
            let owner = Owner::from_u128(time.abs_diff(i64::MIN).into());
            let mut claim = Claim::new(work.clone(), Hold { owner, until: second(60) }, second(0));
            claim.redriven = true;
            if let Claimed::Granted { .. } = now(history.claim(&claim)).unwrap()
                && state != ExecutionState::Running
            {
                now(history.record(&Outcome::new(work.execution_id, owner, state, second(1)))).unwrap();
            }
            model.insert(work.execution_id, get(&history, &work));
        }
        let half = |time: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_millis(time * 500);
        let mut filter = ExecutionFilter::all().with_from(from.map(half)).with_until(until.map(half));
        filter.state = filtered;
        filter.process = process.map(|process| ProcessId::of(&process.to_string()));
        let listed = list(&history, &filter, limit);
        prop_assert!(listed.is_sorted_by(|one, other| one.scheduled_time >= other.scheduled_time));
        prop_assert_eq!(history.len(), model.len());
        let count = listed.len();
        let listed: BTreeMap<_, _> = listed.into_iter().map(|execution| (execution.id, execution)).collect();
        prop_assert_eq!(count, listed.len(), "nothing is listed twice");
        model.retain(|_, execution| filter.admits(execution));
        prop_assert_eq!(listed, model);
    }
}
