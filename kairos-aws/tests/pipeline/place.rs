//! An installation of its own for each test.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::Credentials;
use kairos::backend::Receiver as _;
use kairos::chance::Chance;
use kairos::clock::{Clock, SystemClock};
use kairos::executor::Verdict;
use kairos::scheduler::SchedulerConfig;
use kairos::{Dispatcher, Executor, Policy, Scheduler};
use kairos_aws::{
    AwsInvoker, DynamoHistory, DynamoStore, EventBridgeSchedules, SqsQueue, TableNames, TableOptions, create_tables,
};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/kairos-ventas";
pub(crate) const WAIT: Duration = Duration::from_secs(5);

pub(crate) fn endpoint(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run this by scripts/servers run cargo test -p kairos-aws"))
}

/// An installation of its own, whose triggers go to a queue, as there is no function to call.
pub(crate) struct Place {
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) name: String,
    pub(crate) schedules: Arc<EventBridgeSchedules>,
    pub(crate) queue: Arc<SqsQueue>,
    pub(crate) history: Arc<DynamoHistory>,
    pub(crate) scheduler: Scheduler,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) executor: Executor,
    pub(crate) triggered: String,
    pub(crate) waiting: String,
    pub(crate) dead_letters: String,
}

pub(crate) async fn config(endpoint: String) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(ACCOUNT, "secret", None, None, "tests"))
        .endpoint_url(endpoint)
        .load()
        .await
}

pub(crate) async fn make_queue(sqs: &aws_sdk_sqs::Client, name: String) -> String {
    sqs.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap()
}

impl Place {
    pub(crate) async fn new() -> Self {
        Self::over(&config(endpoint("KAIROS_TEST_DYNAMODB")).await, &config(endpoint("KAIROS_TEST_AWS")).await).await
    }

    /// The tables at one place, all else at another.
    pub(crate) async fn over(tables: &SdkConfig, services: &SdkConfig) -> Self {
        let name = format!("k{}", Chance::from_system().uuid().simple());
        let dynamodb = aws_sdk_dynamodb::Client::new(tables);
        let names = TableNames::of(&name);
        let options = TableOptions::new().with_deletion_protection(false).with_point_in_time_recovery(false);
        create_tables(&dynamodb, &names, &options).await.unwrap();

        let sqs = aws_sdk_sqs::Client::new(services);
        let [triggered, waiting, dead_letters] =
            ["disparos", "ejecuciones", "muertas"].map(|what| make_queue(&sqs, format!("{name}-{what}")));
        let urls = [triggered.await, waiting.await, dead_letters.await];
        Self::wired(name, urls, tables, services, Arc::new(SystemClock))
    }

    /// The same installation over other connections, its algorithms on another clock.
    pub(crate) fn through(&self, tables: &SdkConfig, services: &SdkConfig, clock: Arc<dyn Clock>) -> Self {
        let urls = [&self.triggered, &self.waiting, &self.dead_letters].map(Clone::clone);
        Self::wired(self.name.clone(), urls, tables, services, clock)
    }

    fn wired(name: String, urls: [String; 3], tables: &SdkConfig, services: &SdkConfig, clock: Arc<dyn Clock>) -> Self {
        let (dynamodb, names) = (aws_sdk_dynamodb::Client::new(tables), TableNames::of(&name));
        let sqs = aws_sdk_sqs::Client::new(services);
        let [triggered, waiting, dead_letters] = urls;
        let queue = Arc::new(SqsQueue::new(&sqs, waiting.as_str()).with_dead_letters(dead_letters.as_str()));
        let target = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{name}-disparos");
        let schedules = EventBridgeSchedules::new(&aws_sdk_scheduler::Client::new(services), &name, &target, ROLE);
        let schedules = Arc::new(schedules.unwrap().with_group_creation([]));
        let store = Arc::new(DynamoStore::new(&dynamodb, &names));
        let history = Arc::new(DynamoHistory::new(&dynamodb, &names));
        let policy = Policy::default().with_role_prefix("kairos-").with_accounts([ACCOUNT]);
        Self {
            scheduler: Scheduler::new(store.clone(), schedules.clone(), queue.clone(), clock.clone())
                .with_config(SchedulerConfig::default().with_policy(policy)),
            dispatcher: Dispatcher::new(store, queue.clone(), clock.clone()),
            executor: Executor::new(queue.clone(), Arc::new(AwsInvoker::new(services, clock.clone())), clock)
                .with_history(history.clone()),
            sqs,
            name,
            schedules,
            queue,
            history,
            triggered,
            waiting,
            dead_letters,
        }
    }

    /// What arrives at a queue of its own, within a minute.
    pub(crate) async fn arrived(&self, url: &str) -> aws_sdk_sqs::types::Message {
        for _ in 0..12 {
            let receive = self.sqs.receive_message().queue_url(url).wait_time_seconds(5).message_attribute_names("All");
            if let Some(message) = receive.send().await.unwrap().messages.unwrap_or_default().pop() {
                return message;
            }
        }
        panic!("nothing arrived at {url} within a minute");
    }

    /// Executes what is on the queue, once.
    pub(crate) async fn execute(&self) -> Vec<Verdict> {
        let deliveries = self.queue.receive(10, WAIT).await.unwrap();
        let report = self.executor.execute(deliveries).await;
        report.handled.into_iter().map(|handled| handled.verdict).collect()
    }
}
