//! Tables of a test's own, and rows to fill them with.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use kairos::chance::Chance;
use kairos_aws::{DynamoHistory, DynamoStore, TableNames, TableOptions, create_tables};

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
