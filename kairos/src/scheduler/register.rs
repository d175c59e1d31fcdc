//! Registering and unregistering.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Scheduler;
use super::plan::{Intent, Plan, Then, plan};
use super::protocol::{Call, Round, Wish};
use crate::backend::Change;
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::model::{Process, ProcessId, Registration, Schedule, ScheduleState, Specification};

/// The answer to a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registered {
    /// The process as it is stored.
    pub process: Arc<Process>,
    /// Whether this call stored it; false if it was there already, with the same definition.
    pub created: bool,
}

impl Scheduler {
    /// Registers a process. Once this answers `Ok`, it is dispatched at every occurrence, until it is unregistered or disabled.
    ///
    /// Registering the same again is the same, and repairs the trigger if an earlier call left it undone.
    ///
    /// # Errors
    /// - [`Invalid`](ErrorKind::Invalid): the registration has faults, all of which are named by field.
    /// - [`Conflict`](ErrorKind::Conflict): the name is taken by another definition; the fields that differ are named.
    /// - [`Busy`](ErrorKind::Busy): other calls held the schedule for too long.
    /// - Whatever the backends answer. The process is then not registered, as far as that could be undone;
    ///   [`reconcile`](Self::reconcile) does the rest.
    pub async fn register(&self, registration: &Registration) -> Result<Registered> {
        let mut call = self.begin();
        let registered = match self.config.policy.check(registration) {
            Ok(()) => self.register_checked(&mut call, registration).await,
            Err(error) => Err(error),
        };
        let id = ProcessId::of(&registration.name);
        self.end(call, registered).await.map_err(|error| error.during("register").about(id))
    }

    async fn register_checked(&self, call: &mut Call, registration: &Registration) -> Result<Registered> {
        let specification = registration.specification();
        let wanted = Arc::new(registration.clone().into_process(self.clock.now().into()));
        let mut created = false;
        loop {
            let stored = self.store.process(&wanted.id).await?;
            let (intent, process) = match stored {
                // It was registered, and another call has unregistered it since.
                None if created => return Ok(Registered { process: wanted, created }),
                None => (Intent::Join, Change { before: None, after: Some(wanted.clone()) }),
                Some(stored) => {
                    // Stored by this very call, whose answer was lost.
                    created |= call.is_in_doubt() && stored == wanted;
                    let differing = differences(&stored, registration);
                    if !differing.is_empty() {
                        return Err(conflict(differing));
                    }
                    (Intent::Keep, Change { before: Some(stored.clone()), after: Some(stored) })
                }
            };
            let wish = Wish { intent, schedule_id: &wanted.schedule_id, specification: &specification, process };
            let Round::Written { held, then } = self.round(call, &wish).await? else {
                continue;
            };
            created |= intent == Intent::Join;
            let settled = match self.carry_out(call, held, then).await {
                Err(error) if created => {
                    self.withdraw(call, &wanted, &specification, error.kind()).await;
                    return Err(error);
                }
                settled => settled?,
            };
            if settled {
                let process = wish.process.after.unwrap_or(wanted);
                return Ok(Registered { process, created });
            }
        }
    }

    /// Takes back a registration whose trigger could not be created, as far as possible: what remains, reconciling finds.
    async fn withdraw(&self, call: &mut Call, process: &Arc<Process>, specification: &Specification, why: ErrorKind) {
        let withdrawn = async {
            let found = self.store.schedule(&process.schedule_id).await?;
            let counted =
                self.count_if_needed(&process.schedule_id, found.as_ref(), Intent::Leave, Some(&process.id)).await?;
            let asker = self.asker(call, counted.count);
            let Plan::Write { mut after, mut then } = plan(found.as_ref(), Intent::Leave, specification, &asker) else {
                return Ok(());
            };
            if then == Then::DeleteTrigger && why == ErrorKind::Conflict {
                // The trigger that is there is somebody else's.
                (after, then) = (None, Then::Nothing);
            }
            if let Some(Schedule { state: ScheduleState::Creating(hold), .. }) = &mut after {
                // It cannot be created now: whoever comes next may try for the processes that are left.
                hold.until = asker.now;
                then = Then::Nothing;
            }
            let mut transaction = counted.condition().with_process(Some(process.clone()), None);
            if found.is_some() {
                transaction = transaction.with_schedule(found, after.clone());
            }
            if self.commit(call, &transaction).await? {
                self.carry_out(call, after, then).await?;
            }
            Ok::<(), Error>(())
        };
        let withdrawn = withdrawn.await;
        call.held.clear();
        if let Err(error) = withdrawn {
            tracing::warn!(process = %process.id, error = format!("{error:#}"), "a failed registration could not be taken back; reconcile will");
        }
    }

    /// Unregisters a process, and says whether there was one. Once this answers `Ok`, no later occurrence dispatches it.
    ///
    /// The last process of a schedule takes the trigger and the record with it.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) if other calls held the schedule for too long; whatever the backends answer.
    /// If the process is gone but its trigger could not be deleted, this is an error too, and [`reconcile`](Self::reconcile) deletes it.
    pub async fn unregister(&self, id: &ProcessId) -> Result<bool> {
        let mut call = self.begin();
        let unregistered = self.unregister_stored(&mut call, id).await;
        self.end(call, unregistered).await.map_err(|error| error.during("unregister").about(id))
    }

    async fn unregister_stored(&self, call: &mut Call, id: &ProcessId) -> Result<bool> {
        loop {
            let Some(stored) = self.store.process(id).await? else {
                // In doubt, this very call has deleted it, and its answer was lost.
                return Ok(call.is_in_doubt());
            };
            let specification = Specification::new("");
            let wish = Wish {
                intent: Intent::Leave,
                schedule_id: &stored.schedule_id,
                specification: &specification,
                process: Change { before: Some(stored.clone()), after: None },
            };
            if let Round::Written { held, then } = self.round(call, &wish).await? {
                // Taken over or not: the process is gone, and whoever holds the record sees to the trigger.
                self.carry_out(call, held, then).await?;
                return Ok(true);
            }
        }
    }
}

fn conflict(differing: Vec<Fault>) -> Error {
    Error::new(ErrorKind::Conflict, "the name is taken by another definition").with_faults(differing)
}

/// The fields in which a registration differs from what is stored under its name.
fn differences(stored: &Process, asked: &Registration) -> Vec<Fault> {
    let specification = asked.specification();
    let (stored_tags, asked_tags) = (stored.tags.as_ref().map(labels), asked.tags.as_ref().map(labels));
    [
        (!has_expression(stored, &specification)).then(|| Fault::new("cron", "is another expression")),
        Fault::of_difference("arnRol", stored.role.as_ref(), asked.role.as_ref()),
        Fault::of_difference("arnProceso", Some(&*stored.target), Some(&*asked.target)),
        // Not shown: parameters are often secret, and may be large.
        (stored.parameters.as_deref() != asked.parameters.as_deref())
            .then(|| Fault::new("parametros", "is another text")),
        Fault::of_difference("habilitado", Some(&stored.enabled), Some(&asked.enabled)),
        Fault::of_difference("zonaHoraria", stored.time_zone.as_ref(), specification.time_zone.as_ref()),
        Fault::of_difference("inicio", stored.start.as_ref(), asked.start.as_ref()),
        Fault::of_difference("fin", stored.end.as_ref(), asked.end.as_ref()),
        Fault::of_difference("ventanaMinutos", stored.window_minutes.as_ref(), asked.window_minutes.as_ref()),
        Fault::of_difference("grupo", stored.group.as_ref(), asked.group.as_ref()),
        Fault::of_difference("etiquetas", stored_tags.as_ref(), asked_tags.as_ref()),
        Fault::of_difference("descripcion", stored.description.as_ref(), asked.description.as_ref()),
        Fault::of_difference("maximoIntentos", stored.max_attempts.as_ref(), asked.max_attempts.as_ref()),
        Fault::of_difference("edadMaximaSegundos", stored.max_age_seconds.as_ref(), asked.max_age_seconds.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn labels(tags: &BTreeMap<String, String>) -> String {
    // As JSON, so that no two sets of labels look alike.
    serde_json::to_string(tags).unwrap_or_default()
}

/// Whether a stored process has this expression. The row does not hold it, but its schedule's id depends on it.
fn has_expression(stored: &Process, specification: &Specification) -> bool {
    let mut as_stored = specification.clone();
    as_stored.time_zone.clone_from(&stored.time_zone);
    as_stored.start = stored.start;
    as_stored.end = stored.end;
    as_stored.window_minutes = stored.window_minutes;
    as_stored.group.clone_from(&stored.group);
    as_stored.schedule_id() == stored.schedule_id
}
