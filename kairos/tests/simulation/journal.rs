//! What was promised to callers and what happened at targets, in order: written while a run goes on, judged at its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use kairos::backend::Message;
use kairos::clock::{Clock as _, ManualClock};
use kairos::{ExecutionId, Process, Result, ScheduleId, WorkItem};

use crate::network::Caller;

/// What the callers of the scheduler know of a process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Known {
    Registered {
        schedule_id: ScheduleId,
        enabled: bool,
    },
    Unregistered,
    /// A call about it is under way, or has failed.
    Nothing,
}

impl Known {
    pub(crate) fn of(process: &Process) -> Self {
        Self::Registered { schedule_id: process.schedule_id.clone(), enabled: process.enabled }
    }
}

/// From when on something was known.
#[derive(Clone, Debug)]
pub(crate) struct Since {
    pub(crate) step: u64,
    pub(crate) at: Timestamp,
    pub(crate) known: Known,
}

/// A message that the queue has taken.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) step: u64,
    pub(crate) work: WorkItem,
}

/// What happened to an execution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Event {
    /// The target did what it is there for.
    Taken(Caller),
    /// The executor has been told so.
    Answered(Caller),
    /// History says so.
    Recorded,
    /// History could not be told, as far as the executor knows.
    Unrecorded(Caller),
    /// Its message could not be put with the dead letters, as far as the executor knows.
    Unburied(Caller),
    /// A claim could not be renewed.
    Unrenewed(Caller),
    /// Its dead letter was put back on the queue. A delivery of that which comes twice may be tried twice.
    Redriven,
}

#[derive(Debug)]
pub(crate) struct Journal {
    clock: ManualClock,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
pub(crate) struct Entries {
    steps: u64,
    pub(crate) known: BTreeMap<String, Vec<Since>>,
    /// When an occurrence was first dispatched whole.
    pub(crate) dispatched: BTreeMap<(ScheduleId, Timestamp), u64>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) executions: BTreeMap<ExecutionId, Vec<(u64, Event)>>,
    /// When each worker died.
    pub(crate) deaths: Vec<(u64, Caller)>,
    /// What is wrong whatever comes later.
    pub(crate) wrong: Vec<String>,
    pub(crate) calls_answered: u64,
    trace: Option<Vec<String>>,
}

impl Journal {
    pub(crate) fn new(clock: ManualClock, is_traced: bool) -> Arc<Self> {
        let entries = Entries { trace: is_traced.then(Vec::new), ..Entries::default() };
        Arc::new(Self { clock, entries: Mutex::new(entries) })
    }

    pub(crate) fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap()
    }

    fn step(&self, what: impl FnOnce() -> String) -> (u64, MutexGuard<'_, Entries>) {
        let mut entries = self.entries();
        entries.steps += 1;
        if let Some(trace) = &mut entries.trace {
            trace.push(format!("{} {}", self.clock.now().strftime("%H:%M:%S%.3f"), what()));
        }
        (entries.steps, entries)
    }

    /// Notes something for whoever reads the run.
    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        drop(self.step(what));
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        self.entries().trace.take().unwrap_or_default()
    }

    pub(crate) fn learnt(&self, name: &str, known: Known) {
        let (step, mut entries) = self.step(|| format!("{name}: {known:?}"));
        let since = Since { step, at: self.clock.now(), known };
        entries.known.entry(name.to_owned()).or_default().push(since);
    }

    pub(crate) fn known(&self, name: &str) -> Known {
        self.entries().known.get(name).and_then(|all| all.last()).map_or(Known::Unregistered, |last| last.known.clone())
    }

    pub(crate) fn dispatched(&self, schedule_id: &ScheduleId, at: Timestamp) {
        let (step, mut entries) = self.step(|| format!("{schedule_id} of {at} is dispatched"));
        entries.dispatched.entry((schedule_id.clone(), at)).or_insert(step);
    }

    pub(crate) fn sent(&self, batch: &[Message], answers: &[Result<()>]) {
        for (message, _) in batch.iter().zip(answers).filter(|(_, answer)| answer.is_ok()) {
            let work = message.body.work("", Timestamp::UNIX_EPOCH).unwrap();
            let (step, mut entries) =
                self.step(|| format!("sent: {} of {} ({})", work.process.name, work.scheduled_time, work.execution_id));
            entries.sent.push(Sent { step, work });
        }
    }

    fn event(&self, id: ExecutionId, event: Event) {
        let (step, mut entries) = self.step(|| format!("{id}: {event:?}"));
        entries.executions.entry(id).or_default().push((step, event));
    }

    pub(crate) fn taken(&self, id: ExecutionId, by: Caller) {
        self.event(id, Event::Taken(by));
    }

    pub(crate) fn answered(&self, id: ExecutionId, by: Caller) {
        self.event(id, Event::Answered(by));
    }

    pub(crate) fn recorded(&self, id: ExecutionId) {
        self.event(id, Event::Recorded);
    }

    pub(crate) fn redriven(&self, id: ExecutionId) {
        self.event(id, Event::Redriven);
    }

    pub(crate) fn died(&self, worker: Caller) {
        let (step, mut entries) = self.step(|| format!("{worker:?} is gone"));
        entries.deaths.push((step, worker));
    }

    pub(crate) fn wrong(&self, what: String) {
        let (_, mut entries) = self.step(|| format!("WRONG: {what}"));
        entries.wrong.push(what);
    }

    /// An event that is written when this is dropped, unless it is [settled](Doubt::settle) before.
    pub(crate) fn doubt(&self, id: ExecutionId, event: Event) -> Doubt<'_> {
        Doubt { journal: self, id, event: Some(event) }
    }
}

pub(crate) struct Doubt<'a> {
    journal: &'a Journal,
    id: ExecutionId,
    event: Option<Event>,
}

impl Doubt<'_> {
    pub(crate) fn settle(mut self) {
        self.event = None;
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            self.journal.event(self.id, event);
        }
    }
}
