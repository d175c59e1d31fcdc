//! An account whose server enforces what its policies say, an installation in it, and what that publishes.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use aws_sdk_sqs::config::Credentials;
use aws_sdk_sqs::types::QueueAttributeName;
use kairos::chance::Chance;
use kairos_aws::{Config, TableOptions, create_tables};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::place::{ACCOUNT, config, endpoint, make_queue};

pub(super) const EXTERNAL_ID: &str = "kairos-tareas";

/// One permission of a policy: an action, in the statement of a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grant {
    pub(super) statement: String,
    pub(super) action: String,
}

/// A policy document as the crate publishes it, with the names of an installation filled in.
#[derive(Clone)]
pub(super) struct Policy(Value);

impl Policy {
    pub(super) fn grants(&self) -> Vec<Grant> {
        let statements = self.0["Statement"].as_array().unwrap().iter();
        let grants = statements.flat_map(|statement| {
            let name = statement["Sid"].as_str().unwrap().to_owned();
            let actions = statement["Action"].as_array().unwrap().iter();
            actions.map(move |action| Grant { statement: name.clone(), action: action.as_str().unwrap().into() })
        });
        grants.collect()
    }

    pub(super) fn without(mut self, grant: &Grant) -> Self {
        for statement in self.0["Statement"].as_array_mut().unwrap() {
            if statement["Sid"] == grant.statement.as_str() {
                statement["Action"].as_array_mut().unwrap().retain(|action| *action != grant.action.as_str());
            }
        }
        self
    }

    /// The same for a server that differs from AWS in two names: it asks for the batches of a queue as actions of their own, where AWS
    /// asks for the single action, and takes every trigger for one of the group `default`.
    fn served(mut self) -> Self {
        self.0["Statement"].as_array_mut().unwrap().retain(|statement| statement["Action"] != json!([]));
        for statement in self.0["Statement"].as_array_mut().unwrap() {
            let actions = statement["Action"].as_array_mut().unwrap();
            for (single, batch) in
                [("sqs:SendMessage", "sqs:SendMessageBatch"), ("sqs:DeleteMessage", "sqs:DeleteMessageBatch")]
            {
                if actions.iter().any(|action| action == single) {
                    actions.push(batch.into());
                }
            }
            let resource = statement["Resource"].as_str().unwrap_or_default();
            if let Some((service, trigger)) = resource.split_once(":schedule/") {
                let (_, name) = trigger.split_once('/').unwrap();
                statement["Resource"] = format!("{service}:schedule/default/{name}").into();
            }
        }
        self
    }
}

/// An installation of its own, made by the account's root user.
pub(super) struct Site {
    pub(super) root: SdkConfig,
    pub(super) app: String,
    pub(super) config: Config,
    names: HashMap<&'static str, String>,
}

impl Site {
    pub(super) async fn new() -> Self {
        let root = config(endpoint("KAIROS_TEST_AWS_IAM")).await;
        let app = format!("k{}", Chance::from_system().uuid().simple());
        let of_app = |what: &str| format!("{app}-{what}");
        let names = HashMap::from([
            ("Partition", "aws".into()),
            ("Region", "us-east-1".into()),
            ("Account", ACCOUNT.into()),
            ("App", app.clone()),
            ("Queue", of_app("ejecuciones")),
            ("DeadLetters", of_app("muertas")),
            ("Group", app.clone()),
            ("Dispatcher", of_app("despachador")),
            ("TriggerRole", of_app("disparos")),
            ("TriggerDeadLetters", of_app("disparos-muertos")),
            ("ExecutorRole", of_app("ejecutor")),
            ("RolePrefix", of_app("proceso-")),
            ("ExternalId", EXTERNAL_ID.into()),
            ("Function", of_app("funcion")),
            ("StateMachine", of_app("maquina")),
            ("Topic", of_app("tema")),
            ("TargetQueue", of_app("ventas")),
        ]);
        let arn = |service: &str, resource: &str| format!("arn:aws:{service}:us-east-1:{ACCOUNT}:{resource}");
        let mut config = Config::new(&app);
        config.schedule_group = Some(app.clone());
        config.dispatcher_arn = Some(arn("lambda", &format!("function:{}", names["Dispatcher"])));
        config.trigger_role_arn = Some(format!("arn:aws:iam::{ACCOUNT}:role/{}", names["TriggerRole"]));
        config.trigger_dead_letter_arn = Some(arn("sqs", &names["TriggerDeadLetters"]));
        config.role_prefix = Some(names["RolePrefix"].clone());
        Self { root, app, config, names }
    }

    /// With tables, queues and a group of triggers.
    pub(super) async fn with_services(mut self) -> Self {
        let options = TableOptions::new().with_deletion_protection(false).with_point_in_time_recovery(false);
        let tables = self.config.tables().unwrap();
        create_tables(&aws_sdk_dynamodb::Client::new(&self.root), &tables, &options).await.unwrap();
        self.config.queue_url = Some(self.make_queue("Queue").await);
        self.config.dead_letter_queue_url = Some(self.make_queue("DeadLetters").await);
        let client = aws_sdk_scheduler::Client::new(&self.root);
        client.create_schedule_group().name(&self.app).send().await.unwrap();
        self
    }

    pub(super) fn name(&self, placeholder: &str) -> &str {
        &self.names[placeholder]
    }

    pub(super) async fn make_queue(&self, placeholder: &str) -> String {
        make_queue(&aws_sdk_sqs::Client::new(&self.root), self.name(placeholder).into()).await
    }

    /// How many messages a queue holds, those that are invisible included.
    pub(super) async fn held(&self, url: &str) -> usize {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = aws_sdk_sqs::Client::new(&self.root).get_queue_attributes().queue_url(url);
        let answer = request.set_attribute_names(Some(counts.to_vec())).send().await.unwrap().attributes.unwrap();
        counts.iter().map(|count| answer[count].parse::<usize>().unwrap()).sum()
    }

    /// A function that does nothing.
    pub(super) async fn make_function(&self, placeholder: &str) -> String {
        let code = crate::archive::zip("nada.py", b"def handler(event, context):\n    return None\n");
        let role = self.role("funciones", &service_trust("lambda.amazonaws.com"), None).await;
        let function = aws_sdk_lambda::Client::new(&self.root)
            .create_function()
            .function_name(self.name(placeholder))
            .runtime(Runtime::Python312)
            .role(role)
            .handler("nada.handler")
            .code(FunctionCode::builder().zip_file(Blob::new(code)).build());
        function.send().await.unwrap().function_arn.unwrap()
    }

    /// A document that the crate publishes.
    pub(super) fn document(&self, name: &str) -> Value {
        let path = format!("{}/policies/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let mut text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        for (placeholder, value) in &self.names {
            text = text.replace(&format!("${{{placeholder}}}"), value);
        }
        assert!(!text.contains("${"), "{path} holds a placeholder that nobody explains: {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub(super) fn policy(&self, name: &str) -> Policy {
        Policy(self.document(name))
    }

    /// A role of the installation, and what it may do; its ARN.
    pub(super) async fn role(&self, name: &str, trust: &Value, policy: Option<&Policy>) -> String {
        let name = format!("{}-{name}", self.app);
        let trust = trust.to_string();
        self.iam(&[("Action", "CreateRole"), ("RoleName", &name), ("AssumeRolePolicyDocument", &trust)]).await;
        let arn = format!("arn:aws:iam::{ACCOUNT}:role/{name}");
        if let Some(policy) = policy {
            self.allow(&arn, "lo-suyo", policy).await;
        }
        arn
    }

    /// Replaces the policy that a role has under a name.
    pub(super) async fn allow(&self, role: &str, name: &str, policy: &Policy) {
        let document = policy.clone().served().0;
        let (_, role) = role.rsplit_once('/').unwrap();
        if document["Statement"] == json!([]) {
            return;
        }
        let document = document.to_string();
        let parameters = [("RoleName", role), ("PolicyName", name), ("PolicyDocument", &document)];
        self.iam(&[&[("Action", "PutRolePolicy")], &parameters[..]].concat()).await;
    }

    pub(super) async fn trust(&self, role: &str, trust: &Value) {
        let (trust, (_, role)) = (trust.to_string(), role.rsplit_once('/').unwrap());
        self.iam(&[("Action", "UpdateAssumeRolePolicy"), ("RoleName", role), ("PolicyDocument", &trust)]).await;
    }

    /// What a program has that runs as a role: nothing but that role's credentials.
    ///
    /// The server takes the account's root user for every service.
    pub(super) async fn acting_as(&self, role: &str) -> SdkConfig {
        let sts = aws_sdk_sts::Client::new(&self.root);
        let given = sts.assume_role().role_arn(role).role_session_name("prueba").send().await.unwrap();
        let given = given.credentials.unwrap();
        let token = Some(given.session_token);
        let own = Credentials::new(given.access_key_id, given.secret_access_key, token, None, "tests");
        self.root.to_builder().credentials_provider(aws_sdk_sqs::config::SharedCredentialsProvider::new(own)).build()
    }

    /// A call of IAM, without its SDK: that takes longer to build than all tests take to run.
    async fn iam(&self, parameters: &[(&str, &str)]) {
        let endpoint = endpoint("KAIROS_TEST_AWS_IAM");
        let host = endpoint.trim_start_matches("http://");
        let pairs = parameters.iter().chain(&[("Version", "2010-05-08")]);
        let body = pairs.map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>().join("&");
        // Of the root user, whose signature the server does not check.
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, \
             Signature=none\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{parameters:?}: {answer}");
    }
}

/// Who lets a service in, as what runs a part does.
pub(super) fn service_trust(service: &str) -> Value {
    let statement = json!({ "Effect": "Allow", "Principal": { "Service": service }, "Action": "sts:AssumeRole" });
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
