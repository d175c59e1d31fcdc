//! A small world to run the algorithms in, and wrappers that put faults between them and it.

use std::future::pending;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kairos::backend::*;
use kairos::chance::Chance;
use kairos::clock::{Clock, ManualClock};
use kairos::page::{Page, PageRequest};
use kairos::scheduler::SchedulerConfig;
use kairos::{
    Error, ErrorKind, Owner, Process, ProcessId, Registration, Result, Schedule, ScheduleId, ScheduleState, Scheduler,
};
use kairos_memory::{MemoryQueue, MemorySchedules, MemoryStore};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) schedules: Arc<MemorySchedules>,
    pub(crate) queue: Arc<MemoryQueue>,
    /// No two schedulers draw the same tokens.
    seed: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        Self {
            store: Arc::new(MemoryStore::new()),
            schedules: Arc::new(MemorySchedules::new(shared.clone())),
            queue: Arc::new(MemoryQueue::new(shared)),
            clock,
            seed: AtomicU64::new(0),
        }
    }

    pub(crate) fn chance(&self) -> Arc<Chance> {
        Arc::new(Chance::from_seed(self.seed.fetch_add(1, Ordering::Relaxed)))
    }

    pub(crate) fn shared_clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    pub(crate) fn scheduler(&self) -> Scheduler {
        self.scheduler_over(self.store.clone(), self.schedules.clone())
    }

    pub(crate) fn scheduler_over(&self, store: Arc<dyn Store>, schedules: Arc<dyn ScheduleBackend>) -> Scheduler {
        Scheduler::new(store, schedules, self.queue.clone(), self.shared_clock())
            .with_config(SchedulerConfig::default())
            .with_chance(self.chance())
    }

    /// A scheduler whose calls to its backends go through `faults`.
    pub(crate) fn faulty_scheduler(&self, faults: &Arc<Faults>) -> Scheduler {
        let store = Faulty { inner: self.store.clone(), faults: faults.clone() };
        let schedules = Faulty { inner: self.schedules.clone(), faults: faults.clone() };
        self.scheduler_over(Arc::new(store), Arc::new(schedules))
    }

    /// Every message that is visible now.
    pub(crate) async fn receive_all(&self) -> Vec<Delivery> {
        let mut all = Vec::new();
        loop {
            let received = self.queue.receive(10, Duration::ZERO).await.unwrap();
            if received.is_empty() {
                return all;
            }
            all.extend(received);
        }
    }

    /// What is true of processes, records and triggers whenever nothing is under way.
    #[track_caller]
    pub(crate) fn assert_sound(&self) -> impl Future<Output = (usize, usize)> + '_ {
        let at = std::panic::Location::caller();
        async move {
            let page = PageRequest::first(PageRequest::MAX_LIMIT);
            let processes = self.store.list_processes(&ProcessFilter::default(), &page).await.unwrap().items;
            let records = self.store.list_schedules(&page).await.unwrap().items;
            let triggers = self.schedules.list(&page).await.unwrap().items;
            for record in &records {
                assert_eq!(record.state, ScheduleState::Active, "{at}: {record:?}");
                let members = processes.iter().filter(|process| process.schedule_id == record.id).count();
                assert!(members > 0, "{at}: a record without processes: {record:?}");
                assert_eq!(record.process_count, Some(members as u64), "{at}: {record:?}");
                assert!(
                    triggers.iter().any(|trigger| trigger.schedule_id == record.id),
                    "{at}: no trigger: {record:?}"
                );
            }
            for process in &processes {
                assert!(records.iter().any(|record| record.id == process.schedule_id), "{at}: no record: {process:?}");
            }
            for trigger in &triggers {
                assert!(records.iter().any(|record| record.id == trigger.schedule_id), "{at}: no record: {trigger:?}");
            }
            (processes.len(), records.len())
        }
    }
}

/// A registration of a task, on a schedule of its own unless told otherwise.
pub(crate) fn registration(name: &str, expression: &str) -> Registration {
    Registration::new(name, expression, format!("kairos:task:{name}"))
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Drives a future that waits on a manual clock, moving the clock whenever nothing else can happen.
pub(crate) async fn drive<T>(clock: &ManualClock, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = futures_util::poll!(&mut future) {
            return output;
        }
        match clock.next_timer() {
            Some(timer) => clock.advance_to(timer),
            None => tokio::task::yield_now().await,
        }
    }
}

/// What goes wrong with which call: calls are counted over all wrapped backends.
#[derive(Debug)]
pub(crate) struct Faults {
    left: AtomicI64,
    what: What,
    pub(crate) calls: Mutex<Vec<&'static str>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What {
    /// The caller dies before the call has any effect.
    CrashBefore,
    /// The caller dies after the call has taken effect.
    CrashAfter,
    /// The call fails without effect.
    Fail(ErrorKind),
    /// The call takes effect, and its answer is lost.
    LoseAnswer,
}

impl Faults {
    pub(crate) fn none() -> Arc<Self> {
        Self::at(i64::MAX, What::CrashBefore)
    }

    /// At the call number `index`, from 0.
    pub(crate) fn at(index: i64, what: What) -> Arc<Self> {
        Arc::new(Self { left: AtomicI64::new(index), what, calls: Mutex::default() })
    }

    pub(crate) fn happened(&self) -> bool {
        self.left.load(Ordering::Relaxed) < 0
    }

    async fn around<T>(&self, name: &'static str, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.calls.lock().unwrap().push(name);
        let is_now = self.left.fetch_sub(1, Ordering::Relaxed) == 0;
        match self.what {
            _ if !is_now => call.await,
            What::CrashBefore => pending().await,
            What::CrashAfter => {
                let _ = call.await;
                pending().await
            }
            What::Fail(kind) => Err(Error::new(kind, "a fault")),
            What::LoseAnswer => {
                let _ = call.await;
                Err(Error::new(ErrorKind::Timeout, "the answer was lost"))
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct Faulty<B> {
    pub(crate) inner: Arc<B>,
    pub(crate) faults: Arc<Faults>,
}

#[async_trait]
impl<B: Store> Store for Faulty<B> {
    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>> {
        self.faults.around("process", self.inner.process(id)).await
    }

    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        self.faults.around("schedule", self.inner.schedule(id)).await
    }

    async fn list_processes(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<Arc<Process>>> {
        self.faults.around("list_processes", self.inner.list_processes(filter, page)).await
    }

    async fn list_schedules(&self, page: &PageRequest) -> Result<Page<Schedule>> {
        self.faults.around("list_schedules", self.inner.list_schedules(page)).await
    }

    async fn commit(&self, transaction: &Transaction) -> Result<()> {
        self.faults.around("commit", self.inner.commit(transaction)).await
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }
}

#[async_trait]
impl<B: ScheduleBackend> ScheduleBackend for Faulty<B> {
    async fn create(&self, trigger: &Trigger) -> Result<String> {
        self.faults.around("create", self.inner.create(trigger)).await
    }

    async fn delete(&self, key: &TriggerKey) -> Result<()> {
        self.faults.around("delete", self.inner.delete(key)).await
    }

    async fn get(&self, key: &TriggerKey) -> Result<Option<Trigger>> {
        self.faults.around("get", self.inner.get(key)).await
    }

    async fn list(&self, page: &PageRequest) -> Result<Page<Trigger>> {
        self.faults.around("list", self.inner.list(page)).await
    }
}

#[async_trait]
impl<B: Queue> Queue for Faulty<B> {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        self.faults.around("send", self.inner.send(batch)).await
    }

    fn limits(&self) -> QueueLimits {
        self.inner.limits()
    }
}

#[async_trait]
impl<B: History> History for Faulty<B> {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        self.faults.around("claim", self.inner.claim(claim)).await
    }

    async fn renew(&self, id: kairos::ExecutionId, owner: Owner, until: Timestamp) -> Result<()> {
        self.faults.around("renew", self.inner.renew(id, owner, until)).await
    }

    async fn record(&self, outcome: &Outcome) -> Result<()> {
        self.faults.around("record", self.inner.record(outcome)).await
    }

    async fn get(&self, id: kairos::ExecutionId) -> Result<Option<kairos::Execution>> {
        self.faults.around("get", self.inner.get(id)).await
    }

    async fn list(&self, filter: &ExecutionFilter, page: &PageRequest) -> Result<Page<kairos::Execution>> {
        self.faults.around("list", self.inner.list(filter, page)).await
    }
}
