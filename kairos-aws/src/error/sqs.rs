//! The errors of Amazon SQS.

use std::error::Error as StdError;

use aws_sdk_sqs::types::BatchResultErrorEntry;
use aws_sdk_sqs::types::error::{
    BatchEntryIdsNotDistinct, BatchRequestTooLong, EmptyBatchRequest, InvalidAddress, InvalidBatchEntryId,
    InvalidMessageContents, InvalidSecurity, KmsAccessDenied, KmsDisabled, KmsInvalidKeyUsage, KmsInvalidState,
    KmsNotFound, KmsOptInRequired, KmsThrottled, MessageNotInflight, OverLimit, QueueDoesNotExist,
    ReceiptHandleIsInvalid, RequestThrottled, TooManyEntriesInBatchRequest, UnsupportedOperation,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use kairos::{Error, ErrorKind, Fault};

use super::{bare, denial, failed, kind_of};

/// An error of a whole call.
pub(crate) fn sqs<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    failed(error, |service| {
        if is_about_receipt(service.code(), service.message()) {
            return Some(ErrorKind::NotFound);
        }
        service.source().and_then(typed)
    })
}

/// An error of one entry of a batch.
pub(crate) fn sqs_entry(entry: &BatchResultErrorEntry) -> Error {
    let code = bare(entry.code());
    let kind = if is_about_receipt(Some(code), entry.message()) {
        ErrorKind::NotFound
    } else if code == "InvalidMessageContents" {
        ErrorKind::Invalid
    } else {
        kind_of(Some(code), if entry.sender_fault() { 400 } else { 500 })
    };
    let message = if kind == ErrorKind::Denied {
        denial::message(code, entry.message())
    } else {
        format!("the service answered {code}: {}", entry.message().unwrap_or("without saying why"))
    };
    Error::new(kind, message)
}

/// A late receipt is told in three ways, by kind of queue and of call.
fn is_about_receipt(code: Option<&str>, message: Option<&str>) -> bool {
    match code.map(bare).unwrap_or_default() {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => true,
        "InvalidParameterValue" => message.is_some_and(|text| text.contains("receipt handle has expired")),
        _ => false,
    }
}

/// The errors that each operation has are types of their own behind it, the same for all.
fn typed(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    macro_rules! kinds {
        ($($kind:ident: $($type:ty),+;)+) => {
            $(if $(error.is::<$type>())||+ {
                return Some(ErrorKind::$kind);
            })+
        };
    }
    kinds! {
        NotFound: QueueDoesNotExist, ReceiptHandleIsInvalid, MessageNotInflight;
        Throttled: RequestThrottled, KmsThrottled, OverLimit;
        Denied: KmsAccessDenied, KmsDisabled, KmsInvalidKeyUsage, KmsInvalidState, KmsNotFound, KmsOptInRequired, InvalidSecurity;
        Unsupported: UnsupportedOperation;
        Invalid: BatchEntryIdsNotDistinct, BatchRequestTooLong, EmptyBatchRequest, InvalidAddress, InvalidBatchEntryId,
            InvalidMessageContents, TooManyEntriesInBatchRequest;
    }
    None
}

pub(crate) fn batch_too_large(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("the batch holds {what}")).during("send")
}

pub(crate) fn refused_message(field: &'static str, why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "the queue does not take the message").with_faults(vec![Fault::new(field, why)])
}

pub(crate) fn unanswered() -> Error {
    Error::new(ErrorKind::Unavailable, "the queue did not answer for this entry of a batch")
}

pub(crate) fn no_dead_letters() -> Error {
    Error::new(ErrorKind::Unsupported, "no dead-letter queue is configured; see SqsQueue::with_dead_letters")
}

pub(crate) fn unreadable_message(what: &'static str) -> Error {
    Error::new(ErrorKind::Malformed, format!("the received message lacks {what}"))
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::error::ErrorMetadata;
    use aws_sdk_sqs::operation::change_message_visibility::ChangeMessageVisibilityError;
    use aws_sdk_sqs::operation::receive_message::ReceiveMessageError;
    use aws_sdk_sqs::operation::send_message::SendMessageError;
    use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchError;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn kind<E>(error: E, status: u16) -> ErrorKind
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        sqs(SdkError::service_error(error, HttpResponse::new(status.try_into().unwrap(), SdkBody::empty()))).kind()
    }

    macro_rules! built {
        ($operation:ident: $($variant:ident => $kind:ident),+ $(,)?) => {
            $(assert_eq!(
                kind($operation::$variant($variant::builder().build()), 400),
                ErrorKind::$kind,
                stringify!($variant)
            );)+
        };
    }

    #[test]
    fn each_typed_error_has_its_kind() {
        built!(SendMessageBatchError:
            QueueDoesNotExist => NotFound, RequestThrottled => Throttled, KmsThrottled => Throttled,
            KmsAccessDenied => Denied, KmsDisabled => Denied, KmsInvalidKeyUsage => Denied, KmsInvalidState => Denied,
            KmsNotFound => Denied, KmsOptInRequired => Denied, InvalidSecurity => Denied,
            UnsupportedOperation => Unsupported,
            BatchEntryIdsNotDistinct => Invalid, BatchRequestTooLong => Invalid, EmptyBatchRequest => Invalid,
            InvalidAddress => Invalid, InvalidBatchEntryId => Invalid, TooManyEntriesInBatchRequest => Invalid,
        );
        built!(ReceiveMessageError: OverLimit => Throttled, QueueDoesNotExist => NotFound);
        built!(SendMessageError: InvalidMessageContents => Invalid);
        built!(ChangeMessageVisibilityError: MessageNotInflight => NotFound, ReceiptHandleIsInvalid => NotFound);
    }

    #[test]
    fn what_has_no_type_is_told_by_its_code_and_status() {
        let expired = "Value AQEB for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.";
        for (code, message, status, expected) in [
            (Some("InvalidParameterValue"), expired, 400, ErrorKind::NotFound),
            (Some("InvalidParameterValue"), "Value 43201 for parameter VisibilityTimeout", 400, ErrorKind::Invalid),
            (Some("AccessDenied"), "", 403, ErrorKind::Denied),
            (Some("InternalFailure"), "", 500, ErrorKind::Unavailable),
            (None, "<html>", 502, ErrorKind::Unavailable),
        ] {
            let mut metadata = ErrorMetadata::builder().message(message);
            if let Some(code) = code {
                metadata = metadata.code(code);
            }
            assert_eq!(kind(SendMessageError::generic(metadata.build()), status), expected, "{code:?} {message}");
        }
    }

    #[test]
    fn an_entry_fails_by_its_code_and_whose_fault_it_is() {
        for (code, sender_fault, message, expected) in [
            ("InvalidMessageContents", true, "", ErrorKind::Invalid),
            ("InvalidParameterValue", true, "too long", ErrorKind::Invalid),
            ("ReceiptHandleIsInvalid", true, "", ErrorKind::NotFound),
            ("InvalidParameterValue", true, "Reason: The receipt handle has expired.", ErrorKind::NotFound),
            ("AWS.SimpleQueueService.InternalError", false, "", ErrorKind::Unavailable),
            ("RequestThrottled", false, "", ErrorKind::Throttled),
            ("AccessDenied", true, "", ErrorKind::Denied),
            ("SomethingNew", true, "", ErrorKind::Invalid),
            ("SomethingNew", false, "", ErrorKind::Unavailable),
        ] {
            let entry = BatchResultErrorEntry::builder()
                .id("0")
                .code(code)
                .sender_fault(sender_fault)
                .message(message)
                .build()
                .unwrap();
            assert_eq!(sqs_entry(&entry).kind(), expected, "{code} {sender_fault} {message}");
        }
    }
}
