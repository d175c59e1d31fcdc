//! What stands before a backend and keeps everybody from it while it is told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kairos::backend::*;
use kairos::clock::ClockExt as _;
use kairos::page::{Page, PageRequest};
use kairos::{Error, ErrorKind, Execution, ExecutionId, Owner, Process, ProcessId, Result, Schedule, ScheduleId};

use super::common::{Settable, secs};

/// What is down answers nothing; whoever asks it hears so from its own timeout, as the contract has it.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    is_down: Arc<AtomicBool>,
    clock: Settable,
}

impl Switch {
    pub(crate) fn new(clock: &Settable) -> Self {
        Self { is_down: Arc::default(), clock: clock.clone() }
    }

    pub(crate) fn set(&self, is_down: bool) {
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
pub(crate) struct Behind<B> {
    pub(crate) inner: Arc<B>,
    pub(crate) switch: Switch,
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
