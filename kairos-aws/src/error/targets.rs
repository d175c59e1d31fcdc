//! The errors of roles and targets. What is not listed is told by its code or HTTP status.
//!
//! *Rejected* is what somebody has to repair at the target, *failed* what its own code or file system did and may not do again.

use std::error::Error as StdError;
use std::fmt;

use aws_smithy_types::error::metadata::ProvideErrorMetadata as _;
use kairos::{Error, ErrorKind, Fault, TargetKind};

/// A request that the SDK refuses to make.
pub(crate) fn no_request(error: impl StdError + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Invalid, "the request could not be made").with_source(Box::new(error) as Box<_>)
}

pub(crate) fn no_role(kind: TargetKind) -> Error {
    let fault = Fault::new("arnRol", format!("is missing: a {kind} target is called as a role"));
    Error::new(ErrorKind::Denied, "there is no role to call the target as").with_faults(vec![fault])
}

pub(crate) fn not_a_role(error: impl fmt::Display) -> Error {
    Error::invalid(vec![Fault::new("arnRol", error.to_string())])
}

pub(crate) fn unsupported_target(kind: TargetKind) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{kind} targets are not called here")).during("invoke")
}

/// Whether a code says that the credentials themselves are refused, not what they are used for.
pub(crate) fn refuses_token(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidToken"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "UnrecognizedClientException"
            | "TokenRefreshRequired"
    )
}

pub(crate) fn of_assume_role(error: &aws_sdk_sts::operation::assume_role::AssumeRoleError) -> Option<ErrorKind> {
    use aws_sdk_sts::operation::assume_role::AssumeRoleError as E;
    match error {
        E::MalformedPolicyDocumentException(_) | E::PackedPolicyTooLargeException(_) => Some(ErrorKind::Invalid),
        E::RegionDisabledException(_) => Some(ErrorKind::Denied),
        // It is the executor's own credentials that are refused. The process is not to blame, and they will be renewed.
        other => match other.code()? {
            code if refuses_token(code) => Some(ErrorKind::Unavailable),
            "SignatureDoesNotMatch" | "IncompleteSignature" | "MissingAuthenticationToken" | "RequestExpired" => {
                Some(ErrorKind::Unavailable)
            }
            _ => None,
        },
    }
}

#[cfg(feature = "lambda")]
pub(crate) fn of_invoke(error: &aws_sdk_lambda::operation::invoke::InvokeError) -> Option<ErrorKind> {
    use aws_sdk_lambda::operation::invoke::InvokeError as E;
    Some(match error {
        E::TooManyRequestsException(_) | E::Ec2ThrottledException(_) | E::ServiceQuotaExceededException(_) => {
            ErrorKind::Throttled
        }
        E::ResourceNotFoundException(_) => ErrorKind::NotFound,
        E::Ec2AccessDeniedException(_) | E::KmsAccessDeniedException(_) => ErrorKind::Denied,
        E::InvalidParameterValueException(_)
        | E::InvalidRequestContentException(_)
        | E::RequestTooLargeException(_)
        | E::SerializedRequestEntityTooLargeException(_)
        | E::UnsupportedMediaTypeException(_) => ErrorKind::Invalid,
        E::CodeArtifactUserDeletedException(_)
        | E::CodeArtifactUserFailedException(_)
        | E::InvalidRuntimeException(_)
        | E::InvalidSecurityGroupIdException(_)
        | E::InvalidSubnetIdException(_)
        | E::InvalidZipFileException(_)
        | E::KmsDisabledException(_)
        | E::KmsInvalidStateException(_)
        | E::KmsNotFoundException(_)
        | E::ModeNotSupportedException(_)
        | E::NoPublishedVersionException(_)
        | E::RecursiveInvocationException(_) => ErrorKind::Rejected,
        E::EfsioException(_)
        | E::EfsMountConnectivityException(_)
        | E::EfsMountFailureException(_)
        | E::EfsMountTimeoutException(_)
        | E::S3FilesMountConnectivityException(_)
        | E::S3FilesMountFailureException(_)
        | E::S3FilesMountTimeoutException(_)
        | E::SnapStartException(_)
        | E::SnapStartRegenerationFailureException(_) => ErrorKind::Failed,
        E::CodeArtifactUserPendingException(_)
        | E::Ec2UnexpectedException(_)
        | E::EniLimitReachedException(_)
        | E::EniNotReadyException(_)
        | E::ResourceConflictException(_)
        | E::ResourceNotReadyException(_)
        | E::ServiceException(_)
        | E::SnapStartNotReadyException(_)
        | E::SnapStartTimeoutException(_)
        | E::SubnetIpAddressLimitReachedException(_) => ErrorKind::Unavailable,
        _ => return None,
    })
}

#[cfg(feature = "sfn")]
pub(crate) fn of_start_execution(
    error: &aws_sdk_sfn::operation::start_execution::StartExecutionError,
) -> Option<ErrorKind> {
    use aws_sdk_sfn::operation::start_execution::StartExecutionError as E;
    Some(match error {
        E::ExecutionLimitExceeded(_) | E::KmsThrottlingException(_) => ErrorKind::Throttled,
        E::StateMachineDoesNotExist(_) | E::StateMachineDeleting(_) => ErrorKind::NotFound,
        E::KmsAccessDeniedException(_) => ErrorKind::Denied,
        E::KmsInvalidStateException(_) => ErrorKind::Rejected,
        E::InvalidArn(_) | E::InvalidExecutionInput(_) | E::InvalidName(_) | E::ValidationException(_) => {
            ErrorKind::Invalid
        }
        _ => return None,
    })
}

#[cfg(feature = "sfn")]
pub(crate) fn of_describe_state_machine(
    error: &aws_sdk_sfn::operation::describe_state_machine::DescribeStateMachineError,
) -> Option<ErrorKind> {
    use aws_sdk_sfn::operation::describe_state_machine::DescribeStateMachineError as E;
    Some(match error {
        E::StateMachineDoesNotExist(_) => ErrorKind::NotFound,
        E::InvalidArn(_) => ErrorKind::Invalid,
        E::KmsAccessDeniedException(_) => ErrorKind::Denied,
        E::KmsInvalidStateException(_) => ErrorKind::Rejected,
        E::KmsThrottlingException(_) => ErrorKind::Throttled,
        _ => return None,
    })
}

#[cfg(feature = "sns")]
pub(crate) fn of_publish(error: &aws_sdk_sns::operation::publish::PublishError) -> Option<ErrorKind> {
    use aws_sdk_sns::operation::publish::PublishError as E;
    Some(match error {
        E::NotFoundException(_) => ErrorKind::NotFound,
        E::AuthorizationErrorException(_)
        | E::InvalidSecurityException(_)
        | E::KmsAccessDeniedException(_)
        | E::KmsOptInRequired(_) => ErrorKind::Denied,
        E::InvalidParameterException(_) | E::InvalidParameterValueException(_) | E::ValidationException(_) => {
            ErrorKind::Invalid
        }
        E::EndpointDisabledException(_)
        | E::PlatformApplicationDisabledException(_)
        | E::KmsDisabledException(_)
        | E::KmsInvalidStateException(_)
        | E::KmsNotFoundException(_) => ErrorKind::Rejected,
        E::KmsThrottlingException(_) => ErrorKind::Throttled,
        E::InternalErrorException(_) => ErrorKind::Unavailable,
        _ => return None,
    })
}

#[cfg(feature = "sns")]
pub(crate) fn of_get_topic_attributes(
    error: &aws_sdk_sns::operation::get_topic_attributes::GetTopicAttributesError,
) -> Option<ErrorKind> {
    use aws_sdk_sns::operation::get_topic_attributes::GetTopicAttributesError as E;
    Some(match error {
        E::NotFoundException(_) => ErrorKind::NotFound,
        E::AuthorizationErrorException(_) | E::InvalidSecurityException(_) => ErrorKind::Denied,
        E::InvalidParameterException(_) => ErrorKind::Invalid,
        E::InternalErrorException(_) => ErrorKind::Unavailable,
        _ => return None,
    })
}

#[cfg(feature = "ecs")]
pub(crate) fn of_run_task(error: &aws_sdk_ecs::operation::run_task::RunTaskError) -> Option<ErrorKind> {
    use aws_sdk_ecs::operation::run_task::RunTaskError as E;
    Some(match error {
        E::ClusterNotFoundException(_) => ErrorKind::NotFound,
        E::AccessDeniedException(_) | E::BlockedException(_) => ErrorKind::Denied,
        E::InvalidParameterException(_)
        | E::PlatformTaskDefinitionIncompatibilityException(_)
        | E::PlatformUnknownException(_)
        | E::UnsupportedFeatureException(_) => ErrorKind::Invalid,
        // A task definition that is missing or not active, among others.
        E::ClientException(_) => ErrorKind::Rejected,
        E::ServerException(_) => ErrorKind::Unavailable,
        _ => return None,
    })
}

/// A task that was asked for and is not run (ECS Developer Guide, "API failure reasons").
#[cfg(feature = "ecs")]
pub(crate) fn task_not_run(reason: Option<&str>, detail: Option<&str>) -> Error {
    let kind = match reason.unwrap_or_default() {
        "MISSING" => ErrorKind::NotFound,
        "ATTRIBUTE" | "INACTIVE" | "MemberOf placement constraint unsatisfied." => ErrorKind::Rejected,
        // There is no room for it now: RESOURCE:MEMORY, AGENT, LOCATION, EMPTY CAPACITY PROVIDER, "Capacity is unavailable at this time.
        // Please try again later or in a different availability zone", and others.
        _ => ErrorKind::Failed,
    };
    Error::new(kind, told("the task was not run", reason, detail))
}

#[cfg(feature = "ecs")]
pub(crate) fn of_describe_clusters(
    error: &aws_sdk_ecs::operation::describe_clusters::DescribeClustersError,
) -> Option<ErrorKind> {
    use aws_sdk_ecs::operation::describe_clusters::DescribeClustersError as E;
    Some(match error {
        E::AccessDeniedException(_) => ErrorKind::Denied,
        E::InvalidParameterException(_) => ErrorKind::Invalid,
        E::ClientException(_) => ErrorKind::Rejected,
        E::ServerException(_) => ErrorKind::Unavailable,
        _ => return None,
    })
}

#[cfg(feature = "ecs")]
pub(crate) fn of_describe_task_definition(
    error: &aws_sdk_ecs::operation::describe_task_definition::DescribeTaskDefinitionError,
) -> Option<ErrorKind> {
    use aws_sdk_ecs::operation::describe_task_definition::DescribeTaskDefinitionError as E;
    Some(match error {
        E::AccessDeniedException(_) => ErrorKind::Denied,
        E::ClientException(_) | E::InvalidParameterException(_) => ErrorKind::Rejected,
        E::ServerException(_) => ErrorKind::Unavailable,
        _ => return None,
    })
}

#[cfg(feature = "events")]
pub(crate) fn of_put_events(error: &aws_sdk_eventbridge::operation::put_events::PutEventsError) -> Option<ErrorKind> {
    use aws_sdk_eventbridge::operation::put_events::PutEventsError as E;
    match error {
        E::InternalException(_) => Some(ErrorKind::Unavailable),
        _ => None,
    }
}

/// An event that was not taken (EventBridge API, `PutEventsResultEntry`).
#[cfg(feature = "events")]
pub(crate) fn event_refused(code: Option<&str>, message: Option<&str>) -> Error {
    let kind = match code.unwrap_or_default() {
        "" | "InternalException" => ErrorKind::Unavailable,
        "NotAuthorizedForSourceException" | "NotAuthorizedForDetailTypeException" => ErrorKind::Denied,
        "RedactionFailure" => ErrorKind::Rejected,
        // InvalidAccountIdException, InvalidArgument, MalformedDetail, and those that any call may have.
        code => super::kind_of(Some(code), 400),
    };
    Error::new(kind, told("the event was not taken", code, message))
}

#[cfg(feature = "events")]
pub(crate) fn of_describe_event_bus(
    error: &aws_sdk_eventbridge::operation::describe_event_bus::DescribeEventBusError,
) -> Option<ErrorKind> {
    use aws_sdk_eventbridge::operation::describe_event_bus::DescribeEventBusError as E;
    Some(match error {
        E::ResourceNotFoundException(_) => ErrorKind::NotFound,
        E::InternalException(_) => ErrorKind::Unavailable,
        _ => return None,
    })
}

/// What an answer tells of what it did not do.
#[cfg(any(feature = "ecs", feature = "events"))]
fn told(what: &str, reason: Option<&str>, detail: Option<&str>) -> String {
    let reason = reason.unwrap_or("no reason was given");
    detail.map_or_else(|| format!("{what}: {reason}"), |detail| format!("{what}: {reason} ({detail})"))
}

#[cfg(feature = "sqs")]
pub(crate) fn of_get_queue_url(error: &aws_sdk_sqs::operation::get_queue_url::GetQueueUrlError) -> Option<ErrorKind> {
    use aws_sdk_sqs::operation::get_queue_url::GetQueueUrlError as E;
    Some(match error {
        E::QueueDoesNotExist(_) => ErrorKind::NotFound,
        E::InvalidSecurity(_) => ErrorKind::Denied,
        E::RequestThrottled(_) => ErrorKind::Throttled,
        E::InvalidAddress(_) | E::UnsupportedOperation(_) => ErrorKind::Invalid,
        other => return of_queue_code(other.code()?),
    })
}

/// Of a queue as a target.
#[cfg(feature = "sqs")]
pub(crate) fn of_send_to_target(error: &aws_sdk_sqs::operation::send_message::SendMessageError) -> Option<ErrorKind> {
    use aws_sdk_sqs::operation::send_message::SendMessageError as E;
    Some(match error {
        E::QueueDoesNotExist(_) => ErrorKind::NotFound,
        E::InvalidSecurity(_) | E::KmsAccessDenied(_) | E::KmsOptInRequired(_) => ErrorKind::Denied,
        E::RequestThrottled(_) | E::KmsThrottled(_) => ErrorKind::Throttled,
        E::InvalidAddress(_) | E::InvalidMessageContents(_) | E::UnsupportedOperation(_) => ErrorKind::Invalid,
        E::KmsDisabled(_) | E::KmsInvalidKeyUsage(_) | E::KmsInvalidState(_) | E::KmsNotFound(_) => ErrorKind::Rejected,
        other => return of_queue_code(other.code()?),
    })
}

/// Stand-ins leave out the header from which the SDK tells its variant.
#[cfg(feature = "sqs")]
fn of_queue_code(code: &str) -> Option<ErrorKind> {
    (code == "QueueDoesNotExist").then_some(ErrorKind::NotFound)
}
