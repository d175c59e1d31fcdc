//! What a target takes: the shape of its payload, and how large that may be with what the call says beside it.

use super::container_task::ContainerTask;
use super::placeholders::Placeholders;
use super::policy::limits;
use crate::error::Fault;
use crate::target::{PayloadRule, TargetKind};

/// What a message to a topic or queue says beside its body: the value of a placeholder, under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attribute {
    /// `kairos.execution-id` and the like.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// Whether it is a number, or else text.
    pub is_number: bool,
}

impl Attribute {
    /// In bytes, with its type, which is `String` or `Number` (SNS and SQS API, `MessageAttributeValue`).
    fn size(&self) -> usize {
        self.name.len() + "String".len() + self.value.len()
    }
}

pub(crate) fn attributes(placeholders: &Placeholders<'_>) -> Vec<Attribute> {
    let text = |name, value: String| Attribute { name, value, is_number: false };
    vec![
        text("kairos.execution-id", placeholders.execution_id.to_string()),
        text("kairos.process-id", placeholders.process_id.to_string()),
        text("kairos.schedule-id", placeholders.schedule_id.to_string()),
        text("kairos.scheduled-time", placeholders.scheduled_time.to_string()),
        Attribute { name: "kairos.attempt", value: placeholders.attempt.to_string(), is_number: true },
    ]
}

/// Who all events come from.
pub(crate) const EVENT_SOURCE: &str = "kairos";

/// Whom an event is about.
pub(crate) fn event_resources(placeholders: &Placeholders<'_>) -> [String; 3] {
    [
        format!("kairos:execution:{}", placeholders.execution_id),
        format!("kairos:process:{}", placeholders.process_id),
        format!("kairos:schedule:{}", placeholders.schedule_id),
    ]
}

/// What is wrong with the name of a process for a kind of target.
pub(crate) fn name_fault(kind: TargetKind, name: &str) -> Option<Fault> {
    let (length, most) = (name.chars().count(), limits::DETAIL_TYPE);
    let message = || {
        format!("is {length} characters long; {most} are allowed for a {kind} target, as the detail type of its events")
    };
    (kind == TargetKind::EventBus && length > most).then(|| Fault::new("nombre", message()))
}

/// Whether a target of a kind can read a payload.
pub(crate) fn check_shape(kind: TargetKind, payload: Option<&str>) -> Result<(), String> {
    let Some(text) = payload else { return Ok(()) };
    match kind.payload_rule() {
        rule @ (PayloadRule::Json | PayloadRule::Object) => {
            let read = serde_json::from_str::<serde::de::IgnoredAny>(text);
            read.map_err(|error| format!("must be JSON for a {kind} target: {error}"))?;
            if rule == PayloadRule::Object && !is_object(text) {
                return Err(format!("must be a JSON object for a {kind} target"));
            }
            Ok(())
        }
        PayloadRule::MessageText => match text.char_indices().find(|(_, c)| !may_stand_in_message(*c)) {
            Some((at, c)) => Err(format!(
                "holds {} at byte {at}, which a message cannot carry to a {kind} target",
                c.escape_unicode()
            )),
            None => Ok(()),
        },
        // Read where its size is told.
        PayloadRule::ContainerTask | PayloadRule::Anything => Ok(()),
    }
}

/// The characters of XML 1.0, which are those of an SQS message (SQS API, `SendMessage`, `MessageBody`).
fn may_stand_in_message(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Of a text that is JSON.
pub(crate) fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{')
}

/// Whether a payload is of a size that a target of a kind takes.
pub(crate) fn check_size(
    kind: TargetKind,
    name: &str,
    payload: Option<&str>,
    placeholders: &Placeholders<'_>,
) -> Result<(), String> {
    match kind.payload_rule() {
        PayloadRule::ContainerTask => return ContainerTask::of(payload, placeholders).map(|_| ()),
        PayloadRule::MessageText if payload.is_none_or(str::is_empty) => {
            return Err(format!("must not be empty for a {kind} target"));
        }
        _ => {}
    }
    let beside = said_beside(kind, name, placeholders);
    let size = payload.map_or(0, str::len) + beside;
    let most = limits::payload(kind);
    if size <= most {
        return Ok(());
    }
    let with = if beside > 0 { format!(", {beside} of them about its execution") } else { String::new() };
    Err(format!("makes a payload of {size} bytes{with}; {most} are allowed for a {kind} target"))
}

/// How many bytes a call says beside its payload that count as if they were part of it.
fn said_beside(kind: TargetKind, name: &str, placeholders: &Placeholders<'_>) -> usize {
    match kind {
        TargetKind::Sns | TargetKind::Sqs => attributes(placeholders).iter().map(Attribute::size).sum(),
        // EventBridge User Guide, "Calculating PutEvents event entry size": the time is 14 bytes.
        TargetKind::EventBus => {
            14 + EVENT_SOURCE.len() + name.len() + event_resources(placeholders).iter().map(String::len).sum::<usize>()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_json_object_or_nothing() {
        let shape = |payload| check_shape(TargetKind::EventBus, payload);
        for payload in [None, Some("{}"), Some(" {\"a\":[1]}")] {
            shape(payload).unwrap();
        }
        for payload in ["[]", "1", "\"{\"", "null"] {
            assert_eq!(shape(Some(payload)).unwrap_err(), "must be a JSON object for a events target", "{payload}");
        }
        assert!(shape(Some("{")).unwrap_err().contains("must be JSON"));
    }
}
