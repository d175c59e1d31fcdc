//! The errors of Amazon DynamoDB.

use std::error::Error as StdError;
use std::fmt;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::error::{
    ConditionalCheckFailedException, ContinuousBackupsUnavailableException, InternalServerError,
    ItemCollectionSizeLimitExceededException, LimitExceededException, ProvisionedThroughputExceededException,
    ReplicatedWriteConflictException, RequestLimitExceeded, ResourceInUseException, ResourceNotFoundException,
    ThrottlingException, TransactionConflictException, TransactionInProgressException,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use kairos::{Error, ErrorKind, Fault};

use super::{denial, failed};

/// An error of a call.
pub(crate) fn dynamodb<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    failed(error, |service| service.source().and_then(typed))
}

/// The errors that each operation has are types of their own behind it, the same for all.
fn typed(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    if error.is::<ConditionalCheckFailedException>() {
        Some(ErrorKind::Lost)
    } else if error.is::<TransactionConflictException>()
        || error.is::<ReplicatedWriteConflictException>()
        || error.is::<ResourceInUseException>()
        || error.is::<ContinuousBackupsUnavailableException>()
    {
        Some(ErrorKind::Busy)
    } else if error.is::<TransactionInProgressException>() {
        // The first try of the same request is still under way: nobody knows yet.
        Some(ErrorKind::Timeout)
    } else if error.is::<ThrottlingException>()
        || error.is::<ProvisionedThroughputExceededException>()
        || error.is::<RequestLimitExceeded>()
        || error.is::<LimitExceededException>()
    {
        Some(ErrorKind::Throttled)
    } else if error.is::<ResourceNotFoundException>() {
        Some(ErrorKind::NotFound)
    } else if error.is::<ItemCollectionSizeLimitExceededException>() {
        Some(ErrorKind::Invalid)
    } else if error.is::<InternalServerError>() {
        Some(ErrorKind::Unavailable)
    } else {
        None
    }
}

/// The kind of a reason why a transaction was cancelled, and `None` for a change that was in nobody's way. Reasons have codes
/// alone, no types (Amazon DynamoDB API, `TransactWriteItems`, `TransactionCanceledException`).
pub(crate) fn kind_of_reason(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "None" | "" => return None,
        "ConditionalCheckFailed" => ErrorKind::Lost,
        "TransactionConflict" => ErrorKind::Busy,
        "ThrottlingError" | "ProvisionedThroughputExceeded" | "RequestLimitExceeded" => ErrorKind::Throttled,
        "ValidationError" | "ItemCollectionSizeLimitExceeded" => ErrorKind::Invalid,
        "AccessDenied" => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    })
}

pub(crate) fn cancelled(kind: ErrorKind, code: &str, message: Option<&str>) -> Error {
    if kind == ErrorKind::Denied {
        return Error::new(kind, denial::message(code, message));
    }
    let message = message.unwrap_or("no message");
    Error::new(kind, format!("the service cancelled the transaction for {code}: {message}"))
}

pub(crate) fn row_changed() -> Error {
    Error::new(ErrorKind::Lost, "the row is no longer as it was read; read it again")
}

pub(crate) fn contended(what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Busy, format!("others change {what} at the same time, again and again; try again later"))
}

pub(crate) fn unsound_transaction(what: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("the transaction {what}"))
}

pub(crate) fn too_large(field: &'static str, what: impl Into<String>) -> Error {
    Error::invalid(vec![Fault::new(field, what)])
}

pub(crate) fn unreadable_row() -> Error {
    Error::new(ErrorKind::Malformed, "the item is not a row that Kairos can read; mend it or delete it")
}

/// The SDK takes an answer of nothing for one whose every field is missing.
pub(crate) fn incomplete_answer() -> Error {
    Error::new(ErrorKind::Unavailable, "the service's answer lacks what was asked for; it was cut short on its way")
}

pub(crate) fn unwritable_row() -> Error {
    Error::new(ErrorKind::Invalid, "the row cannot be written as an item")
}

pub(crate) fn unmade_request(error: BuildError) -> Error {
    Error::new(ErrorKind::Invalid, "the request could not be made").with_source(error)
}

pub(crate) fn foreign_cursor(cursor: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Malformed, format!("'{cursor}' is no cursor of this listing; begin again without one"))
}

pub(crate) fn claim_lost() -> Error {
    Error::new(ErrorKind::Lost, "the execution is held by somebody else, or has finished")
}

pub(crate) fn no_outcome() -> Error {
    Error::new(ErrorKind::Invalid, "'EnCurso' is no outcome of a try; claim the execution instead")
}

pub(crate) fn table_not_ready() -> Error {
    Error::new(ErrorKind::Timeout, "the table is still being made; try again later")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_typed_error_has_its_kind() {
        let table: [(Box<dyn StdError>, Option<ErrorKind>); 14] = [
            (Box::new(ConditionalCheckFailedException::builder().build()), Some(ErrorKind::Lost)),
            (Box::new(TransactionConflictException::builder().build()), Some(ErrorKind::Busy)),
            (Box::new(ReplicatedWriteConflictException::builder().build()), Some(ErrorKind::Busy)),
            (Box::new(ResourceInUseException::builder().build()), Some(ErrorKind::Busy)),
            (Box::new(ContinuousBackupsUnavailableException::builder().build()), Some(ErrorKind::Busy)),
            (Box::new(TransactionInProgressException::builder().build()), Some(ErrorKind::Timeout)),
            (Box::new(ThrottlingException::builder().build()), Some(ErrorKind::Throttled)),
            (Box::new(ProvisionedThroughputExceededException::builder().build()), Some(ErrorKind::Throttled)),
            (Box::new(RequestLimitExceeded::builder().build()), Some(ErrorKind::Throttled)),
            (Box::new(LimitExceededException::builder().build()), Some(ErrorKind::Throttled)),
            (Box::new(ResourceNotFoundException::builder().build()), Some(ErrorKind::NotFound)),
            (Box::new(ItemCollectionSizeLimitExceededException::builder().build()), Some(ErrorKind::Invalid)),
            (Box::new(InternalServerError::builder().build()), Some(ErrorKind::Unavailable)),
            ("something else".into(), None),
        ];
        for (error, kind) in table {
            assert_eq!(typed(&*error), kind, "{error:?}");
        }
    }

    #[test]
    fn each_reason_has_its_kind() {
        for (code, kind) in [
            ("None", None),
            ("ConditionalCheckFailed", Some(ErrorKind::Lost)),
            ("TransactionConflict", Some(ErrorKind::Busy)),
            ("ThrottlingError", Some(ErrorKind::Throttled)),
            ("ProvisionedThroughputExceeded", Some(ErrorKind::Throttled)),
            ("RequestLimitExceeded", Some(ErrorKind::Throttled)),
            ("ValidationError", Some(ErrorKind::Invalid)),
            ("ItemCollectionSizeLimitExceeded", Some(ErrorKind::Invalid)),
            ("AccessDenied", Some(ErrorKind::Denied)),
            ("SomethingNew", Some(ErrorKind::Unavailable)),
        ] {
            assert_eq!(kind_of_reason(code), kind, "{code}");
        }
    }
}
