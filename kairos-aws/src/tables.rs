//! The tables: what they are called, what indexes they have, and how they are made.

mod attribute;
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
use kairos::clock::{Clock, ClockExt as _, SystemClock};
use kairos::{ErrorKind, Result};

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
    create_all(client, names, options, &SystemClock).await
}

async fn create_all(client: &Client, names: &TableNames, options: &TableOptions, clock: &dyn Clock) -> Result<()> {
    for design in &designs(names) {
        let name = design.name;
        create(client, design, options).await.map_err(|error| error.during("create table").about(name))?;
        // The service makes no two tables with indexes at once.
        wait_until_active(client, name, clock).await.map_err(|error| error.during("describe table").about(name))?;
        if options.point_in_time_recovery {
            recover(client, name, clock).await.map_err(|error| error.during("switch recovery on").about(name))?;
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

/// How often, and how long after each other, to ask for what takes the service a while.
const TURNS: u32 = 180;
const TURN: Duration = Duration::from_secs(1);

async fn wait_until_active(client: &Client, name: &str, clock: &dyn Clock) -> Result<()> {
    for _ in 0..TURNS {
        let description = client.describe_table().table_name(name).send().await.map_err(dynamodb)?;
        let status = description.table.as_ref().and_then(TableDescription::table_status);
        if status == Some(&TableStatus::Active) {
            return Ok(());
        }
        clock.sleep(TURN).await;
    }
    Err(table_not_ready())
}

/// For a while after a table can be used, its recovery cannot be switched on.
async fn recover(client: &Client, name: &str, clock: &dyn Clock) -> Result<()> {
    let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
    let request = client.update_continuous_backups().table_name(name);
    let request = request.point_in_time_recovery_specification(on.map_err(unmade_request)?);
    for _ in 0..TURNS {
        match request.clone().send().await.map_err(dynamodb) {
            Err(error) if error.kind() == ErrorKind::Busy => clock.sleep(TURN).await,
            result => return result.map(|_| ()),
        }
    }
    Err(table_not_ready())
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
    use aws_sdk_dynamodb::operation::create_table::{CreateTableInput, CreateTableOutput};
    use aws_sdk_dynamodb::operation::describe_table::DescribeTableOutput;
    use aws_sdk_dynamodb::operation::describe_time_to_live::DescribeTimeToLiveOutput;
    use aws_sdk_dynamodb::operation::update_continuous_backups::{
        UpdateContinuousBackupsError, UpdateContinuousBackupsOutput,
    };
    use aws_sdk_dynamodb::operation::update_time_to_live::UpdateTimeToLiveOutput;
    use aws_sdk_dynamodb::types::TimeToLiveDescription;
    use aws_sdk_dynamodb::types::error::{ContinuousBackupsUnavailableException, ResourceInUseException};
    use aws_smithy_mocks::{MockResponse, MockResponseInterceptor, Rule, RuleMode, create_mock_http_client, mock};
    use kairos::clock::ManualClock;

    use super::*;

    fn client(rules: &[&Rule]) -> Client {
        let interceptor = MockResponseInterceptor::new().rule_mode(RuleMode::MatchAny);
        let interceptor = rules.iter().fold(interceptor, |interceptor, rule| interceptor.with_rule(rule));
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("123456789012", "secret", None, None, "tests"))
            .http_client(create_mock_http_client())
            .interceptor(interceptor);
        Client::from_conf(config.build())
    }

    /// Moves the clock whenever somebody waits.
    async fn on<T>(clock: &ManualClock, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        loop {
            if let std::task::Poll::Ready(output) = futures_util::poll!(&mut future) {
                return output;
            }
            match clock.next_timer() {
                Some(timer) => clock.advance_to(timer),
                None => tokio::task::yield_now().await,
            }
        }
    }

    fn described(status: TableStatus) -> DescribeTableOutput {
        DescribeTableOutput::builder().table(TableDescription::builder().table_status(status).build()).build()
    }

    #[tokio::test]
    async fn tables_are_made_one_after_the_other_as_the_options_say() {
        let made = Arc::new(Mutex::new(Vec::<CreateTableInput>::new()));
        let seen = made.clone();
        let create = mock!(Client::create_table).then_compute_output(move |input| {
            seen.lock().unwrap().push(input.clone());
            CreateTableOutput::builder().build()
        });
        let creating = mock!(Client::describe_table).sequence().output(|| described(TableStatus::Creating)).times(3);
        let describe = creating.output(|| described(TableStatus::Active)).repeatedly().build();
        let unavailable = mock!(Client::update_continuous_backups).sequence().error(|| {
            let error = ContinuousBackupsUnavailableException::builder().build();
            UpdateContinuousBackupsError::ContinuousBackupsUnavailableException(error)
        });
        let recover =
            unavailable.times(2).output(|| UpdateContinuousBackupsOutput::builder().build()).repeatedly().build();
        let look = mock!(Client::describe_time_to_live).then_output(|| DescribeTimeToLiveOutput::builder().build());
        let expire = mock!(Client::update_time_to_live).then_output(|| UpdateTimeToLiveOutput::builder().build());
        let client = client(&[&create, &describe, &recover, &look, &expire]);
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let options = TableOptions::new().with_kms_key("alias/kairos");
        on(&clock, create_all(&client, &TableNames::of("App"), &options, &clock)).await.unwrap();

        let made = made.lock().unwrap();
        let names: Vec<_> = made.iter().filter_map(CreateTableInput::table_name).collect();
        assert_eq!(names, ["AppProcesos", "AppCalendarizaciones", "AppEjecuciones"]);
        for table in made.iter() {
            assert_eq!(table.billing_mode(), Some(&BillingMode::PayPerRequest));
            assert_eq!(table.deletion_protection_enabled(), Some(true));
            assert_eq!(table.sse_specification().unwrap().kms_master_key_id(), Some("alias/kairos"));
        }
        let index = &made[0].global_secondary_indexes()[0];
        assert_eq!((index.index_name(), index.key_schema().len()), (BY_SCHEDULE, 1));
        assert_eq!(index.projection().unwrap().projection_type(), Some(&ProjectionType::All));
        let calls = [&describe, &recover, &expire].map(Rule::num_calls);
        assert_eq!(calls, [6, 5, 1], "until each is ready");
        assert_eq!(clock.now().to_string(), "2026-01-01T00:00:05Z");
    }

    #[tokio::test]
    async fn what_is_there_and_on_is_left_as_it_is() {
        let create = mock!(Client::create_table)
            .then_error(|| CreateTableError::ResourceInUseException(ResourceInUseException::builder().build()));
        let describe = mock!(Client::describe_table).then_output(|| described(TableStatus::Active));
        let look = mock!(Client::describe_time_to_live).then_output(|| {
            let on = TimeToLiveDescription::builder().time_to_live_status(TimeToLiveStatus::Enabled).build();
            DescribeTimeToLiveOutput::builder().time_to_live_description(on).build()
        });
        let options = TableOptions::new().with_point_in_time_recovery(false);
        create_tables(&client(&[&create, &describe, &look]), &TableNames::of("App"), &options).await.unwrap();
        assert_eq!([&create, &describe, &look].map(Rule::num_calls), [3, 3, 1]);
    }

    #[tokio::test]
    async fn a_table_that_never_gets_ready_is_given_up() {
        let create = mock!(Client::create_table).then_output(|| CreateTableOutput::builder().build());
        let describe = mock!(Client::describe_table)
            .then_compute_response(|_| MockResponse::Output(described(TableStatus::Creating)));
        let client = client(&[&create, &describe]);
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let made = on(&clock, create_all(&client, &TableNames::of("App"), &TableOptions::new(), &clock)).await;
        let error = made.unwrap_err();
        assert_eq!((error.kind(), error.subject()), (ErrorKind::Timeout, Some("AppProcesos")), "{error}");
        assert_eq!(clock.now().to_string(), "2026-01-01T00:03:00Z");
    }
}
