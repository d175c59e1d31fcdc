//! The services, as seen on the wire: each request is recorded as it would be sent, and answered by the test.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use kairos::clock::{Clock, ManualClock};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) host: String,
    /// With its query, as it is sent.
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Seen {
    /// Whose credentials it is signed with, for which region and service.
    fn scope(&self) -> [&str; 3] {
        let scope = self.headers["authorization"].split_once("Credential=").unwrap().1;
        let mut parts = scope.split(['/', ',']);
        [parts.next().unwrap(), parts.nth(1).unwrap(), parts.next().unwrap()]
    }

    pub(super) fn access_key(&self) -> &str {
        self.scope()[0]
    }

    pub(super) fn region(&self) -> &str {
        self.scope()[1]
    }

    pub(super) fn service(&self) -> &str {
        self.scope()[2]
    }

    /// A field of a form, decoded; of STS and SNS.
    pub(super) fn form(&self, name: &str) -> Option<String> {
        let value = self.body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        let mut bytes = Vec::new();
        let mut rest = value.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                b'+' => b' ',
                other => other,
            });
        }
        Some(String::from_utf8(bytes).unwrap())
    }

    pub(super) fn asks_for_queue(&self) -> bool {
        self.service() == "sqs" && self.headers["x-amz-target"].ends_with("GetQueueUrl")
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What a service answers.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    pub(super) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// An error in the protocol of its service.
    pub(super) fn error(service: &str, code: &str, status: u16) -> Self {
        match service {
            "sts" | "sns" => Self::new(
                status,
                format!("<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"),
            ),
            "lambda" => Self::new(status, r#"{"Message":"no"}"#).with_header("x-amzn-errortype", code),
            "sqs" => Self::new(status, format!(r#"{{"__type":"com.amazonaws.sqs#{code}","message":"no"}}"#))
                .with_header("x-amzn-query-error", format!("{code};Sender")),
            _ => Self::new(status, format!(r#"{{"__type":"com.amazonaws.{service}#{code}","message":"no"}}"#)),
        }
    }

    /// What a service answers that does as it is told; a role's session is told by its number.
    fn success(seen: &Seen, session: usize, now: Timestamp) -> Self {
        match seen.service() {
            "sts" => {
                let lifetime: i64 = seen.form("DurationSeconds").unwrap().parse().unwrap();
                let end = Timestamp::from_second(now.as_second() + lifetime).unwrap();
                Self::new(
                    200,
                    format!(
                        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA{session}</AccessKeyId>\
                         <SecretAccessKey>s</SecretAccessKey><SessionToken>token-{session}</SessionToken>\
                         <Expiration>{end}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
                    ),
                )
            }
            "lambda" => Self::new(202, ""),
            "sns" if seen.form("Action").as_deref() == Some("Publish") => Self::new(
                200,
                "<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>",
            ),
            "sns" => {
                Self::new(200, "<GetTopicAttributesResponse><GetTopicAttributesResult/></GetTopicAttributesResponse>")
            }
            "sqs" if seen.asks_for_queue() => {
                Self::new(200, r#"{"QueueUrl":"https://elsewhere.example/123456789012/q"}"#)
            }
            "sqs" => Self::new(200, r#"{"MessageId":"m","MD5OfMessageBody":"x"}"#),
            "ecs" => Self::new(
                200,
                r#"{"tasks":[{"taskArn":"t"}],"clusters":[{"status":"ACTIVE"}],"taskDefinition":{"status":"ACTIVE"}}"#,
            ),
            "events" => Self::new(200, r#"{"FailedEntryCount":0,"Entries":[{"EventId":"e"}],"Name":"ventas"}"#),
            _ => Self::new(
                200,
                r#"{"executionArn":"arn:aws:states:us-east-1:123456789012:execution:a:b","startDate":1767225600,
                    "stateMachineArn":"a","name":"a","definition":"{}","roleArn":"r","type":"STANDARD","creationDate":1}"#,
            ),
        }
    }
}

type Rule = dyn Fn(&Seen) -> Option<Answer> + Send + Sync;

/// All services, behind one client.
#[derive(Clone)]
pub(super) struct Wire {
    clock: ManualClock,
    seen: Arc<Mutex<Vec<Seen>>>,
    rule: Arc<Rule>,
    /// One permit for each answer of STS, and each that says where a queue is.
    gate: Arc<Semaphore>,
}

impl Wire {
    /// Services that do as they are told.
    pub(super) fn new(clock: &ManualClock) -> Self {
        let gate = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { clock: clock.clone(), seen: Arc::default(), rule: Arc::new(|_| None), gate }
    }

    /// The same, except where a rule answers.
    pub(super) fn with_rule(mut self, rule: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static) -> Self {
        self.rule = Arc::new(rule);
        self
    }

    /// The same, but nobody hears from STS or where a queue is until [`Self::open`].
    pub(super) fn closed(mut self) -> Self {
        self.gate = Arc::new(Semaphore::new(0));
        self
    }

    /// So many more of those answers.
    pub(super) fn open(&self, answers: usize) {
        self.gate.add_permits(answers);
    }

    pub(super) fn seen(&self, service: &str) -> Vec<Seen> {
        self.seen.lock().iter().filter(|seen| seen.service() == service).cloned().collect()
    }

    pub(super) fn config(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-west-2"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("AKIAOWN", "s", None, None, "test")))
            .retry_config(RetryConfig::disabled())
            .http_client(self.clone())
            .build()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (host, path) = request
            .uri()
            .split_once("://")
            .map_or(("", ""), |(_, rest)| rest.split_at(rest.find('/').unwrap_or(rest.len())));
        let seen = Seen {
            host: host.to_owned(),
            path: path.to_owned(),
            headers: request.headers().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: String::from_utf8(request.body().bytes().unwrap_or_default().to_vec()).unwrap(),
        };
        let session = {
            let mut all = self.seen.lock();
            all.push(seen.clone());
            all.iter().filter(|seen| seen.service() == "sts").count()
        };
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            if seen.service() == "sts" || seen.asks_for_queue() {
                this.gate.acquire().await.unwrap().forget();
            }
            let answer = (this.rule)(&seen).unwrap_or_else(|| Answer::success(&seen, session, this.clock.now()));
            let mut response = HttpResponse::new(answer.status.try_into().unwrap(), SdkBody::from(answer.body));
            for (name, value) in answer.headers {
                response.headers_mut().insert(name, value);
            }
            Ok(response)
        })
    }
}
