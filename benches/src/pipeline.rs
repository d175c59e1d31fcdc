//! Processes dispatched and executed in memory, beside apalis's jobs in memory and beside a bare channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apalis::layers::WorkerBuilderExt as _;
use apalis::layers::retry::RetryPolicy;
use apalis_core::backend::TaskSink as _;
use apalis_core::backend::memory::MemoryStorage;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use apalis_core::worker::ext::parallelize::ParallelizeExt as _;
use jiff::{SignedDuration, Timestamp};
use kairos::dispatcher::DispatchRequest;
use kairos::executor::Worker;
use kairos::shutdown::{ShutdownTrigger, shutdown};
use kairos::{Process, Registration, Result, ScheduleId};
use kairos_memory::{Embedded, MemoryQueue};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};

use crate::measure::{Cost, Parallel, median};
use crate::table::{Table, number};

/// How many executions run at once, on each side.
const CONCURRENCY: usize = 64;
const PROCESSES: usize = 1_000;
const ROUNDS: usize = 11;
/// How many times as many jobs are done in a round on two cores: a second thread may begin milliseconds after the first.
const LONGER: usize = 5;

/// One way of doing so many jobs.
trait Side {
    /// Does them all, from nothing to done.
    fn round(&mut self, runtime: &Runtime, jobs: usize);
}

/// Prints what `jobs` executions a round cost.
pub(crate) fn run(jobs: u32) {
    let jobs = (jobs as usize).div_ceil(PROCESSES) * PROCESSES;
    println!("{jobs} executions a round, {PROCESSES} a dispatch, {CONCURRENCY} at once\n");
    crate::memory::run();
    one_core(jobs);
    two_cores(LONGER * jobs);
    memory(jobs);
}

fn sides(workers: usize) -> Vec<(&'static str, Box<dyn Side>)> {
    vec![
        ("kairos, claimed and recorded", Box::new(Kairos::new(1, workers, Some(KEPT)))),
        ("kairos, without history", Box::new(Kairos::new(1, workers, None))),
        ("apalis", Box::new(Apalis { workers })),
        ("apalis, limited, retried, panics caught", Box::new(ApalisLimited)),
        ("apalis, each job a task", Box::new(ApalisTasks)),
        ("channel and semaphore, each job a task", Box::new(Channel)),
    ]
}

/// How long history keeps executions: so short that old ones go while new ones come.
const KEPT: Duration = Duration::from_millis(100);

fn one_core(jobs: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    #[allow(clippy::expect_used, reason = "without a runtime there is nothing to measure")]
    let runtime = runtime.expect("a runtime");
    let mut sides = sides(1);
    let mut costs = vec![Vec::new(); sides.len()];
    for _ in 0..ROUNDS {
        for ((_, side), costs) in sides.iter_mut().zip(&mut costs) {
            let mut cost = Cost::default();
            cost.time(jobs, || side.round(&runtime, jobs));
            costs.push(cost);
        }
    }
    let mut costs: Vec<Cost> = costs.into_iter().map(median).collect();
    for ((_, side), cost) in sides.iter_mut().zip(&mut costs) {
        cost.count(jobs, || side.round(&runtime, jobs));
    }
    let apalis = costs[2].nanos_each();
    let mut table = Table::new(&["one core", "CPU ns each", "each CPU second", "apalis's cost / this", "allocations"]);
    for ((name, _), cost) in sides.iter().zip(&costs) {
        let nanos = cost.nanos_each();
        let cells = [nanos, 1e9 / nanos, apalis / nanos, cost.allocations_each()];
        table.row(name, cells.map(number));
    }
    table.print();
}

fn two_cores(jobs: usize) {
    println!("{jobs} executions a round:\n");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    #[allow(clippy::expect_used, reason = "without a runtime there is nothing to measure")]
    let runtime = runtime.expect("a runtime");
    let mut sides = sides(2);
    sides.push(("kairos twice, claimed and recorded", Box::new(Kairos::new(2, 2, Some(KEPT)))));
    sides.push(("kairos twice, without history", Box::new(Kairos::new(2, 2, None))));
    let mut costs = vec![Vec::new(); sides.len()];
    for _ in 0..ROUNDS {
        for ((_, side), costs) in sides.iter_mut().zip(&mut costs) {
            costs.push(Parallel::of(|| side.round(&runtime, jobs)));
        }
    }
    let median = |costs: &mut Vec<Parallel>, by: fn(&Parallel) -> Duration| {
        costs.sort_by_key(by);
        #[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
        let jobs = jobs as f64;
        by(&costs[costs.len() / 2]).as_secs_f64() * 1e9 / jobs
    };
    let mut table = Table::new(&["two cores", "CPU ns each", "wall ns each", "each second"]);
    for ((name, _), costs) in sides.iter().zip(&mut costs) {
        let (cpu, wall) = (median(costs, |cost| cost.cpu), median(costs, |cost| cost.wall));
        table.row(name, [cpu, wall, 1e9 / wall].map(number));
    }
    table.print();
}

/// What is allocated and not freed after so many rounds: the same after ten as after two, or it grows.
fn memory(jobs: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    #[allow(clippy::expect_used, reason = "without a runtime there is nothing to measure")]
    let runtime = runtime.expect("a runtime");
    let mut table = Table::new(&["kB held after", "2 rounds", "10 rounds", "50 rounds"]);
    for (name, retention) in [("kairos, claimed and recorded", Some(KEPT)), ("kairos, without history", None)] {
        let mut held = Cost::default();
        let mut side = held.count(1, || Kairos::new(1, 1, retention));
        let mut cells = Vec::new();
        let mut done = 0;
        for rounds in [2, 10, 50] {
            held.count(0, || (done..rounds).for_each(|_| side.round(&runtime, jobs)));
            done = rounds;
            cells.push(number(held.bytes_each() / 1e3));
        }
        table.row(name, cells);
    }
    table.print();
}

/// One whole Kairos or more, each with one schedule, and a task that does nothing but count.
struct Kairos {
    each: Vec<(Embedded, ScheduleId)>,
    occurrence: Timestamp,
    workers: usize,
    goal: Arc<Goal>,
}

/// Ends a round with its last job.
#[derive(Default)]
struct Goal {
    left: AtomicUsize,
    end: std::sync::Mutex<Option<ShutdownTrigger>>,
}

impl Goal {
    fn set(&self, jobs: usize, end: Option<ShutdownTrigger>) {
        self.left.store(jobs, Ordering::Relaxed);
        if let Ok(mut slot) = self.end.lock() {
            *slot = end;
        }
    }

    /// Counts a job; whether it was the last.
    fn count(&self) -> bool {
        let is_last = self.left.fetch_sub(1, Ordering::Relaxed) == 1;
        if is_last && let Ok(slot) = self.end.lock() {
            slot.iter().for_each(ShutdownTrigger::request);
        }
        is_last
    }
}

impl Kairos {
    fn new(count: usize, workers: usize, retention: Option<Duration>) -> Self {
        let goal = Arc::new(Goal::default());
        let each = (0..count).map(|_| embedded(&goal, retention)).collect();
        Self { each, occurrence: Timestamp::UNIX_EPOCH, workers, goal }
    }
}

fn embedded(goal: &Arc<Goal>, retention: Option<Duration>) -> (Embedded, ScheduleId) {
    let counted = Arc::clone(goal);
    let builder = Embedded::builder().with_task("count", move |_| {
        let goal = Arc::clone(&counted);
        async move {
            goal.count();
            Ok(())
        }
    });
    let builder = match retention {
        Some(retention) => builder.with_history_retention(retention),
        None => builder.without_history(),
    };
    let embedded = builder.build();
    let schedule = crate::schedules::now(register(&embedded));
    #[allow(clippy::expect_used, reason = "every registration is sound")]
    (embedded, schedule.expect("registered"))
}

async fn register(embedded: &Embedded) -> Result<ScheduleId> {
    let mut schedule = None;
    for number in 0..PROCESSES {
        let registration = Registration::new(format!("process-{number}"), "cron(0 9 * * ? *)", "kairos:task:count")
            .with_parameters(format!(r#"{{"number":{number}}}"#));
        schedule = Some(embedded.scheduler().register(&registration).await?.process.schedule_id.clone());
    }
    Ok(schedule.unwrap_or_else(|| ScheduleId::from("")))
}

impl Side for Kairos {
    fn round(&mut self, runtime: &Runtime, jobs: usize) {
        let (trigger, end) = shutdown();
        self.goal.set(jobs, Some(trigger));
        let start = self.occurrence;
        let occurrences: Vec<Timestamp> =
            (1..).map(|day| start + SignedDuration::from_hours(24 * day)).take(jobs / PROCESSES).collect();
        self.occurrence = occurrences.last().copied().unwrap_or_default();
        let config = MemoryQueue::worker_config().with_concurrency(CONCURRENCY / self.workers);
        // As tasks, as whoever embeds it would: the other sides' workers are tasks too.
        let working: Vec<_> = occurrences
            .chunks(occurrences.len().div_ceil(self.workers))
            .zip(self.each.iter().cycle().cloned())
            .map(|(share, (embedded, schedule))| {
                let (share, end) = (share.to_vec(), end.clone());
                runtime.spawn(async move {
                    for occurrence in share {
                        let request = DispatchRequest::new(schedule.clone(), occurrence);
                        let dispatched = embedded.dispatcher().dispatch(&request).await;
                        assert_eq!(dispatched.map_or(0, |dispatched| dispatched.queued), PROCESSES, "all are queued");
                    }
                    Worker::new(embedded.executor().clone(), config).run(end).await.handled
                })
            })
            .collect();
        let handled: u64 = working.into_iter().map(|working| runtime.block_on(working).unwrap_or_default()).sum();
        assert_eq!(handled, jobs as u64, "every execution ran");
    }
}

/// What travels on the other sides: as much as an execution says.
#[derive(Clone, Debug)]
struct Job {
    goal: Arc<Goal>,
    #[allow(dead_code, reason = "it is carried, as an execution carries it")]
    process: Option<Arc<Process>>,
    #[allow(dead_code, reason = "it is carried, as an execution carries it")]
    scheduled_time: Timestamp,
}

impl std::fmt::Debug for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Goal").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Job {
    fn is_done(&self) -> bool {
        self.goal.left.load(Ordering::Relaxed) == 0
    }
}

fn job(jobs: usize) -> Job {
    let goal = Arc::new(Goal::default());
    goal.set(jobs, None);
    Job { goal, process: None, scheduled_time: Timestamp::UNIX_EPOCH }
}

/// Jobs that are pushed, run and forgotten: no claim, no record, no retry, no limit on time; 64 at once.
struct Apalis {
    workers: usize,
}

impl Side for Apalis {
    fn round(&mut self, runtime: &Runtime, jobs: usize) {
        let workers = self.workers;
        let worker = move || async move {
            let (job, storage) = pushed(jobs / workers).await;
            let worker = WorkerBuilder::new("worker").backend(storage).concurrency(CONCURRENCY / workers);
            let ended = worker.build(apalis_job).run().await;
            ended.is_ok() && job.is_done()
        };
        let working: Vec<_> = (0..workers).map(|_| runtime.spawn(worker())).collect();
        for working in working {
            assert!(runtime.block_on(working).unwrap_or_default(), "every job ran");
        }
    }
}

/// The same with what Kairos does besides on its way to a target: a limit on time, retries, and panics caught.
struct ApalisLimited;

impl Side for ApalisLimited {
    fn round(&mut self, runtime: &Runtime, jobs: usize) {
        runtime.block_on(async {
            let (job, storage) = pushed(jobs).await;
            let worker = WorkerBuilder::new("worker")
                .backend(storage)
                .concurrency(CONCURRENCY)
                .retry(RetryPolicy::retries(5))
                .timeout(Duration::from_secs(15 * 60))
                .catch_panic();
            let ended = worker.build(apalis_job).run().await;
            assert!(ended.is_ok() && job.is_done(), "every job ran");
        });
    }
}

/// The same with a task of the runtime for each job, as its `parallelize` does it.
struct ApalisTasks;

impl Side for ApalisTasks {
    fn round(&mut self, runtime: &Runtime, jobs: usize) {
        runtime.block_on(async {
            let (job, storage) = pushed(jobs).await;
            let worker =
                WorkerBuilder::new("worker").backend(storage).concurrency(CONCURRENCY).parallelize(tokio::spawn);
            let ended = worker.build(apalis_job).run().await;
            assert!(ended.is_ok() && job.is_done(), "every job ran");
        });
    }
}

async fn pushed(jobs: usize) -> (Job, MemoryStorage<Job>) {
    let job = job(jobs);
    let mut storage = MemoryStorage::new();
    for _ in 0..jobs {
        assert!(storage.push(job.clone()).await.is_ok(), "it is pushed");
    }
    (job, storage)
}

async fn apalis_job(job: Job, worker: WorkerContext) -> std::result::Result<(), std::io::Error> {
    if job.goal.count() {
        drop(worker.stop());
    }
    Ok(())
}

/// The least that runs jobs, 64 at once.
struct Channel;

impl Side for Channel {
    fn round(&mut self, runtime: &Runtime, jobs: usize) {
        let job = job(jobs);
        let working = async move {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            for _ in 0..jobs {
                assert!(sender.send(job.clone()).is_ok(), "it is sent");
            }
            drop(sender);
            let permits = Arc::new(Semaphore::new(CONCURRENCY));
            while let Some(job) = receiver.recv().await {
                let permit = Arc::clone(&permits).acquire_owned().await;
                tokio::spawn(async move {
                    job.goal.count();
                    drop(permit);
                });
            }
            let all = permits.acquire_many(64).await;
            assert!(all.is_ok() && job.is_done(), "every job ran");
        };
        let ended = runtime.block_on(async move { tokio::spawn(working).await });
        assert!(ended.is_ok(), "the round ended well");
    }
}
