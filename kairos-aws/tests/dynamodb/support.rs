//! Tables of a test's own, and rows to fill them with.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use kairos::chance::Chance;
use kairos::{Body, Process, ProcessId, Schedule, WorkItem};
use kairos_aws::{DynamoHistory, DynamoStore, TableNames, TableOptions, create_tables};
use serde_json::json;

pub(crate) fn client() -> Client {
    let endpoint = std::env::var("KAIROS_TEST_DYNAMODB")
        .expect("KAIROS_TEST_DYNAMODB is not set: run the tests by scripts/servers run cargo test -p kairos-aws");
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("123456789012", "secret", None, None, "tests"))
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}

/// DynamoDB Local has no point-in-time recovery.
pub(crate) fn options() -> TableOptions {
    TableOptions::new().with_deletion_protection(false).with_point_in_time_recovery(false)
}

/// The tables of one test.
pub(crate) struct Tables {
    pub(crate) client: Client,
    pub(crate) names: TableNames,
}

impl Tables {
    pub(crate) async fn new() -> Self {
        let (client, names) = (client(), TableNames::of(&format!("App-{}-", Chance::from_system().uuid())));
        create_tables(&client, &names, &options()).await.unwrap();
        Self { client, names }
    }

    pub(crate) fn store(&self) -> DynamoStore {
        DynamoStore::new(&self.client, &self.names)
    }

    pub(crate) fn history(&self) -> DynamoHistory {
        DynamoHistory::new(&self.client, &self.names)
    }
}

pub(crate) fn process(name: &str) -> Arc<Process> {
    let process = json!({
        "IdProceso": ProcessId::of(name), "IdCalendarizacion": "calendarizacion-x", "Nombre": name,
        "ArnProceso": "kairos:task:a", "Parametros": null, "Habilitado": true, "FechaCreacion": "2026-01-01T00:00:00Z",
    });
    Arc::new(serde_json::from_value(process).unwrap())
}

pub(crate) fn schedule(id: &str) -> Schedule {
    let schedule = json!({
        "IdCalendarizacion": id, "Nombre": id, "Cron": "rate(1 day)", "FechaCreacion": "2026-01-01T00:00:00Z",
        "Estado": "Activa", "CantidadProcesos": 1,
    });
    serde_json::from_value(schedule).unwrap()
}

/// The occurrence of a process, as a message of the queue asks for it.
pub(crate) fn work(name: &str, scheduled_time: &str) -> WorkItem {
    let mut message = serde_json::to_value(&*process(name)).unwrap();
    message["FechaProgramada"] = scheduled_time.into();
    Body::from_json(message.to_string()).work("message-1", scheduled_time.parse().unwrap()).unwrap()
}
