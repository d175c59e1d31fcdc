//! `/Procesos/{id}/Ejecutar` and `/Procesos/{id}/Reprocesar`: running out of turn.

use axum::extract::State;
use axum::http::HeaderMap;
use jiff::Timestamp;
use kairos::scheduler::Backfill;
use kairos::{ExecutionId, Fault, ProcessId};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::body::{Fields, Json, Text, instant, string, within};
use super::openapi::{Conflicting, Failing, Faulty, Missing, TooLarge};
use super::path::Id;
use super::problem::{Asked, Problem};
use super::processes::PROCESS;
use super::schemas;

/// The header of the idempotency key (IETF draft "The Idempotency-Key HTTP Header Field").
const KEY_HEADER: &str = "Idempotency-Key";
/// Longest key, in bytes.
const LONGEST_KEY: usize = 256;
/// How many occurrences are queued at once if nothing is said: some seconds of a queue's time.
const USUAL_LIMIT: usize = 1_000;

/// An execution that is on the queue.
#[derive(Serialize, ToSchema)]
#[schema(as = EjecucionPedida)]
#[serde(rename_all = "PascalCase")]
struct Asking {
    /// The execution, as it will stand in history.
    #[schema(value_type = String, format = "uuid")]
    id_ejecucion: ExecutionId,
    /// Its process.
    id_proceso: String,
}

/// What a backfill queued.
#[derive(Serialize, ToSchema)]
#[schema(as = Reproceso)]
#[serde(rename_all = "PascalCase")]
struct Queued {
    /// Which process.
    id_proceso: String,
    /// How many occurrences are on the queue.
    encoladas: usize,
    /// Where the range goes on: the same request with this `cursor` queues what follows. Absent when all is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    cursor: Option<Timestamp>,
}

/// Runs a process now, enabled or not. Under the same key it runs once; without a key, at each call.
#[utoipa::path(post, path = "/Procesos/{id}/Ejecutar", operation_id = "ejecutar", tag = "Procesos",
    params(schemas::InPath, schemas::Key), request_body = Option<schemas::RunRequest>, responses(
    (status = 200, description = "It is on the queue", body = Asking, links(
        ("verEjecucion" = (operation_id = "verEjecucion", parameters(("id" = "$response.body#/IdEjecucion")))),
    )),
    Faulty, Missing, Conflicting, TooLarge, Failing,
))]
pub(super) async fn run_now(State(api): State<Api>, id: Id, headers: HeaderMap, text: Text) -> Result<Json, Problem> {
    let id = id.of(PROCESS)?;
    let mut fields = Fields::read(&text.0)?;
    let in_body = fields.optional("clave", |value| string(value).and_then(key));
    let in_header = headers.get_all(KEY_HEADER).iter().map(|value| {
        let text = value.to_str().map_err(|_| "must be printable ASCII".to_owned())?;
        key(unquoted(text).to_owned())
    });
    let in_header = in_header.collect::<Result<Vec<_>, _>>().unwrap_or_else(|message| {
        fields.fault(Fault::new(KEY_HEADER, message));
        Vec::new()
    });
    let mut keys: Vec<_> = in_header.into_iter().chain(in_body).collect();
    keys.dedup();
    if keys.len() > 1 {
        fields.fault(Fault::new(KEY_HEADER, "is another key than clave, or there twice"));
    }
    fields.finish()?;
    let fail = |error| api.problem(&error, Asked::about(PROCESS, id).stored());
    let key = keys.first().map(String::as_str);
    let id_ejecucion = api.scheduler.run_now(&ProcessId::from(id), key).await.map_err(fail)?;
    Json::of(&Asking { id_ejecucion, id_proceso: id.to_owned() }).map_err(fail)
}

/// Queues the occurrences of a process that were missed in a range of time, both ends included, with the execution ids that they had:
/// what has run does not run again.
#[utoipa::path(post, path = "/Procesos/{id}/Reprocesar", operation_id = "reprocesar", tag = "Procesos", params(schemas::InPath),
    request_body = schemas::BackfillRequest, responses(
    (status = 200, description = "They are on the queue, the first of them if they are more than `limite`", body = Queued),
    Faulty, Missing, Conflicting, TooLarge, Failing,
))]
pub(super) async fn backfill(State(api): State<Api>, id: Id, text: Text) -> Result<Json, Problem> {
    let id = id.of(PROCESS)?;
    let mut fields = Fields::read(&text.0)?;
    let (from, until) = (fields.required("desde", instant), fields.required("hasta", instant));
    let limit = fields.optional("limite", within(1..=Backfill::MAX)).unwrap_or(USUAL_LIMIT);
    let cursor = fields.optional("cursor", instant);
    if let (Some(from), Some(until)) = (from, until) {
        if until < from {
            fields.fault(Fault::new("hasta", format!("must not be before desde ({from}), not {until}")));
        } else if cursor.is_some_and(|cursor| !(from..=until).contains(&cursor)) {
            fields.fault(Fault::new("cursor", "is not of this range; begin again without one"));
        }
    }
    fields.finish()?;
    let range = cursor.or(from).unwrap_or_default()..=until.unwrap_or_default();
    let fail = |error| api.problem(&error, Asked::about(PROCESS, id).stored());
    let backfill = Backfill::new(range).with_limit(limit);
    let filled = api.scheduler.backfill(&ProcessId::from(id), &backfill).await.map_err(fail)?;
    Json::of(&Queued { id_proceso: id.to_owned(), encoladas: filled.queued, cursor: filled.next }).map_err(fail)
}

fn key(text: String) -> Result<String, String> {
    if text.is_empty() || text.len() > LONGEST_KEY {
        return Err(format!("holds 1 to {LONGEST_KEY} bytes, not {}", text.len()));
    }
    if text.contains(char::is_control) {
        return Err("must not hold control characters".into());
    }
    Ok(text)
}

/// The draft has the key as a string of structured fields (RFC 9651), in quotes; most callers leave them out.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}
