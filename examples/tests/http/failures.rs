//! What backends fail with, and what a caller is told of it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use kairos::backend::{MockHistory, MockQueue, MockScheduleBackend, MockStore};
use kairos::chance::Chance;
use kairos::clock::ManualClock;
use kairos::{Error, ErrorKind, Fault, Process, Scheduler};
use kairos_examples::http::{Api, router};

use crate::log::logged;
use crate::support::{Answer, ask, request};

const SECRET: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/secreta";

fn app(store: MockStore, history: MockHistory) -> Router {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let (schedules, queue) = (Arc::new(MockScheduleBackend::new()), Arc::new(MockQueue::new()));
    let scheduler = Scheduler::new(Arc::new(store), schedules, queue, clock.clone());
    router(Api::new(scheduler, clock).with_history(Arc::new(history)).with_chance(Arc::new(Chance::from_seed(0))))
}

/// What each call answers when the backend fails like this.
async fn failing(make: impl Fn() -> Error + Clone + Send + Sync + 'static) -> Vec<(&'static str, Answer)> {
    let mut store = MockStore::new();
    let error = make.clone();
    store.expect_process().returning(move |_| Err(error()));
    let error = make.clone();
    store.expect_schedule().returning(move |_| Err(error()));
    let error = make.clone();
    store.expect_list_processes().returning(move |_, _| Err(error()));
    let error = make.clone();
    store.expect_list_schedules().returning(move |_| Err(error()));
    let mut history = MockHistory::new();
    let error = make.clone();
    history.expect_list().returning(move |_, _| Err(error()));
    history.expect_get().returning(move |_| Err(make()));
    let app = app(store, history);
    let registration = r#"{"nombre":"a","cron":"rate(1 day)","arnProceso":"kairos:task:ok"}"#;
    let range = r#"{"desde":"2026-01-01T00:00:00Z","hasta":"2026-01-01T01:00:00Z"}"#;
    let mut answers = Vec::new();
    for (method, path, text) in [
        ("POST", "/Procesos", registration),
        ("GET", "/Procesos", ""),
        ("GET", "/Procesos/proceso-YQ..", ""),
        ("PUT", "/Procesos/proceso-YQ..", registration),
        ("PATCH", "/Procesos/proceso-YQ..", "{}"),
        ("DELETE", "/Procesos/proceso-YQ..", ""),
        ("POST", "/Procesos/proceso-YQ../Ejecutar", ""),
        ("POST", "/Procesos/proceso-YQ../Reprocesar", range),
        ("GET", "/Calendarizaciones", ""),
        ("GET", "/Calendarizaciones/calendarizacion-x", ""),
        ("GET", "/Ejecuciones", ""),
        ("GET", "/Ejecuciones/00000000-0000-0000-0000-000000000000", ""),
    ] {
        answers.push((path, ask(&app, request(method, path, text)).await));
    }
    answers
}

#[tokio::test]
async fn each_kind_of_failure_has_its_status_wherever_it_comes_from() {
    for (kind, status, problem, retry_after) in [
        (ErrorKind::Throttled, 429, "throttled", Some("5")),
        (ErrorKind::Unavailable, 503, "unavailable", Some("5")),
        (ErrorKind::Timeout, 503, "unavailable", Some("5")),
        (ErrorKind::Busy, 503, "busy", Some("5")),
        (ErrorKind::Denied, 500, "internal", None),
        // What a service calls by these names is none of the caller's doing: a table that is gone, a request that was made wrongly.
        (ErrorKind::NotFound, 500, "internal", None),
        (ErrorKind::Invalid, 500, "internal", None),
        (ErrorKind::Conflict, 500, "internal", None),
        (ErrorKind::Malformed, 500, "internal", None),
        (ErrorKind::Unsupported, 500, "internal", None),
        (ErrorKind::Rejected, 500, "internal", None),
    ] {
        for (path, answer) in failing(move || Error::new(kind, SECRET).with_source(SECRET)).await {
            assert_eq!(answer.status, status, "{kind} {path}");
            assert_eq!(answer.json()["type"], format!("urn:kairos:problem:{problem}"), "{kind} {path}");
            assert_eq!(answer.header("retry-after"), retry_after, "{kind} {path}");
            assert!(!answer.text.contains("secreta") && answer.fields().is_empty(), "{kind} {path}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_service_may_say_when_to_come_again() {
    for (delay, header) in [(Duration::from_millis(1), "1"), (Duration::from_millis(2_001), "3"), (Duration::MAX, "")] {
        let error = move || Error::new(ErrorKind::Throttled, "").with_retry_after(delay);
        for (_, answer) in failing(error).await {
            let told = answer.header("retry-after").unwrap();
            assert!(told == header || header.is_empty() && told.parse::<u64>().is_ok(), "{told}");
        }
    }
}

#[tokio::test]
async fn an_internal_error_is_logged_in_full_under_the_id_that_its_caller_gets() {
    let answers = failing(|| Error::new(ErrorKind::Denied, "no entry").with_source(SECRET)).await;
    let logged = logged();
    let mut ids = std::collections::BTreeSet::new();
    for (path, answer) in answers {
        let problem = answer.json();
        let id = problem["instance"].as_str().unwrap().strip_prefix("urn:uuid:").unwrap().to_owned();
        let line = logged.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("{path}: {logged}"));
        assert!(line.contains("ERROR") && line.contains("no entry") && line.contains(SECRET), "{line}");
        assert!(ids.insert(id), "an id of its own");
    }
}

#[tokio::test]
async fn a_stored_process_that_is_not_let_in_is_a_conflict_and_no_fault_of_the_request() {
    let stored = |target: &str, role: &str| -> Process {
        let text = format!(
            r#"{{"IdProceso":"proceso-YQ..","IdCalendarizacion":"calendarizacion-cmF0ZSgxIGRheSk.","Nombre":"a",
            "ArnRol":"{role}","ArnProceso":"{target}","Habilitado":true,"FechaCreacion":"2025-01-01T00:00:00Z"}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    for (process, field) in [
        (stored("nada", ""), "arnProceso"),
        (stored("arn:aws:lambda:us-east-1:123456789012:function:f", ""), "arnRol"),
        (stored("kairos:task:ok", "nadie"), "arnRol"),
    ] {
        let mut store = MockStore::new();
        store.expect_process().returning(move |_| Ok(Some(Arc::new(process.clone()))));
        store.expect_schedule().returning(|_| Ok(None));
        let app = app(store, MockHistory::new());
        let range = r#"{"desde":"2025-12-01T00:00:00Z","hasta":"2026-01-01T01:00:00Z"}"#;
        for (call, text) in [("Ejecutar", ""), ("Reprocesar", range)] {
            let answer = ask(&app, request("POST", &format!("/Procesos/proceso-YQ../{call}"), text)).await;
            assert_eq!((answer.status.as_u16(), answer.fields()), (409, vec![field.to_owned()]), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn what_is_missing_behind_a_process_is_no_404_of_the_process() {
    // Its schedule's record is gone, and the id does not tell the expression.
    let process: Process = serde_json::from_str(
        r#"{"IdProceso":"proceso-YQ..","IdCalendarizacion":"calendarizacion-rate.1-day-0123456789abcdef0123456789abcdef",
            "Nombre":"a","ArnProceso":"kairos:task:ok","Habilitado":true,"FechaCreacion":"2025-01-01T00:00:00Z"}"#,
    )
    .unwrap();
    let mut store = MockStore::new();
    store.expect_process().returning(move |_| Ok(Some(Arc::new(process.clone()))));
    store.expect_schedule().returning(|_| Ok(None));
    let answer =
        ask(&app(store, MockHistory::new()), request("PATCH", "/Procesos/proceso-YQ..", r#"{"descripcion":"d"}"#))
            .await;
    assert_eq!(answer.status, 409, "{}", answer.text);
    assert_eq!(answer.json()["type"], "urn:kairos:problem:incomplete");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_no_fault_of_a_cursor() {
    let mut store = MockStore::new();
    store.expect_list_processes().returning(|_, page| {
        Err(match page.cursor.as_ref().map(kairos::page::Cursor::as_str) {
            Some("fila") => Error::new(ErrorKind::Malformed, "the row cannot be read").about("proceso-YQ.."),
            _ => Error::new(ErrorKind::Malformed, "no cursor of this listing"),
        })
    });
    let app = app(store, MockHistory::new());
    assert_eq!(ask(&app, request("GET", "/Procesos?cursor=fila", "")).await.status, 500);
    assert_eq!(ask(&app, request("GET", "/Procesos", "")).await.status, 500);
    assert_eq!(ask(&app, request("GET", "/Procesos?cursor=x", "")).await.fields(), ["cursor"]);
    let mut store = MockStore::new();
    store.expect_list_schedules().returning(|_| Err(Error::new(ErrorKind::Invalid, SECRET).with_source(SECRET)));
    let answer = ask(&self::app(store, MockHistory::new()), request("GET", "/Calendarizaciones?cursor=x", "")).await;
    assert!(answer.fields() == ["cursor"] && !answer.text.contains("secreta"), "what the service will not begin at");
}

#[tokio::test]
async fn many_faults_are_all_listed_and_the_first_are_told() {
    let error = || Error::new(ErrorKind::Invalid, "no").with_faults(vec![Fault::new("cron", "mal").with_at(3); 12]);
    let answers = failing(error).await;
    let (_, answer) = answers.iter().find(|(path, _)| *path == "/Procesos").unwrap();
    assert_eq!((answer.status.as_u16(), answer.fields().len()), (400, 12));
    let problem = answer.json();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("cron: mal (at byte 3)") && detail.ends_with("; and 2 more"), "{detail}");
}
