//! What a call asks of the backends, and what it is answered, as values.

use std::fmt;
use std::sync::Arc;

use kairos::backend::{Change, Message, ProcessFilter, Transaction, Trigger, TriggerKey};
use kairos::page::{Page, PageRequest};
use kairos::{Error, ErrorKind, Process, ProcessId, Schedule, ScheduleId, Specification};

use crate::world::{S, instant};

#[derive(Clone, Debug)]
pub(crate) enum Request {
    Process(ProcessId),
    Schedule(ScheduleId),
    ListProcesses(ProcessFilter, PageRequest),
    ListSchedules(PageRequest),
    Commit(Transaction),
    CreateTrigger(Trigger),
    DeleteTrigger(TriggerKey),
    Trigger(TriggerKey),
    ListTriggers(PageRequest),
    Send(Vec<Message>),
    /// Of the clock: a moment's pause.
    Pause,
}

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Process(Option<Arc<Process>>),
    Schedule(Option<Schedule>),
    Processes(Page<Arc<Process>>),
    Schedules(Page<Schedule>),
    Created(String),
    Trigger(Option<Trigger>),
    Triggers(Page<Trigger>),
    Sent(Vec<Option<ErrorKind>>),
    Done,
    Failed(ErrorKind),
}

impl Answer {
    pub(crate) fn of<T>(result: Result<T, Error>, answer: impl FnOnce(T) -> Self) -> Self {
        result.map_or_else(|error| Self::Failed(error.kind()), answer)
    }
}

impl Request {
    pub(crate) fn changes_the_world(&self) -> bool {
        self.changes_a_trigger() || matches!(self, Self::Commit(_) | Self::Send(_))
    }

    pub(crate) fn changes_a_trigger(&self) -> bool {
        matches!(self, Self::CreateTrigger(_) | Self::DeleteTrigger(_))
    }

    /// The processes whose executions it sends.
    pub(crate) fn sends(&self) -> Vec<String> {
        let Self::Send(messages) = self else { return Vec::new() };
        let name = |message: &Message| message.body.work("id", instant(0)).unwrap().process.name.clone();
        messages.iter().map(name).collect()
    }
}

/// A schedule by the letter that it goes by here.
pub(crate) fn letter(id: &ScheduleId) -> &'static str {
    if *id == Specification::new(S).schedule_id() { "S" } else { "T" }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(id) => write!(f, "read {}", if *id == ProcessId::of("a") { "a" } else { "b" }),
            Self::Schedule(id) => write!(f, "read the record of {}", letter(id)),
            Self::ListProcesses(..) => f.write_str("list processes"),
            Self::ListSchedules(_) => f.write_str("list records"),
            Self::Commit(transaction) => commit(f, transaction),
            Self::CreateTrigger(trigger) => write!(f, "create the trigger of {}", letter(&trigger.schedule_id)),
            Self::DeleteTrigger(key) => write!(f, "delete the trigger of {}", letter(&key.schedule_id)),
            Self::Trigger(key) => write!(f, "read the trigger of {}", letter(&key.schedule_id)),
            Self::ListTriggers(_) => f.write_str("list triggers"),
            Self::Send(_) => write!(f, "send {:?}", self.sends()),
            Self::Pause => f.write_str("wait"),
        }
    }
}

fn commit(f: &mut fmt::Formatter<'_>, transaction: &Transaction) -> fmt::Result {
    f.write_str("commit")?;
    for Change { before, after } in &transaction.processes {
        let name = before.as_ref().or(after.as_ref()).map_or("", |process| process.name.as_str());
        let on = |process: &Option<Arc<Process>>| {
            process.as_ref().map_or("none".into(), |process| {
                format!("{}{}", letter(&process.schedule_id), if process.enabled { "" } else { " disabled" })
            })
        };
        write!(f, ", {name}: {} → {}", on(before), on(after))?;
    }
    for Change { before, after } in &transaction.schedules {
        let id = before.as_ref().or(after.as_ref()).map_or("", |schedule| letter(&schedule.id));
        let state = |schedule: &Option<Schedule>| {
            schedule.as_ref().map_or("none".into(), |schedule| {
                let count = schedule.process_count.map_or("?".into(), |count| count.to_string());
                format!("{} {count}", schedule.state)
            })
        };
        write!(f, ", {id}: {} → {}", state(before), state(after))?;
    }
    Ok(())
}
