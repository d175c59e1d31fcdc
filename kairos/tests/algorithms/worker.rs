//! Working: so many at once, each group in its order, until the end is asked for.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kairos::backend::*;
use kairos::clock::ClockExt as _;
use kairos::executor::{Executor, Verdict, Worker, WorkerConfig, WorkerReport};
use kairos::shutdown::shutdown;
use kairos::{Error, ErrorKind, Registration, Result, Tasks};
use kairos_memory::MemoryQueue;

use crate::executor::Bench;
use crate::support::*;

type Tap = dyn Fn(&mut Vec<Delivery>) + Send + Sync;

/// A queue that shows what is received before anybody has it.
struct Tapped {
    inner: Arc<MemoryQueue>,
    tap: Box<Tap>,
}

impl fmt::Debug for Tapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tapped").finish_non_exhaustive()
    }
}

#[async_trait]
impl Receiver for Tapped {
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let mut received = self.inner.receive(max, wait).await?;
        (self.tap)(&mut received);
        Ok(received)
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        self.inner.acknowledge(receipts).await
    }

    async fn change_visibility(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        self.inner.change_visibility(receipt, delay).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &DeadLetterReason) -> Result<()> {
        self.inner.dead_letter(delivery, reason).await
    }

    async fn redrive(&self, max: usize) -> Result<usize> {
        self.inner.redrive(max).await
    }

    fn visibility_timeout(&self) -> Duration {
        self.inner.visibility_timeout()
    }
}

impl Bench {
    fn tapped(&self, tap: impl Fn(&mut Vec<Delivery>) + Send + Sync + 'static) -> Arc<Tapped> {
        Arc::new(Tapped { inner: self.world.queue.clone(), tap: Box::new(tap) })
    }
}

#[tokio::test]
async fn a_worker_lets_what_is_under_way_end_and_gives_back_what_does_not() {
    for (grace, unfinished) in [(601, 0), (60, 2)] {
        let bench = Bench::new();
        let config = WorkerConfig::default().with_grace(Duration::from_secs(grace)).with_concurrency(4);
        let worker = Worker::new(Arc::new(bench.executor()), config);
        for name in ["a", "b"] {
            let work = bench.work_of(Registration::new(name, "rate(1 day)", "kairos:task:slow"));
            bench.send(&work).await;
        }
        bench.send(&bench.work("ok")).await;
        let (end, shutdown) = shutdown();
        let mut running = Box::pin(worker.run(shutdown));
        for _ in 0..10 {
            assert!(futures_util::poll!(&mut running).is_pending());
        }
        end.request();
        let report = drive(&bench.world.clock, running).await;
        assert_eq!((report.in_flight, report.unfinished.len()), (2, unfinished));
        assert_eq!(report.handled, 3 - unfinished as u64);
        assert_eq!(bench.world.queue.len(), unfinished);
        assert_eq!(bench.world.receive_all().await.len(), unfinished, "visible again at once");
    }
}

#[tokio::test]
async fn an_observer_that_panics_stops_no_worker() {
    let bench = Bench::new();
    let worker = Worker::new(Arc::new(bench.executor()), WorkerConfig::default());
    for name in ["a", "b"] {
        bench.send(&bench.work_of(Registration::new(name, "rate(1 day)", "kairos:task:ok"))).await;
    }
    let (end, stop) = shutdown();
    let told = AtomicUsize::new(0);
    let mut running = Box::pin(worker.run_with(stop, |_| {
        told.fetch_add(1, Ordering::Relaxed);
        panic!("a bug");
    }));
    for _ in 0..10 {
        assert!(futures_util::poll!(&mut running).is_pending());
    }
    end.request();
    assert_eq!(drive(&bench.world.clock, running).await.handled, 2);
    assert_eq!((told.load(Ordering::Relaxed), bench.world.queue.len()), (2, 0));
}

#[tokio::test]
async fn a_worker_runs_as_many_at_once_as_it_was_told_and_no_more() {
    for (concurrency, batch) in [(1, 10), (3, 10), (4, 3), (7, 1)] {
        let bench = Bench::new();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (clock, highest) = (bench.world.clock.clone(), most.clone());
        let tasks = Tasks::new().with("t", move |_| {
            let (clock, now, highest) = (clock.clone(), now.clone(), highest.clone());
            async move {
                highest.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                clock.sleep(Duration::from_secs(5)).await;
                now.fetch_sub(1, Ordering::Relaxed);
                Ok(())
            }
        });
        let executor = Executor::new(bench.world.queue.clone(), Arc::new(tasks), bench.world.shared_clock());
        for number in 0..20 {
            bench.send(&bench.work_of(Registration::new(format!("{number}"), "rate(1 day)", "kairos:task:t"))).await;
        }
        let (end, stop) = shutdown();
        let config = WorkerConfig::default().with_concurrency(concurrency).with_batch(batch);
        let worker = Worker::new(Arc::new(executor), config);
        let mut running = Box::pin(worker.run(stop));
        for _ in 0..200 {
            assert!(futures_util::poll!(&mut running).is_pending());
            bench.world.clock.advance(Duration::from_secs(1));
        }
        end.request();
        assert_eq!(drive(&bench.world.clock, running).await.handled, 20);
        assert_eq!(most.load(Ordering::Relaxed), concurrency);
    }
}

#[tokio::test]
async fn one_slow_execution_leaves_room_for_others() {
    let bench = Bench::new();
    bench.send(&bench.work("slow")).await;
    let (_end, stop) = shutdown();
    let worker = Worker::new(Arc::new(bench.executor()), WorkerConfig::default().with_concurrency(8));
    let mut running = Box::pin(worker.run(stop));
    for _ in 0..5 {
        assert!(futures_util::poll!(&mut running).is_pending());
    }
    bench.send(&bench.work("ok")).await;
    for _ in 0..5 {
        assert!(futures_util::poll!(&mut running).is_pending());
    }
    assert_eq!(bench.call_count(), 2, "one of eight is busy");
}

/// What the receipts gave of sixty executions, twenty at once and by fives, that take a second each and end one by one, `apart` from each
/// other; how many of them were handled within ten seconds, some places being taken for good.
async fn receipts(apart: Duration, taken: usize, config: WorkerConfig) -> (Vec<usize>, u64) {
    let bench = Bench::new();
    let given = Arc::new(Mutex::new(Vec::new()));
    let queue = {
        let given = given.clone();
        bench.tapped(move |received| given.lock().unwrap().push(received.len()))
    };
    let clock = bench.world.shared_clock();
    let started = Arc::new(AtomicUsize::new(0));
    let tasks = Tasks::new().with("t", move |_| {
        let number = started.fetch_add(1, Ordering::Relaxed);
        let late = apart * u32::try_from(number % 20).unwrap();
        let second = if number < taken { 3_600 } else { 1 };
        let end = clock.sleep(Duration::from_secs(second) + late);
        async move {
            end.await;
            Ok(())
        }
    });
    let executor = Arc::new(Executor::new(queue, Arc::new(tasks), bench.world.shared_clock()));
    for number in 0..60 {
        bench.send(&bench.work_of(Registration::new(format!("{number}"), "rate(1 day)", "kairos:task:t"))).await;
    }
    let (_end, stop) = shutdown();
    let worker = Worker::new(executor.clone(), config.with_concurrency(20).with_batch(5));
    let mut running = Box::pin(worker.run(stop));
    for _ in 0..2_000 {
        assert!(futures_util::poll!(&mut running).is_pending());
        bench.world.clock.advance(Duration::from_millis(5));
    }
    let given = given.lock().unwrap().iter().copied().filter(|given| *given > 0).collect();
    (given, executor.counts().succeeded)
}

#[tokio::test]
async fn a_worker_waits_a_little_for_room_for_a_whole_batch() {
    let (quick, slow) = (Duration::from_millis(10), Duration::from_millis(45));
    let hasty = WorkerConfig::default().with_gathering(Duration::ZERO);
    let (given, handled) = receipts(quick, 0, hasty).await;
    assert!(given.len() > 40 && handled == 60, "{given:?}");
    assert_eq!(receipts(quick, 0, WorkerConfig::default()).await, (vec![5; 12], 60));
    // No longer than a tenth of a second: three at a time, and not one by one.
    let (given, handled) = receipts(slow, 0, WorkerConfig::default()).await;
    assert!(given.len() < 20 && given.contains(&3) && handled == 60, "{given:?}");
    // What room there is is used, also where there is never any for a whole batch.
    let (given, handled) = receipts(quick, 17, WorkerConfig::default()).await;
    assert!(given.contains(&3) && handled >= 20, "{given:?} {handled}");
}

#[tokio::test]
async fn what_is_received_as_the_end_is_asked_for_goes_back_untouched() {
    let bench = Bench::new();
    bench.send(&bench.work("ok")).await;
    let (end, stop) = shutdown();
    let queue = bench.tapped(move |_| end.request());
    let executor = Executor::new(queue, Arc::new(Tasks::new()), bench.world.shared_clock());
    let report = Worker::new(Arc::new(executor), WorkerConfig::default()).run(stop).await;
    assert_eq!((report.handled, report.in_flight), (0, 0));
    assert_eq!(bench.world.receive_all().await.len(), 1, "visible again at once");
}

/// Seven messages, of two groups and of none: `slow` takes ten seconds, `later` fails at its first try.
struct Grouped {
    bench: Bench,
    queue: Arc<Tapped>,
    executor: Arc<Executor>,
    /// What began and ended.
    told: Arc<Mutex<Vec<String>>>,
}

impl Grouped {
    async fn new() -> Self {
        let (bench, told) = (Bench::new(), Arc::new(Mutex::new(Vec::new())));
        let (clock, tell) = (bench.world.clock.clone(), told.clone());
        let tasks = Tasks::new().with("t", move |invocation| {
            let (clock, tell) = (clock.clone(), tell.clone());
            async move {
                let name = &invocation.process.name;
                tell.lock().unwrap().push(format!("{name} begins"));
                if name.ends_with("later") && invocation.attempt == 1 {
                    return Err(Error::new(ErrorKind::Throttled, "busy"));
                }
                if name.ends_with("slow") {
                    clock.sleep(Duration::from_secs(10)).await;
                }
                tell.lock().unwrap().push(format!("{name} ends"));
                Ok(())
            }
        });
        let queue = bench.tapped(|received| {
            for delivery in received {
                let work = delivery.body.work(delivery.message_id.as_str(), delivery.sent_at).unwrap();
                delivery.group = work.process.name.split_once('-').map(|(group, _)| Arc::from(group));
            }
        });
        let executor = Executor::new(queue.clone(), Arc::new(tasks), bench.world.shared_clock());
        let executor = Arc::new(executor.with_history(bench.history.clone()));
        for name in ["a-slow", "a-2", "b-later", "b-2", "b-3", "alone", "a-3"] {
            bench.send(&bench.work_of(Registration::new(name, "rate(1 day)", "kairos:task:t"))).await;
        }
        Self { bench, queue, executor, told }
    }

    fn of(&self, group: &str) -> Vec<String> {
        self.told.lock().unwrap().iter().filter(|told| told.starts_with(group)).cloned().collect()
    }

    /// Works for as many seconds, and then as long as it takes to end.
    async fn work(&self, grace: Duration, seconds: usize) -> WorkerReport {
        let (end, stop) = shutdown();
        let worker = Worker::new(self.executor.clone(), WorkerConfig::default().with_grace(grace));
        let mut running = Box::pin(worker.run(stop));
        for _ in 0..=seconds {
            assert!(futures_util::poll!(&mut running).is_pending());
            self.bench.world.clock.advance(Duration::from_secs(1));
        }
        end.request();
        drive(&self.bench.world.clock, running).await
    }
}

#[tokio::test]
async fn a_batch_runs_each_group_in_order_and_goes_back_from_where_one_does() {
    let grouped = Grouped::new().await;
    let batch = grouped.queue.receive(10, Duration::ZERO).await.unwrap();
    let report = drive(&grouped.bench.world.clock, grouped.executor.execute(batch)).await;
    assert_eq!(grouped.of("a-"), ["a-slow begins", "a-slow ends", "a-2 begins", "a-2 ends", "a-3 begins", "a-3 ends"]);
    assert_eq!(grouped.of("b-"), ["b-later begins"]);
    assert_eq!(grouped.of("alone"), ["alone begins", "alone ends"]);
    let waiting = report.handled.iter().filter(|handled| matches!(handled.verdict, Verdict::Waiting { .. }));
    let waiting: Vec<_> = waiting.map(|handled| handled.work.as_ref().unwrap().process.name.as_str()).collect();
    assert_eq!(waiting, ["b-2", "b-3"]);
    assert_eq!((report.handled.len(), report.to_return().count()), (7, 3));
    assert_eq!(grouped.executor.counts().waiting, 2);
}

#[tokio::test]
async fn a_worker_runs_each_group_in_order() {
    let grouped = Grouped::new().await;
    let report = grouped.work(Duration::ZERO, 60).await;
    assert_eq!(grouped.of("a-"), ["a-slow begins", "a-slow ends", "a-2 begins", "a-2 ends", "a-3 begins", "a-3 ends"]);
    // They were received again by themselves, as this queue keeps no order, and are in theirs.
    let (first, last) =
        (["b-later begins", "b-2 begins", "b-2 ends", "b-3 begins", "b-3 ends"], ["b-later begins", "b-later ends"]);
    assert_eq!(grouped.of("b-"), [&first[..], &last[..]].concat());
    assert_eq!((report.handled, grouped.bench.world.queue.len()), (10, 0), "three came back");
}

#[tokio::test]
async fn what_waits_for_its_turn_goes_back_when_the_end_is_asked_for() {
    let grouped = Grouped::new().await;
    let report = grouped.work(MINUTE, 5).await;
    assert_eq!(grouped.of("a-"), ["a-slow begins", "a-slow ends"]);
    assert_eq!((report.in_flight, report.unfinished.len(), grouped.bench.world.queue.len()), (1, 0, 2));

    let grouped = Grouped::new().await;
    let report = grouped.work(Duration::from_secs(1), 5).await;
    let name = |delivery: &Delivery| delivery.body.work("m", delivery.sent_at).unwrap().process.name.clone();
    let unfinished: Vec<_> = report.unfinished.iter().map(name).collect();
    assert_eq!(unfinished, ["a-slow", "a-2", "a-3"]);
    assert_eq!(grouped.bench.world.receive_all().await.len(), 3, "visible again at once");
}

/// Where everything is in memory, a worker never has to wait for anything.
#[tokio::test]
async fn a_worker_that_always_has_something_to_do_lets_others_of_its_thread_have_their_turn() {
    let bench = Bench::new();
    let work = bench.work("ok");
    for _ in 0..5_000 {
        bench.send(&work).await;
    }
    let (end, stop) = shutdown();
    let worker = Worker::new(Arc::new(bench.executor()), WorkerConfig::default());
    let working = tokio::spawn(async move { worker.run(stop).await });
    tokio::spawn(async move { end.request() });
    let handled = working.await.unwrap().handled;
    assert!((1..5_000).contains(&handled), "{handled}");
}
