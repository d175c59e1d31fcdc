//! Replacing the definition of a process, changing single fields, enabling and disabling.

use std::sync::Arc;

use super::Scheduler;
use super::plan::{Intent, Plan, Then, plan};
use super::protocol::{Call, Round, Wish};
use super::query::specification_of;
use crate::backend::{Change, Transaction};
use crate::error::{Error, Fault, Result};
use crate::model::{Changes, Process, ProcessId, Registration, Schedule, ScheduleState, Specification};

impl Scheduler {
    /// Replaces the definition of a process, moving it to another schedule where that changed.
    ///
    /// It stays registered all the while: the other schedule's trigger exists before the process moves to it.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound); [`Invalid`](crate::ErrorKind::Invalid), also if the definition bears another name;
    /// [`Busy`](crate::ErrorKind::Busy); whatever the backends answer. After an error the old definition holds, or the new one, never a mixture.
    pub async fn update(&self, id: &ProcessId, registration: &Registration) -> Result<Arc<Process>> {
        self.replace(id, |_, _| Ok(registration.clone())).await.map_err(|error| error.during("update").about(id))
    }

    /// Changes single fields of a process and leaves the others as they are.
    ///
    /// # Errors
    /// As [`update`](Self::update). Turning a process on or off checks nothing else of it.
    pub async fn patch(&self, id: &ProcessId, changes: &Changes) -> Result<Arc<Process>> {
        if *changes == Changes::enabled(changes.enabled.unwrap_or_default()) {
            return self.set_enabled(id, changes.enabled.unwrap_or_default()).await;
        }
        self.replace(id, |stored, expression| {
            Ok(Registration::of_stored(stored, expression?).changed_by(changes.clone()))
        })
        .await
        .map_err(|error| error.during("patch").about(id))
    }

    /// Has a process dispatched again, from its next occurrence on. Like registering it again, this repairs its trigger if the
    /// call that registered it left that undone.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), [`Busy`](crate::ErrorKind::Busy), or whatever the store answers.
    pub async fn enable(&self, id: &ProcessId) -> Result<Arc<Process>> {
        self.set_enabled(id, true).await
    }

    /// Keeps a process registered without dispatching it. Once this answers `Ok`, no later occurrence does.
    ///
    /// # Errors
    /// As [`enable`](Self::enable).
    pub async fn disable(&self, id: &ProcessId) -> Result<Arc<Process>> {
        self.set_enabled(id, false).await
    }

    async fn set_enabled(&self, id: &ProcessId, enabled: bool) -> Result<Arc<Process>> {
        let operation = if enabled { "enable" } else { "disable" };
        let mut call = self.begin();
        let set = self.set_stored_enabled(&mut call, id, enabled).await;
        self.end(call, set).await.map_err(|error| error.during(operation).about(id))
    }

    async fn set_stored_enabled(&self, call: &mut Call, id: &ProcessId, enabled: bool) -> Result<Arc<Process>> {
        loop {
            let stored = self.process(id).await?;
            let wanted = Arc::new(Process { enabled, ..Process::clone(&stored) });
            let is_done = if enabled {
                let source = self.store.schedule(&stored.schedule_id).await?;
                let specification =
                    source.map_or_else(|| specification_of(&stored), |record| Ok(record.specification))?;
                self.put(call, &stored, &wanted, &specification).await?
            } else {
                let transaction = Transaction::new().with_process(Some(stored.clone()), Some(wanted.clone()));
                stored == wanted || self.commit(call, &transaction).await?
            };
            if is_done {
                return Ok(wanted);
            }
        }
    }

    /// Replaces a process that stays on its schedule, and makes sure of the trigger: the call that registered it may have died
    /// before. False if somebody was in the way.
    async fn put(
        &self,
        call: &mut Call,
        stored: &Arc<Process>,
        wanted: &Arc<Process>,
        specification: &Specification,
    ) -> Result<bool> {
        let wish = Wish {
            intent: Intent::Keep,
            schedule_id: &wanted.schedule_id,
            specification,
            process: Change { before: Some(stored.clone()), after: Some(wanted.clone()) },
        };
        match self.round(call, &wish).await? {
            Round::Again => Ok(false),
            Round::Written { held, then } => self.carry_out(call, held, then).await,
        }
    }

    /// Replaces a process by what `definition` makes of the stored one and its expression.
    async fn replace(
        &self,
        id: &ProcessId,
        definition: impl Fn(&Process, Result<String>) -> Result<Registration>,
    ) -> Result<Arc<Process>> {
        let mut call = self.begin();
        let replaced = self.replace_stored(&mut call, id, definition).await;
        self.end(call, replaced).await
    }

    async fn replace_stored(
        &self,
        call: &mut Call,
        id: &ProcessId,
        definition: impl Fn(&Process, Result<String>) -> Result<Registration>,
    ) -> Result<Arc<Process>> {
        loop {
            let stored = self.process(id).await?;
            let source = self.store.schedule(&stored.schedule_id).await?;
            let expression = match &source {
                Some(record) => Ok(record.specification.expression.clone()),
                None => specification_of(&stored).map(|specification| specification.expression),
            };
            let mut registration = definition(&stored, expression)?;
            // Whoever changes it has not registered it.
            registration.registered_by.clone_from(&stored.registered_by);
            self.check_update(id, &registration)?;
            let wanted = Arc::new(registration.clone().into_process(stored.created_at));
            let specification = registration.specification();
            let is_done = if wanted.schedule_id == stored.schedule_id {
                self.put(call, &stored, &wanted, &specification).await?
            } else {
                self.move_process(call, &stored, &wanted, source, &specification).await?
            };
            if is_done {
                return Ok(wanted);
            }
        }
    }

    fn check_update(&self, id: &ProcessId, registration: &Registration) -> Result<()> {
        let mut faults = match self.config.policy.check(registration) {
            Ok(()) => Vec::new(),
            Err(error) => error.faults().to_vec(),
        };
        if ProcessId::of(&registration.name) != *id {
            faults.push(Fault::new("nombre", "cannot be changed: it makes the id; register another process instead"));
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::invalid(faults)) }
    }

    /// One try at moving a process to another schedule. False if somebody was in the way.
    async fn move_process(
        &self,
        call: &mut Call,
        stored: &Arc<Process>,
        wanted: &Arc<Process>,
        source: Option<Schedule>,
        specification: &Specification,
    ) -> Result<bool> {
        // Whoever waits for the one schedule leaves the other alone: nobody waits for who waits, and its trigger is created once.
        if let Plan::Wait { until } = plan(source.as_ref(), Intent::Leave, specification, &self.asker(call, None)) {
            self.pause(call, Some(until)).await?;
            return Ok(false);
        }
        let Some(target) = self.prepare(call, wanted, specification).await? else {
            return Ok(false);
        };
        let counted =
            self.count_if_needed(&stored.schedule_id, source.as_ref(), Intent::Leave, Some(&stored.id)).await?;
        let asker = self.asker(call, counted.count);
        let Plan::Write { after: left, then } = plan(source.as_ref(), Intent::Leave, specification, &asker) else {
            return Ok(false);
        };
        if then != Then::Nothing {
            call.held.insert(stored.schedule_id.clone());
        }
        let joined = target.joined();
        let mut transaction = counted
            .condition()
            .with_process(Some(stored.clone()), Some(wanted.clone()))
            .with_schedule(Some(target.record), Some(joined));
        if source.is_some() {
            transaction = transaction.with_schedule(source, left.clone());
        }
        if !self.commit(call, &transaction).await? {
            return Ok(false);
        }
        call.held.remove(&wanted.schedule_id);
        // Taken over or not: the process has moved, and whoever holds the old record sees to its trigger.
        self.carry_out(call, left, then).await?;
        Ok(true)
    }

    /// The schedule to move to, once its trigger exists. `None` if somebody was in the way.
    async fn prepare(
        &self,
        call: &mut Call,
        wanted: &Process,
        specification: &Specification,
    ) -> Result<Option<Prepared>> {
        let found = self.store.schedule(&wanted.schedule_id).await?;
        let counted = self.count_if_needed(&wanted.schedule_id, found.as_ref(), Intent::Prepare, None).await?;
        match plan(found.as_ref(), Intent::Prepare, specification, &self.asker(call, counted.count)) {
            Plan::Wait { until } => {
                self.pause(call, Some(until)).await?;
                Ok(None)
            }
            Plan::Write { after: Some(held), .. } => {
                call.held.insert(held.id.clone());
                let transaction = Transaction::new().with_schedule(found, Some(held.clone()));
                if !self.commit(call, &transaction).await? || !self.has_time(&held) {
                    return Ok(None);
                }
                let arn = self.create_trigger(&held).await?;
                Ok(Some(Prepared { record: held, counted: counted.count, arn: Some(arn) }))
            }
            Plan::Write { after: None, .. } => {
                Ok(found.map(|record| Prepared { record, counted: counted.count, arn: None }))
            }
        }
    }
}

/// A schedule whose trigger exists, as its record was read or written, for a process to move to.
struct Prepared {
    record: Schedule,
    counted: Option<u64>,
    /// The trigger's, if this call created it.
    arn: Option<String>,
}

impl Prepared {
    /// The record with the process in it.
    fn joined(&self) -> Schedule {
        let count = self.record.process_count.or(self.counted).unwrap_or(0);
        Schedule {
            state: ScheduleState::Active,
            process_count: Some(count.saturating_add(1)),
            trigger_arn: self.arn.clone().or_else(|| self.record.trigger_arn.clone()),
            ..self.record.clone()
        }
    }
}
