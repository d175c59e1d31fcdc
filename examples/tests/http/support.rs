//! A router over something, and what it answers. Whatever it answers, its document says so.

use std::sync::Arc;
use std::sync::LazyLock;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use kairos::chance::Chance;
use kairos::clock::ManualClock;
use kairos_examples::http::{Api, Caller, PROBLEM_JSON, document, router};
use kairos_examples::local::tasks;
use kairos_memory::{Embedded, Simulation};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::log;

/// The document as its readers get it.
pub(crate) static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(document()).unwrap());

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The fields at fault.
    #[track_caller]
    pub(crate) fn fields(&self) -> Vec<String> {
        let faults = self.json()["errores"].as_array().cloned().unwrap_or_default();
        faults.iter().map(|fault| fault["campo"].as_str().unwrap().to_owned()).collect()
    }
}

/// A router on a manual clock.
pub(crate) struct World {
    pub(crate) kairos: Simulation,
    pub(crate) app: Router,
}

impl World {
    /// At new year, with nothing registered.
    pub(crate) fn new() -> Self {
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let kairos = Embedded::builder().with_tasks(tasks::built_in(Arc::new(clock.clone()))).simulate(clock);
        let app = router(
            Api::new(kairos.scheduler().clone(), kairos.clock().clone())
                .with_history(kairos.history().clone())
                .with_chance(Arc::new(Chance::from_seed(0))),
        );
        Self { kairos, app }
    }

    /// Asks, without a body where there is no text.
    pub(crate) async fn ask(&self, method: &str, path: &str, text: &str) -> Answer {
        ask(&self.app, request(method, path, text)).await
    }

    /// A process that runs on the hour, by its id.
    pub(crate) async fn registered(&self, name: &str) -> String {
        let text = format!(r#"{{"nombre":"{name}","cron":"cron(0 * * * ? *)","arnProceso":"kairos:task:ok"}}"#);
        let answer = self.ask("POST", "/Procesos", &text).await;
        answer.json()["IdProceso"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn request(method: &str, path: &str, text: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::from(text.to_owned())).unwrap()
}

/// A request of a caller whom somebody has verified.
pub(crate) fn of_caller(mut request: Request<Body>, caller: &str) -> Request<Body> {
    request.extensions_mut().insert(Caller(Some(caller.to_owned())));
    request
}

pub(crate) async fn ask(app: &Router, request: Request<Body>) -> Answer {
    log::begin();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().into()).unwrap();
    let answer = Answer { status: parts.status, headers: parts.headers, text };
    if let Some(operation) = operation(&method, &path) {
        let status = answer.status.as_str();
        let content = &operation["responses"][status]["content"];
        let media_type = answer.header("content-type").unwrap();
        assert!(content[media_type].is_object(), "{method} {path} is not to answer {status} {media_type}: {answer:?}");
        let retries = operation["responses"][status]["headers"]["Retry-After"].is_object();
        assert_eq!(answer.headers.contains_key("retry-after"), retries, "{answer:?}");
    }
    if !answer.status.is_success() {
        assert_eq!(answer.header("content-type"), Some(PROBLEM_JSON));
        let problem = answer.json();
        assert_eq!(problem["status"], answer.status.as_u16());
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
    }
    answer
}

/// What the document says of a call.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let segments: Vec<_> = path.split('/').collect();
    let templates = DOCUMENT["paths"].as_object().unwrap();
    let (_, item) = templates.iter().find(|(template, _)| {
        let wanted: Vec<_> = template.split('/').collect();
        let fits = |(wanted, segment): (&&str, &&str)| wanted == segment || *wanted == "{id}" && !segment.is_empty();
        wanted.len() == segments.len() && wanted.iter().zip(&segments).all(fits)
    })?;
    item.get(method.as_str().to_lowercase())
}
