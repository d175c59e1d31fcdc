//! Reconciling: each thing that can be wrong, found, listed by a dry run, and repaired.

use std::sync::Arc;

use kairos::backend::*;
use kairos::scheduler::{Problem, ReconcileMode, Repair, SchedulerConfig};
use kairos::{Hold, Owner, Schedule, ScheduleState, Specification};

use crate::support::*;

const DAILY: &str = "cron(0 9 * * ? *)";

async fn record(world: &World) -> Schedule {
    world.store.schedule(&Specification::new(DAILY).schedule_id()).await.unwrap().unwrap()
}

async fn replace(world: &World, before: Option<Schedule>, after: Option<Schedule>) {
    world.store.commit(&Transaction::new().with_schedule(before, after)).await.unwrap();
}

async fn with_one_process() -> World {
    let world = World::new();
    world.scheduler().register(&registration("uno", DAILY)).await.unwrap();
    world
}

/// Reconciles twice dryly, which changes nothing, then for good, and expects one problem each time, and none after.
async fn expect(world: &World, problem: Problem) {
    let scheduler = world.scheduler();
    for mode in [ReconcileMode::DryRun, ReconcileMode::DryRun, ReconcileMode::Repair] {
        let report = scheduler.reconcile(mode).await.unwrap();
        assert_eq!(report.findings.len(), 1, "{report:?}");
        let finding = &report.findings[0];
        assert_eq!(finding.problem, problem, "{finding}");
        let repaired = mode == ReconcileMode::Repair;
        assert_eq!(finding.repair, if repaired { Repair::Done } else { Repair::Planned });
        assert_eq!(report.is_clean(), repaired);
    }
    assert!(scheduler.reconcile(ReconcileMode::DryRun).await.unwrap().findings.is_empty());
    world.assert_sound().await;
}

#[tokio::test]
async fn all_is_well() {
    let world = with_one_process().await;
    let report = world.scheduler().reconcile(ReconcileMode::Repair).await.unwrap();
    assert_eq!((report.examined, report.findings.len()), ((1, 1, 1), 0));
}

#[tokio::test]
async fn a_trigger_that_somebody_deleted_by_hand() {
    let world = with_one_process().await;
    let record = record(&world).await;
    world.schedules.delete(&Trigger::new(record.id.clone(), record.specification).key()).await.unwrap();
    expect(&world, Problem::RecordWithoutTrigger).await;
}

#[tokio::test]
async fn a_trigger_that_somebody_changed_by_hand() {
    let world = with_one_process().await;
    let record = record(&world).await;
    let trigger = Trigger::new(record.id.clone(), record.specification.clone());
    world.schedules.delete(&trigger.key()).await.unwrap();
    world.schedules.create(&Trigger::new(record.id.clone(), Specification::new("rate(1 day)"))).await.unwrap();
    expect(&world, Problem::DifferentTrigger).await;
    assert_eq!(world.schedules.get(&trigger.key()).await.unwrap(), Some(trigger));
}

#[tokio::test]
async fn a_trigger_without_record() {
    let world = with_one_process().await;
    let stray = Specification::new("rate(1 day)").with_group("nocturno");
    world.schedules.create(&Trigger::new(stray.schedule_id(), stray)).await.unwrap();
    expect(&world, Problem::TriggerWithoutRecord).await;
}

#[tokio::test]
async fn a_record_without_processes() {
    let world = with_one_process().await;
    let process = world.store.process(&kairos::ProcessId::of("uno")).await.unwrap();
    world.store.commit(&Transaction::new().with_process(process, None)).await.unwrap();
    expect(&world, Problem::RecordWithoutProcesses).await;
    assert_eq!(world.assert_sound().await, (0, 0));
}

#[tokio::test]
async fn processes_without_record() {
    let world = with_one_process().await;
    replace(&world, Some(record(&world).await), None).await;
    expect(&world, Problem::ProcessesWithoutRecord).await;
    assert_eq!(record(&world).await.specification.expression, DAILY);
}

#[tokio::test]
async fn a_count_that_is_off_or_missing() {
    for recorded in [Some(7), None] {
        let world = with_one_process().await;
        let before = record(&world).await;
        let mut after = before.clone();
        after.process_count = recorded;
        replace(&world, Some(before), Some(after)).await;
        expect(&world, Problem::WrongCount { recorded, counted: 1 }).await;
    }
}

#[tokio::test]
async fn what_somebody_holds_is_theirs_until_their_hold_ends() {
    let world = with_one_process().await;
    let before = record(&world).await;
    let mut held = before.clone();
    let lease = SchedulerConfig::default().lease;
    let until = kairos::clock::later(kairos::clock::Clock::now(&world.clock), lease);
    held.state = ScheduleState::Creating(Hold { owner: Owner::from_u128(1), until });
    replace(&world, Some(before), Some(held)).await;
    let report = world.scheduler().reconcile(ReconcileMode::Repair).await.unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    world.clock.advance(lease);
    expect(&world, Problem::AbandonedHold).await;
}

/// Two schedules whose triggers somebody deleted by hand.
async fn with_two_deleted_triggers() -> World {
    let world = World::new();
    for (name, expression) in [("a", "rate(1 day)"), ("b", "rate(2 days)")] {
        world.scheduler().register(&registration(name, expression)).await.unwrap();
        let specification = Specification::new(expression);
        world.schedules.delete(&Trigger::new(specification.schedule_id(), specification).key()).await.unwrap();
    }
    world
}

#[tokio::test]
async fn a_repair_that_fails_is_reported_and_harms_no_other() {
    // Which call the first creation is, a run without faults tells.
    let faults = Faults::none();
    with_two_deleted_triggers().await.faulty_scheduler(&faults).reconcile(ReconcileMode::Repair).await.unwrap();
    let create = faults.calls.lock().unwrap().iter().position(|call| *call == "create").unwrap();

    let world = with_two_deleted_triggers().await;
    let faults = Faults::at(i64::try_from(create).unwrap(), What::Fail(kairos::ErrorKind::Denied));
    let report = world.faulty_scheduler(&faults).reconcile(ReconcileMode::Repair).await.unwrap();
    let repairs: Vec<_> = report.findings.iter().map(|finding| finding.repair.clone()).collect();
    assert!(matches!(repairs[0], Repair::Failed(_)) && repairs[1] == Repair::Done, "{repairs:?}");
    world.clock.advance(SchedulerConfig::default().lease);
    world.scheduler().reconcile(ReconcileMode::Repair).await.unwrap();
    world.assert_sound().await;
}

#[tokio::test]
async fn an_index_that_lags_is_given_time_to_catch_up() {
    #[derive(Debug)]
    struct Lagging(Arc<kairos_memory::MemoryStore>);

    #[async_trait::async_trait]
    impl Store for Lagging {
        async fn process(&self, id: &kairos::ProcessId) -> kairos::Result<Option<Arc<kairos::Process>>> {
            self.0.process(id).await
        }

        async fn schedule(&self, id: &kairos::ScheduleId) -> kairos::Result<Option<Schedule>> {
            self.0.schedule(id).await
        }

        async fn list_processes(
            &self,
            filter: &ProcessFilter,
            page: &kairos::page::PageRequest,
        ) -> kairos::Result<kairos::page::Page<Arc<kairos::Process>>> {
            self.0.list_processes(filter, page).await
        }

        async fn list_schedules(
            &self,
            page: &kairos::page::PageRequest,
        ) -> kairos::Result<kairos::page::Page<Schedule>> {
            self.0.list_schedules(page).await
        }

        async fn commit(&self, transaction: &Transaction) -> kairos::Result<()> {
            self.0.commit(transaction).await
        }

        fn capabilities(&self) -> StoreCapabilities {
            StoreCapabilities::new()
        }
    }

    let world = with_one_process().await;
    let process = world.store.process(&kairos::ProcessId::of("uno")).await.unwrap();
    // The listing does not show the process yet.
    world.store.commit(&Transaction::new().with_process(process.clone(), None)).await.unwrap();
    let scheduler = world.scheduler_over(Arc::new(Lagging(world.store.clone())), world.schedules.clone());
    let mut reconciling = Box::pin(scheduler.reconcile(ReconcileMode::Repair));
    assert!(futures_util::poll!(&mut reconciling).is_pending());
    world.store.commit(&Transaction::new().with_process(None, process)).await.unwrap();
    let report = drive(&world.clock, reconciling).await.unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    assert_eq!(world.assert_sound().await, (1, 1));
}
