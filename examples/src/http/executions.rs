//! `/Ejecuciones`: what ran, and what became of it.

use std::time::Duration;

use axum::extract::{RawQuery, State};
use kairos::backend::{ExecutionFilter, History};
use kairos::clock::later;
use kairos::page::{Cursor, Page};
use kairos::{Execution, ExecutionId, ExecutionState, Fault};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::body::Json;
use super::openapi::{Failing, Faulty, Missing};
use super::page::{Listed, answer_page};
use super::path::Id;
use super::problem::{Asked, Problem, Report};
use super::query::Query;
use super::schemas;

const EXECUTION: &str = "execution";
const STATES: [ExecutionState; 5] = [
    ExecutionState::Running,
    ExecutionState::Succeeded,
    ExecutionState::Failed,
    ExecutionState::Dead,
    ExecutionState::Skipped,
];

/// A page of executions.
#[derive(Serialize, ToSchema)]
#[schema(as = PaginaDeEjecuciones)]
struct Executions {
    #[serde(rename = "Ejecuciones")]
    #[schema(value_type = Vec<schemas::Execution>)]
    items: Vec<Execution>,
    /// Where the listing goes on; absent only when it has ended.
    #[serde(rename = "Cursor", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    next: Option<Cursor>,
}

fn state(text: &str) -> Result<ExecutionState, String> {
    STATES.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
        let known = STATES.map(ExecutionState::as_str).join(", ");
        format!("must be one of {known}, not '{text}'")
    })
}

fn history(api: &Api) -> Result<&dyn History, Problem> {
    api.history.as_deref().ok_or_else(|| Problem::not_found("history: it is switched off"))
}

/// Lists executions by scheduled time, newest first.
#[utoipa::path(get, path = "/Ejecuciones", operation_id = "listarEjecuciones", tag = "Ejecuciones",
    params(schemas::ExecutionFilter, schemas::Page), responses(
    (status = 200, description = "A page of executions", body = Executions),
    (status = 404, description = "History is switched off", body = Report, content_type = "application/problem+json"),
    Faulty, Failing,
))]
pub(super) async fn list(State(api): State<Api>, RawQuery(query): RawQuery) -> Result<Json, Problem> {
    let history = history(&api)?;
    let mut query = Query::new(query.as_deref(), &["estado", "proceso", "desde", "hasta", "limite", "cursor"]);
    let mut filter = ExecutionFilter::all();
    filter.state = query.read("estado", state);
    filter.process = query.id("proceso");
    let (from, until) = (query.instant("desde"), query.instant("hasta"));
    if let (Some(from), Some(until)) = (from, until)
        && until < from
    {
        query.fault(Fault::new("hasta", format!("must not be before desde ({from}), not {until}")));
    }
    // Both ends are included, as in a backfill; the filter leaves its end out.
    let until = until.map(|until| later(until, Duration::from_nanos(1)));
    let filter = filter.with_from(from).with_until(until);
    let page = query.page();
    query.finish()?;
    let asked = Asked::listing(page.cursor.is_some());
    let filter = &filter;
    let read = |page| async move { history.list(filter, &page).await };
    let write = |page: Page<_>| Executions { items: page.items, next: page.next };
    answer_page(Listed { page, read, write }).await.map_err(|error| api.problem(&error, asked))
}

/// Shows an execution. One that is still on the queue is not known yet.
#[utoipa::path(get, path = "/Ejecuciones/{id}", operation_id = "verEjecucion", tag = "Ejecuciones", params(schemas::InPath), responses(
    (status = 200, description = "The execution", body = schemas::Execution),
    Faulty, Missing, Failing,
))]
pub(super) async fn show(State(api): State<Api>, id: Id) -> Result<Json, Problem> {
    let history = history(&api)?;
    let id = id.of(EXECUTION)?;
    let fail = |error| api.problem(&error, Asked::default());
    let parsed: ExecutionId = id.parse().map_err(|_| Problem::not_found(EXECUTION))?;
    let found = history.get(parsed).await.map_err(fail)?;
    let execution = found.ok_or_else(|| Problem::not_found(EXECUTION))?;
    Json::of(&execution).map_err(fail)
}
