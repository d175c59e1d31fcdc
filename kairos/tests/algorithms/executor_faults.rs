//! Executing while history does not answer, answers late or refuses, and while the code of others panics.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use kairos::backend::*;
use kairos::clock::{Clock as _, ClockExt as _, between, later};
use kairos::executor::{Executor, ExecutorConfig, Verdict, Worker, WorkerConfig};
use kairos::page::{Page, PageRequest};
use kairos::shutdown::{ShutdownTrigger, shutdown};
use kairos::{
    Error, ErrorKind, Execution, ExecutionId, ExecutionState, Origin, Registration, Result, TargetKind, Tasks, WorkItem,
};
use kairos_memory::{MemoryHistory, MemoryQueue};

use crate::executor::Bench;
use crate::support::*;

/// What comes before a call reaches the history behind.
type Obstacle = BoxFuture<'static, Result<()>>;

/// A history that puts obstacles in the way of calls: `claim`, `renew`, and the name of the state that is recorded.
struct Obstructed {
    inner: Arc<MemoryHistory>,
    obstacle: Box<dyn Fn(&'static str) -> Option<Obstacle> + Send + Sync>,
}

impl fmt::Debug for Obstructed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Obstructed").finish_non_exhaustive()
    }
}

impl Obstructed {
    async fn before(&self, call: &'static str) -> Result<()> {
        match (self.obstacle)(call) {
            Some(obstacle) => obstacle.await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl History for Obstructed {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        self.before("claim").await?;
        self.inner.claim(claim).await
    }

    async fn renew(&self, id: ExecutionId, owner: &str, until: Timestamp) -> Result<()> {
        self.before("renew").await?;
        self.inner.renew(id, owner, until).await
    }

    async fn record(&self, outcome: &Outcome) -> Result<()> {
        self.before(outcome.state.as_str()).await?;
        self.inner.record(outcome).await
    }

    async fn get(&self, id: ExecutionId) -> Result<Option<Execution>> {
        self.inner.get(id).await
    }

    async fn list(&self, filter: &ExecutionFilter, page: &PageRequest) -> Result<Page<Execution>> {
        self.inner.list(filter, page).await
    }
}

fn fails(kind: ErrorKind) -> Obstacle {
    async move { Err(Error::new(kind, "a fault")) }.boxed()
}

fn never() -> Obstacle {
    std::future::pending().boxed()
}

/// An executor whose history is obstructed.
fn obstructed(bench: &Bench, obstacle: impl Fn(&'static str) -> Option<Obstacle> + Send + Sync + 'static) -> Executor {
    let history = Obstructed { inner: bench.history.clone(), obstacle: Box::new(obstacle) };
    bench.executor_without_history().with_history(Arc::new(history))
}

async fn redrive_the_one(bench: &Bench) {
    assert_eq!(bench.world.queue.redrive(10).await.unwrap(), 1);
}

#[tokio::test]
async fn an_outcome_whose_record_is_never_answered_is_counted_and_runs_nothing_twice() {
    let bench = Bench::new();
    let executor = obstructed(&bench, |call| (call == "Exitosa").then(never));
    bench.send(&bench.work("ok")).await;
    let before = bench.world.clock.now();
    assert_eq!(bench.round(&executor).await, [Verdict::Succeeded]);
    let took = between(before, bench.world.clock.now());
    assert!(took < bench.world.queue.visibility_timeout(), "{took:?}");
    assert_eq!((executor.counts().unrecorded, bench.call_count()), (1, 1));
    assert!(bench.world.queue.is_empty(), "acknowledged before others could see it");
}

#[tokio::test]
async fn a_claim_that_is_never_answered_comes_back() {
    let bench = Bench::new();
    let hangs = AtomicBool::new(true);
    let executor =
        obstructed(&bench, move |call| (call == "claim" && hangs.swap(false, Ordering::Relaxed)).then(never));
    bench.send(&bench.work("ok")).await;
    let verdicts = bench.round(&executor).await;
    assert!(matches!(&verdicts[..], [Verdict::Undecided(failure)] if failure.kind == "timeout"), "{verdicts:?}");
    assert_eq!(bench.rounds(&executor).await, [Verdict::Succeeded]);
    assert_eq!(bench.call_count(), 1);
}

#[tokio::test]
async fn a_call_is_given_up_at_its_limit_whatever_history_does() {
    let bench = Bench::new();
    let limit = Duration::from_secs(105);
    let executor = obstructed(&bench, |call| (call == "renew").then(never))
        .with_config(ExecutorConfig::default().with_call_limit(limit));
    bench.send(&bench.work("slow")).await;
    let before = bench.world.clock.now();
    let verdicts = bench.round(&executor).await;
    assert!(matches!(verdicts[..], [Verdict::Retrying { .. }]), "{verdicts:?}");
    assert_eq!(between(before, bench.world.clock.now()), limit);
}

/// Whatever becomes of the claim: others must not see the message while the target is at work.
#[tokio::test]
async fn a_message_is_kept_invisible_while_renewals_are_not_answered() {
    let bench = Bench::new();
    let executor = obstructed(&bench, |call| (call == "renew").then(never));
    bench.send(&bench.work("slow")).await;
    let deliveries = bench.world.receive_all().await;
    let mut running = Box::pin(executor.execute(deliveries));
    for _ in 0..590 {
        assert!(futures_util::poll!(&mut running).is_pending());
        bench.world.clock.advance(Duration::from_secs(1));
        assert!(bench.world.receive_all().await.is_empty());
    }
}

#[tokio::test]
async fn a_visibility_timeout_of_zero_makes_no_renewal_without_a_pause() {
    let mut bench = Bench::new();
    bench.world.queue = Arc::new(MemoryQueue::new(bench.world.shared_clock()).with_visibility_timeout(Duration::ZERO));
    let renewals = Arc::new(AtomicUsize::new(0));
    let count = renewals.clone();
    let executor = obstructed(&bench, move |call| {
        let most = 600;
        assert!(call != "renew" || count.fetch_add(1, Ordering::Relaxed) < most, "more than once a second");
        None
    });
    bench.send(&bench.work("slow")).await;
    let deliveries = bench.world.queue.receive(1, Duration::ZERO).await.unwrap();
    drive(&bench.world.clock, executor.execute(deliveries)).await;
    assert!(renewals.load(Ordering::Relaxed) > 500);
}

#[tokio::test]
async fn a_claim_that_is_granted_late_lasts_as_long_as_any_other() {
    let bench = Bench::new();
    let (is_first, clock) = (AtomicBool::new(true), bench.world.clock.clone());
    let late = Duration::from_secs(10);
    let executor = obstructed(&bench, move |call| {
        let clock = clock.clone();
        let obstacle = async move {
            clock.sleep(late).await;
            Err(Error::new(ErrorKind::Timeout, "no answer"))
        };
        (call == "claim" && is_first.swap(false, Ordering::Relaxed)).then(|| obstacle.boxed())
    });
    let work = bench.work("slow");
    bench.send(&work).await;
    bench.send(&work).await;
    let mut deliveries = bench.world.receive_all().await;
    let second = deliveries.pop().unwrap();
    let mut first = Box::pin(executor.execute(deliveries));
    while bench.call_count() == 0 {
        assert!(futures_util::poll!(&mut first).is_pending());
        bench.world.clock.advance(Duration::from_millis(10));
    }
    let Verdict::Waiting { until } = executor.handle(second).await.verdict else { panic!("its claim is alive") };
    let lease = between(bench.world.clock.now(), until);
    assert!(lease + Duration::from_secs(1) > ExecutorConfig::default().lease, "{lease:?}");
}

#[tokio::test]
async fn who_is_overtaken_records_nothing_buries_nothing_and_comes_back_to_see() {
    let bench = Bench::new();
    let config = ExecutorConfig::default().with_max_attempts(1);
    let lease = config.lease;
    let executor = obstructed(&bench, |call| (call == "renew").then(|| fails(ErrorKind::Lost))).with_config(config);
    let work = bench.work("slow");
    bench.send(&work).await;
    let verdicts = bench.round(&executor).await;
    assert_eq!(verdicts, [Verdict::Waiting { until: later(bench.world.clock.now(), lease) }]);
    assert!(bench.world.queue.dead_letters().is_empty());
    assert_eq!(bench.recorded(work.execution_id).await.state, ExecutionState::Running);
    assert_eq!(bench.world.queue.in_flight(), 1);
    assert_eq!(executor.counts().unrecorded, 0);
}

#[tokio::test]
async fn a_claim_that_is_refused_for_good_goes_to_the_dead_letters_with_the_reason() {
    let bench = Bench::new();
    let refuses = AtomicBool::new(true);
    let executor = obstructed(&bench, move |call| {
        (call == "claim" && refuses.swap(false, Ordering::Relaxed)).then(|| fails(ErrorKind::Denied))
    });
    let work = bench.work("ok");
    bench.send(&work).await;
    let verdicts = bench.round(&executor).await;
    assert!(matches!(&verdicts[..], [Verdict::Dead(_)]), "{verdicts:?}");
    let reason = bench.world.queue.dead_letters().remove(0).reason;
    assert_eq!((reason.failure.kind.as_str(), reason.attempts), ("denied", 0));
    assert_eq!(reason.failure.text, "it could not be claimed: a fault");
    assert_eq!(reason.execution_id, Some(work.execution_id));
    assert_eq!(bench.call_count(), 0);
    redrive_the_one(&bench).await;
    assert_eq!(bench.round(&executor).await, [Verdict::Succeeded]);
}

#[tokio::test]
async fn a_redriven_dead_letter_runs_although_its_death_was_not_recorded() {
    let bench = Bench::new();
    let executor = obstructed(&bench, |call| (call == "Muerta").then(|| fails(ErrorKind::Denied)))
        .with_config(ExecutorConfig::default().with_max_attempts(1));
    bench.send(&bench.work("later")).await;
    assert!(matches!(bench.round(&executor).await[..], [Verdict::Dead(_)]));
    for calls in 2..=3 {
        bench.world.clock.advance(MINUTE * 60);
        redrive_the_one(&bench).await;
        bench.round(&executor).await;
        assert_eq!(bench.call_count(), calls);
    }
    assert_eq!(executor.counts().succeeded, 1);
}

#[tokio::test]
async fn what_the_queue_itself_buried_runs_when_it_is_redriven() {
    let mut bench = Bench::new();
    let tries = ExecutorConfig::default().max_attempts;
    bench.world.queue = Arc::new(MemoryQueue::new(bench.world.shared_clock()).with_max_receive_count(tries));
    let executor = bench.executor();
    let work = bench.work("slow");
    bench.send(&work).await;
    for _ in 0..tries {
        let deliveries = bench.world.receive_all().await;
        assert_eq!(deliveries.len(), 1);
        let mut crashing = Box::pin(executor.execute(deliveries));
        assert!(futures_util::poll!(&mut crashing).is_pending());
        drop(crashing);
        bench.world.clock.advance(MINUTE * 2);
    }
    assert!(bench.world.receive_all().await.is_empty());
    redrive_the_one(&bench).await;
    assert_eq!(bench.round(&executor).await, [Verdict::Succeeded]);
    assert_eq!(bench.recorded(work.execution_id).await.attempts, 1);
}

/// Each of its deliveries is marked as redriven: if each counted from 1, it would be tried for ever.
#[tokio::test]
async fn a_redriven_dead_letter_comes_to_the_end_of_its_tries() {
    let bench = Bench::new();
    let tasks = Tasks::new().with("t", |_| async { Err(Error::new(ErrorKind::Failed, "not now")) });
    let executor = Executor::new(bench.world.queue.clone(), Arc::new(tasks), bench.world.shared_clock())
        .with_history(bench.history.clone())
        .with_config(ExecutorConfig::default().with_max_attempts(3));
    bench.send(&bench.work("t")).await;
    for _ in 0..2 {
        let verdicts = bench.rounds(&executor).await;
        let [Verdict::Retrying { .. }, Verdict::Retrying { .. }, Verdict::Dead(_)] = &verdicts[..] else {
            panic!("{verdicts:?}");
        };
        redrive_the_one(&bench).await;
    }
}

/// Its first delivery came to nothing: the next one must not be taken for a duplicate of the execution that died.
#[tokio::test]
async fn a_redriven_dead_letter_that_could_not_be_claimed_at_first_still_runs() {
    let bench = Bench::new();
    let config = ExecutorConfig::default().with_max_attempts(1);
    bench.send(&bench.work("later")).await;
    assert!(matches!(bench.round(&bench.executor().with_config(config.clone())).await[..], [Verdict::Dead(_)]));
    redrive_the_one(&bench).await;
    let hangs = AtomicBool::new(true);
    let executor =
        obstructed(&bench, move |call| (call == "claim" && hangs.swap(false, Ordering::Relaxed)).then(never))
            .with_config(config);
    assert!(matches!(bench.rounds(&executor).await[..], [Verdict::Undecided(_), Verdict::Dead(_)]));
    assert_eq!(bench.call_count(), 2);
}

#[tokio::test]
async fn a_backfill_runs_what_was_skipped_whatever_the_limit_on_age() {
    let bench = Bench::new();
    let executor = bench.executor();
    let registration = Registration::new("ok", "rate(1 day)", "kairos:task:ok").with_max_age_seconds(600u64);
    let work = bench.work_of(registration);
    bench.world.clock.advance(MINUTE * 60);
    bench.send(&work).await;
    assert_eq!(bench.round(&executor).await, [Verdict::Skipped]);
    bench.send(&work).await;
    assert_eq!(bench.round(&executor).await, [Verdict::Duplicate]);
    let backfill = WorkItem::of_occurrence(work.process.clone(), work.scheduled_time, Origin::Backfill);
    for verdict in [Verdict::Succeeded, Verdict::Duplicate] {
        bench.send(&backfill).await;
        assert_eq!(bench.round(&executor).await, [verdict]);
    }
    assert_eq!(bench.call_count(), 1);
    assert_eq!(bench.recorded(work.execution_id).await.state, ExecutionState::Succeeded);
}

#[tokio::test]
async fn an_invoker_that_panics_harms_no_other_message() {
    #[derive(Debug)]
    struct Panics(AtomicUsize);

    #[async_trait]
    impl Invoker for Panics {
        async fn invoke(&self, invocation: &Invocation) -> Result<()> {
            assert_ne!(invocation.process.name, "mala", "a bug");
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        fn capabilities(&self) -> InvokerCapabilities {
            InvokerCapabilities::new([TargetKind::Task])
        }
    }

    let bench = Bench::new();
    let invoker = Arc::new(Panics(AtomicUsize::new(0)));
    let executor = Executor::new(bench.world.queue.clone(), invoker.clone(), bench.world.shared_clock());
    for name in ["mala", "buena"] {
        bench.send(&bench.work_of(Registration::new(name, "rate(1 day)", "kairos:task:ok"))).await;
    }
    let verdicts = AssertUnwindSafe(bench.round(&executor)).catch_unwind().await.unwrap();
    let [Verdict::Retrying { failure, .. }, Verdict::Succeeded] = &verdicts[..] else { panic!("{verdicts:?}") };
    assert_eq!(failure.kind, "failed");
    assert!(failure.text.contains("panicked") && failure.text.contains("a bug"), "{failure:?}");
    assert_eq!(invoker.0.load(Ordering::Relaxed), 1);
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

/// A queue that remembers how many messages each receipt gave.
#[derive(Debug)]
struct Counting(Arc<MemoryQueue>, Mutex<Vec<usize>>);

#[async_trait]
impl Receiver for Counting {
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let received = self.0.receive(max, wait).await?;
        self.1.lock().unwrap().push(received.len());
        Ok(received)
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        self.0.acknowledge(receipts).await
    }

    async fn change_visibility(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        self.0.change_visibility(receipt, delay).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &DeadLetterReason) -> Result<()> {
        self.0.dead_letter(delivery, reason).await
    }

    async fn redrive(&self, max: usize) -> Result<usize> {
        self.0.redrive(max).await
    }

    fn visibility_timeout(&self) -> Duration {
        self.0.visibility_timeout()
    }
}

/// What the receipts gave of sixty executions, twenty at once and by fives, that take a second each and end one by one, `apart` from each
/// other; how many of them were handled within ten seconds, some places being taken for good.
async fn receipts(apart: Duration, taken: usize, config: WorkerConfig) -> (Vec<usize>, u64) {
    let bench = Bench::new();
    let queue = Arc::new(Counting(bench.world.queue.clone(), Mutex::default()));
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
    let executor = Arc::new(Executor::new(queue.clone(), Arc::new(tasks), bench.world.shared_clock()));
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
    let given = queue.1.lock().unwrap().iter().copied().filter(|given| *given > 0).collect();
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

/// A queue whose receiver hears that the end is asked for while it receives.
#[derive(Debug)]
struct Ending {
    inner: Arc<MemoryQueue>,
    end: ShutdownTrigger,
}

#[async_trait]
impl Receiver for Ending {
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        self.end.request();
        self.inner.receive(max, wait).await
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

#[tokio::test]
async fn what_is_received_as_the_end_is_asked_for_goes_back_untouched() {
    let bench = Bench::new();
    bench.send(&bench.work("ok")).await;
    let (end, stop) = shutdown();
    let queue = Arc::new(Ending { inner: bench.world.queue.clone(), end });
    let executor = Executor::new(queue, Arc::new(Tasks::new()), bench.world.shared_clock());
    let report = Worker::new(Arc::new(executor), WorkerConfig::default()).run(stop).await;
    assert_eq!((report.handled, report.in_flight), (0, 0));
    assert_eq!(bench.world.receive_all().await.len(), 1, "visible again at once");
}
