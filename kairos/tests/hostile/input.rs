//! Text from outside that is hardly JSON, or far too much of it.

use kairos::{Body, Changes, Error, ErrorKind, Registration, TriggerInput, limits};
use serde_json::json;

use crate::support::*;

type Reader = fn(&str) -> Result<(), Error>;

/// Whatever is read from outside.
fn readers() -> [(&'static str, Reader); 4] {
    [
        ("a registration", |text| Registration::from_json(text).map(|_| ())),
        ("changes", |text| Changes::from_json(text).map(|_| ())),
        ("a trigger's input", |text| TriggerInput::from_json(text).map(|_| ())),
        ("a message", |text| Body::from_json(text).work("m", at(DUE)).map(|_| ())),
    ]
}

fn sound(reader: &str) -> String {
    match reader {
        "a trigger's input" => json!({"IdCalendarizacion": "calendarizacion-x", "FechaProgramada": DUE}).to_string(),
        "a message" => message(&json!({})).to_string(),
        _ => serde_json::to_string(&lambda("ventas")).unwrap(),
    }
}

#[test]
fn what_is_no_json_or_none_to_speak_of_is_refused_in_one_line() {
    let nested = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    for (reader, read) in readers() {
        let sound = sound(reader);
        read(&sound).unwrap();
        // Each is put in front of what is sound, under a key that nobody knows, and alone.
        for hostile in [
            nested("[", "]"),
            nested(r#"{"a":"#, "}").replace(":}", ":1}"),
            "[".repeat(1_000_000),
            r#"{"a":"#.repeat(100_000),
            "\"\\ud800\"".into(),
            "\"\\ud800\\u0041\"".into(),
            "\"\\udfff\"".into(),
            "\"a\nb\"".into(),
            "\"\u{0}\"".into(),
            "\"\\x\"".into(),
            "\"unclosed".into(),
            "1e999999999".into(),
            "01".into(),
            "NaN".into(),
            "-".into(),
            "\u{feff}{}".into(),
            "{}{}".into(),
            "'a'".into(),
            "{\"a\":1,}".into(),
            "\u{202e}".into(),
        ] {
            let error = read(&hostile).expect_err(reader);
            assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Malformed), "{reader}");
            faults(&error);
            let inside = sound.replacen('{', &format!("{{\"Desconocido\":{hostile},"), 1);
            // What is skipped unread may be deep, or a number that fits in nothing; it is never read wrongly.
            if let Err(error) = read(&inside) {
                faults(&error);
            }
        }
        for empty in ["", " ", "null", "true", "1", "\"x\"", "[]", "[[]]"] {
            faults(&read(empty).expect_err(reader));
        }
    }
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    for (reader, read) in readers() {
        let sound = sound(reader);
        let keys: Vec<String> =
            serde_json::from_str::<serde_json::Map<_, _>>(&sound).unwrap().into_iter().map(|(key, _)| key).collect();
        for key in keys {
            // The second one says something else, as whoever checked the first would have it.
            for value in ["null", "\"arn:aws:iam::123456789012:role/admin\"", "true"] {
                let twice = sound.replacen('{', &format!("{{\"{key}\":{value},"), 1);
                let error = read(&twice).expect_err(&twice);
                faults(&error);
            }
        }
    }
    let error = Registration::from_json(r#"{"nombre":"a","nombre":"b"}"#).unwrap_err();
    assert!(error.to_string().contains("'nombre' is there twice"), "{error}");
    let error = Changes::from_json(r#"{"etiquetas":{"a":"1","a":"2"}}"#).unwrap_err();
    assert!(error.to_string().contains("'a' is there twice"), "{error}");
    let escaped = Registration::from_json(r#"{"nombre":"a","n\u006fmbre":"b"}"#).unwrap_err();
    assert!(escaped.to_string().contains("twice"), "{escaped}");
}

#[test]
fn numbers_and_times_out_of_range_are_refused() {
    for (field, values) in [
        ("maximoIntentos", &["4294967296", "-1", "1.5", "1e3", "18446744073709551616", "\"3\"", "[]"][..]),
        ("edadMaximaSegundos", &["18446744073709551616", "-60", "60.0", "1e400", "{}"]),
        ("ventanaMinutos", &["4294967296", "true"]),
        ("habilitado", &["1", "\"true\"", "null", "[]"]),
        ("inicio", &["\"-999999-01-01T00:00:00Z\"", "\"2026-02-30T00:00:00Z\"", "\"ayer\\n\"", "0"]),
        ("fin", &["\"9999-12-31T23:59:60Z\\u0000\"", "\"10000-01-01T00:00:00Z\""]),
    ] {
        for value in values {
            let text = format!(r#"{{"{field}":{value}}}"#);
            let error = Changes::from_json(&text).expect_err(&text);
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let fields = faults(&error);
            assert!(fields == [field] || fields == ["solicitud"], "{text}: {error}");
        }
    }
    for (key, values) in [
        ("MaximoIntentos", &[json!(-1), json!(4_294_967_296u64), json!(1.5), json!("3")][..]),
        ("EdadMaximaSegundos", &[json!(-1), json!(1e30)]),
        ("FechaProgramada", &[json!("-999999-01-01T00:00:00Z"), json!("2026-13-01T00:00:00Z"), json!(0), json!("\n")]),
        ("FechaCreacion", &[json!("10000-01-01T00:00:00Z"), json!("")]),
        ("IdEjecucion", &[json!(""), json!("x".repeat(100_000)), json!("ccfc2443-088b-5aaa-a43f-145cc331b5b2\n")]),
        ("Origen", &[json!("root"), json!("a\nb".repeat(100_000)), json!("Calendario")]),
        ("Habilitado", &[json!(1), json!("si")]),
        ("Nombre", &[json!(["ventas"]), json!({"S": "ventas"})]),
    ] {
        for value in values {
            let error = text(&json!({key: value})).work("m", at(DUE)).expect_err(key);
            assert_eq!(error.kind(), ErrorKind::Malformed, "{key}");
            faults(&error);
        }
    }
}

#[test]
fn a_trigger_s_input_names_a_schedule_by_an_id_that_one_could_have() {
    for id in
        ["", "a b", "a\nb", "ñ", "a/b", "a\u{202e}", "a\"b"].map(String::from).into_iter().chain(["x".repeat(2_049)])
    {
        let error = TriggerInput::from_json(&json!({"IdCalendarizacion": id}).to_string()).expect_err(&id);
        assert_eq!(error.kind(), ErrorKind::Malformed);
        faults(&error);
    }
    let long = json!({"IdCalendarizacion": "x", "Relleno": " ".repeat(limits::MESSAGE)}).to_string();
    faults(&TriggerInput::from_json(&long).unwrap_err());
}

#[test]
fn a_huge_value_is_refused_without_being_repeated() {
    let huge = "\u{1b}[31m\n".repeat(100_000);
    for key in [
        "nombre",
        "cron",
        "arnProceso",
        "arnRol",
        "zonaHoraria",
        "grupo",
        "descripcion",
        "inicio",
        "habilitado",
        "ventanaMinutos",
    ] {
        let mut body = serde_json::to_value(lambda("ventas")).unwrap();
        body[key] = json!(huge);
        let refused = Registration::from_json(&body.to_string())
            .and_then(|registration| kairos::Policy::default().check(&registration));
        let error = refused.expect_err(key);
        assert!(faults(&error).contains(&key), "{key}: {error}");
    }
    let labels: serde_json::Map<_, _> =
        (0..20_000).map(|index| (format!("\n{index}{}", "k".repeat(200)), json!(""))).collect();
    let mut body = serde_json::to_value(lambda("ventas")).unwrap();
    body["etiquetas"] = labels.into();
    let text = body.to_string();
    assert!(text.len() > limits::REQUEST, "even what is too long to be read");
    let error = Registration::from_json(&text).unwrap_err();
    assert!(faults(&error) == ["solicitud"] && error.to_string().contains("2097152 are allowed"), "{error}");
    let registration: Registration = lambda("ventas").with_tags(
        (0..20_000)
            .map(|index| (format!("\n{index}{}", "k".repeat(200)), String::new()))
            .collect::<std::collections::BTreeMap<_, _>>(),
    );
    let error = kairos::Policy::default().check(&registration).unwrap_err();
    assert!(error.faults().len() <= 100 && error.to_string().len() < 100_000, "{}", error.faults().len());
}

#[tokio::test]
async fn every_hostile_body_lies_with_the_dead_letters_and_the_sound_one_beside_it_runs() {
    let world = World::new();
    let hostile = [
        String::new(),
        "\u{0}".into(),
        "[".repeat(1_000_000),
        "{\"IdProceso\":".repeat(50_000),
        "9".repeat(1_000_000),
        format!("\"{}\"", "\\u0000".repeat(100_000)),
        message(&json!({"Etiquetas": {"a": 1}})).to_string(),
        message(&json!({"ArnProceso": "\n"})).to_string(),
        message(&json!({"ArnProceso": "arn:aws:sqs:evil.example/#:123456789012:q", "FechaProgramada": "2026-01-03T00:00:00Z", "IdEjecucion": null})).to_string(),
    ];
    for text in &hostile {
        world.queue.inject(text.as_str());
    }
    world.queue.inject(message(&json!({"FechaProgramada": "2026-01-02T00:00:00Z", "IdEjecucion": null})).to_string());
    assert_eq!(world.execute().await.len(), hostile.len() + 1);
    assert_eq!((world.targets.calls().len(), world.queue.len()), (1, 0));
    let letters = world.queue.dead_letters();
    assert_eq!(letters.len(), hostile.len(), "nothing is lost");
    for (letter, text) in letters.iter().zip(&hostile) {
        assert!(letter.body.to_json() == *text);
        assert_line(&letter.reason.failure.text);
    }
}
