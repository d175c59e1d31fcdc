//! The input of triggers: from EventBridge Scheduler to the function, or over a queue to the worker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kairos::backend::{Delivery, Message, Queue, QueueLimits, Receiver as _};
use kairos::clock::{Clock as _, ManualClock, later};
use kairos::dispatcher::{Dispatcher, DispatcherConfig};
use kairos::shutdown::shutdown;
use kairos::{Error, ErrorKind, Registration, Result, Scheduler, TriggerInput};
use kairos_examples::functions::dispatch::{Relay, dispatch, goes_on};
use kairos_examples::functions::worker::health::{Health, Pulse};
use kairos_examples::functions::worker::{Metered, Triggers, Watched};
use kairos_examples::telemetry::Metrics;
use kairos_memory::{MemoryHistory, MemoryQueue, MemorySchedules, MemoryStore};

use crate::event;

const DUE: &str = "2026-01-05T09:00:00Z";

/// A queue on which each batch takes a while.
#[derive(Debug)]
struct Slow(Arc<MemoryQueue>, ManualClock, Duration);

#[async_trait]
impl Queue for Slow {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        self.1.advance(self.2);
        self.0.send(batch).await
    }

    fn limits(&self) -> QueueLimits {
        self.0.limits()
    }
}

struct Place {
    clock: ManualClock,
    /// The execution queue.
    queue: Arc<MemoryQueue>,
    dispatcher: Dispatcher,
    /// Where triggers send their input.
    inputs: Arc<MemoryQueue>,
    triggers: Triggers,
}

impl Place {
    /// Five processes of one schedule, read by twos; each batch of messages takes so long.
    async fn new(batch: Duration) -> Self {
        let clock = ManualClock::at(DUE.parse().unwrap());
        let shared = Arc::new(clock.clone());
        let [queue, inputs] = [(); 2].map(|()| Arc::new(MemoryQueue::new(shared.clone())));
        let store = Arc::new(MemoryStore::new());
        let schedules = Arc::new(MemorySchedules::new(shared.clone()));
        let scheduler = Scheduler::new(store.clone(), schedules, queue.clone(), shared.clone());
        for name in ["a", "b", "c", "d", "e"] {
            let registration = Registration::new(name, "cron(0 9 ? * MON-FRI *)", "kairos:task:ok");
            scheduler.register(&registration).await.unwrap();
        }
        let mut config = DispatcherConfig::default();
        config.page_size = 2;
        let slow = Arc::new(Slow(queue.clone(), clock.clone(), batch));
        let dispatcher = Dispatcher::with_config(store, slow, shared.clone(), config);
        let metrics = Metered::new(Metrics::new("Kairos", "Pruebas"));
        let triggers = Triggers::new(dispatcher.clone(), inputs.clone(), inputs.clone(), shared, metrics);
        Self { clock, queue, dispatcher, inputs, triggers }
    }

    /// The names and occurrences of what is on the execution queue.
    async fn queued(&self) -> Vec<(String, Timestamp)> {
        let mut queued = Vec::new();
        loop {
            let deliveries = self.queue.receive(10, Duration::ZERO).await.unwrap();
            if deliveries.is_empty() {
                queued.sort();
                return queued;
            }
            queued.extend(deliveries.iter().map(|delivery| {
                let work = delivery.body.work(delivery.message_id.as_str(), delivery.sent_at).unwrap();
                (work.process.name.clone(), work.scheduled_time)
            }));
        }
    }

    async fn input(&self, text: impl Into<Arc<str>>) -> Delivery {
        self.inputs.inject(text);
        self.next().await.unwrap()
    }

    async fn next(&self) -> Option<Delivery> {
        self.inputs.receive(1, Duration::ZERO).await.unwrap().pop()
    }

    /// Has the worker take a trigger's input, and whatever follows it; how many messages that makes.
    async fn take_all(&self) -> usize {
        let mut messages = 0;
        let mut delivery = Some(self.input(event("trigger").to_string()).await);
        while let Some(taken) = delivery.take() {
            messages += 1;
            self.triggers.take(&taken).await;
            delivery = self.next().await;
        }
        messages
    }
}

fn all(due: &str) -> Vec<(String, Timestamp)> {
    ["a", "b", "c", "d", "e"].map(|name| (name.to_owned(), due.parse().unwrap())).into()
}

fn input(name: &str) -> TriggerInput {
    TriggerInput::from_json(&event(name).to_string()).unwrap()
}

#[tokio::test]
async fn a_function_whose_time_runs_out_goes_on_from_where_it_was() {
    for (name, due) in [
        ("trigger", DUE),
        ("trigger_without_time", "2026-01-05T09:00:03Z"),
        ("trigger_placeholder", "2026-01-05T09:00:03Z"),
    ] {
        let place = Place::new(Duration::from_secs(4)).await;
        let mut next = Some(input(name));
        let mut invocations = 0;
        while let Some(input) = next.take() {
            invocations += 1;
            // Each one gets the event three seconds after its own begin, and has 15 s: time for one page beside the margin.
            let got_at = if invocations == 1 { "2026-01-05T09:00:03Z".parse().unwrap() } else { place.clock.now() };
            let deadline = later(place.clock.now(), Duration::from_secs(13));
            let handed_on = Mutex::new(None);
            // It travels as JSON.
            let hand_on = |rest: TriggerInput| {
                let text = serde_json::to_string(&rest).unwrap();
                *handed_on.lock().unwrap() = Some(TriggerInput::from_json(&text).unwrap());
                async { Ok(()) }
            };
            dispatch(&place.dispatcher, input, got_at, deadline, Relay::OutOfTime, hand_on).await.unwrap();
            next = handed_on.into_inner().unwrap();
        }
        assert!(invocations > 1, "{name}");
        assert_eq!(place.queued().await, all(due), "{name}: all of it is one occurrence, each process of it once");
    }
}

#[tokio::test]
async fn who_cannot_hand_on_fails_so_that_the_trigger_tries_again() {
    let place = Place::new(Duration::ZERO).await;
    let deadline = later(place.clock.now(), Duration::from_secs(1));
    let hand_on = |_| async { Err(Error::new(ErrorKind::Denied, "not you")) };
    for relay in [Relay::OutOfTime, Relay::PageByPage] {
        let dispatched = dispatch(&place.dispatcher, input("trigger"), place.clock.now(), deadline, relay, hand_on);
        assert_eq!(dispatched.await.unwrap_err().to_string(), "hand on: not you");
    }
}

#[tokio::test]
async fn relayed_each_page_is_dispatched_by_another_and_what_nobody_takes_by_who_has_it() {
    let place = Place::new(Duration::ZERO).await;
    let deadline = later(place.clock.now(), Duration::from_secs(60));
    let relayed = Mutex::new(vec![input("trigger")]);
    let hand_on = |rest: TriggerInput| {
        relayed.lock().unwrap().push(rest);
        async { Ok(()) }
    };
    let mut told = Vec::new();
    loop {
        let Some(input) = relayed.lock().unwrap().pop() else { break };
        let now = place.clock.now();
        let dispatched = dispatch(&place.dispatcher, input, now, deadline, Relay::PageByPage, &hand_on).await.unwrap();
        told.push((dispatched.queued, goes_on(&dispatched)));
    }
    assert_eq!(told, [(2, true), (2, true), (1, false)]);
    assert_eq!(place.queued().await, all(DUE));

    let nobody = |_| async { Err(Error::new(ErrorKind::Throttled, "too many")) };
    let dispatched =
        dispatch(&place.dispatcher, input("trigger"), place.clock.now(), deadline, Relay::PageByPage, nobody);
    let dispatched = dispatched.await.unwrap();
    assert_eq!((dispatched.queued, goes_on(&dispatched)), (5, false));
}

#[tokio::test]
async fn a_worker_that_relays_goes_on_by_a_message_for_each_page() {
    let mut place = Place::new(Duration::ZERO).await;
    place.triggers = place.triggers.clone().with_relay(Relay::PageByPage);
    let messages = place.take_all().await;
    assert_eq!((messages, place.inputs.is_empty()), (3, true));
    assert_eq!(place.queued().await, all(DUE));
}

#[tokio::test]
async fn the_worker_goes_on_by_a_message_and_takes_each_off_when_it_is_done() {
    let place = Place::new(Duration::from_secs(25)).await;
    let messages = place.take_all().await;
    assert!(messages > 1);
    assert!(place.inputs.is_empty() && place.inputs.dead_letters().is_empty());
    assert_eq!(place.queued().await, all(DUE));
}

#[tokio::test]
async fn input_without_a_time_is_of_the_time_at_which_it_was_sent() {
    let place = Place::new(Duration::ZERO).await;
    let delivery = place.input(event("trigger_without_time").to_string()).await;
    place.clock.advance(Duration::from_secs(40));
    place.triggers.take(&delivery).await;
    assert_eq!(place.queued().await, all(DUE));
}

#[tokio::test]
async fn input_that_cannot_be_read_lies_with_the_dead_letters_and_what_cannot_be_queued_comes_back() {
    let place = Place::new(Duration::ZERO).await;
    let delivery = place.input(event("trigger_malformed").to_string()).await;
    place.triggers.take(&delivery).await;
    let letters = place.inputs.dead_letters();
    assert_eq!((letters.len(), letters[0].reason.failure.kind.as_str()), (1, "malformed"));

    let foreign = r#"{"IdCalendarizacion":"calendarizacion-x","Cursor":"of nobody"}"#;
    let delivery = place.input(foreign).await;
    place.triggers.take(&delivery).await;
    // A cursor of another listing is malformed too.
    assert_eq!(place.inputs.dead_letters().len(), 2);
    assert!(place.inputs.is_empty());
}

#[tokio::test]
async fn a_queue_that_is_down_makes_the_input_come_back_later() {
    #[derive(Debug)]
    struct Down;
    #[async_trait]
    impl Queue for Down {
        async fn send(&self, _: &[Message]) -> Result<Vec<Result<()>>> {
            Err(Error::new(ErrorKind::Denied, "not you"))
        }
        fn limits(&self) -> QueueLimits {
            QueueLimits::new(10)
        }
    }
    let clock = ManualClock::at(DUE.parse().unwrap());
    let shared = Arc::new(clock.clone());
    let inputs = Arc::new(MemoryQueue::new(shared.clone()));
    let store = Arc::new(MemoryStore::new());
    let schedules = Arc::new(MemorySchedules::new(shared.clone()));
    let scheduler = Scheduler::new(store.clone(), schedules, inputs.clone(), shared.clone());
    scheduler.register(&Registration::new("a", "cron(0 9 ? * MON-FRI *)", "kairos:task:ok")).await.unwrap();
    let dispatcher = Dispatcher::new(store, Arc::new(Down), shared.clone());
    let metrics = Metered::new(Metrics::new("Kairos", "Pruebas"));
    let triggers = Triggers::new(dispatcher, inputs.clone(), inputs.clone(), shared, metrics);

    inputs.inject(event("trigger").to_string());
    let delivery = inputs.receive(1, Duration::ZERO).await.unwrap().pop().unwrap();
    triggers.take(&delivery).await;
    assert!(inputs.receive(1, Duration::ZERO).await.unwrap().is_empty(), "it came back at once");
    clock.advance(Duration::from_secs(1));
    assert_eq!(inputs.receive(1, Duration::ZERO).await.unwrap()[0].receive_count, 2);
}

#[tokio::test]
async fn a_loop_without_a_sign_of_life_is_dead_and_a_queue_that_was_not_reached_is_not_ready() {
    let clock = ManualClock::at(DUE.parse().unwrap());
    let shared = Arc::new(clock.clone());
    let pulse = Arc::new(Pulse::new("executions", shared.clone()));
    let watched = Watched::new(Arc::new(MemoryQueue::new(shared.clone())), pulse.clone());
    let (stop, stopping) = shutdown();
    let health = Health::new(vec![pulse.clone()], Arc::new(MemoryHistory::new()), shared).until(stopping);
    assert_eq!((health.dead(), health.unready().await), (vec![], vec!["executions: not reached".to_owned()]));

    // The first receipt does not wait: nothing would move this clock.
    assert!(watched.receive(1, Duration::from_secs(20)).await.unwrap().is_empty());
    assert!(health.unready().await.is_empty());
    clock.advance(Duration::from_secs(181));
    assert_eq!(health.dead(), ["executions: no sign of life since 2026-01-05T09:00:00Z"]);
    pulse.reached(false);
    assert!(health.dead().is_empty() && !health.unready().await.is_empty());

    pulse.reached(true);
    stop.request();
    assert_eq!(health.unready().await, ["it is stopping"]);
}
