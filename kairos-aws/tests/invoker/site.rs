//! A place with targets of its own on a real server.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ecs::types::{ContainerDefinition, ContainerOverride, TaskOverride};
use aws_sdk_eventbridge::types::Target;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, FunctionCode, Runtime};
use aws_sdk_sqs::config::Credentials;
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use kairos::backend::Invocation;
use kairos::chance::Chance;
use kairos::clock::SystemClock;
use kairos::conformance::Taken;
use kairos::{ExecutionId, Process, ProcessId};
use kairos_aws::AwsInvoker;
use serde_json::{Value, json};
use tokio::sync::Mutex;

const ACCOUNT: &str = "123456789012";
const ROLE: &str = "arn:aws:iam::123456789012:role/kairos-ventas";

/// What a queue has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) body: String,
    /// Type and value by name.
    pub(crate) attributes: BTreeMap<String, (String, String)>,
    /// Those of the service by name.
    pub(crate) system: BTreeMap<String, String>,
}

pub(crate) struct Site {
    config: SdkConfig,
    mark: String,
    sqs: aws_sdk_sqs::Client,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    queues: Vec<String>,
    arrived: Vec<Arrived>,
    started: HashMap<String, Taken>,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let endpoint = std::env::var("KAIROS_TEST_AWS").expect(
            "KAIROS_TEST_AWS names no server; run this as: scripts/servers run cargo test -p kairos-aws --test invoker",
        );
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(ACCOUNT, "secret", None, None, "test"))
            .endpoint_url(endpoint)
            .load()
            .await;
        let mark = Chance::from_system().uuid().simple().to_string();
        Self { sqs: aws_sdk_sqs::Client::new(&config), config, mark, seen: Mutex::default() }
    }

    pub(crate) fn invoker(&self) -> AwsInvoker {
        AwsInvoker::new(&self.config, Arc::new(SystemClock))
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.mark)
    }

    /// A queue whose messages are seen; its ARN.
    pub(crate) async fn queue(&self, name: &str) -> String {
        let fifo = name.ends_with(".fifo").then(|| HashMap::from([(QueueAttributeName::FifoQueue, "true".to_owned())]));
        let name = self.name(name);
        let queue = self.sqs.create_queue().queue_name(&name).set_attributes(fifo).send().await.unwrap();
        self.seen.lock().await.queues.push(queue.queue_url.unwrap());
        format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{name}")
    }

    pub(crate) async fn delete_queue(&self, arn: &str) {
        let name = arn.rsplit(':').next().unwrap();
        let mut seen = self.seen.lock().await;
        let at = seen.queues.iter().position(|url| url.ends_with(name)).unwrap();
        self.sqs.delete_queue().queue_url(seen.queues.remove(at)).send().await.unwrap();
    }

    /// A topic that a queue is subscribed to; its ARN.
    pub(crate) async fn topic(&self, name: &str) -> String {
        let sns = aws_sdk_sns::Client::new(&self.config);
        let fifo = name.ends_with(".fifo").then(|| HashMap::from([("FifoTopic".to_owned(), "true".to_owned())]));
        let topic = sns.create_topic().name(self.name(name)).set_attributes(fifo).send().await.unwrap();
        let topic = topic.topic_arn.unwrap();
        let queue = self.queue(&format!("of-{name}")).await;
        // Raw: message attributes stay what they are.
        let subscription = sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(queue);
        subscription.attributes("RawMessageDelivery", "true").send().await.unwrap();
        topic
    }

    /// A state machine that ends at once; its ARN.
    pub(crate) async fn state_machine(&self) -> String {
        let definition = json!({ "StartAt": "Fin", "States": { "Fin": { "Type": "Pass", "End": true } } });
        let machine = aws_sdk_sfn::Client::new(&self.config)
            .create_state_machine()
            .name(self.name("m"))
            .definition(definition.to_string())
            .role_arn(ROLE)
            .send();
        machine.await.unwrap().state_machine_arn
    }

    /// A function that tells a queue what it is called with, and its version 1 under the alias `prod`; its ARN.
    pub(crate) async fn function(&self) -> String {
        self.queue("told").await;
        let queue = self.seen.lock().await.queues.last().unwrap().clone();
        let lambda = aws_sdk_lambda::Client::new(&self.config);
        let code = super::archive::zip("told.py", HANDLER.as_bytes());
        let name = self.name("f");
        let function = lambda
            .create_function()
            .function_name(&name)
            .runtime(Runtime::Python312)
            .role(ROLE)
            .handler("told.handler")
            .code(FunctionCode::builder().zip_file(Blob::new(code)).build())
            .environment(Environment::builder().variables("QUEUE", queue).build())
            .send();
        let arn = function.await.unwrap().function_arn.unwrap();
        lambda.publish_version().function_name(&name).send().await.unwrap();
        lambda.create_alias().function_name(&name).name("prod").function_version("1").send().await.unwrap();
        arn
    }

    /// A cluster, which a task definition is run on; its ARN, and the parameters of such a task.
    pub(crate) async fn cluster(&self) -> (String, String) {
        let ecs = aws_sdk_ecs::Client::new(&self.config);
        let cluster = ecs.create_cluster().cluster_name(self.name("c")).send().await.unwrap().cluster.unwrap();
        let container = ContainerDefinition::builder().name("app").image("app").memory(128).build();
        let definition = ecs.register_task_definition().family(self.name("t")).container_definitions(container).send();
        let family = definition.await.unwrap().task_definition.unwrap().family.unwrap();
        let task = json!({ "taskDefinition": family, "overrides": { "containerOverrides": [{ "name": "app" }] } });
        (cluster.cluster_arn.unwrap(), task.to_string())
    }

    /// The tasks of a cluster that have been run so far: who started each, and the environment that its containers were told.
    pub(crate) async fn ran(&self, cluster: &str) -> Vec<(ExecutionId, BTreeMap<String, String>)> {
        let ecs = aws_sdk_ecs::Client::new(&self.config);
        let tasks = ecs.list_tasks().cluster(cluster).into_paginator().items().send();
        let tasks = tasks.collect::<Result<Vec<_>, _>>().await.unwrap();
        let mut all = Vec::new();
        for some in tasks.chunks(100) {
            let answer = ecs.describe_tasks().cluster(cluster).set_tasks(Some(some.to_vec())).send().await.unwrap();
            for task in answer.tasks() {
                let containers = task.overrides().map(TaskOverride::container_overrides).unwrap_or_default();
                let variables = containers.iter().flat_map(ContainerOverride::environment);
                let told = variables.map(|v| (v.name().unwrap().to_owned(), v.value().unwrap().to_owned())).collect();
                all.push((task.started_by().unwrap().parse().unwrap(), told));
            }
        }
        all
    }

    /// An event bus, whose events of Kairos are told to a queue; its ARN.
    pub(crate) async fn bus(&self, name: &str) -> String {
        let events = aws_sdk_eventbridge::Client::new(&self.config);
        let bus = self.name(name);
        let arn = events.create_event_bus().name(&bus).send().await.unwrap().event_bus_arn.unwrap();
        let queue = self.queue(&format!("of-{name}")).await;
        let rule = events.put_rule().event_bus_name(&bus).name("all").event_pattern(r#"{"source":["kairos"]}"#);
        rule.send().await.unwrap();
        let target = Target::builder().id("q").arn(queue).build().unwrap();
        events.put_targets().event_bus_name(&bus).rule("all").targets(target).send().await.unwrap();
        arn
    }

    /// All that the queues have received so far.
    pub(crate) async fn arrived(&self) -> Vec<Arrived> {
        let mut seen = self.seen.lock().await;
        for url in seen.queues.clone() {
            loop {
                let answer = self
                    .sqs
                    .receive_message()
                    .queue_url(&url)
                    .max_number_of_messages(10)
                    .message_attribute_names("All")
                    .message_system_attribute_names(MessageSystemAttributeName::All)
                    .send();
                let messages = answer.await.unwrap().messages.unwrap_or_default();
                if messages.is_empty() {
                    break;
                }
                for message in messages {
                    let receipt = message.receipt_handle().unwrap();
                    self.sqs.delete_message().queue_url(&url).receipt_handle(receipt).send().await.unwrap();
                    seen.arrived.push(message.into());
                }
            }
        }
        seen.arrived.clone()
    }

    /// The executions of a state machine that have been started so far.
    pub(crate) async fn started(&self, machine: &str) -> Vec<Taken> {
        let sfn = aws_sdk_sfn::Client::new(&self.config);
        let mut seen = self.seen.lock().await;
        let mut pages = sfn.list_executions().state_machine_arn(machine).into_paginator().items().send();
        let mut all = Vec::new();
        while let Some(execution) = pages.next().await {
            let execution = execution.unwrap();
            if !seen.started.contains_key(&execution.execution_arn) {
                let details = sfn.describe_execution().execution_arn(&execution.execution_arn).send().await.unwrap();
                let taken =
                    Taken { execution_id: execution.name.parse().unwrap(), payload: details.input.map(Arc::from) };
                seen.started.insert(execution.execution_arn.clone(), taken);
            }
            all.push(seen.started[&execution.execution_arn].clone());
        }
        all
    }
}

impl Arrived {
    /// Under which execution: a message says so as an attribute, an event as a resource.
    pub(crate) fn execution_id(&self) -> Option<ExecutionId> {
        if let Some((_, id)) = self.attributes.get("kairos.execution-id") {
            return Some(id.parse().unwrap());
        }
        let id = self.event()?["resources"][0].as_str()?.strip_prefix("kairos:execution:")?.to_owned();
        Some(id.parse().unwrap())
    }

    /// The event that it tells of.
    pub(crate) fn event(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok().filter(|event: &Value| event.get("detail-type").is_some())
    }
}

impl From<aws_sdk_sqs::types::Message> for Arrived {
    fn from(message: aws_sdk_sqs::types::Message) -> Self {
        let attributes = message.message_attributes.unwrap_or_default().into_iter();
        let system = message.attributes.unwrap_or_default().into_iter();
        Self {
            body: message.body.unwrap(),
            attributes: attributes
                .map(|(name, value)| (name, (value.data_type, value.string_value.unwrap())))
                .collect(),
            system: system.map(|(name, value)| (name.as_str().to_owned(), value)).collect(),
        }
    }
}

/// With nothing but what every Python has: which SDK a server's workers have differs.
const HANDLER: &str = r#"
import json, os, urllib.request

def handler(event, context):
    told = json.dumps({"event": event, "version": context.function_version})
    urllib.request.urlopen(urllib.request.Request(
        os.environ["AWS_ENDPOINT_URL"],
        json.dumps({"QueueUrl": os.environ["QUEUE"], "MessageBody": told}).encode(),
        {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "AmazonSQS.SendMessage",
            "Authorization": "AWS4-HMAC-SHA256 Credential=123456789012/20260101/us-east-1/sqs/aws4_request,"
                             " SignedHeaders=host, Signature=none",
        },
    )).read()
"#;

pub(crate) fn process(target: &str) -> Process {
    serde_json::from_value(json!({
        "IdProceso": ProcessId::of("ventas"), "IdCalendarizacion": "calendarizacion-x", "Nombre": "ventas",
        "ArnRol": ROLE, "ArnProceso": target, "Parametros": "{}",
        "Habilitado": true, "FechaCreacion": "2026-01-01T00:00:00Z",
    }))
    .unwrap()
}

pub(crate) fn invocation(target: &str) -> Invocation {
    let due = "2026-01-01T09:00:00Z".parse().unwrap();
    let process = process(target);
    let id = ExecutionId::of_occurrence(&process.id, due);
    Invocation::new(kairos::Target::parse(target).unwrap(), Arc::new(process), id, due)
}
