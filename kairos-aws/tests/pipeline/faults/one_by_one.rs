//! While requests that were picked out meet a fault of one kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use kairos::backend::{History as _, Receiver as _, ScheduleBackend as _, Trigger};
use kairos::clock::{Clock as _, SystemClock};
use kairos::dispatcher::DispatchRequest;
use kairos::executor::ExecutorConfig;
use kairos::{ErrorKind, ExecutionId, ExecutionState, ProcessId};
use serde_json::{Value, json};

use super::{
    Lines, NextHour, QUEUE, SHORT, brisk, carried_out, direct, executed, holds, hurried, insist, is_empty, make_target,
    once, patient, reconciled, registered, registration, taken, target_of,
};
use crate::microburst::{Microburst, SLOW, trouble};
use crate::place::{Place, config, endpoint};

/// A request that was given up is carried out all the same, after the call that it belongs to was answered, and others after that.
#[tokio::test]
async fn what_arrives_late_undoes_nothing_that_was_answered_since() {
    let (place, lines) = (Place::new().await, Lines::new(SHORT).await);
    let scheduler = brisk(&lines.to(&place).await);
    let registration = registration(0, 1, &target_of(&place));
    let process = scheduler.register(&registration).await.unwrap().process;
    let late = |service: &str, operation: &str| {
        let slow = u64::try_from(SLOW.as_millis()).unwrap();
        json!({ "service": service, "operation": operation, "latency": slow, "times": 1 })
    };
    // Delayed as they were, it comes after them.
    let (tables, services) = (patient(&lines.tables).await, patient(&lines.services).await);
    let patient = place.through(&tables, &services, Arc::new(SystemClock));
    let key = Trigger::new(process.schedule_id.clone(), registration.specification()).key();

    lines.services.obey([late("scheduler", "DeleteSchedule"), late("scheduler", "GetSchedule")]).await;
    let failures = AtomicUsize::new(0);
    insist(&failures, || scheduler.unregister(&process.id)).await;
    let process = insist(&failures, || scheduler.register(&registration)).await.process;
    assert!(
        patient.schedules.get(&key).await.unwrap().is_some(),
        "a late deletion took the trigger that was created since"
    );

    lines.tables.obey([late("dynamodb", "TransactWriteItems"), late("dynamodb", "GetItem")]).await;
    let changed = insist(&failures, || scheduler.disable(&process.id)).await;
    let back = insist(&failures, || scheduler.enable(&process.id)).await;
    assert_eq!((changed.enabled, back.enabled), (false, true));
    assert!(patient.scheduler.process(&process.id).await.unwrap().enabled, "a late change came back");
    println!("late: {:?} {:?}, {failures:?} failed", lines.tables.fired().await, lines.services.fired().await);
}

/// Whoever asks again meets what it has done itself: a condition that holds no more, a trigger that exists.
#[tokio::test]
async fn what_was_done_without_an_answer_is_known_as_ones_own() {
    let (place, lines) = (Place::new().await, Lines::new(SHORT).await);
    let at_target = make_target(&place).await;
    let registration = registration(0, 1, &target_of(&place));
    let faulty = lines.to(&place).await;
    // The SDK makes three tries: with three answers lost, Kairos itself asks again, and with four, also the second time.
    let lost = |service: &str, operation: &str, body: Option<&str>, times: u64| {
        let fault = json!({ "abort_bytes": 0 });
        json!({ "service": service, "operation": operation, "body": body, "times": times, "response": fault })
    };
    let commits = || [lost("dynamodb", "TransactWriteItems", None, 4)];

    lines.tables.obey(commits()).await;
    lines.services.obey([lost("scheduler", "CreateSchedule", None, 1)]).await;
    let registered = faulty.scheduler.register(&registration).await.unwrap();
    let process = &registered.process;
    let record = place.scheduler.schedule(&process.schedule_id).await.unwrap();
    assert_eq!((registered.created, record.process_count, record.state.hold()), (true, Some(1), None));
    lines.tables.obey(commits()).await;
    assert!(!faulty.scheduler.disable(&process.id).await.unwrap().enabled);
    lines.tables.obey(commits()).await;
    assert!(faulty.scheduler.enable(&process.id).await.unwrap().enabled);

    let request = DispatchRequest::new(process.schedule_id.clone(), SystemClock.now());
    lines.services.obey([lost("sqs", "SendMessageBatch", None, 1), lost("sqs", "DeleteMessageBatch", None, 4)]).await;
    assert_eq!(faulty.dispatcher.dispatch(&request).await.unwrap().queued, 1);
    let claim = lost("dynamodb", "UpdateItem", Some("starts_with(ConditionExpression, 'attribute_not_exists')"), 4);
    let outcome = lost("dynamodb", "UpdateItem", Some("contains(UpdateExpression, '#FechaFin = ')"), 4);
    lines.tables.obey([claim, outcome]).await;
    let became = executed(&place, &lines, &patient(&lines.services).await).await;
    let id = ExecutionId::of_occurrence(&process.id, request.scheduled_time);
    let execution = place.history.get(id).await.unwrap().unwrap();
    assert_eq!((execution.state, execution.attempts), (ExecutionState::Succeeded, 1));
    once(taken(&place, &at_target).await, &BTreeSet::from([id.to_string()]));

    lines.tables.obey(commits()).await;
    lines.services.obey([]).await;
    assert!(faulty.scheduler.unregister(&process.id).await.unwrap());
    holds(&place, &BTreeMap::new()).await;
    let fired = (lines.tables.fired().await, lines.services.fired().await);
    println!("lost answers: deliveries {became:?}, {fired:?}");
    // A change that is found to have been made is not asked for again: its fourth answer is not lost.
    let (commits, writes): (Vec<u64>, Vec<u64>) =
        (fired.0.values().copied().collect(), fired.1.values().copied().collect());
    assert!(matches!(commits[..], [14..=16, 8]) && writes == [1, 4, 1], "{fired:?}");
}

/// An answer of nothing, which the SDK takes for one that says nothing: neither that there are no processes, nor that a claim was lost.
#[tokio::test]
async fn an_answer_of_nothing_is_no_answer() {
    let (place, lines) = (Place::new().await, Lines::new(SHORT).await);
    let (at_target, target) = (make_target(&place).await, target_of(&place));
    let schedule = registered(&place, &[target], 3).await;
    let nothing = |service: &str, operation: &str| json!({ "service": service, "operation": operation, "response": { "truncate_bytes": 0 }, "times": 1 });
    lines.tables.obey(["Query", "UpdateItem"].map(|operation| nothing("dynamodb", operation))).await;
    let queue = QUEUE.into_iter().chain(["GetQueueUrl"]).map(|operation| nothing("sqs", operation));
    lines.services.obey(queue.chain([nothing("sts", "AssumeRole")])).await;
    let expected = carried_out("nothing", &place, &lines, &patient(&lines.services).await, &schedule, 3).await;
    once(taken(&place, &at_target).await, &expected);
    let fired = (lines.tables.fired().await, lines.services.fired().await);
    println!("nothing: {fired:?}");
    assert!(fired.0.len() == 2 && fired.1.len() >= 5, "{fired:?}");
}

/// Two transactions that meet, as the service tells it, which neither server here does by itself.
#[tokio::test]
async fn changes_that_meet_others_are_made_again_and_give_up_in_the_end_without_a_trace() {
    let (place, lines) = (Place::new().await, Lines::new(SHORT).await);
    let (at_target, target) = (make_target(&place).await, target_of(&place));
    let scheduler = lines.to(&place).await.scheduler;
    let met = |operation: &str, error: Value| json!({ "service": "dynamodb", "operation": operation, "error": error });
    let cancelled = met(
        "TransactWriteItems",
        json!({
            "code": "TransactionCanceledException",
            "fields": { "CancellationReasons": [{ "Code": "TransactionConflict" }, { "Code": "None" }] },
        }),
    );

    lines.tables.obey([cancelled.clone()]).await;
    let error = scheduler.register(&registration(0, 1, &target)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    holds(&place, &BTreeMap::new()).await;
    let tries = lines.tables.fired().await.into_values().sum::<u64>();

    // Each commit meets three others; claims and records meet so many that none of them can be given up.
    let mut sometimes = cancelled;
    sometimes["sequence"] = json!({ "fail": 3, "pass": 1 });
    let mut conflict = met("UpdateItem", json!({ "code": "TransactionConflictException" }));
    let conflicts = u64::from(ExecutorConfig::default().history_attempts) - 1;
    conflict["times"] = conflicts.into();
    lines.tables.obey([sometimes, conflict]).await;
    for number in 0..3 {
        assert!(scheduler.register(&registration(number, 1, &target)).await.unwrap().created);
    }
    let schedule = registration(0, 1, &target).specification().schedule_id();
    assert_eq!(place.scheduler.schedule(&schedule).await.unwrap().process_count, Some(3));
    let expected = carried_out("conflicts", &place, &lines, &patient(&lines.services).await, &schedule, 3).await;
    once(taken(&place, &at_target).await, &expected);

    let fired = lines.tables.fired().await;
    println!("conflicts: {tries} until it gave up, then {fired:?}");
    let count = |operation: &str| fired.iter().filter(|((_, of, _), _)| of == operation).map(|(_, count)| count).sum();
    // The first registration has two transactions, as it makes the schedule.
    let (transactions, updates): (u64, u64) = (count("TransactWriteItems"), count("UpdateItem"));
    assert_eq!((transactions, updates), (tries + 4 * 3, conflicts), "{fired:?}");
}

/// A role that may not be assumed is nothing that passes: with the dead letters at once, and run once when it was put back.
#[tokio::test]
async fn what_was_denied_lies_with_the_dead_letters_and_runs_once_when_it_is_redriven() {
    let (place, lines) = (Place::new().await, Lines::new(SHORT).await);
    let (at_target, target) = (make_target(&place).await, target_of(&place));
    let schedule = registered(&place, &[target], 2).await;
    let faulty = lines.to(&place).await;
    let denied = "RoleArn == 'arn:aws:iam::123456789012:role/kairos-1'";
    let denied = json!({ "service": "sts", "operation": "AssumeRole", "body": denied, "error": { "code": "AccessDenied", "status": 403 } });
    lines.services.obey([denied]).await;

    let request = DispatchRequest::new(schedule, SystemClock.now());
    assert_eq!(faulty.dispatcher.dispatch(&request).await.unwrap().queued, 2);
    let targets = patient(&lines.services).await;
    let became = executed(&place, &lines, &targets).await;
    assert_eq!(became, BTreeMap::from([("succeeded", 1), ("dead", 1)]));
    let id = |number: usize| {
        ExecutionId::of_occurrence(&ProcessId::of(&format!("proceso {number}")), request.scheduled_time)
    };
    let dead = place.history.get(id(1)).await.unwrap().unwrap();
    assert_eq!((dead.state, dead.error.unwrap().kind.as_str()), (ExecutionState::Dead, "denied"));
    assert!(lines.services.fired().await.into_values().sum::<u64>() > 0);

    // Putting back meets faults of its own: the letter lies on the queue more than once then, and is run once.
    let troubles =
        ["SendMessage", "DeleteMessageBatch"].into_iter().flat_map(|operation| trouble("sqs", Some(operation)));
    lines.services.obey(troubles).await;
    while insist(&AtomicUsize::new(0), || faulty.queue.redrive(10)).await == 0 {}
    lines.services.obey([]).await;
    println!("redriven: {:?}", executed(&place, &lines, &targets).await);
    assert_eq!(place.history.get(id(1)).await.unwrap().unwrap().state, ExecutionState::Succeeded);
    once(taken(&place, &at_target).await, &[id(0), id(1)].map(|id| id.to_string()).into());
}

/// A line at whose other end nobody is: a proxy's page in plain text instead of the service's answer, with no code in it.
#[tokio::test]
async fn without_a_server_every_call_fails_as_unavailable_and_leaves_nothing_that_is_not_repaired() {
    let (place, line) = (Place::new().await, Microburst::before("http://127.0.0.1:1").await);
    let target = target_of(&place);
    let schedule = registered(&place, std::slice::from_ref(&target), 1).await;
    let request = DispatchRequest::new(schedule.clone(), SystemClock.now());
    let unavailable = |error: kairos::Error| assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");

    let (tables, services) =
        (config(endpoint("KAIROS_TEST_DYNAMODB")).await, config(endpoint("KAIROS_TEST_AWS")).await);
    let cut = hurried(&line).await;
    let without_tables = place.through(&cut, &services, Arc::new(SystemClock));
    let without_services = place.through(&tables, &cut, Arc::new(SystemClock));
    for without in [&without_tables, &without_services] {
        unavailable(without.scheduler.register(&registration(1, 2, &target)).await.unwrap_err());
        unavailable(without.dispatcher.dispatch(&request).await.unwrap_err());
    }
    unavailable(
        without_tables
            .history
            .get(ExecutionId::of_occurrence(&ProcessId::of("a"), request.scheduled_time))
            .await
            .unwrap_err(),
    );
    unavailable(without_services.queue.receive(10, Duration::ZERO).await.unwrap_err());

    let process = place.scheduler.process(&ProcessId::of("proceso 0")).await.unwrap();
    holds(&place, &BTreeMap::from([(process.id.clone(), process)])).await;
    let next_hour = direct(&place, Arc::new(NextHour { since: SystemClock.now() })).await;
    reconciled(&next_hour).await;
    assert!(is_empty(&place).await);
    println!("without a server: {} requests", line.seen().await);
}
