//! An installation of its own.

use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use aws_sdk_sqs::config::Credentials;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kairos::backend::{ProcessFilter, Store as _};
use kairos::chance::Chance;
use kairos::clock::SystemClock;
use kairos::page::PageRequest;
use kairos::{Dispatcher, Executor, Process, ProcessId, Registration, ScheduleId, Scheduler};
use kairos_aws::{AwsInvoker, DynamoHistory, DynamoStore, SqsQueue, TableNames, TableOptions, create_tables};
use kairos_memory::{MemoryQueue, MemorySchedules};

use super::Outcome;

const ACCOUNT: &str = "123456789012";
const ROLE: &str = "arn:aws:iam::123456789012:role/kairos-sales";
/// What a process says to its target, and what stands for the execution in it.
pub(super) const PLACEHOLDER: &str = "<kairos.execution-id>";
const PARAMETERS: &str = r#"{"report":"sales","execution":"<kairos.execution-id>"}"#;

/// Tables, and a queue that is the target of all processes.
pub(super) struct Place {
    name: String,
    pub(super) tables: TableNames,
    pub(super) dynamodb: aws_sdk_dynamodb::Client,
    pub(super) sqs: aws_sdk_sqs::Client,
    services: SdkConfig,
    store: Arc<DynamoStore>,
    pub(super) target_url: String,
}

async fn config(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(ACCOUNT, "secret", None, None, "benches"))
        .endpoint_url(endpoint)
        .load()
        .await
}

impl Place {
    pub(super) async fn new(tables: &str, services: &str) -> Outcome<Self> {
        let name = format!("b{}", Chance::from_system().uuid().simple());
        let mut place = Self::at(name, tables, services).await;
        let options = TableOptions::new().with_deletion_protection(false).with_point_in_time_recovery(false);
        create_tables(&place.dynamodb, &place.tables, &options).await?;
        place.target_url = place.make_queue("sales").await?;
        Ok(place)
    }

    /// The same installation by way of other addresses.
    pub(super) async fn through(&self, tables: &str, services: &str) -> Self {
        let place = Self::at(self.name.clone(), tables, services).await;
        Self { target_url: self.target_url.clone(), ..place }
    }

    async fn at(name: String, tables: &str, services: &str) -> Self {
        let (at_tables, services) = (config(tables).await, config(services).await);
        let dynamodb = aws_sdk_dynamodb::Client::new(&at_tables);
        let tables = TableNames::of(&name);
        Self {
            store: Arc::new(DynamoStore::new(&dynamodb, &tables)),
            sqs: aws_sdk_sqs::Client::new(&services),
            target_url: String::new(),
            name,
            tables,
            dynamodb,
            services,
        }
    }

    pub(super) async fn make_queue(&self, what: &str) -> Outcome<String> {
        let made = self.sqs.create_queue().queue_name(format!("{}-{what}", self.name)).send().await?;
        Ok(made.queue_url.ok_or("a queue without a URL")?)
    }

    pub(super) async fn empty(&self, url: &str) -> Outcome<()> {
        self.sqs.purge_queue().queue_url(url).send().await?;
        Ok(())
    }

    pub(super) fn dispatcher(&self, url: &str) -> Dispatcher {
        let queue = SqsQueue::new(&self.sqs, url);
        Dispatcher::new(self.store.clone(), Arc::new(queue), Arc::new(SystemClock))
    }

    pub(super) fn executor(&self, url: &str, has_history: bool) -> Arc<Executor> {
        let (queue, clock) = (Arc::new(SqsQueue::new(&self.sqs, url)), Arc::new(SystemClock));
        let invoker = Arc::new(AwsInvoker::new(&self.services, clock.clone()));
        let executor = Executor::new(queue, invoker, clock);
        let history = has_history.then(|| Arc::new(DynamoHistory::new(&self.dynamodb, &self.tables)));
        Arc::new(match history {
            Some(history) => executor.with_history(history),
            None => executor,
        })
    }

    /// So many processes of one schedule: one is registered, the others are written like it, as to register one takes a transaction.
    pub(super) async fn seed(&self, count: usize) -> Outcome<ScheduleId> {
        const BATCH: usize = 25;
        const AT_ONCE: usize = 4;

        let name = |number: usize| format!("sales-{count}-{number}");
        let clock = Arc::new(SystemClock);
        let (schedules, queue) = (MemorySchedules::new(clock.clone()), MemoryQueue::new(clock.clone()));
        let scheduler = Scheduler::new(self.store.clone(), Arc::new(schedules), Arc::new(queue), clock);
        // The expression tells schedules apart, and nothing else.
        let target = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}-sales", self.name);
        let registration = Registration::new(name(0), format!("rate({count} days)"), target);
        let registration = registration.with_role(ROLE).with_parameters(PARAMETERS);
        let first = scheduler.register(&registration).await?.process;

        let key = |id: &ProcessId| AttributeValue::S(id.to_string());
        let table = &self.tables.processes;
        let request = self.dynamodb.get_item().table_name(table).key("IdProceso", key(&first.id));
        let first_row = request.consistent_read(true).send().await?.item.ok_or("no process was registered")?;
        let row = |number: usize| {
            let mut row = first_row.clone();
            row.insert("IdProceso".into(), key(&ProcessId::of(&name(number))));
            row.insert("Nombre".into(), AttributeValue::S(name(number)));
            let put = PutRequest::builder().set_item(Some(row)).build()?;
            Outcome::Ok(WriteRequest::builder().put_request(put).build())
        };
        let write = |from: usize| {
            let rows = (from..count.min(from + BATCH)).map(row).collect::<Outcome<Vec<_>>>();
            async move {
                let written = self.dynamodb.batch_write_item().request_items(table, rows?).send().await?;
                let is_whole = written.unprocessed_items.is_none_or(|rows| rows.is_empty());
                if is_whole { Outcome::Ok(()) } else { Err("not all rows were written".into()) }
            }
        };
        stream::iter((1..count).step_by(BATCH)).map(write).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(first.schedule_id.clone())
    }

    pub(super) async fn processes(&self, schedule: &ScheduleId) -> Outcome<Vec<Arc<Process>>> {
        let filter = ProcessFilter::of_schedule(schedule.clone());
        let mut processes = Vec::new();
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let found = self.store.list_processes(&filter, &page).await?;
            processes.extend(found.items);
            if found.next.is_none() {
                return Ok(processes);
            }
            page = page.with_cursor(found.next);
        }
    }
}
