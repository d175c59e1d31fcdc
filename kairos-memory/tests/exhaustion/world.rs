//! All of Kairos with switches in between, driven by hand, and what its targets saw.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, select};
use jiff::Timestamp;
use kairos::backend::*;
use kairos::chance::Chance;
use kairos::clock::{Clock, ClockExt as _, ManualClock, later};
use kairos::dispatcher::{DispatchRequest, Dispatcher};
use kairos::executor::{Executor, ExecutorConfig, Handled, Verdict, Worker, WorkerConfig};
use kairos::shutdown::{ShutdownTrigger, shutdown};
use kairos::{Error, ErrorKind, Registration, Scheduler, Tasks};
use kairos_memory::{MemoryHistory, MemoryQueue, MemorySchedules, MemoryStore};

use super::common::{START, Settable, at, now, secs};
use super::switch::{Behind, Switch};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const CONCURRENCY: usize = 8;
/// `MemorySchedules` says so.
const WAITING: usize = 10_000;

/// One process at one occurrence.
pub(crate) type Occurrence = (String, Timestamp);

/// What the targets saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// When each occurrence was taken, by a clock that is never set.
    pub(crate) ran: Mutex<BTreeMap<Occurrence, Vec<Timestamp>>>,
    at_once: AtomicUsize,
    pub(crate) most_at_once: AtomicUsize,
    pub(crate) is_silent: AtomicBool,
}

struct Running(Arc<Seen>);

impl Running {
    pub(crate) fn begin(seen: &Arc<Seen>) -> Self {
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
pub(crate) struct World {
    pub(crate) elapsed: ManualClock,
    pub(crate) clock: Settable,
    capacity: usize,
    pub(crate) store: Switch,
    pub(crate) queue_switch: Switch,
    pub(crate) history: Switch,
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) schedules: Arc<MemorySchedules>,
    pub(crate) executor: Arc<Executor>,
    pub(crate) scheduler: Scheduler,
    pub(crate) processes: Vec<(String, kairos::Specification)>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) handled: Arc<Mutex<Vec<Handled>>>,
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
    pub(crate) fn new(capacity: usize) -> Self {
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

    pub(crate) fn register(&mut self, name: &str, expression: &str, task: &str) {
        let registration = Registration::new(name, expression, format!("kairos:task:{task}"));
        now(self.scheduler.register(&registration)).unwrap();
        self.processes.push((name.into(), kairos::Specification::new(expression)));
    }

    /// Forty processes of ten schedules, some 560 executions an hour.
    pub(crate) fn register_many(&mut self) {
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

    pub(crate) fn start_worker(&mut self) {
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
    pub(crate) fn pass(&mut self, duration: Duration) {
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
    pub(crate) fn due(&self, until: Timestamp) -> BTreeSet<Occurrence> {
        let start = at(START);
        let of = |(name, specification): &(String, kairos::Specification)| {
            let timetable = specification.timetable(start).unwrap();
            let times: Vec<_> = timetable.after(start).take_while(|time| *time <= until).collect();
            times.into_iter().map(|time| (name.clone(), time)).collect::<Vec<_>>()
        };
        self.processes.iter().flat_map(of).collect()
    }

    /// What ran, up to an instant of the schedule, and that nothing ran twice.
    pub(crate) fn ran_once(&self, until: Timestamp) -> BTreeSet<Occurrence> {
        let ran = self.seen.ran.lock().unwrap();
        for (occurrence, times) in &*ran {
            assert_eq!(times.len(), 1, "{occurrence:?} ran at {times:?}");
        }
        ran.keys().filter(|(_, time)| *time <= until).cloned().collect()
    }

    /// The longest lateness of what succeeded and was scheduled in a span.
    pub(crate) fn longest_lateness(&self, from: Timestamp, until: Timestamp) -> Duration {
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
pub(crate) fn tasks(seen: &Arc<Seen>, elapsed: &ManualClock) -> Tasks {
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
