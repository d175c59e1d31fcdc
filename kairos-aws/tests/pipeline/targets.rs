//! A process for each kind of target, from its registration to what is found at the target.

#[allow(dead_code, reason = "each binary that shares it uses its own part")]
#[path = "../invoker/site.rs"]
mod site;

use std::collections::BTreeMap;
use std::time::Duration;

use kairos::backend::History as _;
use kairos::clock::{Clock as _, ClockExt as _, SystemClock};
use kairos::dispatcher::DispatchRequest;
use kairos::executor::Verdict;
use kairos::{ExecutionId, ExecutionState, ProcessId, Registration};
use serde_json::{Value, json};
use site::Site;

use crate::archive;
use crate::place::{Place, ROLE};

/// Where executions are found, by the name of their process.
async fn found(
    site: &Site,
    machine: &str,
    cluster: &str,
    kinds: &BTreeMap<&str, String>,
) -> Vec<(String, ExecutionId)> {
    let mut found = Vec::new();
    for message in site.arrived().await {
        // Functions are told nothing but their parameters.
        let body: Option<Value> = serde_json::from_str(&message.body).ok();
        let told = body.as_ref().and_then(|body| body["event"]["ejecución"].as_str());
        let id = message.execution_id().or_else(|| told.map(|id| id.parse().unwrap())).unwrap();
        let kind = match (&message.event(), told) {
            (Some(event), _) => event["detail-type"].as_str().unwrap().to_owned(),
            (None, Some(_)) => "función".into(),
            // What came by way of the topic, and what to either queue, is told by the process that it names.
            (None, None) => {
                let process = &message.attributes["kairos.process-id"].1;
                let kind = kinds.keys().find(|kind| ProcessId::of(kind).as_str() == process);
                (*kind.unwrap()).to_owned()
            }
        };
        found.push((kind, id));
    }
    found.extend(site.started(machine).await.into_iter().map(|taken| ("máquina".into(), taken.execution_id)));
    for (id, told) in site.ran(cluster).await {
        assert_eq!(told["KAIROS_EXECUTION_ID"], id.to_string());
        found.push(("tarea".into(), id));
    }
    found.sort();
    found
}

#[tokio::test]
async fn every_kind_of_target_is_called_once_and_shows_the_execution() {
    let (place, site) = (Place::new().await, Site::new().await);
    let (cluster, task) = site.cluster().await;
    let machine = site.state_machine().await;
    let targets = BTreeMap::from([
        ("función", site.function().await),
        ("máquina", machine.clone()),
        ("tema", site.topic("t").await),
        ("cola", site.queue("q").await),
        ("cola en orden", site.queue("q.fifo").await),
        ("tarea", cluster.clone()),
        ("evento", site.bus("b").await),
    ]);
    let parameters = json!({ "ejecución": "<kairos.execution-id>" }).to_string();
    let mut schedule = None;
    for (name, target) in &targets {
        let parameters = if *name == "tarea" { &task } else { &parameters };
        let registration = Registration::new(*name, "rate(1 day)", target).with_role(ROLE);
        let registered = place.scheduler.register(&registration.with_parameters(parameters)).await.unwrap();
        schedule = Some(registered.process.schedule_id.clone());
    }
    let request = DispatchRequest::new(schedule.unwrap(), SystemClock.now());
    // A trigger is delivered twice now and then.
    for _ in 0..2 {
        assert_eq!(place.dispatcher.dispatch(&request).await.unwrap().queued, targets.len());
    }
    let mut verdicts = Vec::new();
    while verdicts.len() < 2 * targets.len() {
        verdicts.extend(place.execute().await);
    }
    let succeeded = verdicts.iter().filter(|verdict| **verdict == Verdict::Succeeded).count();
    assert_eq!(succeeded, targets.len(), "{verdicts:?}");

    let mut expected: Vec<_> = targets
        .keys()
        .map(|name| (name.to_string(), ExecutionId::of_occurrence(&ProcessId::of(name), request.scheduled_time)))
        .collect();
    expected.sort();
    let mut seen = Vec::new();
    for _ in 0..400 {
        seen = found(&site, &machine, &cluster, &targets).await;
        if seen.len() >= expected.len() {
            break;
        }
        SystemClock.sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(seen, expected);
    for (name, id) in &expected {
        let execution = place.history.get(*id).await.unwrap().unwrap();
        assert_eq!(execution.state, ExecutionState::Succeeded, "{name}");
        assert!(place.scheduler.unregister(&ProcessId::of(name)).await.unwrap());
    }
    println!(
        "{} kinds of target, {} deliveries, {succeeded} calls, {} found",
        targets.len(),
        verdicts.len(),
        seen.len()
    );
}
