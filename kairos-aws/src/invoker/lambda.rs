//! Lambda functions: invoked asynchronously, so that `Ok` means that Lambda keeps the event and tries it by its own rules.

use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::operation::invoke::InvokeError;
use aws_sdk_lambda::operation::invoke::builders::InvokeFluentBuilder;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use kairos::{Arn, Error, ErrorKind};

use super::failure::Failure;
use super::{Call, send_as};
use crate::error;

pub(super) async fn invoke(client: &Client, call: &Call<'_>) -> Result<(), Failure> {
    let payload = call.invocation.payload.as_deref().map(|payload| Blob::new(payload.as_bytes()));
    let request = request(client, call.target).invocation_type(InvocationType::Event).set_payload(payload);
    let answer = send_as!(aws_sdk_lambda, call, request).map_err(failed)?;
    match answer.function_error {
        None => Ok(()),
        // An asynchronous call never says so. Stand-ins that answer only when the function has ended do.
        Some(error) => Err(Error::new(ErrorKind::Failed, format!("the function failed: {error}")).into()),
    }
}

/// Whether the function is there, and the role may invoke it.
pub(super) async fn check(client: &Client, call: &Call<'_>) -> Result<(), Failure> {
    let request = request(client, call.target).invocation_type(InvocationType::DryRun);
    send_as!(aws_sdk_lambda, call, request).map(|_| ()).map_err(failed)
}

fn request(client: &Client, target: &Arn) -> InvokeFluentBuilder {
    let (function, qualifier) = split_qualifier(target);
    client.invoke().function_name(function).set_qualifier(qualifier.map(Into::into))
}

/// `arn:…:function:NAME` and the version or alias that may follow it.
fn split_qualifier(target: &Arn) -> (&str, Option<&str>) {
    let text = target.as_str();
    match target.resource().match_indices(':').nth(1) {
        Some((at, _)) => {
            let at = text.len() - target.resource().len() + at;
            (&text[..at], Some(&text[at + 1..]))
        }
        None => (text, None),
    }
}

fn failed(error: SdkError<InvokeError>) -> Failure {
    let delay = match error.as_service_error() {
        Some(InvokeError::TooManyRequestsException(throttled)) => throttled.retry_after_seconds().map(str::to_owned),
        _ => None,
    };
    let mut failure = Failure::of(error, error::of_invoke);
    if let Some(seconds) = delay.and_then(|seconds| seconds.parse().ok()) {
        failure.error = failure.error.with_retry_after(Duration::from_secs(seconds));
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qualifier_is_told_from_the_name() {
        let function = "arn:aws:lambda:us-east-1:123456789012:function:ventas";
        for (text, qualifier) in [
            (function.to_owned(), None),
            (format!("{function}:prod"), Some("prod")),
            (format!("{function}:$LATEST"), Some("$LATEST")),
        ] {
            assert_eq!(split_qualifier(&Arn::parse(&text).unwrap()), (function, qualifier));
        }
    }
}
