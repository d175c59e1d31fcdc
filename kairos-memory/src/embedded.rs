//! Kairos in one process: the in-memory backends and the algorithms, wired up.

mod saved;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use kairos::backend::{Delivery, Invocation, Invoker};
use kairos::chance::Chance;
use kairos::clock::{Clock, ManualClock, SystemClock};
use kairos::dispatcher::{DispatchRequest, Dispatcher};
use kairos::executor::{Executor, ExecutorConfig, Handled, Worker, WorkerConfig, WorkerReport};
use kairos::scheduler::SchedulerConfig;
use kairos::shutdown::{Shutdown, ShutdownTrigger, shutdown};
use kairos::tasks::check_targets;
use kairos::{Policy, Result, Scheduler, Tasks};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::{Firing, MemoryHistory, MemoryInvoker, MemoryQueue, MemorySchedules, MemoryStore, Simulation};

pub use saved::Saved;

type Observer = Arc<dyn Fn(&Handled) + Send + Sync>;

/// A whole Kairos in memory: what a service embeds, and what a test runs.
///
/// [`start`](Embedded::start) runs it on the real clock in background tasks; [`EmbeddedBuilder::simulate`] gives one on a manual clock.
///
/// ```
/// use kairos::Registration;
/// use kairos_memory::Embedded;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> kairos::Result<()> {
/// let kairos = Embedded::builder()
///     .with_task("saludo", |invocation| async move {
///         println!("hello from {}", invocation.process.name);
///         Ok(())
///     })
///     .build();
/// let running = kairos.start().await?;
/// running.scheduler().register(&Registration::new("saludo", "rate(1 minute)", "kairos:task:saludo")).await?;
/// let report = running.shutdown().await;
/// assert!(report.unfinished.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Embedded {
    parts: Arc<Parts>,
}

struct Parts {
    clock: Arc<dyn Clock>,
    chance: Arc<Chance>,
    store: Arc<MemoryStore>,
    schedules: Arc<MemorySchedules>,
    /// What triggers have fired and is not dispatched yet: it is nowhere else, and part of what is saved.
    taken: Mutex<VecDeque<Firing>>,
    queue: Arc<MemoryQueue>,
    history: Arc<MemoryHistory>,
    targets: Arc<MemoryInvoker>,
    invoker: Arc<dyn Invoker>,
    scheduler: Scheduler,
    dispatcher: Dispatcher,
    executor: Arc<Executor>,
    worker: WorkerConfig,
    workers: usize,
    observer: Option<Observer>,
}

/// How an [`Embedded`] is put together.
#[must_use]
pub struct EmbeddedBuilder {
    tasks: Tasks,
    policy: Policy,
    executor: ExecutorConfig,
    worker: WorkerConfig,
    workers: Option<usize>,
    history: bool,
    retention: Duration,
    recording: usize,
    catch_up: Option<Duration>,
    queue_capacity: Option<usize>,
    observer: Option<Observer>,
}

impl Embedded {
    /// Begins with no task, everything let in, and history.
    pub fn builder() -> EmbeddedBuilder {
        EmbeddedBuilder {
            tasks: Tasks::new(),
            policy: Policy::default(),
            executor: ExecutorConfig::default(),
            worker: MemoryQueue::worker_config(),
            workers: None,
            history: true,
            retention: Duration::from_secs(30 * 24 * 60 * 60),
            recording: 10_000,
            catch_up: None,
            queue_capacity: None,
            observer: None,
        }
    }

    /// Registers, unregisters, lists.
    #[must_use]
    pub fn scheduler(&self) -> &Scheduler {
        &self.parts.scheduler
    }

    /// Dispatches; by hand it is rarely needed.
    #[must_use]
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.parts.dispatcher
    }

    /// Executes; its counts say how deliveries ended.
    #[must_use]
    pub fn executor(&self) -> &Arc<Executor> {
        &self.parts.executor
    }

    /// The processes and schedule records.
    #[must_use]
    pub fn store(&self) -> &Arc<MemoryStore> {
        &self.parts.store
    }

    /// The triggers.
    #[must_use]
    pub fn schedules(&self) -> &Arc<MemorySchedules> {
        &self.parts.schedules
    }

    /// The queue and its dead letters.
    #[must_use]
    pub fn queue(&self) -> &Arc<MemoryQueue> {
        &self.parts.queue
    }

    /// What ran, when, and what did not.
    #[must_use]
    pub fn history(&self) -> &Arc<MemoryHistory> {
        &self.parts.history
    }

    /// The stand-ins for targets outside this process, and what they were called with.
    #[must_use]
    pub fn targets(&self) -> &Arc<MemoryInvoker> {
        &self.parts.targets
    }

    /// The clock that everything runs on.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// Runs everything in background tasks of the tokio runtime, until [`Running::shutdown`].
    ///
    /// # Errors
    /// [`Unsupported`](kairos::ErrorKind::Unsupported) if a stored process has a target that cannot be called here.
    pub async fn start(&self) -> Result<Running> {
        check_targets(&*self.parts.store, &*self.parts.invoker).await?;
        let (trigger, shutdown) = shutdown();
        let firing = tokio::spawn(self.clone().fire(shutdown.clone()));
        let workers = (0..self.parts.workers).map(|_| tokio::spawn(self.clone().work(shutdown.clone()))).collect();
        Ok(Running { embedded: self.clone(), trigger, firing, workers })
    }

    /// Fires triggers as they come due and dispatches their occurrences, one after the other.
    ///
    /// What cannot be dispatched comes due again, as a trigger's own retries would have it; so does what is in hand when the end
    /// is asked for. That one waits for the other harms none: what a dispatch in memory can fail for, a full queue, all fail for.
    pub(crate) async fn fire(self, mut shutdown: Shutdown) {
        const AT_ONCE: usize = 1_000;
        let Parts { schedules, dispatcher, clock, .. } = &*self.parts;
        while !shutdown.is_requested() {
            let due = self.take_due(AT_ONCE);
            if due.is_empty() {
                let next = async {
                    match schedules.next_due() {
                        Some(due) => clock.sleep_until(due).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    () = shutdown.requested() => return,
                    () = schedules.changed() => {}
                    () = next => {}
                }
                continue;
            }
            for firing in due {
                let request = DispatchRequest::of_trigger(firing.input.clone(), clock.now());
                let dispatch = async {
                    // In memory hardly any await waits: without this, nothing else on the runtime would run until all is dispatched.
                    give_way().await;
                    dispatcher.dispatch(&request).await
                };
                let dispatched = tokio::select! {
                    biased;
                    () = shutdown.requested() => None,
                    dispatched = dispatch => Some(dispatched),
                };
                if let Some(Err(error)) = &dispatched {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "an occurrence could not be dispatched; its trigger fires again"
                    );
                }
                self.done_with(firing, matches!(dispatched, Some(Ok(_))));
            }
        }
    }

    /// Takes what is due, and keeps it in sight until it is dispatched.
    fn take_due(&self, max: usize) -> Vec<Firing> {
        let mut taken = self.parts.taken.lock();
        let due = self.parts.schedules.take_due(max);
        taken.extend(due.iter().cloned());
        due
    }

    fn done_with(&self, firing: Firing, dispatched: bool) {
        let mut taken = self.parts.taken.lock();
        // Nearly always the first.
        if let Some(index) = taken.iter().position(|other| *other == firing) {
            taken.remove(index);
        }
        if !dispatched {
            self.parts.schedules.give_back(firing);
        }
    }

    /// Executes what is on the queue.
    pub(crate) async fn work(self, shutdown: Shutdown) -> WorkerReport {
        let worker = Worker::new(self.parts.executor.clone(), self.parts.worker);
        let observer = self.parts.observer.clone();
        worker
            .run_with(shutdown, move |handled| {
                if let Some(observer) = &observer {
                    observer(handled);
                }
            })
            .await
    }
}

/// Lets the other tasks of the runtime have their turn.
async fn give_way() {
    let mut given = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("store", &self.parts.store)
            .field("schedules", &self.parts.schedules)
            .field("queue", &self.parts.queue)
            .finish_non_exhaustive()
    }
}

impl EmbeddedBuilder {
    /// With an async function of this program as the target `kairos:task:NAME`.
    pub fn with_task<F, Fut>(mut self, name: impl Into<String>, task: F) -> Self
    where
        F: Fn(Invocation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.tasks = self.tasks.with(name, task);
        self
    }

    /// With tasks that have been gathered elsewhere, instead of those given so far.
    pub fn with_tasks(mut self, tasks: Tasks) -> Self {
        self.tasks = tasks;
        self
    }

    /// Letting in only what a policy does. Targets that cannot be called here are never let in.
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// With another configuration of the executor.
    pub fn with_executor(mut self, config: ExecutorConfig) -> Self {
        self.executor = config;
        self
    }

    /// With so many executions at once, and so much time for them to end when asked to; begin with [`MemoryQueue::worker_config`].
    pub fn with_worker(mut self, config: WorkerConfig) -> Self {
        self.worker = config;
        self
    }

    /// With so many worker tasks; one per core if not said otherwise.
    pub fn with_workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers.max(1));
        self
    }

    /// Without history: everything runs at least once instead of once.
    pub fn without_history(mut self) -> Self {
        self.history = false;
        self
    }

    /// Keeping what became of executions for so long; 30 days if not said otherwise.
    pub fn with_history_retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Keeping at most so many calls of the stand-ins for targets outside this process; 10000 if not said otherwise.
    pub fn with_recorded_calls(mut self, most: usize) -> Self {
        self.recording = most;
        self
    }

    /// Firing no occurrence that is older than this when it comes to it; 24 hours if not said otherwise. See
    /// [`MemorySchedules::with_catch_up`] for where the window ends, and [`MemorySchedules::missed`] for the account.
    ///
    /// A simulation comes to each occurrence at its time, and misses none, unless its triggers are [kept from firing](Simulation::drain).
    pub fn with_catch_up(mut self, window: Duration) -> Self {
        self.catch_up = Some(window);
        self
    }

    /// With room for so many messages and dead letters on the queue; 1 000 000 if not said otherwise. See
    /// [`MemoryQueue::with_capacity`] for what happens beyond.
    pub fn with_queue_capacity(mut self, messages: usize) -> Self {
        self.queue_capacity = Some(messages);
        self
    }

    /// Telling of each delivery as it is done with.
    pub fn on_handled(mut self, observer: impl Fn(&Handled) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// On the real clock.
    #[must_use]
    pub fn build(self) -> Embedded {
        self.build_on(Arc::new(SystemClock), Chance::from_system())
    }

    /// On a manual clock, of which tasks may have clones to wait on. The same calls give the same run.
    #[must_use]
    pub fn simulate(mut self, clock: ManualClock) -> Simulation {
        // Nobody waits for a message in vain on a clock that jumps: asking more often only costs.
        self.worker = self.worker.with_wait(Duration::from_secs(24 * 60 * 60));
        Simulation::new(self.build_on(Arc::new(clock.clone()), Chance::from_seed(0)), clock)
    }

    fn build_on(self, clock: Arc<dyn Clock>, chance: Chance) -> Embedded {
        let chance = Arc::new(chance);
        let store = Arc::new(MemoryStore::new());
        let mut schedules = MemorySchedules::new(clock.clone());
        if let Some(window) = self.catch_up {
            schedules = schedules.with_catch_up(window);
        }
        let schedules = Arc::new(schedules);
        let mut queue = MemoryQueue::new(clock.clone()).with_chance(&chance);
        if let Some(messages) = self.queue_capacity {
            queue = queue.with_capacity(messages);
        }
        let queue = Arc::new(queue);
        let history = Arc::new(MemoryHistory::new().with_retention(self.retention));
        let targets = Arc::new(MemoryInvoker::new(clock.clone()).with_recording(self.recording));
        let invoker: Arc<dyn Invoker> = Arc::new(self.tasks.with_others(targets.clone()));
        let policy = self.policy.with_targets(invoker.capabilities());
        let scheduler = Scheduler::new(store.clone(), schedules.clone(), queue.clone(), clock.clone())
            .with_config(SchedulerConfig::default().with_policy(policy.clone()))
            .with_chance(chance.clone());
        let dispatcher = Dispatcher::new(store.clone(), queue.clone(), clock.clone());
        let mut executor = Executor::new(queue.clone(), invoker.clone(), clock.clone())
            .with_config(self.executor.with_policy(policy))
            .with_chance(chance.clone());
        if self.history {
            executor = executor.with_history(history.clone());
        }
        let workers = self.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
        Embedded {
            parts: Arc::new(Parts {
                clock,
                chance,
                store,
                schedules,
                taken: Mutex::default(),
                queue,
                history,
                targets,
                invoker,
                scheduler,
                dispatcher,
                executor: Arc::new(executor),
                worker: self.worker,
                workers,
                observer: self.observer,
            }),
        }
    }
}

impl fmt::Debug for EmbeddedBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedBuilder").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

/// An [`Embedded`] at work in background tasks. Dropping it asks them to end and does not wait for them.
#[derive(Debug)]
pub struct Running {
    embedded: Embedded,
    trigger: ShutdownTrigger,
    firing: JoinHandle<()>,
    workers: Vec<JoinHandle<WorkerReport>>,
}

/// What an [`Embedded`] did, and what it leaves undone.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How many deliveries were handled.
    pub handled: u64,
    /// How many executions were under way when the end was asked for.
    pub in_flight: usize,
    /// Of these, the ones that did not end within the grace. They are on the queue again.
    pub unfinished: Vec<Delivery>,
    /// How many messages are on the queue.
    pub queued: usize,
}

impl Running {
    /// Lets what is under way end within the [grace](WorkerConfig::grace), and says what did not.
    pub async fn shutdown(self) -> ShutdownReport {
        self.trigger.request();
        let mut report = ShutdownReport::default();
        if let Err(error) = self.firing.await {
            tracing::error!(error = format!("{error:#}"), "the firing task did not end well");
        }
        for worker in self.workers {
            match worker.await {
                Ok(worker) => {
                    report.handled += worker.handled;
                    report.in_flight += worker.in_flight;
                    report.unfinished.extend(worker.unfinished);
                }
                Err(error) => tracing::error!(error = format!("{error:#}"), "a worker task did not end well"),
            }
        }
        report.queued = self.embedded.queue().len();
        report
    }
}

impl std::ops::Deref for Running {
    type Target = Embedded;

    fn deref(&self) -> &Embedded {
        &self.embedded
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use kairos::Registration;

    use super::*;

    #[test]
    fn the_end_is_not_kept_waiting_by_a_full_queue() {
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let embedded = Embedded::builder()
            .with_task("ok", |_| async { Ok(()) })
            .with_queue_capacity(1)
            .build_on(Arc::new(clock.clone()), Chance::from_seed(0));
        for minutes in 2..50 {
            let expression = format!("rate({minutes} minutes)");
            let registration = Registration::new(expression.as_str(), expression.as_str(), "kairos:task:ok");
            embedded.scheduler().register(&registration).now_or_never().unwrap().unwrap();
        }
        let (end, shutdown) = shutdown();
        let mut firing = Box::pin(embedded.clone().fire(shutdown));
        for _ in 0..60 * 60 {
            assert!(firing.as_mut().now_or_never().is_none());
            clock.advance(Duration::from_secs(1));
        }
        let (queued, waiting) = (embedded.queue().len(), embedded.schedules().waiting());
        assert!(queued == 1 && waiting > 0, "{queued} {waiting}");
        end.request();
        // One look for what is under way, one for each that was in hand: no wait in between.
        let looks = (0..100).take_while(|_| firing.as_mut().now_or_never().is_none()).count();
        assert!(looks < 100 && embedded.schedules().waiting() >= waiting, "{looks}");
    }
}
