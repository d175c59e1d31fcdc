//! The errors of this backend, in one place.

use std::fmt;
use std::time::Duration;

use kairos::{Error, ErrorKind, Fault};

pub(crate) fn row_changed(id: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Lost, "the row is no longer as it was read; read it again").during("commit").about(id)
}

pub(crate) fn unsound_transaction(what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("the transaction {what}")).during("commit")
}

pub(crate) fn late_receipt(operation: &'static str, receipt: impl fmt::Display) -> Error {
    Error::new(ErrorKind::NotFound, "the receipt is no longer good: the message was received again, or is gone")
        .during(operation)
        .about(receipt)
}

pub(crate) fn unknown_receipt(operation: &'static str, receipt: impl fmt::Display) -> Error {
    Error::new(ErrorKind::NotFound, "this queue gave out no such receipt").during(operation).about(receipt)
}

pub(crate) fn claim_lost(operation: &'static str, id: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Lost, "the execution is held by somebody else, or has finished").during(operation).about(id)
}

pub(crate) fn other_trigger(id: impl fmt::Display, faults: Vec<Fault>) -> Error {
    Error::new(ErrorKind::Conflict, "a trigger of this name has another definition")
        .with_faults(faults)
        .during("create")
        .about(id)
}

pub(crate) fn batch_too_large(what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("the batch holds {what}")).during("send")
}

pub(crate) fn delay_too_long(delay: Duration, most: Duration) -> Error {
    Error::new(ErrorKind::Invalid, format!("a delay of {delay:?} is longer than the {most:?} allowed")).during("send")
}

pub(crate) fn queue_full(capacity: usize) -> Error {
    let message = format!(
        "the queue holds {capacity} messages and dead letters, which is all it has room for; send again once workers have \
         drained it, take dead letters away, or give it more with MemoryQueue::with_capacity"
    );
    Error::new(ErrorKind::Throttled, message).during("send")
}

pub(crate) fn no_outcome(id: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, "'EnCurso' is no outcome of a try; claim the execution instead")
        .during("record")
        .about(id)
}

pub(crate) fn unreadable(place: impl fmt::Display, what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Malformed, format!("{place}: {what}")).during("restore")
}

pub(crate) fn scripted(kind: ErrorKind) -> Error {
    Error::new(kind, "the target was told to fail").during("invoke")
}

pub(crate) fn unsupported_target(kind: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{kind} targets are not called here; register them with kairos::Tasks"))
        .during("invoke")
}
