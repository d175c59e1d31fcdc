//! What a thousand executions cost: the calls that arrive at the servers.

use std::ops::RangeInclusive;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};
use kairos::clock::{Clock as _, SystemClock};
use kairos::dispatcher::DispatchRequest;
use kairos::executor::{Executor, Worker, WorkerConfig};
use kairos::scheduler::ReconcileMode;
use kairos::shutdown::shutdown;
use kairos_aws::AwsInvoker;

use crate::archive::zip;
use crate::counting::{Counting, Counts};
use crate::place::{ACCOUNT, Place, ROLE, config, endpoint, make_queue};
use crate::seeding::seed;

const EXECUTIONS: usize = 1_000;
const ROLES: usize = 10;
const QUEUES: usize = 5;

/// A target for each role: queues, topics, and a function.
async fn targets(place: &Place, services: &SdkConfig) -> Vec<String> {
    let name = &place.name;
    let (sns, lambda) = (aws_sdk_sns::Client::new(services), aws_sdk_lambda::Client::new(services));
    let mut targets = Vec::new();
    for number in 0..QUEUES {
        make_queue(&place.sqs, format!("{name}-ventas-{number}")).await;
        targets.push(format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{name}-ventas-{number}"));
    }
    for number in QUEUES..ROLES - 1 {
        let topic = sns.create_topic().name(format!("{name}-ventas-{number}")).send().await.unwrap();
        targets.push(topic.topic_arn.unwrap());
    }
    let code = zip("nada.py", b"def nada(event, context): pass\n");
    let function = lambda.create_function().function_name(name).runtime(Runtime::Python312).role(ROLE);
    let code = FunctionCode::builder().zip_file(Blob::new(code)).build();
    let function = function.handler("nada.nada").code(code).send().await.unwrap();
    targets.push(function.function_arn.unwrap());
    targets
}

/// A request whose answer is late is sent again, and arrives twice.
fn about(calls: usize) -> RangeInclusive<u64> {
    let calls = calls as u64;
    calls..=calls + calls / 100
}

/// Checks what arrived, and prints it. Nothing may have arrived besides.
fn check(what: &str, mut counts: Counts, allowed: &[(&str, RangeInclusive<u64>)]) {
    println!("{what}");
    for (operations, range) in allowed {
        let calls = operations.split(", ").filter_map(|operation| counts.remove(operation)).sum();
        println!("{calls:>8}  {operations}");
        assert!(range.contains(&calls), "{what}: {calls} calls of {operations}, {range:?} expected");
    }
    assert!(counts.is_empty(), "{what}: nobody expected {counts:?}");
}

#[tokio::test]
async fn a_thousand_executions_take_few_calls() {
    let tables = Counting::before(&endpoint("KAIROS_TEST_DYNAMODB")).await;
    let services = Counting::before(&endpoint("KAIROS_TEST_AWS")).await;
    let (at_tables, at_services) = (config(tables.endpoint.clone()).await, config(services.endpoint.clone()).await);
    let place = Place::over(&at_tables, &at_services).await;
    let targets = targets(&place, &at_services).await;
    let runs = |number: usize| {
        // The server starts a program for each call of a function: a few of them.
        let target = if number < 100 { number % ROLES } else { number % (ROLES - 1) };
        (format!("{ROLE}-{}", number % ROLES), targets[target].clone())
    };
    let schedule = seed(&place, EXECUTIONS, runs).await;
    let found = place.scheduler.reconcile(ReconcileMode::DryRun).await.unwrap();
    assert_eq!((found.examined, found.findings.len()), ((EXECUTIONS, 1, 1), 0), "{found:?}");

    for has_history in [true, false] {
        let counts = || tables.take().into_iter().chain(services.take()).collect::<Counts>();
        counts();
        let request = DispatchRequest::new(schedule.clone(), SystemClock.now());
        let dispatched = place.dispatcher.dispatch(&request).await.unwrap();
        assert_eq!((dispatched.queued, dispatched.next), (EXECUTIONS, None));
        // Two pages of 500, and one to see that there is no third.
        check("dispatch", counts(), &[("Query", 2..=3), ("SendMessageBatch", about(EXECUTIONS / 10))]);

        let invoker = AwsInvoker::new(&at_services, Arc::new(SystemClock));
        let executor = Executor::new(place.queue.clone(), Arc::new(invoker), Arc::new(SystemClock));
        let executor = if has_history { executor.with_history(place.history.clone()) } else { executor };
        let executor = Arc::new(executor);
        let (end, ended) = shutdown();
        let mut handled = 0;
        let count = |_: &_| {
            handled += 1;
            if handled == EXECUTIONS {
                end.request();
            }
        };
        Worker::new(executor.clone(), WorkerConfig::default()).run_with(ended, count).await;
        assert_eq!(executor.counts().succeeded, EXECUTIONS as u64, "{:?}", executor.counts());
        // A claim and an outcome each. On a slow machine fewer come together in a batch.
        let (history, batches) = (if has_history { 2 * EXECUTIONS } else { 0 }, 100..=250);
        let allowed = [
            ("ReceiveMessage", batches.clone()),
            ("UpdateItem", about(history)),
            ("AssumeRole", about(ROLES)),
            ("GetQueueUrl", about(QUEUES)),
            ("SendMessage, Publish, Invoke", about(EXECUTIONS)),
            ("DeleteMessageBatch", batches),
        ];
        check(if has_history { "execution" } else { "execution without history" }, counts(), &allowed);
    }
}
