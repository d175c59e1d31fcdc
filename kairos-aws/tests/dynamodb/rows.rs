//! Rows and pages of the store that the suites cannot bring about.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use kairos::backend::{ProcessFilter, Store as _, Transaction};
use kairos::page::{Cursor, PageRequest};
use kairos::{ErrorKind, Process, ProcessId, ScheduleId};

use crate::support::{Tables, process, schedule};

/// So many processes of one schedule, a hundred in each transaction.
async fn insert(tables: &Tables, count: usize) -> Vec<Arc<Process>> {
    let rows: Vec<_> = (0..count).map(|n| process(&format!("ventas {n:04}"))).collect();
    let store = tables.store();
    for rows in rows.chunks(100) {
        let insert = |transaction: Transaction, row: &Arc<Process>| transaction.with_process(None, Some(row.clone()));
        store.commit(&rows.iter().fold(Transaction::new(), insert)).await.unwrap();
    }
    rows
}

#[tokio::test]
async fn a_listing_pages_through_more_than_a_thousand_rows_also_over_a_restart() {
    let tables = Tables::new().await;
    let rows = insert(&tables, 1_234).await;
    let expected: BTreeSet<ProcessId> = rows.iter().map(|row| row.id.clone()).collect();
    let of_schedule = ProcessFilter::of_schedule(ScheduleId::from("calendarizacion-x"));
    for (filter, limit) in [
        (of_schedule.clone(), 1_000),
        (ProcessFilter::default(), 1_000),
        (of_schedule.clone().with_enabled(true), 500),
        (ProcessFilter::default().with_name_prefix("ventas"), 100),
    ] {
        let (mut given, mut pages, mut cursor) = (Vec::new(), 0, None::<String>);
        loop {
            // Another store over another client, and the cursor as text: nothing is kept between the pages.
            let page = PageRequest::first(limit).with_cursor(cursor.map(Cursor::new));
            let answer = tables.store().list_processes(&filter, &page).await.unwrap();
            assert!(answer.items.len() <= limit);
            given.extend(answer.items.into_iter().map(|row| row.id.clone()));
            pages += 1;
            let Some(next) = answer.next else { break };
            cursor = Some(next.as_str().to_owned());
        }
        assert_eq!(given.len(), rows.len(), "{filter:?}");
        assert_eq!(given.into_iter().collect::<BTreeSet<_>>(), expected, "{filter:?}");
        assert!(pages <= rows.len() / limit + 2, "{pages} pages of {limit}");
    }
    // Three of all rows come through: they are found in one page of a hundred or in a few.
    let few = of_schedule.with_name_prefix("ventas 12").with_enabled(true);
    let page = tables.store().list_processes(&few, &PageRequest::first(20)).await.unwrap();
    assert!(!page.items.is_empty() && page.items.iter().all(|row| row.name.starts_with("ventas 12")), "{page:?}");
}

#[tokio::test]
async fn a_transaction_of_a_hundred_changes_is_made_and_a_larger_one_refused() {
    let tables = Tables::new().await;
    let rows = insert(&tables, 100).await;
    let one_more = rows
        .iter()
        .chain([&process("otra")])
        .fold(Transaction::new(), |transaction, row| transaction.with_process(None, Some(row.clone())));
    let error = tables.store().commit(&one_more).await.unwrap_err();
    assert_eq!((error.kind(), error.faults()[0].field), (ErrorKind::Invalid, "transaction"), "{error}");
}

#[tokio::test]
async fn what_others_added_to_a_row_stays() {
    let tables = Tables::new().await;
    let (store, row, record) = (tables.store(), process("ventas"), schedule("calendarizacion-x"));
    let both = Transaction::new().with_process(None, Some(row.clone())).with_schedule(None, Some(record.clone()));
    store.commit(&both).await.unwrap();
    for (table, key, id) in [
        (&tables.names.processes, "IdProceso", row.id.as_str()),
        (&tables.names.schedules, "IdCalendarizacion", record.id.as_str()),
    ] {
        let update = tables.client.update_item().table_name(table).key(key, AttributeValue::S(id.into()));
        let update = update.update_expression("SET Ajeno = :ajeno, Conjunto = :conjunto");
        let update = update.expression_attribute_values(":ajeno", AttributeValue::S("suyo".into()));
        update.expression_attribute_values(":conjunto", AttributeValue::Ss(vec!["a".into()])).send().await.unwrap();
    }
    let (mut changed, mut joined) = ((*row).clone(), record.clone());
    changed.enabled = false;
    joined.process_count = Some(2);
    let update = Transaction::new()
        .with_process(Some(row.clone()), Some(Arc::new(changed)))
        .with_schedule(Some(record), Some(joined.clone()));
    store.commit(&update).await.unwrap();
    let key = AttributeValue::S(row.id.as_str().into());
    let item = tables.client.get_item().table_name(&tables.names.processes).key("IdProceso", key);
    let item = item.send().await.unwrap().item.unwrap();
    assert_eq!(item["Ajeno"], AttributeValue::S("suyo".into()));
    assert_eq!(item["Conjunto"], AttributeValue::Ss(vec!["a".into()]));
    assert_eq!(item["Habilitado"], AttributeValue::Bool(false));
    assert_eq!(store.schedule(&joined.id).await.unwrap(), Some(joined));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named() {
    let tables = Tables::new().await;
    let put = tables.client.put_item().table_name(&tables.names.processes);
    put.item("IdProceso", AttributeValue::S("proceso-YQ..".into())).send().await.unwrap();
    let error = tables.store().process(&"proceso-YQ..".into()).await.unwrap_err();
    assert_eq!((error.kind(), error.subject()), (ErrorKind::Malformed, Some("proceso-YQ..")), "{error}");
    let error = tables.store().list_processes(&ProcessFilter::default(), &PageRequest::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.subject()), (ErrorKind::Malformed, Some("proceso-YQ..")), "{error}");
}

#[tokio::test]
async fn a_table_that_is_not_there_is_not_found() {
    let mut tables = Tables::new().await;
    tables.names.processes.push_str("-otra");
    let error = tables.store().process(&"proceso-YQ..".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}
