//! A hundred thousand processes of one schedule: each is queued and runs once, though the dispatcher is stopped in the middle, twice.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::types::MessageSystemAttributeName::{ApproximateReceiveCount, SentTimestamp};
use futures_util::future::{join, join_all};
use jiff::Timestamp;
use kairos::backend::{Delivery, Message, ProcessFilter, Queue, QueueLimits, Store, StoreCapabilities, Transaction};
use kairos::clock::{Clock as _, SystemClock, later, whole_second};
use kairos::dispatcher::{DispatchRequest, Dispatcher, DispatcherConfig};
use kairos::page::{Cursor, Page, PageRequest};
use kairos::{ExecutionId, Process, ProcessId, Result, Schedule, ScheduleId, TriggerInput};
use kairos_aws::{DynamoStore, SqsQueue, TableNames};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::place::{ACCOUNT, Place, ROLE, config, endpoint, make_queue};
use crate::raw::Raw;
use crate::seeding::{name, number, seed};

const PROCESSES: usize = 100_000;
/// The occurrence to whose memory that of all of them is compared.
const FEW: usize = 5_000;
/// How many messages a dispatcher that is killed has got onto the queue before.
const BEFORE_THE_END: usize = 8_000;
/// One process in so many is not only counted but executed.
const SAMPLE: usize = 400;
/// How many receive from the queue at once.
const RECEIVERS: usize = 8;

/// What a dispatcher in a process of its own is told.
#[derive(Serialize, Deserialize)]
struct Task {
    app: String,
    queue_url: String,
    input: String,
    seconds: Option<u64>,
}

/// What it tells.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    queued: usize,
    pages: usize,
    next: Option<Cursor>,
    peak: usize,
}

const TASK: &str = "KAIROS_TEST_TASK";

/// Bytes that are allocated, at most; looked at before and after each call of store and queue.
#[derive(Debug, Default)]
struct Peak(AtomicUsize);

impl Peak {
    fn look(&self) {
        let stats = crate::ALLOCATOR.stats();
        self.0.fetch_max(stats.bytes_allocated - stats.bytes_deallocated, Ordering::Relaxed);
    }
}

/// A backend that looks at the memory.
#[derive(Debug)]
struct Watched<B>(B, Arc<Peak>);

#[async_trait]
impl Queue for Watched<SqsQueue> {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        self.1.look();
        let sent = self.0.send(batch).await;
        self.1.look();
        sent
    }

    fn limits(&self) -> QueueLimits {
        self.0.limits()
    }
}

#[async_trait]
impl Store for Watched<DynamoStore> {
    async fn list_processes(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<Arc<Process>>> {
        self.1.look();
        let listed = self.0.list_processes(filter, page).await;
        self.1.look();
        listed
    }

    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>> {
        self.0.process(id).await
    }

    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        self.0.schedule(id).await
    }

    async fn list_schedules(&self, page: &PageRequest) -> Result<Page<Schedule>> {
        self.0.list_schedules(page).await
    }

    async fn commit(&self, transaction: &Transaction) -> Result<()> {
        self.0.commit(transaction).await
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.0.capabilities()
    }
}

/// What a process that is started as a dispatcher does.
async fn dispatch(task: &str) {
    let task: Task = serde_json::from_str(task).unwrap();
    let (tables, services) =
        (config(endpoint("KAIROS_TEST_DYNAMODB")).await, config(endpoint("KAIROS_TEST_AWS")).await);
    let store = DynamoStore::new(&aws_sdk_dynamodb::Client::new(&tables), &TableNames::of(&task.app));
    let queue = SqsQueue::new(&aws_sdk_sqs::Client::new(&services), task.queue_url);
    let peak = Arc::new(Peak::default());
    let (store, queue) = (Arc::new(Watched(store, peak.clone())), Arc::new(Watched(queue, peak.clone())));
    let mut dispatching = DispatcherConfig::default();
    dispatching.margin = Duration::ZERO;
    let dispatcher = Dispatcher::with_config(store, queue, Arc::new(SystemClock), dispatching);

    let input = TriggerInput::from_json(&task.input).unwrap();
    let mut request = DispatchRequest::of_trigger(input, Timestamp::MAX);
    if let Some(seconds) = task.seconds {
        request = request.with_deadline(later(SystemClock.now(), Duration::from_secs(seconds)));
    }
    let dispatched = dispatcher.dispatch(&request).await.unwrap();
    let peak = peak.0.load(Ordering::Relaxed);
    let told = Told { queued: dispatched.queued, pages: dispatched.pages, next: dispatched.next, peak };
    // On a line of its own, after what the harness says.
    println!("\n{}", serde_json::to_string(&told).unwrap());
}

async fn queue_url(place: &Place) -> String {
    let name = format!("{}-ejecuciones", place.name);
    place.sqs.get_queue_url().queue_name(name).send().await.unwrap().queue_url.unwrap()
}

/// Starts a dispatcher in a process of its own.
async fn start(place: &Place, input: &TriggerInput, seconds: Option<u64>) -> Child {
    let input = serde_json::to_string(input).unwrap();
    let task = Task { app: place.name.clone(), queue_url: queue_url(place).await, input, seconds };
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "scale::a_hundred_thousand_processes_are_queued_and_run_once_each", "--nocapture"])
        .env(TASK, serde_json::to_string(&task).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn told(output: &Output) -> Told {
    let text = String::from_utf8_lossy(&output.stdout);
    let told = text.lines().find(|line| line.starts_with('{'));
    serde_json::from_str(told.unwrap_or_else(|| panic!("it did not end well: {output:?}"))).unwrap()
}

#[derive(Deserialize)]
struct Received {
    #[serde(rename = "Messages", default)]
    messages: Vec<Arrived>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Arrived {
    message_id: String,
    receipt_handle: String,
    body: String,
    attributes: Attributes,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    approximate_receive_count: String,
    sent_timestamp: String,
}

impl Arrived {
    fn delivery(self) -> Delivery {
        let message = aws_sdk_sqs::types::Message::builder()
            .message_id(self.message_id)
            .receipt_handle(self.receipt_handle)
            .body(self.body)
            .attributes(ApproximateReceiveCount, self.attributes.approximate_receive_count)
            .attributes(SentTimestamp, self.attributes.sent_timestamp);
        SqsQueue::delivery(&message.build()).unwrap()
    }
}

/// What matters of a message here.
#[derive(Deserialize)]
struct Asked {
    #[serde(rename = "Nombre")]
    name: String,
    #[serde(rename = "IdEjecucion")]
    execution: ExecutionId,
}

/// What has come off the queue.
struct Arrivals {
    queue_url: String,
    occurrence: Timestamp,
    /// How often each process was asked for.
    times: Vec<usize>,
    total: watch::Sender<usize>,
    /// Every copy of those that are executed. They stay on the queue.
    sample: Vec<Delivery>,
}

impl Arrivals {
    fn new(queue_url: &str, occurrence: Timestamp) -> Self {
        let (times, total) = (vec![0; PROCESSES], watch::Sender::new(0));
        Self { queue_url: queue_url.to_owned(), occurrence, times, total, sample: Vec::new() }
    }

    /// The receipt of what is done with.
    fn add(&mut self, message: Arrived) -> Option<String> {
        let asked: Asked = serde_json::from_str(&message.body).unwrap();
        let number = number(&asked.name);
        assert_eq!(asked.execution, execution(number, self.occurrence));
        self.times[number] += 1;
        self.total.send_modify(|total| *total += 1);
        if !number.is_multiple_of(SAMPLE) {
            return Some(message.receipt_handle);
        }
        self.sample.push(message.delivery());
        None
    }

    /// Takes what arrives off the queue until something has ended, and what is there by then.
    async fn during<T>(&mut self, what: impl Future<Output = T>) -> T {
        let has_ended = Cell::new(false);
        let queue_url = self.queue_url.clone();
        let this = RefCell::new(self);
        // Nothing of it comes back while this test runs.
        let receive = json!({
            "QueueUrl": queue_url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1, "VisibilityTimeout": 3_600,
            "MessageSystemAttributeNames": [ApproximateReceiveCount.as_str(), SentTimestamp.as_str()],
        });
        let empty = async || {
            let mut sqs = Raw::sqs().await;
            loop {
                // Asked before: what was sent until then is received.
                let is_last = has_ended.get();
                let received: Received = sqs.call("ReceiveMessage", &receive).await;
                if received.messages.is_empty() && is_last {
                    return;
                }
                let done = received.messages.into_iter().filter_map(|message| this.borrow_mut().add(message));
                let entry = |(id, receipt): (usize, _)| json!({ "Id": id.to_string(), "ReceiptHandle": receipt });
                let entries: Vec<_> = done.enumerate().map(entry).collect();
                if !entries.is_empty() {
                    let delete = json!({ "QueueUrl": queue_url, "Entries": entries });
                    let deleted: Value = sqs.call("DeleteMessageBatch", &delete).await;
                    assert_eq!(deleted["Successful"].as_array().map(Vec::len), Some(entries.len()), "{deleted}");
                }
            }
        };
        let what = async {
            let output = what.await;
            has_ended.set(true);
            output
        };
        join(what, join_all((0..RECEIVERS).map(|_| empty()))).await.0
    }
}

fn execution(number: usize, occurrence: Timestamp) -> ExecutionId {
    ExecutionId::of_occurrence(&ProcessId::of(&name(number)), occurrence)
}

/// What a few take, all of them in one go: their own installation, whose queue nobody empties.
async fn dispatch_few() -> Told {
    let place = Place::new().await;
    let schedule = seed(&place, FEW, |_| target(&place)).await;
    let input = TriggerInput::new(schedule, whole_second(SystemClock.now()));
    let told = told(&start(&place, &input, None).await.wait_with_output().await.unwrap());
    assert_eq!((told.queued, &told.next), (FEW, &None));
    told
}

/// Role and target of all processes.
fn target(place: &Place) -> (String, String) {
    (ROLE.to_owned(), format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}-ventas", place.name))
}

#[tokio::test]
async fn a_hundred_thousand_processes_are_queued_and_run_once_each() {
    // It starts itself again for each dispatcher, in a process of its own.
    if let Ok(task) = std::env::var(TASK) {
        return dispatch(&task).await;
    }
    let few = dispatch_few().await;
    let place = Place::new().await;
    let at_target = make_queue(&place.sqs, format!("{}-ventas", place.name)).await;
    let occurrence = whole_second(SystemClock.now());
    let schedule = seed(&place, PROCESSES, |_| target(&place)).await;
    let from_the_start = DispatchRequest::new(schedule, occurrence);
    let mut arrivals = Arrivals::new(&queue_url(&place).await, occurrence);

    // One is out of time, and says where to go on.
    let input = TriggerInput::new(from_the_start.schedule_id.clone(), occurrence);
    let stopped = start(&place, &input, Some(5)).await.wait_with_output();
    let stopped = told(&arrivals.during(stopped).await.unwrap());
    let cursor = stopped.next.clone().expect("there is more than can be queued in this time");
    assert_eq!(*arrivals.total.borrow(), stopped.queued);

    // The next one goes on from there, and dies without a word.
    let input = from_the_start.continuation(cursor);
    let mut total = arrivals.total.subscribe();
    let mut dying = start(&place, &input, None).await;
    let death = async {
        let has_begun = async { total.wait_for(|total| *total >= stopped.queued + BEFORE_THE_END).await.map(drop) };
        tokio::select! {
            begun = has_begun => begun.unwrap(),
            ended = dying.wait() => panic!("it ended by itself: {ended:?}"),
        }
        dying.kill().await.unwrap();
    };
    arrivals.during(death).await;

    // All that is known is where it began.
    let rest = start(&place, &input, None).await.wait_with_output();
    let rest = told(&arrivals.during(rest).await.unwrap());
    assert_eq!((stopped.queued + rest.queued, &rest.next), (PROCESSES, &None));

    // None is lost; twice there are those that the dead one had queued.
    let counted = |times: usize| arrivals.times.iter().filter(|count| **count == times).count();
    let (once, twice) = (counted(1), counted(2));
    assert_eq!(once + twice, PROCESSES);
    assert!(twice >= BEFORE_THE_END);
    println!("{once} processes once on the queue, {twice} twice");
    for (what, told) in [("few", &few), ("before the deadline", &stopped), ("the rest", &rest)] {
        println!("{what:>20}: {:>6} queued, {:>3} pages, {} bytes at most", told.queued, told.pages, told.peak);
        assert!(told.peak * 2 <= few.peak * 3, "{what} took {} bytes, {FEW} took {}", told.peak, few.peak);
    }

    // What is twice on the queue runs once. Executing all would take minutes here; these are one in four hundred.
    let copies = arrivals.sample.len();
    let expected: BTreeSet<_> = (0..PROCESSES).step_by(SAMPLE).map(|number| execution(number, occurrence)).collect();
    assert!(copies > expected.len(), "none of those is twice on the queue");
    place.executor.execute(arrivals.sample).await;
    let counts = place.executor.counts();
    assert_eq!(counts.succeeded, expected.len() as u64, "{counts:?}");
    assert_eq!(counts.duplicates + counts.waiting, (copies - expected.len()) as u64, "{counts:?}");
    let mut ran = Vec::new();
    loop {
        let received =
            place.sqs.receive_message().queue_url(&at_target).max_number_of_messages(10).send().await.unwrap();
        let Some(messages) = received.messages.filter(|messages| !messages.is_empty()) else { break };
        ran.extend(messages.iter().map(|message| message.body().unwrap().parse::<ExecutionId>().unwrap()));
    }
    assert_eq!((ran.len(), ran.into_iter().collect::<BTreeSet<_>>()), (expected.len(), expected));
    println!("{copies} copies of {} executions ran once each", counts.succeeded);
}
