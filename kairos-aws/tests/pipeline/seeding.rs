//! Many processes of one schedule, written to the tables directly: to register one takes a transaction.

use std::ops::Range;

use futures_util::{StreamExt as _, stream};
use kairos::{Process, ProcessId, Registration, ScheduleId};
use kairos_aws::TableNames;
use serde_json::{Map, Value, json};

use crate::place::Place;
use crate::raw::Raw;

/// Most rows of one `BatchWriteItem` (Amazon DynamoDB API).
const BATCH: usize = 25;
const CONNECTIONS: usize = 4;

/// What process `number` is called.
pub(crate) fn name(number: usize) -> String {
    format!("ventas {number}")
}

/// The other way round.
pub(crate) fn number(name: &str) -> usize {
    name.strip_prefix("ventas ").unwrap().parse().unwrap()
}

/// Registers process 0, and writes the others up to `count` like it, but for role and target. Their targets are told the execution.
/// Their schedule.
pub(crate) async fn seed(place: &Place, count: usize, runs: impl Fn(usize) -> (String, String)) -> ScheduleId {
    let (role, target) = runs(0);
    let registration = Registration::new(name(0), "rate(1 day)", target);
    let registration = registration.with_role(role).with_parameters("<kairos.execution-id>");
    let first = place.scheduler.register(&registration).await.unwrap().process;

    let tables = TableNames::of(&place.name);
    let row = |number: usize| {
        let mut process = (*first).clone();
        process.name = name(number);
        process.id = ProcessId::of(&process.name);
        let (role, target) = runs(number);
        (process.role, process.target) = (Some(role), target.into());
        json!({ "PutRequest": { "Item": item(&process) } })
    };
    let write = |of: usize| {
        let (row, table) = (&row, &tables.processes);
        async move {
            let mut dynamodb = Raw::dynamodb().await;
            for from in (1 + of * BATCH..count).step_by(CONNECTIONS * BATCH) {
                let rows: Vec<_> = Range { start: from, end: (from + BATCH).min(count) }.map(row).collect();
                let answer: Value = dynamodb.call("BatchWriteItem", &json!({ "RequestItems": { table: rows } })).await;
                assert_eq!(answer["UnprocessedItems"], json!({}));
            }
        }
    };
    stream::iter(0..CONNECTIONS).map(write).buffer_unordered(CONNECTIONS).collect::<()>().await;

    let count = json!({
        "TableName": tables.schedules,
        "Key": { "IdCalendarizacion": { "S": first.schedule_id } },
        "UpdateExpression": "SET CantidadProcesos = :count",
        "ExpressionAttributeValues": { ":count": { "N": count.to_string() } },
    });
    Raw::dynamodb().await.call::<Value>("UpdateItem", &count).await;
    first.schedule_id.clone()
}

/// The wire format, attribute by attribute.
fn item(process: &Process) -> Value {
    let Value::Object(fields) = serde_json::to_value(process).unwrap() else { panic!("a row is an object") };
    let attribute = |(name, value)| match value {
        Value::String(text) => (name, json!({ "S": text })),
        Value::Bool(truth) => (name, json!({ "BOOL": truth })),
        other => panic!("no such value was registered: {other}"),
    };
    Value::Object(fields.into_iter().map(attribute).collect::<Map<_, _>>())
}
