//! Those who make single calls: a process at its target, a trigger at the dispatcher, whoever reads names or makes tables.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_lambda::error::DisplayErrorContext;
use aws_sdk_lambda::types::InvocationType;
use kairos::backend::{Invocation, Invoker as _};
use kairos::clock::SystemClock;
use kairos::{Error, ErrorKind, ExecutionId, Failure, Process, Target};
use kairos_aws::{AwsInvoker, Config, SessionConfig, TableNames, TableOptions, create_tables};
use serde_json::{Value, json};

use super::account::{EXTERNAL_ID, Site, service_trust};
use super::executing::{invoker, process};
use super::{Outcomes, Part, prove, told};
use crate::place::ACCOUNT;

fn invocation(process: Process) -> Invocation {
    let due = "2026-01-01T09:00:00Z".parse().unwrap();
    let id = ExecutionId::of_occurrence(&process.id, due);
    Invocation::new(Target::parse(&process.target).unwrap(), Arc::new(process), id, due).with_payload("{}")
}

/// The role of a process, which an executor assumes.
struct Calling {
    executor: String,
    /// Function, state machine, topic and queue.
    targets: [String; 4],
}

#[async_trait]
impl Part for Calling {
    const POLICY: &'static str = "process";

    fn role() -> &'static str {
        "proceso-x"
    }

    fn trust(site: &Site) -> Value {
        site.document("process.trust")
    }

    async fn prepare(site: &Site) -> Self {
        let policy = site.policy("executor");
        let executor = site.role("ejecutor", &service_trust("lambda.amazonaws.com"), Some(&policy)).await;
        let function = site.make_function("Function").await;
        let definition = json!({ "StartAt": "Fin", "States": { "Fin": { "Type": "Pass", "End": true } } });
        let machine = aws_sdk_sfn::Client::new(&site.root)
            .create_state_machine()
            .name(site.name("StateMachine"))
            .definition(definition.to_string())
            .role_arn(&executor);
        let machine = machine.send().await.unwrap().state_machine_arn;
        let topic = aws_sdk_sns::Client::new(&site.root).create_topic().name(site.name("Topic")).send().await.unwrap();
        site.make_queue("TargetQueue").await;
        let queue = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}", site.name("TargetQueue"));
        Self { executor, targets: [function, machine, topic.topic_arn.unwrap(), queue] }
    }

    async fn work(&self, site: &Site, role: &str) -> Outcomes {
        let invoker = invoker(&site.acting_as(&self.executor).await);
        let mut outcomes = Outcomes::new();
        let [function, machine, topic, queue] = &self.targets;
        for (name, target) in [("function", function), ("state machine", machine), ("topic", topic), ("queue", queue)] {
            outcomes.insert(name, told(invoker.invoke(invocation(process("ventas", role, target))).await));
        }
        // A role need not be allowed to look at a state machine or topic, and this one is not.
        for (name, target) in [
            ("check a function", function),
            ("check a state machine", machine),
            ("check a topic", topic),
            ("check a queue", queue),
        ] {
            let faults = invoker.check(&process("ventas", role, target)).await.unwrap();
            let fault = faults.first().map(|fault| Failure::from(&Error::new(ErrorKind::Denied, fault.to_string())));
            outcomes.insert(name, fault.map_or(Ok(()), Err));
        }
        outcomes
    }

    async fn settled(&self, _site: &Site) {}
}

#[tokio::test]
async fn a_process_takes_what_its_policy_allows_and_nothing_less() {
    prove::<Calling>(&[
        ("Function", "lambda:InvokeFunction", &["function", "check a function"]),
        ("StateMachine", "states:StartExecution", &["state machine"]),
        ("Topic", "sns:Publish", &["topic"]),
        ("Queue", "sqs:GetQueueUrl", &["queue", "check a queue"]),
        ("Queue", "sqs:SendMessage", &["queue"]),
    ])
    .await;
}

#[tokio::test]
async fn a_role_lets_in_its_executor_under_its_external_id_and_nobody_else() {
    let site = Site::new().await;
    site.make_queue("TargetQueue").await;
    let function = service_trust("lambda.amazonaws.com");
    let executor = site.role("ejecutor", &function, Some(&site.policy("executor"))).await;
    let stranger = site.role("otro", &function, Some(&site.policy("executor"))).await;
    let trust = site.document("process.trust");
    let role = site.role("proceso-x", &trust, Some(&site.policy("process"))).await;
    let queue = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}", site.name("TargetQueue"));
    let call = invocation(process("ventas", &role, &queue));
    let own = site.acting_as(&executor).await;
    let with = |sessions| AwsInvoker::new(&own, Arc::new(SystemClock)).with_sessions(sessions).unwrap();

    with(SessionConfig::default().with_external_id(EXTERNAL_ID)).invoke(call.clone()).await.unwrap();
    let strange = invoker(&site.acting_as(&stranger).await);
    for (who, invoker) in [
        ("another external id", with(SessionConfig::default().with_external_id("otra"))),
        ("none", with(SessionConfig::default())),
        ("another executor", strange),
    ] {
        let error = invoker.invoke(call.clone()).await.unwrap_err();
        assert_eq!((error.kind(), error.subject()), (ErrorKind::Denied, Some(&*role)), "{who}: {error}");
        assert!(error.message().contains(&format!("may not do sts:AssumeRole on {role}")), "{who}: {error}");
        assert!(error.message().contains("the role's trust policy, which may ask for an external id"), "{error}");
        println!("{who}: {error}");
    }

    // A session for each process carries tags, which the role must let in too. That it carries a source identity this server does not
    // look at; nor does it ask whether the executor's own policy lets it set either.
    let per_process = SessionConfig::default().with_external_id(EXTERNAL_ID).with_one_per_process();
    let error = with(per_process.clone()).invoke(call.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains(&format!("may not do sts:TagSession on {role}")), "{error}");
    site.trust(&role, &site.document("process-sessions.trust")).await;
    site.allow(&executor, "sesiones", &site.policy("executor-sessions")).await;
    with(per_process).invoke(call.clone()).await.unwrap();
}

/// The role as which a trigger calls the dispatcher. This server calls it as the root user, so that the role is tried by hand.
struct Triggering(String);

#[async_trait]
impl Part for Triggering {
    const POLICY: &'static str = "trigger";

    fn role() -> &'static str {
        "disparos"
    }

    fn trust(site: &Site) -> Value {
        let mut trust = site.document("trigger.trust");
        // No service tells this server for whose account it asks.
        trust["Statement"][0].as_object_mut().unwrap().remove("Condition").unwrap();
        trust
    }

    fn says(action: &str) -> [String; 2] {
        ["access denied".into(), format!("is not authorized to perform: {action}")]
    }

    async fn prepare(site: &Site) -> Self {
        site.make_function("Dispatcher").await;
        Self(site.make_queue("TriggerDeadLetters").await)
    }

    async fn work(&self, site: &Site, role: &str) -> Outcomes {
        let sdk = site.acting_as(role).await;
        let denied = |text: String| Failure::from(&Error::new(ErrorKind::Denied, format!("access denied: {text}")));
        let function = site.config.dispatcher_arn.as_deref().unwrap();
        let call =
            aws_sdk_lambda::Client::new(&sdk).invoke().function_name(function).invocation_type(InvocationType::Event);
        let letter = aws_sdk_sqs::Client::new(&sdk).send_message().queue_url(&self.0).message_body("{}");
        let called = call.send().await.map(drop).map_err(|error| denied(DisplayErrorContext(error).to_string()));
        let sent = letter.send().await.map(drop).map_err(|error| denied(DisplayErrorContext(error).to_string()));
        Outcomes::from([("call the dispatcher", called), ("send a dead letter", sent)])
    }

    async fn settled(&self, _site: &Site) {}
}

#[tokio::test]
async fn a_trigger_takes_what_its_policy_allows_and_nothing_less() {
    prove::<Triggering>(&[
        ("Dispatcher", "lambda:InvokeFunction", &["call the dispatcher"]),
        ("DeadLettersOfTriggers", "sqs:SendMessage", &["send a dead letter"]),
    ])
    .await;
}

struct Configuring;

#[async_trait]
impl Part for Configuring {
    const POLICY: &'static str = "parameters";

    async fn prepare(site: &Site) -> Self {
        let name = format!("/{}/SQS/QueueUrl", site.app);
        let put = aws_sdk_ssm::Client::new(&site.root).put_parameter().name(name).value("https://queue");
        put.r#type(aws_sdk_ssm::types::ParameterType::String).send().await.unwrap();
        Self
    }

    async fn work(&self, site: &Site, role: &str) -> Outcomes {
        let client = aws_sdk_ssm::Client::new(&site.acting_as(role).await);
        let read = Config::from_parameters(&site.app, &client).await;
        if let Ok(config) = &read {
            assert_eq!(config.queue_url.as_deref(), Some("https://queue"));
        }
        Outcomes::from([("read the configuration", told(read))])
    }

    async fn settled(&self, _site: &Site) {}
}

#[tokio::test]
async fn reading_names_takes_what_its_policy_allows_and_nothing_less() {
    prove::<Configuring>(&[("Names", "ssm:GetParameter", &["read the configuration"])]).await;
}

struct Installing;

#[async_trait]
impl Part for Installing {
    const POLICY: &'static str = "installer";

    async fn prepare(_site: &Site) -> Self {
        Self
    }

    async fn work(&self, site: &Site, role: &str) -> Outcomes {
        let client = aws_sdk_dynamodb::Client::new(&site.acting_as(role).await);
        let names = TableNames::of(&format!("{}Otra", site.app));
        Outcomes::from([("make tables", told(create_tables(&client, &names, &TableOptions::new()).await))])
    }

    async fn settled(&self, _site: &Site) {}
}

#[tokio::test]
async fn making_tables_takes_what_its_policy_allows_and_nothing_less() {
    prove::<Installing>(&[
        ("Tables", "dynamodb:CreateTable", &["make tables"]),
        ("Tables", "dynamodb:DescribeTable", &["make tables"]),
        ("Tables", "dynamodb:UpdateContinuousBackups", &["make tables"]),
        ("Tables", "dynamodb:DescribeTimeToLive", &["make tables"]),
        ("Tables", "dynamodb:UpdateTimeToLive", &["make tables"]),
    ])
    .await;
}
