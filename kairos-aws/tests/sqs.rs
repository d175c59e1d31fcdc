//! The queue on SQS: the conformance suite on a real server, and the requests themselves on none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, also in the functions that they share")]

#[path = "sqs/requests.rs"]
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use kairos::backend::{DeadLetterReason, Delivery, Message, Queue, Receipt, Receiver};
use kairos::chance::Chance;
use kairos::clock::{Clock as _, SystemClock, between};
use kairos::{Body, ErrorKind, Failure, Result, conformance};
use kairos_aws::SqsQueue;

fn client() -> Client {
    let endpoint = std::env::var("KAIROS_TEST_AWS")
        .unwrap_or_else(|_| panic!("KAIROS_TEST_AWS is not set: run this test by scripts/servers run cargo test …"));
    Client::from_conf(
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("123456789012", "secret", None, None, "tests"))
            .endpoint_url(endpoint)
            .build(),
    )
}

/// The URL of a new queue, as the service gives it.
async fn create(client: &Client, suffix: &str) -> String {
    let request = client.create_queue().queue_name(format!("{}{suffix}", Chance::from_system().uuid()));
    let request =
        if suffix.ends_with(".fifo") { request.attributes(QueueAttributeName::FifoQueue, "true") } else { request };
    request.send().await.unwrap().queue_url.unwrap()
}

async fn queue(client: &Client, suffix: &str) -> (SqsQueue, String, String) {
    let (url, dead_letters) = (create(client, suffix).await, create(client, suffix).await);
    let queue = SqsQueue::new(client, url.as_str())
        .with_dead_letters(dead_letters.as_str())
        .with_visibility_timeout(Duration::from_secs(2));
    (queue, url, dead_letters)
}

fn reason() -> DeadLetterReason {
    DeadLetterReason::new(Failure { kind: "denied".into(), text: "the role\tcannot be assumed \u{1}ñ".into() })
}

/// SQS answers with success for a message that was deleted before; ministack says that there is no such receipt.
#[derive(Debug)]
struct Forgiving {
    queue: SqsQueue,
    acknowledged: Mutex<BTreeSet<Receipt>>,
}

#[async_trait]
impl Receiver for Forgiving {
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        self.queue.receive(max, wait).await
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        let mut answers = self.queue.acknowledge(receipts).await?;
        let mut acknowledged = self.acknowledged.lock().unwrap();
        for (answer, receipt) in answers.iter_mut().zip(receipts) {
            if acknowledged.contains(receipt) {
                *answer = Ok(());
            } else if answer.is_ok() {
                acknowledged.insert(receipt.clone());
            }
        }
        Ok(answers)
    }

    async fn change_visibility(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        self.queue.change_visibility(receipt, delay).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &DeadLetterReason) -> Result<()> {
        self.queue.dead_letter(delivery, reason).await
    }

    async fn redrive(&self, max: usize) -> Result<usize> {
        self.queue.redrive(max).await
    }

    fn visibility_timeout(&self) -> Duration {
        self.queue.visibility_timeout()
    }
}

#[tokio::test]
async fn the_queue_conforms() {
    let (queue, ..) = queue(&client(), "").await;
    let receiver = Forgiving { queue: queue.clone(), acknowledged: Mutex::default() };
    let report = conformance::queue(&queue, &receiver, &SystemClock).await;
    println!("{report}");
    assert_eq!(report.not_applicable, []);
}

/// Receives until so many are there.
async fn receive(queue: &SqsQueue, count: usize) -> Vec<Delivery> {
    let mut received = Vec::new();
    for _ in 0..30 {
        received.extend(queue.receive(10, Duration::from_secs(1)).await.unwrap());
        if received.len() >= count {
            return received;
        }
    }
    panic!("{count} messages were expected, received {received:?}");
}

#[tokio::test]
async fn requests_go_to_the_endpoint_whatever_host_the_url_names() {
    let client = client();
    let url = create(&client, "").await;
    let path = url.splitn(4, '/').nth(3).unwrap();
    let queue = SqsQueue::new(&client, format!("https://sqs.us-east-1.amazonaws.com/{path}"));
    queue.send(&[Message::new(Body::from_json("a"))]).await.unwrap().remove(0).unwrap();
    assert_eq!(receive(&queue, 1).await[0].body.to_json(), "a");
}

/// All attributes of the one message that lies on a queue, left there.
async fn attributes(client: &Client, url: &str) -> BTreeMap<String, MessageAttributeValue> {
    let request = client.receive_message().queue_url(url).message_attribute_names("All").visibility_timeout(0);
    let received = request.wait_time_seconds(5).send().await.unwrap();
    received.messages()[0].message_attributes().unwrap().clone().into_iter().collect()
}

#[tokio::test]
async fn a_dead_letter_bears_its_reason_and_keeps_what_others_gave_it() {
    let client = client();
    let (queue, url, dead_letters) = queue(&client, "").await;
    let text = |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap();
    let binary =
        MessageAttributeValue::builder().data_type("Binary.x").binary_value(Blob::new([0, 255])).build().unwrap();
    let foreign = [("traza", text("00-ñ 1")), ("huella", binary)].map(|(name, value)| (name.to_owned(), value));
    let request = client.send_message().queue_url(&url).message_body("no JSON");
    request.set_message_attributes(Some(foreign.clone().into())).send().await.unwrap();

    let first = receive(&queue, 1).await.remove(0);
    queue.dead_letter(&first, &reason()).await.unwrap();
    let own = |first: &Delivery| {
        ("Kairos.Mensaje", text(&format!("{} {}", first.message_id, first.sent_at.as_millisecond())))
    };
    let number = MessageAttributeValue::builder().data_type("Number").string_value("0").build().unwrap();
    let mut expected: BTreeMap<_, _> = foreign.clone().into();
    let why = [
        own(&first),
        ("Kairos.Tipo", text("denied")),
        ("Kairos.Texto", text(r"the role	cannot be assumed \u{1}ñ")),
        ("Kairos.Intentos", number),
    ];
    expected.extend(why.map(|(name, value)| (name.to_owned(), value)));
    assert_eq!(attributes(&client, &dead_letters).await, expected);

    // Twice through the dead letters it is the same message, once more.
    let mut delivery = first.clone();
    for _ in 0..2 {
        assert_eq!(queue.redrive(10).await.unwrap(), 1);
        delivery = receive(&queue, 1).await.remove(0);
        assert_eq!((&delivery.message_id, delivery.sent_at), (&first.message_id, first.sent_at));
        assert!(delivery.redriven && delivery.receive_count == 1, "{delivery:?}");
        queue.dead_letter(&delivery, &reason()).await.unwrap();
    }
    assert_eq!(queue.redrive(10).await.unwrap(), 1);
    let mut expected: BTreeMap<_, _> = foreign.into();
    expected.extend([own(&first)].map(|(name, value)| (name.to_owned(), value)));
    assert_eq!(attributes(&client, &url).await, expected);
    assert!(delivery.receipt != first.receipt);
}

#[tokio::test]
async fn what_the_service_moved_to_the_dead_letters_is_redriven_as_the_same_message() {
    let client = client();
    let (queue, url, dead_letters) = queue(&client, "").await;
    let arn = client.get_queue_attributes().queue_url(&dead_letters).attribute_names(QueueAttributeName::QueueArn);
    let arn = arn.send().await.unwrap().attributes.unwrap().remove(&QueueAttributeName::QueueArn).unwrap();
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"1"}}"#);
    let request = client.set_queue_attributes().queue_url(&url);
    request.attributes(QueueAttributeName::RedrivePolicy, policy).send().await.unwrap();

    queue.send(&[Message::new(Body::from_json("a"))]).await.unwrap().remove(0).unwrap();
    let first = receive(&queue, 1).await.remove(0);
    queue.change_visibility(&first.receipt, Duration::ZERO).await.unwrap();
    assert!(queue.receive(10, Duration::from_secs(1)).await.unwrap().is_empty());
    assert_eq!(queue.redrive(10).await.unwrap(), 1);
    let second = receive(&queue, 1).await.remove(0);
    assert_eq!((&second.message_id, second.sent_at), (&first.message_id, first.sent_at));
    assert!(second.redriven && second.receive_count == 1, "{second:?}");
}

#[tokio::test]
async fn a_fifo_queue_drops_the_same_execution_and_keeps_what_is_redriven() {
    let client = client();
    let (queue, ..) = queue(&client, ".fifo").await;
    let body = |id: &str, process: &str| {
        Message::new(Body::from_json(format!(r#"{{"IdProceso":"{process}","IdEjecucion":"{id}"}}"#)))
    };
    let (one, two) = (Chance::from_system().uuid().to_string(), Chance::from_system().uuid().to_string());
    for message in [body(&one, "proceso-YQ.."), body(&one, "proceso-YQ.."), body(&two, "proceso-YR..")] {
        queue.send(&[message]).await.unwrap().remove(0).unwrap();
    }
    let mut received = receive(&queue, 2).await;
    assert_eq!(received.len(), 2, "{received:?}");
    let first = received.remove(0);
    queue.acknowledge(&[received.remove(0).receipt]).await.unwrap().remove(0).unwrap();
    // Within the five minutes in which the queue drops what it has seen.
    let mut delivery = first.clone();
    for _ in 0..2 {
        queue.dead_letter(&delivery, &reason()).await.unwrap();
        assert_eq!(queue.redrive(10).await.unwrap(), 1);
        delivery = receive(&queue, 1).await.remove(0);
        assert_eq!((&delivery.message_id, &delivery.body), (&first.message_id, &first.body));
    }
    let delayed = body(&two, "proceso-YQ..").with_delay(Duration::from_secs(1));
    queue.send(&[delayed]).await.unwrap().remove(0).unwrap_err();
}

#[tokio::test]
async fn deliveries_have_a_group_where_the_queue_keeps_order() {
    let client = client();
    for (suffix, expected) in
        [(".fifo", [Some("proceso-YQ.."), Some("proceso-YQ.."), Some("proceso-Yg..")]), ("", [None; 3])]
    {
        let (queue, ..) = queue(&client, suffix).await;
        for process in ["proceso-YQ..", "proceso-YQ..", "proceso-Yg.."] {
            let id = Chance::from_system().uuid();
            let body = Body::from_json(format!(r#"{{"IdProceso":"{process}","IdEjecucion":"{id}"}}"#));
            queue.send(&[Message::new(body)]).await.unwrap().remove(0).unwrap();
        }
        let mut received = receive(&queue, 3).await;
        received.sort_by_key(|delivery| delivery.body.to_json().contains("proceso-Yg.."));
        let groups: Vec<_> = received.iter().map(|delivery| delivery.group.as_deref()).collect();
        assert_eq!(groups, expected, "{suffix}");
    }
}

#[tokio::test]
async fn one_bad_message_harms_no_other_of_its_batch() {
    let (queue, ..) = queue(&client(), "").await;
    let batch = ["a", "\u{1}", "", "b"].map(|text| Message::new(Body::from_json(text)));
    let answers = queue.send(&batch).await.unwrap();
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, true]);
    let mut received: Vec<_> = receive(&queue, 2).await.iter().map(|one| one.body.to_json().into_owned()).collect();
    received.sort();
    assert_eq!(received, ["a", "b"]);
}

fn impatient(endpoint: &str) -> Client {
    let short = Duration::from_millis(500);
    let timeouts =
        TimeoutConfig::builder().read_timeout(short).operation_attempt_timeout(short).operation_timeout(short);
    let config = client().config().to_builder().endpoint_url(endpoint).timeout_config(timeouts.build());
    Client::from_conf(config.build())
}

#[tokio::test]
async fn a_receipt_waits_also_where_the_client_is_impatient() {
    let client = client();
    let url = create(&client, "").await;
    let queue = SqsQueue::new(&impatient(&std::env::var("KAIROS_TEST_AWS").unwrap()), url);
    assert!(queue.receive(10, Duration::from_secs(2)).await.unwrap().is_empty());
}

/// It takes connections, and never answers.
#[tokio::test]
async fn a_call_ends_also_where_the_service_does_not_answer() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = impatient(&format!("http://{}", silent.local_addr().unwrap()));
    let queue = SqsQueue::new(&client, "https://sqs.us-east-1.amazonaws.com/123456789012/kairos");
    let error = queue.send(&[Message::new(Body::from_json("a"))]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let receipt = Receipt::new("a");
    let answers = queue.acknowledge(&[receipt.clone(), receipt]).await.unwrap();
    assert!(answers.into_iter().all(|answer| answer.unwrap_err().kind() == ErrorKind::Timeout));
}

/// Longer than one receipt of the service may wait.
#[tokio::test]
async fn a_long_wait_is_several_receipts() {
    let (queue, ..) = queue(&client(), "").await;
    let queue = Arc::new(queue);
    let before = SystemClock.now();
    let (sender, message) = (queue.clone(), Message::new(Body::from_json("a")).with_delay(Duration::from_secs(21)));
    sender.send(&[message]).await.unwrap().remove(0).unwrap();
    let received = queue.receive(10, Duration::from_secs(60)).await.unwrap();
    let waited = between(before, SystemClock.now());
    assert_eq!(received.len(), 1);
    assert!(waited > Duration::from_secs(20) && waited < Duration::from_secs(40), "{waited:?}");
}
