//! `/Procesos`: registering, looking, changing, unregistering.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use kairos::backend::ProcessFilter;
use kairos::page::Cursor;
use kairos::{Changes, Process, ProcessId, Registration};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::body::{Json, Text};
use super::identity::Caller;
use super::openapi::{Conflicting, Failing, Faulty, Missing, TooLarge};
use super::page::{Listed, answer_page};
use super::path::Id;
use super::problem::{Asked, Problem};
use super::query::Query;
use super::schemas;

pub(super) const PROCESS: &str = "process";

/// A page of processes.
#[derive(Serialize, ToSchema)]
#[schema(as = PaginaDeProcesos)]
struct Processes {
    #[serde(rename = "Procesos")]
    #[schema(value_type = Vec<schemas::Process>)]
    items: Vec<Arc<Process>>,
    /// Where the listing goes on; absent only when it has ended.
    #[serde(rename = "Cursor", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    next: Option<Cursor>,
}

/// What became of a deletion.
#[derive(Serialize, ToSchema)]
#[schema(as = Eliminacion)]
#[serde(rename_all = "PascalCase")]
struct Deleted {
    /// Which process.
    id_proceso: String,
    /// Whether there was one.
    eliminado: bool,
}

/// Registers a process. The same registration again is the same.
#[utoipa::path(post, path = "/Procesos", operation_id = "registrar", tag = "Procesos", request_body = schemas::Registration, responses(
    (status = 200, description = "The process as it is stored", body = schemas::Process, links(
        ("ver" = (operation_id = "ver", parameters(("id" = "$response.body#/IdProceso")))),
        ("reemplazar" = (operation_id = "reemplazar", parameters(("id" = "$response.body#/IdProceso")))),
        ("cambiar" = (operation_id = "cambiar", parameters(("id" = "$response.body#/IdProceso")))),
        ("ejecutar" = (operation_id = "ejecutar", parameters(("id" = "$response.body#/IdProceso")))),
        ("reprocesar" = (operation_id = "reprocesar", parameters(("id" = "$response.body#/IdProceso")))),
        ("eliminar" = (operation_id = "eliminar", parameters(("id" = "$response.body#/IdProceso")))),
        ("verCalendarizacion" = (operation_id = "verCalendarizacion", parameters(("id" = "$response.body#/IdCalendarizacion")))),
    )),
    Faulty, Conflicting, TooLarge, Failing,
))]
pub(super) async fn register(State(api): State<Api>, Caller(caller): Caller, text: Text) -> Result<Json, Problem> {
    let fail = |error| api.problem(&error, Asked::default());
    let mut registration = Registration::from_json(&text.0).map_err(fail)?;
    registration.registered_by = caller;
    let registered = api.scheduler.register(&registration).await.map_err(fail)?;
    Json::of(&*registered.process).map_err(fail)
}

/// Lists processes, in a stable order.
#[utoipa::path(get, path = "/Procesos", operation_id = "listar", tag = "Procesos", params(schemas::ProcessFilter, schemas::Page), responses(
    (status = 200, description = "A page of processes", body = Processes),
    Faulty, Failing,
))]
pub(super) async fn list(State(api): State<Api>, RawQuery(query): RawQuery) -> Result<Json, Problem> {
    let mut query = Query::new(query.as_deref(), &["nombre", "calendarizacion", "habilitado", "limite", "cursor"]);
    let mut filter = ProcessFilter::default();
    filter.name_prefix = query.text("nombre");
    filter.schedule = query.id("calendarizacion");
    filter.enabled = query.boolean("habilitado");
    let page = query.page();
    query.finish()?;
    let asked = Asked::listing(page.cursor.is_some());
    let (scheduler, filter) = (&api.scheduler, &filter);
    let read = |page| async move { scheduler.processes(filter, &page).await };
    let write = |page: kairos::page::Page<_>| Processes { items: page.items, next: page.next };
    answer_page(Listed { page, read, write }).await.map_err(|error| api.problem(&error, asked))
}

/// Shows a process.
#[utoipa::path(get, path = "/Procesos/{id}", operation_id = "ver", tag = "Procesos", params(schemas::InPath), responses(
    (status = 200, description = "The process", body = schemas::Process),
    Faulty, Missing, Failing,
))]
pub(super) async fn show(State(api): State<Api>, id: Id) -> Result<Json, Problem> {
    let id = id.of(PROCESS)?;
    let fail = |error| api.problem(&error, Asked::about(PROCESS, id));
    let process = api.scheduler.process(&ProcessId::from(id)).await.map_err(fail)?;
    Json::of(&*process).map_err(fail)
}

/// Replaces the definition of a process, moving it to another schedule where that changed.
#[utoipa::path(put, path = "/Procesos/{id}", operation_id = "reemplazar", tag = "Procesos", params(schemas::InPath),
    request_body = schemas::Registration, responses(
    (status = 200, description = "The process as it is stored", body = schemas::Process),
    Faulty, Missing, Conflicting, TooLarge, Failing,
))]
pub(super) async fn replace(State(api): State<Api>, id: Id, text: Text) -> Result<Json, Problem> {
    let id = id.of(PROCESS)?;
    let fail = |error| api.problem(&error, Asked::about(PROCESS, id));
    let registration = Registration::from_json(&text.0).map_err(fail)?;
    let process = api.scheduler.update(&ProcessId::from(id), &registration).await.map_err(fail)?;
    Json::of(&*process).map_err(fail)
}

/// Changes single fields of a process.
#[utoipa::path(patch, path = "/Procesos/{id}", operation_id = "cambiar", tag = "Procesos", params(schemas::InPath),
    request_body = schemas::Changes, responses(
    (status = 200, description = "The process as it is stored", body = schemas::Process),
    Faulty, Missing, Conflicting, TooLarge, Failing,
))]
pub(super) async fn change(State(api): State<Api>, id: Id, text: Text) -> Result<Json, Problem> {
    let id = id.of(PROCESS)?;
    let fail = |error| api.problem(&error, Asked::about(PROCESS, id));
    let changes = Changes::from_json(&text.0).map_err(fail)?;
    let process = api.scheduler.patch(&ProcessId::from(id), &changes).await.map_err(fail)?;
    Json::of(&*process).map_err(fail)
}

/// Unregisters a process, if there is one. No later occurrence runs.
#[utoipa::path(delete, path = "/Procesos/{id}", operation_id = "eliminar", tag = "Procesos", params(schemas::InPath), responses(
    (status = 200, description = "There is no such process any more", body = Deleted),
    Faulty, Failing,
))]
pub(super) async fn unregister(State(api): State<Api>, id: Id) -> Result<Json, Problem> {
    let Some(possible) = id.possible() else {
        return Json::of(&Deleted { id_proceso: id.text().to_owned(), eliminado: false })
            .map_err(|error| api.problem(&error, Asked::default()));
    };
    let fail = |error| api.problem(&error, Asked::default());
    let eliminado = api.scheduler.unregister(&ProcessId::from(possible)).await.map_err(fail)?;
    Json::of(&Deleted { id_proceso: possible.to_owned(), eliminado }).map_err(fail)
}
