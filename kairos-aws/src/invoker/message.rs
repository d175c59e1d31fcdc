//! What goes to a target: its size, and what a message tells about its execution.

use kairos::backend::Invocation;
use kairos::{Error, Fault, Result, TargetKind};

/// Largest payload of a kind of target, in bytes, attributes of a message included.
///
/// Sources: Lambda quotas, "Invocation payload (asynchronous)"; Step Functions API, `StartExecution`, `input`; SNS API, `Publish`;
/// SQS API, `SendMessage`. A queue may have a smaller limit of its own.
const fn most(kind: TargetKind) -> usize {
    match kind {
        TargetKind::Lambda | TargetKind::Sqs => 1024 * 1024,
        _ => 256 * 1024,
    }
}

/// Refuses a payload that the target would refuse.
pub(super) fn check_size(kind: TargetKind, payload: Option<&str>, attributes: &[Attribute]) -> Result<()> {
    let carried: usize = attributes.iter().map(Attribute::size).sum();
    let size = payload.map_or(0, str::len) + carried;
    if size <= most(kind) {
        return Ok(());
    }
    let with = if carried > 0 { format!(", {carried} of them the attributes of the message") } else { String::new() };
    let message = format!("make a payload of {size} bytes{with}; {} are allowed for a {kind} target", most(kind));
    Err(Error::invalid(vec![Fault::new("parametros", message)]))
}

/// The body of a message, which must not be empty.
pub(super) fn body(kind: TargetKind, payload: Option<&str>) -> Result<&str> {
    let empty = || Error::invalid(vec![Fault::new("parametros", format!("must not be empty for a {kind} target"))]);
    payload.filter(|payload| !payload.is_empty()).ok_or_else(empty)
}

/// What a message says beside its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) name: &'static str,
    /// `String` or `Number`.
    pub(super) data_type: &'static str,
    pub(super) value: String,
}

impl Attribute {
    fn size(&self) -> usize {
        self.name.len() + self.data_type.len() + self.value.len()
    }
}

/// The values of the placeholders, under the same names.
pub(super) fn attributes(invocation: &Invocation) -> Vec<Attribute> {
    let text = |name, value: String| Attribute { name, data_type: "String", value };
    vec![
        text("kairos.execution-id", invocation.execution_id.to_string()),
        text("kairos.process-id", invocation.process.id.to_string()),
        text("kairos.schedule-id", invocation.process.schedule_id.to_string()),
        text("kairos.scheduled-time", invocation.scheduled_time.to_string()),
        Attribute { name: "kairos.attempt", data_type: "Number", value: invocation.attempt.to_string() },
    ]
}

/// What a first-in-first-out target orders and recognises messages by.
#[cfg(any(feature = "sns", feature = "sqs"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fifo {
    pub(super) group: String,
    pub(super) deduplication: String,
}

#[cfg(any(feature = "sns", feature = "sqs"))]
impl Fifo {
    /// Executions of a process arrive in their order, and each once; `None` if the target is no such target.
    pub(super) fn of(target: &kairos::Arn, invocation: &Invocation) -> Option<Self> {
        target.resource().ends_with(".fifo").then(|| Self {
            group: super::names::bounded(invocation.process.id.as_str(), 128).into_owned(),
            deduplication: invocation.execution_id.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_payload_passes_and_one_byte_more_names_its_field() {
        let attributes = [Attribute { name: "a", data_type: "String", value: "xyz".into() }];
        for (kind, attributes, most) in [
            (TargetKind::Lambda, &[][..], 1_048_576),
            (TargetKind::StepFunctions, &[][..], 262_144),
            (TargetKind::Sns, &attributes[..], 262_144 - 10),
            (TargetKind::Sqs, &attributes[..], 1_048_576 - 10),
        ] {
            check_size(kind, Some(&"x".repeat(most)), attributes).unwrap();
            let error = check_size(kind, Some(&"x".repeat(most + 1)), attributes).unwrap_err();
            assert_eq!(error.faults()[0].field, "parametros");
            assert_eq!(error.kind(), kairos::ErrorKind::Invalid);
            check_size(kind, None, attributes).unwrap();
        }
        for payload in [None, Some("")] {
            assert_eq!(body(TargetKind::Sqs, payload).unwrap_err().faults()[0].field, "parametros");
        }
        assert_eq!(body(TargetKind::Sqs, Some("x")).unwrap(), "x");
    }
}
