//! Texts that cannot be read: each is refused with the place, and nothing has changed.

use std::fmt::Debug;

use kairos::backend::{Claim, DeadLetterReason, History, Message, Outcome, Queue, Receiver, ScheduleBackend, Store};
use kairos::backend::{Transaction, Trigger};
use kairos::clock::later;
use kairos::{Error, ErrorKind, ExecutionState, Failure, Hold, Owner, Registration, Schedule, Specification};
use kairos_memory::{Embedded, MemoryHistory, MemoryQueue, MemorySchedules, MemoryStore, Saved};
use serde_json::{Value, json};

use super::common::{at, clock, now, process, secs, work};
use super::odd_clock;
use super::rewritten::Saves;

/// What is changed in a sound state, by its place in the JSON, and what is said of that.
type Fault = (&'static str, Value, &'static str);

/// The line of an error, with all that it is about.
fn line(error: &Error) -> String {
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    assert_eq!(error.operation(), Some("restore"), "{error}");
    error.to_string()
}

fn changed(sound: &str, place: &str, value: &Value) -> String {
    let mut json: Value = serde_json::from_str(sound).unwrap();
    let (parent, last) = place.rsplit_once('/').unwrap();
    match json.pointer_mut(parent).unwrap() {
        Value::Object(object) if value.is_null() => drop(object.remove(last).unwrap()),
        Value::Object(object) => drop(object.insert(last.into(), value.clone())),
        Value::Array(array) if last == "-" => array.push(value.clone()),
        Value::Array(array) => array[last.parse::<usize>().unwrap()] = value.clone(),
        other => panic!("{place} is in {other}"),
    }
    json.to_string()
}

/// Sees each fault refused by a backend whose state is sound, and that it stays so.
fn assert_refused<B: Saves + Debug>(backend: &B, faults: &[Fault]) {
    let sound = backend.text();
    backend.read(&sound);
    for (place, value, expected) in faults {
        let said = match serde_json::from_str::<B::Saved>(&changed(&sound, place, value)) {
            Err(error) => error.to_string(),
            Ok(saved) => line(&backend.restore(saved).expect_err(place)),
        };
        assert!(said.contains(expected), "{place}: {said}");
        assert_eq!(backend.text(), sound, "{place}");
    }
}

/// The same value a second time.
fn again(text: &str, place: &str) -> Value {
    serde_json::from_str::<Value>(text).unwrap().pointer(place).unwrap().clone()
}

fn version(number: Value) -> Fault {
    ("/Version", number, "the state was saved as version 2; only version 1 can be read")
}

#[test]
fn a_faulty_store_is_refused() {
    let store = MemoryStore::new();
    let schedule = Schedule::new(Specification::new("rate(1 hour)"), at("2026-01-01T00:00:00Z"));
    let transaction = Transaction::new()
        .with_process(None, Some(process("a", schedule.id.as_str(), true)))
        .with_process(None, Some(process("b", schedule.id.as_str(), false)))
        .with_schedule(None, Some(schedule));
    now(store.commit(&transaction)).unwrap();
    let text = store.text();
    assert_refused(
        &store,
        &[
            version(json!(2)),
            ("/Version", Value::Null, "missing field `Version`"),
            ("/Version", json!("1"), "invalid type: string"),
            ("/Otro", json!([]), "unknown field `Otro`"),
            ("/Procesos", Value::Null, "missing field `Procesos`"),
            ("/Procesos/1", again(&text, "/Procesos/0"), "restore proceso-YQ..: Procesos[1]: the id is there twice"),
            (
                "/Calendarizaciones/-",
                again(&text, "/Calendarizaciones/0"),
                "restore calendarizacion-cmF0ZSgxIGhvdXIp: Calendarizaciones[1]: the id is there twice",
            ),
            ("/Procesos/0/FechaCreacion", json!("ayer"), "line 1 column"),
            ("/Calendarizaciones/0/Estado", json!("Perdida"), "Activa, Creando or Retirando is expected"),
        ],
    );
}

#[test]
fn faulty_triggers_are_refused() {
    let (hands, clock) = clock();
    let schedules = MemorySchedules::new(clock);
    for expression in ["rate(2 hours)", "cron(0 9 * * ? *)", "rate(1 hour)"] {
        let specification = Specification::new(expression);
        now(schedules.create(&Trigger::new(specification.schedule_id(), specification))).unwrap();
    }
    let first = Specification::new("rate(2 hours)");
    now(schedules.delete(&Trigger::new(first.schedule_id(), first).key())).unwrap();
    hands.advance(secs(3_600));
    schedules.give_back(schedules.take_due(1).remove(0));
    let text = schedules.text();
    assert_refused(
        &schedules,
        &[
            version(json!(2)),
            ("/Disparadores/0/Lugar", Value::Null, "missing field `Lugar`"),
            ("/Disparadores/0/Lugar", json!(1), "restore: Disparadores[1]: place 1 is there twice"),
            (
                "/Disparadores/0/Lugar",
                json!(4_294_967_295_u32),
                "restore: Disparadores[0]: place 4294967295 is beyond the 3 that are there",
            ),
            ("/Huecos", json!([]), "restore: Disparadores[0]: place 2 is beyond the 2 that are there"),
            ("/Huecos", json!([1]), "restore: Huecos[0]: place 1 is there twice"),
            ("/Huecos/-", json!(2), "restore: Huecos[1]: place 2 is there twice"),
            (
                "/Disparadores/1/IdCalendarizacion",
                again(&text, "/Disparadores/0/IdCalendarizacion"),
                "Disparadores[1]: the trigger is there twice",
            ),
            (
                "/Disparadores/0/Especificacion/Cron",
                json!("cron(0 71 * * ? *)"),
                ": Disparadores[0]: there can be no such trigger: cron: ",
            ),
            (
                "/Disparadores/0/Especificacion/ZonaHoraria",
                json!("America/Nadie"),
                "there can be no such trigger: zonaHoraria: ",
            ),
            (
                "/Disparadores/0/Especificacion/VentanaMinutos",
                json!(0),
                "there can be no such trigger: ventanaMinutos: ",
            ),
            (
                "/Disparadores/0/IdCalendarizacion",
                json!("ñ"),
                "restore ñ: Disparadores[0]: there can be no such trigger: idCal",
            ),
            ("/Disparadores/0/Proxima", json!("mañana"), "line 1 column"),
            ("/Pendientes/0/Disparo/Intento", json!(-1), "invalid value: integer `-1`"),
            ("/Pendientes/0/Disparo", Value::Null, "missing field `Disparo`"),
        ],
    );
}

#[test]
fn a_faulty_queue_is_refused() {
    let (_, clock) = clock();
    let queue = MemoryQueue::new(clock);
    for name in ["a", "b", "c", "d"] {
        now(queue.send(&[Message::new(work(name, at("2026-01-01T00:00:00Z")))])).unwrap();
    }
    let received = now(queue.receive(2, secs(0))).unwrap();
    now(queue.acknowledge(std::slice::from_ref(&received[0].receipt))).unwrap().remove(0).unwrap();
    let reason = DeadLetterReason::new(Failure { kind: "rejected".into(), text: "no".into() });
    now(queue.dead_letter(&received[1], &reason)).unwrap();
    assert_refused(
        &queue,
        &[
            version(json!(2)),
            ("/Prefijo", json!("xyz"), "'xyz' is no number in hexadecimal"),
            ("/Mensajes/1/Lugar", json!(2), "restore: Mensajes[1]: place 2 is there twice"),
            ("/Mensajes/1/Lugar", Value::Null, "missing field `Lugar`"),
            ("/Huecos", json!([1]), "restore: Mensajes[1]: place 3 is beyond the 3 that are there"),
            ("/Mensajes/1/Mensaje/Numero", json!(3), "restore: Mensajes[1]: message 3 is there twice"),
            ("/Mensajes/1/Mensaje/Numero", json!(0), "restore: Mensajes[1]: message 0 is none of the 4 that were sent"),
            ("/Muertos/0/Mensaje/Numero", json!(4), "restore: Muertos[0]: message 4 is there twice"),
            ("/Enviados", json!(3), "message 4 is none of the 3 that were sent"),
            ("/Mensajes/0/Visible", json!("2026-01-01"), "line 1 column"),
            ("/Muertos/0/Motivo/Error", Value::Null, "missing field `Error`"),
            ("/Mensajes/0/Mensaje/Texto", json!({}), "invalid type: map, expected a string"),
        ],
    );
}

#[test]
fn a_faulty_history_is_refused() {
    let (history, time) = (MemoryHistory::new(), at("2026-01-01T00:00:00Z"));
    for name in ["a", "b"] {
        let hold = Hold { owner: Owner::from_u128(1), until: later(time, secs(60)) };
        now(history.claim(&Claim::new(work(name, time), hold, time))).unwrap();
    }
    let ended = work("a", time).execution_id;
    now(history.record(&Outcome::new(ended, Owner::from_u128(1), ExecutionState::Succeeded, time))).unwrap();
    let text = history.text();
    let index = |ended: bool| {
        let rows = again(&text, "/Ejecuciones");
        let is_ended = |row: &Value| row.get("Reserva").is_none();
        rows.as_array().unwrap().iter().position(|row| is_ended(row) == ended).unwrap()
    };
    assert_eq!((index(true), index(false)), (0, 1), "in the order in which they expire");
    let reserve = again(&text, "/Ejecuciones/1/Reserva");
    assert_refused(
        &history,
        &[
            version(json!(2)),
            ("/Ejecuciones/0/Lugar", json!(1), "restore: Ejecuciones[1]: place 1 is there twice"),
            ("/Ejecuciones/0/Lugar", Value::Null, "missing field `Lugar`"),
            ("/Ejecuciones/1/Ejecucion/IdEjecucion", json!(ended), ": Ejecuciones[1]: the id is there twice"),
            ("/Ejecuciones/1/Reserva", Value::Null, ": Ejecuciones[1]: it is running, but nobody's"),
            ("/Ejecuciones/0/Reserva", reserve, ": Ejecuciones[0]: it is somebody's, but not running"),
            ("/Ejecuciones/0/Ejecucion/Estado", json!("Perdida"), "unknown variant `Perdida`"),
            ("/Ejecuciones/0/Vence", json!(7), "invalid type: integer `7`"),
        ],
    );
}

/// The last part that is read is faulty; the first ones stay as they are all the same.
#[tokio::test]
async fn a_whole_with_one_fault_changes_nothing() {
    let clock = odd_clock();
    let simulation = || Embedded::builder().with_task("ok", |_| async { Ok(()) }).simulate(clock.clone());
    let mut kairos = simulation();
    for name in ["a", "b"] {
        let registration = Registration::new(name, "rate(1 hour)", "kairos:task:ok");
        kairos.scheduler().register(&registration).await.unwrap();
    }
    kairos.advance(secs(4_000)).await;
    let id = kairos::ProcessId::of("a");
    kairos.scheduler().run_now(&id, None).await.unwrap();
    let text = serde_json::to_string(&kairos.save()).unwrap();
    let other = simulation();
    let state = |kairos: &Embedded| {
        (kairos.store().save(), kairos.schedules().save(), kairos.queue().save(), kairos.history().save())
    };
    let before = state(&other);
    for (place, value, expected) in [
        ("/Version", json!(2), "the state was saved as version 2; only version 1 can be read"),
        ("/Historia/Version", json!(2), "the state was saved as version 2; only version 1 can be read"),
        ("/Historia/Ejecuciones/0/Lugar", json!(7), "restore: Ejecuciones[0]: place 7 is beyond the"),
        ("/Cola/Enviados", json!(0), "message 3 is none of the 0 that were sent"),
        (
            "/Disparadores/Disparadores/0/Especificacion/Cron",
            json!("rate(0 hours)"),
            "Disparadores[0]: there can be no such",
        ),
        ("/Almacen/Procesos/1", again(&text, "/Almacen/Procesos/0"), "Procesos[1]: the id is there twice"),
    ] {
        let said = match serde_json::from_str::<Saved>(&changed(&text, place, &value)) {
            Err(error) => error.to_string(),
            Ok(saved) => line(&other.restore(saved).unwrap_err()),
        };
        assert!(said.contains(expected), "{place}: {said}");
        assert_eq!(state(&other), before, "{place}");
    }
    other.restore(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(state(&other), state(&kairos));
}
