//! State that is written out and read back: nothing is lost, nothing comes twice, and what cannot be read changes nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;
#[path = "saved/faults.rs"]
mod faults;
#[path = "saved/laws.rs"]
mod laws;
#[path = "saved/restarts.rs"]
mod restarts;
#[path = "saved/rewritten.rs"]
mod rewritten;

use std::sync::Arc;

use common::{at, clock, now, process, secs, work};
use futures_util::FutureExt as _;
use kairos::backend::{
    Claim, DeadLetterReason, History, Message, Outcome, Queue, QueueLimits, Receiver, ScheduleBackend, Store,
    Transaction, Trigger,
};
use kairos::clock::{ManualClock, later};
use kairos::conformance::{self, Report};
use kairos::{Body, ErrorKind, ExecutionState, Failure, Hold, Owner, Specification, limits};
use kairos_memory::{MemoryHistory, MemoryQueue, MemorySchedules, MemoryStore};
use rewritten::{Rewritten, Saves as _, Timed};

fn odd_clock() -> ManualClock {
    ManualClock::at(at("2026-02-27T22:57:41.123456789Z"))
}

fn assert_all_applied(report: &Report) {
    assert!(report.not_applicable.is_empty() && report.cases.len() > 20, "{report}");
}

#[tokio::test]
async fn a_store_that_is_text_between_calls_conforms() {
    assert_all_applied(&conformance::store(&Rewritten::new(MemoryStore::new())).await);
}

#[tokio::test]
async fn triggers_that_are_text_between_calls_conform() {
    assert_all_applied(&conformance::schedules(&Timed::new(odd_clock())).await);
}

#[tokio::test]
async fn a_queue_that_is_text_between_calls_conforms() {
    let clock = odd_clock();
    let queue = MemoryQueue::new(Arc::new(clock.clone()))
        .with_limits(QueueLimits::new(10).with_batch_bytes(limits::MESSAGE))
        .with_visibility_timeout(secs(2));
    let queue = Rewritten::new(queue);
    assert_all_applied(&conformance::queue(&queue, &queue, &clock).await);
}

#[tokio::test]
async fn a_history_that_is_text_between_calls_conforms() {
    assert_all_applied(&conformance::history(&Rewritten::new(MemoryHistory::new()), &odd_clock()).await);
}

#[test]
fn a_receiver_that_waits_gets_what_is_restored() {
    let (_, clock) = clock();
    let other = MemoryQueue::new(clock.clone());
    now(other.send(&[Message::new(Body::from_json("{}"))])).unwrap();
    let queue = MemoryQueue::new(clock);
    let mut waiting = queue.receive(1, secs(60));
    assert!((&mut waiting).now_or_never().is_none());
    queue.restore(other.save()).unwrap();
    assert_eq!(now(waiting).unwrap().len(), 1);
}

#[test]
fn whoever_waits_for_triggers_is_woken() {
    let (_, clock) = clock();
    let schedules = MemorySchedules::new(clock);
    let mut changed = Box::pin(schedules.changed());
    assert!((&mut changed).now_or_never().is_none());
    schedules.restore(schedules.save()).unwrap();
    assert!(changed.now_or_never().is_some());
}

#[test]
fn a_worker_acknowledges_what_it_received_before() {
    let (_, clock) = clock();
    let queue = MemoryQueue::new(clock.clone());
    for text in ["a", "b", "c"] {
        queue.inject(text);
    }
    let received = now(queue.receive(3, secs(0))).unwrap();
    now(queue.acknowledge(std::slice::from_ref(&received[0].receipt))).unwrap().remove(0).unwrap();
    let queue = queue.reborn(MemoryQueue::new(clock));
    // What was acknowledged before is gone, not unknown.
    for delivery in &received {
        now(queue.acknowledge(std::slice::from_ref(&delivery.receipt))).unwrap().remove(0).unwrap();
    }
    assert!(queue.is_empty());
    let id = queue.inject("d");
    assert!(received.iter().all(|delivery| delivery.message_id != id), "numbers go on");
}

#[test]
fn the_owner_of_a_claim_records_how_it_ended() {
    let (history, time) = (MemoryHistory::new(), at("2026-01-01T00:00:00Z"));
    let work = work("a", time);
    let claim = Claim::new(work.clone(), Hold { owner: Owner::from_u128(1), until: later(time, secs(60)) }, time);
    now(history.claim(&claim)).unwrap();
    let history = history.reborn(MemoryHistory::new());
    let other = Outcome::new(work.execution_id, Owner::from_u128(2), ExecutionState::Failed, time);
    assert_eq!(now(history.record(&other)).unwrap_err().kind(), ErrorKind::Lost);
    let outcome = Outcome::new(work.execution_id, Owner::from_u128(1), ExecutionState::Succeeded, time);
    now(history.record(&outcome)).unwrap();
}

#[test]
fn configuration_is_not_state() {
    let (hands, clock) = clock();
    let queue = MemoryQueue::new(clock.clone());
    queue.inject("a");
    let other = queue.reborn(MemoryQueue::new(clock).with_visibility_timeout(secs(5)).with_retention(secs(7)));
    assert_eq!(now(other.receive(1, secs(0))).unwrap().len(), 1);
    hands.advance(secs(5));
    assert_eq!(now(other.receive(1, secs(0))).unwrap().len(), 1, "the timeout is the new one's");
    hands.advance(secs(5));
    assert_eq!((other.len(), other.expired()), (1, 0), "what was sent before expires when it would have");
}

#[test]
fn a_queue_that_was_long_is_not_written_out_as_long_for_ever() {
    let (_, clock) = clock();
    let queue = MemoryQueue::new(clock);
    for _ in 0..1_000 {
        queue.inject("a");
    }
    for delivery in now(queue.receive(1_000, secs(0))).unwrap() {
        now(queue.acknowledge(&[delivery.receipt])).unwrap().remove(0).unwrap();
    }
    assert!(queue.text().len() < 200, "{}", queue.text());
}

/// What the text of each thing takes, beyond what its names and texts take by themselves.
#[test]
fn a_row_takes_some_hundred_bytes() {
    const COUNT: usize = 1_000;
    let (_, clock) = clock();
    let per = |what: &str, text: &str, at_most: usize| {
        let bytes = text.len() / COUNT;
        println!("{bytes:4} bytes per {what}");
        assert!(bytes <= at_most, "{bytes} bytes per {what}");
    };
    let name = |number: usize| format!("proceso de prueba n.º {number:06}");
    let time = at("2026-01-01T00:00:00Z");

    let store = MemoryStore::new();
    let schedules = MemorySchedules::new(clock.clone());
    let queue = MemoryQueue::new(clock.clone());
    let (dead, history) = (MemoryQueue::new(clock), MemoryHistory::new());
    for number in 0..COUNT {
        let process = process(&name(number), "calendarizacion-cmF0ZSg1IG1pbnV0ZXMp", true);
        now(store.commit(&Transaction::new().with_process(None, Some(process)))).unwrap();
        let specification = Specification::new(format!("cron({} {} * * ? *)", number % 60, number / 60));
        now(schedules.create(&Trigger::new(specification.schedule_id(), specification))).unwrap();
        let work = work(&name(number), time);
        for queue in [&queue, &dead] {
            now(queue.send(&[Message::new(work.clone())])).unwrap();
        }
        let delivery = now(dead.receive(1, secs(0))).unwrap().remove(0);
        let failure = Failure { kind: "rejected".into(), text: "the target said no".into() };
        now(dead.dead_letter(&delivery, &DeadLetterReason::of_work(failure, &work, 1))).unwrap();
        let hold = Hold { owner: Owner::from_u128(1), until: later(time, secs(60)) };
        now(history.claim(&Claim::new(work.clone(), hold, time))).unwrap();
    }
    per("process", &store.text(), 350);
    per("trigger", &schedules.text(), 250);
    per("message", &queue.text(), 700);
    per("dead letter", &dead.text(), 1_000);
    per("execution that is running", &history.text(), 600);
    for number in 0..COUNT {
        let id = work(&name(number), time).execution_id;
        now(history.record(&Outcome::new(id, Owner::from_u128(1), ExecutionState::Succeeded, time))).unwrap();
    }
    per("execution that has ended", &history.text(), 450);
}
