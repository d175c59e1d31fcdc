//! The HTTP API: one router for the Lambda function behind API Gateway and for the local program.

mod body;
mod executions;
mod identity;
mod loopback;
mod openapi;
mod page;
mod path;
mod problem;
mod processes;
mod query;
mod runs;
mod schedules;
pub mod schemas;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use kairos::backend::History;
use kairos::chance::Chance;
use kairos::clock::Clock;
use kairos::{Error, Scheduler, limits};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use problem::{Asked, Problem};

pub use identity::Caller;
pub use loopback::of_this_machine;
pub use problem::PROBLEM_JSON;

/// What the router answers from.
#[derive(Clone, Debug)]
pub struct Api {
    scheduler: Arc<Scheduler>,
    history: Option<Arc<dyn History>>,
    clock: Arc<dyn Clock>,
    chance: Arc<Chance>,
}

impl Api {
    /// Over a scheduler, without history. The clock says from when on a schedule's next fire times are.
    #[must_use]
    pub fn new(scheduler: impl Into<Arc<Scheduler>>, clock: Arc<dyn Clock>) -> Self {
        Self { scheduler: scheduler.into(), history: None, clock, chance: Arc::new(Chance::from_system()) }
    }

    /// The same with what became of executions.
    #[must_use]
    pub fn with_history(mut self, history: Arc<dyn History>) -> Self {
        self.history = Some(history);
        self
    }

    /// The same, drawing the ids under which errors are logged from `chance`.
    #[must_use]
    pub fn with_chance(mut self, chance: Arc<Chance>) -> Self {
        self.chance = chance;
        self
    }

    fn problem(&self, error: &Error, asked: Asked<'_>) -> Problem {
        Problem::of(error, asked, &self.chance)
    }
}

fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::opening())
        .routes(routes!(processes::register, processes::list))
        .routes(routes!(processes::show, processes::replace, processes::change, processes::unregister))
        .routes(routes!(runs::run_now))
        .routes(routes!(runs::backfill))
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::show))
        .routes(routes!(executions::list))
        .routes(routes!(executions::show))
}

/// The OpenAPI document (3.1) of the router.
#[must_use]
pub fn document() -> OpenApi {
    routes().into_openapi()
}

/// The router: a tower service that any server can stand before.
pub fn router(api: Api) -> Router {
    let (router, document) = routes().split_for_parts();
    let document = body::Json::of(&document).map_err(|error| api.problem(&error, Asked::default()));
    router
        .route("/openapi.json", get(async move || document.clone()))
        .fallback(async || Problem::not_found("path"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(DefaultBodyLimit::max(limits::REQUEST))
        .with_state(api)
}
