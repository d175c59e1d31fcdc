//! `/Calendarizaciones`: schedules, and when they fire next.

use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use kairos::page::{Cursor, Page};
use kairos::{Schedule, ScheduleId};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::body::Json;
use super::openapi::{Failing, Faulty, Missing};
use super::page::{Listed, answer_page};
use super::path::Id;
use super::problem::{Asked, Problem};
use super::query::Query;
use super::schemas;

const SCHEDULE: &str = "schedule";
/// How many next fire times are shown at most, and if nothing is said.
const UPCOMING: (std::ops::RangeInclusive<usize>, usize) = (0..=100, 5);

/// A record as the table holds it, and what follows from it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    schedule: Schedule,
    /// Absent where the expression of somebody else's record cannot be read.
    #[serde(rename = "ProximasFechas", skip_serializing_if = "Option::is_none")]
    upcoming: Option<Vec<Timestamp>>,
}

impl Shown {
    fn new(schedule: Schedule, now: Timestamp, count: usize) -> Self {
        let timetable = schedule.specification.timetable(schedule.created_at.timestamp()).ok();
        let upcoming = timetable.map(|timetable| timetable.after(now).take(count).collect());
        Self { schedule, upcoming }
    }
}

/// A page of schedules.
#[derive(Serialize, ToSchema)]
#[schema(as = PaginaDeCalendarizaciones)]
struct Schedules {
    #[serde(rename = "Calendarizaciones")]
    #[schema(value_type = Vec<schemas::Schedule>)]
    items: Vec<Shown>,
    /// Where the listing goes on; absent only when it has ended.
    #[serde(rename = "Cursor", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    next: Option<Cursor>,
}

fn upcoming(query: &mut Query) -> usize {
    let (range, usual) = UPCOMING;
    query.number("proximas", &range).unwrap_or(usual)
}

/// Lists schedules, in a stable order.
#[utoipa::path(get, path = "/Calendarizaciones", operation_id = "listarCalendarizaciones", tag = "Calendarizaciones",
    params(schemas::Upcoming, schemas::Page), responses(
    (status = 200, description = "A page of schedules", body = Schedules),
    Faulty, Failing,
))]
pub(super) async fn list(State(api): State<Api>, RawQuery(query): RawQuery) -> Result<Json, Problem> {
    let mut query = Query::new(query.as_deref(), &["proximas", "limite", "cursor"]);
    let count = upcoming(&mut query);
    let page = query.page();
    query.finish()?;
    let asked = Asked::listing(page.cursor.is_some());
    let (scheduler, now) = (&api.scheduler, api.clock.now());
    let read = |page| async move { scheduler.schedules(&page).await };
    let write = |page: Page<_>| Schedules {
        items: page.items.into_iter().map(|schedule| Shown::new(schedule, now, count)).collect(),
        next: page.next,
    };
    answer_page(Listed { page, read, write }).await.map_err(|error| api.problem(&error, asked))
}

/// Shows a schedule, and when it fires next.
#[utoipa::path(get, path = "/Calendarizaciones/{id}", operation_id = "verCalendarizacion", tag = "Calendarizaciones",
    params(schemas::InPath, schemas::Upcoming), responses(
    (status = 200, description = "The schedule", body = schemas::Schedule),
    Faulty, Missing, Failing,
))]
pub(super) async fn show(State(api): State<Api>, id: Id, RawQuery(query): RawQuery) -> Result<Json, Problem> {
    let id = id.of(SCHEDULE)?;
    let mut query = Query::new(query.as_deref(), &["proximas"]);
    let count = upcoming(&mut query);
    query.finish()?;
    let fail = |error| api.problem(&error, Asked::about(SCHEDULE, id));
    let schedule = api.scheduler.schedule(&ScheduleId::from(id)).await.map_err(fail)?;
    Json::of(&Shown::new(schedule, api.clock.now(), count)).map_err(fail)
}
