//! How a call failed, and whether a fresh session could help.

use std::error::Error as StdError;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use kairos::{Error, ErrorKind};

use crate::error;

/// A call that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// What was refused about the session, if it was.
    pub(super) refusal: Option<Refusal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The credentials are not taken any more.
    Token,
    /// They are taken, and may not do this: for good, or because sessions from before a moment were revoked.
    Access,
}

impl Failure {
    pub(super) fn of<E>(error: SdkError<E, HttpResponse>, variant: impl FnOnce(&E) -> Option<ErrorKind>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let is_token = error.as_service_error().and_then(ProvideErrorMetadata::code).is_some_and(error::refuses_token);
        let mut failure = Self::told(error::failed(error, variant));
        if is_token {
            failure.refusal = Some(Refusal::Token);
        }
        failure
    }

    /// One that the service told in its answer.
    pub(super) fn told(error: Error) -> Self {
        let refusal = (error.kind() == ErrorKind::Denied).then_some(Refusal::Access);
        Self { error, refusal }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, refusal: None }
    }
}
