//! Batches of the execution queue.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsEvent;
use kairos::backend::{Delivery, History as _, Invoker, Message, Queue as _, Receiver as _};
use kairos::clock::{Clock as _, ManualClock, later};
use kairos::executor::Verdict;
use kairos::{Body, ErrorKind, ExecutionId, Executor, ProcessId, Tasks, WorkItem};
use kairos_examples::functions::event_source::{EventSourceQueue, records};
use kairos_examples::functions::execute::{Batch, Record, count, execute};
use kairos_examples::telemetry::Metrics;
use kairos_memory::{MemoryHistory, MemoryInvoker, MemoryQueue};
use serde_json::Value;

use crate::{event, text};

const DUE: &str = "2026-01-05T09:00:00Z";

struct Place {
    clock: ManualClock,
    queue: Arc<MemoryQueue>,
    history: Arc<MemoryHistory>,
    targets: Arc<MemoryInvoker>,
    executor: Executor,
}

impl Place {
    fn new() -> Self {
        Self::with_tasks(ManualClock::at(DUE.parse().unwrap()), Tasks::new())
    }

    fn with_tasks(clock: ManualClock, tasks: Tasks) -> Self {
        let shared = Arc::new(clock.clone());
        let queue = Arc::new(MemoryQueue::new(shared.clone()));
        let (history, targets) = (Arc::new(MemoryHistory::new()), Arc::new(MemoryInvoker::new(shared.clone())));
        let invoker: Arc<dyn Invoker> = Arc::new(tasks.with_others(targets.clone()));
        let receiver = Arc::new(EventSourceQueue::new(queue.clone()));
        let executor = Executor::new(receiver, invoker, shared).with_history(history.clone());
        Self { clock, queue, history, targets, executor }
    }

    /// What the event source receives.
    async fn receive(&self) -> Vec<Delivery> {
        self.queue.receive(10, Duration::ZERO).await.unwrap()
    }

    /// A batch as the event source sees it through: what the answer does not name is deleted.
    async fn execute(&self, seconds: u64) -> Batch {
        let deliveries = self.receive().await;
        let records = deliveries.iter().map(|delivery| record(delivery, None)).collect();
        let deadline = later(self.clock.now(), Duration::from_secs(seconds));
        let batch = execute(&self.executor, &self.clock, records, deadline).await;
        let done = deliveries.iter().filter(|delivery| !batch.to_return.contains(&delivery.message_id.to_string()));
        let done: Vec<_> = done.map(|delivery| delivery.receipt.clone()).collect();
        self.queue.acknowledge(&done).await.unwrap();
        batch
    }

    async fn send(&self, target: &str, names: &[&str]) {
        let work = names.iter().map(|name| Message::new(work(name, target))).collect::<Vec<_>>();
        self.queue.send(&work).await.unwrap();
    }
}

fn record(delivery: &Delivery, group: Option<&str>) -> Record {
    Record { id: delivery.message_id.to_string(), group: group.map(Into::into), delivery: Ok(delivery.clone()) }
}

fn work(name: &str, target: &str) -> WorkItem {
    let mut message: Value = serde_json::from_str(&text("messages/older.json")).unwrap();
    (message["Nombre"], message["ArnProceso"], message["FechaProgramada"]) = (name.into(), target.into(), DUE.into());
    message["IdProceso"] = ProcessId::of(name).as_str().into();
    Body::from_json(message.to_string()).work("", DUE.parse().unwrap()).unwrap()
}

fn verdicts(batch: &Batch) -> Vec<&Verdict> {
    batch.handled.iter().map(|handled| &handled.verdict).collect()
}

#[tokio::test]
async fn messages_of_both_dispatchers_are_executed_and_a_malformed_one_harms_neither() {
    let place = Place::new();
    let recorded: SqsEvent = serde_json::from_value(event("sqs")).unwrap();
    for record in &recorded.records {
        place.queue.inject(record.body.clone().unwrap());
    }
    let batch = place.execute(60).await;
    assert_eq!((batch.to_return.len(), batch.untouched, batch.handled.len()), (0, 0, 3));
    assert!(place.queue.is_empty());

    let calls = place.targets.calls();
    let payloads: Vec<_> = calls.iter().map(|call| call.invocation.payload.as_deref().unwrap()).collect();
    let execution = "f2dadf24-306b-57f6-9705-3b9b726389cb";
    let newer = format!(r#"{{"ejecucion":"{execution}","fecha":"{DUE}"}}"#);
    assert_eq!(payloads, [r#"{"formato":"pdf","nota":"año ñandú"}"#, newer.as_str()]);
    let letters = place.queue.dead_letters();
    assert_eq!((letters.len(), letters[0].reason.failure.kind.as_str()), (1, "malformed"));

    // Sent once more by either dispatcher: the newer message is the same execution, the older one is known by its own id.
    for path in ["older", "newer"] {
        place.queue.inject(text(&format!("messages/{path}.json")));
    }
    let again = place.execute(60).await;
    assert_eq!(verdicts(&again), [&Verdict::Succeeded, &Verdict::Duplicate]);
    assert!(again.to_return.is_empty() && place.queue.is_empty());

    let mut metrics = Metrics::new("Kairos", "Pruebas");
    count(&mut metrics, batch.handled.iter().chain(&again.handled));
    let line = crate::metrics::checked(&metrics.line(DUE.parse().unwrap()));
    for (name, expected) in [("Executed", 3), ("Failed", 0), ("DeadLettered", 1), ("DuplicatesSuppressed", 1)] {
        assert_eq!(line[name], expected, "{name}");
    }
    // One of them is known to be of nine o'clock; the older ones are of the time at which they were sent.
    assert_eq!(line["Lateness"], serde_json::json!([0, 0, 0]));
}

#[tokio::test]
async fn what_fails_in_passing_is_named_in_the_answer_and_comes_back_after_its_backoff() {
    let place = Place::new();
    let target = "arn:aws:sqs:us-east-1:123456789012:kairos-ventas";
    place.targets.fail_times(target, 1, ErrorKind::Throttled);
    place.send(target, &["a"]).await;
    let batch = place.execute(60).await;
    assert!(matches!(verdicts(&batch)[..], [Verdict::Retrying { .. }]), "{batch:?}");
    assert_eq!(batch.to_return.len(), 1);
    assert!(place.receive().await.is_empty(), "it was made visible too early");
    place.clock.advance(Duration::from_secs(5));
    let batch = place.execute(60).await;
    assert_eq!((verdicts(&batch), batch.to_return.len()), (vec![&Verdict::Succeeded], 0));
}

#[tokio::test]
async fn what_cannot_be_begun_in_time_goes_back_untouched() {
    let clock = ManualClock::at(DUE.parse().unwrap());
    let tasks = {
        let clock = clock.clone();
        Tasks::new().with("slow", move |_| {
            clock.advance(Duration::from_secs(20));
            async { Ok(()) }
        })
    };
    let place = Place::with_tasks(clock, tasks);
    place.send("kairos:task:slow", &["a", "b", "c", "d"]).await;
    // Of 60 s, the last 15 s are too late to begin: at 0, 20 and 40 s there is time.
    let batch = place.execute(60).await;
    assert_eq!((batch.handled.len(), batch.untouched, batch.to_return.len()), (3, 1, 1));
    let execution = ExecutionId::of_occurrence(&ProcessId::of("d"), DUE.parse().unwrap());
    assert_eq!(place.history.get(execution).await.unwrap(), None, "it was claimed");

    // The next one takes it up at its first try.
    place.clock.advance(Duration::from_secs(30));
    let batch = place.execute(60).await;
    assert_eq!(verdicts(&batch), [&Verdict::Succeeded]);
    assert_eq!(place.history.get(execution).await.unwrap().unwrap().attempts, 1);
}

#[tokio::test]
async fn a_deadline_that_has_passed_leaves_everything_and_a_short_one_still_works() {
    let place = Place::new();
    place.send("arn:aws:sqs:us-east-1:123456789012:kairos-ventas", &["a", "b"]).await;
    let batch = place.execute(0).await;
    assert_eq!((batch.handled.len(), batch.to_return.len()), (0, 2));
    place.clock.advance(Duration::from_secs(30));
    let batch = place.execute(3).await;
    assert_eq!((batch.handled.len(), batch.to_return.len()), (2, 0));
}

#[tokio::test]
async fn what_has_not_ended_when_it_is_time_to_answer_goes_back_and_harms_no_other() {
    let place = Place::with_tasks(
        ManualClock::at(DUE.parse().unwrap()),
        Tasks::new().with("never", |_| std::future::pending()).with("ok", |_| async { Ok(()) }),
    );
    place.send("kairos:task:never", &["a"]).await;
    place.send("kairos:task:ok", &["b"]).await;
    let passing = async {
        while place.clock.next_timer().is_none() {
            tokio::task::yield_now().await;
        }
        place.clock.advance(Duration::from_secs(59));
    };
    let (batch, ()) = tokio::join!(place.execute(60), passing);
    assert_eq!((verdicts(&batch), batch.to_return.len(), batch.untouched), (vec![&Verdict::Succeeded], 1, 0));
}

#[tokio::test]
async fn a_group_is_executed_in_order_and_held_back_behind_what_comes_back() {
    let place = Place::new();
    let target = "arn:aws:sqs:us-east-1:123456789012:kairos-ventas";
    place.targets.fail_times(target, 1, ErrorKind::Throttled);
    place.send(target, &["a", "a", "b"]).await;
    let deliveries = place.receive().await;
    let records = deliveries.iter().zip(["a", "a", "b"]).map(|(delivery, group)| record(delivery, Some(group)));
    let deadline = later(place.clock.now(), Duration::from_secs(60));
    let batch = execute(&place.executor, &place.clock, records.collect(), deadline).await;
    let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.message_id.to_string()).collect();
    assert_eq!((batch.to_return, batch.untouched), (ids[..2].to_vec(), 1));
}

#[test]
fn a_record_is_the_message_that_the_queue_gives() {
    let recorded: SqsEvent = serde_json::from_value(event("sqs")).unwrap();
    let records = records(recorded).unwrap();
    assert!(records.iter().all(|record| record.group.is_none()), "a standard queue has no order");
    let delivery = records[2].delivery.as_ref().unwrap();
    assert_eq!(delivery.message_id.as_str(), "c80e8021-a70a-42c7-a470-796e1186f753");
    assert_eq!((delivery.receive_count, delivery.redriven), (1, false));
    assert_eq!(delivery.sent_at.as_millisecond(), 1_767_603_602_185);
    assert_eq!(delivery.body, Body::from_json(text("messages/newer.json").trim_end()));
}

#[test]
fn a_redriven_message_is_answered_by_the_id_that_it_has_now() {
    let mut event = event("sqs");
    let record = &mut event["Records"][0];
    record["eventSourceARN"] = "arn:aws:sqs:us-east-1:123456789012:kairos.fifo".into();
    record["attributes"]["MessageGroupId"] = "proceso-YQ..".into();
    record["messageAttributes"] = serde_json::json!({
        "Kairos.Mensaje": {"stringValue": "m-1 1767603600000", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
        "Huella": {"binaryValue": "AAEC", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
    });
    let records = records(serde_json::from_value(event).unwrap()).unwrap();
    let delivery = records[0].delivery.as_ref().unwrap();
    assert_eq!(records[0].id, "059f36b4-87a3-44ab-83d2-661975830a7d");
    assert_eq!(records[0].group.as_deref(), Some("proceso-YQ.."));
    assert_eq!((delivery.message_id.as_str(), delivery.redriven), ("m-1", true));
    assert!(delivery.receipt.as_str().contains("Huella"), "an attribute of others was lost");
}

#[tokio::test]
async fn a_message_in_part_comes_back_and_one_without_an_id_stops_the_batch() {
    let place = Place::new();
    let mut event = event("sqs");
    event["Records"][1].as_object_mut().unwrap().remove("receiptHandle");
    let batch = {
        let records = records(serde_json::from_value(event.clone()).unwrap()).unwrap();
        let mut records: Vec<_> = records.into_iter().collect();
        // Only the one in part: receipts of a recorded event are of another queue.
        execute(
            &place.executor,
            &place.clock,
            vec![records.remove(1)],
            later(place.clock.now(), Duration::from_secs(60)),
        )
        .await
    };
    assert_eq!(batch.to_return, ["2e1424d4-f796-459a-8184-9c92662be6da"]);

    event["Records"][2].as_object_mut().unwrap().remove("messageId");
    let error = records(serde_json::from_value(event).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
}
