//! What a process runs: the target, told from its ARN, URL or task name.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::arn::{Arn, ArnError};
use crate::error::one_line;

/// Why a text names no target.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It is no ARN, or one that lacks something.
    #[error(transparent)]
    Arn(#[from] ArnError),
    /// It is of a service that is not invoked.
    #[error(
        "'{service}' is no service that Kairos invokes: lambda, states, sns, sqs, ecs, events, kinesis or firehose is expected"
    )]
    Service {
        /// The service.
        service: String,
    },
    /// It is not the kind of resource that is invoked.
    #[error("'{resource}' is no resource of {kind}: {expected} is expected")]
    Resource {
        /// The resource.
        resource: String,
        /// What it would have to be.
        kind: TargetKind,
        /// What such a resource looks like.
        expected: &'static str,
    },
    /// It is no name of a task.
    #[error("'{name}' is no task name: 1 to 128 letters, digits, '-', '_' and '.' are expected")]
    Task {
        /// The name, cut if it is long.
        name: String,
    },
    /// It is no URL that is posted to.
    #[error("'{url}' is no endpoint: {problem}")]
    Endpoint {
        /// The URL, cut if it is long.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// A kind of target. Which kinds an invoker serves it says in its capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TargetKind {
    /// A Lambda function, invoked asynchronously.
    Lambda,
    /// A Step Functions state machine, of which an execution is started.
    StepFunctions,
    /// An SNS topic, published to.
    Sns,
    /// An SQS queue, sent to.
    Sqs,
    /// An ECS cluster, on which a task is run: its parameters are a [`ContainerTask`](crate::ContainerTask).
    Ecs,
    /// An EventBridge event bus, to which an event is put: its detail is the parameters, a JSON object, or an empty one.
    ///
    /// Its source is `kairos`, its detail type the name of the process, at most 128 characters, its time the scheduled time. Its resources are
    /// `kairos:execution:ID`, `kairos:process:ID` and `kairos:schedule:ID`, by which rules and consumers tell executions.
    EventBus,
    /// A Kinesis data stream, to which a record is put.
    Kinesis,
    /// A Firehose delivery stream, to which a record is put.
    Firehose,
    /// An HTTPS endpoint, posted to.
    Https,
    /// An async Rust function registered in the executor.
    Task,
}

/// What a target accepts as its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayloadRule {
    /// JSON text, or nothing.
    Json,
    /// A JSON object, or nothing.
    Object,
    /// A [`ContainerTask`](crate::ContainerTask).
    ContainerTask,
    /// Text of at least one character, of those that a message may hold.
    MessageText,
    /// Anything, or nothing.
    Anything,
}

impl TargetKind {
    pub(crate) const fn payload_rule(self) -> PayloadRule {
        match self {
            Self::Lambda | Self::StepFunctions => PayloadRule::Json,
            Self::EventBus => PayloadRule::Object,
            Self::Ecs => PayloadRule::ContainerTask,
            Self::Sns | Self::Sqs | Self::Kinesis | Self::Firehose => PayloadRule::MessageText,
            Self::Https | Self::Task => PayloadRule::Anything,
        }
    }

    /// Whether it is called as a role, which the process then has to name.
    #[must_use]
    pub const fn needs_role(self) -> bool {
        !matches!(self, Self::Https | Self::Task)
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lambda => "lambda",
            Self::StepFunctions => "states",
            Self::Sns => "sns",
            Self::Sqs => "sqs",
            Self::Ecs => "ecs",
            Self::EventBus => "events",
            Self::Kinesis => "kinesis",
            Self::Firehose => "firehose",
            Self::Https => "https",
            Self::Task => "kairos:task",
        })
    }
}

/// A target whose name has been checked.
///
/// ```
/// use kairos::{Target, TargetKind};
///
/// let target = Target::parse("arn:aws:sns:us-east-1:123456789012:avisos").unwrap();
/// assert_eq!(target.kind(), TargetKind::Sns);
/// let target = Target::parse("kairos:task:informe").unwrap();
/// assert_eq!(target.task(), Some("informe"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    kind: TargetKind,
    address: Address,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Address {
    Arn(Arn),
    Text(Arc<str>),
}

const TASK_PREFIX: &str = "kairos:task:";
/// How much of a name that may be anything is shown, in bytes. What has come through as an ARN is one line of bounded length.
const SHOWN: usize = 100;

impl Target {
    /// The longest name that is accepted, in bytes: that of an endpoint.
    pub const MAX_LEN: usize = 2_048;

    /// Tells the target from its name: an ARN, `https://…`, or `kairos:task:NAME`.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        Self::parse_shared(&text.into())
    }

    /// The same of a text that others have too: each execution hands on that of its process.
    pub(crate) fn parse_shared(text: &Arc<str>) -> Result<Self, TargetError> {
        if let Some(name) = text.strip_prefix(TASK_PREFIX) {
            check_task_name(name)?;
            return Ok(Self { kind: TargetKind::Task, address: Address::Text(Arc::clone(text)) });
        }
        if let Some(rest) = text.strip_prefix("https://") {
            check_endpoint(text, rest)?;
            return Ok(Self { kind: TargetKind::Https, address: Address::Text(Arc::clone(text)) });
        }
        let arn = Arn::parse_shared(text)?;
        arn.check_regional()?;
        let kind = kind_of(&arn)?;
        Ok(Self { kind, address: Address::Arn(arn) })
    }

    /// The target that runs the task registered under `name`.
    ///
    /// # Errors
    /// If it is no task name: 1 to 128 letters, digits, `-`, `_` and `.` are.
    pub fn for_task(name: &str) -> Result<Self, TargetError> {
        Self::parse(&format!("{TASK_PREFIX}{name}"))
    }

    /// What kind of target it is.
    #[must_use]
    pub const fn kind(&self) -> TargetKind {
        self.kind
    }

    /// Its ARN, unless it is an endpoint or a task.
    #[must_use]
    pub fn arn(&self) -> Option<&Arn> {
        match &self.address {
            Address::Arn(arn) => Some(arn),
            Address::Text(_) => None,
        }
    }

    /// The name of the task, if it is one.
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        match &self.address {
            Address::Text(text) => text.strip_prefix(TASK_PREFIX),
            Address::Arn(_) => None,
        }
    }

    /// Its whole name, as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.address {
            Address::Arn(arn) => arn.as_str(),
            Address::Text(text) => text,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A resource becomes part of a URL at some services, so that what means something there is no name.
fn kind_of(arn: &Arn) -> Result<TargetKind, TargetError> {
    let resource = arn.resource();
    let (kind, expected, fits) = match arn.service() {
        "lambda" => {
            let mut parts = resource.split(':');
            let fits = parts.next() == Some("function")
                && parts.next().is_some_and(|name| is_name(name, ""))
                && parts.next().is_none_or(|qualifier| is_name(qualifier, "$"))
                && parts.next().is_none();
            (TargetKind::Lambda, "function:NAME or function:NAME:QUALIFIER", fits)
        }
        "states" => {
            let fits = resource.strip_prefix("stateMachine:").is_some_and(is_state_machine);
            (TargetKind::StepFunctions, "stateMachine:NAME", fits)
        }
        "sns" => (TargetKind::Sns, "the topic's name", is_name(resource, "")),
        "sqs" => (TargetKind::Sqs, "the queue's name", is_name(resource, "")),
        "ecs" => (TargetKind::Ecs, "cluster/NAME", named(resource, "cluster/", "")),
        "events" => (TargetKind::EventBus, "event-bus/NAME", named(resource, "event-bus/", "/")),
        "kinesis" => (TargetKind::Kinesis, "stream/NAME", named(resource, "stream/", "")),
        "firehose" => (TargetKind::Firehose, "deliverystream/NAME", named(resource, "deliverystream/", "")),
        other => return Err(TargetError::Service { service: other.into() }),
    };
    if fits { Ok(kind) } else { Err(TargetError::Resource { resource: resource.into(), kind, expected }) }
}

fn named(resource: &str, prefix: &str, others: &str) -> bool {
    resource.strip_prefix(prefix).is_some_and(|name| is_name(name, others))
}

/// Letters, digits, `-`, `_`, `.` and `others`, not dots alone: what the services let their resources be called.
fn is_name(text: &str, others: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || others.contains(c);
    text.chars().all(fits) && text.split('/').all(|part| part.chars().any(|c| c != '.'))
}

/// Names of state machines may hold letters of any script (Step Functions API, `CreateStateMachine`, `name`);
/// a version or alias follows a colon.
fn is_state_machine(text: &str) -> bool {
    let mut parts = text.splitn(2, ':');
    parts.all(|part| !part.is_empty() && !part.contains(|c: char| r##"<>{}[]?*"#%\^|~`$&,;:/"##.contains(c)))
}

fn check_task_name(name: &str) -> Result<(), TargetError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 128 || !name.bytes().all(fits) {
        return Err(TargetError::Task { name: one_line(name, SHOWN).into_owned() });
    }
    Ok(())
}

fn check_endpoint(text: &str, rest: &str) -> Result<(), TargetError> {
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let problem = if text.len() > Target::MAX_LEN {
        "it is longer than the 2048 bytes allowed"
    } else if host.is_empty() {
        "it names no host"
    } else if host.contains('@') {
        "it must not carry a user name or password"
    } else if !host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']')) {
        "its host holds other than letters, digits, '-' and '.'"
    } else if text.chars().any(|c| !c.is_ascii_graphic()) {
        "it holds other than printable ASCII characters; encode those"
    } else {
        return Ok(());
    };
    Err(TargetError::Endpoint { url: one_line(text, SHOWN).into_owned(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_told_from_its_name() {
        for (text, kind) in [
            ("arn:aws:lambda:us-east-1:123456789012:function:ventas", TargetKind::Lambda),
            ("arn:aws:lambda:us-east-1:123456789012:function:ventas:prod", TargetKind::Lambda),
            ("arn:aws:lambda:us-east-1:123456789012:function:ventas:$LATEST", TargetKind::Lambda),
            ("arn:aws:states:us-east-1:123456789012:stateMachine:cierre", TargetKind::StepFunctions),
            ("arn:aws:states:us-east-1:123456789012:stateMachine:cierre-del-día:7", TargetKind::StepFunctions),
            ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:avisos.fifo", TargetKind::Sns),
            ("arn:aws-cn:sqs:cn-north-1:123456789012:pedidos", TargetKind::Sqs),
            ("arn:aws:ecs:us-east-1:123456789012:cluster/lotes", TargetKind::Ecs),
            ("arn:aws:events:us-east-1:123456789012:event-bus/default", TargetKind::EventBus),
            ("arn:aws:kinesis:us-east-1:123456789012:stream/clics", TargetKind::Kinesis),
            ("arn:aws:firehose:us-east-1:123456789012:deliverystream/clics", TargetKind::Firehose),
            ("https://example.com/hook?x=1", TargetKind::Https),
            ("kairos:task:informe-diario", TargetKind::Task),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(target.kind(), kind, "{text}");
            assert_eq!(target.as_str(), text);
        }
    }

    #[test]
    fn what_cannot_be_invoked_is_refused_in_words() {
        for (text, expected) in [
            ("arn:aws:s3:::cubo", "names no region"),
            ("arn:aws:batch:us-east-1:123456789012:job-queue/x", "no service that Kairos invokes"),
            ("arn:aws:lambda:us-east-1:123456789012:layer:x", "function:NAME"),
            ("arn:aws:lambda:us-east-1:123456789012:function:a:b:c", "function:NAME"),
            ("arn:aws:sns:us-east-1:1234:avisos", "12 digits"),
            ("arn:aws:sqs:us-east-1:123456789012:..", "the queue's name"),
            ("arn:aws:sqs:us-east-1:123456789012:q?Action=DeleteQueue", "the queue's name"),
            ("arn:aws:lambda:us-east-1:123456789012:function:%2e%2e", "function:NAME"),
            ("arn:aws:lambda:us-east-1:123456789012:function:a:", "function:NAME"),
            ("arn:aws:states:us-east-1:123456789012:stateMachine:a/b", "stateMachine:NAME"),
            ("arn:aws:states:us-east-1:123456789012:stateMachine:a:1:2", "stateMachine:NAME"),
            ("arn:aws:events:us-east-1:123456789012:event-bus/../x", "event-bus/NAME"),
            ("arn:aws:sns:us-east-1:aws:avisos", "12 digits"),
            ("arn:aws:sns:us-east-1::avisos", "12 digits"),
            ("https://", "names no host"),
            (r"https://example.com\.evil.example/", "its host"),
            ("https://example%2ecom/", "its host"),
            ("https://ana:clave@example.com/", "user name or password"),
            ("http://example.com/", "is not an ARN"),
            ("kairos:task:", "no task name"),
            ("kairos:task:a/b", "no task name"),
        ] {
            let message = Target::parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }
}
