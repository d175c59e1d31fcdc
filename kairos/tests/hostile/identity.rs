//! Messages that claim to be somebody else's.

use std::sync::Arc;

use kairos::{Body, ExecutionId, ExecutionState, Origin, ProcessId, WorkItem};
use serde_json::json;

use crate::support::*;

fn execution(process: &str, time: &str) -> ExecutionId {
    ExecutionId::of_occurrence(&ProcessId::of(process), at(time))
}

#[tokio::test]
async fn a_sound_message_is_executed() {
    let world = World::new();
    assert_eq!(world.execute_text(&message(&json!({})).to_string()).await, kairos::executor::Verdict::Succeeded);
    assert_eq!(world.executions().await[0].id, execution("ventas", DUE));
}

#[tokio::test]
async fn a_message_cannot_mark_another_occurrence_as_done() {
    let world = World::new();
    for origin in ["calendario", "reproceso"] {
        for forged in [
            // Of another process, of another time, of none.
            json!({"IdEjecucion": execution("compras", DUE)}),
            json!({"IdEjecucion": execution("ventas", "2026-01-02T00:00:00Z")}),
            json!({"IdEjecucion": "00000000-0000-0000-0000-000000000000"}),
            json!({"FechaProgramada": "2026-01-01T00:00:00.000000001Z"}),
            // Without a time there is nothing to tell it from.
            json!({"FechaProgramada": null}),
            json!({"FechaProgramada": "<aws.scheduler.scheduled-time>"}),
            json!({"FechaProgramada": null, "IdEjecucion": execution("compras", DUE)}),
        ] {
            let mut forged = forged;
            forged["Origen"] = json!(origin);
            let failure = world.refuses(text(&forged)).await;
            assert_eq!(failure.kind, "malformed", "{forged}");
            assert!(failure.text.contains("idEjecucion: is not the id"), "{}", failure.text);
        }
    }
    assert!(world.executions().await.is_empty(), "nothing was claimed in another one's name");

    let mut work = WorkItem::of_occurrence(Arc::new(process(&json!({}))), at(DUE), Origin::Schedule);
    work.execution_id = execution("compras", DUE);
    assert_eq!(world.refuses(work).await.kind, "malformed", "in memory as on a wire");
}

#[tokio::test]
async fn a_process_is_known_by_the_id_of_its_name_only() {
    let world = World::new();
    let id = ProcessId::of("ventas");
    for (field, forged) in [
        ("idProceso", json!({"IdProceso": ProcessId::of("compras"), "IdEjecucion": execution("compras", DUE)})),
        ("idProceso", json!({"Nombre": "compras"})),
        ("idProceso", json!({"Nombre": "Ventas"})),
        ("idProceso", json!({"Nombre": ""})),
        ("idProceso", json!({"IdProceso": ""})),
        ("idProceso", json!({"IdProceso": "ventas"})),
        ("idProceso", json!({"IdProceso": format!("{id}\n")})),
        ("idProceso", json!({"IdProceso": format!("{id}\r\nX-Admin: 1")})),
        ("idProceso", json!({"IdProceso": id.as_str().replace("proceso-", "calendarizacion-")})),
        ("idProceso", json!({"Nombre": "a", "IdProceso": "proceso-YQ=="})),
        ("idProceso", json!({"Nombre": "n".repeat(2_000), "IdProceso": ProcessId::of(&"n".repeat(2_000))})),
        ("idCalendarizacion", json!({"IdCalendarizacion": ""})),
        ("idCalendarizacion", json!({"IdCalendarizacion": "calendarizacion-x\n"})),
        ("idCalendarizacion", json!({"IdCalendarizacion": "calendarizacion x"})),
        ("idCalendarizacion", json!({"IdCalendarizacion": "calendarización"})),
        ("idCalendarizacion", json!({"IdCalendarizacion": "x/../y"})),
        ("idCalendarizacion", json!({"IdCalendarizacion": "x\u{202e}"})),
        ("idCalendarizacion", json!({"IdCalendarizacion": "x".repeat(2_049)})),
        // It would be filled into the target's JSON.
        (
            "idCalendarizacion",
            json!({"IdCalendarizacion": r#"x","admin":"1"#, "Parametros": r#"{"s":"<kairos.schedule-id>"}"#}),
        ),
    ] {
        for body in [text(&forged), value(&forged)] {
            let failure = world.refuses(body).await;
            assert_eq!(failure.kind, "malformed", "{forged}");
            assert!(failure.text.contains(&format!("{field}: ")), "{forged}: {}", failure.text);
        }
        // The older system's messages name no execution; they are held to the same.
        let mut older = message(&forged);
        for key in ["FechaProgramada", "IdEjecucion", "Origen"] {
            older.as_object_mut().unwrap().remove(key);
        }
        assert_eq!(world.refuses(Body::from_json(older.to_string())).await.kind, "malformed");
    }
    assert!(world.executions().await.is_empty());
}

#[tokio::test]
async fn a_row_that_bears_another_process_s_name_is_refused_wherever_it_is_used() {
    let world = World::new();
    let row = world.write_row(process(&json!({"IdProceso": ProcessId::of("compras")}))).await;
    let error = world.scheduler.run_now(&row.id, None).await.unwrap_err();
    assert_eq!((error.kind(), &faults(&error)[..]), (kairos::ErrorKind::Malformed, &["idProceso"][..]));
    world.dispatch(&row.schedule_id).await;
    assert_eq!(world.execute().await.len(), 1);
    assert_eq!((world.queue.dead_letters().len(), world.targets.calls().len()), (1, 0));
}

#[tokio::test]
async fn messages_of_the_older_system_run_and_what_is_half_named_is_completed() {
    let world = World::new();
    for changes in [
        json!({"FechaProgramada": null, "IdEjecucion": null, "Origen": null}),
        json!({"FechaProgramada": null, "IdEjecucion": null}),
        json!({"IdEjecucion": null, "FechaProgramada": "2026-01-02T00:00:00Z"}),
        json!({"Origen": null, "Otro": {"x": [1]}}),
        json!({"FechaProgramada": "2025-12-31T21:00:00-03:00", "Nombre": "compras", "IdProceso": ProcessId::of("compras"),
               "IdEjecucion": execution("compras", DUE)}),
    ] {
        let verdict = world.execute_text(&message(&changes).to_string()).await;
        assert_eq!(verdict, kairos::executor::Verdict::Succeeded, "{changes}");
    }
    let ids: std::collections::BTreeSet<_> = world.executions().await.iter().map(|execution| execution.id).collect();
    assert_eq!(ids.len(), 5);
    assert!(ids.contains(&execution("ventas", "2026-01-02T00:00:00Z")), "the id that any other writer would give it");
}

/// The id comes from a key that the message does not carry: nobody can tell. It is documented, and this is what it means.
#[tokio::test]
async fn the_id_of_a_manual_execution_cannot_be_verified() {
    let world = World::new();
    let changes = json!({"Origen": "manual", "IdEjecucion": execution("compras", DUE)});
    assert_eq!(world.execute_text(&message(&changes).to_string()).await, kairos::executor::Verdict::Succeeded);
    let execution = &world.executions().await[0];
    assert_eq!((execution.state, execution.origin), (ExecutionState::Succeeded, Origin::Manual));
    assert_eq!(execution.process_id, ProcessId::of("ventas"), "history says whose it was");
}
