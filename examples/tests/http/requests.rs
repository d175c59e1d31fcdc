//! What a conversation in a file cannot show: headers, bytes, sizes, callers.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use kairos_examples::http::{Api, of_this_machine, router};
use kairos_memory::Embedded;
use serde_json::{Value, json};

use crate::support::{World, ask, of_caller, request};

#[tokio::test]
async fn a_key_may_come_in_the_header_with_or_without_quotes_or_in_the_body() {
    let world = World::new();
    let path = format!("/Procesos/{}/Ejecutar", world.registered("a").await);
    let with_key = |key: &str, text: &str| {
        let mut request = request("POST", &path, text);
        request.headers_mut().append("idempotency-key", key.parse().unwrap());
        request
    };
    let id = world.ask("POST", &path, r#"{"clave":"una"}"#).await.json();
    for (key, text) in [("una", ""), (r#""una""#, ""), ("una", r#"{"clave":"una"}"#), ("una", r#"{"clave":null}"#)] {
        assert_eq!(ask(&world.app, with_key(key, text)).await.json(), id, "{key} {text}");
    }
    assert_ne!(ask(&world.app, with_key("otra", "")).await.json(), id);
    let longest = "k".repeat(256);
    assert_eq!(ask(&world.app, with_key(&longest, "")).await.status, 200);
    let long = format!("{longest}k");
    for (key, text) in [("una", r#"{"clave":"otra"}"#), ("", ""), (long.as_str(), ""), ("a\tb", ""), ("\u{e9}", "")] {
        let answer = ask(&world.app, with_key(key, text)).await;
        assert_eq!((answer.status.as_u16(), answer.fields()), (400, vec!["Idempotency-Key".into()]), "{key:?} {text}");
    }
    let mut twice = with_key("una", "");
    twice.headers_mut().append("idempotency-key", "otra".parse().unwrap());
    assert_eq!(ask(&world.app, twice).await.fields(), ["Idempotency-Key"]);
    let control = ask(&world.app, request("POST", &path, r#"{"clave":"a\nb"}"#)).await;
    assert_eq!(control.fields(), ["clave"]);
}

#[tokio::test]
async fn who_registers_is_whoever_was_verified_and_nobody_else() {
    let world = World::new();
    let text = r#"{"nombre":"a","cron":"rate(1 day)","arnProceso":"kairos:task:ok","registradoPor":"eva"}"#;
    let mut forged = request("POST", "/Procesos", text);
    forged.headers_mut().append("caller", "eva".parse().unwrap());
    assert_eq!(ask(&world.app, forged).await.json().get("RegistradoPor"), None);
    world.ask("DELETE", "/Procesos/proceso-YQ..", "").await;

    let registered = ask(&world.app, of_caller(request("POST", "/Procesos", text), "ana")).await.json();
    assert_eq!(registered["RegistradoPor"], "ana");
    for (method, path) in
        [("POST", "/Procesos"), ("PUT", "/Procesos/proceso-YQ.."), ("PATCH", "/Procesos/proceso-YQ..")]
    {
        let answer = ask(&world.app, of_caller(request(method, path, text), "eva")).await;
        assert_eq!(answer.json(), registered, "{method}");
    }
    assert_eq!(world.ask("GET", "/Procesos/proceso-YQ..", "").await.json(), registered);

    let other = text.replace(r#""a""#, r#""b""#);
    let nobody = ask(&world.app, of_caller(request("POST", "/Procesos", &other), "")).await;
    assert_eq!(nobody.json().get("RegistradoPor"), None);
    let odd = ask(&world.app, of_caller(request("POST", "/Procesos", text), "a\nb")).await;
    assert_eq!(odd.fields(), ["registradoPor"]);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_not_read() {
    let world = World::new();
    let id = world.registered("a").await;
    let most = kairos::limits::REQUEST;
    let paths = ["/Procesos".to_owned(), format!("/Procesos/{id}/Ejecutar"), format!("/Procesos/{id}/Reprocesar")];
    for path in &paths {
        assert_eq!(world.ask("POST", path, &" ".repeat(most + 1)).await.status, 413, "{path}");
    }
    for method in ["PUT", "PATCH"] {
        assert_eq!(world.ask(method, &format!("/Procesos/{id}"), &" ".repeat(most + 1)).await.status, 413, "{method}");
    }
    assert_eq!(world.ask("POST", &paths[1], &" ".repeat(most)).await.status, 200);
    // Without a length that is told beforehand.
    let chunks = std::iter::repeat_n(Ok::<_, std::convert::Infallible>(vec![b' '; 1_000]), most / 1_000 + 1);
    let request = Request::post("/Procesos").body(Body::from_stream(futures_util::stream::iter(chunks))).unwrap();
    assert_eq!(ask(&world.app, request).await.status, 413);
}

#[tokio::test]
async fn what_is_not_utf8_is_refused_with_its_place() {
    let world = World::new();
    let text = b"{\"nombre\":\"\xff\"}".to_vec();
    let answer = ask(&world.app, Request::post("/Procesos").body(Body::from(text)).unwrap()).await;
    assert_eq!(answer.json()["errores"], json!([{"campo": "solicitud", "mensaje": "must be UTF-8", "posicion": 11}]));
}

#[tokio::test]
async fn the_media_type_of_a_request_does_not_matter() {
    let world = World::new();
    for media_type in ["application/json; charset=utf-8", "text/plain", "application/merge-patch+json", "x"] {
        let mut request =
            request("POST", "/Procesos", r#"{"nombre":"a","cron":"rate(1 day)","arnProceso":"kairos:task:ok"}"#);
        request.headers_mut().insert("content-type", media_type.parse().unwrap());
        assert_eq!(ask(&world.app, request).await.status, 200, "{media_type}");
    }
}

#[tokio::test]
async fn ids_that_nothing_can_have_are_not_asked_for() {
    let world = World::new();
    let long = "a".repeat(kairos::limits::ID + 1);
    for id in [long.as_str(), "%00", "a%20b", "%C3%B1", "..%2F.."] {
        for path in [format!("/Procesos/{id}"), format!("/Calendarizaciones/{id}"), format!("/Ejecuciones/{id}")] {
            assert_eq!(world.ask("GET", &path, "").await.status, 404, "{path}");
        }
        assert_eq!(world.ask("PATCH", &format!("/Procesos/{id}"), "{}").await.status, 404);
        for (path, name) in [("/Procesos", "calendarizacion"), ("/Ejecuciones", "proceso")] {
            assert_eq!(world.ask("GET", &format!("{path}?{name}={id}"), "").await.fields(), [name]);
        }
        let gone = world.ask("DELETE", &format!("/Procesos/{id}"), "").await;
        assert_eq!((gone.status.as_u16(), gone.json()["Eliminado"].clone()), (200, false.into()));
    }
}

#[tokio::test]
async fn a_listing_is_paged_through_to_its_end_by_its_cursors() {
    let world = World::new();
    for index in 0..7 {
        world.registered(&format!("p{index}")).await;
    }
    let mut cursor = String::new();
    let mut names = Vec::new();
    loop {
        let page = world.ask("GET", &format!("/Procesos?limite=3&cursor={cursor}"), "").await.json();
        let items = page["Procesos"].as_array().unwrap();
        assert!(items.len() <= 3);
        names.extend(items.iter().map(|process| process["Nombre"].as_str().unwrap().to_owned()));
        match page.get("Cursor") {
            Some(next) => next.as_str().unwrap().clone_into(&mut cursor),
            None => break,
        }
    }
    names.sort_unstable();
    assert_eq!(names, (0..7).map(|index| format!("p{index}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_stays_within_what_a_function_may_answer() {
    let world = World::new();
    let parameters = "\"".repeat(250_000);
    for index in 0..12 {
        let text = json!({"nombre": format!("p{index}"), "cron": "rate(1 day)", "arnProceso": "kairos:task:ok", "parametros": parameters});
        assert_eq!(world.ask("POST", "/Procesos", &text.to_string()).await.status, 200);
    }
    let (mut path, mut seen) = ("/Procesos?limite=1000".to_owned(), 0);
    loop {
        let answer = world.ask("GET", &path, "").await;
        // As the function's answer holds it: a text within JSON.
        assert!(Value::from(answer.text.clone()).to_string().len() < 6_000_000, "{}", answer.text.len());
        let page = answer.json();
        seen += page["Procesos"].as_array().unwrap().len();
        let Some(next) = page.get("Cursor") else { break };
        path = format!("/Procesos?limite=1000&cursor={}", next.as_str().unwrap());
    }
    assert_eq!(seen, 12);
}

#[tokio::test]
async fn without_history_there_are_no_executions() {
    let kairos = Embedded::builder().build();
    let app = router(Api::new(Arc::new(kairos.scheduler().clone()), kairos.clock().clone()));
    for path in ["/Ejecuciones", "/Ejecuciones/00000000-0000-0000-0000-000000000000"] {
        let answer = ask(&app, request("GET", path, "")).await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.json()["detail"], "there is no such history: it is switched off");
    }
}

#[tokio::test]
async fn the_document_is_served_as_it_is() {
    let answer = World::new().ask("GET", "/openapi.json", "").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json(), *crate::support::DOCUMENT);
}

#[tokio::test]
async fn on_one_s_own_machine_pages_are_not_answered() {
    let app = of_this_machine(World::new().app);
    let of = |headers: &[(&str, &str)]| {
        let mut request = request("GET", "/Procesos", "");
        for (name, value) in headers {
            request.headers_mut().insert(axum::http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        request
    };
    for host in ["127.0.0.1", "127.0.0.1:8080", "localhost:8080", "[::1]:80"] {
        assert_eq!(ask(&app, of(&[("host", host)])).await.status, 200, "{host}");
    }
    let here = ("host", "127.0.0.1:8080");
    for headers in
        [&[("host", "evil.example")][..], &[here, ("origin", "http://evil.example")], &[here, ("origin", "null")]]
    {
        // No document says so: it is not the router that refuses.
        let (parts, _) = tower::ServiceExt::oneshot(app.clone(), of(headers)).await.unwrap().into_parts();
        assert_eq!(parts.status, 403, "{headers:?}");
    }
}
