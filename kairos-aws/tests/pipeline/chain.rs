//! One process in full, and what a configuration wires up.

use std::time::Duration;

use kairos::backend::{History as _, Receiver as _, ScheduleBackend as _, Trigger};
use kairos::chance::Chance;
use kairos::clock::{Clock as _, SystemClock, later};
use kairos::dispatcher::DispatchRequest;
use kairos::executor::Verdict;
use kairos::{ErrorKind, ExecutionState, Registration, Specification, TriggerInput};
use kairos_aws::{Config, TableOptions, create_tables};

use crate::place::{ACCOUNT, Place, ROLE, WAIT, config, endpoint, make_queue};

#[tokio::test]
async fn a_process_is_registered_fired_dispatched_executed_and_unregistered() {
    let place = Place::new().await;
    let at_target = make_queue(&place.sqs, format!("{}-ventas", place.name)).await;
    let soon = later(SystemClock.now(), Duration::from_secs(5)).strftime("at(%Y-%m-%dT%H:%M:%S)").to_string();
    let target = |queue: &str| format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}-{queue}", place.name);
    let sound = Registration::new("ventas", soon.as_str(), target("ventas"))
        .with_role(ROLE)
        .with_parameters(r#"{"ejecución":"<kairos.execution-id>"}"#);
    let broken = Registration::new("nadie", soon.as_str(), target("nadie")).with_role(ROLE).with_parameters("hola");
    let registered = place.scheduler.register(&sound).await.unwrap();
    assert!(registered.created && !place.scheduler.register(&sound).await.unwrap().created);
    place.scheduler.register(&broken).await.unwrap();

    // Both share one trigger, which fires.
    let fired = place.arrived(&place.triggered).await;
    let input = TriggerInput::from_json(fired.body().unwrap()).unwrap();
    assert_eq!(input.schedule_id, registered.process.schedule_id);
    let request = DispatchRequest::of_trigger(input, SystemClock.now());
    // A trigger is delivered twice now and then.
    for _ in 0..2 {
        let dispatched = place.dispatcher.dispatch(&request).await.unwrap();
        assert_eq!((dispatched.queued, dispatched.next), (2, None));
    }

    let mut verdicts = Vec::new();
    while verdicts.len() < 4 {
        verdicts.extend(place.execute().await);
    }
    let count = |is: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| is(verdict)).count();
    assert_eq!(count(|verdict| *verdict == Verdict::Succeeded), 1, "{verdicts:?}");
    assert_eq!(
        count(|verdict| matches!(verdict, Verdict::Dead(failure) if failure.kind == "not-found")),
        1,
        "{verdicts:?}"
    );
    assert_eq!(count(|verdict| matches!(verdict, Verdict::Duplicate | Verdict::Waiting { .. })), 2, "{verdicts:?}");

    // The effect at the target, the dead letter with its reason, and what history says of both.
    let arrived = place.arrived(&at_target).await;
    let execution = kairos::ExecutionId::of_occurrence(&registered.process.id, request.scheduled_time);
    assert_eq!(arrived.body(), Some(format!(r#"{{"ejecución":"{execution}"}}"#).as_str()));
    assert_eq!(place.history.get(execution).await.unwrap().unwrap().state, ExecutionState::Succeeded);
    let letter = place.arrived(&place.dead_letters).await;
    let attributes = format!("{:?}", letter.message_attributes());
    assert!(attributes.contains("not-found") && attributes.contains(&target("nadie")), "{attributes}");

    // The last one takes the trigger and the record with it.
    for name in ["ventas", "nadie"] {
        assert!(place.scheduler.unregister(&kairos::ProcessId::of(name)).await.unwrap());
    }
    let key = Trigger::new(registered.process.schedule_id.clone(), Specification::new(soon)).key();
    assert_eq!(place.schedules.get(&key).await.unwrap(), None);
    let error = place.scheduler.schedule(&registered.process.schedule_id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// What the configuration wires up, over one server for everything.
#[tokio::test]
async fn a_configuration_makes_three_algorithms_that_work_together() {
    let sdk = config(endpoint("KAIROS_TEST_AWS")).await;
    let sqs = aws_sdk_sqs::Client::new(&sdk);
    let mut config = Config::new(format!("k{}", Chance::from_system().uuid().simple()));
    let error = config.scheduler(&sdk).unwrap_err().to_string();
    assert!(error.contains("'Schedule/NombreGrupo' is not configured: set KAIROS_SCHEDULE_NOMBRE_GRUPO"), "{error}");

    let options = TableOptions::new().with_deletion_protection(false).with_point_in_time_recovery(false);
    create_tables(&aws_sdk_dynamodb::Client::new(&sdk), &config.tables().unwrap(), &options).await.unwrap();
    let app = config.app.clone();
    aws_sdk_scheduler::Client::new(&sdk).create_schedule_group().name(&app).send().await.unwrap();
    config.schedule_group = Some(app.clone());
    config.dispatcher_arn = Some(format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:{app}"));
    config.trigger_role_arn = Some(ROLE.into());
    config.role_prefix = Some("kairos-".into());
    config.queue_url = Some(make_queue(&sqs, format!("{app}-ejecuciones")).await);
    let at_target = make_queue(&sqs, format!("{app}-ventas")).await;

    let (scheduler, dispatcher) = (config.scheduler(&sdk).unwrap(), config.dispatcher(&sdk).unwrap());
    let executor = config.executor(&sdk).unwrap();
    let target = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{app}-ventas");
    let registration = Registration::new("ventas", "rate(1 day)", target).with_role(ROLE).with_parameters("hola");
    let stranger = registration.clone().with_role(format!("arn:aws:iam::{ACCOUNT}:role/otro"));
    assert_eq!(scheduler.register(&stranger).await.unwrap_err().faults()[0].field, "arnRol");
    let process = scheduler.register(&registration).await.unwrap().process;

    let request = DispatchRequest::new(process.schedule_id.clone(), SystemClock.now());
    assert_eq!(dispatcher.dispatch(&request).await.unwrap().queued, 1);
    let deliveries = config.queue(&sdk).unwrap().receive(10, WAIT).await.unwrap();
    let report = executor.execute(deliveries).await;
    assert_eq!(report.handled[0].verdict, Verdict::Succeeded);
    let arrived = sqs.receive_message().queue_url(at_target).wait_time_seconds(5).send().await.unwrap();
    assert_eq!(arrived.messages.unwrap()[0].body(), Some("hola"));
}
