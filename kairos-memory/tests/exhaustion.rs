//! What becomes of memory, concurrency and occurrences while something is full, down, silent, or set to another time: for simulated
//! hours, with bounds that are looked at after every step.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use async_trait::async_trait;
use common::{START, Settable, at, now, secs, work};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, select};
use jiff::{SignedDuration, Timestamp};
use kairos::backend::*;
use kairos::chance::Chance;
use kairos::clock::{Clock, ClockExt as _, ManualClock, between, later};
use kairos::dispatcher::{DispatchRequest, Dispatcher};
use kairos::executor::{Executor, ExecutorConfig, Handled, Verdict, Worker, WorkerConfig};
use kairos::page::{Page, PageRequest};
use kairos::retry::Backoff;
use kairos::scheduler::SchedulerConfig;
use kairos::shutdown::{ShutdownTrigger, shutdown};
use kairos::{
    Error, ErrorKind, Execution, ExecutionId, Hold, Owner, Process, ProcessId, Registration, Result, Schedule,
    ScheduleId, Scheduler, Tasks,
};
use kairos_memory::{Embedded, MemoryHistory, MemoryQueue, MemorySchedules, MemoryStore};

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);
const CONCURRENCY: usize = 8;
/// `MemorySchedules` says so.
const WAITING: usize = 10_000;

/// What is down answers nothing; whoever asks it hears so from its own timeout, as the contract has it.
#[derive(Clone, Debug)]
struct Switch {
    is_down: Arc<AtomicBool>,
    clock: Settable,
}

impl Switch {
    fn new(clock: &Settable) -> Self {
        Self { is_down: Arc::default(), clock: clock.clone() }
    }

    fn set(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    async fn pass(&self) -> Result<()> {
        if self.is_down.load(Ordering::Relaxed) {
            self.clock.sleep(secs(5)).await;
            return Err(Error::new(ErrorKind::Timeout, "down"));
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Behind<B> {
    inner: Arc<B>,
    switch: Switch,
}

#[async_trait]
impl<B: Store> Store for Behind<B> {
    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>> {
        self.switch.pass().await?;
        self.inner.process(id).await
    }

    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        self.switch.pass().await?;
        self.inner.schedule(id).await
    }

    async fn list_processes(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<Arc<Process>>> {
        self.switch.pass().await?;
        self.inner.list_processes(filter, page).await
    }

    async fn list_schedules(&self, page: &PageRequest) -> Result<Page<Schedule>> {
        self.switch.pass().await?;
        self.inner.list_schedules(page).await
    }

    async fn commit(&self, transaction: &Transaction) -> Result<()> {
        self.switch.pass().await?;
        self.inner.commit(transaction).await
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }
}

#[async_trait]
impl<B: ScheduleBackend> ScheduleBackend for Behind<B> {
    async fn create(&self, trigger: &Trigger) -> Result<String> {
        self.switch.pass().await?;
        self.inner.create(trigger).await
    }

    async fn delete(&self, key: &TriggerKey) -> Result<()> {
        self.switch.pass().await?;
        self.inner.delete(key).await
    }

    async fn get(&self, key: &TriggerKey) -> Result<Option<Trigger>> {
        self.switch.pass().await?;
        self.inner.get(key).await
    }

    async fn list(&self, page: &PageRequest) -> Result<Page<Trigger>> {
        self.switch.pass().await?;
        self.inner.list(page).await
    }
}

#[async_trait]
impl<B: Queue> Queue for Behind<B> {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        self.switch.pass().await?;
        self.inner.send(batch).await
    }

    fn limits(&self) -> QueueLimits {
        self.inner.limits()
    }
}

#[async_trait]
impl<B: Receiver> Receiver for Behind<B> {
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        self.switch.pass().await?;
        self.inner.receive(max, wait).await
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        self.switch.pass().await?;
        self.inner.acknowledge(receipts).await
    }

    async fn change_visibility(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        self.switch.pass().await?;
        self.inner.change_visibility(receipt, delay).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &DeadLetterReason) -> Result<()> {
        self.switch.pass().await?;
        self.inner.dead_letter(delivery, reason).await
    }

    async fn redrive(&self, max: usize) -> Result<usize> {
        self.switch.pass().await?;
        self.inner.redrive(max).await
    }

    fn visibility_timeout(&self) -> Duration {
        self.inner.visibility_timeout()
    }
}

#[async_trait]
impl<B: History> History for Behind<B> {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        self.switch.pass().await?;
        self.inner.claim(claim).await
    }

    async fn renew(&self, id: ExecutionId, owner: Owner, until: Timestamp) -> Result<()> {
        self.switch.pass().await?;
        self.inner.renew(id, owner, until).await
    }

    async fn record(&self, outcome: &Outcome) -> Result<()> {
        self.switch.pass().await?;
        self.inner.record(outcome).await
    }

    async fn get(&self, id: ExecutionId) -> Result<Option<Execution>> {
        self.switch.pass().await?;
        self.inner.get(id).await
    }

    async fn list(&self, filter: &ExecutionFilter, page: &PageRequest) -> Result<Page<Execution>> {
        self.switch.pass().await?;
        self.inner.list(filter, page).await
    }
}

/// One process at one occurrence.
type Occurrence = (String, Timestamp);

/// What the targets saw.
#[derive(Debug, Default)]
struct Seen {
    /// When each occurrence was taken, by a clock that is never set.
    ran: Mutex<BTreeMap<Occurrence, Vec<Timestamp>>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    is_silent: AtomicBool,
}

struct Running(Arc<Seen>);

impl Running {
    fn begin(seen: &Arc<Seen>) -> Self {
        seen.most_at_once.fetch_max(seen.at_once.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        Self(seen.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All of Kairos with switches in between, driven by hand.
struct World {
    elapsed: ManualClock,
    clock: Settable,
    capacity: usize,
    store: Switch,
    queue_switch: Switch,
    history: Switch,
    queue: Arc<MemoryQueue>,
    schedules: Arc<MemorySchedules>,
    executor: Arc<Executor>,
    scheduler: Scheduler,
    processes: Vec<(String, kairos::Specification)>,
    seen: Arc<Seen>,
    handled: Arc<Mutex<Vec<Handled>>>,
    pumps: Vec<BoxFuture<'static, ()>>,
    worker_end: Option<ShutdownTrigger>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Progress(AtomicBool);

impl Wake for Progress {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl World {
    fn new(capacity: usize) -> Self {
        let elapsed = ManualClock::at(at(START));
        let clock = Settable::new(elapsed.clone());
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let (store_switch, queue_switch, history_switch) =
            (Switch::new(&clock), Switch::new(&clock), Switch::new(&clock));
        let inner = Arc::new(MemoryStore::new());
        let store = Arc::new(Behind { inner: inner.clone(), switch: store_switch.clone() });
        let queue = Arc::new(MemoryQueue::new(shared.clone()).with_capacity(capacity));
        let gate = Arc::new(Behind { inner: queue.clone(), switch: queue_switch.clone() });
        let history = Arc::new(Behind { inner: Arc::new(MemoryHistory::new()), switch: history_switch.clone() });
        let schedules = Arc::new(MemorySchedules::new(shared.clone()));
        let seen = Arc::new(Seen::default());
        let dispatcher = Dispatcher::new(store, gate.clone(), shared.clone());
        let executor = Executor::new(gate, Arc::new(tasks(&seen, &elapsed)), shared.clone())
            .with_history(history)
            .with_config(ExecutorConfig::default().with_max_attempts(3).with_call_limit(MINUTE))
            .with_chance(Arc::new(Chance::from_seed(1)));
        let scheduler =
            Scheduler::new(inner, schedules.clone(), queue.clone(), shared).with_chance(Arc::new(Chance::from_seed(2)));
        Self {
            capacity,
            store: store_switch,
            queue_switch,
            history: history_switch,
            queue,
            executor: Arc::new(executor),
            scheduler,
            processes: Vec::new(),
            seen,
            handled: Arc::default(),
            pumps: vec![Box::pin(fire(schedules.clone(), dispatcher, clock.clone()))],
            worker_end: None,
            progress: Arc::default(),
            schedules,
            elapsed,
            clock,
        }
    }

    fn register(&mut self, name: &str, expression: &str, task: &str) {
        let registration = Registration::new(name, expression, format!("kairos:task:{task}"));
        now(self.scheduler.register(&registration)).unwrap();
        self.processes.push((name.into(), kairos::Specification::new(expression)));
    }

    /// Forty processes of ten schedules, some 560 executions an hour.
    fn register_many(&mut self) {
        for number in 0..40 {
            let expression = match number % 10 {
                0 => "rate(1 minute)".into(),
                1 => "cron(0/5 * * * ? *)".into(),
                2 => "cron(7,37 * * * ? *)".into(),
                minutes => format!("rate({} minutes)", 4 + 3 * minutes),
            };
            self.register(&format!("p{number}"), &expression, "ok");
        }
    }

    fn start_worker(&mut self) {
        let (end, stop) = shutdown();
        let config = WorkerConfig::default().with_concurrency(CONCURRENCY);
        let worker = Worker::new(self.executor.clone(), config);
        let handled = self.handled.clone();
        self.pumps.push(Box::pin(async move {
            worker.run_with(stop, |one| handled.lock().unwrap().push(one.clone())).await;
        }));
        self.worker_end = Some(end);
    }

    /// Lets so much time pass, from one timer to the next, and looks at the bounds after every step.
    fn pass(&mut self, duration: Duration) {
        let target = later(self.elapsed.now(), duration);
        let waker = Waker::from(self.progress.clone());
        loop {
            loop {
                self.progress.0.store(false, Ordering::Relaxed);
                self.pumps.retain_mut(|pump| pump.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
                if !self.progress.0.load(Ordering::Relaxed) {
                    break;
                }
            }
            self.assert_bounded();
            match self.elapsed.next_timer().filter(|timer| *timer <= target) {
                Some(timer) => self.elapsed.advance_to(timer),
                None if self.elapsed.now() < target => self.elapsed.advance_to(target),
                None => return,
            }
        }
    }

    fn assert_bounded(&self) {
        let (messages, waiting) = (self.queue.len() + self.queue.dead_letters().len(), self.schedules.waiting());
        assert!(messages <= self.capacity, "{messages} messages at {}", self.clock.now());
        assert!(waiting <= WAITING, "{waiting} firings wait at {}", self.clock.now());
        assert!(self.seen.most_at_once.load(Ordering::Relaxed) <= CONCURRENCY);
    }

    /// Every occurrence up to an instant.
    fn due(&self, until: Timestamp) -> BTreeSet<Occurrence> {
        let start = at(START);
        let of = |(name, specification): &(String, kairos::Specification)| {
            let timetable = specification.timetable(start).unwrap();
            let times: Vec<_> = timetable.after(start).take_while(|time| *time <= until).collect();
            times.into_iter().map(|time| (name.clone(), time)).collect::<Vec<_>>()
        };
        self.processes.iter().flat_map(of).collect()
    }

    /// What ran, up to an instant of the schedule, and that nothing ran twice.
    fn ran_once(&self, until: Timestamp) -> BTreeSet<Occurrence> {
        let ran = self.seen.ran.lock().unwrap();
        for (occurrence, times) in &*ran {
            assert_eq!(times.len(), 1, "{occurrence:?} ran at {times:?}");
        }
        ran.keys().filter(|(_, time)| *time <= until).cloned().collect()
    }

    /// The longest lateness of what succeeded and was scheduled in a span.
    fn longest_lateness(&self, from: Timestamp, until: Timestamp) -> Duration {
        let handled = self.handled.lock().unwrap();
        let in_span = |one: &&Handled| {
            let scheduled = one.work.as_ref().unwrap().scheduled_time;
            one.verdict == Verdict::Succeeded && from < scheduled && scheduled <= until
        };
        handled.iter().filter(in_span).filter_map(Handled::lateness).max().unwrap()
    }
}

/// The loop of everybody who embeds the triggers.
async fn fire(schedules: Arc<MemorySchedules>, dispatcher: Dispatcher, clock: Settable) {
    loop {
        for firing in schedules.take_due(100) {
            let request = DispatchRequest::of_trigger(firing.input.clone(), clock.now());
            if dispatcher.dispatch(&request).await.is_err() {
                schedules.give_back(firing);
            }
        }
        let next = schedules.next_due().unwrap_or(Timestamp::MAX);
        select(clock.sleep_until(next), Box::pin(schedules.changed())).await;
    }
}

/// `ok` takes two seconds; `silent` never answers while it is told to be; `flaky` fails at its first try.
fn tasks(seen: &Arc<Seen>, elapsed: &ManualClock) -> Tasks {
    let take = |seen: &Seen, elapsed: &ManualClock, invocation: &Invocation| {
        let occurrence = (invocation.process.name.clone(), invocation.scheduled_time);
        seen.ran.lock().unwrap().entry(occurrence).or_default().push(elapsed.now());
    };
    let parts = || (seen.clone(), elapsed.clone());
    let (ok, silent, flaky) = (parts(), parts(), parts());
    Tasks::new()
        .with("ok", move |invocation| {
            let (seen, elapsed) = ok.clone();
            async move {
                let _running = Running::begin(&seen);
                elapsed.sleep(secs(2)).await;
                take(&seen, &elapsed, &invocation);
                Ok(())
            }
        })
        .with("silent", move |invocation| {
            let (seen, elapsed) = silent.clone();
            async move {
                let _running = Running::begin(&seen);
                if seen.is_silent.load(Ordering::Relaxed) {
                    pending::<()>().await;
                }
                take(&seen, &elapsed, &invocation);
                Ok(())
            }
        })
        .with("flaky", move |invocation| {
            let (seen, elapsed) = flaky.clone();
            async move {
                if invocation.attempt == 1 {
                    return Err(Error::new(ErrorKind::Unavailable, "not yet"));
                }
                take(&seen, &elapsed, &invocation);
                Ok(())
            }
        })
}

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
