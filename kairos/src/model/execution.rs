//! The execution: one process at one occurrence, and what became of it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::{ExecutionId, ProcessId, ScheduleId};
use super::message::{Origin, WorkItem};
use crate::error::{Error, one_line};

/// What became of an execution so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ExecutionState {
    /// Claimed, and being tried: `EnCurso`.
    #[serde(rename = "EnCurso")]
    Running,
    /// The target took it: `Exitosa`.
    #[serde(rename = "Exitosa")]
    Succeeded,
    /// The last try failed and it will come back: `Fallida`.
    #[serde(rename = "Fallida")]
    Failed,
    /// It failed for good and lies with the dead letters: `Muerta`.
    #[serde(rename = "Muerta")]
    Dead,
    /// It came too late to be run: `Omitida`.
    #[serde(rename = "Omitida")]
    Skipped,
}

impl ExecutionState {
    /// Whether nothing more happens to it, unless its dead letter is redriven.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Skipped)
    }

    /// The state in its wire form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "EnCurso",
            Self::Succeeded => "Exitosa",
            Self::Failed => "Fallida",
            Self::Dead => "Muerta",
            Self::Skipped => "Omitida",
        }
    }
}

impl fmt::Display for ExecutionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a try failed: the kind of error, and its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// See [`ErrorKind::as_str`](crate::ErrorKind::as_str).
    #[serde(rename = "Tipo")]
    pub kind: String,
    /// What went wrong, in words: one line, as backends write it into headers and message attributes.
    #[serde(rename = "Texto")]
    pub text: String,
}

impl Failure {
    /// The longest text that is kept, in bytes.
    pub const MAX_TEXT: usize = 1_024;
}

impl From<&Error> for Failure {
    /// The error with the causes behind it, as one line that is cut to [`Self::MAX_TEXT`]. Causes may be anybody's: what would
    /// break a line is escaped in them too.
    fn from(error: &Error) -> Self {
        Self { kind: error.kind().as_str().into(), text: one_line(&format!("{error:#}"), Self::MAX_TEXT).into_owned() }
    }
}

/// An execution as history holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Execution {
    /// Which one.
    #[serde(rename = "IdEjecucion")]
    pub id: ExecutionId,
    /// Its process.
    #[serde(rename = "IdProceso")]
    pub process_id: ProcessId,
    /// The schedule of its process.
    #[serde(rename = "IdCalendarizacion")]
    pub schedule_id: ScheduleId,
    /// When it should have run.
    #[serde(rename = "FechaProgramada")]
    pub scheduled_time: Timestamp,
    /// Who asked for it.
    #[serde(rename = "Origen")]
    pub origin: Origin,
    /// What became of it so far.
    #[serde(rename = "Estado")]
    pub state: ExecutionState,
    /// How often it was tried.
    #[serde(rename = "Intentos")]
    pub attempts: u32,
    /// When the last try began.
    #[serde(rename = "FechaInicio")]
    pub started_at: Timestamp,
    /// When the last try ended.
    #[serde(rename = "FechaFin", default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Why the last try failed.
    #[serde(rename = "Error", default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

impl Execution {
    /// The record of an execution whose first try begins now.
    #[must_use]
    pub fn first_try(work: &WorkItem, now: Timestamp) -> Self {
        let WorkItem { process, scheduled_time, execution_id, origin } = work;
        Self::new(*execution_id, process.id.clone(), process.schedule_id.clone(), *scheduled_time, *origin, now)
    }

    /// The record of an execution whose first try begins at a time; for backends that keep records in a form of their own.
    #[must_use]
    pub fn new(
        id: ExecutionId,
        process_id: ProcessId,
        schedule_id: ScheduleId,
        scheduled_time: Timestamp,
        origin: Origin,
        started_at: Timestamp,
    ) -> Self {
        Self {
            id,
            process_id,
            schedule_id,
            scheduled_time,
            origin,
            state: ExecutionState::Running,
            attempts: 1,
            started_at,
            finished_at: None,
            error: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_failure_keeps_the_causes_and_is_bounded() {
        let error = Error::new(ErrorKind::Throttled, "the target is busy").with_source("rate exceeded");
        let failure = Failure::from(&error);
        assert_eq!(failure.kind, "throttled");
        assert_eq!(failure.text, "the target is busy: rate exceeded");
        let hostile = Error::new(ErrorKind::Failed, "a\nb").with_source("c\r\n\u{202e}d\u{ffff}");
        assert_eq!(Failure::from(&hostile).text, r"a\nb: c\r\n\u{202e}d\u{ffff}");
        let long = Error::new(ErrorKind::Failed, "ñ".repeat(2_000));
        assert_eq!(Failure::from(&long).text.len(), Failure::MAX_TEXT);
    }
}
