//! Backends that stop before each call until they are polled again, remember what they answered, and make a mistake if asked to.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use kairos::backend::*;
use kairos::page::{Page, PageRequest};
use kairos::{Process, ProcessId, Result, Schedule, ScheduleId, ScheduleState};

/// A way of building the protocol that looks right and is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// The trigger is created some time after the call has been answered.
    OkBeforeTheTriggerExists,
    /// A record that somebody holds is taken for an active one.
    JoiningWhatIsHeld,
    /// The process is written first, and the record after that.
    CountOutsideTheTransaction,
}

/// Where one call stops before each call of a backend.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) mistake: Option<Mistake>,
    passed: Mutex<Passed>,
}

#[derive(Debug, Default)]
struct Passed {
    calls: Vec<&'static str>,
    /// All that the call has been answered so far: what it does next depends on nothing else.
    answers: DefaultHasher,
    /// Triggers that a mistake has yet to create.
    late: Vec<Trigger>,
}

impl Gate {
    pub(crate) fn new(mistake: Option<Mistake>) -> Self {
        Self { mistake, passed: Mutex::default() }
    }

    /// How often the call has come to a call of a backend.
    pub(crate) fn arrivals(&self) -> usize {
        self.passed.lock().unwrap().calls.len()
    }

    pub(crate) fn last_call(&self) -> &'static str {
        self.passed.lock().unwrap().calls.last().copied().unwrap_or("nothing")
    }

    pub(crate) fn answers(&self) -> u64 {
        self.passed.lock().unwrap().answers.finish()
    }

    pub(crate) fn take_late(&self) -> Option<Trigger> {
        self.passed.lock().unwrap().late.pop()
    }

    async fn pass<T: std::fmt::Debug>(&self, name: &'static str, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.passed.lock().unwrap().calls.push(name);
        Once(false).await;
        let answer = call.await;
        without_times(&format!("{answer:?}")).hash(&mut self.passed.lock().unwrap().answers);
        answer
    }
}

/// What a value says apart from when: a call does the same a moment later.
pub(crate) fn without_times(text: &str) -> Vec<&str> {
    text.split([' ', ',']).filter(|word| !word.starts_with("2026-")).collect()
}

/// Pending once.
struct Once(bool);

impl Future for Once {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        // Whoever drives several calls at once polls only what has been woken.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[derive(Debug)]
pub(crate) struct Gated<B> {
    pub(crate) inner: Arc<B>,
    pub(crate) gate: Arc<Gate>,
}

impl<B: Store> Gated<B> {
    /// The record as somebody sees it who takes what is held for active.
    async fn read(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        let record = self.inner.schedule(id).await?;
        Ok(record.map(|mut record| {
            if self.gate.mistake == Some(Mistake::JoiningWhatIsHeld)
                && matches!(record.state, ScheduleState::Creating(_))
            {
                record.state = ScheduleState::Active;
            }
            record
        }))
    }

    /// What somebody writes who took what is held for active: the holder keeps the record.
    async fn unmask(&self, transaction: &Transaction) -> Result<Transaction> {
        let mut transaction = transaction.clone();
        if self.gate.mistake == Some(Mistake::JoiningWhatIsHeld) {
            for change in &mut transaction.schedules {
                let Some(before) = &mut change.before else { continue };
                let Some(actual) = self.inner.schedule(&before.id).await? else { continue };
                let was_masked = before.state == ScheduleState::Active && actual.state != ScheduleState::Active;
                if was_masked
                    && let Some(after) = &mut change.after
                    && after.state == ScheduleState::Active
                {
                    after.state = actual.state.clone();
                }
                if was_masked {
                    before.state = actual.state;
                }
            }
        }
        Ok(transaction)
    }
}

#[async_trait]
impl<B: Store> Store for Gated<B> {
    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>> {
        self.gate.pass("read the process", self.inner.process(id)).await
    }

    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        self.gate.pass("read the record", self.read(id)).await
    }

    async fn list_processes(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<Arc<Process>>> {
        self.gate.pass("list processes", self.inner.list_processes(filter, page)).await
    }

    async fn list_schedules(&self, page: &PageRequest) -> Result<Page<Schedule>> {
        self.gate.pass("list records", self.inner.list_schedules(page)).await
    }

    async fn commit(&self, transaction: &Transaction) -> Result<()> {
        if self.gate.mistake == Some(Mistake::CountOutsideTheTransaction) && !transaction.processes.is_empty() {
            let (mut first, mut second) = (transaction.clone(), transaction.clone());
            first.schedules.clear();
            second.processes.clear();
            self.gate.pass("write the process", self.inner.commit(&first)).await?;
            return self.gate.pass("write the record", self.inner.commit(&second)).await;
        }
        self.gate
            .pass("commit", async {
                let transaction = self.unmask(transaction).await?;
                self.inner.commit(&transaction).await
            })
            .await
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }
}

#[async_trait]
impl<B: ScheduleBackend> ScheduleBackend for Gated<B> {
    async fn create(&self, trigger: &Trigger) -> Result<String> {
        if self.gate.mistake == Some(Mistake::OkBeforeTheTriggerExists) {
            self.gate.passed.lock().unwrap().late.push(trigger.clone());
            return Ok("later".into());
        }
        self.gate.pass("create", self.inner.create(trigger)).await
    }

    async fn delete(&self, key: &TriggerKey) -> Result<()> {
        self.gate.pass("delete", self.inner.delete(key)).await
    }

    async fn get(&self, key: &TriggerKey) -> Result<Option<Trigger>> {
        self.gate.pass("get the trigger", self.inner.get(key)).await
    }

    async fn list(&self, page: &PageRequest) -> Result<Page<Trigger>> {
        self.gate.pass("list triggers", self.inner.list(page)).await
    }
}

#[async_trait]
impl<B: Queue> Queue for Gated<B> {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        self.gate.pass("send", self.inner.send(batch)).await
    }

    fn limits(&self) -> QueueLimits {
        self.inner.limits()
    }
}
