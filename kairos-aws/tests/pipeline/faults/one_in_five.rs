//! While one request in five meets a fault.
//!
//! What holds of a target whose answer was lost after the call depends on the target: a FIFO queue and a state machine know the execution
//! by its id, and take it once; a standard queue, a topic and a function cannot, so for these the faults are everywhere else.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use futures_util::{StreamExt as _, stream};
use kairos::clock::{Clock as _, SystemClock};
use kairos::scheduler::ReconcileMode;
use kairos::{Changes, ProcessId};
use serde_json::{Value, json};

use super::{
    LONG, Lines, NextHour, QUEUE, SHORT, brisk, carried_out, direct, holds, hurried, insist, make_target, once,
    patient, reconciled, registered, registration, taken, target_of,
};
use crate::microburst::{nonsense, trouble};
use crate::place::{ACCOUNT, Place, ROLE, config, endpoint};

#[tokio::test]
async fn what_is_answered_under_faults_is_so_and_what_failed_can_be_called_again() {
    const PROCESSES: usize = 32;
    const SCHEDULES: usize = 8;
    let (place, lines) = (Place::new().await, Lines::new(SHORT).await);
    let scheduler = &brisk(&lines.to(&place).await);
    let next_hour = direct(&place, Arc::new(NextHour { since: SystemClock.now() })).await;
    let target = target_of(&place);
    lines.tables.obey(trouble("dynamodb", None)).await;
    lines.services.obey(trouble("scheduler", None)).await;

    let failures = &AtomicUsize::new(0);
    let registrations: Vec<_> =
        (0..PROCESSES).map(|number| registration(number, 1 + number % SCHEDULES, &target)).collect();
    let registered = stream::iter(&registrations)
        .map(|registration| insist(failures, || scheduler.register(registration)))
        .buffer_unordered(8)
        .map(|registered| (registered.process.id.clone(), registered.process));
    let expected: BTreeMap<_, _> = registered.collect().await;
    let failed_registrations = failures.swap(0, Ordering::Relaxed);
    holds(&place, &expected).await;
    let left_by_registrations = reconciled(&next_hour).await;
    holds(&place, &expected).await;

    // To other schedules, switched off, with other parameters, and once more as it is.
    let changed = stream::iter(registrations.iter().enumerate())
        .map(|(number, registration)| async move {
            let id = &ProcessId::of(&registration.name);
            let process = match number / SCHEDULES {
                0 => {
                    let mut moved = registration.clone();
                    moved.expression = format!("rate({} days)", 101 + number % 3);
                    insist(failures, || scheduler.update(id, &moved)).await
                }
                1 => insist(failures, || scheduler.disable(id)).await,
                2 => {
                    let mut changes = Changes::default();
                    changes.parameters = Some(Some("otros".into()));
                    insist(failures, || scheduler.patch(id, &changes)).await
                }
                _ => insist(failures, || scheduler.register(registration)).await.process,
            };
            (process.id.clone(), process)
        })
        .buffer_unordered(8);
    let expected: BTreeMap<_, _> = changed.collect().await;
    let failed_changes = failures.swap(0, Ordering::Relaxed);
    holds(&place, &expected).await;
    let left_by_changes = reconciled(&next_hour).await;
    holds(&place, &expected).await;

    let ids: Vec<_> = expected.into_keys().collect();
    let unregistered = stream::iter(&ids).map(|id| insist(failures, || scheduler.unregister(id))).buffer_unordered(8);
    unregistered.collect::<Vec<_>>().await;
    holds(&place, &BTreeMap::new()).await;
    let left_by_unregistrations = reconciled(&next_hour).await;
    let nothing = next_hour.scheduler.reconcile(ReconcileMode::DryRun).await.unwrap();
    assert_eq!(nothing.examined, (0, 0, 0));

    println!(
        "{PROCESSES} processes on {SCHEDULES} schedules: calls that failed and what was left behind, registering \
         {failed_registrations} and {left_by_registrations}, changing {failed_changes} and {left_by_changes}, unregistering {} and \
         {left_by_unregistrations}",
        failures.load(Ordering::Relaxed)
    );
    lines.fired("registrations", &["dynamodb", "scheduler"]).await;
}

/// At a queue that cannot know that it has been sent the same execution before; so its own answers arrive.
async fn takes_effect_once(what: &str, count: usize, hold: Duration, faults: fn(&str, Option<&str>) -> Vec<Value>) {
    let (place, lines) = (Place::new().await, Lines::new(hold).await);
    let (at_target, target) = (make_target(&place).await, target_of(&place));
    let schedule = registered(&place, &[target], count).await;
    lines.tables.obey(faults("dynamodb", None)).await;
    let queue = QUEUE.into_iter().chain(["GetQueueUrl"]).flat_map(|operation| faults("sqs", Some(operation)));
    lines.services.obey(queue.chain(faults("sts", None))).await;
    let expected = carried_out(what, &place, &lines, &patient(&lines.services).await, &schedule, count).await;
    once(taken(&place, &at_target).await, &expected);
    lines.fired(what, &["dynamodb", "sqs", "sts"]).await;
}

#[tokio::test]
async fn each_execution_takes_effect_once_under_faults_all_around_its_target() {
    takes_effect_once("trouble", 40, LONG, trouble).await;
}

#[tokio::test]
async fn each_execution_takes_effect_once_where_answers_cannot_be_read() {
    takes_effect_once("nonsense", 30, SHORT, nonsense).await;
}

/// At targets that know an execution by its id, whose own answers are lost too.
#[tokio::test]
async fn each_execution_takes_effect_once_at_targets_that_know_it_though_their_answers_are_lost() {
    const PROCESSES: usize = 40;
    let (place, lines) = (Place::new().await, Lines::new(LONG).await);
    let fifo = HashMap::from([(QueueAttributeName::FifoQueue, "true".to_owned())]);
    let name = format!("{}-ventas.fifo", place.name);
    let queue = place.sqs.create_queue().queue_name(&name).set_attributes(Some(fifo)).send().await.unwrap();
    let steps = aws_sdk_sfn::Client::new(&config(endpoint("KAIROS_TEST_AWS")).await);
    let definition = json!({ "StartAt": "Fin", "States": { "Fin": { "Type": "Pass", "End": true } } }).to_string();
    let machine = steps.create_state_machine().name(&place.name).definition(definition).role_arn(ROLE).send();
    let machine = machine.await.unwrap().state_machine_arn;
    let targets = [format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"), machine.clone()];
    let schedule = registered(&place, &targets, PROCESSES).await;

    let targets = trouble("sqs", Some("SendMessage")).into_iter().chain(trouble("stepfunctions", None));
    lines.services.obey(targets.chain(trouble("sts", None))).await;
    lines.tables.obey(trouble("dynamodb", None)).await;
    let expected = carried_out("targets", &place, &lines, &hurried(&lines.services).await, &schedule, PROCESSES).await;
    let mut effects = taken(&place, &queue.queue_url.unwrap()).await;
    let mut pages = steps.list_executions().state_machine_arn(machine).into_paginator().items().send();
    while let Some(started) = pages.next().await {
        effects.push(started.unwrap().name);
    }
    once(effects, &expected);
    lines.fired("targets", &["dynamodb", "sqs", "stepfunctions", "sts"]).await;
}
