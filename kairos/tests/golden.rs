//! The wire formats: each is read, written, and read again, and must come out as it stands in the file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use kairos::{Body, Execution, Process, Registration, Schedule, ScheduleState, TriggerInput};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("golden/", $name, ".json")).trim_end()
    };
}

/// Reads, writes, reads again; what is written must be the same JSON, attribute by attribute.
#[track_caller]
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(text: &str) -> T {
    let read: T = serde_json::from_str(text).unwrap();
    let written = serde_json::to_string(&read).unwrap();
    let (expected, actual): (Value, Value) =
        (serde_json::from_str(text).unwrap(), serde_json::from_str(&written).unwrap());
    assert_eq!(actual, expected);
    assert_eq!(serde_json::from_str::<T>(&written).unwrap(), read);
    read
}

/// Unknown attributes are ignored by every reader.
fn with_unknown(text: &str) -> String {
    text.replacen('{', r#"{"Desconocido":{"x":[1]},"#, 1)
}

#[track_caller]
fn ignores_unknown<T: DeserializeOwned + PartialEq + std::fmt::Debug>(text: &str) {
    assert_eq!(serde_json::from_str::<T>(&with_unknown(text)).unwrap(), serde_json::from_str::<T>(text).unwrap());
}

#[test]
fn process() {
    let text = golden!("process");
    let process: Process = round_trip(text);
    assert_eq!(serde_json::to_string(&process).unwrap(), text, "byte for byte");
    assert_eq!(process.parameters.as_deref(), Some(r#"{"a": 1}"#));
    ignores_unknown::<Process>(text);
}

#[test]
fn process_with_everything() {
    let process: Process = round_trip(golden!("process_with_everything"));
    assert_eq!(process.parameters.as_deref(), Some("2026-01-31T00:00:00"), "what looks like a date stays text");
    ignores_unknown::<Process>(golden!("process_with_everything"));
}

#[test]
fn parameters_are_always_written() {
    let process: Process = serde_json::from_str(&golden!("process").replace(r#""{\"a\": 1}""#, "null")).unwrap();
    assert_eq!(process.parameters, None);
    assert!(serde_json::to_string(&process).unwrap().contains(r#""Parametros":null"#));
}

#[test]
fn schedule() {
    let schedule: Schedule = round_trip(golden!("schedule"));
    assert!(matches!(schedule.state, ScheduleState::Creating(_)));
    ignores_unknown::<Schedule>(golden!("schedule"));
}

#[test]
fn schedule_of_the_older_system() {
    let schedule: Schedule = serde_json::from_str(golden!("schedule_of_the_older_system")).unwrap();
    assert_eq!((&schedule.state, schedule.process_count), (&ScheduleState::Active, None));
    assert_eq!(schedule.specification.group.as_deref(), Some("Procesos"));
    let written = serde_json::to_string(&schedule).unwrap();
    assert_eq!(serde_json::from_str::<Schedule>(&written).unwrap(), schedule);
}

#[test]
fn a_schedule_in_a_state_that_is_unknown_or_half_told_is_refused() {
    for broken in [
        golden!("schedule").replace("Creando", "Pausada"),
        golden!("schedule").replace("Propietario", "Otro"),
        golden!("schedule").replace("ReservadaHasta", "Otro"),
    ] {
        serde_json::from_str::<Schedule>(&broken).unwrap_err();
    }
}

#[test]
fn message() {
    let text = golden!("message");
    let now = jiff::Timestamp::UNIX_EPOCH;
    let work = Body::from_json(text).work("m", now).unwrap();
    let body = Body::from(work.clone());
    assert_eq!(body.to_json(), text, "byte for byte");
    assert_eq!(Body::from_json(body.to_json().into_owned()).work("other", now).unwrap(), work);
    assert_eq!(Body::from_json(with_unknown(text)).work("m", now).unwrap(), work);
    assert_eq!(
        work,
        kairos::WorkItem::of_occurrence(work.process.clone(), work.scheduled_time, kairos::Origin::Schedule),
        "the id in the file is the one that is computed"
    );
}

#[test]
fn message_of_the_older_dispatcher() {
    let sent: jiff::Timestamp = "2026-01-01T12:00:03Z".parse().unwrap();
    let work = Body::from_json(golden!("process")).work("m", sent).unwrap();
    assert_eq!(work.scheduled_time, sent);
    assert_eq!(serde_json::to_string(&*work.process).unwrap(), golden!("process"));
}

#[test]
fn trigger_input() {
    let text = golden!("trigger_input");
    let input: TriggerInput = round_trip(text);
    assert_eq!(serde_json::to_string(&input).unwrap(), text, "byte for byte");
    ignores_unknown::<TriggerInput>(text);
}

#[test]
fn execution() {
    let text = golden!("execution");
    let execution: Execution = round_trip(text);
    assert_eq!(serde_json::to_string(&execution).unwrap(), text, "byte for byte");
    ignores_unknown::<Execution>(text);
}

#[test]
fn registration() {
    let text = golden!("registration");
    let registration = Registration::from_json(text).unwrap();
    assert_eq!(serde_json::to_string(&registration).unwrap(), text, "byte for byte");
    for spelling in [text.to_uppercase().replace("\"VENTAS\"", "\"ventas\""), with_unknown(text)] {
        // Keys in any case; the values of the upper-cased text differ, its fields are the same.
        Registration::from_json(&spelling.replace(":TRUE", ":true").replace("\\\"A\\\"", "\\\"a\\\"")).unwrap();
    }
}
