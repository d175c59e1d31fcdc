//! What went wrong at a service, as Kairos tells it: one table for all of them.

mod denial;
#[cfg(feature = "dynamodb")]
pub(crate) mod dynamodb;
#[cfg(feature = "scheduler")]
pub(crate) mod scheduler;
#[cfg(feature = "sqs")]
pub(crate) mod sqs;
#[cfg(feature = "invoker")]
mod targets;
mod unsent;

use std::error::Error as StdError;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use kairos::{Error, ErrorKind};
#[cfg(feature = "invoker")]
pub(crate) use targets::*;

/// An error of a service. `variant` tells the kind from the service's own typed error where that says more than its code.
pub(crate) fn failed<E>(error: SdkError<E, HttpResponse>, variant: impl FnOnce(&E) -> Option<ErrorKind>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let (kind, message) = match &error {
        SdkError::ServiceError(context) => {
            let service = context.err();
            let status = context.raw().status().as_u16();
            let kind = variant(service).unwrap_or_else(|| kind_of(service.code(), status));
            let code = service.code().unwrap_or("an error without a code");
            let message = if kind == ErrorKind::Denied || denial::is_of_credentials(code) {
                denial::message(code, service.message())
            } else {
                format!("the service answered {code} (HTTP {status})")
            };
            (kind, message)
        }
        SdkError::TimeoutError(_) => (ErrorKind::Timeout, "the service did not answer in time".into()),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            (ErrorKind::Timeout, "the service did not answer in time".into())
        }
        // Nothing is wrong with the process or message that the call was about: it has to come back when that is configured.
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_)
            if let Some(missing) = unsent::reason(&error) =>
        {
            (ErrorKind::Unavailable, missing)
        }
        SdkError::DispatchFailure(_) => (ErrorKind::Unavailable, "the service could not be reached".into()),
        // Newer crates of the SDK cannot read an error without a code; older ones tell it as one of the service.
        SdkError::ResponseError(context) if context.raw().status().as_u16() >= 400 => {
            let status = context.raw().status().as_u16();
            (kind_of(None, status), format!("the service answered an error without a code (HTTP {status})"))
        }
        SdkError::ResponseError(_) => (ErrorKind::Unavailable, "the service's answer could not be read".into()),
        SdkError::ConstructionFailure(_) => (ErrorKind::Invalid, "the request could not be made".into()),
        _ => (ErrorKind::Unavailable, "the service failed in an unknown way".into()),
    };
    match error {
        // What is around it says only that it is one.
        SdkError::ServiceError(context) => Error::new(kind, message).with_source(context.into_err()),
        other => Error::new(kind, message).with_source(other),
    }
}

/// A code without the name of the service that some put before it.
fn bare(code: &str) -> &str {
    code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code)
}

/// The kind of an error by its code, or by its HTTP status if the code is unknown or missing, as behind a proxy.
fn kind_of(code: Option<&str>, status: u16) -> ErrorKind {
    match code.map(bare).unwrap_or_default() {
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "SlowDown"
        | "KMSThrottlingException" => ErrorKind::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "AuthFailure"
        | "NotAuthorized"
        | "KMSAccessDeniedException" => ErrorKind::Denied,
        code if denial::is_of_credentials(code) => ErrorKind::Denied,
        "ResourceNotFoundException" | "NotFound" | "NotFoundException" | "NonExistentQueue" | "QueueDoesNotExist" => {
            ErrorKind::NotFound
        }
        "ValidationException"
        | "ValidationError"
        | "InvalidParameterValue"
        | "InvalidParameterValueException"
        | "InvalidParameter" => ErrorKind::Invalid,
        "ConflictException" => ErrorKind::Conflict,
        "RequestTimeout" | "RequestTimeoutException" => ErrorKind::Timeout,
        "InternalServerError" | "InternalFailure" | "InternalError" | "ServiceUnavailable" | "ServiceException" => {
            ErrorKind::Unavailable
        }
        _ => match status {
            401 | 403 => ErrorKind::Denied,
            404 => ErrorKind::NotFound,
            // No service leaves it at that: something else has answered, or has cut the answer short.
            400 if code.is_none() => ErrorKind::Unavailable,
            408 => ErrorKind::Timeout,
            429 => ErrorKind::Throttled,
            400..=499 => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_kind_and_an_unknown_one_that_of_its_status() {
        for (code, status, kind) in [
            (Some("ThrottlingException"), 400, ErrorKind::Throttled),
            (Some("AccessDenied"), 403, ErrorKind::Denied),
            (Some("AccessDeniedException"), 400, ErrorKind::Denied),
            (Some("ExpiredTokenException"), 400, ErrorKind::Denied),
            (Some("InvalidSignatureException"), 400, ErrorKind::Denied),
            (Some("ResourceNotFoundException"), 400, ErrorKind::NotFound),
            (Some("ValidationException"), 400, ErrorKind::Invalid),
            (Some("ConflictException"), 409, ErrorKind::Conflict),
            (Some("InternalServerError"), 500, ErrorKind::Unavailable),
            // The SDK finds the variant by the one spelling that the service is known for.
            (Some("AWS.SimpleQueueService.RequestThrottled"), 400, ErrorKind::Throttled),
            (Some("RequestThrottled"), 403, ErrorKind::Throttled),
            (Some("AWS.SimpleQueueService.NonExistentQueue"), 400, ErrorKind::NotFound),
            (Some("QueueDoesNotExist"), 400, ErrorKind::NotFound),
            (Some("AWS.SimpleQueueService.UnsupportedOperation"), 400, ErrorKind::Invalid),
            (Some("SomethingNew"), 400, ErrorKind::Invalid),
            (Some("SomethingNew"), 503, ErrorKind::Unavailable),
            (None, 400, ErrorKind::Unavailable),
            (None, 403, ErrorKind::Denied),
            (None, 408, ErrorKind::Timeout),
            (None, 429, ErrorKind::Throttled),
            (None, 502, ErrorKind::Unavailable),
        ] {
            assert_eq!(kind_of(code, status), kind, "{code:?} {status}");
        }
    }
}
