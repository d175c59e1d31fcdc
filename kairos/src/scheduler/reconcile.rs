//! Finding and repairing what failed or interrupted calls, and other hands, have left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Scheduler;
use super::plan::Then;
use super::protocol::Call;
use super::query::specification_of;
use crate::backend::{ProcessFilter, Transaction, Trigger, TriggerKey};
use crate::clock::ClockExt as _;
use crate::error::{Error, Result};
use crate::model::{Process, Schedule, ScheduleId, ScheduleState};
use crate::page::PageRequest;

/// Whether to repair what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconcileMode {
    /// Lists what would be done, and changes nothing.
    DryRun,
    /// Does it.
    Repair,
}

/// What reconciling found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconcileReport {
    /// How many processes, schedule records and triggers were looked at.
    pub examined: (usize, usize, usize),
    /// What was not as it should be, by schedule.
    pub findings: Vec<Finding>,
}

impl ReconcileReport {
    /// Whether nothing is left to be repaired.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.repair == Repair::Done)
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// What is wrong with it.
    pub problem: Problem,
    /// What was done about it.
    pub repair: Repair,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.schedule_id, self.problem, self.repair)
    }
}

/// What can be wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A call that was creating or deleting its trigger never came back.
    AbandonedHold,
    /// It has a trigger and no record.
    TriggerWithoutRecord,
    /// It has processes and no record.
    ProcessesWithoutRecord,
    /// Its record says that the trigger exists, and it does not.
    RecordWithoutTrigger,
    /// Its trigger fires at other times than the record says.
    DifferentTrigger,
    /// It has a record and no processes.
    RecordWithoutProcesses,
    /// Its record counts other than the rows do.
    WrongCount {
        /// What the record says; `None` if the older system wrote it.
        recorded: Option<u64>,
        /// How many rows there are.
        counted: u64,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AbandonedHold => f.write_str("a call that held it never came back"),
            Self::TriggerWithoutRecord => f.write_str("trigger without record"),
            Self::ProcessesWithoutRecord => f.write_str("processes without record"),
            Self::RecordWithoutTrigger => f.write_str("record without trigger"),
            Self::DifferentTrigger => f.write_str("the trigger fires at other times than the record says"),
            Self::RecordWithoutProcesses => f.write_str("record without processes"),
            Self::WrongCount { recorded: Some(recorded), counted } => {
                write!(f, "counts {recorded} processes, has {counted}")
            }
            Self::WrongCount { recorded: None, counted } => write!(f, "counts no processes yet, has {counted}"),
        }
    }
}

/// What was done about a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repair {
    /// Nothing: it was a dry run.
    Planned,
    /// It is repaired.
    Done,
    /// It could not be repaired now; the next run tries again.
    Failed(String),
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Planned => f.write_str("would be repaired"),
            Self::Done => f.write_str("repaired"),
            Self::Failed(why) => write!(f, "not repaired: {why}"),
        }
    }
}

/// All there is to know of one schedule.
#[derive(Clone, Debug)]
struct Situation {
    record: Option<Schedule>,
    trigger: Option<Trigger>,
    rows: u64,
    /// One of the rows.
    sample: Option<Arc<Process>>,
}

/// Listings that lag have caught up after this long (seen at DynamoDB's indexes: well under a second).
const LAG: Duration = Duration::from_secs(5);

impl Scheduler {
    /// Finds and repairs what failed or interrupted calls have left behind: abandoned holds, triggers without record, records without
    /// trigger, records without processes, counts that are off.
    ///
    /// Safe beside all other calls: each repair holds the schedule's record as they do, and leaves alone what somebody else holds.
    /// Remembers one entry per schedule while it runs.
    ///
    /// # Errors
    /// Whatever the backends answer while everything is read through. A single repair that fails is in the report instead.
    pub async fn reconcile(&self, mode: ReconcileMode) -> Result<ReconcileReport> {
        let reconciled = async {
            let (examined, suspects) = self.suspects().await?;
            if !suspects.is_empty() && !self.store.capabilities().consistent_listings {
                self.clock.sleep(LAG).await;
            }
            let mut findings = Vec::new();
            for (id, group) in suspects {
                findings.extend(self.reconcile_one(&id, group, mode).await?);
            }
            Ok(ReconcileReport { examined, findings })
        };
        reconciled.await.map_err(|error: Error| error.during("reconcile"))
    }

    /// Every schedule that does not look right at first sight, with its group.
    async fn suspects(&self) -> Result<((usize, usize, usize), BTreeMap<ScheduleId, Option<String>>)> {
        let mut suspects = BTreeMap::new();
        let mut triggers = BTreeMap::new();
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let listed = self.schedules.list(&page).await?;
            triggers.extend(listed.items.into_iter().map(|trigger| (trigger.key(), trigger.specification)));
            match listed.next {
                Some(cursor) => page = page.with_cursor(cursor),
                None => break,
            }
        }
        let mut rows: BTreeMap<ScheduleId, (u64, Option<String>)> = BTreeMap::new();
        let mut processes = 0;
        page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let listed = self.store.list_processes(&ProcessFilter::default(), &page).await?;
            processes += listed.items.len();
            for process in listed.items {
                rows.entry(process.schedule_id.clone()).or_insert((0, process.group.clone())).0 += 1;
            }
            match listed.next {
                Some(cursor) => page = page.with_cursor(cursor),
                None => break,
            }
        }
        let examined_triggers = triggers.len();
        let mut recorded = BTreeSet::new();
        page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let listed = self.store.list_schedules(&page).await?;
            for record in listed.items {
                let key = key_of(&record);
                let specification = triggers.remove(&key);
                let situation = Situation {
                    trigger: specification.map(|found| Trigger::new(record.id.clone(), found)),
                    rows: rows.remove(&record.id).map_or(0, |(count, _)| count),
                    sample: None,
                    record: Some(record),
                };
                if examine(&situation, self.clock.now()).is_some() {
                    suspects.insert(key.schedule_id.clone(), key.group);
                }
                recorded.insert(key.schedule_id);
            }
            match listed.next {
                Some(cursor) => page = page.with_cursor(cursor),
                None => break,
            }
        }
        suspects.extend(rows.into_iter().map(|(id, (_, group))| (id, group)));
        suspects.extend(triggers.into_keys().map(|key| (key.schedule_id, key.group)));
        Ok(((processes, recorded.len(), examined_triggers), suspects))
    }

    /// Looks at one schedule again, closely, and repairs it. Nothing, if it is as it should be by now.
    async fn reconcile_one(
        &self,
        id: &ScheduleId,
        group: Option<String>,
        mode: ReconcileMode,
    ) -> Result<Option<Finding>> {
        let mut call = self.begin();
        let mut found = None;
        loop {
            let situation = self.look(id, group.clone()).await?;
            let Some(problem) = examine(&situation, self.clock.now()) else {
                return Ok(found.map(|problem| Finding { schedule_id: id.clone(), problem, repair: Repair::Done }));
            };
            found.get_or_insert_with(|| problem.clone());
            let repair = match mode {
                ReconcileMode::DryRun => Ok(Some(Repair::Planned)),
                ReconcileMode::Repair => self.repair(&mut call, id, situation, &problem).await,
            };
            let repair = match repair {
                Ok(Some(repair)) => repair,
                // Somebody was faster; what is left to do now?
                Ok(None) => continue,
                Err(error) => Repair::Failed(error.to_string()),
            };
            let problem = found.unwrap_or(problem);
            return Ok(Some(Finding { schedule_id: id.clone(), problem, repair }));
        }
    }

    /// The record first: what is written on condition of it holds only if nothing has joined or left since.
    async fn look(&self, id: &ScheduleId, group: Option<String>) -> Result<Situation> {
        let record = self.store.schedule(id).await?;
        let group = record.as_ref().map_or(group, |record| record.specification.group.clone());
        let trigger = self.schedules.get(&TriggerKey { schedule_id: id.clone(), group }).await?;
        let rows = self.count_rows(id).await?;
        let first = self.store.list_processes(&ProcessFilter::of_schedule(id.clone()), &PageRequest::first(1)).await?;
        Ok(Situation { record, trigger, rows, sample: first.items.into_iter().next() })
    }

    /// Makes the schedule what its rows ask for. `None` if somebody was faster.
    async fn repair(
        &self,
        call: &mut Call,
        id: &ScheduleId,
        situation: Situation,
        problem: &Problem,
    ) -> Result<Option<Repair>> {
        let Situation { record, trigger, rows, sample } = situation;
        let base = match &record {
            Some(record) => record.clone(),
            None => {
                let specification = match (&trigger, &sample) {
                    (Some(trigger), _) => trigger.specification.clone(),
                    (None, Some(process)) => specification_of(process)?,
                    (None, None) => return Ok(None),
                };
                Schedule { id: id.clone(), ..Schedule::new(specification, self.clock.now()) }
            }
        };
        let (state, then) = match problem {
            Problem::WrongCount { .. } => (ScheduleState::Active, Then::Nothing),
            _ if rows > 0 => (ScheduleState::Creating(self.hold(call)), Then::CreateTrigger),
            _ => (ScheduleState::Retiring(self.hold(call)), Then::DeleteTrigger),
        };
        let after = Schedule { state, process_count: Some(rows), ..base };
        let transaction = Transaction::new().with_schedule(record, Some(after.clone()));
        if !self.commit(call, &transaction).await? {
            return Ok(None);
        }
        if *problem == Problem::DifferentTrigger {
            self.schedules.delete(&key_of(&after)).await?;
        }
        let settled = self.carry_out(call, Some(after), then).await?;
        Ok(settled.then_some(Repair::Done))
    }
}

fn key_of(record: &Schedule) -> TriggerKey {
    Trigger::new(record.id.clone(), record.specification.clone()).key()
}

/// What is wrong with a schedule, if anything. What somebody holds is theirs to finish.
fn examine(situation: &Situation, now: Timestamp) -> Option<Problem> {
    let Situation { record, trigger, rows, .. } = situation;
    let Some(record) = record else {
        return if *rows > 0 {
            Some(Problem::ProcessesWithoutRecord)
        } else {
            trigger.as_ref().map(|_| Problem::TriggerWithoutRecord)
        };
    };
    match (record.state.hold(), trigger) {
        (Some(hold), _) => hold.has_ended(now).then_some(Problem::AbandonedHold),
        (None, _) if *rows == 0 => Some(Problem::RecordWithoutProcesses),
        (None, None) => Some(Problem::RecordWithoutTrigger),
        (None, Some(trigger)) if trigger.specification != record.specification => Some(Problem::DifferentTrigger),
        (None, Some(_)) if record.process_count != Some(*rows) => {
            Some(Problem::WrongCount { recorded: record.process_count, counted: *rows })
        }
        (None, Some(_)) => None,
    }
}
