//! The shell of the registration protocol: reads, plans, writes on condition of what was read, and does what is left to do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Scheduler;
use super::plan::{Asker, Intent, Plan, Then, plan};
use crate::backend::{Change, ProcessFilter, Transaction, Trigger, TriggerKey};
use crate::clock::{ClockExt as _, between, later};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Hold, Owner, Process, ProcessId, Schedule, ScheduleId, ScheduleState, Specification};
use crate::page::PageRequest;

/// One call of the scheduler: the owner of what it holds, and its patience.
#[derive(Debug)]
pub(super) struct Call {
    owner: Owner,
    deadline: Timestamp,
    pauses: u32,
    /// How many commits have failed without saying whether they happened.
    doubts: u32,
    /// The schedules whose record it may hold.
    pub(super) held: BTreeSet<ScheduleId>,
}

/// So often a call looks for itself whether a commit happened, before it leaves that to its caller.
const MAX_DOUBTS: u32 = 3;

/// What a call wants to happen to one schedule, together with a change of a process.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) intent: Intent,
    pub(super) schedule_id: &'a ScheduleId,
    pub(super) specification: &'a Specification,
    /// The process that joins or leaves.
    pub(super) process: Change<Arc<Process>>,
}

/// Where a call stands after one round.
#[allow(clippy::large_enum_variant, reason = "there is one at a time, on its way from one function to the next")]
#[derive(Debug)]
pub(super) enum Round {
    /// Somebody was in the way, or was faster: read again.
    Again,
    /// The transaction holds; this is left to be done.
    Written { held: Option<Schedule>, then: Then },
}

impl Call {
    /// Whether a commit of this call has failed without saying whether it happened.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubts > 0
    }
}

impl Scheduler {
    pub(super) fn begin(&self) -> Call {
        Call {
            owner: self.chance.owner(),
            deadline: later(self.clock.now(), self.config.patience),
            pauses: 0,
            doubts: 0,
            held: BTreeSet::new(),
        }
    }

    pub(super) fn hold(&self, call: &Call) -> Hold {
        Hold { owner: call.owner, until: later(self.clock.now(), self.config.lease) }
    }

    pub(super) fn asker(&self, call: &Call, counted: Option<u64>) -> Asker {
        Asker { hold: self.hold(call), now: self.clock.now(), counted }
    }

    /// Waits a moment before looking again, at most until `until`.
    pub(super) async fn pause(&self, call: &mut Call, until: Option<Timestamp>) -> Result<()> {
        let now = self.clock.now();
        // A clock that is set back makes nobody more patient.
        call.deadline = call.deadline.min(later(now, self.config.patience));
        if now >= call.deadline {
            return Err(Error::new(
                ErrorKind::Busy,
                "other calls have been holding the schedule for too long; try again",
            )
            .with_retry_after(self.config.lease));
        }
        call.pauses += 1;
        let delay = self.config.polling.delay(call.pauses, call.owner.uuid().as_u128());
        let left = until.map_or(Duration::MAX, |until| between(now, until));
        self.clock.sleep(delay.min(left)).await;
        Ok(())
    }

    /// One round: reads the record, plans, and writes on condition of what was read.
    pub(super) async fn round(&self, call: &mut Call, wish: &Wish<'_>) -> Result<Round> {
        let found = self.store.schedule(wish.schedule_id).await?;
        let leaving = wish.process.before.as_ref().map(|process| &process.id);
        let counted = self.count_if_needed(wish.schedule_id, found.as_ref(), wish.intent, leaving).await?;
        let asker = self.asker(call, counted.count);
        match plan(found.as_ref(), wish.intent, wish.specification, &asker) {
            Plan::Wait { until } => {
                self.pause(call, Some(until)).await?;
                Ok(Round::Again)
            }
            Plan::Write { after, then } => {
                let mut transaction = counted.condition();
                // A process that stays as it is, is a condition of what is written for it.
                let is_about_process = wish.process.before.is_some() || wish.process.after.is_some();
                if is_about_process && (after.is_some() || wish.process.before != wish.process.after) {
                    transaction.processes.push(wish.process.clone());
                }
                if then != Then::Nothing {
                    call.held.insert(wish.schedule_id.clone());
                }
                if after.is_some() {
                    transaction = transaction.with_schedule(found, after.clone());
                } else if wish.process.before == wish.process.after {
                    // Nothing is written, and nothing needs to be so.
                    return Ok(Round::Written { held: None, then });
                }
                if self.commit(call, &transaction).await? {
                    Ok(Round::Written { held: after, then })
                } else {
                    Ok(Round::Again)
                }
            }
        }
    }

    /// Commits, and says whether that happened. If not, or if nobody knows, pauses: the caller reads again and sees.
    pub(super) async fn commit(&self, call: &mut Call, transaction: &Transaction) -> Result<bool> {
        match self.store.commit(transaction).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Lost => {
                self.pause(call, None).await?;
                Ok(false)
            }
            Err(error) if error.is_retryable() && call.doubts < MAX_DOUBTS => {
                call.doubts += 1;
                self.pause(call, None).await?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Ends a call: what it may still hold, because it failed, an answer was lost, or it went another way, it settles now.
    pub(super) async fn end<T>(&self, mut call: Call, result: Result<T>) -> Result<T> {
        for id in std::mem::take(&mut call.held) {
            let settled = self.settle(&mut call, &id).await;
            if let Err(error) = settled {
                if result.is_ok() {
                    return Err(error);
                }
                tracing::warn!(schedule = %id, error = format!("{error:#}"), "what a failed call holds could not be settled; reconcile will");
            }
        }
        result
    }

    /// Makes a schedule that this call holds what its count asks for.
    async fn settle(&self, call: &mut Call, id: &ScheduleId) -> Result<()> {
        loop {
            let Some(record) = self.store.schedule(id).await?.filter(|record| is_mine(call, record)) else {
                return Ok(());
            };
            let wish = Wish {
                intent: Intent::Settle,
                schedule_id: id,
                specification: &record.specification,
                process: Change { before: None, after: None },
            };
            if let Round::Written { held, then } = self.round(call, &wish).await?
                && !self.carry_out(call, held, then).await?
            {
                self.pause(call, None).await?;
            }
        }
    }

    /// Does what a round has left to be done. False if that is no longer this call's to do: the record was taken over, or its hold
    /// could end before the trigger is dealt with. In the latter case the call still counts it among what it holds.
    pub(super) async fn carry_out(&self, call: &mut Call, held: Option<Schedule>, then: Then) -> Result<bool> {
        let Some(held) = held.filter(|_| then != Then::Nothing) else {
            return Ok(true);
        };
        if !self.has_time(&held) {
            return Ok(false);
        }
        let is_settled = if then == Then::CreateTrigger {
            let arn = self.create_trigger(&held).await?;
            self.finish(call, &held.id, |record| {
                Some(Schedule { state: ScheduleState::Active, trigger_arn: Some(arn.clone()), ..record })
            })
            .await?
        } else {
            let key = Trigger::new(held.id.clone(), held.specification.clone()).key();
            self.delete_held_trigger(call, &held.id, &key).await?;
            self.finish(call, &held.id, |_| None).await?
        };
        call.held.remove(&held.id);
        Ok(is_settled)
    }

    /// Whether a call of the schedule backend would end before the hold under which it is made.
    pub(super) fn has_time(&self, held: &Schedule) -> bool {
        let end_of_call = later(self.clock.now(), self.config.call_limit);
        held.state.hold().is_some_and(|hold| !hold.has_ended(end_of_call))
    }

    pub(super) async fn delete_trigger(&self, key: &TriggerKey) -> Result<()> {
        self.limited("delete the trigger", self.schedules.delete(key)).await
    }

    /// Deletes the trigger of a schedule that this call holds.
    ///
    /// A deletion that was not answered may still be on its way, and would take along what somebody creates anew. The call then leaves
    /// the hold to end by itself: whoever comes next waits for that.
    pub(super) async fn delete_held_trigger(&self, call: &mut Call, id: &ScheduleId, key: &TriggerKey) -> Result<()> {
        let deleted = self.delete_trigger(key).await;
        if let Err(error) = &deleted
            && matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable)
        {
            call.held.remove(id);
        }
        deleted
    }

    pub(super) async fn create_trigger(&self, held: &Schedule) -> Result<String> {
        let trigger = Trigger::new(held.id.clone(), held.specification.clone())
            .with_anchor(held.created_at.timestamp())
            .with_description(held.description.clone());
        self.limited("create the trigger", self.schedules.create(&trigger)).await
    }

    /// A call of the schedule backend, given up before the hold under which it is made can end.
    async fn limited<T: Send>(
        &self,
        operation: &'static str,
        future: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.clock
            .within(self.config.call_limit, future)
            .await
            .unwrap_or_else(|| Err(Error::new(ErrorKind::Timeout, "no answer within the time allowed")))
            .map_err(|error| error.during(operation))
    }

    /// Ends my hold with another record, or none. False if it is no longer mine.
    pub(super) async fn finish(
        &self,
        call: &mut Call,
        id: &ScheduleId,
        ended: impl Fn(Schedule) -> Option<Schedule>,
    ) -> Result<bool> {
        loop {
            let record = self.store.schedule(id).await?;
            match record {
                Some(record) if is_mine(call, &record) => {
                    let transaction = Transaction::new().with_schedule(Some(record.clone()), ended(record));
                    if self.commit(call, &transaction).await? {
                        return Ok(true);
                    }
                }
                _ => return Ok(false),
            }
        }
    }

    /// How many processes the rows show, where the record does not say, or where its trigger would be deleted on its word.
    pub(super) async fn count_if_needed(
        &self,
        id: &ScheduleId,
        found: Option<&Schedule>,
        intent: Intent,
        leaving: Option<&ProcessId>,
    ) -> Result<Counted> {
        let must_count = match found {
            None => intent == Intent::Keep,
            Some(found) => found.process_count.is_none(),
        };
        if must_count {
            let (count, _) = self.count_rows(id).await?;
            return Ok(Counted { count: Some(count), witness: None });
        }
        let might_be_last = found.is_some_and(|found| found.process_count <= Some(1));
        if intent == Intent::Leave && might_be_last {
            let witness = self.another(id, leaving).await?;
            return Ok(Counted { count: Some(if witness.is_some() { 2 } else { 1 }), witness });
        }
        Ok(Counted::default())
    }

    /// How many rows a schedule has, and one of them.
    pub(super) async fn count_rows(&self, id: &ScheduleId) -> Result<(u64, Option<Arc<Process>>)> {
        let filter = ProcessFilter::of_schedule(id.clone());
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        let (mut count, mut sample) = (0, None);
        loop {
            let processes = self.store.list_processes(&filter, &page).await?;
            count += processes.items.len() as u64;
            sample = sample.or(processes.items.into_iter().next());
            match processes.next {
                Some(cursor) => page = page.with_cursor(cursor),
                None => return Ok((count, sample)),
            }
        }
    }

    /// A process other than `leaving` that belongs to the schedule. A listing may lag: each one is looked up.
    async fn another(&self, id: &ScheduleId, leaving: Option<&ProcessId>) -> Result<Option<Arc<Process>>> {
        let filter = ProcessFilter::of_schedule(id.clone());
        let mut page = PageRequest::first(10);
        loop {
            let processes = self.store.list_processes(&filter, &page).await?;
            for listed in processes.items.iter().filter(|process| Some(&process.id) != leaving) {
                let stored = self.store.process(&listed.id).await?;
                if let Some(stored) = stored.filter(|stored| stored.schedule_id == *id) {
                    return Ok(Some(stored));
                }
            }
            match processes.next {
                Some(cursor) => page = page.with_cursor(cursor),
                None => return Ok(None),
            }
        }
    }
}

/// What the rows of a schedule show.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// How many there are, if they were counted.
    pub(super) count: Option<u64>,
    /// A process for whose sake the trigger stays. It has to be there still when that is decided.
    witness: Option<Arc<Process>>,
}

impl Counted {
    /// A transaction that holds only while the witness is as it was read.
    pub(super) fn condition(&self) -> Transaction {
        match &self.witness {
            Some(witness) => Transaction::new().with_process(Some(witness.clone()), Some(witness.clone())),
            None => Transaction::new(),
        }
    }
}

pub(super) fn is_mine(call: &Call, record: &Schedule) -> bool {
    record.state.hold().is_some_and(|hold| hold.owner == call.owner)
}
