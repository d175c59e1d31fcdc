//! Parameters and bodies at the limit of size, and placeholders where nobody expects them.

use kairos::executor::Verdict;
use kairos::{Body, ErrorKind, ProcessId, Registration, limits};
use serde_json::{Value, json};

use crate::support::*;

/// A hand-made message of a process of its own, for a target that takes any text.
fn with_parameters(name: &str, parameters: &str) -> Value {
    json!({"Nombre": name, "IdProceso": ProcessId::of(name), "IdEjecucion": null, "Parametros": parameters,
           "ArnProceso": "https://example.com/"})
}

fn payload_of_last_call(world: &World) -> String {
    world.targets.calls().pop().unwrap().invocation.payload.unwrap().to_string()
}

#[tokio::test]
async fn the_largest_parameters_are_executed_and_one_byte_more_is_refused_at_both_ends() {
    let world = World::new();
    let execution_id = 36;
    // Each execution is of another process, and all their ids are of one length.
    let name = |case: &str, mark: char| format!("{case}{}", String::from(mark).repeat(40 - case.len()));
    let filler = |length: usize| "x".repeat(length);
    // What is filled in is longer than its placeholder, shorter, or nothing.
    for (case, [longest, too_long]) in [
        ("plain", [filler(limits::PARAMETERS), filler(limits::PARAMETERS + 1)]),
        ("two bytes a letter", ["ñ".repeat(limits::PARAMETERS / 2), "ñ".repeat(limits::PARAMETERS / 2) + "n"]),
        ("execution", {
            let rest = limits::PARAMETERS - execution_id;
            [rest, rest + 1].map(|rest| format!("<kairos.execution-id>{}", filler(rest)))
        }),
        ("process", {
            let rest = limits::PARAMETERS - ProcessId::of(&name("process", '-')).as_str().len();
            [rest, rest + 1].map(|rest| format!("<kairos.process-id>{}", filler(rest)))
        }),
        ("shrinking", {
            let placeholder = "<kairos.attempt>";
            let rest = limits::PARAMETERS - placeholder.len();
            [rest, rest + 1].map(|rest| format!("{placeholder}{}", filler(rest)))
        }),
    ] {
        // Registered to JSON's own rules; executed as a message that never was registered.
        let verdict = world.execute_text(&message(&with_parameters(&name(case, '-'), &longest)).to_string()).await;
        assert_eq!(verdict, Verdict::Succeeded, "{case}");
        let payload = payload_of_last_call(&world);
        assert!(payload.ends_with(&longest[longest.len() - 1_000..]) && payload.len() <= limits::PARAMETERS, "{case}");

        let more = |mark: char| with_parameters(&name(case, mark), &too_long);
        for body in [text(&more('+')), value(&more('='))] {
            let failure = world.refuses(body).await;
            assert_eq!(failure.kind, "invalid", "{case}");
            assert!(failure.text.contains("parametros: is 262145 bytes long"), "{case}: {}", failure.text);
        }
        let registration =
            Registration::new(name(case, '*'), "rate(1 day)", "https://example.com/").with_parameters(too_long);
        let error = world.scheduler.register(&registration).await.unwrap_err();
        assert_eq!(faults(&error), ["parametros"], "{case}");
    }
}

#[tokio::test]
async fn a_message_made_of_placeholders_cannot_fill_the_memory() {
    let world = World::new();
    let schedule = "x".repeat(limits::ID);
    let mut changes = with_parameters("a", &"<kairos.schedule-id>".repeat(limits::PARAMETERS / 20));
    changes["IdCalendarizacion"] = json!(schedule);
    let failure = world.refuses(text(&changes)).await;
    let told = format!("is {} bytes long with its placeholders filled in", limits::PARAMETERS / 20 * limits::ID);
    assert!(failure.text.contains(&told), "{}", failure.text);
}

#[tokio::test]
async fn a_body_larger_than_a_queue_message_is_refused_unread() {
    let world = World::new();
    let sound = message(&json!({})).to_string();
    let padded = |length: usize| format!("{sound}{}", " ".repeat(length - sound.len()));
    let failure = world.refuses(Body::from_json(padded(limits::MESSAGE + 1))).await;
    assert_eq!(failure.kind, "malformed");
    assert!(failure.text.contains("1048577 bytes long; 1048576 are allowed"), "{}", failure.text);
    assert_eq!(world.execute_text(&padded(limits::MESSAGE)).await, Verdict::Succeeded);
}

#[tokio::test]
async fn a_row_with_too_much_in_it_is_not_queued_out_of_turn() {
    let world = World::new();
    let large = world.write_row(process(&with_parameters("a", &"x".repeat(limits::PARAMETERS + 1)))).await;
    let error = world.scheduler.run_now(&large.id, None).await.unwrap_err();
    assert_eq!((error.kind(), &faults(&error)[..]), (ErrorKind::Invalid, &["parametros"][..]));
}

#[tokio::test]
async fn limits_that_no_registration_may_have_are_refused_at_execution() {
    let world = World::new();
    for (field, changes) in [
        ("maximoIntentos", json!({"MaximoIntentos": u32::MAX})),
        (
            "maximoIntentos",
            json!({"MaximoIntentos": 0, "Nombre": "b", "IdProceso": ProcessId::of("b"), "IdEjecucion": null}),
        ),
        (
            "edadMaximaSegundos",
            json!({"EdadMaximaSegundos": u64::MAX, "Nombre": "c", "IdProceso": ProcessId::of("c"), "IdEjecucion": null}),
        ),
    ] {
        let failure = world.refuses(text(&changes)).await;
        assert!(failure.kind == "invalid" && failure.text.contains(field), "{changes}: {}", failure.text);
    }
}

#[tokio::test]
async fn placeholders_are_filled_in_once_and_whatever_else_looks_like_one_is_kept() {
    let world = World::new();
    // The name is a placeholder; no placeholder gives it, and its id is plain.
    let name = "<kairos.attempt>";
    let id = ProcessId::of(name);
    for (index, (given, expected)) in [
        ("<kairos.process-id>", id.as_str()),
        ("<kairos.<kairos.attempt>>", "<kairos.1>"),
        ("<kairos.<kairos.attempt>attempt>", "<kairos.1attempt>"),
        ("<kairos.attempt<kairos.attempt>>", "<kairos.attempt1>"),
        ("<<<kairos.attempt>>>", "<<1>>"),
        ("<kairos.attempt><kairos.attempt>", "11"),
        ("<kairos.Attempt><KAIROS.attempt>< kairos.attempt>", "<kairos.Attempt><KAIROS.attempt>< kairos.attempt>"),
        ("<kairos.attempt\n>", "<kairos.attempt\n>"),
        ("<kairos.><kairos>", "<kairos.><kairos>"),
        ("<kairos.secret><kairos.role>", "<kairos.secret><kairos.role>"),
        ("<aws.scheduler.scheduled-time>", "<aws.scheduler.scheduled-time>"),
        ("\u{1}\u{202e}ñ\u{10ffff}<kairos.attempt", "\u{1}\u{202e}ñ\u{10ffff}<kairos.attempt"),
        ("&lt;kairos.attempt>%3Ckairos.attempt%3E", "&lt;kairos.attempt>%3Ckairos.attempt%3E"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut changes = with_parameters(name, given);
        changes["FechaProgramada"] = json!(format!("2026-01-01T00:00:{index:02}Z"));
        assert_eq!(world.execute_text(&message(&changes).to_string()).await, Verdict::Succeeded);
        assert_eq!(payload_of_last_call(&world), expected);
    }
}

/// Every way of putting one opening before another must not be looked at again and again.
#[tokio::test]
async fn openings_without_end_are_looked_at_once() {
    let world = World::new();
    for (index, opening) in ["<kairos.", "<kairos.scheduled-tim", "<", "<kairos.a>"].into_iter().enumerate() {
        let given = opening.repeat(limits::PARAMETERS / opening.len());
        let changes = with_parameters(&format!("p{index}"), &given);
        assert_eq!(world.execute_text(&message(&changes).to_string()).await, Verdict::Succeeded);
        assert!(payload_of_last_call(&world) == given);
    }
}
