//! What is asked of EventBridge Scheduler, and what becomes of its answers, without a server.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_scheduler::operation::create_schedule::CreateScheduleInput;
use aws_sdk_scheduler::primitives::DateTime;
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, ScheduleState, Target,
};
use jiff::Timestamp;
use kairos::backend::{Trigger, TriggerKey};
use kairos::clock::{Clock as _, ManualClock};
use kairos::page::{Cursor, PageRequest};
use kairos::{Error, ErrorKind, ScheduleId, Specification};
use serde_json::{Value, json};

use super::model::Model;
use super::*;

/// A backend on the model, whose group exists, by a clock that is moved by hand.
struct Bench {
    model: Model,
    clock: ManualClock,
    schedules: EventBridgeSchedules,
}

impl Bench {
    fn new() -> Self {
        Self::with(|schedules| schedules)
    }

    fn with(configure: impl FnOnce(EventBridgeSchedules) -> EventBridgeSchedules) -> Self {
        let (model, clock) = (Model::default(), ManualClock::at("2026-03-01T12:00:30.5Z".parse().unwrap()));
        model.state().groups.insert("kairos".into());
        model.state().now = Some(clock.now());
        let schedules = EventBridgeSchedules::new(&model.client(), "kairos", LAMBDA, ROLE).unwrap();
        let schedules = configure(schedules.with_clock(Arc::new(clock.clone())));
        Self { model, clock, schedules }
    }

    /// The same service, asked by a backend that is configured otherwise.
    fn otherwise(&self, target: &str) -> EventBridgeSchedules {
        let schedules = EventBridgeSchedules::new(&self.model.client(), "kairos", target, ROLE).unwrap();
        schedules.with_clock(Arc::new(self.clock.clone()))
    }

    /// Creates a trigger, which must come back as it is, and gives it as the service has it.
    async fn create(&self, trigger: &Trigger) -> CreateScheduleInput {
        self.schedules.create(trigger).await.unwrap();
        let mut expected = trigger.clone();
        expected.anchor = None;
        assert_eq!(self.schedules.get(&trigger.key()).await.unwrap(), Some(expected));
        self.stored(&trigger.key())
    }

    fn stored(&self, key: &TriggerKey) -> CreateScheduleInput {
        let group = key.group.clone().unwrap_or_else(|| "kairos".into());
        self.model.state().schedules[&(group, key.schedule_id.to_string())].clone()
    }

    /// The end of a call that waits on the clock in between.
    async fn finish<T>(&self, call: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            answer = call => answer,
            () = async { loop { self.clock.pass(Duration::from_secs(1)).await } } => unreachable!("it goes on for ever"),
        }
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn of(specification: Specification) -> Trigger {
    Trigger::new(specification.schedule_id(), specification)
}

fn input(stored: &CreateScheduleInput) -> Value {
    serde_json::from_str(stored.target().unwrap().input().unwrap()).unwrap()
}

fn date(text: &str) -> DateTime {
    DateTime::from_secs(at(text).as_second())
}

fn fields(error: &Error) -> Vec<&'static str> {
    error.faults().iter().map(|fault| fault.field).collect()
}

#[tokio::test]
async fn a_trigger_hands_its_occurrence_to_the_dispatcher() {
    let bench = Bench::with(|schedules| {
        let dead_letters = "arn:aws:sqs:us-east-1:123456789012:kairos-muertos";
        schedules.with_dead_letters(dead_letters).with_retries(1_000, Duration::from_secs(1))
    });
    let trigger = of(Specification::new("cron(0 9 * * ? *)")).with_description("Cada día".to_owned());
    let stored = bench.create(&trigger).await;
    let target = stored.target().unwrap();
    assert_eq!(
        target.input(),
        Some(
            r#"{"IdCalendarizacion":"calendarizacion-Y3JvbigwIDkgKiAqID8gKik.","FechaProgramada":"<aws.scheduler.scheduled-time>"}"#
        )
    );
    assert_eq!((target.arn(), target.role_arn(), target.sqs_parameters()), (LAMBDA, ROLE, None));
    let retries = target.retry_policy().unwrap();
    let (most, age) = (retries.maximum_retry_attempts(), retries.maximum_event_age_in_seconds());
    assert_eq!((most, age), (Some(185), Some(60)), "brought within what the service takes");
    let dead_letters = target.dead_letter_config().unwrap().arn();
    assert_eq!(dead_letters, Some("arn:aws:sqs:us-east-1:123456789012:kairos-muertos"));
    assert_eq!(stored.schedule_expression(), Some("cron(0 9 * * ? *)"));
    assert_eq!(stored.schedule_expression_timezone(), Some("UTC"));
    assert_eq!((stored.start_date(), stored.end_date()), (None, None));
    assert_eq!(stored.flexible_time_window().unwrap().mode(), &FlexibleTimeWindowMode::Off);
    assert_eq!(stored.state(), Some(&ScheduleState::Enabled));
    assert_eq!(stored.action_after_completion(), Some(&ActionAfterCompletion::None));
    assert_eq!(stored.description(), Some("Cada día"));
}

#[tokio::test]
async fn the_queue_of_a_dispatcher_is_a_target_too_and_a_fifo_queue_gets_a_group() {
    let bench = Bench::new();
    for (name, group) in [("kairos", None), ("kairos.fifo", Some("calendarizacion-x"))] {
        let schedules = bench.otherwise(&format!("arn:aws:sqs:us-east-1:123456789012:{name}"));
        let trigger = Trigger::new("calendarizacion-x".into(), Specification::new("cron(0 9 * * ? *)"));
        schedules.create(&trigger).await.unwrap();
        let stored = bench.stored(&trigger.key());
        let parameters = stored.target().unwrap().sqs_parameters();
        assert_eq!(parameters.and_then(|parameters| parameters.message_group_id()), group);
    }
}

#[tokio::test]
async fn what_the_service_and_the_name_say_is_not_written_twice() {
    let bench = Bench::with(|schedules| schedules.with_groups(["nocturno"]));
    bench.model.state().groups.insert("nocturno".into());
    for specification in [
        Specification::new("0 9 * * ? *"),
        Specification::new("at(2026-12-31T23:59:59)"),
        Specification::new("cron(0 9 ? * MON-FRI *)")
            .with_time_zone("America/Santiago")
            .with_start(at("2026-03-02T00:00:00Z"))
            .with_end(at("2027-01-01T00:00:00Z"))
            .with_window_minutes(15)
            .with_group("nocturno"),
    ] {
        let stored = bench.create(&of(specification.clone())).await;
        assert_eq!(input(&stored).get("Definicion"), None, "{specification:?}");
        assert!(stored.schedule_expression().unwrap().ends_with(')'));
    }
}

#[tokio::test]
async fn what_they_do_not_say_stands_in_the_input() {
    let bench = Bench::with(|schedules| schedules.with_groups(["nocturno"]));
    let daily = || Specification::new("cron(0 9 * * ? *)");
    let past = at("2026-02-01T00:00:00Z");
    // Each with the start and the end that the service gets.
    for (specification, start, end) in [
        // Its name does not say how it was written.
        (Specification::new("0 9 * * ? *").with_window_minutes(5), None, None),
        (daily().with_start(past), None, None),
        (daily().with_start(at("2026-03-02T08:59:59.5Z")), Some("2026-03-02T09:00:00Z"), None),
        (daily().with_end(at("2026-03-05T09:00:00.5Z")), None, Some("2026-03-05T09:00:00Z")),
        (daily().with_group("kairos"), None, None),
        (Specification::new("rate(1 hour)").with_start(past), Some("2026-03-01T13:00:00Z"), None),
    ] {
        let stored = bench.create(&of(specification.clone())).await;
        assert_eq!(input(&stored)["Definicion"], serde_json::to_value(&specification).unwrap());
        assert_eq!(stored.start_date().copied(), start.map(date), "{specification:?}");
        assert_eq!(stored.end_date().copied(), end.map(date), "{specification:?}");
        assert_eq!(stored.state(), Some(&ScheduleState::Enabled));
    }
}

#[tokio::test]
async fn what_was_written_counts_only_while_nobody_changed_the_trigger() {
    let bench = Bench::new();
    let trigger = of(Specification::new("0 9 * * ? *").with_end(at("2027-01-01T00:00:00.5Z")));
    let stored = bench.create(&trigger).await;
    let changes: [fn(&mut CreateScheduleInput); 4] = [
        |stored| stored.schedule_expression = Some("cron(0 10 * * ? *)".into()),
        |stored| stored.schedule_expression_timezone = Some("America/Lima".into()),
        |stored| stored.end_date = Some(DateTime::from_secs(2_000_000_000)),
        |stored| {
            let window = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Flexible);
            stored.flexible_time_window = Some(window.maximum_window_in_minutes(5).build().unwrap());
        },
    ];
    for change in changes {
        let mut changed = stored.clone();
        change(&mut changed);
        let key = ("kairos".to_owned(), trigger.schedule_id.to_string());
        bench.model.state().schedules.insert(key, changed);
        let found = bench.schedules.get(&trigger.key()).await.unwrap().unwrap();
        assert_ne!(found.specification, trigger.specification);
        assert_eq!(bench.schedules.create(&trigger).await.unwrap_err().kind(), ErrorKind::Conflict);
    }
}

#[tokio::test]
async fn a_rate_goes_on_from_its_anchor() {
    let bench = Bench::new();
    let trigger = of(Specification::new("rate(7 hours)"));
    for (anchor, next) in [
        ("2026-03-01T12:00:30Z", "2026-03-01T19:00:30Z"),
        ("2026-02-01T00:00:00Z", "2026-03-01T14:00:00Z"),
        ("2026-04-01T00:00:00Z", "2026-04-01T00:00:00Z"),
    ] {
        let stored = bench.create(&trigger.clone().with_anchor(at(anchor))).await;
        assert_eq!(stored.start_date().copied(), Some(date(next)), "{anchor}");
        bench.schedules.delete(&trigger.key()).await.unwrap();
    }
}

#[tokio::test]
async fn a_trigger_with_no_occurrence_left_is_disabled() {
    let bench = Bench::new();
    for (specification, state) in [
        (Specification::new("cron(0 9 * * ? *)").with_end(at("2026-02-01T00:00:00Z")), ScheduleState::Disabled),
        (Specification::new("cron(0 9 30 2 ? *)"), ScheduleState::Disabled),
        (Specification::new("at(2026-03-01T11:59:00)"), ScheduleState::Disabled),
        // By the service's clock it may still be due.
        (Specification::new("at(2026-03-01T12:00:00)"), ScheduleState::Enabled),
    ] {
        let stored = bench.create(&of(specification.clone())).await;
        assert_eq!(stored.state(), Some(&state), "{specification:?}");
        assert_eq!(stored.end_date(), None);
        // Also the second time nothing is changed.
        bench.schedules.create(&of(specification)).await.unwrap();
    }
    assert!(!bench.model.state().calls.contains(&"update"));
}

#[tokio::test]
async fn a_creation_brings_a_trigger_up_to_date_that_delivers_elsewhere() {
    let bench = Bench::new();
    let trigger = of(Specification::new("rate(7 hours)")).with_anchor(at("2026-03-01T00:00:00Z"));
    let trigger = trigger.with_description("Primera".to_owned());
    bench.create(&trigger).await;
    // Its start has passed by the time that it is changed.
    bench.clock.advance(Duration::from_secs(24 * 60 * 60));
    bench.model.state().now = Some(bench.clock.now());
    let other = "arn:aws:lambda:us-east-1:123456789012:function:otro";
    let schedules = bench.otherwise(other);
    let again = trigger.clone().with_anchor(bench.clock.now()).with_description("Segunda".to_owned());
    let arn = schedules.create(&again).await.unwrap();
    assert!(arn.ends_with(trigger.schedule_id.as_str()), "{arn}");
    let stored = bench.stored(&trigger.key());
    assert_eq!(stored.target().unwrap().arn(), other);
    assert_eq!(
        stored.start_date().copied(),
        Some(date("2026-03-02T18:00:00Z")),
        "whole intervals from where it counted"
    );
    assert_eq!(stored.description(), Some("Primera"));
    assert_eq!(schedules.create(&again).await.unwrap(), arn);
    assert_eq!(bench.model.state().calls.iter().filter(|call| **call == "update").count(), 1);
}

#[tokio::test]
async fn a_creation_enables_what_somebody_disabled() {
    let bench = Bench::new();
    let trigger = of(Specification::new("cron(0 9 * * ? *)"));
    let mut stored = bench.create(&trigger).await;
    stored.state = Some(ScheduleState::Disabled);
    bench.model.state().schedules.insert(("kairos".into(), trigger.schedule_id.to_string()), stored);
    bench.schedules.create(&trigger).await.unwrap();
    assert_eq!(bench.stored(&trigger.key()).state(), Some(&ScheduleState::Enabled));
}

/// It has no occurrence in its input, and fields that only the service's console gives.
#[tokio::test]
async fn a_trigger_of_the_older_system_is_read_and_adopted() {
    let bench = Bench::new();
    let id: ScheduleId = Specification::new("0 9 ? * MON-FRI *").schedule_id();
    let target = Target::builder().arn("arn:aws:lambda:us-east-1:123456789012:function:viejo").role_arn(ROLE);
    let target = target.input(json!({ "IdCalendarizacion": id }).to_string()).build().unwrap();
    let older = CreateScheduleInput::builder()
        .name(id.as_str())
        .group_name("kairos")
        .schedule_expression("cron(0 9 ? * MON-FRI *)")
        .flexible_time_window(FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build().unwrap())
        .target(target);
    let key = ("kairos".to_owned(), id.to_string());
    bench.model.state().schedules.insert(key, older.build().unwrap());

    let trigger = of(Specification::new("0 9 ? * MON-FRI *"));
    assert_eq!(bench.schedules.get(&trigger.key()).await.unwrap(), Some(trigger.clone()));
    bench.schedules.create(&trigger).await.unwrap();
    let stored = bench.stored(&trigger.key());
    assert_eq!(
        (stored.target().unwrap().arn(), &input(&stored)["FechaProgramada"]),
        (LAMBDA, &json!("<aws.scheduler.scheduled-time>"))
    );
    bench.schedules.delete(&trigger.key()).await.unwrap();
    assert!(bench.model.is_empty());
}

#[tokio::test]
async fn what_the_service_would_refuse_is_refused_by_field() {
    let bench = Bench::with(|schedules| schedules.with_groups(["nocturno"]));
    let daily = || Specification::new("cron(0 9 * * ? *)");
    let named = |name: &str| Trigger::new(name.into(), daily());
    // 256 characters as they are written, 262 as the service wants them.
    let list = "0,".repeat(120);
    let long = format!("{list}0 9 * * ? *{}", " ".repeat(256 - list.len() - 11));
    for (trigger, field) in [
        (named(&"x".repeat(65)), "idCalendarizacion"),
        (named(""), "idCalendarizacion"),
        (named("calendarizacion x"), "idCalendarizacion"),
        (of(daily().with_group("de noche")), "grupo"),
        (of(daily().with_group("diurno")), "grupo"),
        (of(daily().with_window_minutes(0)), "ventanaMinutos"),
        (of(daily().with_window_minutes(1_441)), "ventanaMinutos"),
        (of(daily().with_start(at("2027-01-01T00:00:00Z")).with_end(at("2027-01-01T00:00:00Z"))), "fin"),
        (of(daily()).with_description("ñ".repeat(513)), "descripcion"),
        (of(Specification::new(long.as_str())), "cron"),
        (of(Specification::new("cron(0 9 * * * *)")), "cron"),
        (of(daily().with_time_zone("Marte/Olimpo")), "zonaHoraria"),
    ] {
        let error = bench.schedules.create(&trigger).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Invalid, Some("create")));
        assert_eq!(fields(&error), [field]);
    }
    for name in ["", "a/b", &"x".repeat(65)] {
        let key = TriggerKey { schedule_id: name.into(), group: None };
        assert_eq!(bench.schedules.get(&key).await.unwrap(), None);
        bench.schedules.delete(&key).await.unwrap();
    }
    assert!(bench.model.state().calls.is_empty(), "{:?}", bench.model.state().calls);
    bench.create(&of(daily()).with_description("ñ".repeat(512))).await;
}

#[test]
fn a_configuration_is_checked() {
    let client = Client::from_conf(config().build());
    for (group, target, role, field) in [
        ("", LAMBDA, ROLE, "group"),
        ("kairos", "arn:aws:sns:us-east-1:123456789012:avisos", ROLE, "target"),
        ("kairos", "kairos:task:ventas", ROLE, "target"),
        ("kairos", LAMBDA, LAMBDA, "role"),
    ] {
        let error = EventBridgeSchedules::new(&client, group, target, role).unwrap_err();
        assert_eq!((error.kind(), fields(&error)), (ErrorKind::Invalid, vec![field]));
    }
}

#[tokio::test]
async fn a_missing_group_is_created_with_its_tags_where_that_is_wanted() {
    let trigger = of(Specification::new("cron(0 9 * * ? *)").with_group("nocturno"));
    let bench = Bench::with(|schedules| schedules.with_groups(["nocturno"]));
    assert_eq!(bench.schedules.create(&trigger).await.unwrap_err().kind(), ErrorKind::NotFound);
    let page = PageRequest::first(10);
    let home = bench.schedules.list(&page).await.unwrap();
    let error = bench.schedules.list(&page.clone().with_cursor(home.next)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "a group that is misspelt must not look like one without triggers");

    let creating = Bench::with(|schedules| {
        schedules.with_groups(["nocturno"]).with_group_creation([("app".to_owned(), "kairos".to_owned())])
    });
    let home = creating.schedules.list(&page).await.unwrap();
    let away = creating.schedules.list(&page.with_cursor(home.next)).await.unwrap();
    assert_eq!((away.items, away.next), (vec![], None), "nothing has been created in it yet");
    creating.model.state().calls.clear();
    creating.schedules.create(&trigger).await.unwrap();
    assert_eq!(creating.model.state().calls, ["create", "create group", "create"]);
    assert_eq!(creating.model.state().tags, [("app".to_owned(), "kairos".to_owned())]);
}

#[tokio::test]
async fn changes_that_meet_others_are_tried_again_and_not_for_ever() {
    let bench = Bench::new();
    let trigger = of(Specification::new("cron(0 9 * * ? *)"));
    bench.model.state().conflicts = 2;
    bench.finish(bench.schedules.create(&trigger)).await.unwrap();
    bench.model.state().conflicts = 2;
    bench.finish(bench.schedules.delete(&trigger.key())).await.unwrap();
    assert!(bench.model.is_empty());

    bench.model.state().conflicts = usize::MAX;
    bench.model.state().calls.clear();
    let error = bench.finish(bench.schedules.create(&trigger)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(bench.model.state().calls, ["create", "get"].repeat(5));
    let error = bench.finish(bench.schedules.delete(&trigger.key())).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Unavailable, Some("delete")));
}

#[tokio::test]
async fn a_listing_goes_through_every_group_of_ours_and_no_other() {
    let bench = Bench::with(|schedules| schedules.with_groups(["diurno", "nocturno"]));
    bench.model.state().groups.extend(["diurno".to_owned(), "nocturno".to_owned(), "ajeno".to_owned()]);
    let mut expected = Vec::new();
    for minute in 0..45 {
        let specification = Specification::new(format!("cron({minute} 9 * * ? *)"));
        let specification = if minute < 20 { specification } else { specification.with_group("nocturno") };
        let trigger = of(specification);
        bench.schedules.create(&trigger).await.unwrap();
        expected.push(trigger);
    }
    let strange = bench.stored(&expected[0].key());
    bench.model.state().schedules.insert(("ajeno".into(), expected[0].schedule_id.to_string()), strange);
    for limit in [1, 7, 20, 1_000] {
        let mut listed = Vec::new();
        let mut page = PageRequest::first(limit);
        loop {
            let found = bench.schedules.list(&page).await.unwrap();
            assert!(found.items.len() <= limit);
            listed.extend(found.items);
            let Some(next) = found.next else { break };
            page = page.with_cursor(next);
        }
        listed.sort_by_key(Trigger::key);
        expected.sort_by_key(Trigger::key);
        assert_eq!(listed, expected, "{limit}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_listing_is_refused_also_by_the_service() {
    let bench = Bench::with(|schedules| schedules.with_groups(["nocturno"]));
    bench.model.state().groups.insert("nocturno".into());
    let page = PageRequest::first(10);
    let next = bench.schedules.list(&page).await.unwrap().next.unwrap();
    let narrower = bench.otherwise(LAMBDA);
    let error = narrower.list(&page.clone().with_cursor(next)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "a group that is no longer ours");
    for text in ["", "x", "0000000000000000.kairos/"] {
        let error = bench.schedules.list(&page.clone().with_cursor(Cursor::new(text))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{text}");
    }
    // A token that the service no longer knows.
    bench.model.state().stale_tokens = true;
    for minute in 0..2 {
        bench.schedules.create(&of(Specification::new(format!("cron({minute} 9 * * ? *)")))).await.unwrap();
    }
    let page = PageRequest::first(1);
    let next = bench.schedules.list(&page).await.unwrap().next;
    let error = bench.schedules.list(&page.with_cursor(next)).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Malformed, Some("list")));
}
