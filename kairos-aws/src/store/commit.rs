//! A commit: one transaction, each change of which is a condition on what was read.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use kairos::backend::{Change, Transaction};
use kairos::clock::ClockExt as _;
use kairos::retry::Backoff;
use kairos::{Process, Result, Schedule};

use super::DynamoStore;
use super::cancellation::{Verdict, judge};
use crate::error::dynamodb::{contended, dynamodb, row_changed, too_large, unmade_request, unsound_transaction};
use crate::tables::expression::Expressions;
use crate::tables::item::{Item, Row, attribute_size, from_item, size, to_item};

/// Amazon DynamoDB API, `TransactWriteItems`: actions, and bytes of all items together.
const MOST_CHANGES: usize = 100;
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Amazon DynamoDB developer guide, "Quotas".
const ITEM_BYTES: usize = 400 * 1024;

/// How often a transaction is tried that meets others, or rows in another spelling.
const TRIES: u32 = 6;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(25), Duration::from_millis(400));

impl DynamoStore {
    pub(super) async fn write(&self, transaction: &Transaction) -> Result<()> {
        let mut writes = self.plan(transaction)?;
        if writes.is_empty() {
            return Ok(());
        }
        for attempt in 1..=TRIES {
            let token = self.chance.uuid();
            let items = writes.iter().map(Write::request).collect::<Result<_>>()?;
            // The token is of this try: its own repetitions, where an answer was lost, happen once.
            let request = self
                .client
                .transact_write_items()
                .client_request_token(token.to_string())
                .set_transact_items(Some(items));
            let Err(error) = request.send().await else { return Ok(()) };
            let reasons = match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    cancelled.cancellation_reasons()
                }
                _ => return Err(dynamodb(error)),
            };
            match judge(&writes, reasons) {
                Verdict::Respell(spellings) => {
                    for (write, spelling) in spellings {
                        writes[write].spelled = Some(spelling);
                    }
                }
                Verdict::Again if attempt < TRIES => self.clock.sleep(BACKOFF.delay(attempt, token.as_u128())).await,
                Verdict::Again => return Err(contended("the same rows").with_source(error)),
                Verdict::Failed(failure) => return Err(failure.with_source(error)),
            }
        }
        Err(row_changed())
    }

    fn plan<'t>(&'t self, transaction: &'t Transaction) -> Result<Vec<Write<'t>>> {
        let mut writes = Vec::with_capacity(transaction.processes.len() + transaction.schedules.len());
        for Change { before, after } in &transaction.processes {
            writes.push(Write::new::<Process>(&self.processes, before.as_deref(), after.as_deref())?);
        }
        for Change { before, after } in &transaction.schedules {
            writes.push(Write::new::<Schedule>(&self.schedules, before.as_ref(), after.as_ref())?);
        }
        check(&writes)?;
        Ok(writes)
    }
}

/// What the service would refuse, or the contract does.
fn check(writes: &[Write<'_>]) -> Result<()> {
    if writes.len() > MOST_CHANGES {
        let what = format!("{} changes are more than the {MOST_CHANGES} that a transaction holds", writes.len());
        return Err(too_large("transaction", what));
    }
    let mut rows = BTreeSet::new();
    for write in writes {
        if !rows.insert((write.table, write.id)) {
            return Err(unsound_transaction(format!("changes '{}' twice", write.id)));
        }
    }
    let bytes: usize = writes.iter().map(Write::bytes).sum();
    if bytes > MOST_BYTES {
        return Err(too_large("transaction", format!("{bytes} bytes are more than the {MOST_BYTES} that one holds")));
    }
    Ok(())
}

/// One change, as the service is told of it.
pub(super) struct Write<'t> {
    table: &'t str,
    key: &'static str,
    pub(super) id: &'t str,
    attributes: &'static [&'static str],
    /// The row as it was read, as Kairos writes it; `None` is no row.
    before: Option<Item>,
    after: Option<Item>,
    /// The row as it was read, as somebody else wrote it.
    pub(super) spelled: Option<Item>,
    /// Whether an item means the row as it was read.
    means_before: Box<dyn Fn(&Item) -> bool + Send + Sync + 't>,
}

impl<'t> Write<'t> {
    pub(super) fn new<T: Row>(table: &'t str, before: Option<&'t T>, after: Option<&'t T>) -> Result<Self> {
        let id = match (before.map(Row::id), after.map(Row::id)) {
            (Some(before), Some(after)) if before != after => {
                return Err(unsound_transaction(format!("makes '{before}' another row, '{after}'")));
            }
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => return Err(unsound_transaction("holds a change of no row")),
        };
        let item = |row: Option<&T>| row.map(to_item).transpose();
        let write = Self {
            table,
            key: T::KEY,
            id,
            attributes: T::ATTRIBUTES,
            before: item(before).map_err(|error| error.about(id))?,
            after: item(after).map_err(|error| error.about(id))?,
            spelled: None,
            means_before: Box::new(move |item| from_item::<T>(item).is_ok_and(|row| before == Some(&row))),
        };
        write.check().map_err(|error| error.about(id))?;
        Ok(write)
    }

    /// The largest attribute is named: it is the one to make smaller.
    fn check(&self) -> Result<()> {
        let Some(after) = &self.after else { return Ok(()) };
        let bytes = size(after);
        if bytes <= ITEM_BYTES {
            return Ok(());
        }
        let by_size = |name: &&&str| after.get(**name).map_or(0, attribute_size);
        let largest = self.attributes.iter().max_by_key(by_size).copied().unwrap_or(self.key);
        let what = format!("makes the row {bytes} bytes large; {ITEM_BYTES} are the most that the table takes");
        Err(too_large(largest, what))
    }

    fn bytes(&self) -> usize {
        self.before.as_ref().map_or(0, size).max(self.after.as_ref().map_or(0, size))
    }

    /// Whether an item that was found is the row as it was read, in another spelling than was expected.
    pub(super) fn respells(&self, found: &Item) -> Option<Item> {
        (self.means_before)(found).then(|| {
            let known = self.attributes.iter().filter_map(|name| found.get_key_value(*name));
            known.map(|(name, value)| (name.clone(), value.clone())).collect()
        })
    }

    fn request(&self) -> Result<TransactWriteItem> {
        let request = TransactWriteItem::builder();
        let key = || AttributeValue::S(self.id.to_owned());
        let mut expressions = Expressions::default();
        let condition = self.condition(&mut expressions);
        let send_the_item = ReturnValuesOnConditionCheckFailure::AllOld;
        let request = match (&self.before, &self.after) {
            (None, after) => {
                let (names, values) = expressions.into_parts();
                let put = Put::builder()
                    .table_name(self.table)
                    .set_item(after.clone())
                    .condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values);
                request.put(put.build().map_err(unmade_request)?)
            }
            (Some(_), None) => {
                let (names, values) = expressions.into_parts();
                let delete = Delete::builder()
                    .table_name(self.table)
                    .key(self.key, key())
                    .condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(send_the_item);
                request.delete(delete.build().map_err(unmade_request)?)
            }
            (Some(before), Some(after)) if before == after => {
                let (names, values) = expressions.into_parts();
                let check = ConditionCheck::builder()
                    .table_name(self.table)
                    .key(self.key, key())
                    .condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(send_the_item);
                request.condition_check(check.build().map_err(unmade_request)?)
            }
            (Some(before), Some(after)) => {
                let difference = self.difference(before, after, &mut expressions);
                let (names, values) = expressions.into_parts();
                let update = Update::builder()
                    .table_name(self.table)
                    .key(self.key, key())
                    .update_expression(difference)
                    .condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(send_the_item);
                request.update(update.build().map_err(unmade_request)?)
            }
        };
        Ok(request.build())
    }

    /// Every known attribute as it is expected, also those that are expected not to be there.
    fn condition(&self, expressions: &mut Expressions) -> String {
        let Some(expected) = self.spelled.as_ref().or(self.before.as_ref()) else {
            return expressions.absent(self.key);
        };
        let conditions = self.attributes.iter().map(|name| match expected.get(*name) {
            Some(value) => expressions.equals(name, value.clone()),
            None => expressions.absent(name),
        });
        conditions.collect::<Vec<_>>().join(" AND ")
    }

    /// What has changed, and nothing else: it saves sending half a megabyte of parameters, and leaves spellings as they are.
    fn difference(&self, before: &Item, after: &Item, expressions: &mut Expressions) -> String {
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        for name in self.attributes.iter().filter(|name| before.get(**name) != after.get(**name)) {
            match after.get(*name) {
                Some(value) => set.push(expressions.equals(name, value.clone())),
                None => removed.push(expressions.name(name)),
            }
        }
        let clauses = [("SET", set), ("REMOVE", removed)].into_iter().filter(|(_, actions)| !actions.is_empty());
        clauses.map(|(verb, actions)| format!("{verb} {}", actions.join(", "))).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use kairos::ErrorKind;
    use serde_json::json;

    use super::*;

    fn process(parameters: &str) -> Process {
        serde_json::from_value(json!({
            "IdProceso": "proceso-YQ..", "IdCalendarizacion": "calendarizacion-x", "Nombre": "a",
            "ArnProceso": "kairos:task:a", "Parametros": parameters, "Habilitado": true, "FechaCreacion": "2026-01-01T00:00:00Z",
        }))
        .unwrap()
    }

    #[test]
    fn only_what_has_changed_is_written_and_everything_is_compared() {
        let before = process("{}");
        let mut after = before.clone();
        (after.enabled, after.parameters, after.role) = (false, Some("[]".into()), None);
        after.description = Some("d".into());
        let request = Write::new("T", Some(&before), Some(&after)).unwrap().request().unwrap();
        let update = request.update.unwrap();
        assert_eq!(update.update_expression, "SET #Parametros = :7, #Habilitado = :8, #Descripcion = :9");
        let condition = update.condition_expression.unwrap();
        for name in Process::ATTRIBUTES {
            let place = if to_item(&before).unwrap().contains_key(*name) {
                format!("#{name} = :")
            } else {
                format!("(#{name})")
            };
            assert!(condition.contains(&place), "{name}: {condition}");
        }
        let back = Write::new("T", Some(&after), Some(&before)).unwrap().request().unwrap().update.unwrap();
        assert!(back.update_expression.ends_with(" REMOVE #Descripcion"), "{}", back.update_expression);
    }

    #[test]
    fn a_change_is_an_insert_a_deletion_or_a_mere_condition() {
        let (one, other) = (process("1"), process("2"));
        let request = |before, after| Write::new::<Process>("T", before, after).unwrap().request().unwrap();
        let put = request(None, Some(&one)).put.unwrap();
        assert_eq!(put.condition_expression.as_deref(), Some("attribute_not_exists(#IdProceso)"));
        assert!(put.expression_attribute_values.is_none());
        assert!(request(Some(&one), None).delete.is_some());
        assert!(request(Some(&one), Some(&one)).condition_check.is_some());
        assert!(request(Some(&one), Some(&other)).update.is_some());
    }

    #[test]
    fn what_the_service_would_refuse_is_named() {
        let huge = process(&"x".repeat(ITEM_BYTES));
        let error = Write::new("T", None, Some(&huge)).err().unwrap();
        assert_eq!((error.kind(), error.faults()[0].field), (ErrorKind::Invalid, "Parametros"));

        let rows: Vec<_> = (0..101).map(|n| numbered(n, "")).collect();
        check(&inserts(&rows[..100])).unwrap();
        assert_eq!(check(&inserts(&rows)).unwrap_err().faults()[0].field, "transaction");
        let twice = [numbered(1, ""), numbered(1, "{}")];
        assert_eq!(check(&inserts(&twice)).unwrap_err().kind(), ErrorKind::Invalid);
        let large: Vec<_> = (0..11).map(|n| numbered(n, &"x".repeat(400_000))).collect();
        check(&inserts(&large[..10])).unwrap();
        assert_eq!(check(&inserts(&large)).unwrap_err().faults()[0].field, "transaction");
    }

    fn numbered(number: usize, parameters: &str) -> Process {
        let mut row = process(parameters);
        row.id = format!("proceso-{number}").into();
        row
    }

    fn inserts(rows: &[Process]) -> Vec<Write<'_>> {
        rows.iter().map(|row| Write::new("T", None, Some(row)).unwrap()).collect()
    }
}
