//! What becomes of memory, concurrency and occurrences while something is full, down, silent, or set to another time: for simulated
//! hours, with bounds that are looked at after every step.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;
#[path = "exhaustion/switch.rs"]
mod switch;
#[path = "exhaustion/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{START, Settable, at, now, secs, work};
use futures_util::FutureExt as _;
use jiff::SignedDuration;
use kairos::backend::*;
use kairos::clock::{Clock, ClockExt as _, ManualClock, between, later};
use kairos::executor::{Executor, ExecutorConfig, Verdict, WorkerConfig};
use kairos::retry::Backoff;
use kairos::scheduler::SchedulerConfig;
use kairos::{Error, ErrorKind, Hold, Owner, Registration, Scheduler, Tasks};
use kairos_memory::{Embedded, MemoryHistory, MemoryQueue, MemorySchedules, MemoryStore};
use switch::{Behind, Switch};
use world::{CONCURRENCY, MINUTE, World, tasks};

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_queue_that_nobody_drains_is_backpressure_and_loses_nothing() {
    let mut world = World::new(100);
    world.register_many();
    world.pass(6 * HOUR);
    assert_eq!(world.queue.len(), 100, "as many as there is room for");
    let trouble = world.clock.now();
    world.start_worker();
    world.pass(2 * HOUR);
    assert_eq!(world.ran_once(trouble), world.due(trouble), "every occurrence of the six hours, once");
    assert_eq!((world.schedules.missed(), world.schedules.given_up()), (vec![], 0));
    // How late each was can be read, and the worst of all; two hours later nothing is late any more.
    let late = world.longest_lateness(at(START), trouble);
    assert!((6 * HOUR - 5 * MINUTE..7 * HOUR).contains(&late), "{late:?}");
    assert_eq!(world.executor.counts().longest_lateness, late);
    let end = world.clock.now();
    let settled = later(trouble, 100 * MINUTE);
    assert!(world.longest_lateness(settled, end) < MINUTE, "{:?}", world.longest_lateness(settled, end));
}

/// Longer than anything is caught up on, or tried again.
#[test]
fn what_a_full_queue_kept_for_too_long_is_accounted_for() {
    let mut world = World::new(10);
    for number in 0..5 {
        world.register(&format!("p{number}"), &format!("rate({} minutes)", 20 + number), "ok");
    }
    world.pass(60 * HOUR);
    let trouble = world.clock.now();
    world.start_worker();
    world.pass(HOUR);
    let ran = world.ran_once(trouble);
    let given_up: BTreeSet<_> = world
        .schedules
        .dead_letters()
        .into_iter()
        .map(|firing| (firing.input.schedule_id, firing.input.scheduled_time.unwrap()))
        .collect();
    let missed: BTreeMap<_, _> =
        world.schedules.missed().into_iter().map(|missed| (missed.schedule_id.clone(), missed)).collect();
    for (name, specification) in &world.processes {
        let id = specification.schedule_id();
        let mut missed_here = 0;
        for (_, time) in world.due(trouble).into_iter().filter(|(other, _)| other == name) {
            let is_missed = missed.get(&id).is_some_and(|missed| (missed.first..=missed.last).contains(&time));
            let (has_run, is_dead) = (ran.contains(&(name.clone(), time)), given_up.contains(&(id.clone(), time)));
            assert!(has_run || is_dead || is_missed, "{name} {time} is unaccounted for");
            missed_here += u64::from(!has_run && !is_dead);
        }
        assert_eq!(missed.get(&id).map_or(0, |missed| missed.count), missed_here, "{name}");
    }
    assert!(world.schedules.given_up() > 0 && ran.len() > 100);
}

#[test]
fn a_target_that_never_answers_takes_no_more_than_its_share_and_ends_as_dead_letters() {
    let mut world = World::new(1_000);
    world.seen.is_silent.store(true, Ordering::Relaxed);
    for number in 0..10 {
        world.register(&format!("silent{number}"), "rate(15 minutes)", "silent");
        world.register(&format!("sound{number}"), "rate(6 minutes)", "ok");
    }
    world.start_worker();
    world.pass(4 * HOUR);
    let trouble = world.clock.now();
    assert_eq!(world.seen.most_at_once.load(Ordering::Relaxed), CONCURRENCY);
    world.seen.is_silent.store(false, Ordering::Relaxed);
    world.pass(HOUR);
    let ran = world.ran_once(trouble);
    let letters = world.queue.dead_letters();
    let mut buried = BTreeSet::new();
    for letter in &letters {
        assert_eq!((letter.reason.failure.kind.as_str(), letter.reason.attempts), ("timeout", 3));
        assert!(letter.reason.failure.text.contains("has not answered within 60 s"), "{:?}", letter.reason);
        let work = letter.body.work("", at(START)).unwrap();
        assert!(buried.insert((work.process.name.clone(), work.scheduled_time)));
    }
    assert!(buried.iter().all(|(name, _)| name.starts_with("silent")) && buried.len() > 100, "{}", buried.len());
    assert!(ran.is_disjoint(&buried));
    assert_eq!(ran.union(&buried).cloned().collect::<BTreeSet<_>>(), world.due(trouble));
    // Sound targets were late behind those that kept all hands busy, by less than the tries of these take.
    let end = world.clock.now();
    let late = world.longest_lateness(at(START), end);
    assert!((MINUTE..30 * MINUTE).contains(&late), "{late:?}");
}

#[test]
fn whatever_is_down_for_an_hour_everything_runs_once_and_says_how_late() {
    for (name, outage) in [
        ("store", [true, false, false]),
        ("queue", [false, true, false]),
        ("history", [false, false, true]),
        ("all", [true; 3]),
    ] {
        let mut world = World::new(5_000);
        world.register_many();
        world.start_worker();
        world.pass(20 * MINUTE + secs(13));
        let (begin, switches) =
            (world.clock.now(), [world.store.clone(), world.queue_switch.clone(), world.history.clone()]);
        let set = |is_down: bool| switches.iter().zip(outage).for_each(|(switch, down)| switch.set(is_down && down));
        set(true);
        world.pass(HOUR);
        set(false);
        let end = world.clock.now();
        // The longest wait between two tries of a dispatch is ten minutes.
        world.pass(HOUR);
        assert_eq!(world.ran_once(end), world.due(end), "{name}");
        assert_eq!((world.schedules.missed(), world.schedules.given_up()), (vec![], 0), "{name}");
        assert_eq!(world.queue.dead_letters(), [], "{name}");
        let late = world.longest_lateness(at(START), end);
        assert!((50 * MINUTE..75 * MINUTE).contains(&late), "{name}: {late:?}");
        assert!(
            world.longest_lateness(at(START), later(begin, Duration::ZERO) - SignedDuration::from_mins(5)) < MINUTE
        );
        let recovered = later(end, 40 * MINUTE);
        let now = world.clock.now();
        assert!(
            world.longest_lateness(recovered, now) < MINUTE,
            "{name}: {:?}",
            world.longest_lateness(recovered, now)
        );
    }
}

#[test]
fn a_clock_that_is_set_fires_nothing_twice_and_loses_nothing() {
    // Forwards and back by an hour; back and forwards; and each of them alone.
    for steps in [[3_600, -3_600], [-3_600, 3_600], [3_600, 0], [-3_600, 0]] {
        for moment in [0, 59, 290, 1_234] {
            let mut world = World::new(5_000);
            world.register_many();
            world.register("flaky", "rate(3 minutes)", "flaky");
            world.start_worker();
            world.pass(70 * MINUTE + secs(moment));
            for step in steps {
                world.clock.set_by(step);
                world.pass(25 * MINUTE + secs(7));
            }
            world.pass(2 * HOUR);
            let until = world.clock.now() - SignedDuration::from_mins(10);
            assert_eq!(world.ran_once(until), world.due(until), "{steps:?} {moment}");
            assert_eq!((world.queue.dead_letters(), world.schedules.missed()), (vec![], vec![]), "{steps:?} {moment}");
            let late = world.executor.counts().longest_lateness;
            assert!(late < HOUR + 5 * MINUTE, "{steps:?} {moment}: {late:?}");
            if steps == [-3_600, 0] {
                assert!(late < 5 * MINUTE, "nothing is late by what comes twice: {late:?}");
            }
        }
    }
}

/// What failed before the clock is set back is tried again after the wait that it was told, not an hour later.
#[test]
fn a_wait_does_not_grow_by_as_much_as_the_clock_is_set_back() {
    for moment in [1, 100, 200] {
        let mut world = World::new(100);
        world.register("flaky", "at(2026-01-01T00:10:00)", "flaky");
        let config = ExecutorConfig::default().with_backoff(Backoff::new(5 * MINUTE, 5 * MINUTE));
        let executor = Executor::new(
            world.queue.clone(),
            Arc::new(tasks(&world.seen, &world.elapsed)),
            Arc::new(world.clock.clone()),
        );
        world.executor = Arc::new(executor.with_history(Arc::new(MemoryHistory::new())).with_config(config));
        world.start_worker();
        world.pass(10 * MINUTE + secs(moment));
        let failed_at = world.handled.lock().unwrap()[0].started_at;
        let Verdict::Retrying { at: back_at, .. } = world.handled.lock().unwrap()[0].verdict else {
            panic!("it failed")
        };
        world.clock.set_by(-3_600);
        world.pass(HOUR);
        let ran = world.seen.ran.lock().unwrap();
        let waited = between(failed_at, ran.values().next().unwrap()[0]);
        let told = between(failed_at, back_at);
        // A worker looks every twenty seconds: so much of the wait may not have been seen to pass.
        let told_millis = Duration::from_millis(told.as_millis().try_into().unwrap());
        assert!((told_millis..told + secs(21)).contains(&waited), "{moment}: {waited:?} instead of {told:?}");
    }
}

/// A call died with a schedule in its hold: others give up when their patience ends, not when the clock has caught up.
#[test]
fn patience_does_not_grow_by_as_much_as_the_clock_is_set_back() {
    let elapsed = ManualClock::at(at(START));
    let clock = Settable::new(elapsed.clone());
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let (store, schedules) = (Arc::new(MemoryStore::new()), Arc::new(MemorySchedules::new(shared.clone())));
    let queue = Arc::new(MemoryQueue::new(shared.clone()));
    let switch = Switch::new(&clock);
    let behind = Arc::new(Behind { inner: schedules, switch: switch.clone() });
    let mut config = SchedulerConfig::default();
    config.lease = HOUR;
    let scheduler = Scheduler::new(store, behind, queue, shared).with_config(config.clone());
    switch.set(true);
    let dying = scheduler.register(&Registration::new("a", "rate(1 hour)", "kairos:task:ok")).now_or_never();
    assert!(dying.is_none(), "it dies as it creates the trigger");
    switch.set(false);
    let other = Registration::new("b", "rate(1 hour)", "kairos:task:ok");
    let mut waiting = Box::pin(scheduler.register(&other));
    let mut seconds = 0;
    let answer = loop {
        if let Some(answer) = (&mut waiting).now_or_never() {
            break answer;
        }
        seconds += 1;
        elapsed.advance(secs(1));
        if seconds == 60 {
            clock.set_by(-3_600);
        }
    };
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Busy);
    assert!((120..=190).contains(&seconds), "{seconds} s, where {:?} were asked for", config.patience);
}

#[test]
fn a_receiver_waits_no_longer_than_it_was_told_twice_over() {
    let elapsed = ManualClock::at(at(START));
    let clock = Settable::new(elapsed.clone());
    let queue = MemoryQueue::new(Arc::new(clock.clone()));
    let mut receiving = Box::pin(queue.receive(1, secs(20)));
    for second in 0..40 {
        if (&mut receiving).now_or_never().is_some() {
            assert!(second >= 20);
            return;
        }
        elapsed.advance(secs(1));
        if second == 5 {
            clock.set_by(-3_600);
        }
    }
    assert!(receiving.now_or_never().is_some());
}

/// An executor died with a claim, and then the clock was set back: whoever meets the claim does not stay away for that long.
#[test]
fn a_claim_from_before_the_clock_was_set_back_is_looked_at_again_within_a_lease() {
    let elapsed = ManualClock::at(at(START));
    let (queue, history) = (Arc::new(MemoryQueue::new(Arc::new(elapsed.clone()))), Arc::new(MemoryHistory::new()));
    let work = work("a", at(START));
    let until = at("2026-01-01T01:01:00Z");
    let claim = Claim::new(work.clone(), Hold { owner: Owner::from_u128(1), until }, at("2026-01-01T01:00:00Z"));
    now(history.claim(&claim)).unwrap();
    now(queue.send(&[Message::new(work)])).unwrap().remove(0).unwrap();
    let executor =
        Executor::new(queue.clone(), Arc::new(Tasks::new()), Arc::new(elapsed.clone())).with_history(history);
    let delivery = now(queue.receive(1, Duration::ZERO)).unwrap().remove(0);
    assert_eq!(now(executor.handle(&delivery)).verdict, Verdict::Waiting { until });
    elapsed.advance(ExecutorConfig::default().lease);
    assert_eq!(now(queue.receive(1, Duration::ZERO)).unwrap().len(), 1);
}

#[test]
fn lateness_is_told_of_each_delivery_and_the_longest_of_all() {
    let elapsed = ManualClock::at(at(START));
    let shared: Arc<dyn Clock> = Arc::new(elapsed.clone());
    let queue = Arc::new(MemoryQueue::new(shared.clone()));
    let tasks = Tasks::new()
        .with("a", |_| async { Ok(()) })
        .with("b", |_| async { Err(Error::new(ErrorKind::Rejected, "no")) });
    let executor = Executor::new(queue.clone(), Arc::new(tasks), shared).with_history(Arc::new(MemoryHistory::new()));
    let handle = |message: Message| {
        now(queue.send(&[message])).unwrap().remove(0).unwrap();
        now(executor.handle(&now(queue.receive(1, Duration::ZERO)).unwrap().remove(0)))
    };
    let early = at(START) + SignedDuration::from_secs(9);
    assert_eq!(handle(Message::new(work("a", early))).lateness(), Some(Duration::ZERO), "before its time");
    elapsed.advance(secs(90));
    let late = handle(Message::new(work("b", at(START))));
    assert_eq!((late.started_at, late.lateness()), (elapsed.now(), Some(secs(90))));
    assert_eq!(executor.counts().longest_lateness, secs(90));
    // What could not be read has no time; what has run already, and what is late on purpose, is not late.
    elapsed.advance(secs(90));
    assert_eq!(handle(Message::new(kairos::Body::from_json("?"))).lateness(), None);
    let duplicate = handle(Message::new(work("a", early)));
    assert_eq!((duplicate.verdict.clone(), duplicate.lateness()), (Verdict::Duplicate, Some(secs(171))));
    let mut backfill = work("a", at(START));
    backfill.origin = kairos::Origin::Backfill;
    assert_eq!(handle(Message::new(backfill)).verdict, Verdict::Succeeded);
    assert_eq!(now(queue.redrive(1)).unwrap(), 1);
    let redriven = now(executor.handle(&now(queue.receive(1, Duration::ZERO)).unwrap().remove(0)));
    assert!(matches!(redriven.verdict, Verdict::Dead(_)), "{redriven:?}");
    assert_eq!(executor.counts().longest_lateness, secs(90));
}

#[tokio::test]
async fn a_simulation_is_never_late_however_little_is_caught_up_on() {
    let mut kairos = Embedded::builder()
        .with_task("ok", |_| async { Ok(()) })
        .with_catch_up(MINUTE)
        .simulate(ManualClock::at(at(START)));
    for (name, expression) in [("a", "rate(7 minutes)"), ("b", "cron(0 9 ? * MON-FRI *)"), ("c", "rate(30 days)")] {
        let registration = Registration::new(name, expression, "kairos:task:ok");
        kairos.scheduler().register(&registration).await.unwrap();
    }
    let wide = Registration::new("wide", "cron(0 0 1 * ? *)", "kairos:task:ok").with_window_minutes(1_440u32);
    kairos.scheduler().register(&wide).await.unwrap();
    kairos.advance(100 * 24 * HOUR).await;
    assert_eq!((kairos.schedules().missed(), kairos.schedules().given_up()), (vec![], 0));
    let counts = kairos.executor().counts();
    assert_eq!(counts.succeeded, 100 * 24 * 60 / 7 + 72 + 3 + 3, "all minutes, weekdays, months and firsts of a month");
    assert!(counts.longest_lateness < 24 * HOUR, "only by its own window: {counts:?}");
}

/// The same in one process, whose tasks hang: the queue fills up, and empties.
#[tokio::test]
async fn an_embedded_kairos_whose_queue_is_full_goes_on_when_there_is_room() {
    let is_stuck = Arc::new(AtomicBool::new(true));
    let clock = ManualClock::at(at(START));
    let (stuck, wait) = (is_stuck.clone(), clock.clone());
    let mut kairos = Embedded::builder()
        .with_task("slow", move |_| {
            let (stuck, clock) = (stuck.clone(), wait.clone());
            async move {
                while stuck.load(Ordering::Relaxed) {
                    clock.sleep(MINUTE).await;
                }
                Ok(())
            }
        })
        .with_worker(WorkerConfig::default().with_concurrency(CONCURRENCY))
        .with_queue_capacity(50)
        .simulate(clock);
    for number in 0..30 {
        let registration =
            Registration::new(format!("p{number}"), "rate(5 minutes)", "kairos:task:slow").with_max_attempts(99u32);
        kairos.scheduler().register(&registration).await.unwrap();
    }
    for _ in 0..3 * 60 {
        kairos.advance(MINUTE).await;
        assert!(kairos.queue().len() <= 50 && kairos.schedules().waiting() < 100);
    }
    assert_eq!(kairos.executor().counts().succeeded, 0);
    is_stuck.store(false, Ordering::Relaxed);
    kairos.advance(HOUR).await;
    let counts = kairos.executor().counts();
    assert_eq!((counts.succeeded, counts.dead), (30 * 4 * 12, 0), "{counts:?}");
    assert!(counts.longest_lateness > 2 * HOUR, "{counts:?}");
}
