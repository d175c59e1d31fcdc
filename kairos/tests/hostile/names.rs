//! Names in every script, and names made to be taken for something else.

use kairos::backend::ProcessFilter;
use kairos::page::PageRequest;
use kairos::{ErrorKind, ProcessId, Registration, limits};
use serde_json::json;

use crate::support::*;

fn odd_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "a",
        "ñandú — Año «2026»",
        "Ежедневный отчёт",
        "ημερήσια αναφορά",
        "每日报告",
        "日次レポート",
        "일일 보고서",
        "תקציר יומי",
        "تقرير يومي",
        "می\u{200c}خواهم",
        "दैनिक रिपोर्ट",
        "รายงานประจำวัน",
        "👩\u{200d}👩\u{200d}👧\u{200d}👦 🏳️\u{200d}🌈",
        "e\u{301} is not é",
        "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \u{10ffff}",
        "no\u{a0}break",
        // Kept as it is: nothing but an error's text shows it, and there it is escaped.
        "a\u{202e}b\u{202c}",
        "a\u{feff}b",
        r#""quoted" \ 'single' `back` $(rm -rf) ${x} %0a %n {} <script>"#,
        "../../etc/passwd",
        "proceso-YQ..",
        "calendarizacion-x",
        "<kairos.attempt>",
        "null",
        "'; DROP TABLE procesos; --",
        "Set-Cookie: a=b",
    ]
    .map(Into::into)
    .into();
    names.push("n".repeat(limits::NAME));
    names.push("ñ".repeat(limits::NAME / 2));
    names.push("🦀".repeat(limits::NAME / 4));
    names
}

#[tokio::test]
async fn a_name_in_any_script_is_kept_byte_for_byte_from_end_to_end() {
    let world = World::new();
    let mut names = odd_names();
    let mut schedule = None;
    for name in &names {
        let registered = world.scheduler.register(&lambda(name).with_parameters("[]")).await.unwrap();
        assert_eq!(registered.process.id.name().as_deref(), Some(name.as_str()));
        assert_eq!(world.scheduler.process(&ProcessId::of(name)).await.unwrap().name, *name);
        assert!(!world.scheduler.register(&lambda(name).with_parameters("[]")).await.unwrap().created);
        let filter = ProcessFilter::default().with_name_prefix(name.as_str());
        let listed = world.scheduler.processes(&filter, &PageRequest::first(100)).await.unwrap().items;
        assert!(listed.iter().any(|process| process.name == *name), "{name:?}");
        schedule = Some(registered.process.schedule_id.clone());
    }
    world.dispatch(&schedule.unwrap()).await;
    // Once as the value that is in memory, once as the text that a queue on a wire carries.
    let bodies: Vec<_> = kairos::backend::Receiver::receive(&*world.queue, 1_000, std::time::Duration::ZERO)
        .await
        .unwrap()
        .into_iter()
        .map(|delivery| delivery.body)
        .collect();
    assert_eq!(bodies.len(), names.len());
    for body in &bodies {
        let (from_value, from_text) = (body.clone(), kairos::Body::from_json(body.to_json().into_owned()));
        let [one, two] = [from_value, from_text].map(|body| body.work("m", at(DUE)).unwrap());
        assert_eq!(one, two);
        world.execute_text(&body.to_json()).await;
    }
    let mut called: Vec<_> =
        world.targets.calls().into_iter().map(|call| call.invocation.process.name.clone()).collect();
    called.sort();
    names.sort();
    assert_eq!(called, names);
    for name in &names {
        assert!(world.scheduler.unregister(&ProcessId::of(name)).await.unwrap());
    }
}

#[tokio::test]
async fn a_name_that_could_split_a_line_is_refused_at_registration_and_at_execution() {
    for broken in [
        "ven\ntas",
        "\n",
        "ventas\r\nX-Admin: 1",
        "a\u{0}",
        "a\tb",
        "a\u{1b}[31mb",
        "a\u{7f}b",
        "a\u{85}b",
        "a\u{9b}b",
        "a\u{2028}b",
        "a\u{2029}b",
        "a\u{fffe}",
        "\u{ffff}",
    ] {
        let world = World::new();
        let error = world.scheduler.register(&lambda(broken)).await.unwrap_err();
        assert_eq!((error.kind(), &faults(&error)[..]), (ErrorKind::Invalid, &["nombre"][..]), "{broken:?}");

        let changes = json!({
            "Nombre": broken, "IdProceso": ProcessId::of(broken),
            "IdEjecucion": kairos::ExecutionId::of_occurrence(&ProcessId::of(broken), at(DUE)),
        });
        for body in [text(&changes), value(&changes)] {
            let failure = world.refuses(body).await;
            assert_eq!(failure.kind, "malformed");
            assert!(failure.text.contains("nombre: must not hold control"), "{}", failure.text);
        }
        let row = world.write_row(process(&changes)).await;
        let error = world.scheduler.run_now(&row.id, None).await.unwrap_err();
        assert_eq!((error.kind(), &faults(&error)[..]), (ErrorKind::Malformed, &["nombre"][..]));
        assert!(world.executions().await.is_empty(), "what has no sound name is not claimed either");
    }
}

#[tokio::test]
async fn a_name_is_at_most_256_bytes_long_and_has_no_blank_around_it() {
    let world = World::new();
    for (name, expected) in [
        ("n".repeat(257), "is 257 bytes long"),
        ("ñ".repeat(128) + "n", "is 257 bytes long"),
        ("n".repeat(10_000_000), "is 10000000 bytes long"),
        (" a".into(), "must not begin or end with a blank"),
        ("a\u{3000}".into(), "must not begin or end with a blank"),
        (String::new(), "must not be empty"),
    ] {
        let error = world.scheduler.register(&lambda(&name)).await.unwrap_err();
        // A name of megabytes makes too large a message besides.
        assert_eq!(faults(&error)[0], "nombre");
        assert!(error.faults()[0].message.contains(expected), "{error}");
    }
}

/// The id of a long name times the placeholders of large parameters is more than any machine holds.
#[tokio::test]
async fn a_name_of_a_megabyte_in_parameters_of_placeholders_takes_no_memory() {
    let placeholders = "<kairos.process-id>".repeat(limits::PARAMETERS / 19);
    let registration =
        Registration::new("n".repeat(1_000_000), "rate(1 day)", "kairos:task:a").with_parameters(placeholders);
    let error = World::new().scheduler.register(&registration).await.unwrap_err();
    assert_eq!(faults(&error), ["nombre", "parametros"]);
}
