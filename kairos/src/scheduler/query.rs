//! Looking: single processes and schedules, listings, and when a process fires next.

use std::sync::Arc;

use super::Scheduler;
use crate::backend::ProcessFilter;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Process, ProcessId, Registration, Schedule, ScheduleId, Specification};
use crate::page::{Page, PageRequest};
use crate::timetable::{Fire, Timetable};

/// When a process fires next.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Preview {
    /// The next occurrences, each with notes on zone changes around it. Fewer than asked for if it never fires again after them.
    pub fires: Vec<Fire>,
    /// Whether occurrences are dispatched at all.
    pub enabled: bool,
}

impl Scheduler {
    /// The most occurrences of one preview.
    pub const MAX_PREVIEW: usize = 1_000;

    /// A process.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), or whatever the store answers.
    pub async fn process(&self, id: &ProcessId) -> Result<Arc<Process>> {
        self.store.process(id).await?.ok_or_else(|| not_found("process", id))
    }

    /// A schedule's record.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), or whatever the store answers.
    pub async fn schedule(&self, id: &ScheduleId) -> Result<Schedule> {
        self.store.schedule(id).await?.ok_or_else(|| not_found("schedule", id))
    }

    /// A page of processes.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) for a cursor of another listing, or whatever the store answers.
    pub async fn processes(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<Arc<Process>>> {
        self.store.list_processes(filter, page).await
    }

    /// A page of schedules.
    ///
    /// # Errors
    /// As [`processes`](Self::processes).
    pub async fn schedules(&self, page: &PageRequest) -> Result<Page<Schedule>> {
        self.store.list_schedules(page).await
    }

    /// The next `count` occurrences of a process, at most [`Self::MAX_PREVIEW`].
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound); [`Invalid`](ErrorKind::Invalid) if what is stored cannot be read; whatever the store answers.
    pub async fn preview(&self, id: &ProcessId, count: usize) -> Result<Preview> {
        let previewed = async {
            let (process, timetable) = self.timetable(id).await?;
            Ok(Preview { fires: self.upcoming(&timetable, count), enabled: process.enabled })
        };
        previewed.await.map_err(|error: Error| error.during("preview").about(id))
    }

    /// The next `count` occurrences that a registration would have if it were made now.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), with every fault of every field.
    pub fn preview_registration(&self, registration: &Registration, count: usize) -> Result<Preview> {
        self.config.policy.check(registration)?;
        let timetable = registration.specification().timetable(self.clock.now())?;
        Ok(Preview { fires: self.upcoming(&timetable, count), enabled: registration.enabled })
    }

    fn upcoming(&self, timetable: &Timetable, count: usize) -> Vec<Fire> {
        timetable.upcoming(self.clock.now(), count.min(Self::MAX_PREVIEW))
    }

    /// A process and the occurrences of its schedule.
    pub(super) async fn timetable(&self, id: &ProcessId) -> Result<(Arc<Process>, Timetable)> {
        let process = self.process(id).await?;
        let (specification, created_at) = match self.store.schedule(&process.schedule_id).await? {
            Some(record) => (record.specification, record.created_at.timestamp()),
            None => (specification_of(&process)?, process.created_at.timestamp()),
        };
        let timetable = specification.timetable(created_at)?;
        Ok((process, timetable))
    }
}

/// The specification of a process whose schedule record is missing, as far as its id tells it.
pub(super) fn specification_of(process: &Process) -> Result<Specification> {
    let expression = process.schedule_id.expression().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "the schedule's record is missing, and its id does not tell the expression")
            .about(&process.schedule_id)
    })?;
    Ok(Specification {
        expression,
        time_zone: process.time_zone.clone(),
        start: process.start,
        end: process.end,
        window_minutes: process.window_minutes,
        group: process.group.clone(),
    })
}

fn not_found(what: &str, id: &impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no such {what}")).about(id)
}
