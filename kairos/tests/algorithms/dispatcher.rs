//! Dispatching: every enabled process of the occurrence is on the queue, or the answer is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kairos::backend::*;
use kairos::clock::{Clock, ClockExt as _, between, earlier};
use kairos::dispatcher::{DispatchRequest, Dispatcher, DispatcherConfig};
use kairos::page::{Page, PageRequest};
use kairos::{
    Error, ErrorKind, ExecutionId, Origin, Process, ProcessId, Result, Schedule, ScheduleId, Specification,
    TriggerInput,
};

use crate::support::*;

const DAILY: &str = "cron(0 9 * * ? *)";
const NOON: &str = "2026-01-01T12:00:00Z";

fn daily() -> ScheduleId {
    Specification::new(DAILY).schedule_id()
}

async fn with_processes(count: usize) -> World {
    let world = World::new();
    let scheduler = world.scheduler();
    for index in 0..count {
        scheduler.register(&registration(&format!("p{index}"), DAILY)).await.unwrap();
    }
    world
}

fn dispatcher(world: &World, queue: Arc<dyn Queue>, page_size: usize) -> Dispatcher {
    let config = DispatcherConfig::default().with_page_size(page_size);
    Dispatcher::with_config(world.store.clone(), queue, world.shared_clock(), config)
}

async fn queued(world: &World) -> Vec<kairos::WorkItem> {
    let deliveries = world.receive_all().await;
    deliveries.iter().map(|d| d.body.work(d.message_id.as_str(), d.sent_at).unwrap()).collect()
}

#[tokio::test]
async fn every_enabled_process_is_queued_once_whatever_the_pages() {
    for page_size in [1, 3, 7, 100] {
        let world = with_processes(7).await;
        world.scheduler().register(&registration("otra", "rate(1 day)")).await.unwrap();
        world.scheduler().disable(&ProcessId::of("p3")).await.unwrap();
        let request = DispatchRequest::new(daily(), at(NOON));
        let dispatched = dispatcher(&world, world.queue.clone(), page_size).dispatch(&request).await.unwrap();
        assert_eq!((dispatched.queued, dispatched.next), (6, None));
        let works = queued(&world).await;
        let names: BTreeSet<_> = works.iter().map(|work| work.process.name.as_str()).collect();
        assert_eq!(names, BTreeSet::from(["p0", "p1", "p2", "p4", "p5", "p6"]));
        for work in &works {
            assert_eq!((work.scheduled_time, work.origin), (at(NOON), Origin::Schedule));
            assert_eq!(work.execution_id, ExecutionId::of_occurrence(&work.process.id, at(NOON)));
        }
    }
}

#[tokio::test]
async fn the_input_of_an_older_trigger_means_now() {
    let world = with_processes(1).await;
    let input = TriggerInput::from_json(&format!(r#"{{"IdCalendarizacion":"{}"}}"#, daily())).unwrap();
    let request = DispatchRequest::of_trigger(input, world.clock.now());
    dispatcher(&world, world.queue.clone(), 10).dispatch(&request).await.unwrap();
    assert_eq!(queued(&world).await[0].scheduled_time, world.clock.now());
}

#[tokio::test]
async fn when_time_runs_out_a_cursor_is_handed_over_and_nothing_is_lost_or_doubled() {
    let world = with_processes(10).await;
    let dispatcher = dispatcher(&world, world.queue.clone(), 3);
    let mut request = DispatchRequest::new(daily(), at(NOON)).with_deadline(world.clock.now());
    let mut rounds = 0;
    loop {
        rounds += 1;
        let dispatched = dispatcher.dispatch(&request).await.unwrap();
        assert_eq!(dispatched.pages, 1);
        let Some(cursor) = dispatched.next else { break };
        // Over the wire, as a dispatcher goes on by itself.
        let text = serde_json::to_string(&request.continuation(cursor)).unwrap();
        let input = TriggerInput::from_json(&text).unwrap();
        request = DispatchRequest::of_trigger(input, world.clock.now()).with_deadline(world.clock.now());
    }
    assert_eq!(rounds, 4);
    let ids: Vec<_> = queued(&world).await.iter().map(|work| work.execution_id).collect();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (10, 10));
}

#[tokio::test]
async fn a_fault_of_any_call_is_retried() {
    for index in 0..8 {
        for what in [What::Fail(ErrorKind::Throttled), What::LoseAnswer] {
            let world = with_processes(10).await;
            let faults = Faults::at(index, what);
            let store = Arc::new(Faulty { inner: world.store.clone(), faults: faults.clone() });
            let queue = Arc::new(Faulty { inner: world.queue.clone(), faults: faults.clone() });
            let mut config = DispatcherConfig::default();
            config.page_size = 3;
            let dispatcher = Dispatcher::with_config(store, queue, world.shared_clock(), config);
            let request = DispatchRequest::new(daily(), at(NOON));
            let dispatched = drive(&world.clock, dispatcher.dispatch(&request)).await.unwrap();
            assert!(faults.happened());
            assert_eq!(dispatched.queued, 10);
            let works = queued(&world).await;
            let ids: BTreeSet<_> = works.iter().map(|work| work.execution_id).collect();
            // A lost answer may double messages, never executions.
            assert_eq!(ids.len(), 10, "{what:?} at {index}");
        }
    }
}

/// Refuses single messages: by name for good, and each one as often as asked for in passing.
#[derive(Debug)]
struct Picky {
    inner: Arc<kairos_memory::MemoryQueue>,
    never: &'static str,
    passing: Mutex<u32>,
    largest: AtomicUsize,
}

#[async_trait]
impl Queue for Picky {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        self.largest.fetch_max(batch.len(), Ordering::Relaxed);
        let mut answers = Vec::new();
        for message in batch {
            let name = message.body.work("m", at(NOON)).unwrap().process.name.clone();
            let refused = {
                let mut passing = self.passing.lock().unwrap();
                let refused = *passing > 0;
                *passing = passing.saturating_sub(1);
                refused
            };
            answers.push(if name == self.never {
                Err(Error::new(ErrorKind::Invalid, "this one never"))
            } else if refused {
                Err(Error::new(ErrorKind::Throttled, "not now"))
            } else {
                self.inner.send(std::slice::from_ref(message)).await?.remove(0)
            });
        }
        Ok(answers)
    }

    fn limits(&self) -> QueueLimits {
        QueueLimits::new(4)
    }
}

fn picky(world: &World, never: &'static str, passing: u32) -> Arc<Picky> {
    let passing = Mutex::new(passing);
    Arc::new(Picky { inner: world.queue.clone(), never, passing, largest: AtomicUsize::new(0) })
}

#[tokio::test]
async fn single_messages_that_fail_are_sent_again_alone() {
    let world = with_processes(10).await;
    let queue = picky(&world, "", 7);
    let dispatcher = dispatcher(&world, queue.clone(), 100);
    let request = DispatchRequest::new(daily(), at(NOON));
    let dispatched = drive(&world.clock, dispatcher.dispatch(&request)).await.unwrap();
    assert_eq!(dispatched.queued, 10);
    assert!(dispatched.retries > 0);
    assert_eq!(queued(&world).await.len(), 10, "what was sent is not sent again");
    assert_eq!(queue.largest.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_message_that_no_queue_would_take_is_an_error_and_keeps_no_other_back() {
    let world = with_processes(10).await;
    let dispatcher = dispatcher(&world, picky(&world, "p4", 0), 3);
    let request = DispatchRequest::new(daily(), at(NOON));
    let error = drive(&world.clock, dispatcher.dispatch(&request)).await.unwrap_err();
    assert!(error.is_retryable(), "the trigger's own retries and dead letters take over");
    let expected = format!("dispatch {}: 1 of 10 messages could not be queued", daily());
    assert_eq!(error.to_string(), expected);
    assert_eq!(queued(&world).await.len(), 9);
}

#[tokio::test]
async fn a_queue_that_is_down_ends_the_dispatch_soon() {
    let world = with_processes(20).await;
    let dispatcher = dispatcher(&world, picky(&world, "", u32::MAX), 2);
    let request = DispatchRequest::new(daily(), at(NOON));
    let error = drive(&world.clock, dispatcher.dispatch(&request)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert!(error.to_string().contains("2 of 2 messages"), "{error}");
}

/// Refuses one message in passing, for ever, and may leave answers out.
#[derive(Debug)]
struct Stubborn {
    inner: Arc<kairos_memory::MemoryQueue>,
    refused: &'static str,
    answers: usize,
}

#[async_trait]
impl Queue for Stubborn {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        let mut answers = Vec::new();
        for message in batch.iter().take(self.answers) {
            let name = message.body.work("m", at(NOON)).unwrap().process.name.clone();
            answers.push(if name == self.refused {
                Err(Error::new(ErrorKind::Unavailable, "not now"))
            } else {
                self.inner.send(std::slice::from_ref(message)).await?.remove(0)
            });
        }
        Ok(answers)
    }

    fn limits(&self) -> QueueLimits {
        QueueLimits::new(10)
    }
}

#[tokio::test]
async fn a_message_that_keeps_failing_in_passing_keeps_no_other_page_back() {
    let world = with_processes(9).await;
    let queue = Stubborn { inner: world.queue.clone(), refused: "p0", answers: usize::MAX };
    let dispatcher = dispatcher(&world, Arc::new(queue), 3);
    let request = DispatchRequest::new(daily(), at(NOON));
    drive(&world.clock, dispatcher.dispatch(&request)).await.unwrap_err();
    assert_eq!(queued(&world).await.len(), 8);
}

#[tokio::test]
async fn a_queue_that_answers_for_some_only_has_promised_nothing_for_the_others() {
    let world = with_processes(3).await;
    let queue = Stubborn { inner: world.queue.clone(), refused: "", answers: 0 };
    let dispatcher = dispatcher(&world, Arc::new(queue), 10);
    let request = DispatchRequest::new(daily(), at(NOON));
    let error = drive(&world.clock, dispatcher.dispatch(&request)).await.unwrap_err();
    assert!(error.to_string().contains("3 of 3 messages"), "{error}");
}

/// The messages that were sent, as they were.
#[derive(Debug, Default)]
struct Sent(Mutex<Vec<Message>>);

#[async_trait]
impl Queue for Sent {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        self.0.lock().unwrap().extend_from_slice(batch);
        Ok(batch.iter().map(|_| Ok(())).collect())
    }

    fn limits(&self) -> QueueLimits {
        QueueLimits::new(10)
    }
}

#[tokio::test]
async fn dispatchers_relay_an_occurrence_page_by_page() {
    let world = with_processes(10).await;
    let dispatcher = dispatcher(&world, world.queue.clone(), 3);
    let taken = Mutex::new(Vec::new());
    let take = |rest| {
        taken.lock().unwrap().push(rest);
        async { Ok(()) }
    };
    let mut request = DispatchRequest::new(daily(), at(NOON));
    let mut queued_each = Vec::new();
    loop {
        let dispatched = dispatcher.dispatch_relayed(&request, take).await.unwrap();
        queued_each.push(dispatched.queued);
        assert_eq!(dispatched.next, None);
        let rest = taken.lock().unwrap().pop();
        assert_eq!(dispatched.handed_over, rest.is_some());
        let Some(rest) = rest else { break };
        request = DispatchRequest::of_trigger(rest, world.clock.now());
    }
    assert_eq!(queued_each, [3, 3, 3, 1]);
    let ids: Vec<_> = queued(&world).await.iter().map(|work| work.execution_id).collect();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (10, 10));
}

#[tokio::test]
async fn what_nobody_takes_over_is_queued_here() {
    let world = with_processes(10).await;
    let asked = AtomicUsize::new(0);
    // Somebody is there again for the last page.
    let hand_over = |_| {
        let is_last = asked.fetch_add(1, Ordering::Relaxed) == 2;
        async move { if is_last { Ok(()) } else { Err(Error::new(ErrorKind::Throttled, "not now")) } }
    };
    let request = DispatchRequest::new(daily(), at(NOON));
    let dispatcher = dispatcher(&world, world.queue.clone(), 3);
    let dispatched = dispatcher.dispatch_relayed(&request, hand_over).await.unwrap();
    assert_eq!((dispatched.queued, dispatched.pages, dispatched.handed_over), (9, 3, true));
    assert_eq!(queued(&world).await.len(), 9);
}

#[tokio::test]
async fn an_occurrence_is_spread_over_a_time_each_process_at_its_own_place() {
    let world = with_processes(200).await;
    let spread = Duration::from_secs(600);
    let delays = async |late: u64| {
        let queue = Arc::new(Sent::default());
        let config = DispatcherConfig::default().with_spread(spread);
        let dispatcher = Dispatcher::with_config(world.store.clone(), queue.clone(), world.shared_clock(), config);
        let scheduled_time = earlier(world.clock.now(), Duration::from_secs(late));
        dispatcher.dispatch(&DispatchRequest::new(daily(), scheduled_time)).await.unwrap();
        let sent = std::mem::take(&mut *queue.0.lock().unwrap());
        sent.iter()
            .map(|message| {
                let work = message.body.work("", world.clock.now()).unwrap();
                (work.process.id.clone(), message.delay)
            })
            .collect::<BTreeMap<_, _>>()
    };
    let on_time = delays(0).await;
    assert!(on_time.values().all(|delay| *delay < spread));
    for quarter in 0..4 {
        let share = on_time.values().filter(|delay| delay.as_secs() / 150 == quarter).count();
        assert!((25..=80).contains(&share), "{share} of 200 in quarter {quarter}");
    }
    // Dispatched again, and later: at the same times.
    let again = delays(200).await;
    for (id, delay) in &on_time {
        assert_eq!(again[id], delay.saturating_sub(Duration::from_secs(200)), "{id}");
    }
}

/// A backend whose answers take a while.
#[derive(Debug)]
struct Slow<B>(Arc<B>, Arc<dyn Clock>, Duration);

#[async_trait]
impl Queue for Slow<kairos_memory::MemoryQueue> {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        self.1.sleep(self.2).await;
        self.0.send(batch).await
    }

    fn limits(&self) -> QueueLimits {
        QueueLimits::new(10)
    }
}

#[async_trait]
impl Store for Slow<kairos_memory::MemoryStore> {
    async fn list_processes(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<Arc<Process>>> {
        self.1.sleep(self.2).await;
        self.0.list_processes(filter, page).await
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

#[tokio::test]
async fn as_many_batches_are_under_way_as_may_be_from_the_first_page_to_the_last() {
    const PROCESSES: usize = 4_000;
    let (reading, sending) = (Duration::from_millis(30), Duration::from_millis(15));
    let world = with_processes(PROCESSES).await;
    let clock = world.shared_clock();
    let store = Arc::new(Slow(world.store.clone(), clock.clone(), reading));
    let queue = Arc::new(Slow(world.queue.clone(), clock.clone(), sending));
    let dispatcher = Dispatcher::new(store, queue, clock);
    let start = world.clock.now();
    let request = DispatchRequest::new(daily(), at(NOON));
    let dispatched = drive(&world.clock, dispatcher.dispatch(&request)).await.unwrap();
    assert_eq!((dispatched.queued, dispatched.pages), (PROCESSES, 8));
    // Once to read the first page, and then as long as a loop of batches takes that knows of no pages: eight at once, ten messages each.
    assert_eq!(between(start, world.clock.now()), reading + sending * 50);
}
