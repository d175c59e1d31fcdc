//! What is asked of SQS, and what its answers mean, without a server.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_sqs::operation::change_message_visibility::ChangeMessageVisibilityOutput;
use aws_sdk_sqs::operation::delete_message::DeleteMessageOutput;
use aws_sdk_sqs::operation::delete_message_batch::{DeleteMessageBatchError, DeleteMessageBatchOutput};
use aws_sdk_sqs::operation::receive_message::ReceiveMessageOutput;
use aws_sdk_sqs::operation::send_message::{SendMessageError, SendMessageOutput};
use aws_sdk_sqs::operation::send_message_batch::{SendMessageBatchError, SendMessageBatchOutput};
use aws_sdk_sqs::types::error::{QueueDoesNotExist, RequestThrottled};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, DeleteMessageBatchResultEntry, Message as Received, MessageSystemAttributeName,
    SendMessageBatchResultEntry,
};
use aws_smithy_mocks::{MockResponseInterceptor, Rule, RuleMode, create_mock_http_client, mock};
use futures_util::future::{join, join_all};
use kairos::{Origin, Process, ProcessId, WorkItem, limits};
use serde_json::json;

use super::*;

const URL: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/kairos";
const DEAD: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/kairos-muertos";

fn mocked(rules: &[&Rule]) -> SqsQueue {
    let mut mocks = MockResponseInterceptor::new().rule_mode(RuleMode::MatchAny);
    for rule in rules {
        mocks = mocks.with_rule(rule);
    }
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("123456789012", "secret", None, None, "tests"))
        .retry_config(aws_sdk_sqs::config::retry::RetryConfig::disabled())
        .http_client(create_mock_http_client())
        .interceptor(mocks);
    SqsQueue::new(&Client::from_conf(config.build()), URL).with_dead_letters(DEAD)
}

fn text(text: &str) -> Message {
    Message::new(Body::from_json(text))
}

fn failed(id: &str, code: &str, sender_fault: bool) -> BatchResultErrorEntry {
    BatchResultErrorEntry::builder().id(id).code(code).sender_fault(sender_fault).build().unwrap()
}

fn sent(id: &str) -> SendMessageBatchResultEntry {
    SendMessageBatchResultEntry::builder().id(id).message_id(id).md5_of_message_body("x").build().unwrap()
}

fn kinds(answers: &[Result<()>]) -> Vec<Option<ErrorKind>> {
    answers.iter().map(|answer| answer.as_ref().err().map(kairos::Error::kind)).collect()
}

#[tokio::test]
async fn each_entry_of_a_batch_has_the_answer_that_the_service_gave_to_it() {
    let rule = mock!(Client::send_message_batch)
        .match_requests(|request| request.queue_url() == Some(URL) && request.entries().len() == 4)
        .then_output(|| {
            SendMessageBatchOutput::builder()
                .successful(sent("3"))
                .failed(failed("1", "InternalError", false))
                .failed(failed("0", "InvalidParameterValue", true))
                .build()
                .unwrap()
        });
    let answers = mocked(&[&rule]).send(&["a", "b", "c", "d"].map(text)).await.unwrap();
    let expected = [Some(ErrorKind::Invalid), Some(ErrorKind::Unavailable), Some(ErrorKind::Unavailable), None];
    assert_eq!(kinds(&answers), expected, "the third was not answered for");
    assert_eq!(
        answers.iter().map(|answer| answer.as_ref().is_err_and(kairos::Error::is_retryable)).collect::<Vec<_>>(),
        [false, true, true, false]
    );
}

#[tokio::test]
async fn an_entry_names_its_process_and_rounds_its_delay_up() {
    let rule = mock!(Client::send_message_batch)
        .match_requests(|request| {
            let entry = &request.entries()[0];
            entry.message_group_id() == Some("proceso-YQ..")
                && entry.message_deduplication_id().is_none()
                && entry.delay_seconds() == Some(2)
                && entry.message_attributes().is_none()
        })
        .then_output(|| {
            SendMessageBatchOutput::builder().successful(sent("0")).set_failed(Some(vec![])).build().unwrap()
        });
    let message = text(r#"{"IdProceso":"proceso-YQ.."}"#).with_delay(Duration::from_millis(1_001));
    mocked(&[&rule]).send(&[message]).await.unwrap().remove(0).unwrap();
    assert_eq!(rule.num_calls(), 1);
}

#[tokio::test]
async fn a_batch_beyond_the_limits_and_entries_that_no_queue_takes_are_not_sent() {
    let queue = mocked(&[]);
    assert_eq!(queue.limits().batch_messages, 10);
    assert_eq!(queue.limits().batch_bytes, Some(limits::MESSAGE));
    let large = "x".repeat(limits::MESSAGE / 2 + 1);
    for batch in [vec![text("a"); 11], vec![text(&large), text(&large)], vec![text(&"x".repeat(limits::MESSAGE + 1))]] {
        assert_eq!(queue.send(&batch).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    let batch = [text("\u{b}"), text(""), text("a").with_delay(Duration::from_secs(901))];
    let answers = queue.send(&batch).await.unwrap();
    let fields: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap_err().faults()[0].field).collect();
    assert_eq!(fields, ["body", "body", "delay"]);
}

#[tokio::test]
async fn an_error_of_the_whole_call_is_told_by_its_type() {
    let missing = mock!(Client::send_message_batch)
        .then_error(|| SendMessageBatchError::QueueDoesNotExist(QueueDoesNotExist::builder().build()));
    let error = mocked(&[&missing]).send(&[text("a")]).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::NotFound, Some("send")));
}

fn message(id: &str, sent_at: i64) -> aws_sdk_sqs::types::builders::MessageBuilder {
    Received::builder()
        .message_id(id)
        .receipt_handle(format!("handle-of-{id}"))
        .body("a")
        .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "3")
        .attributes(MessageSystemAttributeName::SentTimestamp, sent_at.to_string())
}

#[tokio::test]
async fn a_receipt_asks_for_all_that_a_delivery_is_made_of_and_waits_in_pieces() {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let seen = waits.clone();
    let rule = mock!(Client::receive_message)
        .match_requests(move |request| {
            seen.lock().unwrap().push(request.wait_time_seconds().unwrap());
            request.max_number_of_messages() == Some(10)
                && request.visibility_timeout() == Some(3)
                && request.message_attribute_names() == ["All"]
                && request.message_system_attribute_names()
                    == [
                        MessageSystemAttributeName::ApproximateReceiveCount,
                        MessageSystemAttributeName::SentTimestamp,
                        MessageSystemAttributeName::MessageGroupId,
                        MessageSystemAttributeName::SequenceNumber,
                    ]
        })
        .sequence()
        .output(|| ReceiveMessageOutput::builder().build())
        .times(2)
        .output(|| {
            // One that lacks its time cannot be read, and harms no other.
            let partial = Received::builder().message_id("x").receipt_handle("y").body("z").build();
            ReceiveMessageOutput::builder().messages(partial).messages(message("m", 1_000).build()).build()
        })
        .build();
    let queue = mocked(&[&rule]).with_visibility_timeout(Duration::from_millis(2_001));
    assert_eq!(queue.visibility_timeout(), Duration::from_secs(3));
    let received = queue.receive(1_000, Duration::from_millis(45_999)).await.unwrap();
    assert_eq!(*waits.lock().unwrap(), [20, 20, 5]);
    assert_eq!(received.len(), 1);
    let delivery = &received[0];
    assert_eq!((delivery.message_id.as_str(), delivery.receive_count, delivery.redriven), ("m", 3, false));
    assert_eq!(delivery.sent_at.as_millisecond(), 1_000);
    assert_eq!(delivery.receipt.as_str(), "handle-of-m");
    assert!(queue.receive(0, Duration::MAX).await.unwrap().is_empty());
}

#[tokio::test]
async fn receipts_are_acknowledged_by_tens_and_answered_in_order() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let rule = mock!(Client::delete_message_batch).then_compute_output(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        assert!(request.entries().len() <= 10);
        let (gone, there): (Vec<_>, Vec<_>) =
            request.entries().iter().partition(|entry| entry.receipt_handle() == "h7");
        let ok = |id: &str| DeleteMessageBatchResultEntry::builder().id(id).build().unwrap();
        DeleteMessageBatchOutput::builder()
            .set_successful(Some(there.iter().rev().map(|entry| ok(entry.id())).collect()))
            .set_failed(Some(gone.iter().map(|entry| failed(entry.id(), "ReceiptHandleIsInvalid", true)).collect()))
            .build()
            .unwrap()
    });
    let receipts: Vec<_> = (0..25).map(|index| Receipt::new(format!("h{index}"))).collect();
    let answers = mocked(&[&rule]).acknowledge(&receipts).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    let late: Vec<_> = (0..25).filter(|index| answers[*index].is_err()).collect();
    assert_eq!(late, [7]);
    assert_eq!(kinds(&answers)[7], Some(ErrorKind::NotFound));
}

/// A queue that takes everything but `late`, and the sizes of the batches that it was asked to delete.
fn counting_deletions() -> (Rule, Arc<Mutex<Vec<usize>>>) {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = sizes.clone();
    let rule = mock!(Client::delete_message_batch).then_compute_output(move |request| {
        seen.lock().unwrap().push(request.entries().len());
        let late = |handle: &str| handle.ends_with("late");
        let (gone, there): (Vec<_>, Vec<_>) = request.entries().iter().partition(|entry| late(entry.receipt_handle()));
        let ok = |id: &str| DeleteMessageBatchResultEntry::builder().id(id).build().unwrap();
        DeleteMessageBatchOutput::builder()
            .set_successful(Some(there.iter().map(|entry| ok(entry.id())).collect()))
            .set_failed(Some(gone.iter().map(|entry| failed(entry.id(), "ReceiptHandleIsInvalid", true)).collect()))
            .build()
            .unwrap()
    });
    (rule, sizes)
}

/// Each receipt acknowledged by itself, all at the same time.
async fn acknowledge_each(queue: &SqsQueue, receipts: &[Receipt]) -> Vec<Option<ErrorKind>> {
    let each = receipts.iter().map(|receipt| queue.acknowledge(std::slice::from_ref(receipt)));
    let answers = join_all(each).await;
    answers.into_iter().map(|answers| kinds(&answers.unwrap())[0]).collect()
}

#[tokio::test]
async fn what_is_acknowledged_one_by_one_at_the_same_time_goes_together() {
    let (rule, sizes) = counting_deletions();
    let queue = mocked(&[&rule]);
    let receipts: Vec<_> =
        (0..23).map(|index| Receipt::new(if index % 9 == 7 { "late".into() } else { format!("h{index}") })).collect();
    let answers = acknowledge_each(&queue, &receipts).await;
    assert_eq!(*sizes.lock().unwrap(), [10, 10, 3]);
    let late: Vec<_> = (0..23).filter(|index| answers[*index] == Some(ErrorKind::NotFound)).collect();
    assert_eq!(late, [7, 16], "each has its own answer");
    assert_eq!(answers.iter().flatten().count(), 2);
    // Twelve at once and one more: ten go by themselves.
    let (twelve, one) = (&receipts[..12], &receipts[12..13]);
    let (twelve, one) = join(queue.acknowledge(twelve), acknowledge_each(&queue, one)).await;
    assert_eq!((twelve.unwrap().len(), one.len()), (12, 1));
    assert_eq!(sizes.lock().unwrap()[3..], [10, 3]);
}

#[tokio::test]
async fn full_batches_wait_for_nobody_and_nothing_waits_where_that_is_wanted() {
    let (rule, sizes) = counting_deletions();
    // Whoever had to wait for this would time out.
    let hour = Duration::from_secs(60 * 60);
    let queue = mocked(&[&rule]).with_visibility_timeout(hour * 12).with_acknowledgement_delay(hour);
    let receipts: Vec<_> = (0..20).map(|index| Receipt::new(format!("h{index}"))).collect();
    assert_eq!(acknowledge_each(&queue, &receipts).await, vec![None; 20]);
    queue.acknowledge(&receipts).await.unwrap();
    let hasty = queue.with_acknowledgement_delay(Duration::ZERO);
    acknowledge_each(&hasty, &receipts[..3]).await;
    assert_eq!(*sizes.lock().unwrap(), [10, 10, 10, 10, 1, 1, 1]);
}

#[tokio::test]
async fn who_goes_away_while_others_wait_takes_nothing_with_it() {
    let (rule, sizes) = counting_deletions();
    let queue = mocked(&[&rule]);
    let receipts = ["a", "b", "c"].map(Receipt::new);
    // The first begins the batch and goes away before the others join, or after.
    for joins in [false, true] {
        let mut first = queue.acknowledge(&receipts[..1]);
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut others = std::pin::pin!(acknowledge_each(&queue, &receipts[1..]));
        if joins {
            assert!(futures_util::poll!(&mut others).is_pending());
        }
        drop(first);
        assert_eq!(others.await, [None, None]);
    }
    assert_eq!(*sizes.lock().unwrap(), [2, 3]);
}

#[tokio::test]
async fn a_request_that_fails_fails_for_each() {
    let rule = mock!(Client::delete_message_batch)
        .then_error(|| DeleteMessageBatchError::RequestThrottled(RequestThrottled::builder().build()));
    let queue = mocked(&[&rule]);
    let answers = acknowledge_each(&queue, &["a", "b"].map(Receipt::new)).await;
    assert_eq!(answers, [Some(ErrorKind::Throttled); 2]);
    assert_eq!(rule.num_calls(), 1);
}

#[tokio::test]
async fn a_wait_is_rounded_up_and_one_that_is_too_long_is_refused() {
    let rule = mock!(Client::change_message_visibility)
        .match_requests(|request| request.visibility_timeout() == Some(43_200))
        .then_output(|| ChangeMessageVisibilityOutput::builder().build());
    let queue = mocked(&[&rule]);
    let receipt = Receipt::new("handle");
    queue.change_visibility(&receipt, Duration::from_millis(43_199_001)).await.unwrap();
    let error = queue.change_visibility(&receipt, Duration::from_millis(43_200_001)).await.unwrap_err();
    assert_eq!((error.kind(), error.faults()[0].field), (ErrorKind::Invalid, "delay"));
    assert_eq!(rule.num_calls(), 1);
}

/// A delivery of work with as large a body as may be, or a plain one.
fn work(parameters: usize) -> (WorkItem, String) {
    let process: Process = serde_json::from_value(json!({
        "IdProceso": ProcessId::of("ventas"), "IdCalendarizacion": "calendarizacion-x", "Nombre": "ventas",
        "ArnProceso": "arn:aws:sns:us-east-1:123456789012:avisos", "Parametros": "x".repeat(parameters), "Habilitado": true,
        "FechaCreacion": "2026-01-01T00:00:00Z",
    }))
    .unwrap();
    let work = WorkItem::of_occurrence(Arc::new(process), "2026-01-01T09:00:00Z".parse().unwrap(), Origin::Schedule);
    let body = Body::from(work.clone()).to_json().into_owned();
    (work, body)
}

/// What a dead letter of this work bears, by name.
async fn dead_letter_of(parameters: usize, foreign: usize) -> BTreeMap<String, Option<String>> {
    let (work, body) = work(parameters);
    let bytes = body.len();
    let text = MessageAttributeValue::builder().data_type("String").string_value("x").build().unwrap();
    let others = (0..foreign).map(|index| (format!("otro-{index}"), text.clone())).collect();
    let received = message("m", 1_000).body(body).set_message_attributes(Some(others)).build();
    let delivery = SqsQueue::delivery(&received).unwrap();

    let kept = mock!(Client::change_message_visibility)
        .match_requests(|request| {
            request.receipt_handle() == Some("handle-of-m") && request.visibility_timeout() == Some(30)
        })
        .then_output(|| ChangeMessageVisibilityOutput::builder().build());
    let buried: Arc<Mutex<Option<BTreeMap<_, _>>>> = Arc::default();
    let seen = buried.clone();
    let send = mock!(Client::send_message)
        .match_requests(move |request| {
            let attributes: BTreeMap<_, _> =
                request.message_attributes().cloned().unwrap_or_default().into_iter().collect();
            let size = |(name, value): (&String, &MessageAttributeValue)| {
                name.len() + value.data_type().len() + value.string_value().map_or(0, str::len)
            };
            assert!(bytes + attributes.iter().map(size).sum::<usize>() <= limits::MESSAGE);
            assert!(attributes.len() <= 10);
            *seen.lock().unwrap() = Some(attributes);
            request.queue_url() == Some(DEAD) && request.message_body().unwrap().len() == bytes
        })
        .then_output(|| SendMessageOutput::builder().build());
    let delete = mock!(Client::delete_message)
        .match_requests(|request| request.queue_url() == Some(URL) && request.receipt_handle() == Some("handle-of-m"))
        .then_output(|| DeleteMessageOutput::builder().build());
    let failure = Failure { kind: "denied".into(), text: "no".into() };
    let reason = DeadLetterReason::of_work(failure, &work, 2);
    mocked(&[&kept, &send, &delete]).dead_letter(&delivery, &reason).await.unwrap();
    assert_eq!((kept.num_calls(), send.num_calls(), delete.num_calls()), (1, 1, 1));
    let attributes = buried.lock().unwrap().take().unwrap();
    attributes.into_iter().map(|(name, value)| (name, value.string_value)).collect()
}

#[tokio::test]
async fn a_dead_letter_bears_the_whole_reason() {
    let (work, _) = work(0);
    let expected = [
        ("Kairos.ArnProceso", "arn:aws:sns:us-east-1:123456789012:avisos".to_owned()),
        ("Kairos.IdEjecucion", work.execution_id.to_string()),
        ("Kairos.IdProceso", work.process.id.to_string()),
        ("Kairos.Intentos", "2".to_owned()),
        ("Kairos.Mensaje", "m 1000".to_owned()),
        ("Kairos.Texto", "no".to_owned()),
        ("Kairos.Tipo", "denied".to_owned()),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(name, value)| (name.to_owned(), Some(value))).into();
    assert_eq!(dead_letter_of(0, 0).await, expected);
}

#[tokio::test]
async fn what_others_gave_a_dead_letter_comes_before_the_reason() {
    let names = |attributes: BTreeMap<String, Option<String>>| -> Vec<String> {
        attributes.into_keys().filter(|name| name.starts_with("Kairos.")).collect()
    };
    assert_eq!(names(dead_letter_of(0, 3).await).len(), 7);
    assert_eq!(names(dead_letter_of(0, 7).await), ["Kairos.Mensaje", "Kairos.Texto", "Kairos.Tipo"]);
    assert_eq!(names(dead_letter_of(0, 10).await), ["Kairos.Mensaje"], "the mark comes before all");
}

#[tokio::test]
async fn a_dead_letter_as_large_as_may_be_bears_what_there_is_room_for() {
    let (_, empty) = work(0);
    let room = limits::MESSAGE - empty.len();
    assert!(dead_letter_of(room, 3).await.is_empty());
    assert_eq!(dead_letter_of(room - 26, 0).await.into_keys().collect::<Vec<_>>(), ["Kairos.Mensaje"]);
}

#[tokio::test]
async fn a_late_receipt_leaves_nothing_with_the_dead_letters() {
    let late = mock!(Client::change_message_visibility).then_error(|| {
        use aws_sdk_sqs::operation::change_message_visibility::ChangeMessageVisibilityError;
        use aws_sdk_sqs::types::error::MessageNotInflight;
        ChangeMessageVisibilityError::MessageNotInflight(MessageNotInflight::builder().build())
    });
    let delivery = SqsQueue::delivery(&message("m", 0).build()).unwrap();
    let error = mocked(&[&late]).dead_letter(&delivery, &reason()).await.unwrap_err();
    assert_eq!((error.kind(), error.subject()), (ErrorKind::NotFound, Some("m")));
}

#[tokio::test]
async fn a_message_stays_on_the_queue_until_it_lies_with_the_dead_letters() {
    let kept =
        mock!(Client::change_message_visibility).then_output(|| ChangeMessageVisibilityOutput::builder().build());
    let refused = mock!(Client::send_message)
        .then_error(|| SendMessageError::RequestThrottled(RequestThrottled::builder().build()));
    let delete = mock!(Client::delete_message).then_output(|| DeleteMessageOutput::builder().build());
    let delivery = SqsQueue::delivery(&message("m", 0).build()).unwrap();
    let error = mocked(&[&kept, &refused, &delete]).dead_letter(&delivery, &reason()).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Throttled, Some("dead_letter")));
    assert_eq!((refused.num_calls(), delete.num_calls()), (1, 0));
}

#[tokio::test]
async fn without_a_queue_for_them_there_are_no_dead_letters() {
    let config = Config::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("us-east-1"));
    let queue = SqsQueue::new(&Client::from_conf(config.build()), URL);
    let delivery = SqsQueue::delivery(&message("m", 0).build()).unwrap();
    assert_eq!(queue.dead_letter(&delivery, &reason()).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(queue.redrive(1).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

fn received(messages: Vec<Received>) -> ReceiveMessageOutput {
    ReceiveMessageOutput::builder().set_messages(Some(messages)).build()
}

fn deleted(
    request: &aws_sdk_sqs::operation::delete_message_batch::DeleteMessageBatchInput,
) -> DeleteMessageBatchOutput {
    let ok = |id: &str| DeleteMessageBatchResultEntry::builder().id(id).build().unwrap();
    DeleteMessageBatchOutput::builder()
        .set_successful(Some(request.entries().iter().map(|entry| ok(entry.id())).collect()))
        .set_failed(Some(vec![]))
        .build()
        .unwrap()
}

#[tokio::test]
async fn dead_letters_are_redriven_oldest_first_and_what_fails_stays_there() {
    let receive = mock!(Client::receive_message)
        .match_requests(|request| request.queue_url() == Some(DEAD) && request.max_number_of_messages() == Some(3))
        .then_output(|| {
            received(vec![
                message("newer", 2_000).body("newer").build(),
                message("older", 1_000).body("older").build(),
                // No room for the mark.
                message("large", 3_000).body("x".repeat(limits::MESSAGE)).build(),
            ])
        });
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = bodies.clone();
    let send = mock!(Client::send_message).then_compute_output(move |request| {
        assert_eq!(request.queue_url(), Some(URL));
        let mark = request.message_attributes().unwrap()["Kairos.Mensaje"].string_value().unwrap().to_owned();
        seen.lock().unwrap().push(format!("{}: {mark}", request.message_body().unwrap()));
        SendMessageOutput::builder().build()
    });
    let delete = mock!(Client::delete_message_batch).then_compute_output(|request| {
        let handles: Vec<_> = request.entries().iter().map(|entry| entry.receipt_handle().to_owned()).collect();
        assert_eq!(handles, ["handle-of-older", "handle-of-newer"]);
        deleted(request)
    });
    let let_go = mock!(Client::change_message_visibility)
        .match_requests(|request| {
            request.queue_url() == Some(DEAD) && request.receipt_handle() == Some("handle-of-large")
        })
        .then_output(|| ChangeMessageVisibilityOutput::builder().build());
    assert_eq!(mocked(&[&receive, &send, &delete, &let_go]).redrive(3).await.unwrap(), 2);
    assert_eq!(*bodies.lock().unwrap(), ["older: older 1000", "newer: newer 2000"]);
    assert_eq!((receive.num_calls(), let_go.num_calls()), (1, 1));
}

#[tokio::test]
async fn where_nothing_can_be_redriven_the_error_says_why() {
    let receive = mock!(Client::receive_message).then_output(|| received(vec![message("m", 0).build()]));
    let send = mock!(Client::send_message)
        .then_error(|| SendMessageError::RequestThrottled(RequestThrottled::builder().build()));
    let let_go =
        mock!(Client::change_message_visibility).then_output(|| ChangeMessageVisibilityOutput::builder().build());
    let error = mocked(&[&receive, &send, &let_go]).redrive(10).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Throttled, Some("redrive")));
    assert_eq!((send.num_calls(), let_go.num_calls()), (1, 1));
}
