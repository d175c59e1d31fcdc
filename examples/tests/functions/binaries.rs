//! Each binary as it is deployed, over real servers.

use std::time::Duration;

use aws_sdk_sqs::types::MessageSystemAttributeName;
use kairos::chance::Chance;
use kairos::clock::{Clock as _, SystemClock};
use kairos::{ProcessId, Registration};
use kairos_examples::orders::OrderTable;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::runtime::{collect, until};
use crate::site::{ACCOUNT, Site};
use crate::{event, text};

fn name() -> String {
    format!("k{}", Chance::from_system().uuid().simple())
}

#[tokio::test]
async fn the_dispatcher_queues_each_process_once_and_invokes_itself_for_the_rest() {
    let site = Site::new(&name()).await;
    let schedule = event("trigger")["IdCalendarizacion"].as_str().unwrap().to_owned();
    site.write_older_rows(&schedule, 501).await;
    let mut function = site.start("dispatcher", env!("CARGO_BIN_EXE_dispatcher")).await;

    // Too little time for a second page.
    let answer = function.invoke(text("trigger.json"), 5).await.unwrap();
    assert_eq!(answer, json!({"Despachados": 500, "Continua": true}));
    assert_eq!(function.metrics().await["Dispatched"], 500);
    let [rest] = &function.continuations()[..] else { panic!("it did not go on: {:?}", function.lines()) };
    let (mut recorded, continued) = (event("continuation"), serde_json::from_str::<Value>(rest).unwrap());
    // The cursor names the table.
    recorded["Cursor"] = continued["Cursor"].clone();
    assert_eq!(continued, recorded);
    let answer = function.invoke(rest.as_str(), 60).await.unwrap();
    assert_eq!(answer, json!({"Despachados": 1, "Continua": false}));
    assert!(function.continuations().is_empty());
    assert_eq!(site.length(&site.queue).await, 501);

    // A cursor of another table, and what is no input at all, are errors that say so; nothing is queued.
    for (name, why) in [("continuation", "cursor"), ("trigger_malformed", "missing field `IdCalendarizacion`")] {
        let error = function.invoke(text(&format!("{name}.json")), 60).await.unwrap_err();
        assert!(error["errorMessage"].as_str().unwrap().contains(why), "{error}");
        assert_eq!(error["errorType"], "malformed");
        assert_eq!(function.metrics().await["Dispatched"], 0);
    }
    assert_eq!(site.length(&site.queue).await, 501);

    // Older triggers name no time, and a server may leave the placeholder in its place.
    for name in ["trigger_without_time", "trigger_placeholder"] {
        let answer = function.invoke(text(&format!("{name}.json")), 60).await.unwrap();
        assert_eq!(answer, json!({"Despachados": 501, "Continua": false}), "{name}");
    }
    let lines = function.lines();
    let logged =
        |line: &&String| line.contains("\"dispatched\"") && line.contains("00000000-0000-4000-8000-000000000001");
    assert!(lines.iter().any(|line| logged(&line)), "no line bears the request's id: {lines:?}");
}

#[tokio::test]
async fn a_dispatcher_that_relays_hands_the_rest_on_however_much_time_there_is() {
    let site = Site::new(&name()).await;
    let schedule = event("trigger")["IdCalendarizacion"].as_str().unwrap().to_owned();
    site.write_older_rows(&schedule, 501).await;
    let mut environment = site.environment();
    environment.push(("KAIROS_DISPATCH_RELAY", "on".into()));
    let path = env!("CARGO_BIN_EXE_dispatcher");
    let mut function = crate::runtime::Function::start("dispatcher", path, &environment).await;
    let answer = function.invoke(text("trigger.json"), 600).await.unwrap();
    assert_eq!(answer, json!({"Despachados": 500, "Continua": true}));
    let [rest] = &function.continuations()[..] else { panic!("it did not hand on: {:?}", function.lines()) };
    let answer = function.invoke(rest.as_str(), 600).await.unwrap();
    assert_eq!(answer, json!({"Despachados": 1, "Continua": false}));
    assert!(function.continuations().is_empty());
    assert_eq!(site.length(&site.queue).await, 501);
}

#[tokio::test]
async fn the_executor_answers_for_each_message_of_a_batch() {
    let site = Site::new(&name()).await;
    let target = format!("{}-ventas", site.app);
    let at_target = site.make_queue(&target).await;
    let recorded = event("sqs");
    // As the dispatchers have sent them, but to a target of this test.
    for record in recorded["Records"].as_array().unwrap() {
        let body = record["body"]
            .as_str()
            .unwrap()
            .replace("kairos-ventas\",\"Parametros", &format!("{target}\",\"Parametros"));
        site.sqs.send_message().queue_url(&site.queue).message_body(body).send().await.unwrap();
    }
    let mut function = site.start("executor", env!("CARGO_BIN_EXE_executor")).await;
    let batch = received(&site, &recorded).await;

    // A deadline that has passed: nothing is touched.
    let answer = function.invoke(batch.to_string(), 0).await.unwrap();
    assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 3);
    assert_eq!(function.metrics().await["untouched"], 3);

    let answer = function.invoke(batch.to_string(), 60).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    let metrics = function.metrics().await;
    assert_eq!((&metrics["Executed"], &metrics["DeadLettered"], &metrics["Failed"]), (&json!(2), &json!(1), &json!(0)));
    let letters = site.receive(&site.dead_letters).await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].body(), recorded["Records"][1]["body"].as_str());

    // It left the deletion of what was done to the event source; before that, it may be delivered again.
    assert_eq!(site.length(&site.queue).await, 2);
    let mut again = batch.clone();
    let malformed =
        batch["Records"].as_array().unwrap().iter().position(|record| record["body"] == recorded["Records"][1]["body"]);
    again["Records"].as_array_mut().unwrap().remove(malformed.unwrap());
    let answer = function.invoke(again.to_string(), 60).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!(function.metrics().await["DuplicatesSuppressed"], 2);
    assert_eq!(site.length(&at_target).await, 2, "each was executed once");

    // What is no batch is an error: all of it comes back.
    for malformed in [json!({"hola": 1}), json!({"Records": [{"body": "x"}]}), json!("x")] {
        let error = function.invoke(malformed.to_string(), 60).await.unwrap_err();
        assert!(!error["errorMessage"].as_str().unwrap().is_empty(), "{error}");
    }
    let named = |line: &String| {
        line.contains("f2dadf24-306b-57f6-9705-3b9b726389cb") && line.contains("proceso-Y2llcnJlLWRlLWNhamE.")
    };
    assert!(function.lines().iter().any(named), "no line names execution and process: {:?}", function.lines());
}

/// What an event source makes of the messages of the queue: the recorded event with these ids and receipts.
async fn received(site: &Site, recorded: &Value) -> Value {
    let mut records = Vec::new();
    while records.len() < 3 {
        for message in site.receive(&site.queue).await {
            let mut record = recorded["Records"][0].clone();
            record["messageId"] = message.message_id().into();
            record["receiptHandle"] = message.receipt_handle().into();
            record["body"] = message.body().into();
            let sent = &message.attributes().unwrap()[&MessageSystemAttributeName::SentTimestamp];
            record["attributes"]["SentTimestamp"] = sent.as_str().into();
            records.push(record);
        }
    }
    json!({"Records": records})
}

#[tokio::test]
async fn the_reconciler_finds_and_repairs() {
    let site = Site::new(&name()).await;
    let scheduler = site.scheduler();
    let target = format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:nadie");
    let registration =
        Registration::new("ventas", "rate(1 day)", target).with_role("arn:aws:iam::123456789012:role/kairos-ventas");
    let process = scheduler.register(&registration).await.unwrap().process;
    let triggers = aws_sdk_scheduler::Client::new(&site.services);
    let trigger = process.schedule_id.as_str();
    triggers.delete_schedule().group_name(&site.app).name(trigger).send().await.unwrap();

    let mut function = site.start("reconciler", env!("CARGO_BIN_EXE_reconciler")).await;
    let finding = |repair: &str| json!([format!("{trigger}: record without trigger: {repair}")]);
    let answer = function.invoke(text("reconcile.json"), 60).await.unwrap();
    assert_eq!(answer["Hallazgos"], finding("would be repaired"));
    // What a schedule of EventBridge sends without an input of its own.
    let answer = function.invoke(r#"{"source":"aws.events","detail":{}}"#, 60).await.unwrap();
    assert_eq!(answer["Hallazgos"], finding("repaired"));
    assert_eq!(function.metrics().await["Found"], 1);
    triggers.get_schedule().group_name(&site.app).name(trigger).send().await.unwrap();
    let answer = function.invoke("{}", 60).await.unwrap();
    assert_eq!(answer, json!({"Procesos": 1, "Calendarizaciones": 1, "Disparadores": 1, "Hallazgos": []}));
}

#[tokio::test]
async fn an_order_is_taken_once() {
    let site = Site::new(&name()).await;
    let name = format!("{}Pedidos", site.app);
    let table = OrderTable::new(site.dynamodb.clone(), name.as_str());
    table.create().await.unwrap();
    let mut environment = site.environment();
    environment.push(("ORDERS_TABLE", name));
    let mut function = crate::runtime::Function::start("orders", env!("CARGO_BIN_EXE_orders"), &environment).await;

    let order = event("order");
    let mut expected = json!({
        "IdEjecucion": order["IdEjecucion"], "Total": 350_991, "Descuento": 38_999, "Prioridad": "alta", "Repetido": false,
    });
    assert_eq!(function.invoke(order.to_string(), 60).await.unwrap(), expected);
    // Lambda calls again after an answer that was lost, Kairos after a crash.
    expected["Repetido"] = true.into();
    assert_eq!(function.invoke(order.to_string(), 60).await.unwrap(), expected);
    assert_eq!(table.in_state("pendiente").await.unwrap(), [order["IdEjecucion"].as_str().unwrap()]);

    let error = function.invoke(text("order_malformed.json"), 60).await.unwrap_err();
    let message =
        "the order cannot be taken: IdEjecucion is still '<kairos.execution-id>': only Kairos fills in placeholders";
    assert_eq!((&error["errorType"], &error["errorMessage"]), (&json!("refused"), &json!(message)));
}

#[tokio::test]
async fn the_worker_dispatches_and_executes_until_it_is_asked_to_stop() {
    let site = Site::new(&name()).await;
    let [inputs, at_target] = ["disparos", "ventas"].map(|what| format!("{}-{what}", site.app));
    let inputs = site.make_queue(&inputs).await;
    let target = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{at_target}");
    let at_target = site.make_queue(&at_target).await;
    let registration = Registration::new("ventas", "rate(1 day)", target)
        .with_role("arn:aws:iam::123456789012:role/kairos-ventas")
        .with_parameters("<kairos.execution-id>");
    let process = site.scheduler().register(&registration).await.unwrap().process;

    let environment = [("KAIROS_DISPATCH_QUEUE_URL", inputs.clone()), ("KAIROS_HEALTH_PORT", "0".to_owned())];
    let mut worker = site.spawn(env!("CARGO_BIN_EXE_worker"), &environment);
    let lines = collect(&mut worker);
    let logged = |what: &'static str| {
        let lines = lines.clone();
        until(move || lines.lock().unwrap().iter().find(|line| line.contains(what)).cloned())
    };
    let started: Value = serde_json::from_str(&logged("\"started\"").await.unwrap()).unwrap();
    let address = started["health"].as_str().unwrap().replace("0.0.0.0", "127.0.0.1");
    let mut ready = String::new();
    for _ in 0..600 {
        ready = ask(&address, "/ready").await;
        if ready.starts_with("HTTP/1.1 200") {
            break;
        }
        kairos::clock::ClockExt::sleep(&SystemClock, Duration::from_millis(100)).await;
    }
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(ask(&address, "/live").await.starts_with("HTTP/1.1 200"));

    let due = SystemClock.now();
    let input = json!({"IdCalendarizacion": process.schedule_id, "FechaProgramada": due.to_string()});
    site.sqs.send_message().queue_url(&inputs).message_body(input.to_string()).send().await.unwrap();
    let mut arrived = Vec::new();
    for _ in 0..12 {
        arrived = site.receive(&at_target).await;
        if !arrived.is_empty() {
            break;
        }
    }
    let execution = kairos::ExecutionId::of_occurrence(&ProcessId::of("ventas"), due);
    assert_eq!(arrived[0].body(), Some(execution.to_string().as_str()), "{:?}", lines.lock().unwrap());
    logged("\"handled\"").await.unwrap();

    let pid = worker.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let status = kairos::clock::ClockExt::within(&SystemClock, Duration::from_secs(60), worker.wait()).await;
    assert!(status.unwrap().unwrap().success());
    let stopped: Value = serde_json::from_str(&logged("\"stopped\"").await.unwrap()).unwrap();
    assert_eq!((&stopped["handled"], &stopped["unfinished"]), (&json!(1), &json!(0)));
    let lines = lines.lock().unwrap().clone();
    let metrics: Vec<_> =
        lines.iter().filter(|line| line.contains("\"_aws\"")).map(|line| crate::metrics::checked(line)).collect();
    let sum = |name: &str| metrics.iter().filter_map(|line| line[name].as_u64()).sum::<u64>();
    assert_eq!((sum("Dispatched"), sum("Executed")), (1, 1), "{lines:?}");
    assert_eq!((site.length(&inputs).await, site.length(&site.queue).await), (0, 0));
}

/// A request of a container's keeper, and the head of the answer.
async fn ask(address: &str, path: &str) -> String {
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_api_answers_through_both_kinds_of_gateway_and_knows_its_caller() {
    let site = Site::new(&name()).await;
    let mut function = site.start("api", env!("CARGO_BIN_EXE_api")).await;
    let body = |answer: &Value| serde_json::from_str::<Value>(answer["body"].as_str().unwrap()).unwrap();

    // A REST API's proxy event, through a stage, with an API key.
    let answer = function.invoke(text("api_rest.json"), 60).await.unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(body(&answer)["Nombre"], "informe-de-ventas");
    assert_eq!(body(&answer)["RegistradoPor"], "a1b2c3d4e5");
    // An HTTP API's event, with a query and a JWT.
    let answer = function.invoke(text("api_http.json"), 60).await.unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert!(answer["body"].as_str().unwrap().contains("informe-de-ventas"), "{answer}");
    // A query of a REST API, signed.
    let answer = function.invoke(text("api_rest_iam.json"), 60).await.unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");

    // What is wrong in a request is told; what is no request is an error.
    let mut wrong = event("api_rest");
    wrong["body"] = r#"{"nombre":"x","cron":"cron(0 9 * * * *)"}"#.into();
    let answer = function.invoke(wrong.to_string(), 60).await.unwrap();
    assert_eq!(answer["statusCode"], 400, "{answer}");
    assert_eq!(answer["multiValueHeaders"]["content-type"][0], "application/problem+json", "{answer}");
    wrong["path"] = "/Procesos/a b ñ".into();
    wrong["httpMethod"] = "GET".into();
    let answer = function.invoke(wrong.to_string(), 60).await.unwrap();
    assert!(["400", "404"].contains(&answer["statusCode"].to_string().as_str()), "{answer}");
    assert!(function.invoke(r#"{"hola":1}"#, 60).await.unwrap_err()["errorMessage"].is_string());

    let lines = function.lines();
    for caller in ["a1b2c3d4e5", "d7b3a1c4-5e6f-4708-9a1b-2c3d4e5f6071", "arn:aws:iam::123456789012:user/ana"] {
        let logged = |line: &String| line.contains(&format!("\"caller\":\"{caller}\"")) && line.contains("requestId");
        assert!(lines.iter().any(logged), "{caller}: {lines:?}");
    }
}
