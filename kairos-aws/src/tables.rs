//! The tables: what they are called, what indexes they have, and how they are made.

pub(crate) mod expression;
pub(crate) mod item;
pub(crate) mod listing;

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    PointInTimeRecoverySpecification, Projection, ProjectionType, ScalarAttributeType, SseSpecification, SseType,
    TableDescription, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};
use kairos::Result;
use kairos::clock::{ClockExt as _, SystemClock};

use crate::error::dynamodb::{dynamodb, table_not_ready, unmade_request};
use crate::timeouts;

/// The index of processes by schedule.
pub(crate) const BY_SCHEDULE: &str = "PorIdCalendarizacion";
/// The index of executions by process, in the order of their scheduled times.
pub(crate) const BY_PROCESS: &str = "PorProceso";
/// The index of executions by state, in the order of their scheduled times.
pub(crate) const BY_STATE: &str = "PorEstado";
/// What both indexes of executions are sorted by.
pub(crate) const ORDER: &str = "Orden";
/// Which partition of the index by state an execution is in.
pub(crate) const PARTITION: &str = "Particion";
/// When an execution may be forgotten, in seconds since 1970.
pub(crate) const EXPIRY: &str = "Caduca";

/// What the tables of one application are called.
///
/// ```
/// use kairos_aws::TableNames;
///
/// let names = TableNames::of("Tareas");
/// assert_eq!(names.processes, "TareasProcesos");
/// assert_eq!(names.schedules, "TareasCalendarizaciones");
/// assert_eq!(names.executions, "TareasEjecuciones");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableNames {
    /// The table of processes.
    pub processes: String,
    /// The table of schedule records.
    pub schedules: String,
    /// The table of executions.
    pub executions: String,
}

impl TableNames {
    /// The usual names of an application: its own name and what each table holds.
    #[must_use]
    pub fn of(application: &str) -> Self {
        Self {
            processes: format!("{application}Procesos"),
            schedules: format!("{application}Calendarizaciones"),
            executions: format!("{application}Ejecuciones"),
        }
    }
}

/// How [`create_tables`] makes tables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableOptions {
    /// Whether a table must be unlocked before it can be deleted.
    pub deletion_protection: bool,
    /// Whether a table can be brought back as it was at any second of the last 35 days.
    pub point_in_time_recovery: bool,
    /// Whether executions are forgotten after the retention of [`DynamoHistory`](crate::DynamoHistory).
    pub expiry: bool,
    /// The key that encrypts the tables, by its id, its alias or its ARN; `None` is a key that the service owns.
    pub kms_key: Option<String>,
}

impl TableOptions {
    /// With deletion protection, point-in-time recovery and expiry, under a key of the service's own.
    #[must_use]
    pub fn new() -> Self {
        Self { deletion_protection: true, point_in_time_recovery: true, expiry: true, kms_key: None }
    }

    /// The same with deletion protection or without.
    #[must_use]
    pub fn with_deletion_protection(mut self, on: bool) -> Self {
        self.deletion_protection = on;
        self
    }

    /// The same with point-in-time recovery or without.
    #[must_use]
    pub fn with_point_in_time_recovery(mut self, on: bool) -> Self {
        self.point_in_time_recovery = on;
        self
    }

    /// The same with expiry of executions or without.
    #[must_use]
    pub fn with_expiry(mut self, on: bool) -> Self {
        self.expiry = on;
        self
    }

    /// The same under a key of your own.
    #[must_use]
    pub fn with_kms_key(mut self, key: impl Into<String>) -> Self {
        self.kms_key = Some(key.into());
        self
    }
}

impl Default for TableOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// A table as it is to be made: its partition key, and its indexes with their keys.
struct Design<'n> {
    name: &'n str,
    key: &'static str,
    indexes: &'static [(&'static str, &'static [&'static str])],
}

fn designs(names: &TableNames) -> [Design<'_>; 3] {
    [
        Design { name: &names.processes, key: "IdProceso", indexes: &[(BY_SCHEDULE, &["IdCalendarizacion"])] },
        Design { name: &names.schedules, key: "IdCalendarizacion", indexes: &[] },
        Design {
            name: &names.executions,
            key: "IdEjecucion",
            indexes: &[(BY_PROCESS, &["IdProceso", ORDER]), (BY_STATE, &[PARTITION, ORDER])],
        },
    ]
}

/// Makes the three tables with their indexes, paid by request, and waits until they can be used. For first use and for tests: what
/// is deployed belongs in a template.
///
/// A table that is there already is left as it is, apart from recovery and expiry, which are switched on where asked for.
///
/// # Errors
/// [`Timeout`](kairos::ErrorKind::Timeout) if a table is not ready within three minutes; whatever the service answers. Calling it again goes on
/// where it stopped.
pub async fn create_tables(client: &Client, names: &TableNames, options: &TableOptions) -> Result<()> {
    let designs = designs(names);
    for design in &designs {
        create(client, design, options).await.map_err(|error| error.during("create table").about(design.name))?;
    }
    for Design { name, .. } in &designs {
        wait_until_active(client, name).await?;
        if options.point_in_time_recovery {
            recover(client, name).await.map_err(|error| error.during("switch recovery on").about(name))?;
        }
    }
    if options.expiry {
        let name = &names.executions;
        expire(client, name).await.map_err(|error| error.during("switch expiry on").about(name))?;
    }
    Ok(())
}

async fn create(client: &Client, design: &Design<'_>, options: &TableOptions) -> Result<()> {
    let mut attributes = vec![design.key];
    let mut request = client
        .create_table()
        .table_name(design.name)
        .billing_mode(BillingMode::PayPerRequest)
        .deletion_protection_enabled(options.deletion_protection)
        .set_key_schema(Some(key_schema(&[design.key])?));
    for (name, keys) in design.indexes {
        attributes.extend(keys.iter().filter(|key| !attributes.contains(key)).collect::<Vec<_>>());
        let whole_rows = Projection::builder().projection_type(ProjectionType::All).build();
        let index = GlobalSecondaryIndex::builder()
            .index_name(*name)
            .set_key_schema(Some(key_schema(keys)?))
            .projection(whole_rows)
            .build();
        request = request.global_secondary_indexes(index.map_err(unmade_request)?);
    }
    for attribute in attributes {
        let definition =
            AttributeDefinition::builder().attribute_name(attribute).attribute_type(ScalarAttributeType::S).build();
        request = request.attribute_definitions(definition.map_err(unmade_request)?);
    }
    if let Some(key) = &options.kms_key {
        let encryption = SseSpecification::builder().enabled(true).sse_type(SseType::Kms).kms_master_key_id(key);
        request = request.sse_specification(encryption.build());
    }
    match request.send().await {
        Err(error) if error.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => Ok(()),
        result => result.map(|_| ()).map_err(dynamodb),
    }
}

/// The first is the partition key, the second the sort key.
fn key_schema(keys: &[&str]) -> Result<Vec<KeySchemaElement>> {
    let types = [KeyType::Hash, KeyType::Range];
    let element = |(name, key_type): (&&str, _)| {
        KeySchemaElement::builder().attribute_name(*name).key_type(key_type).build().map_err(unmade_request)
    };
    keys.iter().zip(types).map(element).collect()
}

async fn wait_until_active(client: &Client, name: &str) -> Result<()> {
    const TURNS: u32 = 180;
    const TURN: Duration = Duration::from_secs(1);
    for _ in 0..TURNS {
        let described = client.describe_table().table_name(name).send().await;
        let description = described.map_err(|error| dynamodb(error).during("describe table").about(name))?;
        let status = description.table.as_ref().and_then(TableDescription::table_status);
        if status == Some(&TableStatus::Active) {
            return Ok(());
        }
        SystemClock.sleep(TURN).await;
    }
    Err(table_not_ready(name))
}

async fn recover(client: &Client, name: &str) -> Result<()> {
    let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
    let request = client.update_continuous_backups().table_name(name);
    let request = request.point_in_time_recovery_specification(on.map_err(unmade_request)?);
    request.send().await.map(|_| ()).map_err(dynamodb)
}

/// What is on already must not be switched on again: the service refuses that.
async fn expire(client: &Client, name: &str) -> Result<()> {
    let described = client.describe_time_to_live().table_name(name).send().await.map_err(dynamodb)?;
    let status = described.time_to_live_description.and_then(|description| description.time_to_live_status);
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let on = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRY).build();
    let request = client.update_time_to_live().table_name(name);
    let request = request.time_to_live_specification(on.map_err(unmade_request)?);
    request.send().await.map(|_| ()).map_err(dynamodb)
}

/// A client whose calls end by themselves: the service answers in milliseconds, or not at all.
pub(crate) fn bounded(client: &Client) -> Client {
    const ATTEMPT: Duration = Duration::from_secs(5);
    const OPERATION: Duration = Duration::from_secs(20);
    let config = client.config();
    let timeouts = timeouts::bounded(config.timeout_config(), ATTEMPT, OPERATION);
    Client::from_conf(config.to_builder().timeout_config(timeouts).build())
}
