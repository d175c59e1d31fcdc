//! Triggers on EventBridge Scheduler: the conformance suite on a real server that fires, and on a model that pages; and the requests
//! themselves on none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, also in the functions that they share")]

#[path = "scheduler/model.rs"]
mod model;
#[path = "scheduler/requests.rs"]
mod requests;

use std::sync::Mutex;

use async_trait::async_trait;
use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::config::{BehaviorVersion, Builder, Config, Credentials, Region};
use aws_sdk_sqs::types::QueueAttributeName;
use kairos::TriggerInput;
use kairos::backend::ScheduleBackend;
use kairos::chance::Chance;
use kairos::clock::SystemClock;
use kairos::conformance::{self, Passage, ScheduleHarness, Sight};
use kairos_aws::EventBridgeSchedules;

const ROLE: &str = "arn:aws:iam::123456789012:role/kairos-triggers";
const LAMBDA: &str = "arn:aws:lambda:us-east-1:123456789012:function:kairos-dispatcher";

fn config() -> Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("123456789012", "secret", None, None, "tests"))
}

fn endpoint() -> String {
    std::env::var("KAIROS_TEST_AWS")
        .unwrap_or_else(|_| panic!("KAIROS_TEST_AWS is not set: run this test by scripts/servers run cargo test …"))
}

/// Triggers whose dispatcher is a queue that the test receives from.
struct Served {
    schedules: EventBridgeSchedules,
    other_group: String,
    queue: aws_sdk_sqs::Client,
    url: String,
    fired: Mutex<Vec<TriggerInput>>,
}

impl Served {
    async fn new() -> Self {
        let client = Client::from_conf(config().endpoint_url(endpoint()).build());
        let queue = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("123456789012", "secret", None, None, "tests"))
            .endpoint_url(endpoint());
        let queue = aws_sdk_sqs::Client::from_conf(queue.build());
        let name = Chance::from_system().uuid().to_string();
        let url = queue.create_queue().queue_name(&name).send().await.unwrap().queue_url.unwrap();
        let arn = queue.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
        let arn = arn.send().await.unwrap().attributes.unwrap().remove(&QueueAttributeName::QueueArn).unwrap();
        let other_group = format!("{name}-otro");
        let schedules = EventBridgeSchedules::new(&client, &name, &arn, ROLE)
            .unwrap()
            .with_groups([&other_group])
            .with_group_creation([("app".to_owned(), "kairos".to_owned())]);
        Self { schedules, other_group, queue, url, fired: Mutex::default() }
    }
}

#[async_trait]
impl ScheduleHarness for Served {
    fn backend(&self) -> &dyn ScheduleBackend {
        &self.schedules
    }

    fn time(&self) -> &dyn Passage {
        &SystemClock
    }

    /// ministack leaves `<aws.scheduler.scheduled-time>` as it is.
    fn sight(&self) -> Sight {
        Sight::Firings
    }

    async fn fired(&self) -> Vec<TriggerInput> {
        loop {
            let received = self.queue.receive_message().queue_url(&self.url).max_number_of_messages(10).send();
            let messages = received.await.unwrap().messages.unwrap_or_default();
            if messages.is_empty() {
                return self.fired.lock().unwrap().clone();
            }
            for message in messages {
                let input = TriggerInput::from_json(message.body().unwrap()).unwrap();
                self.fired.lock().unwrap().push(input);
                let handle = message.receipt_handle.unwrap();
                self.queue.delete_message().queue_url(&self.url).receipt_handle(handle).send().await.unwrap();
            }
        }
    }

    fn group(&self) -> Option<String> {
        Some(self.other_group.clone())
    }

    /// Covered on the model.
    fn gaps(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("a_listing_gives_every_trigger_once", "ministack ends a listing after its first page"),
            ("triggers_that_come_and_go_disturb_no_other", "ministack ends a listing after its first page"),
        ]
    }
}

#[tokio::test]
async fn the_triggers_conform_and_fire() {
    let report = conformance::schedules(&Served::new().await).await;
    println!("{report}");
    let open: Vec<_> = report.not_applicable.iter().map(|(case, _)| *case).collect();
    // No placeholder is filled in, no zone is applied, no cron fires within seconds, and nothing is retried.
    assert_eq!(
        open,
        [
            "a_listing_gives_every_trigger_once",
            "triggers_that_come_and_go_disturb_no_other",
            "a_firing_names_its_occurrence",
            "every_occurrence_fires",
            "a_rate_fires_at_its_intervals",
            "occurrences_are_those_of_the_time_zone",
            "there_is_no_occurrence_outside_the_dates",
            "a_window_moves_no_occurrence",
            "creating_again_neither_stops_nor_moves_it",
            "deleting_ends_a_series",
            "a_refused_firing_comes_again",
            "a_firing_that_is_refused_for_ever_is_a_dead_letter",
        ]
    );
}

/// Triggers on the model, which nobody sees fire.
struct Modelled(EventBridgeSchedules);

#[async_trait]
impl ScheduleHarness for Modelled {
    fn backend(&self) -> &dyn ScheduleBackend {
        &self.0
    }

    fn time(&self) -> &dyn Passage {
        &SystemClock
    }

    fn sight(&self) -> Sight {
        Sight::Nothing
    }

    async fn fired(&self) -> Vec<TriggerInput> {
        Vec::new()
    }

    fn group(&self) -> Option<String> {
        Some("nocturno".into())
    }
}

#[tokio::test]
async fn the_triggers_conform_on_a_service_that_pages_and_checks() {
    let model = model::Model::default();
    let schedules = EventBridgeSchedules::new(&model.client(), "kairos", LAMBDA, ROLE)
        .unwrap()
        .with_groups(["nocturno"])
        .with_group_creation([]);
    let report = conformance::schedules(&Modelled(schedules)).await;
    println!("{report}");
    assert_eq!(report.cases.len(), 14, "{report}");
    assert!(report.not_applicable.iter().all(|(_, why)| *why == "firing cannot be seen here"), "{report}");
    assert!(model.is_empty());
}
