//! Registration, dispatch and execution while requests meet faults on their way: nothing is lost, and nothing is done twice.

#[path = "faults/one_by_one.rs"]
mod one_by_one;
#[path = "faults/one_in_five.rs"]
mod one_in_five;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::QueueAttributeName;
use futures_util::future::{BoxFuture, join};
use jiff::Timestamp;
use kairos::backend::{ExecutionFilter, History as _, ProcessFilter, Receiver as _, ScheduleBackend as _, Trigger};
use kairos::clock::{Clock, ClockExt as _, SystemClock, between, later};
use kairos::dispatcher::DispatchRequest;
use kairos::executor::{ExecutorConfig, Verdict};
use kairos::page::PageRequest;
use kairos::retry::Backoff;
use kairos::scheduler::{ReconcileMode, SchedulerConfig};
use kairos::{
    ExecutionId, ExecutionState, Executor, Policy, Process, ProcessId, Registration, Result, ScheduleId, Scheduler,
};
use kairos_aws::{AwsInvoker, SqsQueue};

use crate::microburst::{Microburst, SLOW};
use crate::place::{ACCOUNT, Place, config, endpoint, make_queue};

/// How long what was received in vain stays away, and a claim that was made in vain lasts. Half of it must do for a claim or a record with
/// all its tries: where they are slow, and where they are not.
const LONG: Duration = Duration::from_secs(12);
const SHORT: Duration = Duration::from_secs(6);

/// The ways to both servers, each with faults of its own.
struct Lines {
    tables: Microburst,
    services: Microburst,
    hold: Duration,
}

impl Lines {
    async fn new(hold: Duration) -> Self {
        let (tables, services) = (endpoint("KAIROS_TEST_DYNAMODB"), endpoint("KAIROS_TEST_AWS"));
        let (tables, services) = join(Microburst::before(&tables), Microburst::before(&services)).await;
        Self { tables, services, hold }
    }

    /// An installation, seen through these.
    async fn to(&self, place: &Place) -> Place {
        let (tables, services) = (hurried(&self.tables).await, hurried(&self.services).await);
        place.through(&tables, &services, Arc::new(SystemClock))
    }

    /// What was injected, of which there must be five kinds at each of these services.
    async fn fired(&self, what: &str, services: &[&str]) {
        let mut fired = self.tables.fired().await;
        fired.extend(self.services.fired().await);
        let mut kinds: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        for ((service, _, action), count) in &fired {
            *kinds.entry(service).or_default().entry(action).or_default() += count;
        }
        let (seen, total) = (self.tables.seen().await + self.services.seen().await, fired.values().sum::<u64>());
        println!("{what}: {total} faults in {seen} requests: {kinds:?}");
        for service in services {
            assert_eq!(kinds.get(service).map_or(0, BTreeMap::len), 5, "at {service}: {fired:?}");
        }
        assert_eq!(kinds.len(), services.len(), "{kinds:?}");
    }
}

/// Waits for what is slow, as a call must be waited for that cannot be repeated.
async fn patient(line: &Microburst) -> SdkConfig {
    config(line.endpoint()).await
}

/// Gives up what is slow, and tries again soon.
async fn hurried(line: &Microburst) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(2))
        .operation_timeout(Duration::from_secs(8))
        .build();
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(50));
    patient(line).await.to_builder().timeout_config(timeouts).retry_config(retries).build()
}

/// An hour later, and ten times as fast: every hold has ended, and there is not much to wait for.
#[derive(Debug)]
struct NextHour {
    since: Timestamp,
}

impl Clock for NextHour {
    fn now(&self) -> Timestamp {
        later(self.since, Duration::from_secs(3_600) + between(self.since, SystemClock.now()) * 10)
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        SystemClock.sleep(between(self.now(), instant) / 10)
    }
}

async fn direct(place: &Place, clock: Arc<dyn Clock>) -> Place {
    let (tables, services) = (endpoint("KAIROS_TEST_DYNAMODB"), endpoint("KAIROS_TEST_AWS"));
    place.through(&config(tables).await, &config(services).await, clock)
}

/// A scheduler whose calls are not held up for minutes by what those before them left behind.
fn brisk(place: &Place) -> Scheduler {
    let mut config =
        SchedulerConfig::default().with_policy(Policy::default().with_role_prefix("kairos-").with_accounts([ACCOUNT]));
    (config.call_limit, config.lease) = (SLOW + Duration::from_millis(500), 2 * SLOW + Duration::from_secs(1));
    place.scheduler.clone().with_config(config)
}

/// Calls until it is answered, as a caller would that is told each time that it may pass.
async fn insist<T, F: Future<Output = Result<T>>>(failures: &AtomicUsize, call: impl Fn() -> F) -> T {
    for _ in 0..20 {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
        failures.fetch_add(1, Ordering::Relaxed);
    }
    panic!("20 calls have failed, one after the other");
}

/// The queue that processes call, by its URL.
async fn make_target(place: &Place) -> String {
    make_queue(&place.sqs, format!("{}-ventas", place.name)).await
}

/// The same by its ARN, whether it is there or not.
fn target_of(place: &Place) -> String {
    format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}-ventas", place.name)
}

fn registration(number: usize, days: usize, target: &str) -> Registration {
    Registration::new(format!("proceso {number}"), format!("rate({days} days)"), target)
        .with_role(format!("arn:aws:iam::{ACCOUNT}:role/kairos-{}", number % 6))
        .with_parameters(r#""<kairos.execution-id>""#)
        .with_max_attempts(100u32)
}

/// Everything that was answered is so: these processes, no others, and a live trigger for each.
async fn holds(place: &Place, expected: &BTreeMap<ProcessId, Arc<Process>>) {
    let page = PageRequest::first(PageRequest::MAX_LIMIT);
    let stored = place.scheduler.processes(&ProcessFilter::default(), &page).await.unwrap().items;
    let stored: BTreeMap<_, _> = stored.into_iter().map(|process| (process.id.clone(), process)).collect();
    assert_eq!(&stored, expected);
    for id in expected.values().map(|process| &process.schedule_id).collect::<BTreeSet<_>>() {
        let record = place.scheduler.schedule(id).await.unwrap();
        let key = Trigger::new(id.clone(), record.specification.clone()).key();
        let trigger = place.schedules.get(&key).await.unwrap().expect("a process is registered and has no trigger");
        assert_eq!(trigger.specification, record.specification);
    }
}

/// What is left behind is found and repaired, once and for all; how much that was.
async fn reconciled(place: &Place) -> usize {
    let found = place.scheduler.reconcile(ReconcileMode::Repair).await.unwrap();
    assert!(found.is_clean(), "{found:?}");
    let left = place.scheduler.reconcile(ReconcileMode::DryRun).await.unwrap();
    assert!(left.findings.is_empty(), "{left:?}");
    found.findings.len()
}

/// Processes of one schedule, registered where nothing is wrong.
async fn registered(place: &Place, targets: &[String], count: usize) -> ScheduleId {
    for number in 0..count {
        let registration = registration(number, 1, &targets[number % targets.len()]);
        place.scheduler.register(&registration).await.unwrap();
    }
    registration(0, 1, &targets[0]).specification().schedule_id()
}

/// What becomes of messages, until none is left. Two at a time, as two executors.
async fn executed(place: &Place, lines: &Lines, targets: &SdkConfig) -> BTreeMap<&'static str, usize> {
    let (faulty, clock) = (lines.to(place).await, Arc::new(SystemClock));
    let queue = Arc::new(SqsQueue::clone(&faulty.queue).with_visibility_timeout(lines.hold));
    let mut config = ExecutorConfig::default().with_backoff(Backoff::new(Duration::ZERO, Duration::from_secs(1)));
    (config.lease, config.concurrency) = (lines.hold, 4);
    let executor = &Executor::new(queue.clone(), Arc::new(AwsInvoker::new(targets, clock.clone())), clock)
        .with_history(faulty.history.clone())
        .with_config(config);
    let work = || async {
        let mut became = BTreeMap::new();
        for _ in 0..60 {
            let Ok(deliveries) = queue.receive(10, Duration::from_secs(1)).await else {
                *became.entry("not received").or_insert(0) += 1;
                continue;
            };
            if deliveries.is_empty() && is_empty(place).await {
                return became;
            }
            for handled in executor.execute(deliveries).await.handled {
                *became.entry(name_of(&handled.verdict)).or_insert(0) += 1;
            }
        }
        panic!("messages are left on the queue after {became:?}");
    };
    let (mut one, other) = join(work(), work()).await;
    for (verdict, count) in other {
        *one.entry(verdict).or_insert(0) += count;
    }
    one
}

fn name_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Succeeded => "succeeded",
        Verdict::Duplicate => "duplicate",
        Verdict::Retrying { .. } => "retrying",
        Verdict::Waiting { .. } => "waiting",
        Verdict::Undecided(_) => "undecided",
        Verdict::Dead(_) => "dead",
        _ => "other",
    }
}

/// Whether no message is on the execution queue, visible or not.
async fn is_empty(place: &Place) -> bool {
    let counts = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        QueueAttributeName::ApproximateNumberOfMessagesDelayed,
    ];
    let request = place.sqs.get_queue_attributes().queue_url(&place.waiting).set_attribute_names(Some(counts.into()));
    let counts = request.send().await.unwrap().attributes.unwrap();
    counts.values().all(|count| count == "0")
}

/// The bodies of everything that lies on a queue: texts in JSON, without their quotes.
async fn taken(place: &Place, url: &str) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        let received = place.sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await.unwrap();
        let messages = received.messages.unwrap_or_default();
        if messages.is_empty() {
            return bodies;
        }
        for message in messages {
            let receipt = message.receipt_handle.unwrap();
            place.sqs.delete_message().queue_url(url).receipt_handle(receipt).send().await.unwrap();
            bodies.push(message.body.unwrap().trim_matches('"').to_owned());
        }
    }
}

/// Dispatches an occurrence of a schedule twice and executes it, under faults. The executions that it consists of, each of which is
/// recorded as a success.
async fn carried_out(
    what: &str,
    place: &Place,
    lines: &Lines,
    targets: &SdkConfig,
    schedule: &ScheduleId,
    count: usize,
) -> BTreeSet<String> {
    let (faulty, failures) = (lines.to(place).await, AtomicUsize::new(0));
    let request = DispatchRequest::new(schedule.clone(), SystemClock.now());
    for _ in 0..2 {
        let dispatched = insist(&failures, || faulty.dispatcher.dispatch(&request)).await;
        assert_eq!((dispatched.queued, dispatched.next), (count, None));
    }
    let became = executed(place, lines, targets).await;
    println!("{what}: {count} processes, {} dispatches failed, deliveries {became:?}", failures.into_inner());

    let expected: BTreeSet<_> = (0..count)
        .map(|number| ExecutionId::of_occurrence(&ProcessId::of(&format!("proceso {number}")), request.scheduled_time))
        .collect();
    let page = PageRequest::first(PageRequest::MAX_LIMIT);
    let filter = ExecutionFilter::all().with_from(request.scheduled_time);
    let recorded = place.history.list(&filter, &page).await.unwrap().items;
    let states: BTreeMap<_, _> = recorded.iter().map(|execution| (execution.id, execution.state)).collect();
    let succeeded = expected.iter().map(|id| (*id, ExecutionState::Succeeded)).collect();
    assert_eq!(states, succeeded);
    let dead =
        place.sqs.receive_message().queue_url(&place.dead_letters).message_attribute_names("All").send().await.unwrap();
    assert_eq!(dead.messages.unwrap_or_default(), []);
    expected.iter().map(ToString::to_string).collect()
}

fn once(mut found: Vec<String>, expected: &BTreeSet<String>) {
    found.sort_unstable();
    assert_eq!(found, expected.iter().cloned().collect::<Vec<_>>());
}

/// What an executor asks of SQS, besides a target.
const QUEUE: [&str; 4] = ["SendMessageBatch", "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibility"];
