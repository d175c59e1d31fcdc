//! Executing while history does not answer, answers late or refuses, and while the code of others panics.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use kairos::backend::*;
use kairos::clock::{Clock as _, ClockExt as _, between, later};
use kairos::executor::{Executor, ExecutorConfig, Verdict};
use kairos::page::{Page, PageRequest};
use kairos::{
    Error, ErrorKind, Execution, ExecutionId, ExecutionState, Origin, Owner, Registration, Result, TargetKind, Tasks,
    WorkItem,
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

    async fn renew(&self, id: ExecutionId, owner: Owner, until: Timestamp) -> Result<()> {
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
    let Verdict::Waiting { until } = executor.handle(&second).await.verdict else { panic!("its claim is alive") };
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
        async fn invoke(&self, invocation: Invocation) -> Result<()> {
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
