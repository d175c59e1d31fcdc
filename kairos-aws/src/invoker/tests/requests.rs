//! The shape of each request.

use std::collections::BTreeSet;

use kairos::backend::Invoker as _;
use kairos::{ErrorKind, ProcessId, TargetKind};

use super::wire::{Answer, Seen};
use super::{
    BUS, CLUSTER, FUNCTION, MACHINE, QUEUE, SessionConfig, TOPIC, Wire, clock, invocation, invocation_of, invoker,
    process,
};

const EXECUTION: &str = "a638e36a-e7ee-5f05-bed7-1706ff8d8d37";

async fn sent(target: &str, service: &str) -> Vec<Seen> {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    invoker(&wire, &clock).invoke(invocation(target).with_attempt(3)).await.unwrap();
    wire.seen(service)
}

#[tokio::test]
async fn a_function_is_invoked_asynchronously_with_its_qualifier() {
    let seen = sent(&format!("{FUNCTION}:prod"), "lambda").await.remove(0);
    assert_eq!(seen.host, "lambda.us-east-1.amazonaws.com");
    assert_eq!(
        seen.path,
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Aventas/invocations?Qualifier=prod"
    );
    assert_eq!((seen.headers["x-amz-invocation-type"].as_str(), seen.body.as_str()), ("Event", "{\"día\":1}"));
    assert_eq!((seen.access_key(), seen.headers["x-amz-security-token"].as_str()), ("ASIA1", "token-1"));
}

#[tokio::test]
async fn an_execution_is_started_under_its_id() {
    let seen = sent(MACHINE, "states").await.remove(0);
    assert_eq!(seen.host, "states.us-east-1.amazonaws.com");
    let expected = serde_json::json!({ "stateMachineArn": MACHINE, "name": EXECUTION, "input": "{\"día\":1}" });
    assert_eq!(seen.json(), expected);
}

#[tokio::test]
async fn a_task_is_run_under_its_execution_id_and_the_same_at_each_try() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let invoker = invoker(&wire, &clock);
    for attempt in [1, 2] {
        invoker.invoke(invocation(CLUSTER).with_attempt(attempt)).await.unwrap();
    }
    let seen = wire.seen("ecs");
    assert_eq!(seen[0].host, "ecs.us-east-1.amazonaws.com");
    assert!(seen[0].headers["x-amz-target"].ends_with(".RunTask"));
    let environment = serde_json::json!([
        { "name": "KAIROS_EXECUTION_ID", "value": EXECUTION },
        { "name": "KAIROS_SCHEDULED_TIME", "value": "2026-01-01T09:00:00Z" },
    ]);
    let expected = serde_json::json!({
        "cluster": CLUSTER, "taskDefinition": "cierre:7", "clientToken": EXECUTION, "startedBy": EXECUTION,
        "overrides": { "containerOverrides": [{ "name": "app", "command": ["día"], "environment": environment }] },
    });
    assert_eq!(seen[0].json(), expected);
    assert_eq!(seen[1].body, seen[0].body);
}

/// All that a task may say, as `RunTask` has it.
const EVERYTHING: &str = r#"{
    "taskDefinition": "cierre:7", "launchType": "FARGATE", "platformVersion": "1.4.0", "group": "g",
    "propagateTags": "TASK_DEFINITION", "enableECSManagedTags": true, "enableExecuteCommand": false,
    "tags": [{"key": "k", "value": "v"}],
    "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 2, "base": 1}],
    "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"], "securityGroups": ["g"], "assignPublicIp": "ENABLED"}},
    "placementConstraints": [{"type": "memberOf", "expression": "e"}],
    "placementStrategy": [{"type": "spread", "field": "f"}],
    "overrides": {"cpu": "256", "memory": "512", "ephemeralStorage": {"sizeInGiB": 30}, "containerOverrides": [{
        "name": "app", "command": ["a"], "cpu": 1, "memory": 2, "memoryReservation": 3,
        "environment": [{"name": "KAIROS_EXECUTION_ID", "value": "x"}, {"name": "KAIROS_SCHEDULED_TIME", "value": "y"}],
        "environmentFiles": [{"type": "s3", "value": "f"}], "resourceRequirements": [{"type": "GPU", "value": "1"}]}]}
}"#;

#[tokio::test]
async fn all_that_a_task_may_say_is_sent_in_the_same_words() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    invoker(&wire, &clock).invoke(invocation(CLUSTER).with_payload(EVERYTHING)).await.unwrap();
    let mut sent = wire.seen("ecs")[0].json();
    for own in ["cluster", "clientToken", "startedBy"] {
        sent.as_object_mut().unwrap().remove(own).unwrap();
    }
    assert_eq!(sent, serde_json::from_str::<serde_json::Value>(EVERYTHING).unwrap());
}

/// What the core counts is what is sent, byte for byte.
#[tokio::test]
async fn the_largest_overrides_are_sent() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let invoker = invoker(&wire, &clock);
    let task = |length: usize| {
        let command = "x".repeat(length);
        let task = serde_json::json!({
            "taskDefinition": "a", "overrides": { "containerOverrides": [{ "name": "app", "command": ["\"\u{1}\u{7f}\\ñ\n", command] }] },
        });
        invocation(CLUSTER).with_payload(task.to_string())
    };
    let mut most = 0;
    while invoker.invoke(task(most + 1_024)).await.is_ok() {
        most += 1_024;
    }
    while invoker.invoke(task(most + 1)).await.is_ok() {
        most += 1;
    }
    let sent = wire.seen("ecs").pop().unwrap().body;
    let (_, overrides) = sent.split_once(r#""overrides":"#).unwrap();
    // The values of the stream end where the object does.
    let mut values = serde_json::Deserializer::from_str(overrides).into_iter::<serde_json::Value>();
    values.next().unwrap().unwrap();
    assert_eq!(values.byte_offset(), kairos::limits::OVERRIDES);
}

#[tokio::test]
async fn an_event_has_the_parameters_as_its_detail_and_tells_of_its_execution() {
    let seen = sent(BUS, "events").await.remove(0);
    assert_eq!(seen.host, "events.us-east-1.amazonaws.com");
    assert_eq!(seen.headers["x-amz-target"], "AWSEvents.PutEvents");
    let resources = [
        format!("kairos:execution:{EXECUTION}"),
        "kairos:process:proceso-dmVudGFz".into(),
        "kairos:schedule:calendarizacion-x".into(),
    ];
    let expected = serde_json::json!({ "Entries": [{
        "EventBusName": BUS, "Source": "kairos", "DetailType": "ventas", "Detail": "{\"día\":1}",
        "Time": 1_767_258_000, "Resources": resources,
    }] });
    assert_eq!(seen.json(), expected);
}

#[tokio::test]
async fn nothing_is_sent_in_place_of_parameters_that_are_absent() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let invoker = invoker(&wire, &clock);
    for target in [FUNCTION, MACHINE] {
        invoker.invoke(invocation(target).without_payload()).await.unwrap();
    }
    assert_eq!(wire.seen("lambda")[0].body, "");
    assert!(wire.seen("states")[0].json().get("input").is_none());
    // An event must have a detail.
    invoker.invoke(invocation(BUS).without_payload()).await.unwrap();
    assert_eq!(wire.seen("events")[0].json()["Entries"][0]["Detail"], "{}");
}

const ATTRIBUTES: [(&str, &str, &str); 5] = [
    ("kairos.execution-id", "String", EXECUTION),
    ("kairos.process-id", "String", "proceso-dmVudGFz"),
    ("kairos.schedule-id", "String", "calendarizacion-x"),
    ("kairos.scheduled-time", "String", "2026-01-01T09:00:00Z"),
    ("kairos.attempt", "Number", "3"),
];

#[tokio::test]
async fn a_topic_gets_the_parameters_and_the_attributes() {
    let seen = sent(TOPIC, "sns").await.remove(0);
    assert_eq!(seen.host, "sns.us-east-1.amazonaws.com");
    for (name, value) in [("Action", "Publish"), ("TopicArn", TOPIC), ("Message", "{\"día\":1}")] {
        assert_eq!(seen.form(name).as_deref(), Some(value));
    }
    let mut attributes = BTreeSet::new();
    for index in 1..=5 {
        let part = |name: &str| seen.form(&format!("MessageAttributes.entry.{index}.{name}")).unwrap();
        attributes.insert((part("Name"), part("Value.DataType"), part("Value.StringValue")));
    }
    assert_eq!(attributes, ATTRIBUTES.map(|(name, kind, value)| (name.into(), kind.into(), value.into())).into());
    assert_eq!((seen.form("MessageGroupId"), seen.form("MessageDeduplicationId")), (None, None));

    let seen = sent(&format!("{TOPIC}.fifo"), "sns").await.remove(0);
    assert_eq!(seen.form("MessageGroupId").as_deref(), Some("proceso-dmVudGFz"));
    assert_eq!(seen.form("MessageDeduplicationId").as_deref(), Some(EXECUTION));
}

#[tokio::test]
async fn a_queue_is_asked_for_once_and_gets_the_parameters_and_the_attributes() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let invoker = invoker(&wire, &clock);
    for attempt in [3, 4] {
        invoker.invoke(invocation(QUEUE).with_attempt(attempt)).await.unwrap();
    }
    let seen = wire.seen("sqs");
    let [url, first, second] = &seen[..] else { panic!("{seen:?}") };
    let expected = serde_json::json!({ "QueueName": "pedidos", "QueueOwnerAWSAccountId": "123456789012" });
    assert_eq!(url.json(), expected);
    // Not the host that the URL names: an endpoint that is configured must win.
    assert_eq!(first.host, "sqs.us-east-1.amazonaws.com");
    let body = first.json();
    assert_eq!(body["MessageBody"], "{\"día\":1}");
    for (name, kind, value) in ATTRIBUTES {
        let attribute = &body["MessageAttributes"][name];
        assert_eq!((&attribute["DataType"], &attribute["StringValue"]), (&kind.into(), &value.into()), "{name}");
    }
    assert_eq!(body["MessageAttributes"].as_object().unwrap().len(), 5);
    assert!(body.get("MessageGroupId").is_none() && body.get("MessageDeduplicationId").is_none());
    assert_eq!(second.json()["MessageAttributes"]["kairos.attempt"]["StringValue"], "4");

    let body = sent(&format!("{QUEUE}.fifo"), "sqs").await.remove(1).json();
    assert_eq!(
        (&body["MessageGroupId"], &body["MessageDeduplicationId"]),
        (&"proceso-dmVudGFz".into(), &EXECUTION.into())
    );
}

#[tokio::test]
async fn a_queue_that_is_gone_is_asked_for_again() {
    let clock = clock();
    let wire = Wire::new(&clock).with_rule(|seen| {
        let is_send = seen.service() == "sqs" && seen.headers["x-amz-target"].ends_with("SendMessage");
        is_send.then(|| Answer::error("sqs", "AWS.SimpleQueueService.NonExistentQueue", 400))
    });
    let invoker = invoker(&wire, &clock);
    for _ in 0..2 {
        assert_eq!(invoker.invoke(invocation(QUEUE)).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(wire.seen("sqs").len(), 4);
}

#[tokio::test]
async fn a_target_is_called_in_its_own_region_and_partition() {
    for (target, service, host) in [
        ("arn:aws:lambda:eu-west-1:123456789012:function:a", "lambda", "lambda.eu-west-1.amazonaws.com"),
        ("arn:aws-cn:sqs:cn-north-1:123456789012:a", "sqs", "sqs.cn-north-1.amazonaws.com.cn"),
        ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:a", "sns", "sns.us-gov-west-1.amazonaws.com"),
        (
            "arn:aws-cn:states:cn-northwest-1:123456789012:stateMachine:a",
            "states",
            "states.cn-northwest-1.amazonaws.com.cn",
        ),
        ("arn:aws:events:eu-west-1:123456789012:event-bus/a", "events", "events.eu-west-1.amazonaws.com"),
    ] {
        let (clock, wire) = (clock(), Wire::new(&clock()));
        invoker(&wire, &clock).invoke(invocation(target)).await.unwrap();
        let seen = wire.seen(service).remove(0);
        assert_eq!(seen.host, host);
        assert!(host.contains(&format!(".{}.", seen.region())), "signed for {}", seen.region());
        // The executor's own region.
        assert_eq!(wire.seen("sts")[0].host, "sts.us-west-2.amazonaws.com");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_configured_holds_for_every_service_and_region() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let config = wire.config().to_builder().endpoint_url("http://127.0.0.1:4566").build();
    let invoker = super::AwsInvoker::new(&config, std::sync::Arc::new(clock));
    for target in [FUNCTION, MACHINE, TOPIC, QUEUE, CLUSTER, BUS, "arn:aws:sqs:eu-west-1:123456789012:otra"] {
        invoker.invoke(invocation(target)).await.unwrap();
    }
    for (service, calls) in
        [("sts", 1), ("lambda", 1), ("states", 1), ("sns", 1), ("ecs", 1), ("events", 1), ("sqs", 4)]
    {
        let hosts: Vec<_> = wire.seen(service).into_iter().map(|seen| seen.host).collect();
        assert_eq!(hosts, vec!["127.0.0.1:4566"; calls], "{service}");
    }
}

#[tokio::test]
async fn a_role_is_assumed_as_configured() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let plain = invoker(&wire, &clock);
    plain.invoke(invocation(FUNCTION)).await.unwrap();
    let config = SessionConfig::default()
        .with_name("kairos@prod")
        .with_external_id("acme:1")
        .with_duration(std::time::Duration::from_secs(900))
        .with_one_per_process();
    let configured = invoker(&wire, &clock).with_sessions(config).unwrap();
    configured.invoke(invocation(FUNCTION)).await.unwrap();
    let mut other = process(FUNCTION);
    other.name = "日 ".repeat(40);
    other.id = ProcessId::of(&other.name);
    for _ in 0..2 {
        configured.invoke(invocation_of(other.clone())).await.unwrap();
    }

    let seen = wire.seen("sts");
    let [plain, first, second] = &seen[..] else { panic!("{} calls", seen.len()) };
    let fields = |seen: &Seen| {
        ["RoleArn", "RoleSessionName", "DurationSeconds", "ExternalId", "SourceIdentity", "Tags.member.1.Key"]
            .map(|name| seen.form(name))
    };
    let texts = |texts: [&str; 6]| texts.map(|text| (!text.is_empty()).then(|| text.to_owned()));
    assert_eq!(fields(plain), texts([super::ROLE, "kairos", "3600", "", "", ""]));
    assert_eq!(plain.access_key(), "AKIAOWN");
    let expected = [super::ROLE, "kairos@prod", "900", "acme:1", "proceso-dmVudGFz", "kairos:process-id"];
    assert_eq!(fields(first), texts(expected));
    assert_eq!(first.form("Tags.member.2.Value").as_deref(), Some("ventas"));
    let source = second.form("SourceIdentity").unwrap();
    assert!(source.len() == 64 && source.starts_with("proceso-5pelIO"), "{source}");
    assert_eq!(second.form("Tags.member.2.Key"), None, "no tag can hold that name");
    let keys: Vec<_> = wire.seen("lambda").iter().map(|seen| seen.access_key().to_owned()).collect();
    assert_eq!(keys, ["ASIA1", "ASIA2", "ASIA3", "ASIA3"]);
}

#[tokio::test]
async fn what_a_service_would_refuse_is_refused_before_anything_is_sent() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let invoker = invoker(&wire, &clock);
    let large = "x".repeat(256 * 1024);
    let mut calls = vec![
        (invocation(FUNCTION).with_payload("x".repeat(1024 * 1024 + 1)), ErrorKind::Invalid, "parametros"),
        (invocation(MACHINE).with_payload(format!("{large}x")), ErrorKind::Invalid, "parametros"),
        (invocation(TOPIC).with_payload(large), ErrorKind::Invalid, "parametros"),
        (invocation(TOPIC).with_payload(""), ErrorKind::Invalid, "parametros"),
        (invocation(QUEUE).without_payload(), ErrorKind::Invalid, "parametros"),
        (invocation(QUEUE).with_payload("x".repeat(1024 * 1024)), ErrorKind::Invalid, "parametros"),
        (invocation(BUS).with_payload("x".repeat(256 * 1024 - 100)), ErrorKind::Invalid, "parametros"),
        (invocation(CLUSTER).without_payload(), ErrorKind::Invalid, "parametros"),
        (invocation(CLUSTER).with_payload("{}"), ErrorKind::Invalid, "parametros"),
    ];
    let mut roleless = process(FUNCTION);
    roleless.role = None;
    calls.push((invocation_of(roleless.clone()), ErrorKind::Denied, "arnRol"));
    roleless.role = Some("kairos-ventas".into());
    calls.push((invocation_of(roleless), ErrorKind::Invalid, "arnRol"));
    let mut unnamed = process(BUS);
    unnamed.name = "x".repeat(129);
    calls.push((invocation_of(unnamed), ErrorKind::Invalid, "nombre"));
    for (invocation, kind, field) in calls {
        let error = invoker.invoke(invocation.clone()).await.unwrap_err();
        assert_eq!((error.kind(), error.faults()[0].field), (kind, field), "{error}");
        assert!(error.to_string().starts_with(&format!("invoke {}", invocation.target)), "{error}");
    }
    for service in ["sts", "lambda", "states", "sns", "sqs", "ecs", "events"] {
        assert!(wire.seen(service).is_empty(), "{service}");
    }
}

#[tokio::test]
async fn the_kinds_whose_features_are_on_are_called_and_no_others() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let invoker = invoker(&wire, &clock);
    let kinds = [
        TargetKind::Lambda,
        TargetKind::StepFunctions,
        TargetKind::Sns,
        TargetKind::Sqs,
        TargetKind::Ecs,
        TargetKind::EventBus,
    ];
    assert_eq!(invoker.capabilities().kinds, kinds.into());
    for target in ["arn:aws:kinesis:us-east-1:123456789012:stream/clics", "kairos:task:a", "https://example.com/"] {
        assert_eq!(invoker.invoke(invocation(target)).await.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    assert!(wire.seen("sts").is_empty());
}
