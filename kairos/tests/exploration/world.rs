//! What the calls work on: rows, triggers and the queue as one value, and what the in-memory backend makes of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kairos::backend::{ProcessFilter, Queue as _, ScheduleBackend as _, Store as _, Transaction, Trigger};
use kairos::chance::Chance;
use kairos::clock::{Clock, ManualClock, later};
use kairos::page::PageRequest;
use kairos::retry::Backoff;
use kairos::scheduler::{ReconcileMode, ReconcileReport, SchedulerConfig};
use kairos::{Error, ErrorKind, Hold, Owner, Process, Registration, Schedule, ScheduleId, ScheduleState, Scheduler};
use kairos_memory::{MemoryQueue, MemorySchedules, MemoryStore};

use crate::request::{Answer, Request};
use crate::scenario::Start;

/// Two processes and two schedules are enough for every row of the protocol.
pub(crate) const S: &str = "rate(1 day)";
pub(crate) const T: &str = "rate(2 days)";

/// Everything that is stored anywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) processes: Vec<Arc<Process>>,
    pub(crate) records: Vec<Schedule>,
    pub(crate) triggers: Vec<Trigger>,
    /// The names of the processes that have been dispatched.
    pub(crate) queued: BTreeSet<String>,
}

pub(crate) fn registration(name: &str, expression: &str) -> Registration {
    Registration::new(name, expression, "kairos:task:x")
}

pub(crate) fn config() -> SchedulerConfig {
    let mut config = SchedulerConfig::default();
    // Who waits may look again at once: time passes only where that is explored.
    config.polling = Backoff::new(Duration::ZERO, Duration::ZERO);
    config.send.backoff = config.polling;
    config.patience = Duration::from_secs(24 * 60 * 60);
    config
}

/// The instant after so many holds, one after the other, have ended.
pub(crate) fn instant(epoch: u8) -> Timestamp {
    // The first second of 2026.
    let start = Timestamp::constant(1_767_225_600, 0);
    later(start, (config().lease + Duration::from_secs(1)).saturating_mul(epoch.into()))
}

/// Runs what never waits.
pub(crate) fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    use futures_util::FutureExt as _;
    future.now_or_never().expect("nothing waits here")
}

/// The in-memory backend.
struct Memory {
    store: Arc<MemoryStore>,
    schedules: Arc<MemorySchedules>,
    queue: Arc<MemoryQueue>,
    clock: Arc<dyn Clock>,
}

impl Memory {
    fn holding(world: &World, epoch: u8) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(instant(epoch)));
        let memory = Self {
            store: Arc::new(MemoryStore::new()),
            schedules: Arc::new(MemorySchedules::new(clock.clone())),
            queue: Arc::new(MemoryQueue::new(clock.clone())),
            clock,
        };
        let mut rows = Transaction::new();
        for process in &world.processes {
            rows = rows.with_process(None, Some(process.clone()));
        }
        for record in &world.records {
            rows = rows.with_schedule(None, Some(record.clone()));
        }
        now_or_never(memory.store.commit(&rows)).unwrap();
        for trigger in &world.triggers {
            now_or_never(memory.schedules.create(trigger)).unwrap();
        }
        memory
    }

    fn contents(&self, queued: BTreeSet<String>) -> World {
        let page = PageRequest::first(PageRequest::MAX_LIMIT);
        let mut triggers = now_or_never(self.schedules.list(&page)).unwrap().items;
        triggers.sort_by(|one, other| one.schedule_id.cmp(&other.schedule_id));
        World {
            processes: now_or_never(self.store.list_processes(&ProcessFilter::default(), &page)).unwrap().items,
            records: now_or_never(self.store.list_schedules(&page)).unwrap().items,
            triggers,
            queued,
        }
    }

    /// A scheduler whose owners no other one draws.
    fn scheduler(&self) -> Scheduler {
        Scheduler::new(self.store.clone(), self.schedules.clone(), self.queue.clone(), self.clock.clone())
            .with_config(config())
            .with_chance(Arc::new(Chance::from_seed(100)))
    }
}

impl World {
    pub(crate) fn at(start: Start) -> Self {
        let memory = Memory::holding(&Self::default(), 0);
        let register = |name, expression| {
            now_or_never(memory.scheduler().register(&registration(name, expression))).unwrap();
        };
        match start {
            Start::Empty => {}
            Start::A | Start::Abandoned => register("a", S),
            Start::AAndB => {
                register("a", S);
                register("b", S);
            }
            Start::AThenBOnT => {
                register("a", S);
                register("b", T);
            }
        }
        let mut world = memory.contents(BTreeSet::new());
        if start == Start::Abandoned {
            let hold = Hold { owner: Owner::from_u128(1), until: instant(0) };
            world.records[0].state = ScheduleState::Creating(hold);
            world.records[0].trigger_arn = None;
            world.triggers.clear();
        }
        world
    }

    /// What the in-memory backend answers to a request, and what is there after it.
    pub(crate) fn answer(&self, request: &Request) -> (Self, Answer) {
        let memory = Memory::holding(self, 0);
        let (store, schedules) = (&memory.store, &memory.schedules);
        let answer = match request {
            Request::Process(id) => Answer::of(now_or_never(store.process(id)), Answer::Process),
            Request::Schedule(id) => Answer::of(now_or_never(store.schedule(id)), Answer::Schedule),
            Request::ListProcesses(filter, page) => {
                Answer::of(now_or_never(store.list_processes(filter, page)), Answer::Processes)
            }
            Request::ListSchedules(page) => Answer::of(now_or_never(store.list_schedules(page)), Answer::Schedules),
            Request::Commit(transaction) => Answer::of(now_or_never(store.commit(transaction)), |()| Answer::Done),
            Request::CreateTrigger(trigger) => Answer::of(now_or_never(schedules.create(trigger)), Answer::Created),
            Request::DeleteTrigger(key) => Answer::of(now_or_never(schedules.delete(key)), |()| Answer::Done),
            Request::Trigger(key) => Answer::of(now_or_never(schedules.get(key)), Answer::Trigger),
            Request::ListTriggers(page) => Answer::of(now_or_never(schedules.list(page)), Answer::Triggers),
            Request::Send(messages) => Answer::of(now_or_never(memory.queue.send(messages)), |answers| {
                Answer::Sent(answers.into_iter().map(|answer| answer.err().map(|error| error.kind())).collect())
            }),
            Request::Pause => Answer::Done,
        };
        if !request.changes_the_world() {
            return (self.clone(), answer);
        }
        let mut queued = self.queued.clone();
        if let Answer::Sent(kinds) = &answer {
            let is_sent = |(kind, _): &(&Option<ErrorKind>, _)| kind.is_none();
            queued.extend(kinds.iter().zip(request.sends()).filter(is_sent).map(|(_, name)| name));
        }
        (memory.contents(queued), answer)
    }

    /// Reconciles when every hold of this epoch has ended: what is there then, and what the repair, and a second one, found.
    pub(crate) fn reconciled(&self, epoch: u8) -> Result<(Self, ReconcileReport, ReconcileReport), Error> {
        let memory = Memory::holding(self, epoch + 1);
        let planned = now_or_never(memory.scheduler().reconcile(ReconcileMode::DryRun))?;
        let repaired = now_or_never(memory.scheduler().reconcile(ReconcileMode::Repair))?;
        let problems = |report: &ReconcileReport| {
            report.findings.iter().map(|finding| (finding.schedule_id.clone(), finding.problem.clone())).collect()
        };
        let (planned, found): (Vec<_>, Vec<_>) = (problems(&planned), problems(&repaired));
        assert_eq!(planned, found, "a dry run lists what is repaired");
        let again = now_or_never(memory.scheduler().reconcile(ReconcileMode::Repair))?;
        Ok((memory.contents(self.queued.clone()), repaired, again))
    }

    pub(crate) fn has_trigger(&self, schedule: &ScheduleId) -> bool {
        self.triggers.iter().any(|trigger| trigger.schedule_id == *schedule)
    }

    pub(crate) fn process(&self, name: &str) -> Option<&Process> {
        self.processes.iter().find(|process| process.name == name).map(|process| &**process)
    }

    /// What is true whenever nothing is under way.
    pub(crate) fn is_sound(&self) -> Result<(), String> {
        for Schedule { id, state, process_count, .. } in &self.records {
            let members = self.processes.iter().filter(|process| process.schedule_id == *id).count() as u64;
            if *state != ScheduleState::Active {
                return Err(format!("{id} is left in state {state}"));
            }
            if members == 0 {
                return Err(format!("{id} is a record without processes"));
            }
            if *process_count != Some(members) {
                return Err(format!("{id} counts {process_count:?} processes and has {members}"));
            }
        }
        let has_record = |id: &ScheduleId| self.records.iter().any(|record| record.id == *id);
        for process in &self.processes {
            if !has_record(&process.schedule_id) {
                return Err(format!("'{}' is a process without record", process.name));
            }
            if !self.has_trigger(&process.schedule_id) {
                return Err(format!("'{}' is registered and has no trigger", process.name));
            }
        }
        match self.triggers.iter().find(|trigger| !has_record(&trigger.schedule_id)) {
            Some(trigger) => Err(format!("{} is a trigger without record", trigger.schedule_id)),
            None => Ok(()),
        }
    }
}
