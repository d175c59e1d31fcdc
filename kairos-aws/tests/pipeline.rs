//! One process from its registration to its target, over real servers: `scripts/servers run cargo test -p kairos-aws --test pipeline`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::Credentials;
use kairos::backend::{History as _, Receiver as _, ScheduleBackend as _, Trigger};
use kairos::chance::Chance;
use kairos::clock::{Clock as _, SystemClock, later};
use kairos::dispatcher::DispatchRequest;
use kairos::executor::Verdict;
use kairos::scheduler::SchedulerConfig;
use kairos::{
    Dispatcher, ErrorKind, ExecutionState, Executor, Policy, Registration, Scheduler, Specification, TriggerInput,
};
use kairos_aws::{
    AwsInvoker, Config, DynamoHistory, DynamoStore, EventBridgeSchedules, SqsQueue, TableNames, TableOptions,
    create_tables,
};

const ACCOUNT: &str = "123456789012";
const ROLE: &str = "arn:aws:iam::123456789012:role/kairos-ventas";
const WAIT: Duration = Duration::from_secs(5);

fn endpoint(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run this by scripts/servers run cargo test -p kairos-aws"))
}

/// An installation of its own, whose triggers go to a queue, as there is no function to call.
struct Place {
    sqs: aws_sdk_sqs::Client,
    name: String,
    schedules: Arc<EventBridgeSchedules>,
    queue: Arc<SqsQueue>,
    history: Arc<DynamoHistory>,
    scheduler: Scheduler,
    dispatcher: Dispatcher,
    executor: Executor,
    triggered: String,
    dead_letters: String,
}

async fn config(endpoint: String) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(ACCOUNT, "secret", None, None, "tests"))
        .endpoint_url(endpoint)
        .load()
        .await
}

async fn make_queue(sqs: &aws_sdk_sqs::Client, name: String) -> String {
    sqs.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap()
}

impl Place {
    async fn new() -> Self {
        let (tables, services) =
            (config(endpoint("KAIROS_TEST_DYNAMODB")).await, config(endpoint("KAIROS_TEST_AWS")).await);
        let name = format!("k{}", Chance::from_system().uuid().simple());
        let dynamodb = aws_sdk_dynamodb::Client::new(&tables);
        let names = TableNames::of(&name);
        let options = TableOptions::new().with_deletion_protection(false).with_point_in_time_recovery(false);
        create_tables(&dynamodb, &names, &options).await.unwrap();

        let sqs = aws_sdk_sqs::Client::new(&services);
        let [triggered, waiting, dead_letters] =
            ["disparos", "ejecuciones", "muertas"].map(|what| make_queue(&sqs, format!("{name}-{what}")));
        let (triggered, waiting, dead_letters) = (triggered.await, waiting.await, dead_letters.await);
        let queue = Arc::new(SqsQueue::new(&sqs, waiting).with_dead_letters(dead_letters.as_str()));
        let target = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{name}-disparos");
        let schedules = EventBridgeSchedules::new(&aws_sdk_scheduler::Client::new(&services), &name, &target, ROLE);
        let schedules = Arc::new(schedules.unwrap().with_group_creation([]));
        let store = Arc::new(DynamoStore::new(&dynamodb, &names));
        let history = Arc::new(DynamoHistory::new(&dynamodb, &names));
        let clock = Arc::new(SystemClock);
        let policy = Policy::default().with_role_prefix("kairos-").with_accounts([ACCOUNT]);
        Self {
            scheduler: Scheduler::new(store.clone(), schedules.clone(), queue.clone(), clock.clone())
                .with_config(SchedulerConfig::default().with_policy(policy)),
            dispatcher: Dispatcher::new(store, queue.clone(), clock.clone()),
            executor: Executor::new(queue.clone(), Arc::new(AwsInvoker::new(&services, clock.clone())), clock)
                .with_history(history.clone()),
            sqs,
            name,
            schedules,
            queue,
            history,
            triggered,
            dead_letters,
        }
    }

    /// What arrives at a queue of its own, within a minute.
    async fn arrived(&self, url: &str) -> aws_sdk_sqs::types::Message {
        for _ in 0..12 {
            let receive = self.sqs.receive_message().queue_url(url).wait_time_seconds(5).message_attribute_names("All");
            if let Some(message) = receive.send().await.unwrap().messages.unwrap_or_default().pop() {
                return message;
            }
        }
        panic!("nothing arrived at {url} within a minute");
    }

    /// Executes what is on the queue, once.
    async fn execute(&self) -> Vec<Verdict> {
        let deliveries = self.queue.receive(10, WAIT).await.unwrap();
        let report = self.executor.execute(deliveries).await;
        report.handled.into_iter().map(|handled| handled.verdict).collect()
    }
}

#[tokio::test]
async fn a_process_is_registered_fired_dispatched_executed_and_unregistered() {
    let place = Place::new().await;
    let at_target = make_queue(&place.sqs, format!("{}-ventas", place.name)).await;
    let soon = later(SystemClock.now(), Duration::from_secs(5)).strftime("at(%Y-%m-%dT%H:%M:%S)").to_string();
    let target = |queue: &str| format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}-{queue}", place.name);
    let sound = Registration::new("ventas", soon.as_str(), target("ventas"))
        .with_role(ROLE)
        .with_parameters(r#"{"ejecución":"<kairos.execution-id>"}"#);
    let broken = Registration::new("nadie", soon.as_str(), target("nadie")).with_role(ROLE).with_parameters("hola");
    let registered = place.scheduler.register(&sound).await.unwrap();
    assert!(registered.created && !place.scheduler.register(&sound).await.unwrap().created);
    place.scheduler.register(&broken).await.unwrap();

    // Both share one trigger, which fires.
    let fired = place.arrived(&place.triggered).await;
    let input = TriggerInput::from_json(fired.body().unwrap()).unwrap();
    assert_eq!(input.schedule_id, registered.process.schedule_id);
    let request = DispatchRequest::of_trigger(input, SystemClock.now());
    // A trigger is delivered twice now and then.
    for _ in 0..2 {
        let dispatched = place.dispatcher.dispatch(&request).await.unwrap();
        assert_eq!((dispatched.queued, dispatched.next), (2, None));
    }

    let mut verdicts = Vec::new();
    while verdicts.len() < 4 {
        verdicts.extend(place.execute().await);
    }
    let count = |is: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| is(verdict)).count();
    assert_eq!(count(|verdict| *verdict == Verdict::Succeeded), 1, "{verdicts:?}");
    assert_eq!(
        count(|verdict| matches!(verdict, Verdict::Dead(failure) if failure.kind == "not-found")),
        1,
        "{verdicts:?}"
    );
    assert_eq!(count(|verdict| matches!(verdict, Verdict::Duplicate | Verdict::Waiting { .. })), 2, "{verdicts:?}");

    // The effect at the target, the dead letter with its reason, and what history says of both.
    let arrived = place.arrived(&at_target).await;
    let execution = kairos::ExecutionId::of_occurrence(&registered.process.id, request.scheduled_time);
    assert_eq!(arrived.body(), Some(format!(r#"{{"ejecución":"{execution}"}}"#).as_str()));
    assert_eq!(place.history.get(execution).await.unwrap().unwrap().state, ExecutionState::Succeeded);
    let letter = place.arrived(&place.dead_letters).await;
    let attributes = format!("{:?}", letter.message_attributes());
    assert!(attributes.contains("not-found") && attributes.contains(&target("nadie")), "{attributes}");

    // The last one takes the trigger and the record with it.
    for name in ["ventas", "nadie"] {
        assert!(place.scheduler.unregister(&kairos::ProcessId::of(name)).await.unwrap());
    }
    let key = Trigger::new(registered.process.schedule_id.clone(), Specification::new(soon)).key();
    assert_eq!(place.schedules.get(&key).await.unwrap(), None);
    let error = place.scheduler.schedule(&registered.process.schedule_id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// What the configuration wires up, over one server for everything.
#[tokio::test]
async fn a_configuration_makes_three_algorithms_that_work_together() {
    let sdk = config(endpoint("KAIROS_TEST_AWS")).await;
    let sqs = aws_sdk_sqs::Client::new(&sdk);
    let mut config = Config::new(format!("k{}", Chance::from_system().uuid().simple()));
    let error = config.scheduler(&sdk).unwrap_err().to_string();
    assert!(error.contains("'Schedule/NombreGrupo' is not configured: set KAIROS_SCHEDULE_NOMBRE_GRUPO"), "{error}");

    let options = TableOptions::new().with_deletion_protection(false).with_point_in_time_recovery(false);
    create_tables(&aws_sdk_dynamodb::Client::new(&sdk), &config.tables().unwrap(), &options).await.unwrap();
    let app = config.app.clone();
    aws_sdk_scheduler::Client::new(&sdk).create_schedule_group().name(&app).send().await.unwrap();
    config.schedule_group = Some(app.clone());
    config.dispatcher_arn = Some(format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:{app}"));
    config.trigger_role_arn = Some(ROLE.into());
    config.role_prefix = Some("kairos-".into());
    config.queue_url = Some(make_queue(&sqs, format!("{app}-ejecuciones")).await);
    let at_target = make_queue(&sqs, format!("{app}-ventas")).await;

    let (scheduler, dispatcher) = (config.scheduler(&sdk).unwrap(), config.dispatcher(&sdk).unwrap());
    let executor = config.executor(&sdk).unwrap();
    let target = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{app}-ventas");
    let registration = Registration::new("ventas", "rate(1 day)", target).with_role(ROLE).with_parameters("hola");
    let stranger = registration.clone().with_role(format!("arn:aws:iam::{ACCOUNT}:role/otro"));
    assert_eq!(scheduler.register(&stranger).await.unwrap_err().faults()[0].field, "arnRol");
    let process = scheduler.register(&registration).await.unwrap().process;

    let request = DispatchRequest::new(process.schedule_id.clone(), SystemClock.now());
    assert_eq!(dispatcher.dispatch(&request).await.unwrap().queued, 1);
    let deliveries = config.queue(&sdk).unwrap().receive(10, WAIT).await.unwrap();
    let report = executor.execute(deliveries).await;
    assert_eq!(report.handled[0].verdict, Verdict::Succeeded);
    let arrived = sqs.receive_message().queue_url(at_target).wait_time_seconds(5).send().await.unwrap();
    assert_eq!(arrived.messages.unwrap()[0].body(), Some("hola"));
}
