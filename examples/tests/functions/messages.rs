//! What old and new parts write for each other, byte for byte.

use std::sync::Arc;
use std::time::Duration;

use kairos::backend::Receiver as _;
use kairos::clock::{Clock, ManualClock};
use kairos::dispatcher::{DispatchRequest, Dispatcher};
use kairos::{Body, Origin, Registration, Scheduler};
use kairos_memory::{MemoryQueue, MemorySchedules, MemoryStore};
use serde::Deserialize;

use crate::text;

/// A message as the older executor reads it: it insists on each attribute, and ignores what it does not know.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OlderMessage {
    id_proceso: String,
    id_calendarizacion: String,
    nombre: String,
    arn_rol: String,
    arn_proceso: String,
    #[serde(deserialize_with = "insisted_on")]
    parametros: Option<String>,
    habilitado: bool,
    fecha_creacion: String,
}

/// Null is a value; leaving it out is none.
fn insisted_on<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

fn older(text: &str) -> OlderMessage {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("the older executor cannot read {text}: {error}"))
}

async fn dispatched(registration: &Registration) -> String {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at("2025-11-06T15:34:56.123456700Z".parse().unwrap()));
    let (store, queue) = (Arc::new(MemoryStore::new()), Arc::new(MemoryQueue::new(clock.clone())));
    let schedules = Arc::new(MemorySchedules::new(clock.clone()));
    let scheduler = Scheduler::new(store.clone(), schedules, queue.clone(), clock.clone());
    let process = scheduler.register(registration).await.unwrap().process;
    let request = DispatchRequest::new(process.schedule_id.clone(), "2026-01-05T09:00:00Z".parse().unwrap());
    Dispatcher::new(store, queue.clone(), clock).dispatch(&request).await.unwrap();
    queue.receive(1, Duration::ZERO).await.unwrap()[0].body.to_json().into_owned()
}

fn registration() -> Registration {
    Registration::new("cierre-de-caja", "cron(0 9 ? * MON-FRI *)", "arn:aws:sqs:us-east-1:123456789012:kairos-ventas")
        .with_role("arn:aws:iam::123456789012:role/kairos-ventas")
}

#[tokio::test]
async fn the_newer_dispatcher_writes_what_the_older_executor_insists_on() {
    let parameters = r#"{"ejecucion":"<kairos.execution-id>","fecha":"<kairos.scheduled-time>"}"#;
    let message = dispatched(&registration().with_parameters(parameters)).await;
    // The recorded message was written where the offset is another; the instant is the same.
    let recorded = text("messages/newer.json").replace("12:34:56.1234567-03:00", "15:34:56.1234567+00:00");
    assert_eq!(message, recorded.trim_end());
    let read = older(&message);
    assert_eq!(read.id_proceso, "proceso-Y2llcnJlLWRlLWNhamE.");
    assert_eq!(read.id_calendarizacion, "calendarizacion-Y3JvbigwIDkgPyAqIE1PTi1GUkkgKik.");
    assert_eq!((read.nombre.as_str(), read.habilitado), ("cierre-de-caja", true));
    assert_eq!(read.arn_rol, "arn:aws:iam::123456789012:role/kairos-ventas");
    assert_eq!(read.arn_proceso, "arn:aws:sqs:us-east-1:123456789012:kairos-ventas");
    assert_eq!(read.parametros.as_deref(), Some(parameters));
    assert_eq!(read.fecha_creacion, "2025-11-06T15:34:56.1234567+00:00");
}

#[tokio::test]
async fn what_an_optional_field_adds_takes_nothing_from_the_older_executor() {
    // Parametros is null, not absent.
    let mut bare = registration();
    bare.target = "arn:aws:lambda:us-east-1:123456789012:function:caja".into();
    assert_eq!(older(&dispatched(&bare).await).parametros, None);
    let full = bare
        .with_time_zone("America/Santiago")
        .with_description("De lunes a viernes")
        .with_max_attempts(3u32)
        .with_max_age_seconds(600u64);
    assert_eq!(older(&dispatched(&full).await).nombre, "cierre-de-caja");
}

#[test]
fn the_newer_executor_reads_what_the_older_dispatcher_writes() {
    let recorded = text("messages/older.json");
    older(&recorded);
    let sent = "2026-01-05T09:00:02.183Z".parse().unwrap();
    let work = Body::from_json(recorded.trim_end()).work("059f36b4", sent).unwrap();
    assert_eq!(
        (work.process.name.as_str(), work.scheduled_time, work.origin),
        ("informe-de-ventas", sent, Origin::Schedule)
    );
    assert_eq!(work.process.parameters.as_deref(), Some(r#"{"formato":"pdf","nota":"año ñandú"}"#));
}
