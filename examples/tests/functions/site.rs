//! An installation on the servers that stand in for AWS.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use aws_sdk_sqs::config::Credentials;
use aws_sdk_sqs::types::{Message, QueueAttributeName};
use aws_sdk_ssm::types::ParameterType;
use kairos::clock::SystemClock;
use kairos_aws::{DynamoStore, EventBridgeSchedules, SqsQueue, TableNames, TableOptions, create_tables};

use crate::runtime::Function;

pub(crate) const ACCOUNT: &str = "123456789012";
const DISPATCHER: &str = "arn:aws:lambda:us-east-1:123456789012:function:dispatcher";
const ROLE: &str = "arn:aws:iam::123456789012:role/kairos-disparos";

fn endpoint(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run this by scripts/servers run cargo test -p kairos-examples")
    })
}

async fn sdk(endpoint: String) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(ACCOUNT, "secret", None, None, "tests"))
        .endpoint_url(endpoint)
        .load()
        .await
}

/// An installation of its own for each test. Its names stand in the parameter store, where its binaries find them.
pub(crate) struct Site {
    pub(crate) app: String,
    pub(crate) services: SdkConfig,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) queue: String,
    pub(crate) dead_letters: String,
}

impl Site {
    pub(crate) async fn new(app: &str) -> Self {
        let services = sdk(endpoint("KAIROS_TEST_AWS")).await;
        let dynamodb = aws_sdk_dynamodb::Client::new(&sdk(endpoint("KAIROS_TEST_DYNAMODB")).await);
        let options = TableOptions::new().with_deletion_protection(false).with_point_in_time_recovery(false);
        create_tables(&dynamodb, &TableNames::of(app), &options).await.unwrap();
        let sqs = aws_sdk_sqs::Client::new(&services);
        aws_sdk_scheduler::Client::new(&services).create_schedule_group().name(app).send().await.unwrap();
        let mut site =
            Self { app: app.into(), services, dynamodb, sqs, queue: String::new(), dead_letters: String::new() };
        site.queue = site.make_queue(&format!("{app}-ejecuciones")).await;
        site.dead_letters = site.make_queue(&format!("{app}-muertas")).await;
        let parameters = aws_sdk_ssm::Client::new(&site.services);
        for (name, value) in [
            ("SQS/QueueUrl", site.queue.as_str()),
            ("SQS/DeadLetterQueueUrl", &site.dead_letters),
            ("Schedule/NombreGrupo", app),
            ("Schedule/RoleArn", ROLE),
            ("Dispatcher/LambdaArn", DISPATCHER),
            ("Executor/PrefixRoles", "kairos-"),
        ] {
            let put = parameters.put_parameter().name(format!("/{app}/{name}")).value(value);
            put.r#type(ParameterType::String).send().await.unwrap();
        }
        site
    }

    /// What a binary finds in its environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ACCESS_KEY_ID", ACCOUNT.into()),
            ("AWS_SECRET_ACCESS_KEY", "secret".into()),
            ("AWS_ENDPOINT_URL", endpoint("KAIROS_TEST_AWS")),
            ("AWS_ENDPOINT_URL_DYNAMODB", endpoint("KAIROS_TEST_DYNAMODB")),
            ("KAIROS_APP", self.app.clone()),
        ]
    }

    /// What registers here.
    pub(crate) fn scheduler(&self) -> kairos::Scheduler {
        let names = TableNames::of(&self.app);
        let queue = Arc::new(SqsQueue::new(&self.sqs, self.queue.as_str()));
        let triggers = aws_sdk_scheduler::Client::new(&self.services);
        let schedules = EventBridgeSchedules::new(&triggers, &self.app, DISPATCHER, ROLE).unwrap();
        let store = Arc::new(DynamoStore::new(&self.dynamodb, &names));
        kairos::Scheduler::new(store, Arc::new(schedules), queue, Arc::new(SystemClock))
    }

    pub(crate) async fn start(&self, binary: &str, path: &str) -> Function {
        Function::start(binary, path, &self.environment()).await
    }

    /// A process of its own that is no function, with its output to be read.
    pub(crate) fn spawn(&self, path: &str, more: &[(&str, String)]) -> tokio::process::Child {
        let mut command = tokio::process::Command::new(path);
        command.env_clear().envs(self.environment()).envs(more.iter().cloned());
        command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
    }

    pub(crate) async fn make_queue(&self, name: &str) -> String {
        self.sqs.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap()
    }

    /// How many messages a queue holds, visible or not.
    pub(crate) async fn length(&self, url: &str) -> usize {
        let asked = self.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
        let attributes = asked.send().await.unwrap().attributes.unwrap();
        let count = |name| attributes[&name].parse::<usize>().unwrap();
        count(QueueAttributeName::ApproximateNumberOfMessages)
            + count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
    }

    /// Up to ten messages, as an event source receives them.
    pub(crate) async fn receive(&self, url: &str) -> Vec<Message> {
        let receive = self.sqs.receive_message().queue_url(url).max_number_of_messages(10).wait_time_seconds(5);
        let receive = receive.message_system_attribute_names("All".into()).message_attribute_names("All");
        receive.send().await.unwrap().messages.unwrap_or_default()
    }

    /// Rows of processes as the older system writes them, of one schedule.
    pub(crate) async fn write_older_rows(&self, schedule: &str, count: usize) {
        let row = |index: usize| {
            let name = format!("proceso {index:04}");
            let text = |text: &str| AttributeValue::S(text.into());
            let row: HashMap<_, _> = [
                ("IdProceso", text(kairos::ProcessId::of(&name).as_str())),
                ("IdCalendarizacion", text(schedule)),
                ("Nombre", text(&name)),
                ("ArnRol", text("arn:aws:iam::123456789012:role/kairos-ventas")),
                ("ArnProceso", text("arn:aws:sqs:us-east-1:123456789012:nadie")),
                ("Parametros", AttributeValue::Null(true)),
                ("Habilitado", AttributeValue::Bool(true)),
                ("FechaCreacion", text("2025-11-06T12:34:56.1234567-03:00")),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
            WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(row)).build().unwrap()).build()
        };
        let rows: Vec<_> = (0..count).map(row).collect();
        for batch in rows.chunks(25) {
            let write = self.dynamodb.batch_write_item();
            write.request_items(format!("{}Procesos", self.app), batch.to_vec()).send().await.unwrap();
        }
    }
}
