//! Rows that the older system wrote: read, run, adopted, deleted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use kairos::backend::{ProcessFilter, Receiver as _, Store as _, Transaction};
use kairos::clock::{Clock, SystemClock};
use kairos::dispatcher::DispatchRequest;
use kairos::page::PageRequest;
use kairos::{
    Dispatcher, ErrorKind, ExecutionState, Executor, ProcessId, Registration, Scheduler, Specification, Tasks,
};
use kairos_memory::{MemoryQueue, MemorySchedules};

use crate::support::Tables;

const EXPRESSION: &str = "cron(0 9 * * ? *)";

/// As it spells them: seven digits of fraction, null and empty where there is nothing, and none of the new attributes.
async fn put_rows(tables: &Tables) -> (ProcessId, Specification) {
    let (id, specification) = (ProcessId::of("cierre"), Specification::new(EXPRESSION));
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let process = HashMap::from([
        ("IdProceso".to_owned(), text(id.as_str())),
        ("IdCalendarizacion".to_owned(), text(specification.schedule_id().as_str())),
        ("Nombre".to_owned(), text("cierre")),
        ("ArnRol".to_owned(), text("")),
        ("ArnProceso".to_owned(), text("kairos:task:cierre")),
        ("Parametros".to_owned(), AttributeValue::Null(true)),
        ("Habilitado".to_owned(), AttributeValue::Bool(true)),
        ("FechaCreacion".to_owned(), text("2023-02-28T23:59:59.1000000-03:00")),
        ("Version".to_owned(), AttributeValue::N("7".into())),
    ]);
    let schedule = HashMap::from([
        ("IdCalendarizacion".to_owned(), text(specification.schedule_id().as_str())),
        ("Nombre".to_owned(), text("cierre diario")),
        ("Descripcion".to_owned(), AttributeValue::Null(true)),
        ("Cron".to_owned(), text(EXPRESSION)),
        ("Arn".to_owned(), text("arn:aws:scheduler:us-east-1:123456789012:schedule/kairos/x")),
        ("FechaCreacion".to_owned(), text("2023-02-28T23:59:59.0000000-03:00")),
    ]);
    for (table, item) in [(&tables.names.processes, process), (&tables.names.schedules, schedule)] {
        tables.client.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
    }
    (id, specification)
}

async fn raw(tables: &Tables, id: &ProcessId) -> HashMap<String, AttributeValue> {
    let key = AttributeValue::S(id.as_str().into());
    let request = tables.client.get_item().table_name(&tables.names.processes).key("IdProceso", key);
    request.send().await.unwrap().item.unwrap()
}

fn scheduler(tables: &Tables, queue: Arc<MemoryQueue>) -> Scheduler {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Scheduler::new(Arc::new(tables.store()), Arc::new(MemorySchedules::new(clock.clone())), queue, clock)
}

#[tokio::test]
async fn older_rows_are_run() {
    let tables = Tables::new().await;
    let (_, specification) = put_rows(&tables).await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let queue = Arc::new(MemoryQueue::new(clock.clone()));
    let dispatcher = Dispatcher::new(Arc::new(tables.store()), queue.clone(), clock.clone());
    let due = clock.now();
    let dispatched = dispatcher.dispatch(&DispatchRequest::new(specification.schedule_id(), due)).await.unwrap();
    assert_eq!(dispatched.queued, 1);

    let history = Arc::new(tables.history());
    let tasks = Tasks::new().with("cierre", |_| async { Ok(()) });
    let executor = Executor::new(queue.clone(), Arc::new(tasks), clock).with_history(history.clone());
    let delivery = queue.receive(1, Duration::ZERO).await.unwrap().pop().unwrap();
    let work = executor.handle(&delivery).await.work.unwrap();
    let execution = kairos::backend::History::get(&*history, work.execution_id).await.unwrap().unwrap();
    assert_eq!((execution.state, execution.attempts), (ExecutionState::Succeeded, 1));
}

#[tokio::test]
async fn older_rows_are_adopted_and_deleted() {
    let tables = Tables::new().await;
    let (id, specification) = put_rows(&tables).await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let scheduler = scheduler(&tables, Arc::new(MemoryQueue::new(clock)));
    let store = tables.store();

    let registered =
        scheduler.register(&Registration::new("informe", EXPRESSION, "kairos:task:informe")).await.unwrap();
    assert_eq!(registered.process.schedule_id, specification.schedule_id());
    let record = store.schedule(&specification.schedule_id()).await.unwrap().unwrap();
    assert_eq!((record.name.as_str(), record.description), ("cierre diario", None));

    scheduler.disable(&id).await.unwrap();
    let item = raw(&tables, &id).await;
    assert_eq!(item["Habilitado"], AttributeValue::Bool(false));
    assert_eq!(item["Version"], AttributeValue::N("7".into()), "what Kairos does not know stays");
    let spelling = AttributeValue::S("2023-02-28T23:59:59.1000000-03:00".into());
    assert_eq!(item["FechaCreacion"], spelling, "what has not changed stays as it is spelled");

    assert!(scheduler.unregister(&id).await.unwrap());
    assert!(store.process(&id).await.unwrap().is_none());
    assert!(scheduler.unregister(&registered.process.id).await.unwrap());
    assert_eq!(store.schedule(&specification.schedule_id()).await.unwrap(), None, "the last one takes the record");
}

/// What is not said to be enabled is not, for every reader and every filter.
#[tokio::test]
async fn an_older_row_that_does_not_say_whether_it_is_enabled_is_listed_as_disabled() {
    let tables = Tables::new().await;
    let (id, specification) = put_rows(&tables).await;
    let key = AttributeValue::S(id.as_str().into());
    let update = tables.client.update_item().table_name(&tables.names.processes).key("IdProceso", key);
    update.update_expression("REMOVE Habilitado").send().await.unwrap();
    for filter in [ProcessFilter::default(), ProcessFilter::of_schedule(specification.schedule_id())] {
        for (enabled, count) in [(false, 1), (true, 0)] {
            let filter = filter.clone().with_enabled(enabled);
            let page = tables.store().list_processes(&filter, &PageRequest::default()).await.unwrap();
            assert_eq!(page.items.len(), count, "{filter:?}");
        }
    }
}

/// Compared by what they mean, and nothing less.
#[tokio::test]
async fn an_older_row_that_means_something_else_is_lost() {
    let tables = Tables::new().await;
    let (id, _) = put_rows(&tables).await;
    let store = tables.store();
    let read = store.process(&id).await.unwrap().unwrap();
    store.commit(&Transaction::new().with_process(Some(read.clone()), Some(read.clone()))).await.unwrap();
    for (attribute, value) in [
        ("FechaCreacion", AttributeValue::S("2023-02-28T23:59:59.1000001-03:00".into())),
        ("Descripcion", AttributeValue::S(String::new())),
        ("Parametros", AttributeValue::S(String::new())),
    ] {
        put_rows(&tables).await;
        let key = AttributeValue::S(id.as_str().into());
        let update = tables.client.update_item().table_name(&tables.names.processes).key("IdProceso", key);
        let update = update.update_expression("SET #a = :a").expression_attribute_names("#a", attribute);
        update.expression_attribute_values(":a", value).send().await.unwrap();
        let error = store.commit(&Transaction::new().with_process(Some(read.clone()), None)).await.unwrap_err();
        assert_eq!((error.kind(), error.subject()), (ErrorKind::Lost, Some(id.as_str())), "{attribute}: {error}");
    }
    put_rows(&tables).await;
    store.commit(&Transaction::new().with_process(Some(read), None)).await.unwrap();
    assert!(store.process(&id).await.unwrap().is_none());
}
