//! The whole of Kairos in one process: what it promises, seen from outside, on a manual and on the real clock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kairos::backend::{ExecutionFilter, History, Receiver};
use kairos::clock::{Clock as _, ClockExt as _, ManualClock};
use kairos::page::PageRequest;
use kairos::{Error, ErrorKind, Execution, ExecutionState, ProcessId, Registration};
use kairos_memory::{Embedded, EmbeddedBuilder, Simulation};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn clock() -> ManualClock {
    ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap())
}

fn task(name: &str, expression: &str) -> Registration {
    Registration::new(name, expression, "kairos:task:ok")
}

fn builder() -> EmbeddedBuilder {
    Embedded::builder().with_task("ok", |_| async { Ok(()) }).with_history_retention(400 * DAY)
}

async fn executions(kairos: &Simulation, name: &str) -> Vec<Execution> {
    let filter = ExecutionFilter::all().with_process(ProcessId::of(name));
    let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
    let mut all = Vec::new();
    loop {
        let listed = kairos.history().list(&filter, &page).await.unwrap();
        all.extend(listed.items);
        match listed.next {
            Some(cursor) => page = page.with_cursor(cursor),
            None => return all,
        }
    }
}

#[tokio::test]
async fn a_test_reads_what_ran_and_when_and_what_did_not() {
    let mut kairos =
        builder().with_task("broken", |_| async { Err(Error::new(ErrorKind::Rejected, "broken")) }).simulate(clock());
    kairos.scheduler().register(&task("a", "cron(0 9 ? * MON-FRI *)")).await.unwrap();
    kairos.scheduler().register(&Registration::new("b", "rate(6 hours)", "kairos:task:broken")).await.unwrap();
    let lambda = Registration::new("c", "rate(1 day)", "arn:aws:lambda:us-east-1:123456789012:function:c")
        .with_role("arn:aws:iam::123456789012:role/c")
        .with_parameters(r#"{"n":<kairos.attempt>}"#);
    kairos.scheduler().register(&lambda).await.unwrap();
    kairos.advance(365 * DAY).await;

    let ran = executions(&kairos, "a").await;
    assert_eq!(ran.len(), 261);
    assert!(ran.iter().all(|execution| execution.state == ExecutionState::Succeeded && execution.attempts == 1));
    assert!(ran.iter().all(|execution| execution.started_at == execution.scheduled_time), "on time");
    assert_eq!(ran[0].scheduled_time.to_string(), "2026-12-31T09:00:00Z");
    let dead = executions(&kairos, "b").await;
    assert_eq!(dead.len(), 365 * 4);
    assert!(dead.iter().all(|execution| execution.state == ExecutionState::Dead));
    assert_eq!(kairos.queue().dead_letters().len(), 14 * 4, "the queue keeps them for 14 days");
    let calls = kairos.targets().calls();
    assert_eq!(calls.len(), 365);
    assert_eq!(calls[0].invocation.payload.as_deref(), Some(r#"{"n":1}"#));
    assert!(kairos.queue().is_empty());
}

#[tokio::test]
async fn what_is_unregistered_or_disabled_stops_and_what_is_enabled_goes_on() {
    let mut kairos = builder().simulate(clock());
    let a = kairos.scheduler().register(&task("a", "rate(1 hour)")).await.unwrap().process.id.clone();
    let b = kairos.scheduler().register(&task("b", "rate(1 hour)")).await.unwrap().process.id.clone();
    kairos.advance(10 * HOUR).await;
    kairos.scheduler().disable(&a).await.unwrap();
    kairos.advance(10 * HOUR).await;
    kairos.scheduler().enable(&a).await.unwrap();
    kairos.scheduler().unregister(&b).await.unwrap();
    kairos.advance(10 * HOUR).await;
    assert_eq!((executions(&kairos, "a").await.len(), executions(&kairos, "b").await.len()), (20, 20));
    kairos.scheduler().unregister(&a).await.unwrap();
    assert_eq!(kairos.schedules().len(), 0);
    kairos.advance(10 * HOUR).await;
    assert_eq!(kairos.executor().counts().succeeded, 40);
}

#[tokio::test]
async fn a_backfill_runs_what_was_missed_and_repeats_nothing() {
    let mut kairos = builder().simulate(clock());
    // Registered at an odd moment, from which the rate counts.
    kairos.advance(Duration::from_millis(1_234_567)).await;
    let id = kairos.scheduler().register(&task("a", "rate(1 hour)")).await.unwrap().process.id.clone();
    // The range begins after the moment of registration, from which the rate counts.
    let from = kairos.now();
    kairos.advance(5 * HOUR).await;
    kairos.scheduler().disable(&id).await.unwrap();
    kairos.advance(5 * HOUR).await;
    assert_eq!(kairos.executor().counts().succeeded, 5);
    for _ in 0..2 {
        let backfill = kairos::scheduler::Backfill::new(from..=kairos.now());
        kairos.scheduler().backfill(&id, &backfill).await.unwrap();
        kairos.advance(Duration::ZERO).await;
        let counts = kairos.executor().counts();
        assert_eq!(counts.succeeded, 10, "{counts:?}");
    }
}

#[tokio::test]
async fn tasks_may_take_their_time_on_the_clock_of_the_simulation() {
    let clock = clock();
    let (waiting, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let shared = (clock.clone(), waiting, most.clone());
    let mut kairos = builder()
        .with_task("slow", move |_| {
            let (clock, waiting, most) = shared.clone();
            async move {
                most.fetch_max(waiting.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                clock.sleep(Duration::from_secs(150)).await;
                waiting.fetch_sub(1, Ordering::Relaxed);
                Ok(())
            }
        })
        .simulate(clock);
    kairos.scheduler().register(&Registration::new("a", "rate(1 minute)", "kairos:task:slow")).await.unwrap();
    kairos.advance(HOUR).await;
    // Each takes two and a half minutes, longer than claim and visibility last, and none is run twice.
    let counts = kairos.executor().counts();
    assert_eq!((counts.succeeded, counts.retrying, counts.duplicates), (57, 0, 0), "{counts:?}");
    assert_eq!(most.load(Ordering::Relaxed), 3);
    assert!(kairos.drain(HOUR).await);
    assert_eq!(kairos.executor().counts().succeeded, 60);
}

#[tokio::test]
async fn the_same_calls_give_the_same_run() {
    async fn log() -> Vec<String> {
        let log = Arc::new(Mutex::new(Vec::new()));
        let (clock, written) = (clock(), log.clone());
        let now = clock.clone();
        let mut kairos = builder()
            .with_task("flaky", |invocation| async move {
                match invocation.attempt {
                    1 | 2 => Err(Error::new(ErrorKind::Failed, "not yet")),
                    _ => Ok(()),
                }
            })
            .on_handled(move |handled| written.lock().unwrap().push(format!("{} {handled:?}", now.now())))
            .simulate(clock);
        for index in 0..20 {
            let expression = format!("rate({} minutes)", 7 + index % 5);
            let target = if index % 3 == 0 { "kairos:task:flaky" } else { "kairos:task:ok" };
            kairos.scheduler().register(&Registration::new(format!("p{index}"), expression, target)).await.unwrap();
        }
        kairos.advance(DAY).await;
        std::mem::take(&mut *log.lock().unwrap())
    }
    let (one, two) = (log().await, log().await);
    assert!(one.len() > 3_000);
    assert_eq!(one, two);
}

#[tokio::test]
async fn an_occurrence_comes_at_its_local_time_through_zone_changes() {
    let mut kairos = builder().simulate(clock());
    let registration = task("a", "cron(30 1,2 * * ? *)").with_time_zone("America/New_York");
    kairos.scheduler().register(&registration).await.unwrap();
    kairos.advance(365 * DAY).await;
    let ran = executions(&kairos, "a").await;
    assert_eq!(ran.len(), 2 * 365 - 1, "02:30 is skipped once in spring, 01:30 fires once in autumn");
    let mut by_day: BTreeMap<String, usize> = BTreeMap::new();
    let zone = kairos::zone::get("America/New_York").unwrap();
    for execution in &ran {
        *by_day.entry(execution.scheduled_time.to_zoned(zone.clone()).date().to_string()).or_default() += 1;
    }
    assert_eq!((by_day["2026-03-08"], by_day["2026-11-01"]), (1, 2));
}

#[tokio::test]
async fn a_dead_letter_is_redriven_once_its_cause_is_gone() {
    let broken = Arc::new(AtomicUsize::new(1));
    let switch = broken.clone();
    let mut kairos = builder()
        .with_task("repaired", move |_| {
            let broken = switch.load(Ordering::Relaxed) == 1;
            async move { if broken { Err(Error::new(ErrorKind::Denied, "not yet")) } else { Ok(()) } }
        })
        .simulate(clock());
    kairos.scheduler().register(&Registration::new("a", "rate(1 hour)", "kairos:task:repaired")).await.unwrap();
    kairos.advance(5 * HOUR).await;
    assert_eq!(kairos.queue().dead_letters().len(), 5);
    broken.store(0, Ordering::Relaxed);
    assert_eq!(kairos.queue().redrive(10).await.unwrap(), 5);
    kairos.advance(Duration::ZERO).await;
    assert_eq!((kairos.executor().counts().succeeded, kairos.queue().dead_letters().len()), (5, 0));
    assert!(executions(&kairos, "a").await.iter().all(|execution| execution.state == ExecutionState::Succeeded));
}

#[tokio::test]
async fn a_target_that_cannot_be_called_is_refused_at_the_door() {
    let kairos = builder().simulate(clock());
    let error =
        kairos.scheduler().register(&Registration::new("a", "rate(1 day)", "kairos:task:oc")).await.unwrap_err();
    assert_eq!(error.faults()[0].message, "no task is registered under the name 'oc'; those that are: ok");
}

#[tokio::test]
async fn on_the_real_clock_a_shutdown_lets_what_is_under_way_end() {
    let (started, has_started) = tokio::sync::oneshot::channel();
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let signals = Mutex::new(Some((started, released)));
    let kairos = builder()
        .with_task("held", move |_| {
            let signals = signals.lock().unwrap().take();
            async move {
                if let Some((started, released)) = signals {
                    let _ = started.send(());
                    let _ = released.await;
                }
                Ok(())
            }
        })
        .build();
    let running = kairos.start().await.unwrap();
    let id = running
        .scheduler()
        .register(&Registration::new("a", "rate(1 day)", "kairos:task:held"))
        .await
        .unwrap()
        .process
        .id
        .clone();
    running.scheduler().run_now(&id, None).await.unwrap();
    has_started.await.unwrap();
    let (report, ()) = tokio::join!(running.shutdown(), async {
        let _ = release.send(());
    });
    assert_eq!((report.in_flight + usize::try_from(report.handled).unwrap() >= 1, report.unfinished.len()), (true, 0));
    assert_eq!((report.queued, kairos.executor().counts().succeeded), (0, 1));
}
