//! Finding and repairing what failed or interrupted calls, and other hands, have left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Scheduler;
use super::protocol::Call;
use super::query::specification_of;
use crate::backend::{ProcessFilter, Transaction, Trigger, TriggerKey};
use crate::clock::ClockExt as _;
use crate::error::{Error, Result};
use crate::model::{Process, Schedule, ScheduleId, ScheduleState, Specification};
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
    /// It could not be looked at.
    Unreadable,
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
            Self::Unreadable => f.write_str("cannot be looked at"),
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
    /// Safe beside all other calls: what is repaired is held first, as they do it, and counted then; what somebody else holds is
    /// left alone, and so are triggers whose names Kairos does not give. Remembers one entry per schedule while it runs.
    ///
    /// # Errors
    /// Whatever the backends answer while everything is listed. What fails for one schedule is in the report instead.
    pub async fn reconcile(&self, mode: ReconcileMode) -> Result<ReconcileReport> {
        let reconciled = async {
            let (examined, suspects) = self.suspects().await?;
            if !suspects.is_empty() && self.listings_lag() {
                self.clock.sleep(LAG).await;
            }
            let mut findings = Vec::new();
            for key in suspects {
                findings.extend(self.reconcile_one(&key, mode).await);
            }
            Ok(ReconcileReport { examined, findings })
        };
        reconciled.await.map_err(|error: Error| error.during("reconcile"))
    }

    fn listings_lag(&self) -> bool {
        !self.store.capabilities().consistent_listings
    }

    /// Every schedule that does not look right at first sight.
    async fn suspects(&self) -> Result<((usize, usize, usize), BTreeSet<TriggerKey>)> {
        let mut triggers = self.listed_triggers().await?;
        let (processes, mut rows) = self.listed_rows().await?;
        let examined_triggers = triggers.len();
        let mut suspects = BTreeSet::new();
        let mut records = 0;
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let listed = self.store.list_schedules(&page).await?;
            records += listed.items.len();
            for record in listed.items {
                let key = key_of(&record);
                let situation = Situation {
                    trigger: triggers.remove(&key).map(|found| Trigger::new(record.id.clone(), found)),
                    rows: rows.remove(&record.id).map_or(0, |(count, _)| count),
                    sample: None,
                    record: Some(record),
                };
                if examine(&situation, &key, self.clock.now()).is_some() {
                    suspects.insert(key);
                }
            }
            match listed.next {
                Some(cursor) => page = page.with_cursor(cursor),
                None => break,
            }
        }
        suspects.extend(rows.into_iter().map(|(schedule_id, (_, group))| TriggerKey { schedule_id, group }));
        suspects.extend(triggers.into_keys());
        Ok(((processes, records, examined_triggers), suspects))
    }

    /// All triggers that are Kairos's own by their names.
    async fn listed_triggers(&self) -> Result<BTreeMap<TriggerKey, Specification>> {
        let mut triggers = BTreeMap::new();
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let listed = self.schedules.list(&page).await?;
            let own = listed.items.into_iter().filter(|trigger| trigger.schedule_id.is_own());
            triggers.extend(own.map(|trigger| (trigger.key(), trigger.specification)));
            match listed.next {
                Some(cursor) => page = page.with_cursor(cursor),
                None => return Ok(triggers),
            }
        }
    }

    /// How many processes there are, and how many of each schedule, with its group.
    async fn listed_rows(&self) -> Result<(usize, BTreeMap<ScheduleId, (u64, Option<String>)>)> {
        let mut rows = BTreeMap::new();
        let mut processes = 0;
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let listed = self.store.list_processes(&ProcessFilter::default(), &page).await?;
            processes += listed.items.len();
            for process in listed.items {
                rows.entry(process.schedule_id.clone()).or_insert((0, process.group.clone())).0 += 1;
            }
            match listed.next {
                Some(cursor) => page = page.with_cursor(cursor),
                None => return Ok((processes, rows)),
            }
        }
    }

    /// Looks at one schedule again, closely, and repairs it. Nothing, if it is as it should be by now.
    async fn reconcile_one(&self, key: &TriggerKey, mode: ReconcileMode) -> Option<Finding> {
        let mut call = self.begin();
        let mut problem = None;
        let repaired = self.reconcile_key(&mut call, key, mode, &mut problem).await;
        let repair = match self.end(call, repaired).await {
            Ok(repair) => repair?,
            Err(error) => Repair::Failed(error.to_string()),
        };
        let problem = problem.unwrap_or(Problem::Unreadable);
        Some(Finding { schedule_id: key.schedule_id.clone(), problem, repair })
    }

    async fn reconcile_key(
        &self,
        call: &mut Call,
        key: &TriggerKey,
        mode: ReconcileMode,
        first_problem: &mut Option<Problem>,
    ) -> Result<Option<Repair>> {
        loop {
            let situation = self.look(key).await?;
            let Some(problem) = examine(&situation, key, self.clock.now()) else {
                return Ok(first_problem.is_some().then_some(Repair::Done));
            };
            first_problem.get_or_insert_with(|| problem.clone());
            if mode == ReconcileMode::DryRun {
                return Ok(Some(Repair::Planned));
            }
            if is_stray(&situation, key) {
                // Nobody creates a trigger under this key: its schedule has another group.
                self.delete_trigger(key).await?;
                return Ok(Some(Repair::Done));
            }
            if self.repair(call, key, situation).await? {
                return Ok(Some(Repair::Done));
            }
            // Somebody was faster; what is left to do by now?
            self.pause(call, None).await?;
        }
    }

    async fn look(&self, key: &TriggerKey) -> Result<Situation> {
        let record = self.store.schedule(&key.schedule_id).await?;
        let trigger = self.schedules.get(key).await?;
        let (rows, sample) = self.count_rows(&key.schedule_id).await?;
        Ok(Situation { record, trigger, rows, sample })
    }

    /// Makes the schedule what its rows ask for. False if somebody was faster.
    async fn repair(&self, call: &mut Call, key: &TriggerKey, situation: Situation) -> Result<bool> {
        let Some(held) = self.take(call, key, situation).await? else {
            return Ok(false);
        };
        // Nobody can join or leave from here on: what is counted now is so.
        if self.listings_lag() {
            self.clock.sleep(LAG).await;
        }
        let (rows, _) = self.count_rows(&held.id).await?;
        let trigger = self.schedules.get(key).await?;
        if !self.has_time(&held) {
            return Ok(false);
        }
        let differs = trigger.as_ref().is_some_and(|trigger| trigger.specification != held.specification);
        if rows == 0 || differs {
            self.delete_held_trigger(call, &held.id, key).await?;
        }
        let arn = if rows > 0 { Some(self.create_trigger(&held).await?) } else { None };
        let settled = self
            .finish(call, &held.id, |record| {
                (rows > 0).then(|| Schedule {
                    state: ScheduleState::Active,
                    process_count: Some(rows),
                    trigger_arn: arn.clone(),
                    ..record
                })
            })
            .await?;
        call.held.remove(&held.id);
        Ok(settled)
    }

    /// Takes the right to a schedule, on condition that its record is as it was read. The count is left open: whoever takes over counts.
    async fn take(&self, call: &mut Call, key: &TriggerKey, situation: Situation) -> Result<Option<Schedule>> {
        let base = match (&situation.record, &situation.trigger, &situation.sample) {
            (Some(record), ..) => record.clone(),
            (None, Some(trigger), _) => Schedule::new(trigger.specification.clone(), self.clock.now()),
            (None, None, Some(process)) => Schedule::new(specification_of(process)?, self.clock.now()),
            (None, None, None) => return Ok(None),
        };
        let held = Schedule {
            id: key.schedule_id.clone(),
            state: ScheduleState::Creating(self.hold(call)),
            process_count: None,
            ..base
        };
        call.held.insert(held.id.clone());
        let transaction = Transaction::new().with_schedule(situation.record, Some(held.clone()));
        Ok(self.commit(call, &transaction).await?.then_some(held))
    }
}

fn key_of(record: &Schedule) -> TriggerKey {
    Trigger::new(record.id.clone(), record.specification.clone()).key()
}

/// Whether the trigger under this key is one that its schedule does not have, as that has another group.
fn is_stray(situation: &Situation, key: &TriggerKey) -> bool {
    situation.record.as_ref().is_some_and(|record| key_of(record) != *key)
}

/// What is wrong with a schedule, if anything. What somebody holds is theirs to finish.
fn examine(situation: &Situation, key: &TriggerKey, now: Timestamp) -> Option<Problem> {
    let Situation { record, trigger, rows, .. } = situation;
    let Some(record) = record.as_ref().filter(|_| !is_stray(situation, key)) else {
        return if *rows > 0 && record.is_none() {
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
