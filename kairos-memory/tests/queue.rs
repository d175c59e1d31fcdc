//! The queue against a naive list of messages, and what the list does not show.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{at, clock, now, secs, work};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use kairos::backend::{DeadLetterReason, Delivery, Message, Queue, QueueLimits, Receipt, Receiver};
use kairos::chance::Chance;
use kairos::clock::{Clock, ManualClock};
use kairos::{Body, ErrorKind, Failure};
use kairos_memory::MemoryQueue;
use proptest::prelude::*;

fn text(text: &str) -> Message {
    Message::new(Body::from_json(text))
}

fn receive(queue: &MemoryQueue, max: usize) -> Vec<Delivery> {
    now(queue.receive(max, Duration::ZERO)).unwrap()
}

fn acknowledge(queue: &MemoryQueue, receipt: &Receipt) -> Result<(), ErrorKind> {
    now(queue.acknowledge(std::slice::from_ref(receipt))).unwrap().remove(0).map_err(|error| error.kind())
}

fn reason(text: &str) -> DeadLetterReason {
    DeadLetterReason::new(Failure { kind: "rejected".into(), text: text.into() })
}

const VISIBILITY: u64 = 30;
const RETENTION: u64 = 600;
const MAX_RECEIVES: u32 = 4;

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    visible_at: u64,
    /// Breaks ties of visibility: what was hidden first is visible first.
    order: u64,
    expires_at: u64,
    receive_count: u32,
    redriven: bool,
    receipt: Option<Receipt>,
}

/// The same with plain lists and no index.
#[derive(Default)]
struct Model {
    now: u64,
    order: u64,
    messages: Vec<Entry>,
    dead: VecDeque<(Entry, u64)>,
    expired: u64,
}

impl Model {
    fn add(&mut self, name: String, delay: u64, redriven: bool) {
        self.order += 1;
        let (visible_at, expires_at) = (self.now + delay, self.now + RETENTION);
        let order = self.order;
        self.messages.push(Entry { name, visible_at, order, expires_at, receive_count: 0, redriven, receipt: None });
    }

    fn expire(&mut self) {
        let before = self.messages.len() + self.dead.len();
        self.messages.retain(|entry| entry.expires_at > self.now);
        self.dead.retain(|(_, at)| at + RETENTION > self.now);
        self.expired += (before - self.messages.len() - self.dead.len()) as u64;
    }

    /// What a receipt of so many messages gives, in order.
    fn receive(&mut self, max: usize) -> Vec<Entry> {
        let mut received = Vec::new();
        while received.len() < max {
            let visible = self.messages.iter().enumerate().filter(|(_, entry)| entry.visible_at <= self.now);
            let Some((index, _)) = visible.min_by_key(|(_, entry)| (entry.visible_at, entry.order)) else { break };
            if self.messages[index].receive_count == MAX_RECEIVES {
                let entry = self.messages.remove(index);
                self.dead.push_back((entry, self.now));
                continue;
            }
            self.order += 1;
            let entry = &mut self.messages[index];
            (entry.visible_at, entry.order) = (self.now + VISIBILITY, self.order);
            entry.receive_count += 1;
            received.push(entry.clone());
        }
        received
    }

    fn held(&mut self, receipt: &Receipt) -> Option<usize> {
        self.messages.iter().position(|entry| entry.receipt.as_ref() == Some(receipt))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(Option<u64>),
    Receive(usize),
    /// With one of the receipts ever given out.
    Acknowledge(prop::sample::Index),
    Postpone(prop::sample::Index, u64),
    Bury(prop::sample::Index),
    Redrive(usize),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let receipt = any::<prop::sample::Index>;
    prop_oneof![
        4 => prop::option::weighted(0.3, 0..100u64).prop_map(Step::Send),
        4 => (1..6usize).prop_map(Step::Receive),
        2 => receipt().prop_map(Step::Acknowledge),
        2 => (receipt(), 0..120u64).prop_map(|(receipt, delay)| Step::Postpone(receipt, delay)),
        1 => receipt().prop_map(Step::Bury),
        1 => (1..4usize).prop_map(Step::Redrive),
        4 => (0..60u64).prop_map(Step::Advance),
        1 => (0..700u64).prop_map(Step::Advance),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn it_delivers_what_a_list_would(steps in prop::collection::vec(step(), 1..120)) {
        let clock = ManualClock::at(at("2026-01-01T00:00:00.005Z"));
        let queue = MemoryQueue::new(Arc::new(clock.clone()))
            .with_visibility_timeout(secs(VISIBILITY))
            .with_retention(secs(RETENTION))
            .with_max_receive_count(MAX_RECEIVES);
        let mut model = Model::default();
        let mut deliveries: Vec<Delivery> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Send(delay) => {
                    let name = number.to_string();
                    let message = text(&name).with_delay(secs(delay.unwrap_or(0)));
                    now(queue.send(&[message])).unwrap().remove(0).unwrap();
                    model.add(name, delay.unwrap_or(0), false);
                }
                Step::Receive(max) => {
                    let received = receive(&queue, max);
                    let expected = model.receive(max);
                    prop_assert_eq!(received.len(), expected.len());
                    for (delivery, entry) in received.into_iter().zip(expected) {
                        prop_assert_eq!(delivery.body.to_json(), entry.name.as_str());
                        prop_assert_eq!((delivery.receive_count, delivery.redriven), (entry.receive_count, entry.redriven));
                        let held = model.messages.iter_mut().find(|other| other.order == entry.order).unwrap();
                        held.receipt = Some(delivery.receipt.clone());
                        deliveries.push(delivery);
                    }
                }
                Step::Acknowledge(index) if !deliveries.is_empty() => {
                    let receipt = &index.get(&deliveries).receipt;
                    let answer = acknowledge(&queue, receipt);
                    match model.held(receipt) {
                        Some(held) => {
                            prop_assert_eq!(answer, Ok(()));
                            model.messages.remove(held);
                        }
                        None => prop_assert!(matches!(answer, Ok(()) | Err(ErrorKind::NotFound))),
                    }
                }
                Step::Postpone(index, delay) if !deliveries.is_empty() => {
                    let receipt = &index.get(&deliveries).receipt;
                    let answer = now(queue.change_visibility(receipt, secs(delay))).map_err(|error| error.kind());
                    match model.held(receipt) {
                        Some(held) => {
                            prop_assert_eq!(answer, Ok(()));
                            model.order += 1;
                            let entry = &mut model.messages[held];
                            (entry.visible_at, entry.order) = (model.now + delay, model.order);
                        }
                        None => prop_assert_eq!(answer, Err(ErrorKind::NotFound)),
                    }
                }
                Step::Bury(index) if !deliveries.is_empty() => {
                    let delivery = index.get(&deliveries);
                    let answer = now(queue.dead_letter(delivery, &reason("x"))).map_err(|error| error.kind());
                    match model.held(&delivery.receipt) {
                        Some(held) => {
                            prop_assert_eq!(answer, Ok(()));
                            let entry = model.messages.remove(held);
                            model.dead.push_back((entry, model.now));
                        }
                        None => prop_assert_eq!(answer, Err(ErrorKind::NotFound)),
                    }
                }
                Step::Redrive(max) => {
                    let letters: Vec<_> = model.dead.drain(..max.min(model.dead.len())).collect();
                    prop_assert_eq!(now(queue.redrive(max)).unwrap(), letters.len());
                    for (entry, _) in letters {
                        model.add(entry.name, 0, true);
                    }
                }
                Step::Advance(by) => {
                    clock.advance(secs(by));
                    model.now += by;
                    model.expire();
                }
                Step::Acknowledge(_) | Step::Postpone(..) | Step::Bury(_) => {}
            }
            let in_flight = |entry: &&Entry| entry.receive_count > 0 && entry.visible_at > model.now;
            prop_assert_eq!(queue.len(), model.messages.len());
            prop_assert_eq!(queue.in_flight(), model.messages.iter().filter(in_flight).count());
            prop_assert_eq!(queue.expired(), model.expired);
            let dead: Vec<_> = queue.dead_letters().iter().map(|letter| letter.body.to_json().into_owned()).collect();
            prop_assert_eq!(dead, model.dead.iter().map(|(entry, _)| entry.name.clone()).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_late_receipt_changes_nothing_and_acknowledging_twice_is_a_success() {
    let (clock, shared) = clock();
    let queue = MemoryQueue::new(shared);
    now(queue.send(&[text("a")])).unwrap();
    let late = receive(&queue, 1).remove(0);
    clock.advance(secs(30));
    let current = receive(&queue, 1).remove(0);
    assert_eq!(acknowledge(&queue, &late.receipt), Err(ErrorKind::NotFound));
    for refused in [
        now(queue.change_visibility(&late.receipt, Duration::ZERO)),
        now(queue.dead_letter(&late, &reason("x"))),
        now(queue.change_visibility(&Receipt::new("0-7-1"), Duration::ZERO)),
        now(queue.change_visibility(&Receipt::new("x"), Duration::ZERO)),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!((queue.len(), queue.in_flight()), (1, 1));
    assert_eq!(acknowledge(&queue, &current.receipt), Ok(()));
    // Its place is taken by another message, which the old receipts do not mean.
    now(queue.send(&[text("b")])).unwrap();
    receive(&queue, 1);
    assert_eq!(acknowledge(&queue, &current.receipt), Ok(()));
    assert_eq!(queue.len(), 1);
    assert_eq!(acknowledge(&queue, &Receipt::new("")), Err(ErrorKind::NotFound));
}

#[test]
fn a_message_received_too_often_is_buried_with_a_reason_and_starts_anew_when_redriven() {
    let (clock, shared) = clock();
    let queue = MemoryQueue::new(shared).with_max_receive_count(2);
    let work = work("ventas", at("2026-01-01T00:00:00Z"));
    now(queue.send(&[Message::new(work.clone())])).unwrap();
    let id = queue.inject("no JSON at all");
    for _ in 0..2 {
        assert_eq!(receive(&queue, 10).len(), 2);
        clock.advance(secs(30));
    }
    assert!(receive(&queue, 10).is_empty());
    let letters = queue.dead_letters();
    assert_eq!((letters.len(), queue.len()), (2, 0));
    assert_eq!(letters[0].reason.execution_id, Some(work.execution_id));
    assert_eq!(letters[0].reason.target.as_deref(), Some("kairos:task:ventas"));
    assert_eq!((&letters[1].message_id, letters[1].reason.execution_id, letters[1].at), (&id, None, clock.now()));
    assert_eq!(letters[1].reason.failure.text, "received 2 times and never acknowledged");
    assert_eq!(now(queue.redrive(1)).unwrap(), 1);
    for count in 1..=2 {
        let delivery = receive(&queue, 10).remove(0);
        assert_eq!(
            (delivery.receive_count, delivery.redriven, delivery.message_id),
            (count, true, letters[0].message_id.clone())
        );
        assert_eq!(delivery.sent_at, at("2026-01-01T00:00:00Z"));
        clock.advance(secs(30));
    }
}

#[test]
fn a_receiver_waits_for_a_message_and_no_longer_than_it_said() {
    let (clock, shared) = clock();
    let queue = Arc::new(MemoryQueue::new(shared));
    let mut wait = Box::pin(queue.receive(10, secs(20)));
    let mut other = Box::pin(queue.receive(10, secs(60)));
    assert!((&mut wait).now_or_never().is_none() && (&mut other).now_or_never().is_none());
    // A message that becomes visible only after the first has stopped waiting is the other's, at that very moment.
    now(queue.send(&[text("a").with_delay(secs(40))])).unwrap();
    assert!((&mut wait).now_or_never().is_none() && (&mut other).now_or_never().is_none());
    assert_eq!(clock.next_timer(), Some(at("2026-01-01T00:00:20Z")));
    clock.advance(secs(20));
    assert!(now(wait).unwrap().is_empty());
    assert_eq!(clock.next_timer(), Some(at("2026-01-01T00:00:40Z")));
    clock.advance(secs(20));
    assert_eq!(now(other).unwrap().len(), 1);

    // One that comes back after its visibility timeout wakes a receiver too.
    let mut wait = Box::pin(queue.receive(10, secs(60)));
    assert!((&mut wait).now_or_never().is_none());
    clock.advance(secs(30));
    let delivery = now(wait).unwrap().remove(0);
    assert_eq!(delivery.receive_count, 2);

    // And one that is given back.
    let mut wait = Box::pin(queue.receive(10, secs(60)));
    assert!((&mut wait).now_or_never().is_none());
    now(queue.change_visibility(&delivery.receipt, Duration::ZERO)).unwrap();
    let delivery = now(wait).unwrap().remove(0);

    // And one that is redriven, or comes from elsewhere.
    now(queue.dead_letter(&delivery, &reason("x"))).unwrap();
    for wake in [|queue: &MemoryQueue| drop(now(queue.redrive(1))), |queue: &MemoryQueue| drop(queue.inject("b"))] {
        let mut wait = Box::pin(queue.receive(10, secs(60)));
        assert!((&mut wait).now_or_never().is_none());
        wake(&queue);
        assert_eq!(now(wait).unwrap().len(), 1);
    }
    assert!(now(queue.receive(0, secs(60))).unwrap().is_empty());
    assert_eq!(clock.next_timer(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_received_once_by_many_at_once() {
    let queue = Arc::new(MemoryQueue::new(Arc::new(kairos::clock::SystemClock)));
    let receivers: Vec<_> = (0..8)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move {
                let mut received = Vec::new();
                loop {
                    let deliveries = queue.receive(7, secs(3_600)).await.unwrap();
                    let receipts: Vec<_> = deliveries.iter().map(|delivery| delivery.receipt.clone()).collect();
                    queue.acknowledge(&receipts).await.unwrap();
                    for delivery in deliveries {
                        match delivery.body.to_json().into_owned() {
                            last if last == "end" => return received,
                            other => received.push(other),
                        }
                    }
                }
            })
        })
        .collect();
    let sent: Vec<String> = (0..5_000).map(|number| number.to_string()).collect();
    for batch in sent.chunks(100) {
        let messages: Vec<_> = batch.iter().map(|name| text(name)).collect();
        queue.send(&messages).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut received = Vec::new();
    for receiver in receivers {
        // One at a time, so that nobody takes two.
        while !receiver.is_finished() {
            if queue.is_empty() {
                queue.inject("end");
            }
            tokio::task::yield_now().await;
        }
        received.extend(receiver.await.unwrap());
    }
    received.sort_by_key(|name| name.parse::<u32>().unwrap());
    assert_eq!(received, sent);
}

#[test]
fn a_batch_beyond_the_limits_is_refused_whole_and_a_long_delay_alone() {
    let (_, shared) = clock();
    let queue = MemoryQueue::new(shared.clone());
    assert_eq!(queue.limits(), QueueLimits::new(1_000));
    let queue = queue.with_limits(QueueLimits::new(3).with_batch_bytes(10));
    for batch in [vec![text("a"); 4], vec![text("123456"); 2]] {
        assert_eq!(now(queue.send(&batch)).unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(queue.len(), 0);
    let answers =
        now(queue.send(&[text("a"), text("b").with_delay(secs(901)), text("c").with_delay(secs(900))])).unwrap();
    let kinds: Vec<_> = answers.into_iter().map(|answer| answer.map_err(|error| error.kind())).collect();
    assert_eq!(kinds, [Ok(()), Err(ErrorKind::Invalid), Ok(())]);
    assert_eq!(queue.len(), 2);
}

#[test]
fn what_waits_when_the_clock_is_set_back_waits_no_longer() {
    let clock = Settable(Arc::new(Mutex::new(at("2026-01-01T12:00:00Z"))));
    let queue = MemoryQueue::new(Arc::new(clock.clone())).with_retention(secs(900));
    let names = |max| -> Vec<String> {
        receive(&queue, max).iter().map(|delivery| delivery.body.to_json().into_owned()).collect()
    };
    let delays = [("a", 0), ("b", 600), ("c", 0), ("d", 0), ("e", 120)];
    now(queue.send(&delays.map(|(name, delay)| text(name).with_delay(secs(delay))))).unwrap();
    let (a, c) = (receive(&queue, 1).remove(0), receive(&queue, 1).remove(0));
    now(queue.dead_letter(&c, &reason("x"))).unwrap();
    now(queue.change_visibility(&a.receipt, secs(200))).unwrap();
    clock.set("2026-01-01T12:01:00Z");
    assert_eq!(queue.in_flight(), 1);
    // A minute has passed; then it is an hour earlier.
    clock.set("2026-01-01T11:01:00Z");
    assert_eq!((names(9), queue.in_flight()), (vec!["d".to_owned()], 2));
    for (time, expected) in [("11:01:59", vec!["d"]), ("11:02:00", vec!["e"]), ("11:03:20", vec!["d", "e", "a"])] {
        clock.set(&format!("2026-01-01T{time}Z"));
        assert_eq!(names(9), expected, "{time}");
    }
    // Nor is anything kept for longer.
    clock.set("2026-01-01T11:14:59Z");
    assert_eq!((queue.len(), queue.dead_letters().len(), queue.expired()), (4, 1, 0));
    clock.set("2026-01-01T11:15:00Z");
    assert_eq!((queue.len(), queue.dead_letters().len(), queue.expired()), (0, 0, 5));
}

#[test]
fn a_clock_that_stutters_makes_time_stand_still() {
    let clock = Settable(Arc::new(Mutex::new(at("2026-01-01T12:00:00Z"))));
    let queue = MemoryQueue::new(Arc::new(clock.clone()));
    now(queue.send(&[text("a")])).unwrap();
    receive(&queue, 1);
    clock.set("2026-01-01T11:59:59.5Z");
    now(queue.send(&[text("b")])).unwrap();
    assert_eq!(receive(&queue, 9)[0].sent_at, at("2026-01-01T12:00:00Z"));
    clock.set("2026-01-01T12:00:29.999Z");
    assert!(receive(&queue, 9).is_empty());
    clock.set("2026-01-01T12:00:30Z");
    assert_eq!(receive(&queue, 9).len(), 2);
}

#[test]
fn what_there_is_no_room_for_is_refused_one_by_one_and_taken_later() {
    let (_, shared) = clock();
    let queue = MemoryQueue::new(shared).with_capacity(3);
    let send = |names: &[&str]| -> Vec<Result<(), ErrorKind>> {
        let batch: Vec<_> = names.iter().map(|name| text(name)).collect();
        now(queue.send(&batch)).unwrap().into_iter().map(|answer| answer.map_err(|error| error.kind())).collect()
    };
    let full = Err(ErrorKind::Throttled);
    assert_eq!(send(&["a", "b"]), [Ok(()), Ok(())]);
    assert_eq!(send(&["c", "d", "e"]), [Ok(()), full, full]);
    let error = now(queue.send(&[text("d")])).unwrap().remove(0).unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("3 messages"), "{error}");
    // Burying and redriving ask for no room, and make none.
    let received = receive(&queue, 3);
    for delivery in &received[..2] {
        now(queue.dead_letter(delivery, &reason("x"))).unwrap();
    }
    assert_eq!((queue.len(), send(&["d"])), (1, vec![full]));
    assert_eq!(now(queue.redrive(1)).unwrap(), 1);
    assert_eq!((queue.len(), queue.dead_letters().len(), send(&["d"])), (2, 1, vec![full]));
    acknowledge(&queue, &received[2].receipt).unwrap();
    assert_eq!(send(&["d", "e"]), [Ok(()), full]);
    let taken: Vec<_> = queue.take_dead_letters(9).iter().map(|letter| letter.body.to_json().into_owned()).collect();
    assert_eq!((taken, queue.dead_letters().len()), (vec!["b".to_owned()], 0));
    assert_eq!(send(&["e", "f"]), [Ok(()), full]);
    // What another system wrote is here already.
    queue.inject("g");
    assert_eq!((queue.len(), send(&["f"])), (4, vec![full]));
}

#[test]
fn what_expires_makes_room() {
    let (clock, shared) = clock();
    let queue = MemoryQueue::new(shared).with_retention(secs(60)).with_capacity(0);
    assert!(now(queue.send(&[text("a")])).unwrap().remove(0).is_ok(), "room for one at least");
    clock.advance(secs(59));
    assert!(now(queue.send(&[text("b")])).unwrap().remove(0).is_err());
    clock.advance(secs(1));
    assert!(now(queue.send(&[text("b")])).unwrap().remove(0).is_ok());
}

#[test]
fn ids_repeat_with_the_same_chance_and_only_then() {
    let (_, shared) = clock();
    let id = |chance: Option<u64>| {
        let queue = MemoryQueue::new(shared.clone());
        match chance {
            Some(seed) => queue.with_chance(&Chance::from_seed(seed)).inject("a"),
            None => queue.inject("a"),
        }
    };
    assert_eq!(id(None).as_str(), "00000000-0000-8000-8000-000000000001");
    assert_eq!((id(Some(1)), id(None)), (id(Some(1)), id(None)));
    assert!(id(Some(1)) != id(Some(2)) && id(Some(1)) != id(None));
}

#[test]
fn time_that_steps_back_loses_nothing() {
    #[derive(Debug)]
    struct Stepping(std::sync::Mutex<Timestamp>);
    impl kairos::clock::Clock for Stepping {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
        fn sleep_until(&self, _: Timestamp) -> futures_util::future::BoxFuture<'static, ()> {
            std::future::pending().boxed()
        }
    }
    let clock = Arc::new(Stepping(std::sync::Mutex::new(at(common::START))));
    let queue = MemoryQueue::new(clock.clone());
    now(queue.send(&[text("a")])).unwrap();
    assert_eq!(receive(&queue, 1).len(), 1);
    *clock.0.lock().unwrap() = at("2025-12-31T23:59:00Z");
    now(queue.send(&[text("b")])).unwrap();
    *clock.0.lock().unwrap() = at("2026-01-01T00:00:30Z");
    let names: Vec<_> = receive(&queue, 10).iter().map(|delivery| delivery.body.to_json().into_owned()).collect();
    assert_eq!(names, ["b", "a"]);
}

/// A clock that can be set back, as the system's can.
#[derive(Clone, Debug)]
struct Settable(Arc<Mutex<Timestamp>>);

impl Settable {
    fn set(&self, text: &str) {
        *self.0.lock().unwrap() = at(text);
    }
}

impl Clock for Settable {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        std::future::pending().boxed()
    }
}

#[test]
fn a_message_sent_after_the_clock_was_set_back_is_visible_at_once() {
    let clock = Settable(Arc::new(Mutex::new(at("2026-01-01T12:00:00Z"))));
    let queue = MemoryQueue::new(Arc::new(clock.clone()));
    now(queue.send(&[text("before")])).unwrap();
    let before = receive(&queue, 10).remove(0);
    clock.set("2026-01-01T11:00:00Z");
    now(queue.send(&[text("after")])).unwrap();
    queue.inject("injected");
    assert_eq!(receive(&queue, 10).len(), 2);
    now(queue.change_visibility(&before.receipt, Duration::ZERO)).unwrap();
    now(queue.dead_letter(&receive(&queue, 10)[0], &reason("x"))).unwrap();
    assert_eq!(now(queue.redrive(1)).unwrap(), 1);
    assert_eq!(receive(&queue, 10).len(), 1);
    // What is hidden stays so for as long as it was to.
    clock.set("2026-01-01T11:00:29Z");
    assert!(receive(&queue, 10).is_empty());
    clock.set("2026-01-01T11:00:30Z");
    assert_eq!(receive(&queue, 10).len(), 3);
}

#[test]
fn a_message_is_never_visible_early_and_less_than_a_millisecond_late() {
    for start in ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.0004Z", "2026-01-01T00:00:00.000999999Z"] {
        for delay in [1, 999_999, 1_000_000, 1_000_001, 30_000_000_000].map(Duration::from_nanos) {
            let clock = ManualClock::at(at(start));
            let queue = MemoryQueue::new(Arc::new(clock.clone()));
            now(queue.send(&[text("a")])).unwrap().remove(0).unwrap();
            let delivery = receive(&queue, 1).remove(0);
            now(queue.change_visibility(&delivery.receipt, delay)).unwrap();
            clock.advance(delay - Duration::from_nanos(1));
            assert!(receive(&queue, 1).is_empty(), "{start}: {delay:?}");
            clock.advance(Duration::from_millis(1));
            let delivery = receive(&queue, 1).remove(0);
            now(queue.change_visibility(&delivery.receipt, Duration::ZERO)).unwrap();
            assert_eq!(receive(&queue, 1).len(), 1, "{start}: at once");
        }
    }
}
