//! Where triggers live.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::error::{Error, Fault, Result};
use crate::model::{ScheduleId, Specification, check_description, limits};
use crate::page::{Page, PageRequest};
use crate::timetable::Timetable;

/// Keeps one trigger per schedule and fires it at each occurrence, handing [`TriggerInput`](crate::TriggerInput) to a dispatcher.
///
/// # Contract
/// - Once [`create`](ScheduleBackend::create) has been answered, every later occurrence fires at least once, and again while its delivery fails,
///   as far as the backend's own limits on retries go; after that it lies with the trigger's dead letters.
/// - Once [`delete`](ScheduleBackend::delete) has been answered, no later occurrence fires.
/// - Specifications are compared and given back as they were written: `0 9 * * ? *` and `cron(0 9 * * ? *)` are two.
/// - Listings give every trigger that is there from the first page to the last once; they may lag.
/// - A trigger bears its schedule's id as its name, within its group.
///
/// # Idempotency
/// Creating a trigger that exists with the same specification, and deleting one that is gone, are successes.
///
/// # Errors
/// [`Conflict`](crate::ErrorKind::Conflict) from a creation that finds a trigger of the same name with another specification, naming the fields that differ;
/// [`Invalid`](crate::ErrorKind::Invalid) for a specification that the backend refuses, by field;
/// [`Malformed`](crate::ErrorKind::Malformed) for a cursor of another listing;
/// [`Throttled`](crate::ErrorKind::Throttled), [`Timeout`](crate::ErrorKind::Timeout), [`Unavailable`](crate::ErrorKind::Unavailable),
/// [`Denied`](crate::ErrorKind::Denied) as the service behind it says.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ScheduleBackend: fmt::Debug + Send + Sync + 'static {
    /// Creates a trigger and gives its ARN, or whatever names it in this backend.
    async fn create(&self, trigger: &Trigger) -> Result<String>;

    /// Deletes a trigger.
    async fn delete(&self, key: &TriggerKey) -> Result<()>;

    /// The trigger of this name.
    async fn get(&self, key: &TriggerKey) -> Result<Option<Trigger>>;

    /// A page of all triggers.
    async fn list(&self, page: &PageRequest) -> Result<Page<Trigger>>;
}

/// A trigger: when it fires, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trigger {
    /// The schedule whose id it bears.
    pub schedule_id: ScheduleId,
    /// When it fires.
    pub specification: Specification,
    /// From when a rate without a start counts; `None` is from its creation. Not part of its definition, and not given back when it is read.
    pub anchor: Option<Timestamp>,
    /// What it is for, in words. Not part of its definition.
    pub description: Option<String>,
}

impl Trigger {
    /// A trigger of a schedule.
    #[must_use]
    pub fn new(schedule_id: ScheduleId, specification: Specification) -> Self {
        Self { schedule_id, specification, anchor: None, description: None }
    }

    /// The same, counting from `anchor` if it is a rate without a start.
    #[must_use]
    pub fn with_anchor(mut self, anchor: Timestamp) -> Self {
        self.anchor = Some(anchor);
        self
    }

    /// The same with a description.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<Option<String>>) -> Self {
        self.description = description.into();
        self
    }

    /// When it fires, if a scheduler service takes it as it is; counting from `now` if it is a rate without a start or an anchor.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), with a fault for every field that EventBridge Scheduler would refuse: so that a backend need not,
    /// and a test fails here and not there.
    pub fn timetable(&self, now: Timestamp) -> Result<Timetable> {
        let timetable = self.specification.checked(self.anchor.unwrap_or(now));
        let id = self.schedule_id.as_str();
        let misnamed = (!limits::is_trigger_name(id))
            .then(|| Fault::new("idCalendarizacion", limits::no_trigger_name(id, "name of a trigger")));
        let mut faults: Vec<_> = misnamed.into_iter().chain(check_description(self.description.as_deref())).collect();
        match timetable {
            Ok(timetable) if faults.is_empty() => Ok(timetable),
            timetable => {
                faults.extend(timetable.err().into_iter().flatten());
                Err(Error::invalid(faults).during("create").about(id))
            }
        }
    }

    /// What names it.
    #[must_use]
    pub fn key(&self) -> TriggerKey {
        TriggerKey { schedule_id: self.schedule_id.clone(), group: self.specification.group.clone() }
    }
}

/// What names a trigger: its schedule's id within a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TriggerKey {
    /// The schedule's id.
    pub schedule_id: ScheduleId,
    /// The group; `None` is the backend's configured one.
    pub group: Option<String>,
}
