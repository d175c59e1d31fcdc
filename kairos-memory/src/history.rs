//! Executions in memory: claimed before they run, recorded after.

mod saved;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kairos::backend::{Claim, Claimed, ExecutionFilter, History, Outcome};
use kairos::clock::later;
use kairos::page::{Page, PageRequest};
use kairos::{
    Execution, ExecutionId, ExecutionState, Failure, Hold, Origin, Owner, ProcessId, Result, ScheduleId, WorkItem,
};
use parking_lot::{Mutex, MutexGuard};

use crate::error;
use crate::index::Index;
use crate::intern::Interned;
use crate::listing::Listing;
use crate::order::{Change, Gone, Indexes, Position};
use crate::slab::Slab;
use crate::wheel::{Wheel, due_tick, tick};

pub use saved::SavedHistory;

/// A [`History`] in memory, sorted by scheduled time: of all executions, of each state and of each process.
///
/// Claiming and recording cost the same however many executions there are, and a page what it holds: they are sorted in when somebody
/// lists, or once a hundred thousand have changed or expired, which takes some tens of milliseconds. An execution is kept for the
/// retention, counted from its last claim or outcome, or from the end of its claim if that is later. Time is what
/// claims and outcomes say that it is: without them nothing expires.
///
/// ```
/// use kairos::backend::{Claim, Claimed, History, Outcome};
/// use kairos::{Body, ExecutionState, Hold, Owner};
/// use kairos_memory::MemoryHistory;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let history = MemoryHistory::new();
/// let message = Body::from_json(
///     r#"{"IdProceso":"proceso-YQ..","IdCalendarizacion":"calendarizacion-x","Nombre":"a","ArnProceso":"kairos:task:a",
///         "Parametros":null,"Habilitado":true,"FechaCreacion":"2026-01-01T00:00:00Z","FechaProgramada":"2026-01-01T12:00:00Z"}"#,
/// );
/// let work = message.work("message-1", "2026-01-01T12:00:00.5Z".parse()?)?;
/// let (id, now, until) = (work.execution_id, "2026-01-01T12:00:01Z".parse()?, "2026-01-01T12:01:00Z".parse()?);
///
/// let [one, two] = [1, 2].map(Owner::from_u128);
/// let claim = |owner| Claim::new(work.clone(), Hold { owner, until }, now);
/// assert_eq!(history.claim(&claim(one)).await?, Claimed::Granted { attempt: 1 });
/// assert_eq!(history.claim(&claim(two)).await?, Claimed::Held { until });
/// history.record(&Outcome::new(id, one, ExecutionState::Succeeded, now)).await?;
/// assert_eq!(history.claim(&claim(two)).await?, Claimed::Finished(ExecutionState::Succeeded));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryHistory {
    retention: Duration,
    state: Mutex<State>,
}

struct State {
    records: Slab<Record>,
    by_id: Index,
    /// Who is trying which. Apart, as few are being tried.
    holds: Slab<Hold>,
    processes: Interned<ProcessId>,
    schedules: Interned<ScheduleId>,
    /// Behind by what has changed: most executions are done with, and many have expired, before anybody lists them.
    indexes: Indexes,
    /// The slots in which something has changed, each once, whichever executions it had meanwhile.
    changed: Vec<u32>,
    /// Whether a slot is among them.
    is_noted: Vec<bool>,
    /// Those that the indexes have and that are no more.
    gone: Vec<Gone>,
    expiry: Wheel,
}

/// What is kept of an execution, packed: there may be millions.
struct Record {
    id: ExecutionId,
    scheduled_time: Timestamp,
    started_at: Timestamp,
    last_try: Try,
    error: Option<Box<Failure>>,
    /// The numbers of its process and of its schedule.
    process: u32,
    schedule: u32,
    attempts: u32,
    origin: Origin,
    state: ExecutionState,
    /// The state in which the indexes have it.
    indexed: Option<ExecutionState>,
}

/// Who is at it, or when it ended.
#[derive(Clone, Copy)]
enum Try {
    /// Under the hold in this slot.
    Held(u32),
    /// If that is known.
    Ended(Option<Timestamp>),
}

const _: () = assert!(size_of::<Record>() <= 96, "there may be millions");

/// How many may have changed, or have expired, before they are sorted in or out: so many that it is seldom done, so few that nobody waits for it for long.
const BEHIND: usize = 100_000;

impl MemoryHistory {
    /// A history without executions, which keeps them for 30 days: longer than any message can be delivered late.
    #[must_use]
    pub fn new() -> Self {
        Self { retention: Duration::from_secs(30 * 24 * 60 * 60), state: Mutex::new(State::new()) }
    }

    /// The same with another retention. What is delivered again after it runs again.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// How many executions are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().records.len()
    }

    /// Whether no execution is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state as it is at a time: without what has expired.
    fn lock(&self, now: Timestamp) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        state.expire(now);
        state
    }
}

impl Default for MemoryHistory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryHistory").field("executions", &self.len()).field("retention", &self.retention).finish()
    }
}

impl Record {
    fn hold(&self) -> Option<u32> {
        match self.last_try {
            Try::Held(hold) => Some(hold),
            Try::Ended(_) => None,
        }
    }

    fn finished_at(&self) -> Option<Timestamp> {
        match self.last_try {
            Try::Held(_) => None,
            Try::Ended(at) => at,
        }
    }
}

impl State {
    fn new() -> Self {
        Self {
            records: Slab::new(),
            by_id: Index::new(),
            holds: Slab::new(),
            processes: Interned::new(),
            schedules: Interned::new(),
            indexes: Indexes::default(),
            changed: Vec::new(),
            is_noted: Vec::new(),
            gone: Vec::new(),
            expiry: Wheel::new(),
        }
    }

    fn find(&self, id: ExecutionId) -> Option<u32> {
        self.by_id.find(id, |slot| self.records.get(slot).is_some_and(|record| record.id == id))
    }

    /// The execution in a slot.
    fn get(&self, slot: u32) -> Option<Execution> {
        let record = self.records.get(slot)?;
        let (process, schedule) = (self.processes.get(record.process)?, self.schedules.get(record.schedule)?);
        let Record { id, scheduled_time, origin, started_at, .. } = *record;
        let mut execution = Execution::new(id, process.clone(), schedule.clone(), scheduled_time, origin, started_at);
        execution.state = record.state;
        execution.attempts = record.attempts;
        execution.finished_at = record.finished_at();
        execution.error = record.error.as_deref().cloned();
        Some(execution)
    }

    /// Puts in an execution whose first try begins now.
    fn begin(&mut self, claim: &Claim) -> u32 {
        let WorkItem { process, scheduled_time, execution_id, origin, .. } = &claim.work;
        let record = Record {
            id: *execution_id,
            scheduled_time: *scheduled_time,
            started_at: claim.now,
            last_try: Try::Held(self.holds.insert(claim.hold)),
            error: None,
            process: self.processes.acquire(&process.id),
            schedule: self.schedules.acquire(&process.schedule_id),
            attempts: 1,
            origin: *origin,
            state: ExecutionState::Running,
            indexed: None,
        };
        self.insert(record)
    }

    fn insert(&mut self, record: Record) -> u32 {
        let slot = self.records.insert(record);
        self.by_id.insert(slot, &self.records, |_, record| record.id);
        self.note(slot);
        slot
    }

    fn expire(&mut self, now: Timestamp) {
        while let Some(slot) = self.expiry.pop(tick(now)) {
            self.remove(slot);
        }
    }

    fn remove(&mut self, slot: u32) {
        let Some(Record { id, scheduled_time, process, schedule, last_try, indexed, .. }) = self.records.remove(slot)
        else {
            return;
        };
        if let Some(state) = indexed {
            self.gone.push(Gone { position: Position::new(scheduled_time, slot), process, state });
            self.keep_up();
        }
        self.processes.release(process);
        self.schedules.release(schedule);
        self.let_go(last_try);
        self.by_id.remove(id, |other| other == slot);
    }

    fn set_state(&mut self, slot: u32, state: ExecutionState) {
        if let Some(record) = self.records.get_mut(slot) {
            record.state = state;
            self.note(slot);
        }
    }

    /// Notes that something has changed in a slot.
    fn note(&mut self, slot: u32) {
        let index = slot as usize;
        if index >= self.is_noted.len() {
            self.is_noted.resize(index + 1, false);
        }
        if !std::mem::replace(&mut self.is_noted[index], true) {
            self.changed.push(slot);
            self.keep_up();
        }
    }

    fn keep_up(&mut self) {
        if self.changed.len().max(self.gone.len()) >= BEHIND {
            self.sort_in();
        }
    }

    /// Brings the indexes to what the executions are now.
    fn sort_in(&mut self) {
        let Self { records, changed, is_noted, gone, indexes, .. } = self;
        indexes.update(
            gone,
            changed.drain(..).filter_map(|slot| {
                is_noted[slot as usize] = false;
                // It may be empty by now.
                let record = records.get_mut(slot)?;
                let (position, before) =
                    (Position::new(record.scheduled_time, slot), record.indexed.replace(record.state));
                Some(Change { position, process: record.process, before, after: record.state })
            }),
        );
    }

    /// Gives a claim to another try.
    fn grant(&mut self, slot: u32, claim: &Claim, attempt: u32) -> Claimed {
        self.set_state(slot, ExecutionState::Running);
        if let Some(record) = self.records.get_mut(slot) {
            record.attempts = attempt;
            record.started_at = claim.now;
            record.error = None;
            let held = Try::Held(self.holds.insert(claim.hold));
            let before = std::mem::replace(&mut record.last_try, held);
            self.let_go(before);
        }
        Claimed::Granted { attempt }
    }

    fn let_go(&mut self, last_try: Try) {
        if let Try::Held(hold) = last_try {
            self.holds.remove(hold);
        }
    }

    /// Who is trying the execution in a slot.
    fn hold(&self, slot: u32) -> Option<&Hold> {
        self.holds.get(self.records.get(slot)?.hold()?)
    }

    fn hold_mut(&mut self, slot: u32) -> Option<&mut Hold> {
        self.holds.get_mut(self.records.get(slot)?.hold()?)
    }

    fn claim(&mut self, slot: u32, claim: &Claim) -> Claimed {
        let Some(&Record { attempts, state, .. }) = self.records.get(slot) else {
            return self.grant(slot, claim, 1);
        };
        match (state, self.hold_mut(slot)) {
            // The answer to its first claim was lost.
            (ExecutionState::Running, Some(hold)) if hold.owner == claim.hold.owner => {
                hold.until = hold.until.max(claim.hold.until);
                Claimed::Granted { attempt: attempts }
            }
            (ExecutionState::Running, Some(hold)) if !hold.has_ended(claim.now) => Claimed::Held { until: hold.until },
            (state, _) if claim.starts_anew(state) => self.grant(slot, claim, 1),
            (state, _) if state.is_finished() => Claimed::Finished(state),
            _ => self.grant(slot, claim, attempts.saturating_add(1)),
        }
    }

    /// The slot of an execution that this owner is trying. Also after its claim has ended, as long as nobody took it over.
    fn held(&self, id: ExecutionId, owner: Owner) -> Option<u32> {
        let slot = self.find(id)?;
        (self.hold(slot)?.owner == owner).then_some(slot)
    }

    fn end(&mut self, slot: u32, outcome: &Outcome) {
        self.set_state(slot, outcome.state);
        if let Some(record) = self.records.get_mut(slot) {
            record.error = outcome.failure.clone().map(Box::new);
            let before = std::mem::replace(&mut record.last_try, Try::Ended(Some(outcome.at)));
            self.let_go(before);
        }
    }

    /// Counts the retention anew.
    fn touch(&mut self, slot: u32, now: Timestamp, retention: Duration) {
        let from = self.hold(slot).map_or(now, |hold| hold.until.max(now));
        self.expiry.set(slot, due_tick(later(from, retention)));
    }
}

#[async_trait]
impl History for MemoryHistory {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        let mut state = self.lock(claim.now);
        let (slot, claimed) = match state.find(claim.work.execution_id) {
            Some(slot) => (slot, state.claim(slot, claim)),
            None => (state.begin(claim), Claimed::Granted { attempt: 1 }),
        };
        state.touch(slot, claim.now, self.retention);
        Ok(claimed)
    }

    async fn renew(&self, id: ExecutionId, owner: Owner, until: Timestamp) -> Result<()> {
        let mut state = self.state.lock();
        let slot = state.held(id, owner).ok_or_else(|| error::claim_lost("renew", id))?;
        if let Some(hold) = state.hold_mut(slot) {
            hold.until = until;
        }
        state.touch(slot, until, self.retention);
        Ok(())
    }

    async fn record(&self, outcome: &Outcome) -> Result<()> {
        if outcome.state == ExecutionState::Running {
            return Err(error::no_outcome(outcome.id));
        }
        let mut state = self.lock(outcome.at);
        let Some(slot) = state.held(outcome.id, outcome.owner) else {
            let record = state.find(outcome.id).and_then(|slot| state.records.get(slot));
            let is_recorded = record.is_some_and(|record| says(record, outcome));
            return if is_recorded { Ok(()) } else { Err(error::claim_lost("record", outcome.id)) };
        };
        state.end(slot, outcome);
        state.touch(slot, outcome.at, self.retention);
        Ok(())
    }

    async fn get(&self, id: ExecutionId) -> Result<Option<Execution>> {
        let state = self.state.lock();
        Ok(state.find(id).and_then(|slot| state.get(slot)))
    }

    async fn list(&self, filter: &ExecutionFilter, page: &PageRequest) -> Result<Page<Execution>> {
        let listing = Listing::new("executions", filter);
        let before = listing.after_number(page, Position::parse)?;
        let mut state = self.state.lock();
        state.sort_in();
        let process = filter.process.as_ref().and_then(|process| state.processes.find(process));
        let rows = state.indexes.newest_first(filter, process, before).map(|position| {
            let execution = state.get(position.slot());
            (position, execution.filter(|execution| filter.admits(execution)))
        });
        Ok(listing.page(page.limit, rows))
    }
}

/// Whether an execution is already as an outcome says.
fn says(record: &Record, outcome: &Outcome) -> bool {
    record.state == outcome.state
        && record.finished_at() == Some(outcome.at)
        && record.error.as_deref() == outcome.failure.as_ref()
}
