//! Backends that do not live longer than from one call to the next: their state is text in between.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kairos::backend::{
    Claim, Claimed, DeadLetterReason, Delivery, ExecutionFilter, History, Message, Outcome, ProcessFilter, Queue,
    QueueLimits, Receipt, Receiver, ScheduleBackend, Store, StoreCapabilities, Transaction, Trigger, TriggerKey,
};
use kairos::clock::ManualClock;
use kairos::conformance::{Passage, ScheduleHarness, Sight};
use kairos::page::{Page, PageRequest};
use kairos::{Execution, ExecutionId, Owner, Process, ProcessId, Result, Schedule, ScheduleId, TriggerInput};
use kairos_memory::{
    MemoryHistory, MemoryQueue, MemorySchedules, MemoryStore, SavedHistory, SavedQueue, SavedSchedules, SavedStore,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A backend whose state can be text.
pub(crate) trait Saves {
    type Saved: Serialize + DeserializeOwned + Clone + PartialEq + Debug;

    fn save(&self) -> Self::Saved;
    fn restore(&self, saved: Self::Saved) -> Result<()>;

    fn text(&self) -> String {
        serde_json::to_string(&self.save()).unwrap()
    }

    /// Reads its state from text, and sees that it writes the same.
    fn read(&self, text: &str) {
        let saved: Self::Saved = serde_json::from_str(text).unwrap();
        self.restore(saved.clone()).unwrap();
        assert_eq!(self.save(), saved);
    }

    /// The same state in another one, which has seen nothing but text.
    fn reborn(&self, other: Self) -> Self
    where
        Self: Sized,
    {
        other.read(&self.text());
        other
    }
}

macro_rules! saves {
    ($($backend:ty: $saved:ty),*) => {
        $(impl Saves for $backend {
            type Saved = $saved;

            fn save(&self) -> $saved {
                self.save()
            }

            fn restore(&self, saved: $saved) -> Result<()> {
                self.restore(saved)
            }
        })*
    };
}

saves!(MemoryStore: SavedStore, MemoryQueue: SavedQueue, MemorySchedules: SavedSchedules, MemoryHistory: SavedHistory);

/// A backend that writes its state out as text and reads it back before every call. In place, as calls may wait on it.
#[derive(Debug)]
pub(crate) struct Rewritten<B: Saves> {
    backend: B,
    /// What was read last: it need not be read again while the state is still that.
    read: Mutex<Option<B::Saved>>,
}

impl<B: Saves> Rewritten<B> {
    pub(crate) fn new(backend: B) -> Self {
        Self { backend, read: Mutex::default() }
    }

    pub(crate) fn backend(&self) -> &B {
        let mut read = self.read.lock().unwrap();
        if read.as_ref() != Some(&self.backend.save()) {
            self.backend.read(&self.backend.text());
            *read = Some(self.backend.save());
        }
        &self.backend
    }
}

#[async_trait]
impl Store for Rewritten<MemoryStore> {
    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>> {
        self.backend().process(id).await
    }

    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        self.backend().schedule(id).await
    }

    async fn list_processes(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<Arc<Process>>> {
        self.backend().list_processes(filter, page).await
    }

    async fn list_schedules(&self, page: &PageRequest) -> Result<Page<Schedule>> {
        self.backend().list_schedules(page).await
    }

    async fn commit(&self, transaction: &Transaction) -> Result<()> {
        self.backend().commit(transaction).await
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.backend().capabilities()
    }
}

#[async_trait]
impl ScheduleBackend for Rewritten<MemorySchedules> {
    async fn create(&self, trigger: &Trigger) -> Result<String> {
        self.backend().create(trigger).await
    }

    async fn delete(&self, key: &TriggerKey) -> Result<()> {
        self.backend().delete(key).await
    }

    async fn get(&self, key: &TriggerKey) -> Result<Option<Trigger>> {
        self.backend().get(key).await
    }

    async fn list(&self, page: &PageRequest) -> Result<Page<Trigger>> {
        self.backend().list(page).await
    }
}

#[async_trait]
impl Queue for Rewritten<MemoryQueue> {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        self.backend().send(batch).await
    }

    fn limits(&self) -> QueueLimits {
        self.backend().limits()
    }
}

#[async_trait]
impl Receiver for Rewritten<MemoryQueue> {
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        self.backend().receive(max, wait).await
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        self.backend().acknowledge(receipts).await
    }

    async fn change_visibility(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        self.backend().change_visibility(receipt, delay).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &DeadLetterReason) -> Result<()> {
        self.backend().dead_letter(delivery, reason).await
    }

    async fn redrive(&self, max: usize) -> Result<usize> {
        self.backend().redrive(max).await
    }

    fn visibility_timeout(&self) -> Duration {
        self.backend().visibility_timeout()
    }
}

#[async_trait]
impl History for Rewritten<MemoryHistory> {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        self.backend().claim(claim).await
    }

    async fn renew(&self, id: ExecutionId, owner: Owner, until: Timestamp) -> Result<()> {
        self.backend().renew(id, owner, until).await
    }

    async fn record(&self, outcome: &Outcome) -> Result<()> {
        self.backend().record(outcome).await
    }

    async fn get(&self, id: ExecutionId) -> Result<Option<Execution>> {
        self.backend().get(id).await
    }

    async fn list(&self, filter: &ExecutionFilter, page: &PageRequest) -> Result<Page<Execution>> {
        self.backend().list(filter, page).await
    }
}

/// Triggers whose state is text in between, with eyes on what they fire.
pub(crate) struct Timed {
    schedules: Rewritten<MemorySchedules>,
    clock: ManualClock,
    refuses: AtomicBool,
    fired: Mutex<Vec<TriggerInput>>,
}

impl Timed {
    pub(crate) fn new(clock: ManualClock) -> Self {
        let schedules = Rewritten::new(MemorySchedules::new(Arc::new(clock.clone())).with_catch_up(Duration::MAX));
        Self { schedules, clock, refuses: AtomicBool::new(false), fired: Mutex::default() }
    }
}

#[async_trait]
impl ScheduleHarness for Timed {
    fn backend(&self) -> &dyn ScheduleBackend {
        &self.schedules
    }

    fn time(&self) -> &dyn Passage {
        &self.clock
    }

    fn sight(&self) -> Sight {
        Sight::Occurrences
    }

    async fn fired(&self) -> Vec<TriggerInput> {
        let mut fired = self.fired.lock().unwrap();
        while let Some(firing) = self.schedules.backend().take_due(1).pop() {
            if self.refuses.load(Ordering::Relaxed) {
                self.schedules.backend().give_back(firing);
            } else {
                fired.push(firing.input);
            }
        }
        fired.clone()
    }

    async fn refuse(&self, refuse: bool) -> bool {
        self.refuses.store(refuse, Ordering::Relaxed);
        true
    }

    async fn dead_letters(&self) -> Option<Vec<TriggerInput>> {
        let dead_letters = self.schedules.backend().dead_letters();
        Some(dead_letters.into_iter().map(|firing| firing.input).collect())
    }

    fn group(&self) -> Option<String> {
        Some("nocturno".into())
    }
}
