//! What lies between the algorithms and their backends: calls that are slow, refused, lost on their way or on their way back.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kairos::backend::*;
use kairos::clock::{Clock as _, ClockExt as _, ManualClock, later};
use kairos::page::{Page, PageRequest};
use kairos::{
    Error, ErrorKind, Execution, ExecutionId, ExecutionState, Owner, Process, ProcessId, Result, Schedule, ScheduleId,
};

use crate::climate::{Climate, Dice};
use crate::journal::{Event, Journal};

/// Who calls. Workers are numbered through: one that is started again is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    User(usize),
    Janitor,
    Dispatcher,
    Worker(usize),
}

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Store,
    Schedules,
    Queue,
    History,
    Target,
}

pub(crate) const SERVICES: [Service; 5] =
    [Service::Store, Service::Schedules, Service::Queue, Service::History, Service::Target];

macro_rules! faults {
    ($($name:ident),*) => {
        /// How often each thing went wrong.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Faults {
            $(pub(crate) $name: u64),*
        }

        impl std::ops::AddAssign for Faults {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }

        impl Faults {
            pub(crate) fn assert_all_happened(&self) {
                $(assert!(self.$name > 0, "{} never happened", stringify!($name));)*
            }
        }
    };
}

faults!(
    refused,
    entries_refused,
    requests_lost,
    answers_lost,
    sent_twice,
    received_twice,
    fired_twice,
    delayed,
    crashes,
    workers_killed,
    cuts,
    rewritten
);

impl Faults {
    /// Whether any call of anybody failed, was answered in vain or died.
    pub(crate) fn has_disturbed_calls(&self) -> bool {
        let Self { refused, requests_lost, answers_lost, crashes, .. } = self;
        refused + requests_lost + answers_lost + crashes > 0
    }
}

#[derive(Debug)]
pub(crate) struct Network {
    clock: ManualClock,
    dice: Dice,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` once everything has healed.
    climate: Option<Climate>,
    cuts: Vec<(Caller, Service, Timestamp)>,
    faults: Faults,
}

enum Fate {
    Fine,
    Refused(ErrorKind),
    RequestLost,
    AnswerLost,
}

impl Network {
    pub(crate) fn new(clock: ManualClock, dice: Dice, climate: Climate) -> Arc<Self> {
        let state = State { climate: Some(climate), cuts: Vec::new(), faults: Faults::default() };
        Arc::new(Self { clock, dice, state: Mutex::new(state) })
    }

    /// Nothing goes wrong from here on.
    pub(crate) fn heal(&self) {
        let mut state = self.state.lock().unwrap();
        state.climate = None;
        state.cuts.clear();
    }

    /// Cuts two off from each other.
    pub(crate) fn cut(&self, caller: Caller, service: Service, duration: Duration) {
        let until = later(self.clock.now(), duration);
        self.state.lock().unwrap().cuts.push((caller, service, until));
        self.note(|faults| faults.cuts += 1);
    }

    pub(crate) fn faults(&self) -> Faults {
        self.state.lock().unwrap().faults
    }

    pub(crate) fn note(&self, count: impl FnOnce(&mut Faults)) {
        count(&mut self.state.lock().unwrap().faults);
    }

    /// Whether a thing of this probability happens now; never once everything has healed.
    pub(crate) fn strikes(&self, probability: impl FnOnce(&Climate) -> f64) -> bool {
        let probability = self.state.lock().unwrap().climate.as_ref().map_or(0.0, probability);
        probability > 0.0 && self.dice.happens(probability)
    }

    /// After how many polls a call dies, if it does.
    pub(crate) fn death(&self) -> Option<usize> {
        let dies = self.strikes(|climate| climate.crash);
        dies.then(|| {
            self.note(|faults| faults.crashes += 1);
            1 + self.dice.below(24)
        })
    }

    fn is_cut(&self, caller: Caller, service: Service) -> bool {
        let now = self.clock.now();
        let cuts = &self.state.lock().unwrap().cuts;
        // A worker that is started again stands where the one before it stood.
        let place = |caller| match caller {
            Caller::Worker(number) => Caller::Worker(number % 2),
            other => other,
        };
        cuts.iter().any(|(cut, from, until)| place(*cut) == place(caller) && *from == service && now < *until)
    }

    fn fate(&self, caller: Caller, service: Service) -> Fate {
        if self.is_cut(caller, service) || self.strikes(|climate| climate.request_lost) {
            return Fate::RequestLost;
        }
        if self.strikes(|climate| climate.refused) {
            return Fate::Refused(*self.dice.one_of(&[ErrorKind::Throttled, ErrorKind::Unavailable]));
        }
        if self.strikes(|climate| climate.answer_lost) { Fate::AnswerLost } else { Fate::Fine }
    }

    /// A call is on its way, or its answer.
    async fn travel(&self) {
        if self.strikes(|climate| climate.slow) {
            let time = match self.dice.below(10) {
                0 => self.dice.between(Duration::from_secs(1), Duration::from_secs(8)),
                _ => self.dice.between(Duration::from_millis(1), Duration::from_millis(80)),
            };
            self.clock.sleep(time).await;
        } else {
            tokio::task::yield_now().await;
        }
    }

    /// The client of a service gives up by itself.
    async fn no_answer(&self) -> Error {
        self.clock.sleep(self.dice.between(Duration::from_secs(2), Duration::from_secs(30))).await;
        Error::new(ErrorKind::Timeout, "no answer")
    }

    pub(crate) async fn carry<T>(
        &self,
        caller: Caller,
        service: Service,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.travel().await;
        match self.fate(caller, service) {
            Fate::Refused(kind) => {
                self.note(|faults| faults.refused += 1);
                Err(Error::new(kind, "a fault"))
            }
            Fate::RequestLost => {
                self.note(|faults| faults.requests_lost += 1);
                Err(self.no_answer().await)
            }
            Fate::AnswerLost => {
                self.note(|faults| faults.answers_lost += 1);
                let _ = call.await;
                Err(self.no_answer().await)
            }
            Fate::Fine => {
                let answer = call.await;
                self.travel().await;
                if self.is_cut(caller, service) {
                    self.note(|faults| faults.answers_lost += 1);
                    return Err(self.no_answer().await);
                }
                answer
            }
        }
    }
}

/// A backend as one caller reaches it.
#[derive(Debug)]
pub(crate) struct Reached<B> {
    pub(crate) inner: Arc<B>,
    pub(crate) caller: Caller,
    pub(crate) network: Arc<Network>,
    pub(crate) journal: Arc<Journal>,
    /// Deliveries that come once more.
    again: Mutex<Vec<Delivery>>,
}

impl<B> Reached<B> {
    pub(crate) fn new(inner: Arc<B>, caller: Caller, network: Arc<Network>, journal: Arc<Journal>) -> Self {
        Self { inner, caller, network, journal, again: Mutex::default() }
    }
}

#[async_trait]
impl<B: Store> Store for Reached<B> {
    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>> {
        self.network.carry(self.caller, Service::Store, self.inner.process(id)).await
    }

    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        self.network.carry(self.caller, Service::Store, self.inner.schedule(id)).await
    }

    async fn list_processes(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<Arc<Process>>> {
        self.network.carry(self.caller, Service::Store, self.inner.list_processes(filter, page)).await
    }

    async fn list_schedules(&self, page: &PageRequest) -> Result<Page<Schedule>> {
        self.network.carry(self.caller, Service::Store, self.inner.list_schedules(page)).await
    }

    async fn commit(&self, transaction: &Transaction) -> Result<()> {
        self.network.carry(self.caller, Service::Store, self.inner.commit(transaction)).await
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }
}

#[async_trait]
impl<B: ScheduleBackend> ScheduleBackend for Reached<B> {
    async fn create(&self, trigger: &Trigger) -> Result<String> {
        self.network.carry(self.caller, Service::Schedules, self.inner.create(trigger)).await
    }

    async fn delete(&self, key: &TriggerKey) -> Result<()> {
        self.network.carry(self.caller, Service::Schedules, self.inner.delete(key)).await
    }

    async fn get(&self, key: &TriggerKey) -> Result<Option<Trigger>> {
        self.network.carry(self.caller, Service::Schedules, self.inner.get(key)).await
    }

    async fn list(&self, page: &PageRequest) -> Result<Page<Trigger>> {
        self.network.carry(self.caller, Service::Schedules, self.inner.list(page)).await
    }
}

#[async_trait]
impl<B: Queue> Queue for Reached<B> {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        let send = async {
            let mut answers = Vec::new();
            for message in batch {
                if self.network.strikes(|climate| climate.entry_refused) {
                    self.network.note(|faults| faults.entries_refused += 1);
                    answers.push(Err(Error::new(ErrorKind::Throttled, "not this one")));
                    continue;
                }
                let message = std::slice::from_ref(message);
                if self.network.strikes(|climate| climate.doubled) {
                    self.network.note(|faults| faults.sent_twice += 1);
                    self.inner.send(message).await?;
                }
                answers.extend(self.inner.send(message).await?);
            }
            self.journal.sent(batch, &answers);
            Ok(answers)
        };
        self.network.carry(self.caller, Service::Queue, send).await
    }

    fn limits(&self) -> QueueLimits {
        self.inner.limits()
    }
}

#[async_trait]
impl<B: Receiver> Receiver for Reached<B> {
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let receive = async {
            let again = std::mem::take(&mut *self.again.lock().unwrap());
            if !again.is_empty() {
                return Ok(again);
            }
            let received = self.inner.receive(max, wait).await?;
            if self.network.strikes(|climate| climate.doubled) {
                self.network.note(|faults| faults.received_twice += received.len() as u64);
                self.again.lock().unwrap().extend(received.iter().cloned());
            }
            Ok(received)
        };
        self.network.carry(self.caller, Service::Queue, receive).await
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        self.network.carry(self.caller, Service::Queue, self.inner.acknowledge(receipts)).await
    }

    async fn change_visibility(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        self.network.carry(self.caller, Service::Queue, self.inner.change_visibility(receipt, delay)).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &DeadLetterReason) -> Result<()> {
        let doubt = reason.execution_id.map(|id| self.journal.doubt(id, Event::Unburied(self.caller)));
        self.network.carry(self.caller, Service::Queue, self.inner.dead_letter(delivery, reason)).await?;
        if let Some(doubt) = doubt {
            doubt.settle();
        }
        self.journal.note(|| format!("{:?}: buried by {:?}", reason.execution_id, self.caller));
        Ok(())
    }

    async fn redrive(&self, max: usize) -> Result<usize> {
        self.network.carry(self.caller, Service::Queue, self.inner.redrive(max)).await
    }

    fn visibility_timeout(&self) -> Duration {
        self.inner.visibility_timeout()
    }
}

#[async_trait]
impl<B: History> History for Reached<B> {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        let claimed = self.network.carry(self.caller, Service::History, self.inner.claim(claim)).await;
        self.journal.note(|| format!("{}: claimed by {:?}: {claimed:?}", claim.work.execution_id, self.caller));
        claimed
    }

    async fn renew(&self, id: ExecutionId, owner: Owner, until: Timestamp) -> Result<()> {
        let doubt = self.journal.doubt(id, Event::Unrenewed(self.caller));
        self.network.carry(self.caller, Service::History, self.inner.renew(id, owner, until)).await?;
        doubt.settle();
        Ok(())
    }

    async fn record(&self, outcome: &Outcome) -> Result<()> {
        let record = async {
            let recorded = self.inner.record(outcome).await;
            if recorded.is_ok() && outcome.state == ExecutionState::Succeeded {
                self.journal.recorded(outcome.id);
            }
            recorded
        };
        let doubt = self.journal.doubt(outcome.id, Event::Unrecorded(self.caller));
        self.network.carry(self.caller, Service::History, record).await?;
        doubt.settle();
        self.journal.note(|| format!("{}: recorded by {:?}: {}", outcome.id, self.caller, outcome.state));
        Ok(())
    }

    async fn get(&self, id: ExecutionId) -> Result<Option<Execution>> {
        self.network.carry(self.caller, Service::History, self.inner.get(id)).await
    }

    async fn list(&self, filter: &ExecutionFilter, page: &PageRequest) -> Result<Page<Execution>> {
        self.network.carry(self.caller, Service::History, self.inner.list(filter, page)).await
    }
}
