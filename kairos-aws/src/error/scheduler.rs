//! The errors of Amazon EventBridge Scheduler.

use std::error::Error as StdError;
use std::fmt;

use aws_sdk_scheduler::types::error::{
    ConflictException, InternalServerException, ResourceNotFoundException, ServiceQuotaExceededException,
    ThrottlingException, ValidationException,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use kairos::{Error, ErrorKind, Fault};

use super::failed;

/// An error of a call.
pub(crate) fn scheduler<E>(error: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    failed(error, |service| {
        if service.message().is_some_and(is_about_role) {
            return Some(ErrorKind::Denied);
        }
        service.source().and_then(typed)
    })
}

/// The service tries the role of a trigger when that is created, and calls one that does not let it in a fault of the request.
fn is_about_role(message: &str) -> bool {
    message.contains("execution role") && message.contains("assume")
}

/// The errors that each operation has are types of their own behind it, the same for all.
fn typed(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    if error.is::<ResourceNotFoundException>() {
        Some(ErrorKind::NotFound)
    } else if error.is::<ThrottlingException>() || error.is::<ServiceQuotaExceededException>() {
        // The quota is on triggers that exist: there is room again once others are deleted.
        Some(ErrorKind::Throttled)
    } else if error.is::<ValidationException>() {
        Some(ErrorKind::Invalid)
    } else if error.is::<InternalServerException>() || error.is::<ConflictException>() {
        // A conflict about a name is answered before it comes here. This one is of two changes that met.
        Some(ErrorKind::Unavailable)
    } else {
        None
    }
}

pub(crate) fn other_trigger(id: impl fmt::Display, faults: Vec<Fault>) -> Error {
    Error::new(ErrorKind::Conflict, "a trigger of this name has another definition")
        .with_faults(faults)
        .during("create")
        .about(id)
}

pub(crate) fn restless(id: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, "others create or delete the trigger at the same time; try again")
        .during("create")
        .about(id)
}

pub(crate) fn foreign_cursor(cursor: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Malformed, format!("'{cursor}' is no cursor of this listing; begin again without one"))
}

#[cfg(test)]
mod tests {
    use aws_sdk_scheduler::error::ErrorMetadata;
    use aws_sdk_scheduler::operation::create_schedule::CreateScheduleError;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn a_role_that_does_not_let_the_service_in_is_a_denial() {
        let text = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.";
        let metadata = ErrorMetadata::builder().code("ValidationException").message(text).build();
        let refused = ValidationException::builder().message(text).meta(metadata).build().unwrap();
        let error = CreateScheduleError::ValidationException(refused);
        let response = HttpResponse::new(400.try_into().unwrap(), SdkBody::empty());
        let error = scheduler(SdkError::service_error(error, response));
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.message().contains("must allow AWS EventBridge Scheduler to assume the role;"), "{error}");
    }

    #[test]
    fn each_typed_error_has_its_kind() {
        macro_rules! kinds {
            ($($variant:ident => $kind:ident),+ $(,)?) => {
                $(
                    let response = HttpResponse::new(400.try_into().unwrap(), SdkBody::empty());
                    let error = CreateScheduleError::$variant($variant::builder().message("").build().unwrap());
                    let kind = scheduler(SdkError::service_error(error, response)).kind();
                    assert_eq!(kind, ErrorKind::$kind, stringify!($variant));
                )+
            };
        }
        kinds!(
            ConflictException => Unavailable,
            InternalServerException => Unavailable,
            ResourceNotFoundException => NotFound,
            ServiceQuotaExceededException => Throttled,
            ThrottlingException => Throttled,
            ValidationException => Invalid,
        );
    }
}
