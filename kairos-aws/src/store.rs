//! Processes and schedule records on DynamoDB.

mod cancellation;
mod commit;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use kairos::backend::{ProcessFilter, Store, StoreCapabilities, Transaction};
use kairos::chance::Chance;
use kairos::clock::{Clock, SystemClock};
use kairos::page::{Page, PageRequest};
use kairos::{Process, ProcessId, Result, Schedule, ScheduleId};

use crate::error::dynamodb::{dynamodb, incomplete_answer};
use crate::tables::expression::Expressions;
use crate::tables::item::{Item, Row, from_item};
use crate::tables::listing::{Listing, limit};
use crate::tables::{BY_SCHEDULE, TableNames, bounded};

/// How many rows are looked at for a page through whose filter little comes, in each request after the first, and in how many requests.
/// Such a page may be short, but never slow.
const LOOKED_AT: usize = 1_000;
const REQUESTS: usize = 10;

/// A [`Store`] in two tables of DynamoDB.
///
/// # Rows
/// An item is the wire format, attribute by attribute, as the older system writes it too. Attributes that Kairos does not know stay when a
/// row is updated, and of those that it knows only what has changed is written.
///
/// # Commits
/// A commit is one transaction, on condition that each row is as it was read. Rows are compared by what they mean, although the service
/// compares values: first each attribute is expected as Kairos writes it, which costs no read. Where the service finds another one, it sends
/// the item along; if that means the row that was read (the older system writes `.1000000` where Kairos writes `.1`, or null where it
/// writes nothing), the transaction is sent again, expecting each attribute just as it was found.
///
/// # Listings
/// The processes of a schedule come from the index `PorIdCalendarizacion`, which lags behind by a fraction of a second; all others from a
/// consistent scan, for which name and state are filters: it reads, and pays for, the whole table.
///
/// ```no_run
/// use std::sync::Arc;
/// use aws_sdk_dynamodb::Client;
/// use kairos::backend::Store;
/// use kairos_aws::{DynamoStore, TableNames};
///
/// # async fn wire() {
/// let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
/// let store: Arc<dyn Store> = Arc::new(DynamoStore::new(&Client::new(&config), &TableNames::of("Tareas")));
/// # }
/// ```
pub struct DynamoStore {
    client: Client,
    processes: String,
    schedules: String,
    clock: Arc<dyn Clock>,
    chance: Chance,
}

impl DynamoStore {
    /// A store in the tables of these names. The tables must be there; see [`create_tables`](crate::create_tables).
    ///
    /// Where the client has no timeouts, a try may take 5 seconds and a call 20.
    #[must_use]
    pub fn new(client: &Client, names: &TableNames) -> Self {
        Self {
            client: bounded(client),
            processes: names.processes.clone(),
            schedules: names.schedules.clone(),
            clock: Arc::new(SystemClock),
            chance: Chance::from_system(),
        }
    }

    /// The same with another clock to wait on between the tries of a transaction that meets others.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    async fn get<T: Row>(&self, table: &str, id: &str) -> Result<Option<T>> {
        let key = AttributeValue::S(id.to_owned());
        let request = self.client.get_item().table_name(table).key(T::KEY, key).consistent_read(true);
        request.send().await.map_err(dynamodb)?.item.as_ref().map(from_item).transpose()
    }

    async fn list<T: Row>(&self, table: &str, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<T>> {
        let listing = Listing::new(table, filter);
        let mut after = listing.after(page)?.map(str::to_owned);
        let most = limit(page);
        let mut items: Vec<T> = Vec::new();
        let filters = filter.name_prefix.is_some() || filter.enabled.is_some();
        for request in 0..REQUESTS {
            // Most filters let most rows through, and what is read beyond the page is read again for the next one.
            let looked_at = if filters && request > 0 { LOOKED_AT } else { most - items.len() };
            let (rows, last) = self.rows::<T>(table, filter, looked_at, after.as_deref()).await?;
            for row in rows {
                if let Some(full) = items.last().filter(|_| items.len() == most) {
                    let next = Some(listing.cursor(full.id()));
                    return Ok(Page { items, next });
                }
                items.push(row);
            }
            after = last;
            if after.is_none() || items.len() * 2 >= most {
                break;
            }
        }
        Ok(Page { items, next: after.map(|id| listing.cursor(&id)) })
    }

    /// What one request finds: rows that the filter lets through, and the last one that was looked at unless that was the last of all.
    async fn rows<T: Row>(
        &self,
        table: &str,
        filter: &ProcessFilter,
        looked_at: usize,
        after: Option<&str>,
    ) -> Result<(Vec<T>, Option<String>)> {
        let mut expressions = Expressions::default();
        let conditions = conditions(filter, &mut expressions);
        let looked_at = Some(i32::try_from(looked_at).unwrap_or(i32::MAX));
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let mut start = after.map(|id| Item::from([(T::KEY.to_owned(), text(id))]));
        let (items, last) = if let Some(schedule) = &filter.schedule {
            let schedule = text(schedule.as_str());
            if let Some(start) = &mut start {
                start.insert(SCHEDULE.to_owned(), schedule.clone());
            }
            let of_schedule = expressions.equals(SCHEDULE, schedule);
            let (names, values) = expressions.into_parts();
            let request = self.client.query().table_name(table).index_name(BY_SCHEDULE).set_limit(looked_at);
            let request = request.key_condition_expression(of_schedule).set_filter_expression(conditions);
            let request = request.set_expression_attribute_names(names).set_expression_attribute_values(values);
            let found = request.set_exclusive_start_key(start).send().await.map_err(dynamodb)?;
            (found.items, found.last_evaluated_key)
        } else {
            let (names, values) = expressions.into_parts();
            let request = self.client.scan().table_name(table).consistent_read(true).set_limit(looked_at);
            let request = request.set_filter_expression(conditions);
            let request = request.set_expression_attribute_names(names).set_expression_attribute_values(values);
            let found = request.set_exclusive_start_key(start).send().await.map_err(dynamodb)?;
            (found.items, found.last_evaluated_key)
        };
        let about = |item: &Item| item.get(T::KEY).and_then(|key| key.as_s().ok()).cloned();
        // Where there are none, the service says so.
        let rows = items.ok_or_else(incomplete_answer)?;
        let read = |item| from_item(item).map_err(|error| error.about(about(item).unwrap_or_default()));
        Ok((rows.iter().map(read).collect::<Result<_>>()?, last.as_ref().and_then(about)))
    }
}

/// The attribute that the index is by.
const SCHEDULE: &str = "IdCalendarizacion";

/// What the service lets through of a schedule's processes, or of all. A row of the older system may lack `Habilitado`; that is disabled.
fn conditions(filter: &ProcessFilter, expressions: &mut Expressions) -> Option<String> {
    let mut conditions = Vec::new();
    if let Some(prefix) = filter.name_prefix.as_ref().filter(|prefix| !prefix.is_empty()) {
        conditions.push(format!("begins_with({}, {})", expressions.name("Nombre"), expressions.text(prefix)));
    }
    if let Some(enabled) = filter.enabled {
        let mut condition = expressions.equals("Habilitado", AttributeValue::Bool(enabled));
        if !enabled {
            condition = format!("({condition} OR {})", expressions.absent("Habilitado"));
        }
        conditions.push(condition);
    }
    Some(conditions.join(" AND ")).filter(|conditions| !conditions.is_empty())
}

impl fmt::Debug for DynamoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoStore")
            .field("processes", &self.processes)
            .field("schedules", &self.schedules)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for DynamoStore {
    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>> {
        let found = self.get::<Process>(&self.processes, id.as_str()).await;
        found.map(|found| found.map(Arc::new)).map_err(|error| error.during("read process").about(id))
    }

    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        let found = self.get(&self.schedules, id.as_str()).await;
        found.map_err(|error| error.during("read schedule").about(id))
    }

    async fn list_processes(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<Arc<Process>>> {
        let found = self.list::<Process>(&self.processes, filter, page).await;
        let Page { items, next } = found.map_err(|error| error.during("list processes"))?;
        Ok(Page { items: items.into_iter().map(Arc::new).collect(), next })
    }

    async fn list_schedules(&self, page: &PageRequest) -> Result<Page<Schedule>> {
        let found = self.list(&self.schedules, &ProcessFilter::default(), page).await;
        found.map_err(|error| error.during("list schedules"))
    }

    async fn commit(&self, transaction: &Transaction) -> Result<()> {
        self.write(transaction).await.map_err(|error| error.during("commit"))
    }

    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities::new()
    }
}
