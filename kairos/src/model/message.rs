//! What travels: the input of a trigger, and the message that asks for one execution.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::execution::Failure;
use super::id::{ExecutionId, Occurrence, ScheduleId, may_be_id};
use super::policy::limits;
use super::process::Process;
use super::time::OffsetTimestamp;
use crate::error::{Error, ErrorKind, Fault, breaks_line, one_line};
use crate::page::Cursor;

/// What a trigger hands to the dispatcher: which schedule is due, and for which occurrence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TriggerInput {
    /// The schedule.
    #[serde(rename = "IdCalendarizacion", deserialize_with = "schedule_id")]
    pub schedule_id: ScheduleId,
    /// The occurrence; absent in the input of older triggers.
    #[serde(
        rename = "FechaProgramada",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "scheduled_time"
    )]
    pub scheduled_time: Option<Timestamp>,
    /// Where a dispatch that ran out of time goes on.
    #[serde(rename = "Cursor", default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

impl TriggerInput {
    /// What the scheduler service replaces by the occurrence's time in a trigger's input
    /// (EventBridge Scheduler User Guide, "Adding context attributes").
    pub const SCHEDULED_TIME: &str = "<aws.scheduler.scheduled-time>";

    /// The input for an occurrence.
    #[must_use]
    pub fn new(schedule_id: ScheduleId, scheduled_time: Timestamp) -> Self {
        Self { schedule_id, scheduled_time: Some(scheduled_time), cursor: None }
    }

    /// Reads the JSON that a trigger sends.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if it names no schedule by an id that one could have, an occurrence that is no instant, or
    /// is longer than [`limits::MESSAGE`].
    pub fn from_json(text: &str) -> Result<Self, Error> {
        read(text, "the trigger's input cannot be read")
    }
}

/// Reads JSON that came from outside: what is too long is not looked at, and what is wrong with it is told in one line.
fn read<'t, T: Deserialize<'t>>(text: &'t str, problem: &str) -> Result<T, Error> {
    let malformed = |cause: &str| {
        Error::new(ErrorKind::Malformed, problem).with_source(one_line(cause, Failure::MAX_TEXT).into_owned())
    };
    if text.len() > limits::MESSAGE {
        return Err(malformed(&format!("it is {} bytes long; {} are allowed", text.len(), limits::MESSAGE)));
    }
    serde_json::from_str(text).map_err(|error| malformed(&error.to_string()))
}

fn schedule_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ScheduleId, D::Error> {
    let id = ScheduleId::deserialize(deserializer)?;
    if may_be_id(id.as_str()) { Ok(id) } else { Err(serde::de::Error::custom("IdCalendarizacion is no id")) }
}

/// An instant; absent too where a server left the placeholder of the scheduler service in place.
fn scheduled_time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    match Option::<Cow<'de, str>>::deserialize(deserializer)? {
        None => Ok(None),
        Some(text) if text.starts_with("<aws.scheduler.") => Ok(None),
        Some(text) => {
            text.parse::<OffsetTimestamp>().map(|instant| Some(instant.timestamp())).map_err(serde::de::Error::custom)
        }
    }
}

/// Who asked for an execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Origin {
    /// Its schedule: `calendario`.
    #[default]
    #[serde(rename = "calendario")]
    Schedule,
    /// A person or program, now: `manual`.
    #[serde(rename = "manual")]
    Manual,
    /// A backfill of missed occurrences: `reproceso`.
    #[serde(rename = "reproceso")]
    Backfill,
}

/// One execution to be done: what a queue message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkItem {
    /// The process as it was when its occurrence was dispatched.
    #[serde(flatten)]
    pub process: Arc<Process>,
    /// The occurrence.
    #[serde(rename = "FechaProgramada")]
    pub scheduled_time: Timestamp,
    /// The execution.
    #[serde(rename = "IdEjecucion")]
    pub execution_id: ExecutionId,
    /// Who asks for it.
    #[serde(rename = "Origen")]
    pub origin: Origin,
}

impl WorkItem {
    /// The execution of `process` at an occurrence of its schedule.
    #[must_use]
    pub fn of_occurrence(process: Arc<Process>, scheduled_time: Timestamp, origin: Origin) -> Self {
        Self::of(process, &Occurrence::new(scheduled_time), origin)
    }

    fn of(process: Arc<Process>, occurrence: &Occurrence, origin: Origin) -> Self {
        let (execution_id, scheduled_time) = (occurrence.execution(&process.id), occurrence.scheduled_time);
        Self { process, scheduled_time, execution_id, origin }
    }

    /// The execution of `process` that somebody asks for under `key`, now.
    #[must_use]
    pub fn of_request(process: Arc<Process>, key: &str, now: Timestamp) -> Self {
        Self {
            execution_id: ExecutionId::of_request(&process.id, key),
            process,
            scheduled_time: now,
            origin: Origin::Manual,
        }
    }
}

/// The body of a queue message: an execution to be done, or the text that some other system wrote.
///
/// A backend that keeps text stores [`Body::to_json`] and gives back [`Body::from_json`]; one that keeps values in memory may
/// keep the body as it is. Reading gives the same either way.
#[derive(Clone, Debug)]
pub struct Body(Form);

#[derive(Clone, Debug)]
enum Form {
    Work {
        work: WorkItem,
        /// Whether its execution is known to belong to it, as it was made so here.
        belongs: bool,
    },
    Text(Arc<str>),
}

/// What a message of the older dispatcher lacks.
#[derive(Deserialize)]
struct Addition {
    #[serde(rename = "FechaProgramada", default, deserialize_with = "scheduled_time")]
    scheduled_time: Option<Timestamp>,
    #[serde(rename = "IdEjecucion", default)]
    execution_id: Option<ExecutionId>,
    #[serde(rename = "Origen", default)]
    origin: Option<Origin>,
}

impl Body {
    /// A body from the text of a message. Nothing is checked before it is read.
    #[must_use]
    pub fn from_json(text: impl Into<Arc<str>>) -> Self {
        Self(Form::Text(text.into()))
    }

    /// The message that asks for the execution of `process` at an occurrence of its schedule.
    #[must_use]
    pub(crate) fn of_occurrence(process: Arc<Process>, occurrence: &Occurrence, origin: Origin) -> Self {
        Self(Form::Work { work: WorkItem::of(process, occurrence, origin), belongs: true })
    }

    /// The text of the message.
    #[must_use]
    pub fn to_json(&self) -> Cow<'_, str> {
        match &self.0 {
            Form::Text(text) => Cow::Borrowed(text),
            Form::Work { work, .. } => Cow::Owned(to_json(work)),
        }
    }

    /// The execution that the message asks for.
    ///
    /// A message of the older dispatcher names neither occurrence nor execution: its own id and the time it was sent stand for them,
    /// so that each delivery of it means the same execution.
    ///
    /// A message that names them must name the ones that belong together: the process by the id of its name, and an execution of a
    /// schedule or a backfill by the id of its process and occurrence. It could mark another occurrence as done otherwise. The id of a
    /// [manual](Origin::Manual) execution comes from a key that the message does not carry: it cannot be verified. Who can write to
    /// the queue can ask for any occurrence, and keep any from running by asking for it first; the queue itself must be guarded.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) if it is not the JSON of a process, is longer than [`limits::MESSAGE`], or names ids
    /// that do not belong together.
    pub fn work(&self, message_id: &str, sent_at: Timestamp) -> Result<WorkItem, Error> {
        const PROBLEM: &str = "the message is not a process";
        let (work, is_claimed) = match &self.0 {
            Form::Work { work, belongs } => (work.clone(), !belongs),
            Form::Text(text) => {
                // Two passes over the text: flattening would read every value into a tree first.
                let process: Process = read(text, PROBLEM)?;
                read::<Addition>(text, PROBLEM)?.complete(process, message_id, sent_at)
            }
        };
        check_identity(&work.process)
            .and_then(|()| if is_claimed { check_execution(&work) } else { Ok(()) })
            .map_err(|fault| Error::new(ErrorKind::Malformed, PROBLEM).with_faults(vec![fault]))?;
        Ok(work)
    }
}

impl Addition {
    /// The execution, and whether it was named rather than told from the rest.
    fn complete(self, process: Process, message_id: &str, sent_at: Timestamp) -> (WorkItem, bool) {
        let execution_id = self.execution_id.unwrap_or_else(|| match self.scheduled_time {
            Some(scheduled) => ExecutionId::of_occurrence(&process.id, scheduled),
            None => ExecutionId::of_message(&process.id, sent_at, message_id),
        });
        let work = WorkItem {
            process: Arc::new(process),
            scheduled_time: self.scheduled_time.unwrap_or(sent_at),
            execution_id,
            origin: self.origin.unwrap_or_default(),
        };
        (work, self.execution_id.is_some())
    }
}

/// Whether a process is named in a way that can do no harm where it is written: in logs, headers, keys of a table, and as values of
/// placeholders. Rows of the older system are.
pub(crate) fn check_identity(process: &Process) -> Result<(), Fault> {
    if name_breaks_line(&process.name) {
        Err(Fault::new("nombre", "must not hold control characters or line separators"))
    // The id of a name consists of what ids consist of.
    } else if process.id.as_str().len() > limits::ID || !process.id.is_of(&process.name) {
        Err(Fault::new("idProceso", "is not the id of nombre, or longer than any"))
    } else if !may_be_id(process.schedule_id.as_str()) {
        Err(Fault::new("idCalendarizacion", "holds what no id does, or is longer than any"))
    } else {
        Ok(())
    }
}

/// Of registrations and of messages.
pub(super) fn name_breaks_line(name: &str) -> bool {
    // Nearly all names are plain, which is told many bytes in one step.
    let is_plain = name.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'));
    !is_plain && name.contains(breaks_line)
}

fn check_execution(work: &WorkItem) -> Result<(), Fault> {
    let belongs = || work.execution_id == ExecutionId::of_occurrence(&work.process.id, work.scheduled_time);
    if work.origin == Origin::Manual || belongs() {
        Ok(())
    } else {
        Err(Fault::new("idEjecucion", "is not the id of the execution of idProceso at fechaProgramada"))
    }
}

#[allow(clippy::expect_used, reason = "structs of strings, numbers and maps with string keys are always JSON")]
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data is always JSON")
}

impl From<WorkItem> for Body {
    fn from(work: WorkItem) -> Self {
        Self(Form::Work { work, belongs: false })
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Form::Work { work: one, .. }, Form::Work { work: two, .. }) => one == two,
            _ => self.to_json() == other.to_json(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_left_in_place_is_an_absent_time() {
        let input = TriggerInput::from_json(
            r#"{"IdCalendarizacion":"calendarizacion-x","FechaProgramada":"<aws.scheduler.scheduled-time>","Otro":1}"#,
        )
        .unwrap();
        assert_eq!(input.scheduled_time, None);
        let error = TriggerInput::from_json(r#"{"IdCalendarizacion":"x","FechaProgramada":"ayer"}"#).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        TriggerInput::from_json("{}").unwrap_err();
    }

    #[test]
    fn an_older_message_is_known_by_its_own_id() {
        let body = Body::from_json(
            r#"{"IdProceso":"proceso-YQ..","IdCalendarizacion":"calendarizacion-x","Nombre":"a","ArnRol":"r","ArnProceso":"p",
                "Parametros":null,"Habilitado":true,"FechaCreacion":"2025-11-06T12:34:56.1234567-03:00"}"#,
        );
        let sent: Timestamp = "2026-01-01T00:00:05Z".parse().unwrap();
        let work = body.work("m-1", sent).unwrap();
        assert_eq!(work.scheduled_time, sent);
        assert_eq!(work.origin, Origin::Schedule);
        assert_eq!(work.execution_id, body.work("m-1", sent).unwrap().execution_id);
        assert_ne!(work.execution_id, body.work("m-2", sent).unwrap().execution_id);
    }

    #[test]
    fn what_is_no_process_is_malformed_and_says_why() {
        let error = Body::from_json(r#"{"IdProceso":"x"}"#).work("m", Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("IdCalendarizacion"), "{source}");
    }
}
