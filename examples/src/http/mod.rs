//! The HTTP API: one router for the Lambda function behind API Gateway and for the local program.
//!
//! ```
//! use axum::body::Body;
//! use axum::http::Request;
//! use kairos_examples::http::{Api, Caller, router};
//! use kairos_memory::Embedded;
//! use tower::ServiceExt as _;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let kairos = Embedded::builder().with_task("report", |_| async { Ok(()) }).build();
//! let api = Api::new(kairos.scheduler().clone(), kairos.clock().clone()).with_history(kairos.history().clone());
//! let text = r#"{"nombre":"report","cron":"rate(1 day)","arnProceso":"kairos:task:report"}"#;
//! let mut request = Request::post("/Procesos").body(Body::from(text)).unwrap();
//! request.extensions_mut().insert(Caller(Some("ana".into())));
//! assert_eq!(router(api).oneshot(request).await.unwrap().status(), 200);
//! # }
//! ```
//!
//! - Each resource is a file; each handler is described where it stands, and [`document`] gathers that.
//! - Answers are what the core writes; every error becomes a problem in one table, in `problem.rs`.
//! - Nothing is read but the path, the query, the body, and the header `Idempotency-Key`. Who calls, [`Caller`] says.

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
    ///
    /// A call takes as long as the scheduler's [patience](kairos::scheduler::SchedulerConfig::patience) and one call of its schedule backend
    /// at least, if others are at the same schedule: where the server before the router gives up sooner, as API Gateway does after 29 s, its
    /// callers are not told what became of their call.
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
///
/// Errors that are not the caller's are logged in full as `ERROR` events, under the id that the caller gets.
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
