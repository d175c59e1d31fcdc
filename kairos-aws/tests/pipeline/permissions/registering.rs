//! What registers processes, and what dispatches them.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use kairos::backend::{ProcessFilter, Receiver as _, ScheduleBackend as _, Trigger};
use kairos::clock::{Clock as _, SystemClock, earlier};
use kairos::dispatcher::DispatchRequest;
use kairos::page::PageRequest;
use kairos::scheduler::{Backfill, ReconcileMode, Repair, SchedulerConfig};
use kairos::{Changes, ProcessId, Registration, ScheduleId, Scheduler};
use kairos_aws::EventBridgeSchedules;

use super::account::{Site, service_trust};
use super::{Outcomes, Part, prove, told};
use crate::place::{ACCOUNT, WAIT};

fn registration(site: &Site, name: &str, expression: &str) -> Registration {
    let target = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}", site.name("TargetQueue"));
    let role = format!("arn:aws:iam::{ACCOUNT}:role/{}x", site.name("RolePrefix"));
    Registration::new(name, expression, target).with_role(role).with_parameters("hola")
}

/// As the root user.
fn scheduler(site: &Site) -> Scheduler {
    site.config.scheduler(&site.root).unwrap()
}

struct Registering;

#[async_trait]
impl Part for Registering {
    const POLICY: &'static str = "scheduler";

    async fn prepare(site: &Site) -> Self {
        let scheduler = scheduler(site);
        for (name, expression) in [
            ("quieto", "rate(1 hour)"),
            ("cambiado", "rate(2 hours)"),
            ("apagado", "rate(3 hours)"),
            ("mudado", "rate(4 hours)"),
            ("otro", "rate(5 hours)"),
            ("uno de dos", "rate(5 hours)"),
            ("último", "rate(6 hours)"),
            ("contado", "rate(8 hours)"),
            ("uno sin contar", "rate(8 hours)"),
        ] {
            scheduler.register(&registration(site, name, expression)).await.unwrap();
        }
        scheduler.disable(&ProcessId::of("apagado")).await.unwrap();
        // A count that is off, so that a row that is left has to be a condition.
        let miscounted = registration(site, "contado", "rate(8 hours)").specification().schedule_id();
        let count = aws_sdk_dynamodb::Client::new(&site.root)
            .update_item()
            .table_name(site.config.schedule_table.as_deref().unwrap())
            .key("IdCalendarizacion", AttributeValue::S(miscounted.to_string()))
            .update_expression("SET CantidadProcesos = :1")
            .expression_attribute_values(":1", AttributeValue::N("1".into()));
        count.send().await.unwrap();
        // A trigger that somebody has made deliver elsewhere.
        let found = registration(site, "hallado", "rate(7 hours)").specification();
        let client = aws_sdk_scheduler::Client::new(&site.root);
        let elsewhere = format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:otra");
        let role = site.config.trigger_role_arn.as_deref().unwrap();
        let schedules = EventBridgeSchedules::new(&client, &site.app, &elsewhere, role).unwrap();
        schedules.create(&Trigger::new(found.schedule_id(), found)).await.unwrap();
        Self
    }

    async fn work(&self, site: &Site, role: &str) -> Outcomes {
        let sdk = site.acting_as(role).await;
        // What a denial leaves held is taken over soon.
        let mut config = SchedulerConfig::default().with_policy(site.config.policy());
        (config.call_limit, config.lease) = (Duration::from_secs(5), Duration::from_secs(10));
        let scheduler = site.config.scheduler(&sdk).unwrap().with_config(config);
        let (id, page) = (ProcessId::of, PageRequest::first(100));
        let join = registration(site, "juntado", "rate(1 hour)");
        let of_schedule = ProcessFilter::of_schedule(join.specification().schedule_id());
        let moved = Changes::from_json(r#"{"cron":"rate(40 hours)"}"#).unwrap();
        let described = Changes::from_json(r#"{"descripcion":"otra"}"#).unwrap();
        let now = SystemClock.now();
        let day = Backfill::new(earlier(now, Duration::from_secs(24 * 60 * 60))..=now);
        Outcomes::from([
            ("register", told(scheduler.register(&registration(site, "nuevo", "rate(10 hours)")).await)),
            ("register, joining", told(scheduler.register(&join).await)),
            ("register, adopting", told(scheduler.register(&registration(site, "hallado", "rate(7 hours)")).await)),
            ("update", told(scheduler.patch(&id("cambiado"), &described).await)),
            ("update, moving", told(scheduler.patch(&id("mudado"), &moved).await)),
            ("enable", told(scheduler.enable(&id("apagado")).await)),
            ("unregister, one of two", told(scheduler.unregister(&id("uno de dos")).await)),
            ("unregister, miscounted", told(scheduler.unregister(&id("uno sin contar")).await)),
            ("unregister, the last", told(scheduler.unregister(&id("último")).await)),
            ("run now", told(scheduler.run_now(&id("quieto"), Some("clave")).await)),
            ("backfill", told(scheduler.backfill(&id("quieto"), &day).await)),
            ("preview", told(scheduler.preview(&id("quieto"), 3).await)),
            ("list processes", told(scheduler.processes(&ProcessFilter::default(), &page).await)),
            ("list those of a schedule", told(scheduler.processes(&of_schedule, &page).await)),
            ("list schedules", told(scheduler.schedules(&page).await)),
            ("reconcile", told(scheduler.reconcile(ReconcileMode::DryRun).await)),
        ])
    }

    async fn settled(&self, site: &Site) {
        let scheduler = scheduler(site);
        // What a denial left held is given up in a while, and settled by whoever comes next.
        for expression in ["rate(4 hours)", "rate(6 hours)"] {
            let next = registration(site, "de paso", expression);
            scheduler.register(&next).await.unwrap();
            assert!(scheduler.unregister(&ProcessId::of("de paso")).await.unwrap());
        }
        let report = scheduler.reconcile(ReconcileMode::DryRun).await.unwrap();
        assert!(report.findings.is_empty(), "{report:?}");
        let all = scheduler.processes(&ProcessFilter::default(), &PageRequest::first(100)).await.unwrap().items;
        let names: Vec<_> = all.iter().map(|process| process.name.as_str()).collect();
        assert_eq!(all.len(), 9, "{names:?}");
        assert!(all.iter().all(|process| process.enabled), "{names:?}");
    }
}

#[tokio::test]
async fn registering_takes_what_its_policy_allows_and_nothing_less() {
    prove::<Registering>(&[
        (
            "Processes",
            "dynamodb:GetItem",
            &[
                "backfill",
                "enable",
                "preview",
                "register",
                "register, adopting",
                "register, joining",
                "run now",
                "unregister, miscounted",
                "unregister, one of two",
                "unregister, the last",
                "update",
                "update, moving",
            ],
        ),
        ("Processes", "dynamodb:Scan", &["list processes", "reconcile"]),
        ("Processes", "dynamodb:PutItem", &["register", "register, adopting", "register, joining"]),
        ("Processes", "dynamodb:UpdateItem", &["enable", "update", "update, moving"]),
        (
            "Processes",
            "dynamodb:DeleteItem",
            &["unregister, miscounted", "unregister, one of two", "unregister, the last"],
        ),
        ("Processes", "dynamodb:ConditionCheckItem", &["unregister, miscounted"]),
        (
            "ProcessesOfASchedule",
            "dynamodb:Query",
            &["list those of a schedule", "unregister, miscounted", "unregister, the last", "update, moving"],
        ),
        (
            "Schedules",
            "dynamodb:GetItem",
            &[
                "backfill",
                "enable",
                "preview",
                "register",
                "register, adopting",
                "register, joining",
                "unregister, miscounted",
                "unregister, one of two",
                "unregister, the last",
                "update",
                "update, moving",
            ],
        ),
        ("Schedules", "dynamodb:Scan", &["list schedules", "reconcile"]),
        ("Schedules", "dynamodb:PutItem", &["register", "register, adopting", "update, moving"]),
        (
            "Schedules",
            "dynamodb:UpdateItem",
            &[
                "register",
                "register, adopting",
                "register, joining",
                "unregister, one of two",
                "unregister, the last",
                "update, moving",
            ],
        ),
        ("Schedules", "dynamodb:DeleteItem", &["unregister, the last", "update, moving"]),
        ("Schedules", "dynamodb:ConditionCheckItem", &["unregister, miscounted"]),
        ("Triggers", "scheduler:CreateSchedule", &["register", "register, adopting", "update, moving"]),
        ("Triggers", "scheduler:GetSchedule", &["reconcile", "register, adopting"]),
        ("Triggers", "scheduler:UpdateSchedule", &["register, adopting"]),
        ("Triggers", "scheduler:DeleteSchedule", &["unregister, the last", "update, moving"]),
        ("ListOfTriggers", "scheduler:ListSchedules", &["reconcile"]),
        // AWS asks for it wherever a trigger is created or updated (EventBridge Scheduler user guide, "Identity-based policies"); this
        // server does not.
        ("RoleOfTriggers", "iam:PassRole", &[]),
        ("Queue", "sqs:SendMessage", &["backfill", "run now"]),
    ])
    .await;
}

#[tokio::test]
async fn reconciling_repairs_with_the_same_policy() {
    let site = Site::new().await.with_services().await;
    let role = site.role("registro", &service_trust("lambda.amazonaws.com"), Some(&site.policy("scheduler"))).await;
    let root = scheduler(&site);
    root.register(&registration(&site, "sin disparo", "rate(1 hour)")).await.unwrap();
    let client = aws_sdk_scheduler::Client::new(&site.root);
    let lost = registration(&site, "", "rate(1 hour)").specification().schedule_id();
    client.delete_schedule().name(lost.as_str()).group_name(&site.app).send().await.unwrap();
    let left = registration(&site, "", "rate(2 hours)").specification();
    let (dispatcher, trigger_role) = (site.config.dispatcher_arn.as_deref(), site.config.trigger_role_arn.as_deref());
    let schedules = EventBridgeSchedules::new(&client, &site.app, dispatcher.unwrap(), trigger_role.unwrap()).unwrap();
    schedules.create(&Trigger::new(left.schedule_id(), left.clone())).await.unwrap();

    let own = site.config.scheduler(&site.acting_as(&role).await).unwrap();
    let report = own.reconcile(ReconcileMode::Repair).await.unwrap();
    assert_eq!(report.findings.len(), 2, "{report:?}");
    assert!(report.findings.iter().all(|finding| finding.repair == Repair::Done), "{report:?}");
    assert!(root.reconcile(ReconcileMode::DryRun).await.unwrap().findings.is_empty());
}

struct Dispatching(ScheduleId);

#[async_trait]
impl Part for Dispatching {
    const POLICY: &'static str = "dispatcher";

    async fn prepare(site: &Site) -> Self {
        let mut schedule = None;
        for name in ["uno", "dos", "tres"] {
            let registered = scheduler(site).register(&registration(site, name, "rate(1 hour)")).await.unwrap();
            schedule = Some(registered.process.schedule_id.clone());
        }
        Self(schedule.unwrap())
    }

    async fn work(&self, site: &Site, role: &str) -> Outcomes {
        let dispatcher = site.config.dispatcher(&site.acting_as(role).await).unwrap();
        let request = DispatchRequest::new(self.0.clone(), SystemClock.now());
        Outcomes::from([("dispatch", told(dispatcher.dispatch(&request).await))])
    }

    async fn settled(&self, site: &Site) {
        let queue = site.config.queue(&site.root).unwrap();
        let deliveries = queue.receive(10, WAIT).await.unwrap();
        assert_eq!(deliveries.len(), 3);
    }
}

#[tokio::test]
async fn dispatching_takes_what_its_policy_allows_and_nothing_less() {
    prove::<Dispatching>(&[
        ("ProcessesOfASchedule", "dynamodb:Query", &["dispatch"]),
        ("Queue", "sqs:SendMessage", &["dispatch"]),
    ])
    .await;
}
