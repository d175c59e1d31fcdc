//! What each error of a service means, from the bytes that it sends to the kind of error.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::config::SharedCredentialsProvider;
use kairos::backend::Invoker as _;
use kairos::{Error, ErrorKind};

use super::wire::{Answer, Seen};
use super::{AwsInvoker, BUS, CLUSTER, FUNCTION, MACHINE, QUEUE, TOPIC, Wire, clock, invocation, invoker};
use crate::invoker::with_timeouts;

async fn error_of(target: &str, rule: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static) -> Option<Error> {
    let (clock, wire) = (clock(), Wire::new(&clock()).with_rule(rule));
    invoker(&wire, &clock).invoke(invocation(target)).await.err()
}

async fn kind_of(target: &str, service: &'static str, code: &'static str, status: u16) -> ErrorKind {
    let rule = move |seen: &Seen| (seen.service() == service).then(|| Answer::error(service, code, status));
    let error = error_of(target, rule).await.unwrap();
    assert!(error.message().contains(code), "{error}");
    error.kind()
}

#[tokio::test]
async fn each_error_of_lambda_has_its_kind() {
    for (code, status, kind) in [
        ("TooManyRequestsException", 429, ErrorKind::Throttled),
        ("EC2ThrottledException", 502, ErrorKind::Throttled),
        ("ServiceQuotaExceededException", 402, ErrorKind::Throttled),
        ("ResourceNotFoundException", 404, ErrorKind::NotFound),
        ("AccessDeniedException", 403, ErrorKind::Denied),
        ("EC2AccessDeniedException", 502, ErrorKind::Denied),
        ("KMSAccessDeniedException", 502, ErrorKind::Denied),
        ("InvalidParameterValueException", 400, ErrorKind::Invalid),
        ("InvalidRequestContentException", 400, ErrorKind::Invalid),
        ("RequestTooLargeException", 413, ErrorKind::Invalid),
        ("SerializedRequestEntityTooLargeException", 413, ErrorKind::Invalid),
        ("UnsupportedMediaTypeException", 415, ErrorKind::Invalid),
        ("CodeArtifactUserDeletedException", 400, ErrorKind::Rejected),
        ("CodeArtifactUserFailedException", 400, ErrorKind::Rejected),
        ("InvalidRuntimeException", 502, ErrorKind::Rejected),
        ("InvalidSecurityGroupIDException", 502, ErrorKind::Rejected),
        ("InvalidSubnetIDException", 502, ErrorKind::Rejected),
        ("InvalidZipFileException", 502, ErrorKind::Rejected),
        ("KMSDisabledException", 502, ErrorKind::Rejected),
        ("KMSInvalidStateException", 502, ErrorKind::Rejected),
        ("KMSNotFoundException", 502, ErrorKind::Rejected),
        ("ModeNotSupportedException", 400, ErrorKind::Rejected),
        ("NoPublishedVersionException", 400, ErrorKind::Rejected),
        ("RecursiveInvocationException", 400, ErrorKind::Rejected),
        ("EFSIOException", 410, ErrorKind::Failed),
        ("EFSMountConnectivityException", 408, ErrorKind::Failed),
        ("EFSMountFailureException", 403, ErrorKind::Failed),
        ("EFSMountTimeoutException", 408, ErrorKind::Failed),
        ("S3FilesMountConnectivityException", 408, ErrorKind::Failed),
        ("S3FilesMountFailureException", 403, ErrorKind::Failed),
        ("S3FilesMountTimeoutException", 408, ErrorKind::Failed),
        ("SnapStartException", 400, ErrorKind::Failed),
        ("SnapStartRegenerationFailureException", 400, ErrorKind::Failed),
        ("CodeArtifactUserPendingException", 409, ErrorKind::Unavailable),
        ("EC2UnexpectedException", 502, ErrorKind::Unavailable),
        ("ENILimitReachedException", 502, ErrorKind::Unavailable),
        ("ENINotReadyException", 502, ErrorKind::Unavailable),
        ("ResourceConflictException", 409, ErrorKind::Unavailable),
        ("ResourceNotReadyException", 502, ErrorKind::Unavailable),
        ("ServiceException", 500, ErrorKind::Unavailable),
        ("SnapStartNotReadyException", 409, ErrorKind::Unavailable),
        ("SnapStartTimeoutException", 408, ErrorKind::Unavailable),
        ("SubnetIPAddressLimitReachedException", 502, ErrorKind::Unavailable),
    ] {
        assert_eq!(kind_of(FUNCTION, "lambda", code, status).await, kind, "{code}");
    }
}

#[tokio::test]
async fn each_error_of_step_functions_has_its_kind() {
    for (code, kind) in [
        ("ExecutionLimitExceeded", ErrorKind::Throttled),
        ("KmsThrottlingException", ErrorKind::Throttled),
        ("ThrottlingException", ErrorKind::Throttled),
        ("StateMachineDoesNotExist", ErrorKind::NotFound),
        ("StateMachineDeleting", ErrorKind::NotFound),
        ("AccessDeniedException", ErrorKind::Denied),
        ("KmsAccessDeniedException", ErrorKind::Denied),
        ("KmsInvalidStateException", ErrorKind::Rejected),
        ("InvalidArn", ErrorKind::Invalid),
        ("InvalidExecutionInput", ErrorKind::Invalid),
        ("InvalidName", ErrorKind::Invalid),
        ("ValidationException", ErrorKind::Invalid),
    ] {
        assert_eq!(kind_of(MACHINE, "states", code, 400).await, kind, "{code}");
    }
    let exists = error_of(MACHINE, |seen| {
        (seen.service() == "states").then(|| Answer::error("states", "ExecutionAlreadyExists", 400))
    });
    assert!(exists.await.is_none(), "an execution that was started is a success");
}

#[tokio::test]
async fn each_error_of_sns_has_its_kind() {
    for (code, status, kind) in [
        ("NotFound", 404, ErrorKind::NotFound),
        ("AuthorizationError", 403, ErrorKind::Denied),
        ("InvalidSecurity", 403, ErrorKind::Denied),
        ("KMSAccessDenied", 400, ErrorKind::Denied),
        ("KMSOptInRequired", 403, ErrorKind::Denied),
        ("InvalidParameter", 400, ErrorKind::Invalid),
        ("ParameterValueInvalid", 400, ErrorKind::Invalid),
        ("ValidationException", 400, ErrorKind::Invalid),
        ("EndpointDisabled", 400, ErrorKind::Rejected),
        ("PlatformApplicationDisabled", 400, ErrorKind::Rejected),
        ("KMSDisabled", 400, ErrorKind::Rejected),
        ("KMSInvalidState", 400, ErrorKind::Rejected),
        ("KMSNotFound", 400, ErrorKind::Rejected),
        ("KMSThrottling", 400, ErrorKind::Throttled),
        ("Throttling", 400, ErrorKind::Throttled),
        ("InternalError", 500, ErrorKind::Unavailable),
    ] {
        assert_eq!(kind_of(TOPIC, "sns", code, status).await, kind, "{code}");
    }
}

#[tokio::test]
async fn each_error_of_sqs_has_its_kind() {
    for (code, kind) in [
        ("AWS.SimpleQueueService.NonExistentQueue", ErrorKind::NotFound),
        ("QueueDoesNotExist", ErrorKind::NotFound),
        ("InvalidSecurity", ErrorKind::Denied),
        ("KMS.AccessDeniedException", ErrorKind::Denied),
        ("KMS.OptInRequired", ErrorKind::Denied),
        ("RequestThrottled", ErrorKind::Throttled),
        ("KMS.ThrottlingException", ErrorKind::Throttled),
        ("InvalidAddress", ErrorKind::Invalid),
        ("InvalidMessageContents", ErrorKind::Invalid),
        ("AWS.SimpleQueueService.UnsupportedOperation", ErrorKind::Invalid),
        ("KMS.DisabledException", ErrorKind::Rejected),
        ("KMS.InvalidKeyUsageException", ErrorKind::Rejected),
        ("KMS.InvalidStateException", ErrorKind::Rejected),
        ("KMS.NotFoundException", ErrorKind::Rejected),
    ] {
        let to_send = move |seen: &Seen| {
            let is_send = seen.service() == "sqs" && seen.headers["x-amz-target"].ends_with("SendMessage");
            is_send.then(|| Answer::error("sqs", code, 400))
        };
        assert_eq!(error_of(QUEUE, to_send).await.unwrap().kind(), kind, "{code}");
    }
    for (code, kind) in [
        ("AWS.SimpleQueueService.NonExistentQueue", ErrorKind::NotFound),
        ("QueueDoesNotExist", ErrorKind::NotFound),
        ("InvalidSecurity", ErrorKind::Denied),
        ("RequestThrottled", ErrorKind::Throttled),
        ("InvalidAddress", ErrorKind::Invalid),
        ("AWS.SimpleQueueService.UnsupportedOperation", ErrorKind::Invalid),
    ] {
        let to_ask = move |seen: &Seen| (seen.service() == "sqs").then(|| Answer::error("sqs", code, 400));
        assert_eq!(error_of(QUEUE, to_ask).await.unwrap().kind(), kind, "{code}");
    }
}

#[tokio::test]
async fn each_error_of_ecs_has_its_kind() {
    for (code, status, kind) in [
        ("ClusterNotFoundException", 400, ErrorKind::NotFound),
        ("AccessDeniedException", 400, ErrorKind::Denied),
        ("BlockedException", 400, ErrorKind::Denied),
        ("InvalidParameterException", 400, ErrorKind::Invalid),
        ("PlatformTaskDefinitionIncompatibilityException", 400, ErrorKind::Invalid),
        ("PlatformUnknownException", 400, ErrorKind::Invalid),
        ("UnsupportedFeatureException", 400, ErrorKind::Invalid),
        ("ClientException", 400, ErrorKind::Rejected),
        // Nothing says that its task has been run.
        ("ConflictException", 400, ErrorKind::Conflict),
        ("ThrottlingException", 400, ErrorKind::Throttled),
        ("ServerException", 500, ErrorKind::Unavailable),
    ] {
        assert_eq!(kind_of(CLUSTER, "ecs", code, status).await, kind, "{code}");
    }
    let run = error_of(CLUSTER, |seen| {
        let conflict = r#"{"__type":"com.amazonaws.ecs#ConflictException","resourceIds":["t"],"message":"no"}"#;
        (seen.service() == "ecs").then(|| Answer::new(400, conflict))
    });
    assert!(run.await.is_none(), "a task that was run is a success");
}

async fn answered(target: &str, service: &'static str, answer: String) -> Option<Error> {
    error_of(target, move |seen| (seen.service() == service).then(|| Answer::new(200, answer.clone()))).await
}

#[tokio::test]
async fn each_reason_why_a_task_is_not_run_has_its_kind() {
    for (reason, kind) in [
        ("MISSING", ErrorKind::NotFound),
        ("ATTRIBUTE", ErrorKind::Rejected),
        ("INACTIVE", ErrorKind::Rejected),
        ("MemberOf placement constraint unsatisfied.", ErrorKind::Rejected),
        ("RESOURCE:MEMORY", ErrorKind::Failed),
        ("RESOURCE:ENI", ErrorKind::Failed),
        ("AGENT", ErrorKind::Failed),
        ("EMPTY CAPACITY PROVIDER", ErrorKind::Failed),
        ("Capacity is unavailable at this time.", ErrorKind::Failed),
    ] {
        let answer = format!(r#"{{"tasks":[],"failures":[{{"arn":"a","reason":"{reason}","detail":"dos"}}]}}"#);
        let error = answered(CLUSTER, "ecs", answer).await.unwrap();
        assert_eq!((error.kind(), error.message()), (kind, format!("the task was not run: {reason} (dos)").as_str()));
    }
    let error = answered(CLUSTER, "ecs", "{}".into()).await.unwrap();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Failed, "the task was not run: no reason was given"));
}

#[tokio::test]
async fn each_error_of_events_has_its_kind() {
    for (code, status, kind) in [
        ("InternalException", 400, ErrorKind::Unavailable),
        ("ThrottlingException", 400, ErrorKind::Throttled),
        ("AccessDeniedException", 400, ErrorKind::Denied),
        ("ValidationException", 400, ErrorKind::Invalid),
    ] {
        assert_eq!(kind_of(BUS, "events", code, status).await, kind, "{code}");
    }
    let refused = async |entry: &str| {
        answered(BUS, "events", format!(r#"{{"FailedEntryCount":1,"Entries":[{entry}]}}"#)).await.unwrap()
    };
    for (code, kind) in [
        ("InternalFailure", ErrorKind::Unavailable),
        ("InternalException", ErrorKind::Unavailable),
        ("ThrottlingException", ErrorKind::Throttled),
        ("AccessDeniedException", ErrorKind::Denied),
        ("NotAuthorizedForSourceException", ErrorKind::Denied),
        ("NotAuthorizedForDetailTypeException", ErrorKind::Denied),
        ("ResourceNotFoundException", ErrorKind::NotFound),
        ("InvalidAccountIdException", ErrorKind::Invalid),
        ("InvalidArgument", ErrorKind::Invalid),
        ("MalformedDetail", ErrorKind::Invalid),
        ("RedactionFailure", ErrorKind::Rejected),
    ] {
        let error = refused(&format!(r#"{{"ErrorCode":"{code}","ErrorMessage":"no"}}"#)).await;
        assert_eq!((error.kind(), error.message()), (kind, format!("the event was not taken: {code} (no)").as_str()));
    }
    let error = refused("{}").await;
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Unavailable, "the event was not taken: no reason was given")
    );
}

#[tokio::test]
async fn each_error_of_sts_has_its_kind() {
    for (code, status, kind) in [
        ("AccessDenied", 403, ErrorKind::Denied),
        ("RegionDisabledException", 403, ErrorKind::Denied),
        ("MalformedPolicyDocument", 400, ErrorKind::Invalid),
        ("PackedPolicyTooLarge", 400, ErrorKind::Invalid),
        ("ValidationError", 400, ErrorKind::Invalid),
        ("Throttling", 400, ErrorKind::Throttled),
        ("ServiceUnavailable", 503, ErrorKind::Unavailable),
        // The executor's own credentials: no process is to blame.
        ("ExpiredToken", 403, ErrorKind::Unavailable),
        ("ExpiredTokenException", 400, ErrorKind::Unavailable),
        ("InvalidClientTokenId", 403, ErrorKind::Unavailable),
        ("SignatureDoesNotMatch", 403, ErrorKind::Unavailable),
        ("IncompleteSignature", 400, ErrorKind::Unavailable),
        ("MissingAuthenticationToken", 403, ErrorKind::Unavailable),
        ("RequestExpired", 400, ErrorKind::Unavailable),
    ] {
        assert_eq!(kind_of(FUNCTION, "sts", code, status).await, kind, "{code}");
    }
}

#[tokio::test]
async fn an_answer_without_a_code_is_told_by_its_status() {
    for (status, kind) in [(403, ErrorKind::Denied), (404, ErrorKind::NotFound), (502, ErrorKind::Unavailable)] {
        for target in [FUNCTION, MACHINE, TOPIC, QUEUE, CLUSTER, BUS] {
            let html = move |seen: &Seen| (seen.service() != "sts").then(|| Answer::new(status, "<html>no</html>"));
            assert_eq!(error_of(target, html).await.unwrap().kind(), kind, "{target} {status}");
        }
    }
}

#[tokio::test]
async fn a_throttle_says_when_to_come_again_and_a_failing_function_comes_back() {
    let throttled = error_of(FUNCTION, |seen| {
        let answer = || Answer::error("lambda", "TooManyRequestsException", 429).with_header("retry-after", "17");
        (seen.service() == "lambda").then(answer)
    });
    assert_eq!(throttled.await.unwrap().retry_after(), Some(Duration::from_secs(17)));
    let failed = error_of(FUNCTION, |seen| {
        let answer = || Answer::new(200, r#"{"errorMessage":"x"}"#).with_header("x-amz-function-error", "Unhandled");
        (seen.service() == "lambda").then(answer)
    });
    assert_eq!(failed.await.unwrap().kind(), ErrorKind::Failed);
}

#[tokio::test]
async fn an_executor_without_credentials_of_its_own_does_not_condemn_what_it_executes() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let nothing = provide_credentials_fn(async || Err(CredentialsError::provider_error("the machine does not answer")));
    let config = wire.config().to_builder().credentials_provider(SharedCredentialsProvider::new(nothing)).build();
    let invoker = AwsInvoker::new(&config, std::sync::Arc::new(clock));
    let error = invoker.invoke(invocation(FUNCTION)).await.unwrap_err();
    assert!(error.is_retryable(), "{error}: {:?}", std::error::Error::source(&error));
}

#[tokio::test]
async fn a_call_ends_though_nobody_answers() {
    let (clock, wire) = (clock(), Wire::new(&clock()).closed());
    let timeouts = TimeoutConfig::builder().operation_timeout(Duration::from_millis(20)).build();
    let config = wire.config().to_builder().timeout_config(timeouts).build();
    let invoker = AwsInvoker::new(&config, std::sync::Arc::new(clock));
    assert_eq!(invoker.invoke(invocation(FUNCTION)).await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn limits_on_time_that_are_given_stay() {
    let config = Wire::new(&clock()).config();
    let of = |config: &SdkConfig| {
        let timeouts = with_timeouts(config).timeout_config().unwrap().clone();
        (timeouts.operation_attempt_timeout(), timeouts.operation_timeout())
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(of(&config), (seconds(20), seconds(60)));
    let given = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    assert_eq!(of(&config.to_builder().timeout_config(given).build()), (seconds(20), seconds(5)));
    let none = of(&config.to_builder().timeout_config(TimeoutConfig::disabled()).build());
    assert_eq!(none, (None, None));
}
