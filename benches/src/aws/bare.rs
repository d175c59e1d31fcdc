//! The same calls in bare loops: what services and SDK take, whoever calls.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message as Received, MessageAttributeValue, SendMessageBatchRequestEntry,
};
use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use kairos::backend::{Invocation, Message};
use kairos::dispatcher::{DispatcherConfig, SendConfig};
use kairos::{ExecutionId, Origin, Process, ScheduleId, Target, WorkItem};

use super::Outcome;
use super::place::{PLACEHOLDER, Place};

const BATCH: usize = 10;

pub(super) type Batch = Vec<SendMessageBatchRequestEntry>;
pub(super) type Item = HashMap<String, AttributeValue>;

/// What a dispatcher sends, ready-made.
pub(super) fn batches(processes: &[Arc<Process>], occurrence: Timestamp) -> Outcome<Vec<Batch>> {
    let entry = |(index, process): (usize, &Arc<Process>)| {
        let message = Message::new(WorkItem::of_occurrence(process.clone(), occurrence, Origin::Schedule));
        let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(message.body.to_json());
        Ok(entry.message_group_id(process.id.as_str()).build()?)
    };
    processes.chunks(BATCH).map(|batch| batch.iter().enumerate().map(entry).collect()).collect()
}

/// Sends batches, as many at once as a dispatcher does.
pub(super) async fn send(place: &Place, url: &str, batches: Vec<Batch>) -> Outcome<()> {
    let send = |batch| async move {
        let sent = place.sqs.send_message_batch().queue_url(url).set_entries(Some(batch)).send().await?;
        if sent.failed().is_empty() { Outcome::Ok(()) } else { Err("not all messages were sent".into()) }
    };
    stream::iter(batches).map(send).buffer_unordered(SendConfig::default().concurrency).try_collect().await
}

/// Reads the processes of a schedule, in pages as large as a dispatcher's. How many there are.
pub(super) async fn query(place: &Place, schedule: &ScheduleId) -> Outcome<usize> {
    let (mut found, mut last) = (0, None);
    loop {
        let page = place
            .dynamodb
            .query()
            .table_name(&place.tables.processes)
            .index_name("PorIdCalendarizacion")
            .key_condition_expression("IdCalendarizacion = :schedule")
            .filter_expression("Habilitado = :enabled")
            .expression_attribute_values(":schedule", AttributeValue::S(schedule.to_string()))
            .expression_attribute_values(":enabled", AttributeValue::Bool(true))
            .limit(i32::try_from(DispatcherConfig::default().page_size)?)
            .set_exclusive_start_key(last)
            .send()
            .await?;
        found += page.items().len();
        last = page.last_evaluated_key;
        if last.is_none() {
            return Ok(found);
        }
    }
}

/// A call of a target: body and attributes.
#[derive(Clone)]
pub(super) struct Call {
    body: String,
    attributes: HashMap<String, MessageAttributeValue>,
}

impl Call {
    /// What an executor says to the target of a process.
    pub(super) fn of(process: &Arc<Process>, occurrence: Timestamp) -> Outcome<Self> {
        let id = ExecutionId::of_occurrence(&process.id, occurrence);
        let invocation = Invocation::new(Target::parse(&process.target)?, process.clone(), id, occurrence);
        let attribute = |attribute: kairos::Attribute| {
            let kind = if attribute.is_number { "Number" } else { "String" };
            let value = MessageAttributeValue::builder().data_type(kind).string_value(attribute.value).build()?;
            Outcome::Ok((attribute.name.to_owned(), value))
        };
        let attributes = invocation.attributes().into_iter().map(attribute).collect::<Outcome<_>>()?;
        let body = process.parameters.as_deref().unwrap_or_default().replace(PLACEHOLDER, &id.to_string());
        Ok(Self { body, attributes })
    }

    async fn make(self, place: &Place) -> Outcome<()> {
        let request = place.sqs.send_message().queue_url(&place.target_url).message_body(self.body);
        request.set_message_attributes(Some(self.attributes)).send().await?;
        Ok(())
    }
}

/// Calls a target, so many calls at once.
pub(super) async fn invoke(place: &Place, calls: Vec<Call>, at_once: usize) -> Outcome<()> {
    stream::iter(calls).map(|call| call.make(place)).buffer_unordered(at_once).try_collect().await
}

/// Receives, calls and deletes by tens, in so many loops, until all calls are made. With a row, it is written before and after each call, under
/// keys of their own.
pub(super) async fn execute(
    place: &Place,
    url: &str,
    calls: Vec<Call>,
    loops: usize,
    row: Option<&Item>,
) -> Outcome<()> {
    let left = Cell::new(calls.len());
    let calls = RefCell::new(calls);
    let one = |message: Received| {
        let call = calls.borrow_mut().pop();
        async move {
            let write = || async {
                let Some(row) = row else { return Outcome::Ok(()) };
                let mut row = row.clone();
                let key = AttributeValue::S(message.message_id.clone().unwrap_or_default());
                row.insert("IdEjecucion".into(), key);
                place.dynamodb.put_item().table_name(&place.tables.executions).set_item(Some(row)).send().await?;
                Ok(())
            };
            write().await?;
            call.ok_or("more messages than calls")?.make(place).await?;
            write().await?;
            Outcome::Ok(message.receipt_handle.unwrap_or_default())
        }
    };
    // All messages are there: no loop waits for any.
    let work = async || {
        while left.get() > 0 {
            let received = place.sqs.receive_message().queue_url(url).max_number_of_messages(10);
            let messages = received.send().await?.messages.unwrap_or_default();
            if messages.is_empty() {
                continue;
            }
            left.set(left.get() - messages.len());
            let handles = try_join_all(messages.into_iter().map(one)).await?;
            let entry = |(index, handle): (usize, String)| {
                Ok(DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(handle).build()?)
            };
            let entries = handles.into_iter().enumerate().map(entry).collect::<Outcome<_>>()?;
            place.sqs.delete_message_batch().queue_url(url).set_entries(Some(entries)).send().await?;
        }
        Outcome::Ok(())
    };
    try_join_all((0..loops).map(|_| work())).await.map(drop)
}
