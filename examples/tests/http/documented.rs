//! The OpenAPI document against what is: the core writes the wire formats and knows of no document.

use std::collections::BTreeSet;

use axum::http::Method;
use kairos::page::PageRequest;
use kairos::scheduler::Backfill;
use kairos::{Changes, Execution, Process, Registration, Schedule, limits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::support::{DOCUMENT, World};

fn schema(name: &str) -> &'static Map<String, Value> {
    DOCUMENT["components"]["schemas"][name].as_object().unwrap_or_else(|| panic!("no schema {name}"))
}

fn properties(name: &str) -> BTreeSet<&'static str> {
    schema(name)["properties"].as_object().unwrap().keys().map(String::as_str).collect()
}

fn required(name: &str) -> BTreeSet<&'static str> {
    let required = schema(name).get("required").and_then(Value::as_array);
    required.into_iter().flatten().map(|name| name.as_str().unwrap()).collect()
}

/// The attributes of a text as the core writes it again.
fn written<T: Serialize + DeserializeOwned>(text: &str) -> BTreeSet<String> {
    let value = serde_json::to_value(serde_json::from_str::<T>(text).unwrap()).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}

fn owned(names: BTreeSet<&str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../kairos/tests/golden/", $name, ".json"))
    };
}

#[test]
fn every_attribute_that_is_written_is_documented_and_no_other() {
    assert_eq!(written::<Process>(golden!("process_with_everything")), owned(properties("Proceso")));
    assert_eq!(written::<Process>(golden!("process")), owned(required("Proceso")));
    assert_eq!(written::<Execution>(golden!("execution")), owned(properties("Ejecucion")));
    let everything = json!({
        "IdCalendarizacion": "c", "Nombre": "n", "Descripcion": "d", "Cron": "rate(1 day)", "ZonaHoraria": "UTC",
        "Inicio": "2026-01-01T00:00:00Z", "Fin": "2026-01-01T00:00:00Z", "VentanaMinutos": 1, "Grupo": "g", "Arn": "a",
        "FechaCreacion": "2026-01-01T00:00:00Z", "Estado": "Creando", "CantidadProcesos": 1, "Propietario": "0f8f9a52-6a0b-8c1d-9c3e-1b2c3d4e5f60",
        "ReservadaHasta": "2026-01-01T00:00:00Z"
    });
    let mut schedule = written::<Schedule>(&everything.to_string());
    assert_eq!(schedule.len(), everything.as_object().unwrap().len());
    schedule.insert("ProximasFechas".into());
    assert_eq!(schedule, owned(properties("Calendarizacion")));
}

#[test]
fn every_field_that_is_read_is_documented_and_no_other() {
    let everything = Registration::new("a", "rate(1 day)", "kairos:task:a")
        .with_role("r")
        .with_parameters("p")
        .with_time_zone("UTC")
        .with_start(jiff::Timestamp::UNIX_EPOCH)
        .with_end(jiff::Timestamp::UNIX_EPOCH)
        .with_window_minutes(1u32)
        .with_group("g")
        .with_tags(std::collections::BTreeMap::new())
        .with_description("d")
        .with_max_attempts(1u32)
        .with_max_age_seconds(60u64)
        .with_registered_by("ana");
    let value = serde_json::to_value(&everything).unwrap();
    let read: BTreeSet<_> = value.as_object().unwrap().keys().cloned().collect();
    for name in ["Registro", "Cambios"] {
        assert_eq!(read, owned(properties(name)), "{name}");
    }
    assert_eq!(owned(required("Registro")), ["arnProceso", "cron", "nombre"].map(str::to_owned).into());
    assert!(required("Cambios").is_empty());
    for (name, property) in schema("Registro")["properties"].as_object().unwrap() {
        let may_be_null = property["type"].as_array().is_some_and(|types| types.contains(&"null".into()));
        let text = json!({"nombre": "a", "cron": "rate(1 day)", "arnProceso": "t", name: null}).to_string();
        assert_eq!(Registration::from_json(&text).is_ok(), may_be_null, "{name}");
        assert_eq!(Changes::from_json(&json!({ name: null }).to_string()).is_ok(), may_be_null, "{name}");
    }
}

#[test]
fn the_limits_of_the_document_are_the_core_s() {
    let of = |name: &str, what: &str| schema("Registro")["properties"][name][what].as_u64().unwrap();
    assert_eq!(of("nombre", "maxLength"), limits::NAME as u64);
    assert_eq!(of("parametros", "maxLength"), limits::PARAMETERS as u64);
    assert_eq!(of("descripcion", "maxLength"), limits::DESCRIPTION as u64);
    assert_eq!(of("ventanaMinutos", "minimum"), u64::from(*limits::WINDOW_MINUTES.start()));
    assert_eq!(of("ventanaMinutos", "maximum"), u64::from(*limits::WINDOW_MINUTES.end()));
    assert_eq!(of("maximoIntentos", "minimum"), u64::from(*limits::ATTEMPTS.start()));
    assert_eq!(of("maximoIntentos", "maximum"), u64::from(*limits::ATTEMPTS.end()));
    assert_eq!(of("edadMaximaSegundos", "minimum"), *limits::AGE_SECONDS.start());
    assert_eq!(of("edadMaximaSegundos", "maximum"), *limits::AGE_SECONDS.end());
    assert_eq!(schema("SolicitudDeReproceso")["properties"]["limite"]["maximum"], Backfill::MAX as u64);
}

/// Each listing takes the parameters of the document, within their ranges, and no others.
#[tokio::test]
async fn the_parameters_of_the_document_are_those_that_are_taken() {
    let world = World::new();
    let mut seen = 0;
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        let Some(parameters) = item["get"]["parameters"].as_array() else { continue };
        let parameters: Vec<_> = parameters.iter().filter(|parameter| parameter["in"] == "query").collect();
        if parameters.is_empty() {
            continue;
        }
        let path = path.replace("{id}", "a");
        let refused = world.ask("GET", &format!("{path}?desconocido=1"), "").await.json();
        let told = refused["errores"][0]["mensaje"].as_str().unwrap().rsplit_once(": ").unwrap().1.to_owned();
        let told: BTreeSet<_> = told.split(", ").collect();
        let documented: BTreeSet<_> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        assert_eq!(told, documented, "{path}");
        for parameter in parameters {
            seen += 1;
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            assert_eq!(parameter["required"], false);
            let (Some(least), Some(most)) = (schema["minimum"].as_i64(), schema["maximum"].as_i64()) else { continue };
            for (value, is_taken) in [(least - 1, false), (least, true), (most, true), (most + 1, false)] {
                let answer = world.ask("GET", &format!("{path}?{name}={value}"), "").await;
                assert_eq!(answer.status != 400, is_taken, "{path}?{name}={value}");
            }
            if name == "limite" {
                assert_eq!(most, PageRequest::MAX_LIMIT as i64);
            }
        }
    }
    assert_eq!(seen, 15);
}

/// What is in the document is on the router, with the other methods refused.
#[tokio::test]
async fn every_path_takes_the_methods_of_the_document() {
    let world = World::new();
    let mut operations = BTreeSet::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "a");
        let mut allowed = BTreeSet::new();
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let operation = &item[method.as_str().to_lowercase()];
            let answer = world.ask(method.as_str(), &path, "").await;
            assert_eq!(answer.status == 405, operation.is_null(), "{method} {path}");
            if !operation.is_null() {
                allowed.insert(method.to_string());
                assert!(operations.insert(operation["operationId"].as_str().unwrap()), "an id of its own");
                for status in ["429", "500", "503"] {
                    assert!(operation["responses"][status].is_object(), "{method} {path} {status}");
                }
                let has_body = operation["requestBody"].is_object();
                assert_eq!(operation["responses"]["413"].is_object(), has_body, "{method} {path}");
            }
        }
        if allowed.contains("GET") {
            allowed.insert("HEAD".into());
        }
        let answer = world.ask("TRACE", &path, "").await;
        let told: BTreeSet<_> = answer.header("allow").unwrap().split(',').map(str::to_owned).collect();
        assert_eq!(told, allowed, "{path}");
    }
    assert_eq!(operations.len(), 12);
}
