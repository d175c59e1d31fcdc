//! Targets of a real server, and what arrives at them. `scripts/servers run cargo test -p kairos-aws --test invoker` starts one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests, also in the functions that they share"
)]

#[path = "invoker/archive.rs"]
mod archive;
#[path = "invoker/site.rs"]
mod site;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kairos::ErrorKind;
use kairos::backend::{Invocation, Invoker};
use kairos::clock::{ClockExt as _, SystemClock};
use kairos::conformance::{self, InvokerHarness, Sample, Taken};
use kairos_aws::AwsInvoker;
use serde_json::{Value, json};
use site::{Arrived, Site, invocation, process};

const PAYLOAD: &str = "{\"día\": \"1\",  \"ruta\":\"C:\\\\año\"}";

/// Targets that show what they have taken.
struct Targets {
    site: Site,
    invoker: AwsInvoker,
    targets: [(String, bool); 6],
    /// A cluster, and a task to run on it.
    cluster: (String, String),
}

impl Targets {
    async fn new() -> Self {
        let site = Site::new().await;
        let targets = [
            (site.state_machine().await, true),
            (site.queue("a").await, false),
            (site.queue("a.fifo").await, true),
            (site.topic("t").await, false),
            (site.topic("t.fifo").await, true),
            (site.bus("b").await, false),
        ];
        Self { invoker: site.invoker(), cluster: site.cluster().await, site, targets }
    }
}

#[async_trait]
impl InvokerHarness for Targets {
    fn backend(&self) -> &dyn Invoker {
        &self.invoker
    }

    fn samples(&self) -> Vec<Sample> {
        let sample = |(target, is_idempotent): &(String, bool)| {
            let sample = Sample::new(invocation(target).with_payload(PAYLOAD));
            if *is_idempotent { sample.idempotent() } else { sample }
        };
        // The server does not honour client tokens as ECS does: to the suite it is no idempotent target.
        let (cluster, task) = &self.cluster;
        let task = Sample::new(invocation(cluster).with_payload(task.clone()));
        self.targets.iter().map(sample).chain([task]).collect()
    }

    fn missing(&self) -> Option<Invocation> {
        Some(invocation("arn:aws:sqs:us-east-1:123456789012:nadie"))
    }

    async fn taken(&self) -> Option<Vec<Taken>> {
        let mut taken = self.site.started(&self.targets[0].0).await;
        for message in self.site.arrived().await {
            // The detail of an event arrives as JSON, not as it was written.
            let payload = message.event().is_none().then(|| message.body.clone());
            taken.push(Taken { execution_id: message.execution_id().unwrap(), payload: payload.map(Arc::from) });
        }
        let ran = self.site.ran(&self.cluster.0).await;
        taken.extend(ran.into_iter().map(|(execution_id, _)| Taken { execution_id, payload: None }));
        Some(taken)
    }
}

#[tokio::test]
async fn targets_that_show_what_they_take_conform_also_the_second_time() {
    let targets = Targets::new().await;
    for _ in 0..2 {
        let report = conformance::invoker(&targets).await;
        let cases: Vec<_> = report.not_applicable.iter().map(|(case, _)| *case).collect();
        assert_eq!(cases, ["a_task_that_is_not_registered_is_refused"], "{report}");
    }
}

/// An asynchronous function is given its payload and nothing of the execution: who wants that puts placeholders into the parameters.
struct Functions {
    invoker: AwsInvoker,
    function: String,
}

#[async_trait]
impl InvokerHarness for Functions {
    fn backend(&self) -> &dyn Invoker {
        &self.invoker
    }

    fn samples(&self) -> Vec<Sample> {
        vec![Sample::new(invocation(&self.function).with_payload(PAYLOAD))]
    }

    fn missing(&self) -> Option<Invocation> {
        Some(invocation("arn:aws:lambda:us-east-1:123456789012:function:nadie"))
    }

    async fn taken(&self) -> Option<Vec<Taken>> {
        None
    }
}

#[tokio::test]
async fn functions_conform() {
    let site = Site::new().await;
    let functions = Functions { invoker: site.invoker(), function: site.function().await };
    let report = conformance::invoker(&functions).await;
    let cases: Vec<_> = report.not_applicable.iter().map(|(case, _)| *case).collect();
    let unseen = ["a_payload_arrives_as_it_is", "an_idempotent_target_takes_an_execution_once"];
    assert_eq!(cases, [unseen[0], unseen[1], "a_task_that_is_not_registered_is_refused"], "{report}");
}

/// What has arrived, once there are so many.
async fn arrived(site: &Site, count: usize) -> Vec<Arrived> {
    for _ in 0..400 {
        let arrived = site.arrived().await;
        if arrived.len() >= count {
            return arrived;
        }
        SystemClock.sleep(Duration::from_millis(25)).await;
    }
    panic!("{count} messages were expected, found {:?}", site.arrived().await);
}

#[tokio::test]
async fn messages_arrive_with_what_they_tell_about_their_execution() {
    let site = Site::new().await;
    let invoker = site.invoker();
    let targets =
        [site.queue("b").await, site.queue("b.fifo").await, site.topic("u").await, site.topic("u.fifo").await];
    for target in &targets {
        let call = invocation(target).with_payload("{\"día\":1}").with_attempt(2);
        let before = site.arrived().await;
        invoker.invoke(call.clone()).await.unwrap();
        let message = arrived(&site, before.len() + 1).await.pop().unwrap();
        assert_eq!(message.body, "{\"día\":1}", "{target}");
        let text = |value: &str| ("String".to_owned(), value.to_owned());
        let expected = BTreeMap::from([
            ("kairos.execution-id".to_owned(), text(&call.execution_id.to_string())),
            ("kairos.process-id".to_owned(), text(call.process.id.as_str())),
            ("kairos.schedule-id".to_owned(), text("calendarizacion-x")),
            ("kairos.scheduled-time".to_owned(), text("2026-01-01T09:00:00Z")),
            ("kairos.attempt".to_owned(), ("Number".to_owned(), "2".to_owned())),
        ]);
        assert_eq!(message.attributes, expected, "{target}");
        if target.ends_with(".fifo") {
            let fifo = ["MessageGroupId", "MessageDeduplicationId"].map(|name| message.system[name].clone());
            assert_eq!(fifo, [call.process.id.to_string(), call.execution_id.to_string()], "{target}");
        }
    }
}

#[tokio::test]
async fn an_execution_that_is_started_twice_is_one() {
    let site = Site::new().await;
    let (invoker, machine) = (site.invoker(), site.state_machine().await);
    let call = invocation(&machine);
    invoker.invoke(call.clone().with_payload("{\"n\":1}")).await.unwrap();
    // Its input says which try it is; the first one stands.
    invoker.invoke(call.clone().with_payload("{\"n\":2}").with_attempt(2)).await.unwrap();
    let expected = Taken { execution_id: call.execution_id, payload: Some("{\"n\":1}".into()) };
    assert_eq!(site.started(&machine).await, [expected]);
}

#[tokio::test]
async fn a_function_runs_with_the_payload_as_the_version_that_its_qualifier_names() {
    let site = Site::new().await;
    let (invoker, function) = (site.invoker(), site.function().await);
    let qualified = [function.clone(), format!("{function}:$LATEST"), format!("{function}:prod")];
    for (done, target) in qualified.iter().enumerate() {
        let payload = json!({ "día": done, "ruta": "C:\\año" });
        invoker.invoke(invocation(target).with_payload(payload.to_string())).await.unwrap();
        let message = arrived(&site, done + 1).await.pop().unwrap();
        let told: Value = serde_json::from_str(&message.body).unwrap();
        assert_eq!(told["event"], payload, "{target}");
        let version = if target.ends_with(":prod") { "1" } else { "$LATEST" };
        assert_eq!(told["version"], version, "{target}");
    }
}

#[tokio::test]
async fn a_task_is_run_and_told_about_its_execution() {
    let site = Site::new().await;
    let (invoker, (cluster, task)) = (site.invoker(), site.cluster().await);
    let call = invocation(&cluster).with_payload(task);
    invoker.invoke(call.clone()).await.unwrap();
    let told = BTreeMap::from([
        ("KAIROS_EXECUTION_ID".to_owned(), call.execution_id.to_string()),
        ("KAIROS_SCHEDULED_TIME".to_owned(), "2026-01-01T09:00:00Z".to_owned()),
    ]);
    assert_eq!(site.ran(&cluster).await, [(call.execution_id, told)]);
    // The server makes the clusters that are missing.
    let error = invoker.invoke(call.with_payload(r#"{"taskDefinition":"nadie"}"#)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
}

#[tokio::test]
async fn an_event_arrives_with_its_detail_and_what_it_tells_about_its_execution() {
    let site = Site::new().await;
    let (invoker, bus) = (site.invoker(), site.bus("c").await);
    let call = invocation(&bus).with_payload(PAYLOAD);
    invoker.invoke(call.clone()).await.unwrap();
    let event = arrived(&site, 1).await.pop().unwrap().event().unwrap();
    // The server puts its own time.
    assert_eq!((&event["source"], &event["detail-type"]), (&json!("kairos"), &json!("ventas")));
    assert_eq!(event["detail"], serde_json::from_str::<Value>(PAYLOAD).unwrap());
    let resources = [
        format!("kairos:execution:{}", call.execution_id),
        format!("kairos:process:{}", call.process.id),
        "kairos:schedule:calendarizacion-x".into(),
    ];
    assert_eq!(event["resources"], json!(resources));
}

#[tokio::test]
async fn what_is_missing_is_not_found() {
    let site = Site::new().await;
    let invoker = site.invoker();
    for target in [
        "arn:aws:lambda:us-east-1:123456789012:function:nadie",
        "arn:aws:states:us-east-1:123456789012:stateMachine:nadie",
        "arn:aws:sns:us-east-1:123456789012:nadie",
        "arn:aws:sqs:us-east-1:123456789012:nadie",
    ] {
        let error = invoker.invoke(invocation(target)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    // Its URL is known by then.
    let queue = site.queue("c").await;
    invoker.invoke(invocation(&queue)).await.unwrap();
    site.delete_queue(&queue).await;
    assert_eq!(invoker.invoke(invocation(&queue)).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn regions_are_apart() {
    let site = Site::new().await;
    let queue = site.queue("d").await;
    let elsewhere = queue.replace("us-east-1", "eu-west-1");
    let error = site.invoker().invoke(invocation(&elsewhere)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn a_check_finds_what_would_fail_and_calls_nothing() {
    let site = Site::new().await;
    let invoker = site.invoker();
    let targets = [site.function().await, site.state_machine().await, site.queue("e").await, site.topic("v").await];
    let fields = async |target: &str, parameters: Option<Arc<str>>| {
        let mut process = process(target);
        process.parameters = parameters;
        let faults = invoker.check(&process).await.unwrap();
        faults.into_iter().map(|fault| fault.field).collect::<Vec<_>>()
    };
    for target in &targets {
        assert_eq!(fields(target, Some("{}".into())).await, [""; 0], "{target}");
        assert_eq!(fields(&format!("{target}-nadie"), Some("{}".into())).await, ["arnProceso"], "{target}");
        let large = Some("1".repeat(1024 * 1024 + 1).into());
        assert_eq!(fields(&format!("{target}-nadie"), large).await, ["parametros", "arnProceso"], "{target}");
    }
    // The server knows no event bus by its ARN, as a look gives it.
    let (cluster, task) = site.cluster().await;
    assert_eq!(fields(&cluster, Some(task.as_str().into())).await, [""; 0]);
    assert_eq!(fields(&format!("{cluster}-nadie"), Some(task.into())).await, ["arnProceso"]);
    assert_eq!(fields(&cluster, Some(r#"{"taskDefinition":"nadie"}"#.into())).await, ["parametros"]);
    assert_eq!(
        (site.arrived().await, site.started(&targets[1]).await, site.ran(&cluster).await),
        (vec![], vec![], vec![])
    );
}
