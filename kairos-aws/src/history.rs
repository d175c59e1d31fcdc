//! Executions on DynamoDB: claimed before they run, recorded after.

mod claim;
mod merge;
mod row;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use kairos::backend::{Claim, Claimed, ExecutionFilter, History, Outcome};
use kairos::page::{Page, PageRequest};
use kairos::{Execution, ExecutionId, ExecutionState, Owner, Result};

use self::claim::{Step, Write};
use self::merge::{Found, Merge};
use self::row::{KEY, Record, Span, expiry, fixed, partition, partitions};
use crate::error::dynamodb::{claim_lost, contended, dynamodb, incomplete_answer, no_outcome, unreadable_row};
use crate::tables::expression::Expressions;
use crate::tables::item::{Item, from_item, to_item};
use crate::tables::listing::{Listing, limit};
use crate::tables::{BY_PROCESS, BY_STATE, EXPIRY, ORDER, PARTITION, TableNames, bounded};

/// How often a claim is tried that finds another state each time.
const TRIES: usize = 5;
/// How many times each partition is asked for one page. A page may be short, but never slow.
const ROUNDS: usize = 10;
/// How many rows are looked at in each request after the first for a page through whose filter little comes.
const LOOKED_AT: usize = 1_000;

/// A [`History`] in a table of DynamoDB.
///
/// # Claims
/// A claim is one conditional write, which counts the attempt too. Where the condition does not hold, the service sends the item along, and
/// that is the answer. Two cases take a second write, on condition of what the first one found: a backfill of an execution that was
/// skipped, and a claim that its owner repeats with a later end.
///
/// # Listings
/// The executions of a process come from the index `PorProceso`. The index `PorEstado` has four partitions for each state, or [as many as it is told](Self::with_partitions), among which
/// executions are spread by their id: in one, every claim of a busy minute would meet at the thousand writes a second that a partition takes, and
/// the service slows the table down to its slowest index. A page of a state is merged from four queries, one of all executions from twenty,
/// each of which reads its share of the page. Both indexes lag behind by a fraction of a second. An execution that changes its
/// state while all executions are listed may be missed.
///
/// # Retention
/// An execution is kept for the retention, counted from its last claim or outcome, or from the end of its claim if that is later. Then the service
/// may delete it, which it does within some days (attribute `Caduca`); until it does, the execution counts as known.
pub struct DynamoHistory {
    client: Client,
    table: String,
    retention: Duration,
    partitions: u8,
}

impl DynamoHistory {
    /// A history in the table of executions, which keeps them for 30 days: longer than any message can be delivered late. The table must be
    /// there; see [`create_tables`](crate::create_tables).
    ///
    /// Where the client has no timeouts, a try may take 5 seconds and a call 20.
    #[must_use]
    pub fn new(client: &Client, names: &TableNames) -> Self {
        let retention = Duration::from_secs(30 * 24 * 60 * 60);
        Self { client: bounded(client), table: names.executions.clone(), retention, partitions: row::PARTITIONS }
    }

    /// The same with another retention. What is delivered again after it may run again.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// The same with so many partitions of the index by state for each state, 1 to 255: each takes some 330 executions a second, and each is a query
    /// of every listing of a state, or five of one of all executions. 0 is taken for 1.
    ///
    /// More can be given at any time, to all programs at about the same: what was written with fewer is found all the same.
    #[must_use]
    pub fn with_partitions(mut self, count: u8) -> Self {
        self.partitions = count.max(1);
        self
    }

    /// A write of an execution, on a condition. The item comes back where that does not hold.
    async fn update(
        &self,
        id: ExecutionId,
        action: &str,
        condition: &str,
        expressions: Expressions,
    ) -> Result<Updated> {
        let (names, values) = expressions.into_parts();
        let request: UpdateItemFluentBuilder = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(KEY, AttributeValue::S(id.to_string()))
            .update_expression(action)
            .condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values(ReturnValue::UpdatedNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(answer) => Ok(Updated::Written(answer.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(Updated::Refused(failed.item().map(from_item).transpose()?))
                }
                _ => Err(dynamodb(error)),
            },
        }
    }

    async fn take(&self, claim: &Claim) -> Result<Claimed> {
        let mut write = Write::Free;
        for _ in 0..TRIES {
            let mut expressions = Expressions::default();
            let (action, condition) = write.expressions(claim, self.retention, self.partitions, &mut expressions)?;
            write = match self.update(claim.work.execution_id, &action, &condition, expressions).await? {
                Updated::Written(attributes) => return granted(&attributes),
                Updated::Refused(record) => match claim::plan(claim, record.as_deref()) {
                    Step::Answer(claimed) => return Ok(claimed),
                    Step::Write(write) => write,
                },
            };
        }
        Err(contended("the execution"))
    }

    async fn put_off(&self, id: ExecutionId, owner: Owner, until: Timestamp) -> Result<()> {
        let mut expressions = Expressions::default();
        let condition = held_by(owner, &mut expressions);
        let until_when = expressions.equals(row::UNTIL, AttributeValue::S(fixed(until)));
        let expires = expressions.equals(EXPIRY, expiry(until, self.retention));
        match self.update(id, &format!("SET {until_when}, {expires}"), &condition, expressions).await? {
            Updated::Written(_) => Ok(()),
            Updated::Refused(_) => Err(claim_lost()),
        }
    }

    async fn end(&self, outcome: &Outcome) -> Result<()> {
        let mut expressions = Expressions::default();
        let condition = held_by(outcome.owner, &mut expressions);
        let mut set = vec![
            expressions.equals(row::STATE, AttributeValue::S(outcome.state.as_str().into())),
            expressions.equals(PARTITION, partition(outcome.state, outcome.id, self.partitions)),
            expressions.equals(row::FINISHED, AttributeValue::S(outcome.at.to_string())),
            expressions.equals(EXPIRY, expiry(outcome.at, self.retention)),
        ];
        let mut removed = vec![expressions.name(row::OWNER), expressions.name(row::UNTIL)];
        match &outcome.failure {
            Some(failure) => set.push(expressions.equals(row::ERROR, AttributeValue::M(to_item(failure)?))),
            None => removed.push(expressions.name(row::ERROR)),
        }
        let action = format!("SET {} REMOVE {}", set.join(", "), removed.join(", "));
        match self.update(outcome.id, &action, &condition, expressions).await? {
            Updated::Written(_) => Ok(()),
            Updated::Refused(Some(record)) if says(&record.execution, outcome) => Ok(()),
            Updated::Refused(_) => Err(claim_lost()),
        }
    }

    async fn read(&self, id: ExecutionId) -> Result<Option<Execution>> {
        let key = AttributeValue::S(id.to_string());
        let request = self.client.get_item().table_name(&self.table).key(KEY, key).consistent_read(true);
        request.send().await.map_err(dynamodb)?.item.as_ref().map(from_item).transpose()
    }

    async fn page(&self, filter: &ExecutionFilter, page: &PageRequest) -> Result<Page<Execution>> {
        let listing = Listing::new(&self.table, filter);
        let span = Span::of(filter, listing.after(page)?);
        if span.is_empty() {
            return Ok(Page::last(Vec::new()));
        }
        let most = limit(page);
        let streams = match &filter.process {
            Some(process) => vec![process.as_str().to_owned()],
            None => partitions(filter.state, self.partitions),
        };
        // Of every partition its share of the page, and some more: most pages take one round.
        let filters = filter.process.is_some() && filter.state.is_some();
        let share = most.div_ceil(streams.len()) + streams.len();
        let mut merge = Merge::new(streams.len(), most);
        for round in 0..ROUNDS {
            let share = if filters && round > 0 { LOOKED_AT } else { share };
            let wanted = merge.wanted().map(|stream| {
                let span = span.below(merge.frontier(stream));
                let partition = &streams[stream];
                async move { Ok::<_, kairos::Error>((stream, self.query(filter, partition, &span, share).await?)) }
            });
            for (stream, found) in try_join_all(wanted.collect::<Vec<_>>()).await? {
                merge.add(stream, found);
            }
            if merge.fill() {
                break;
            }
        }
        let (items, next) = merge.finish();
        Ok(Page { items, next: next.map(|position| listing.cursor(&position)) })
    }

    /// The newest executions of a partition within a span.
    async fn query(&self, filter: &ExecutionFilter, partition: &str, span: &Span, wanted: usize) -> Result<Found> {
        let mut expressions = Expressions::default();
        let (index, key) = if filter.process.is_some() { (BY_PROCESS, row::PROCESS) } else { (BY_STATE, PARTITION) };
        let condition = format!(
            "{} AND {} BETWEEN {} AND {}",
            expressions.equals(key, AttributeValue::S(partition.to_owned())),
            expressions.name(ORDER),
            expressions.text(&span.from),
            expressions.text(&span.until),
        );
        let state = filter.state.filter(|_| filter.process.is_some());
        let state = state.map(|state| expressions.equals(row::STATE, AttributeValue::S(state.as_str().into())));
        let (names, values) = expressions.into_parts();
        // The end of the span is not in it, but is looked at if it is a row.
        let limit = i32::try_from(wanted + 1).unwrap_or(i32::MAX);
        let request =
            self.client.query().table_name(&self.table).index_name(index).scan_index_forward(false).limit(limit);
        let request = request.key_condition_expression(condition).set_filter_expression(state);
        let request = request.set_expression_attribute_names(names).set_expression_attribute_values(values);
        let answer = request.send().await.map_err(dynamodb)?;
        let position = |item: &Item| item.get(ORDER).and_then(|order| order.as_s().ok()).cloned();
        let mut rows = Vec::new();
        for item in answer.items.as_deref().ok_or_else(incomplete_answer)? {
            let order = position(item).ok_or_else(unreadable_row)?;
            if order < span.until {
                rows.push((order, from_item(item)?));
            }
        }
        Ok(Found { rows, last: answer.last_evaluated_key().and_then(position) })
    }
}

/// What became of a conditional write.
enum Updated {
    /// The attributes that were written.
    Written(Item),
    /// The condition does not hold; the row as it is.
    Refused(Option<Box<Record>>),
}

fn granted(attributes: &Item) -> Result<Claimed> {
    let attempts = attributes.get(row::ATTEMPTS).and_then(|attempts| attempts.as_n().ok());
    // It may have been made: asked again, it is the same claim.
    let attempt = attempts.and_then(|digits| digits.parse().ok()).ok_or_else(incomplete_answer)?;
    Ok(Claimed::Granted { attempt })
}

/// The condition that this owner is trying it. Also after its claim has ended, as long as nobody took it over.
fn held_by(owner: Owner, expressions: &mut Expressions) -> String {
    let running = expressions.equals(row::STATE, AttributeValue::S(ExecutionState::Running.as_str().into()));
    format!("{running} AND {}", expressions.equals(row::OWNER, AttributeValue::S(owner.to_string())))
}

/// Whether an execution is already as an outcome says.
fn says(execution: &Execution, outcome: &Outcome) -> bool {
    execution.state == outcome.state && execution.finished_at == Some(outcome.at) && execution.error == outcome.failure
}

impl fmt::Debug for DynamoHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoHistory")
            .field("table", &self.table)
            .field("retention", &self.retention)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl History for DynamoHistory {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        self.take(claim).await.map_err(|error| error.during("claim").about(claim.work.execution_id))
    }

    async fn renew(&self, id: ExecutionId, owner: Owner, until: Timestamp) -> Result<()> {
        self.put_off(id, owner, until).await.map_err(|error| error.during("renew").about(id))
    }

    async fn record(&self, outcome: &Outcome) -> Result<()> {
        let recorded = match outcome.state {
            ExecutionState::Running => Err(no_outcome()),
            _ => self.end(outcome).await,
        };
        recorded.map_err(|error| error.during("record").about(outcome.id))
    }

    async fn get(&self, id: ExecutionId) -> Result<Option<Execution>> {
        self.read(id).await.map_err(|error| error.during("read execution").about(id))
    }

    async fn list(&self, filter: &ExecutionFilter, page: &PageRequest) -> Result<Page<Execution>> {
        self.page(filter, page).await.map_err(|error| error.during("list executions"))
    }
}
