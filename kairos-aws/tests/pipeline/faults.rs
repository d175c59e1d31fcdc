//! Registration, dispatch and execution while one request in five meets a fault on its way: nothing is lost, and nothing is done twice.
//!
//! What holds of a target whose answer was lost after the call depends on the target: a FIFO queue and a state machine know the execution
//! by its id, and take it once; a standard queue, a topic and a function cannot, so for these the faults are everywhere else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::QueueAttributeName;
use futures_util::future::{BoxFuture, join};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use kairos::backend::{ExecutionFilter, History as _, ProcessFilter, Receiver as _, ScheduleBackend as _, Trigger};
use kairos::clock::{Clock, ClockExt as _, SystemClock, between, later};
use kairos::dispatcher::DispatchRequest;
use kairos::executor::{ExecutorConfig, Verdict};
use kairos::page::PageRequest;
use kairos::retry::Backoff;
use kairos::scheduler::{ReconcileMode, SchedulerConfig};
use kairos::{
    Changes, ErrorKind, ExecutionId, ExecutionState, Executor, Policy, Process, ProcessId, Registration, Result,
    ScheduleId, Scheduler,
};
use kairos_aws::{AwsInvoker, SqsQueue};
use serde_json::{Value, json};

use crate::microburst::{Microburst, SLOW, nonsense, trouble};
use crate::place::{ACCOUNT, Place, ROLE, config, endpoint, make_queue};

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

#[tokio::test]
async fn what_is_answered_under_faults_is_so_and_what_failed_can_be_called_again() {
    const PROCESSES: usize = 32;
    const SCHEDULES: usize = 8;
    let (place, lines) = (Place::new().await, Lines::new(SHORT).await);
    let scheduler = &brisk(&lines.to(&place).await);
    let next_hour = direct(&place, Arc::new(NextHour { since: SystemClock.now() })).await;
    let target = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}-ventas", place.name);
    lines.tables.obey(trouble("dynamodb", None)).await;
    lines.services.obey(trouble("scheduler", None)).await;

    let failures = &AtomicUsize::new(0);
    let registrations: Vec<_> =
        (0..PROCESSES).map(|number| registration(number, 1 + number % SCHEDULES, &target)).collect();
    let registered = stream::iter(&registrations)
        .map(|registration| insist(failures, || scheduler.register(registration)))
        .buffer_unordered(8)
        .map(|registered| (registered.process.id.clone(), registered.process));
    let expected: BTreeMap<_, _> = registered.collect().await;
    let failed_registrations = failures.swap(0, Ordering::Relaxed);
    holds(&place, &expected).await;
    let left_by_registrations = reconciled(&next_hour).await;
    holds(&place, &expected).await;

    // To other schedules, switched off, with other parameters, and once more as it is.
    let changed = stream::iter(registrations.iter().enumerate())
        .map(|(number, registration)| async move {
            let id = &ProcessId::of(&registration.name);
            let process = match number / SCHEDULES {
                0 => {
                    let mut moved = registration.clone();
                    moved.expression = format!("rate({} days)", 101 + number % 3);
                    insist(failures, || scheduler.update(id, &moved)).await
                }
                1 => insist(failures, || scheduler.disable(id)).await,
                2 => {
                    let mut changes = Changes::default();
                    changes.parameters = Some(Some("otros".into()));
                    insist(failures, || scheduler.patch(id, &changes)).await
                }
                _ => insist(failures, || scheduler.register(registration)).await.process,
            };
            (process.id.clone(), process)
        })
        .buffer_unordered(8);
    let expected: BTreeMap<_, _> = changed.collect().await;
    let failed_changes = failures.swap(0, Ordering::Relaxed);
    holds(&place, &expected).await;
    let left_by_changes = reconciled(&next_hour).await;
    holds(&place, &expected).await;

    let ids: Vec<_> = expected.into_keys().collect();
    let unregistered = stream::iter(&ids).map(|id| insist(failures, || scheduler.unregister(id))).buffer_unordered(8);
    unregistered.collect::<Vec<_>>().await;
    holds(&place, &BTreeMap::new()).await;
    let left_by_unregistrations = reconciled(&next_hour).await;
    let nothing = next_hour.scheduler.reconcile(ReconcileMode::DryRun).await.unwrap();
    assert_eq!(nothing.examined, (0, 0, 0));

    println!(
        "{PROCESSES} processes on {SCHEDULES} schedules: calls that failed and what was left behind, registering \
         {failed_registrations} and {left_by_registrations}, changing {failed_changes} and {left_by_changes}, unregistering {} and \
         {left_by_unregistrations}",
        failures.load(Ordering::Relaxed)
    );
    lines.fired("registrations", &["dynamodb", "scheduler"]).await;
}

/// A request that was given up is carried out all the same, after the call that it belongs to was answered, and others after that.
#[tokio::test]
async fn what_arrives_late_undoes_nothing_that_was_answered_since() {
    let (place, lines) = (Place::new().await, Lines::new(SHORT).await);
    let scheduler = brisk(&lines.to(&place).await);
    let registration = registration(0, 1, &format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}-ventas", place.name));
    let process = scheduler.register(&registration).await.unwrap().process;
    let late = |service: &str, operation: &str| {
        let slow = u64::try_from(SLOW.as_millis()).unwrap();
        json!({ "service": service, "operation": operation, "latency": slow, "times": 1 })
    };
    // Delayed as they were, it comes after them.
    let (tables, services) = (patient(&lines.tables).await, patient(&lines.services).await);
    let patient = place.through(&tables, &services, Arc::new(SystemClock));
    let key = Trigger::new(process.schedule_id.clone(), registration.specification()).key();

    lines.services.obey([late("scheduler", "DeleteSchedule"), late("scheduler", "GetSchedule")]).await;
    let failures = AtomicUsize::new(0);
    insist(&failures, || scheduler.unregister(&process.id)).await;
    let process = insist(&failures, || scheduler.register(&registration)).await.process;
    assert!(
        patient.schedules.get(&key).await.unwrap().is_some(),
        "a late deletion took the trigger that was created since"
    );

    lines.tables.obey([late("dynamodb", "TransactWriteItems"), late("dynamodb", "GetItem")]).await;
    let changed = insist(&failures, || scheduler.disable(&process.id)).await;
    let back = insist(&failures, || scheduler.enable(&process.id)).await;
    assert_eq!((changed.enabled, back.enabled), (false, true));
    assert!(patient.scheduler.process(&process.id).await.unwrap().enabled, "a late change came back");
    println!("late: {:?} {:?}, {failures:?} failed", lines.tables.fired().await, lines.services.fired().await);
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

/// At a queue that cannot know that it has been sent the same execution before; so its own answers arrive.
async fn takes_effect_once(what: &str, count: usize, hold: Duration, faults: fn(&str, Option<&str>) -> Vec<Value>) {
    let (place, lines) = (Place::new().await, Lines::new(hold).await);
    let at_target = make_queue(&place.sqs, format!("{}-ventas", place.name)).await;
    let target = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}-ventas", place.name);
    let schedule = registered(&place, &[target], count).await;
    lines.tables.obey(faults("dynamodb", None)).await;
    let queue = QUEUE.into_iter().chain(["GetQueueUrl"]).flat_map(|operation| faults("sqs", Some(operation)));
    lines.services.obey(queue.chain(faults("sts", None))).await;
    let expected = carried_out(what, &place, &lines, &patient(&lines.services).await, &schedule, count).await;
    once(taken(&place, &at_target).await, &expected);
    lines.fired(what, &["dynamodb", "sqs", "sts"]).await;
}

#[tokio::test]
async fn each_execution_takes_effect_once_under_faults_all_around_its_target() {
    takes_effect_once("trouble", 40, LONG, trouble).await;
}

#[tokio::test]
async fn each_execution_takes_effect_once_where_answers_cannot_be_read() {
    takes_effect_once("nonsense", 30, SHORT, nonsense).await;
}

/// At targets that know an execution by its id, whose own answers are lost too.
#[tokio::test]
async fn each_execution_takes_effect_once_at_targets_that_know_it_though_their_answers_are_lost() {
    const PROCESSES: usize = 40;
    let (place, lines) = (Place::new().await, Lines::new(LONG).await);
    let fifo = HashMap::from([(QueueAttributeName::FifoQueue, "true".to_owned())]);
    let name = format!("{}-ventas.fifo", place.name);
    let queue = place.sqs.create_queue().queue_name(&name).set_attributes(Some(fifo)).send().await.unwrap();
    let steps = aws_sdk_sfn::Client::new(&config(endpoint("KAIROS_TEST_AWS")).await);
    let definition = json!({ "StartAt": "Fin", "States": { "Fin": { "Type": "Pass", "End": true } } }).to_string();
    let machine = steps.create_state_machine().name(&place.name).definition(definition).role_arn(ROLE).send();
    let machine = machine.await.unwrap().state_machine_arn;
    let targets = [format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"), machine.clone()];
    let schedule = registered(&place, &targets, PROCESSES).await;

    let targets = trouble("sqs", Some("SendMessage")).into_iter().chain(trouble("stepfunctions", None));
    lines.services.obey(targets.chain(trouble("sts", None))).await;
    lines.tables.obey(trouble("dynamodb", None)).await;
    let expected = carried_out("targets", &place, &lines, &hurried(&lines.services).await, &schedule, PROCESSES).await;
    let mut effects = taken(&place, &queue.queue_url.unwrap()).await;
    let mut pages = steps.list_executions().state_machine_arn(machine).into_paginator().items().send();
    while let Some(started) = pages.next().await {
        effects.push(started.unwrap().name);
    }
    once(effects, &expected);
    lines.fired("targets", &["dynamodb", "sqs", "stepfunctions", "sts"]).await;
}

/// Whoever asks again meets what it has done itself: a condition that holds no more, a trigger that exists.
#[tokio::test]
async fn what_was_done_without_an_answer_is_known_as_ones_own() {
    let (place, lines) = (Place::new().await, Lines::new(SHORT).await);
    let at_target = make_queue(&place.sqs, format!("{}-ventas", place.name)).await;
    let registration = registration(0, 1, &format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}-ventas", place.name));
    let faulty = lines.to(&place).await;
    // The SDK makes three tries: with three answers lost, Kairos itself asks again, and with four, also the second time.
    let lost = |service: &str, operation: &str, body: Option<&str>, times: u64| {
        let fault = json!({ "abort_bytes": 0 });
        json!({ "service": service, "operation": operation, "body": body, "times": times, "response": fault })
    };
    let commits = || [lost("dynamodb", "TransactWriteItems", None, 4)];

    lines.tables.obey(commits()).await;
    lines.services.obey([lost("scheduler", "CreateSchedule", None, 1)]).await;
    let registered = faulty.scheduler.register(&registration).await.unwrap();
    let process = &registered.process;
    let record = place.scheduler.schedule(&process.schedule_id).await.unwrap();
    assert_eq!((registered.created, record.process_count, record.state.hold()), (true, Some(1), None));
    lines.tables.obey(commits()).await;
    assert!(!faulty.scheduler.disable(&process.id).await.unwrap().enabled);
    lines.tables.obey(commits()).await;
    assert!(faulty.scheduler.enable(&process.id).await.unwrap().enabled);

    let request = DispatchRequest::new(process.schedule_id.clone(), SystemClock.now());
    lines.services.obey([lost("sqs", "SendMessageBatch", None, 1), lost("sqs", "DeleteMessageBatch", None, 4)]).await;
    assert_eq!(faulty.dispatcher.dispatch(&request).await.unwrap().queued, 1);
    let claim = lost("dynamodb", "UpdateItem", Some("starts_with(ConditionExpression, 'attribute_not_exists')"), 4);
    let outcome = lost("dynamodb", "UpdateItem", Some("contains(UpdateExpression, '#FechaFin = ')"), 4);
    lines.tables.obey([claim, outcome]).await;
    let became = executed(&place, &lines, &patient(&lines.services).await).await;
    let id = ExecutionId::of_occurrence(&process.id, request.scheduled_time);
    let execution = place.history.get(id).await.unwrap().unwrap();
    assert_eq!((execution.state, execution.attempts), (ExecutionState::Succeeded, 1));
    once(taken(&place, &at_target).await, &BTreeSet::from([id.to_string()]));

    lines.tables.obey(commits()).await;
    lines.services.obey([]).await;
    assert!(faulty.scheduler.unregister(&process.id).await.unwrap());
    holds(&place, &BTreeMap::new()).await;
    let fired = (lines.tables.fired().await, lines.services.fired().await);
    println!("lost answers: deliveries {became:?}, {fired:?}");
    // A change that is found to have been made is not asked for again: its fourth answer is not lost.
    let (commits, writes): (Vec<u64>, Vec<u64>) =
        (fired.0.values().copied().collect(), fired.1.values().copied().collect());
    assert!(matches!(commits[..], [14..=16, 8]) && writes == [1, 4, 1], "{fired:?}");
}

/// An answer of nothing, which the SDK takes for one that says nothing: neither that there are no processes, nor that a claim was lost.
#[tokio::test]
async fn an_answer_of_nothing_is_no_answer() {
    let (place, lines) = (Place::new().await, Lines::new(SHORT).await);
    let at_target = make_queue(&place.sqs, format!("{}-ventas", place.name)).await;
    let target = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}-ventas", place.name);
    let schedule = registered(&place, &[target], 3).await;
    let nothing = |service: &str, operation: &str| json!({ "service": service, "operation": operation, "response": { "truncate_bytes": 0 }, "times": 1 });
    lines.tables.obey(["Query", "UpdateItem"].map(|operation| nothing("dynamodb", operation))).await;
    let queue = QUEUE.into_iter().chain(["GetQueueUrl"]).map(|operation| nothing("sqs", operation));
    lines.services.obey(queue.chain([nothing("sts", "AssumeRole")])).await;
    let expected = carried_out("nothing", &place, &lines, &patient(&lines.services).await, &schedule, 3).await;
    once(taken(&place, &at_target).await, &expected);
    let fired = (lines.tables.fired().await, lines.services.fired().await);
    println!("nothing: {fired:?}");
    assert!(fired.0.len() == 2 && fired.1.len() >= 5, "{fired:?}");
}

/// Two transactions that meet, as the service tells it, which neither server here does by itself.
#[tokio::test]
async fn changes_that_meet_others_are_made_again_and_give_up_in_the_end_without_a_trace() {
    let (place, lines) = (Place::new().await, Lines::new(SHORT).await);
    let at_target = make_queue(&place.sqs, format!("{}-ventas", place.name)).await;
    let target = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}-ventas", place.name);
    let scheduler = lines.to(&place).await.scheduler;
    let met = |operation: &str, error: Value| json!({ "service": "dynamodb", "operation": operation, "error": error });
    let cancelled = met(
        "TransactWriteItems",
        json!({
            "code": "TransactionCanceledException",
            "fields": { "CancellationReasons": [{ "Code": "TransactionConflict" }, { "Code": "None" }] },
        }),
    );

    lines.tables.obey([cancelled.clone()]).await;
    let error = scheduler.register(&registration(0, 1, &target)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    holds(&place, &BTreeMap::new()).await;
    let tries = lines.tables.fired().await.into_values().sum::<u64>();

    // Each commit meets three others; claims and records meet so many that none of them can be given up.
    let mut sometimes = cancelled;
    sometimes["sequence"] = json!({ "fail": 3, "pass": 1 });
    let mut conflict = met("UpdateItem", json!({ "code": "TransactionConflictException" }));
    let conflicts = u64::from(ExecutorConfig::default().history_attempts) - 1;
    conflict["times"] = conflicts.into();
    lines.tables.obey([sometimes, conflict]).await;
    for number in 0..3 {
        assert!(scheduler.register(&registration(number, 1, &target)).await.unwrap().created);
    }
    let schedule = registration(0, 1, &target).specification().schedule_id();
    assert_eq!(place.scheduler.schedule(&schedule).await.unwrap().process_count, Some(3));
    let expected = carried_out("conflicts", &place, &lines, &patient(&lines.services).await, &schedule, 3).await;
    once(taken(&place, &at_target).await, &expected);

    let fired = lines.tables.fired().await;
    println!("conflicts: {tries} until it gave up, then {fired:?}");
    let count = |operation: &str| fired.iter().filter(|((_, of, _), _)| of == operation).map(|(_, count)| count).sum();
    // The first registration has two transactions, as it makes the schedule.
    let (transactions, updates): (u64, u64) = (count("TransactWriteItems"), count("UpdateItem"));
    assert_eq!((transactions, updates), (tries + 4 * 3, conflicts), "{fired:?}");
}

/// A role that may not be assumed is nothing that passes: with the dead letters at once, and run once when it was put back.
#[tokio::test]
async fn what_was_denied_lies_with_the_dead_letters_and_runs_once_when_it_is_redriven() {
    let (place, lines) = (Place::new().await, Lines::new(SHORT).await);
    let at_target = make_queue(&place.sqs, format!("{}-ventas", place.name)).await;
    let target = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}-ventas", place.name);
    let schedule = registered(&place, &[target], 2).await;
    let faulty = lines.to(&place).await;
    let denied = "RoleArn == 'arn:aws:iam::123456789012:role/kairos-1'";
    let denied = json!({ "service": "sts", "operation": "AssumeRole", "body": denied, "error": { "code": "AccessDenied", "status": 403 } });
    lines.services.obey([denied]).await;

    let request = DispatchRequest::new(schedule, SystemClock.now());
    assert_eq!(faulty.dispatcher.dispatch(&request).await.unwrap().queued, 2);
    let targets = patient(&lines.services).await;
    let became = executed(&place, &lines, &targets).await;
    assert_eq!(became, BTreeMap::from([("succeeded", 1), ("dead", 1)]));
    let id = |number: usize| {
        ExecutionId::of_occurrence(&ProcessId::of(&format!("proceso {number}")), request.scheduled_time)
    };
    let dead = place.history.get(id(1)).await.unwrap().unwrap();
    assert_eq!((dead.state, dead.error.unwrap().kind.as_str()), (ExecutionState::Dead, "denied"));
    assert!(lines.services.fired().await.into_values().sum::<u64>() > 0);

    // Putting back meets faults of its own: the letter lies on the queue more than once then, and is run once.
    let troubles =
        ["SendMessage", "DeleteMessageBatch"].into_iter().flat_map(|operation| trouble("sqs", Some(operation)));
    lines.services.obey(troubles).await;
    while insist(&AtomicUsize::new(0), || faulty.queue.redrive(10)).await == 0 {}
    lines.services.obey([]).await;
    println!("redriven: {:?}", executed(&place, &lines, &targets).await);
    assert_eq!(place.history.get(id(1)).await.unwrap().unwrap().state, ExecutionState::Succeeded);
    once(taken(&place, &at_target).await, &[id(0), id(1)].map(|id| id.to_string()).into());
}

/// A line at whose other end nobody is: a proxy's page in plain text instead of the service's answer, with no code in it.
#[tokio::test]
async fn without_a_server_every_call_fails_as_unavailable_and_leaves_nothing_that_is_not_repaired() {
    let (place, line) = (Place::new().await, Microburst::before("http://127.0.0.1:1").await);
    let target = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}-ventas", place.name);
    let schedule = registered(&place, std::slice::from_ref(&target), 1).await;
    let request = DispatchRequest::new(schedule.clone(), SystemClock.now());
    let unavailable = |error: kairos::Error| assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");

    let (tables, services) =
        (config(endpoint("KAIROS_TEST_DYNAMODB")).await, config(endpoint("KAIROS_TEST_AWS")).await);
    let cut = hurried(&line).await;
    let without_tables = place.through(&cut, &services, Arc::new(SystemClock));
    let without_services = place.through(&tables, &cut, Arc::new(SystemClock));
    for without in [&without_tables, &without_services] {
        unavailable(without.scheduler.register(&registration(1, 2, &target)).await.unwrap_err());
        unavailable(without.dispatcher.dispatch(&request).await.unwrap_err());
    }
    unavailable(
        without_tables
            .history
            .get(ExecutionId::of_occurrence(&ProcessId::of("a"), request.scheduled_time))
            .await
            .unwrap_err(),
    );
    unavailable(without_services.queue.receive(10, Duration::ZERO).await.unwrap_err());

    let process = place.scheduler.process(&ProcessId::of("proceso 0")).await.unwrap();
    holds(&place, &BTreeMap::from([(process.id.clone(), process)])).await;
    let next_hour = direct(&place, Arc::new(NextHour { since: SystemClock.now() })).await;
    reconciled(&next_hour).await;
    assert!(is_empty(&place).await);
    println!("without a server: {} requests", line.seen().await);
}
