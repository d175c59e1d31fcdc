//! Any calls, on a backend that stays and on one that is made anew from text before each of them: the answers are the same.

use std::fmt::Debug;

use kairos::backend::{
    Claim, DeadLetterReason, Delivery, ExecutionFilter, History, Message, Outcome, ProcessFilter, Queue, Receiver,
    ScheduleBackend, Store, Transaction, Trigger,
};
use kairos::clock::{Clock as _, later};
use kairos::page::{Cursor, Page, PageRequest};
use kairos::{
    Body, ExecutionState, Failure, Hold, Origin, Owner, ProcessId, Schedule, ScheduleId, Specification, WorkItem,
};
use kairos_memory::{Firing, MemoryHistory, MemoryQueue, MemorySchedules, MemoryStore};
use proptest::prelude::*;

use super::common::{at, clock, now, process, secs, work};
use super::rewritten::Saves as _;

/// An answer as text. Errors are compared by their whole line.
fn said(answer: impl Debug) -> String {
    format!("{answer:?}")
}

/// The cursors of both sides' listings, which must be the same: a caller holds them while a backend starts again.
#[derive(Default)]
struct Cursors(Option<Cursor>);

impl Cursors {
    fn page(&self, limit: usize) -> PageRequest {
        PageRequest::first(limit).with_cursor(self.0.clone())
    }

    fn next<T>(&mut self, page: &kairos::Result<Page<T>>) {
        self.0 = page.as_ref().ok().and_then(|page| page.next.clone());
    }
}

#[derive(Clone, Debug)]
enum StoreStep {
    Put { name: u8, schedule: u8, enabled: bool },
    Remove(u8),
    Count { schedule: u8, count: Option<u64> },
    Drop(u8),
    List { schedule: Option<u8>, limit: usize },
    ListSchedules(usize),
}

fn store_step() -> impl Strategy<Value = StoreStep> {
    let (name, schedule) = (0u8..6, 0u8..3);
    prop_oneof![
        4 => (name.clone(), schedule.clone(), any::<bool>())
            .prop_map(|(name, schedule, enabled)| StoreStep::Put { name, schedule, enabled }),
        2 => name.prop_map(StoreStep::Remove),
        2 => (schedule.clone(), prop::option::of(0u64..9))
            .prop_map(|(schedule, count)| StoreStep::Count { schedule, count }),
        1 => schedule.clone().prop_map(StoreStep::Drop),
        3 => (prop::option::of(schedule), 1usize..4).prop_map(|(schedule, limit)| StoreStep::List { schedule, limit }),
        1 => (1usize..3).prop_map(StoreStep::ListSchedules),
    ]
}

fn schedule_id(number: u8) -> ScheduleId {
    format!("calendarizacion-{number}").into()
}

fn record(number: u8, count: Option<u64>) -> Schedule {
    let mut schedule = Schedule::new(Specification::new("rate(1 hour)"), at("2026-01-01T00:00:00.5Z"));
    (schedule.id, schedule.process_count) = (schedule_id(number), count);
    schedule
}

#[derive(Clone, Debug)]
enum QueueStep {
    Send { text: u8, delay: u64 },
    SendWork(u8),
    Receive(usize),
    Acknowledge(usize),
    ChangeVisibility(usize, u64),
    Bury(usize),
    Redrive(usize),
    Pass(u64),
}

fn queue_step() -> impl Strategy<Value = QueueStep> {
    prop_oneof![
        3 => (0u8..3, prop_oneof![Just(0), 0u64..100]).prop_map(|(text, delay)| QueueStep::Send { text, delay }),
        3 => (0u8..3).prop_map(QueueStep::SendWork),
        6 => (1usize..4).prop_map(QueueStep::Receive),
        2 => (0usize..50).prop_map(QueueStep::Acknowledge),
        2 => (0usize..50, 0u64..100).prop_map(|(index, delay)| QueueStep::ChangeVisibility(index, delay)),
        2 => (0usize..50).prop_map(QueueStep::Bury),
        1 => (1usize..4).prop_map(QueueStep::Redrive),
        4 => prop_oneof![0u64..2_000, 0u64..100_000].prop_map(QueueStep::Pass),
    ]
}

#[derive(Clone, Debug)]
enum ScheduleStep {
    Create { number: usize, anchored: bool },
    Delete(usize),
    Take(usize),
    GiveBack,
    List(usize),
    Pass(u64),
}

fn schedule_step() -> impl Strategy<Value = ScheduleStep> {
    let number = 0..specifications().len();
    prop_oneof![
        4 => (number.clone(), any::<bool>())
            .prop_map(|(number, anchored)| ScheduleStep::Create { number, anchored }),
        2 => number.prop_map(ScheduleStep::Delete),
        6 => (1usize..6).prop_map(ScheduleStep::Take),
        3 => Just(ScheduleStep::GiveBack),
        2 => (1usize..4).prop_map(ScheduleStep::List),
        4 => prop_oneof![0u64..120, 0u64..20_000, 0u64..200_000].prop_map(ScheduleStep::Pass),
    ]
}

/// Of each kind: cron and rate, within dates and windows, in groups and zones, once, and ended.
fn specifications() -> [Specification; 10] {
    let (soon, end) = (at("2026-01-01T06:30:00.25Z"), at("2026-01-02T00:00:00Z"));
    let hourly = Specification::new("cron(0 * * * ? *)");
    [
        hourly.clone(),
        hourly.clone().with_window_minutes(7),
        hourly.clone().with_group("nocturno"),
        hourly.with_end(end),
        Specification::new("rate(7 hours)"),
        Specification::new("rate(90 minutes)").with_start(soon).with_end(end),
        Specification::new("rate(1 day)").with_window_minutes(1_440),
        Specification::new("at(2026-01-01T05:00:00)").with_time_zone("america/santiago"),
        Specification::new("at(2020-01-01T00:00:00)"),
        Specification::new("0 9 * * ? *").with_time_zone("America/New_York"),
    ]
}

#[derive(Clone, Debug)]
enum HistoryStep {
    Claim { work: u8, owner: u8, lease: u64, redriven: bool },
    Renew { work: u8, owner: u8, lease: u64 },
    Record { work: u8, owner: u8, state: ExecutionState },
    List { process: Option<u8>, state: Option<ExecutionState>, limit: usize },
    Pass(u64),
}

fn history_step() -> impl Strategy<Value = HistoryStep> {
    let (work, owner) = (0u8..8, 0u8..2);
    let state = prop::sample::select(vec![
        ExecutionState::Running,
        ExecutionState::Succeeded,
        ExecutionState::Failed,
        ExecutionState::Dead,
        ExecutionState::Skipped,
    ]);
    prop_oneof![
        5 => (work.clone(), owner.clone(), 0u64..100, any::<bool>())
            .prop_map(|(work, owner, lease, redriven)| HistoryStep::Claim { work, owner, lease, redriven }),
        2 => (work.clone(), owner.clone(), 0u64..100)
            .prop_map(|(work, owner, lease)| HistoryStep::Renew { work, owner, lease }),
        4 => (work, owner, state.clone()).prop_map(|(work, owner, state)| HistoryStep::Record { work, owner, state }),
        3 => (prop::option::of(0u8..2), prop::option::of(state), 1usize..4)
            .prop_map(|(process, state, limit)| HistoryStep::List { process, state, limit }),
        2 => (0u64..200).prop_map(HistoryStep::Pass),
    ]
}

/// Executions of two processes, some of them at the same time.
fn execution(number: u8) -> WorkItem {
    let scheduled = later(at("2026-01-01T00:00:00Z"), secs(u64::from(number / 4)));
    let origin = if number % 4 == 3 { Origin::Backfill } else { Origin::Schedule };
    let mut work = work(if number.is_multiple_of(2) { "a" } else { "b" }, scheduled);
    (work.origin, work.execution_id) = (origin, uuid::Uuid::from_u128(number.into()).into());
    work
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_store_answers_the_same(steps in prop::collection::vec(store_step(), 1..40)) {
        let (stays, mut goes) = (MemoryStore::new(), MemoryStore::new());
        let mut cursors = Cursors::default();
        for step in steps {
            goes = goes.reborn(MemoryStore::new());
            let commit = |transaction: Transaction| {
                (said(now(stays.commit(&transaction))), said(now(goes.commit(&transaction))))
            };
            let row = |name: u8| now(stays.process(&ProcessId::of(&name.to_string()))).unwrap();
            let (one, two) = match step {
                StoreStep::Put { name, schedule, enabled } => {
                    let after = process(&name.to_string(), schedule_id(schedule).as_str(), enabled);
                    commit(Transaction::new().with_process(row(name), Some(after)))
                }
                StoreStep::Remove(name) => match row(name) {
                    Some(before) => commit(Transaction::new().with_process(Some(before), None)),
                    // What is not there is not as it was read.
                    None => commit(Transaction::new().with_process(Some(process(&name.to_string(), "x", true)), None)),
                },
                StoreStep::Count { schedule, count } => {
                    let before = now(stays.schedule(&schedule_id(schedule))).unwrap();
                    commit(Transaction::new().with_schedule(before, Some(record(schedule, count))))
                }
                StoreStep::Drop(schedule) => {
                    let before = now(stays.schedule(&schedule_id(schedule))).unwrap();
                    let before = before.or_else(|| Some(record(schedule, None)));
                    commit(Transaction::new().with_schedule(before, None))
                }
                StoreStep::List { schedule, limit } => {
                    let filter = schedule.map(schedule_id).map_or_else(ProcessFilter::default, ProcessFilter::of_schedule);
                    let page = cursors.page(limit);
                    let listed = now(stays.list_processes(&filter, &page));
                    cursors.next(&listed);
                    (said(listed), said(now(goes.list_processes(&filter, &page))))
                }
                StoreStep::ListSchedules(limit) => {
                    let page = cursors.page(limit);
                    let listed = now(stays.list_schedules(&page));
                    cursors.next(&listed);
                    (said(listed), said(now(goes.list_schedules(&page))))
                }
            };
            prop_assert_eq!(one, two);
        }
        prop_assert_eq!(stays.save(), goes.save());
    }

    #[test]
    fn a_queue_answers_the_same(steps in prop::collection::vec(queue_step(), 1..60)) {
        let (hands, clock) = clock();
        let new = || {
            MemoryQueue::new(clock.clone())
                .with_visibility_timeout(secs(30))
                .with_retention(secs(600))
                .with_max_receive_count(3)
        };
        // Where a message lies on the queue is not told, but each side must know its own receipts again.
        let told = |deliveries: &[Delivery]| {
            said(deliveries.iter().map(|d| (&d.message_id, d.receive_count, d.sent_at, d.redriven, d.body.to_json().into_owned())).collect::<Vec<_>>())
        };
        // Another prefix: message ids come from the text alone.
        let mut goes = new();
        let stays = new().with_chance(&kairos::chance::Chance::from_seed(1));
        goes.read(&stays.text());
        let mut given: Vec<(Delivery, Delivery)> = Vec::new();
        for step in steps {
            goes = goes.reborn(new());
            let pick = |index: usize| (!given.is_empty()).then(|| given[index % given.len()].clone());
            let both = |call: &dyn Fn(&MemoryQueue, &Delivery) -> String, index: usize| match pick(index) {
                Some((one, two)) => (call(&stays, &one), call(&goes, &two)),
                None => Default::default(),
            };
            let kind = |result: kairos::Result<()>| said(result.map_err(|error| error.kind()));
            let (one, two) = match step {
                QueueStep::Send { text, delay } => {
                    let message = Message::new(Body::from_json(["", "{\"a\":\"ñ\u{1}\"}", "no JSON \u{10FFFF}"][usize::from(text)]));
                    let batch = [message.with_delay(secs(delay))];
                    (said(now(stays.send(&batch))), said(now(goes.send(&batch))))
                }
                QueueStep::SendWork(number) => {
                    let batch = [Message::new(work(&number.to_string(), hands.now()))];
                    (said(now(stays.send(&batch))), said(now(goes.send(&batch))))
                }
                QueueStep::Receive(max) => {
                    let one = now(stays.receive(max, secs(0))).unwrap();
                    let two = now(goes.receive(max, secs(0))).unwrap();
                    let told = (told(&one), told(&two));
                    given.extend(one.into_iter().zip(two));
                    told
                }
                QueueStep::Acknowledge(index) => both(&|queue, delivery| {
                    kind(now(queue.acknowledge(std::slice::from_ref(&delivery.receipt))).unwrap().remove(0))
                }, index),
                QueueStep::ChangeVisibility(index, delay) => both(&|queue, delivery| {
                    kind(now(queue.change_visibility(&delivery.receipt, secs(delay))))
                }, index),
                QueueStep::Bury(index) => both(&|queue, delivery| {
                    let failure = Failure { kind: "rejected".into(), text: "ñ".into() };
                    let reason = match delivery.body.work("", delivery.sent_at) {
                        Ok(work) => DeadLetterReason::of_work(failure, &work, 2),
                        Err(_) => DeadLetterReason::new(failure),
                    };
                    kind(now(queue.dead_letter(delivery, &reason)))
                }, index),
                QueueStep::Redrive(max) => {
                    // A receipt from before may be refused or do nothing: that depends on where the message lies now.
                    for dead in stays.dead_letters().iter().take(max) {
                        given.retain(|(delivery, _)| delivery.message_id != dead.message_id);
                    }
                    (said(now(stays.redrive(max))), said(now(goes.redrive(max))))
                }
                QueueStep::Pass(millis) => {
                    hands.advance(std::time::Duration::from_millis(millis));
                    Default::default()
                }
            };
            prop_assert_eq!(one, two);
            prop_assert_eq!((stays.len(), stays.in_flight(), stays.expired()), (goes.len(), goes.in_flight(), goes.expired()));
            prop_assert_eq!(stays.dead_letters(), goes.dead_letters());
        }
    }

    #[test]
    fn triggers_fire_the_same(steps in prop::collection::vec(schedule_step(), 1..50)) {
        let (hands, clock) = clock();
        let new = || MemorySchedules::new(clock.clone());
        let (stays, mut goes) = (new(), new());
        let mut taken: Vec<Firing> = Vec::new();
        let mut cursors = Cursors::default();
        let trigger = |number: usize| {
            let specification = specifications()[number].clone();
            Trigger::new(specification.schedule_id(), specification).with_description(format!("n.º {number}"))
        };
        for step in steps {
            goes = goes.reborn(new());
            let (one, two) = match step {
                ScheduleStep::Create { number, anchored } => {
                    let mut trigger = trigger(number);
                    if anchored {
                        trigger = trigger.with_anchor(at("2025-12-31T23:17:41.123456789Z"));
                    }
                    (said(now(stays.create(&trigger))), said(now(goes.create(&trigger))))
                }
                ScheduleStep::Delete(number) => {
                    let key = trigger(number).key();
                    (said(now(stays.delete(&key))), said(now(goes.delete(&key))))
                }
                ScheduleStep::Take(max) => {
                    let due = stays.take_due(max);
                    taken.extend(due.iter().cloned());
                    (said(due), said(goes.take_due(max)))
                }
                ScheduleStep::GiveBack => {
                    if let Some(firing) = taken.pop() {
                        stays.give_back(firing.clone());
                        goes.give_back(firing);
                    }
                    Default::default()
                }
                ScheduleStep::List(limit) => {
                    let page = cursors.page(limit);
                    let listed = now(stays.list(&page));
                    cursors.next(&listed);
                    (said(listed), said(now(goes.list(&page))))
                }
                ScheduleStep::Pass(seconds) => {
                    hands.advance(secs(seconds));
                    Default::default()
                }
            };
            prop_assert_eq!(one, two);
            prop_assert_eq!(stays.len(), goes.len());
            prop_assert_eq!(stays.dead_letters(), goes.dead_letters());
            // What was deleted may be waited for in vain; what was just read back knows nothing of it.
            let exact = goes.reborn(new()).next_due();
            for next in [stays.next_due(), goes.next_due()] {
                prop_assert!(next <= exact && next.is_some() == exact.is_some());
            }
        }
        hands.advance(secs(3 * 24 * 60 * 60));
        prop_assert_eq!(stays.take_due(usize::MAX), goes.take_due(usize::MAX));
    }

    #[test]
    fn a_history_answers_the_same(steps in prop::collection::vec(history_step(), 1..60)) {
        let new = || MemoryHistory::new().with_retention(secs(300));
        let (stays, mut goes) = (new(), new());
        let mut time = at("2026-01-01T00:00:00.123456789Z");
        let mut cursors = Cursors::default();
        for step in steps {
            goes = goes.reborn(new());
            let named = |owner: u8| Owner::from_u128(owner.into());
            let (one, two) = match step {
                HistoryStep::Claim { work, owner, lease, redriven } => {
                    let hold = Hold { owner: named(owner), until: later(time, secs(lease)) };
                    let claim = Claim::new(execution(work), hold, time).with_redriven(redriven);
                    (said(now(stays.claim(&claim))), said(now(goes.claim(&claim))))
                }
                HistoryStep::Renew { work, owner, lease } => {
                    let (id, owner, until) = (execution(work).execution_id, named(owner), later(time, secs(lease)));
                    (said(now(stays.renew(id, owner, until))), said(now(goes.renew(id, owner, until))))
                }
                HistoryStep::Record { work, owner, state } => {
                    let failure = (state != ExecutionState::Succeeded)
                        .then(|| Failure { kind: "failed".into(), text: "ñ".into() });
                    let outcome = Outcome::new(execution(work).execution_id, named(owner), state, time).with_failure(failure);
                    (said(now(stays.record(&outcome))), said(now(goes.record(&outcome))))
                }
                HistoryStep::List { process, state, limit } => {
                    let mut filter = ExecutionFilter::all();
                    filter.process = process.map(|number| ProcessId::of(if number == 0 { "a" } else { "b" }));
                    filter.state = state;
                    let page = cursors.page(limit);
                    let listed = now(stays.list(&filter, &page));
                    cursors.next(&listed);
                    (said(listed), said(now(goes.list(&filter, &page))))
                }
                HistoryStep::Pass(seconds) => {
                    time = later(time, secs(seconds));
                    Default::default()
                }
            };
            prop_assert_eq!(one, two);
            prop_assert_eq!(stays.len(), goes.len());
            for number in 0..8 {
                let id = execution(number).execution_id;
                prop_assert_eq!(now(stays.get(id)).unwrap(), now(goes.get(id)).unwrap());
            }
        }
        prop_assert_eq!(stays.save(), goes.save());
    }
}
