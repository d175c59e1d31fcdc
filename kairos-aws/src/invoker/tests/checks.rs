//! What a check tells, and what it does not do.

use kairos::{ErrorKind, Fault};

use super::wire::{Answer, Seen};
use super::{BUS, CLUSTER, FUNCTION, MACHINE, QUEUE, TOPIC, Wire, clock, invoker, process};

const TARGETS: [(&str, &str); 6] =
    [(FUNCTION, "lambda"), (MACHINE, "states"), (TOPIC, "sns"), (QUEUE, "sqs"), (CLUSTER, "ecs"), (BUS, "events")];

fn refusing(service: &'static str, code: &'static str, status: u16) -> impl Fn(&Seen) -> Option<Answer> {
    move |seen| (seen.service() == service).then(|| Answer::error(service, code, status))
}

async fn faults_of(
    target: &str,
    rule: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static,
) -> Result<Vec<Fault>, ErrorKind> {
    let (clock, wire) = (clock(), Wire::new(&clock()).with_rule(rule));
    invoker(&wire, &clock).check(&process(target)).await.map_err(|error| error.kind())
}

fn fields(faults: Result<Vec<Fault>, ErrorKind>) -> Vec<&'static str> {
    faults.unwrap().into_iter().map(|fault| fault.field).collect()
}

#[tokio::test]
async fn a_check_looks_and_does_not_call() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let invoker = invoker(&wire, &clock);
    for (target, _) in TARGETS {
        assert_eq!(invoker.check(&process(target)).await.unwrap(), [], "{target}");
    }
    let header = |service: &str, name: &str| wire.seen(service)[0].headers[name].clone();
    assert_eq!(header("lambda", "x-amz-invocation-type"), "DryRun");
    assert_eq!(header("states", "x-amz-target"), "AWSStepFunctions.DescribeStateMachine");
    assert_eq!(wire.seen("sns")[0].form("Action").as_deref(), Some("GetTopicAttributes"));
    assert_eq!(header("sqs", "x-amz-target"), "AmazonSQS.GetQueueUrl");
    assert_eq!(header("ecs", "x-amz-target"), "AmazonEC2ContainerServiceV20141113.DescribeClusters");
    assert_eq!(wire.seen("ecs")[1].json(), serde_json::json!({ "taskDefinition": "cierre:7" }));
    assert_eq!(header("events", "x-amz-target"), "AWSEvents.DescribeEventBus");
    assert_eq!(wire.seen("events")[0].json(), serde_json::json!({ "Name": BUS }));
    for (_, service) in TARGETS {
        assert_eq!(wire.seen(service).len(), if service == "ecs" { 2 } else { 1 }, "{service}");
    }
    assert_eq!(wire.seen("sts").len(), 1);
}

#[tokio::test]
async fn what_is_refused_is_told_by_its_field() {
    for (target, service, code, expected) in [
        (FUNCTION, "sts", "AccessDenied", &["arnRol"][..]),
        (FUNCTION, "lambda", "AccessDeniedException", &["arnRol"]),
        (FUNCTION, "lambda", "ResourceNotFoundException", &["arnProceso"]),
        (FUNCTION, "lambda", "KMSDisabledException", &["arnProceso"]),
        (MACHINE, "states", "StateMachineDoesNotExist", &["arnProceso"]),
        // Who may not look may be allowed to call.
        (MACHINE, "states", "AccessDeniedException", &[]),
        (TOPIC, "sns", "NotFound", &["arnProceso"]),
        (TOPIC, "sns", "AuthorizationError", &[]),
        (CLUSTER, "ecs", "AccessDeniedException", &[]),
        (BUS, "events", "ResourceNotFoundException", &["arnProceso"]),
        (BUS, "events", "AccessDeniedException", &[]),
        (QUEUE, "sqs", "QueueDoesNotExist", &["arnProceso"]),
        // A call looks first as well.
        (QUEUE, "sqs", "AccessDenied", &["arnRol"]),
    ] {
        assert_eq!(fields(faults_of(target, refusing(service, code, 403)).await), expected, "{service} {code}");
    }
}

#[tokio::test]
async fn each_error_of_a_look_has_its_kind() {
    let (fault, none) = (Ok(vec!["arnProceso"]), Ok(vec![]));
    for (target, service, code, expected) in [
        (MACHINE, "states", "StateMachineDoesNotExist", &fault),
        (MACHINE, "states", "InvalidArn", &fault),
        (MACHINE, "states", "KmsInvalidStateException", &fault),
        (MACHINE, "states", "KmsAccessDeniedException", &none),
        (MACHINE, "states", "KmsThrottlingException", &Err(ErrorKind::Throttled)),
        (TOPIC, "sns", "NotFound", &fault),
        (TOPIC, "sns", "InvalidParameter", &fault),
        (TOPIC, "sns", "AuthorizationError", &none),
        (TOPIC, "sns", "InvalidSecurity", &none),
        (TOPIC, "sns", "InternalError", &Err(ErrorKind::Unavailable)),
        (CLUSTER, "ecs", "InvalidParameterException", &fault),
        (CLUSTER, "ecs", "ClientException", &fault),
        (CLUSTER, "ecs", "AccessDeniedException", &none),
        (CLUSTER, "ecs", "ServerException", &Err(ErrorKind::Unavailable)),
        (BUS, "events", "ResourceNotFoundException", &fault),
        (BUS, "events", "InternalException", &Err(ErrorKind::Unavailable)),
    ] {
        // A status that says something else, so that it is the code that is read.
        let status = if expected == &none { 400 } else { 403 };
        let found = faults_of(target, refusing(service, code, status)).await;
        let found = found.map(|faults| faults.into_iter().map(|fault| fault.field).collect());
        assert_eq!(&found, expected, "{service} {code}");
    }
}

#[tokio::test]
async fn a_cluster_and_its_task_definition_are_both_looked_for() {
    let told = async |action: &'static str, answer: Answer| {
        let rule = move |seen: &Seen| {
            let is_it = seen.service() == "ecs" && seen.headers["x-amz-target"].ends_with(action);
            is_it.then(|| answer.clone())
        };
        faults_of(CLUSTER, rule).await
    };
    let gone = r#"{"clusters":[],"failures":[{"arn":"a","reason":"MISSING"}]}"#;
    for answer in [gone, r#"{"clusters":[{"status":"INACTIVE"}]}"#] {
        let faults = told("DescribeClusters", Answer::new(200, answer)).await.unwrap();
        assert_eq!(faults, [Fault::new("arnProceso", format!("'{CLUSTER}' does not exist"))]);
    }
    for (answer, expected) in [
        (Answer::error("ecs", "ClientException", 400), &["parametros"][..]),
        (Answer::error("ecs", "InvalidParameterException", 400), &["parametros"]),
        (Answer::error("ecs", "AccessDeniedException", 400), &[]),
        (Answer::new(200, r#"{"taskDefinition":{"status":"INACTIVE"}}"#), &["parametros"]),
    ] {
        let faults = told("DescribeTaskDefinition", answer).await.unwrap();
        assert_eq!(faults.iter().map(|fault| fault.field).collect::<Vec<_>>(), expected);
        assert!(faults.iter().all(|fault| fault.message.contains("'cierre:7' is no task definition")), "{faults:?}");
    }
    let answer = told("DescribeTaskDefinition", Answer::error("ecs", "ServerException", 400)).await;
    assert_eq!(answer, Err(ErrorKind::Unavailable));
}

#[tokio::test]
async fn what_could_not_be_told_is_an_error() {
    for (target, service) in TARGETS {
        for service in ["sts", service] {
            let answer = faults_of(target, refusing(service, "SomethingNew", 503)).await;
            assert_eq!(answer, Err(ErrorKind::Unavailable), "{target} {service}");
        }
    }
}

#[tokio::test]
async fn what_needs_no_service_to_be_told_is_told_at_once() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let invoker = invoker(&wire, &clock);
    for target in ["ventas", "kairos:task:ventas", "arn:aws:kinesis:us-east-1:123456789012:stream/clics"] {
        assert_eq!(fields(invoker.check(&process(target)).await.map_err(|error| error.kind())), ["arnProceso"]);
    }
    let mut faulty = process(TOPIC);
    faulty.role = None;
    // It fits as it is written, and not as it is sent.
    faulty.parameters = Some(format!("<kairos.execution-id>{}", "x".repeat(256 * 1024 - 250)).into());
    assert_eq!(fields(invoker.check(&faulty).await.map_err(|error| error.kind())), ["parametros", "arnRol"]);
    assert!(wire.seen("sts").is_empty());
}
