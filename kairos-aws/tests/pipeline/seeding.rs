//! Many processes of one schedule, written to the table directly: registering takes a transaction each.

use std::collections::HashMap;
use std::ops::Range;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use aws_sdk_dynamodb::{Client, Error};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kairos::{Process, ProcessId, Registration, ScheduleId};
use kairos_aws::TableNames;
use serde_json::Value;

use crate::place::Place;

/// Most rows of one `BatchWriteItem` (Amazon DynamoDB API).
const BATCH: usize = 25;
const CONCURRENCY: usize = 8;

/// What process `number` is called.
pub(crate) fn name(number: usize) -> String {
    format!("ventas {number}")
}

/// Registers process 0, and writes the others up to `count` like it, but for role and target. Their schedule.
pub(crate) async fn seed(
    place: &Place,
    client: &Client,
    expression: &str,
    count: usize,
    runs: impl Fn(usize) -> (String, String),
) -> ScheduleId {
    let (role, target) = runs(0);
    let registration = Registration::new(name(0), expression, target).with_role(role).with_parameters("hola");
    let first = place.scheduler.register(&registration).await.unwrap().process;

    let tables = TableNames::of(&place.name);
    let row = |number: usize| {
        let mut process = (*first).clone();
        process.name = name(number);
        process.id = ProcessId::of(&process.name);
        let (role, target) = runs(number);
        (process.role, process.target) = (Some(role), target);
        let put = PutRequest::builder().set_item(Some(item(&process))).build().unwrap();
        WriteRequest::builder().put_request(put).build()
    };
    let write = |batch: Range<usize>| {
        let request = client.batch_write_item().request_items(&tables.processes, batch.map(row).collect());
        async move { Ok::<_, Error>(request.send().await?.unprocessed_items.unwrap_or_default()) }
    };
    let batches = stream::iter((1..count).step_by(BATCH).map(|from| from..(from + BATCH).min(count)));
    let written = batches.map(write).buffer_unordered(CONCURRENCY);
    let left = written.try_fold(0, async |left, unprocessed| Ok(left + unprocessed.len())).await.unwrap();
    assert_eq!(left, 0, "not everything was written");

    let counted = client
        .update_item()
        .table_name(&tables.schedules)
        .key("IdCalendarizacion", AttributeValue::S(first.schedule_id.to_string()))
        .update_expression("SET CantidadProcesos = :count")
        .expression_attribute_values(":count", AttributeValue::N(count.to_string()));
    counted.send().await.unwrap();
    first.schedule_id.clone()
}

/// The wire format, attribute by attribute.
fn item(process: &Process) -> HashMap<String, AttributeValue> {
    let Value::Object(fields) = serde_json::to_value(process).unwrap() else { panic!("a row is an object") };
    let attribute = |value| match value {
        Value::String(text) => AttributeValue::S(text),
        Value::Bool(truth) => AttributeValue::Bool(truth),
        other => panic!("no such value was registered: {other}"),
    };
    fields.into_iter().map(|(name, value)| (name, attribute(value))).collect()
}
