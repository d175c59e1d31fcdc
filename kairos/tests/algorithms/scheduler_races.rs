//! Races that were found by reading and by searching, each as the shortest run that shows it.

use crate::support::*;
use async_trait::async_trait;
use jiff::Timestamp;
use kairos::backend::*;
use kairos::clock::{Clock as _, ClockExt as _, ManualClock, later};
use kairos::page::{Page, PageRequest};
use kairos::scheduler::*;
use kairos::*;
use kairos_memory::*;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const DAILY: &str = "cron(0 9 * * ? *)";

async fn record(world: &World) -> Schedule {
    world.store.list_schedules(&PageRequest::default()).await.unwrap().items.remove(0)
}

#[tokio::test]
async fn registering_again_a_row_that_nobody_counted_keeps_its_trigger() {
    let world = World::new();
    let scheduler = world.scheduler();
    let stored = scheduler.register(&registration("uno", DAILY)).await.unwrap().process;
    // An unregistration of another process died after its commit; the older system has added `uno` since, uncounted.
    let before = record(&world).await;
    let mut after = before.clone();
    after.process_count = Some(0);
    after.state = ScheduleState::Retiring(Hold { owner: Owner::from_u128(1), until: world.clock.now() });
    world.store.commit(&Transaction::new().with_schedule(Some(before), Some(after))).await.unwrap();

    let again = scheduler.register(&registration("uno", DAILY)).await.unwrap();
    assert!(!again.created);
    assert!(world.store.process(&stored.id).await.unwrap().is_some());
    assert_eq!(world.schedules.len(), 1, "Ok means that the trigger exists");
}

/// Runs something once, right before a chosen call.
type Hook = Mutex<std::collections::VecDeque<(&'static str, futures_util::future::BoxFuture<'static, ()>)>>;
struct Hooked {
    inner: Arc<MemoryStore>,
    hook: Hook,
}
impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooked")
    }
}
impl Hooked {
    async fn at(&self, name: &str) {
        let hook = {
            let mut h = self.hook.lock().unwrap();
            if h.front().is_some_and(|(n, _)| *n == name) { h.pop_front() } else { None }
        };
        if let Some((_, f)) = hook {
            f.await;
        }
    }
}
#[async_trait]
impl Store for Hooked {
    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>> {
        self.at("process").await;
        self.inner.process(id).await
    }
    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        self.at("schedule").await;
        self.inner.schedule(id).await
    }
    async fn list_processes(&self, f: &ProcessFilter, p: &PageRequest) -> Result<Page<Arc<Process>>> {
        self.at("list_processes").await;
        self.inner.list_processes(f, p).await
    }
    async fn list_schedules(&self, p: &PageRequest) -> Result<Page<Schedule>> {
        self.at("list_schedules").await;
        self.inner.list_schedules(p).await
    }
    async fn commit(&self, t: &Transaction) -> Result<()> {
        self.at("commit").await;
        self.inner.commit(t).await
    }
    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }
}

#[tokio::test]
async fn registering_again_beside_an_unregistration_leaves_nothing() {
    let world = World::new();
    let scheduler = world.scheduler();
    let id = scheduler.register(&registration("uno", DAILY)).await.unwrap().process.id.clone();
    let hooked = Arc::new(Hooked { inner: world.store.clone(), hook: Mutex::default() });
    let other = world.scheduler();
    hooked.hook.lock().unwrap().push_back((
        "schedule",
        Box::pin(async move {
            assert!(other.unregister(&id).await.unwrap());
        }),
    ));
    let racing = world.scheduler_over(hooked, world.schedules.clone());
    drive(&world.clock, racing.register(&registration("uno", DAILY))).await.unwrap();
    world.assert_sound().await;
}

#[tokio::test]
async fn a_reconcile_that_is_interrupted_is_repaired_by_the_next() {
    for what in [What::Fail(ErrorKind::Throttled), What::CrashBefore] {
        let world = World::new();
        world.scheduler().register(&registration("uno", DAILY)).await.unwrap();
        let record = record(&world).await;
        let key = Trigger::new(record.id.clone(), record.specification.clone()).key();
        world.schedules.delete(&key).await.unwrap();
        world.schedules.create(&Trigger::new(record.id.clone(), Specification::new("rate(1 day)"))).await.unwrap();
        // Which call the deletion is, a run without faults tells.
        let mut index = 0;
        {
            let other = World::new();
            other.scheduler().register(&registration("uno", DAILY)).await.unwrap();
            other.schedules.delete(&key).await.unwrap();
            other.schedules.create(&Trigger::new(record.id.clone(), Specification::new("rate(1 day)"))).await.unwrap();
            let f = Faults::none();
            other.faulty_scheduler(&f).reconcile(ReconcileMode::Repair).await.unwrap();
            index += f.calls.lock().unwrap().iter().position(|c| *c == "delete").unwrap();
        }
        let faults = Faults::at(index as i64, what);
        {
            use futures_util::FutureExt as _;
            let s = world.faulty_scheduler(&faults);
            let _ = s.reconcile(ReconcileMode::Repair).now_or_never();
        }
        assert!(faults.happened());
        let mut last = None;
        for _ in 0..3 {
            world.clock.advance(2 * MINUTE);
            last = Some(drive(&world.clock, world.scheduler().reconcile(ReconcileMode::Repair)).await.unwrap());
        }
        let last = last.unwrap();
        assert!(
            last.findings.is_empty(),
            "{what:?}: {:?}",
            last.findings.iter().map(ToString::to_string).collect::<Vec<_>>()
        );
        world.assert_sound().await;
    }
}

/// Listings show what was committed a second ago.
#[derive(Debug)]
struct Lagging {
    inner: Arc<MemoryStore>,
    clock: ManualClock,
    log: Mutex<Vec<(Timestamp, Vec<Arc<Process>>)>>,
}
impl Lagging {
    async fn snap(&self) {
        let all = self.inner.list_processes(&ProcessFilter::default(), &PageRequest::first(1000)).await.unwrap().items;
        self.log.lock().unwrap().push((self.clock.now(), all));
    }
}
#[async_trait]
impl Store for Lagging {
    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>> {
        self.inner.process(id).await
    }
    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        self.inner.schedule(id).await
    }
    async fn list_processes(&self, f: &ProcessFilter, _: &PageRequest) -> Result<Page<Arc<Process>>> {
        let limit = self.clock.now() - jiff::SignedDuration::from_secs(1);
        let log = self.log.lock().unwrap();
        let items = log.iter().rev().find(|(at, _)| *at <= limit).map(|(_, i)| i.clone()).unwrap_or_default();
        Ok(Page::last(items.into_iter().filter(|p| f.admits(p)).collect()))
    }
    async fn list_schedules(&self, p: &PageRequest) -> Result<Page<Schedule>> {
        self.inner.list_schedules(p).await
    }
    async fn commit(&self, t: &Transaction) -> Result<()> {
        let r = self.inner.commit(t).await;
        self.snap().await;
        r
    }
    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities::new()
    }
}

#[tokio::test]
async fn reconcile_never_deletes_the_trigger_of_what_was_registered_a_moment_ago() {
    let world = World::new();
    let lagging: Arc<Lagging> =
        Arc::new(Lagging { inner: world.store.clone(), clock: world.clock.clone(), log: Mutex::default() });
    // Somebody died while creating the trigger.
    let spec = Specification::new(DAILY);
    let mut dead = Schedule::new(spec, world.clock.now());
    dead.state = ScheduleState::Creating(Hold { owner: Owner::from_u128(1), until: world.clock.now() });
    lagging.commit(&Transaction::new().with_schedule(None, Some(dead))).await.unwrap();
    world.clock.advance(MINUTE);

    let reconciling = world.scheduler_over(lagging.clone(), world.schedules.clone());
    let mut reconcile = Box::pin(reconciling.reconcile(ReconcileMode::Repair));
    assert!(futures_util::poll!(&mut reconcile).is_pending(), "it waits for the index");
    world.clock.advance(Duration::from_millis(4_500));
    assert!(futures_util::poll!(&mut reconcile).is_pending());
    let scheduler = world.scheduler_over(lagging.clone(), world.schedules.clone());
    let process = scheduler.register(&registration("uno", DAILY)).await.unwrap().process;
    world.clock.advance(Duration::from_millis(500));
    drive(&world.clock, reconcile).await.unwrap();
    assert!(world.store.process(&process.id).await.unwrap().is_some());
    assert_eq!(world.schedules.len(), 1, "register answered Ok");
}

/// A contract-abiding store whose first page of any listing is empty.
#[derive(Debug)]
struct EmptyFirst {
    inner: Arc<MemoryStore>,
    calls: AtomicUsize,
}
#[async_trait]
impl Store for EmptyFirst {
    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>> {
        self.inner.process(id).await
    }
    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        self.inner.schedule(id).await
    }
    async fn list_processes(&self, f: &ProcessFilter, p: &PageRequest) -> Result<Page<Arc<Process>>> {
        assert!(self.calls.fetch_add(1, Ordering::Relaxed) < 10_000, "loops without end and without a pause");
        match &p.cursor {
            None => Ok(Page { items: vec![], next: Some(kairos::page::Cursor::new("0")) }),
            Some(c) if c.as_str() == "0" => self.inner.list_processes(f, &p.clone().with_cursor(None)).await,
            Some(_) => self.inner.list_processes(f, p).await,
        }
    }
    async fn list_schedules(&self, p: &PageRequest) -> Result<Page<Schedule>> {
        self.inner.list_schedules(p).await
    }
    async fn commit(&self, t: &Transaction) -> Result<()> {
        self.inner.commit(t).await
    }
    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }
}
#[tokio::test]
async fn reconcile_ends_on_a_store_whose_first_page_is_empty() {
    let world = World::new();
    world.scheduler().register(&registration("uno", DAILY)).await.unwrap();
    let r = record(&world).await;
    world.schedules.delete(&Trigger::new(r.id.clone(), r.specification.clone()).key()).await.unwrap();
    world.store.commit(&Transaction::new().with_schedule(Some(r), None)).await.unwrap();
    let store = Arc::new(EmptyFirst { inner: world.store.clone(), calls: AtomicUsize::new(0) });
    world.scheduler_over(store, world.schedules.clone()).reconcile(ReconcileMode::Repair).await.unwrap();
    world.assert_sound().await;
}

/// A store whose commits take effect at once and answer late.
#[derive(Debug)]
struct Slow {
    inner: Arc<MemoryStore>,
    clock: ManualClock,
    late: AtomicBool,
    by: Duration,
}
#[async_trait]
impl Store for Slow {
    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>> {
        self.inner.process(id).await
    }
    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        self.inner.schedule(id).await
    }
    async fn list_processes(&self, f: &ProcessFilter, p: &PageRequest) -> Result<Page<Arc<Process>>> {
        self.inner.list_processes(f, p).await
    }
    async fn list_schedules(&self, p: &PageRequest) -> Result<Page<Schedule>> {
        self.inner.list_schedules(p).await
    }
    async fn commit(&self, t: &Transaction) -> Result<()> {
        let r = self.inner.commit(t).await;
        if self.late.swap(false, Ordering::Relaxed) {
            self.clock.sleep(self.by).await;
        }
        r
    }
    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }
}
#[tokio::test]
async fn who_wakes_after_its_hold_has_ended_deletes_nothing() {
    let world = World::new();
    let id = world.scheduler().register(&registration("uno", DAILY)).await.unwrap().process.id.clone();
    let slow = Arc::new(Slow {
        inner: world.store.clone(),
        clock: world.clock.clone(),
        late: AtomicBool::new(true),
        by: Duration::from_secs(90),
    });
    let sleeper = world.scheduler_over(slow, world.schedules.clone());
    let mut unregister = Box::pin(sleeper.unregister(&id));
    assert!(futures_util::poll!(&mut unregister).is_pending());
    world.clock.advance(Duration::from_secs(61));
    assert!(futures_util::poll!(&mut unregister).is_pending());
    // Takes the ended hold over.
    world.scheduler().register(&registration("dos", DAILY)).await.unwrap();
    world.assert_sound().await;
    drive(&world.clock, unregister).await.unwrap();
    world.assert_sound().await;
}

#[tokio::test]
async fn a_failed_registration_leaves_the_trigger_of_a_row_that_nobody_counted() {
    let world = World::new();
    world.scheduler().register(&registration("viejo", DAILY)).await.unwrap();
    // the record is gone (an older system never wrote one, somebody deleted it), trigger and row are there
    let r = record(&world).await;
    world.store.commit(&Transaction::new().with_schedule(Some(r), None)).await.unwrap();
    // the trigger exists; activating the record fails: process, schedule, commit, create, [schedule]
    let faults = Faults::at(4, What::Fail(ErrorKind::Denied));
    drive(&world.clock, world.faulty_scheduler(&faults).register(&registration("nuevo", DAILY))).await.unwrap_err();
    assert_eq!(world.schedules.len(), 1, "viejo had a trigger before");
}

#[tokio::test]
async fn reconcile_leaves_alone_what_is_not_kairos_own() {
    let world = World::new();
    let foreign = Trigger::new("respaldo-nocturno".into(), Specification::new("rate(1 day)"));
    world.schedules.create(&foreign).await.unwrap();
    world.scheduler().reconcile(ReconcileMode::Repair).await.unwrap();
    assert_eq!(world.schedules.len(), 1);
}

#[tokio::test]
async fn one_schedule_that_cannot_be_looked_at_keeps_no_other_from_repair() {
    #[derive(Debug)]
    struct Bad {
        inner: Arc<MemorySchedules>,
        bad: ScheduleId,
    }
    #[async_trait]
    impl ScheduleBackend for Bad {
        async fn create(&self, t: &Trigger) -> Result<String> {
            self.inner.create(t).await
        }
        async fn delete(&self, k: &TriggerKey) -> Result<()> {
            self.inner.delete(k).await
        }
        async fn get(&self, k: &TriggerKey) -> Result<Option<Trigger>> {
            if k.schedule_id == self.bad {
                return Err(Error::new(ErrorKind::Throttled, "not now"));
            }
            self.inner.get(k).await
        }
        async fn list(&self, p: &PageRequest) -> Result<Page<Trigger>> {
            self.inner.list(p).await
        }
    }
    let world = World::new();
    for (n, e) in [("a", "rate(1 day)"), ("b", "rate(2 days)")] {
        world.scheduler().register(&registration(n, e)).await.unwrap();
        let s = Specification::new(e);
        world.schedules.delete(&Trigger::new(s.schedule_id(), s).key()).await.unwrap();
    }
    let (a, b) = (Specification::new("rate(1 day)").schedule_id(), Specification::new("rate(2 days)").schedule_id());
    let bad = Bad { inner: world.schedules.clone(), bad: a.clone().min(b.clone()) };
    let scheduler = world.scheduler_over(world.store.clone(), Arc::new(bad));
    let report = scheduler.reconcile(ReconcileMode::Repair).await.unwrap();
    let repairs: Vec<_> = report.findings.iter().map(|finding| &finding.repair).collect();
    assert!(matches!(repairs[..], [Repair::Failed(_), Repair::Done]), "{repairs:?}");
}

fn hooks(world: &World, hooked: &Hooked, steps: &[(&'static str, bool)]) {
    for (call, register) in steps.iter().copied() {
        let other = world.scheduler();
        hooked.hook.lock().unwrap().push_back((
            call,
            Box::pin(async move {
                if register {
                    other.register(&registration("dos", DAILY)).await.unwrap();
                } else {
                    assert!(other.unregister(&ProcessId::of("dos")).await.unwrap());
                }
            }),
        ));
    }
}
#[tokio::test]
async fn the_last_unregistration_takes_the_trigger_whoever_came_and_went_meanwhile() {
    let world = World::new();
    let id = world.scheduler().register(&registration("uno", DAILY)).await.unwrap().process.id.clone();
    let hooked = Arc::new(Hooked { inner: world.store.clone(), hook: Mutex::default() });
    hooks(&world, &hooked, &[("list_processes", true), ("commit", false)]);
    let s = world.scheduler_over(hooked, world.schedules.clone());
    assert!(drive(&world.clock, s.unregister(&id)).await.unwrap());
    assert_eq!(world.assert_sound().await, (0, 0));
}
#[tokio::test]
async fn reconcile_makes_no_count_wrong() {
    let world = World::new();
    world.scheduler().register(&registration("uno", DAILY)).await.unwrap();
    let hooked = Arc::new(Hooked { inner: world.store.clone(), hook: Mutex::default() });
    hooks(
        &world,
        &hooked,
        &[("list_schedules", true), ("schedule", false), ("list_processes", true), ("commit", false)],
    );
    let s = world.scheduler_over(hooked.clone(), world.schedules.clone());
    drive(&world.clock, s.reconcile(ReconcileMode::Repair)).await.unwrap();
    world.assert_sound().await;
}
#[tokio::test]
async fn a_stray_trigger_of_the_same_id_in_another_group_is_found() {
    let world = World::new();
    world.scheduler().register(&registration("uno", DAILY)).await.unwrap();
    let r = record(&world).await;
    world.schedules.create(&Trigger::new(r.id.clone(), r.specification.clone().with_group("otro"))).await.unwrap();
    let report = world.scheduler().reconcile(ReconcileMode::DryRun).await.unwrap();
    assert!(!report.findings.is_empty());
}

#[tokio::test]
async fn a_patch_that_cannot_know_the_expression_says_so() {
    let world = World::new();
    let wanted = registration("uno", DAILY).with_time_zone("America/Lima");
    let id = world.scheduler().register(&wanted).await.unwrap().process.id.clone();
    let record = record(&world).await;
    world.store.commit(&Transaction::new().with_schedule(Some(record), None)).await.unwrap();
    let changes = Changes::from_json(r#"{"descripcion":"x"}"#).unwrap();
    let error = world.scheduler().patch(&id, &changes).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // A whole new definition needs no old one.
    world.scheduler().update(&id, &wanted).await.unwrap();
    drive(&world.clock, world.scheduler().reconcile(ReconcileMode::Repair)).await.unwrap();
}

#[tokio::test]
async fn enabling_and_updating_see_to_the_trigger_that_a_dead_registration_left_undone() {
    for updated in [false, true] {
        let world = World::new();
        let wanted = registration("uno", DAILY);
        // Reads process and record, commits, and dies before it creates the trigger.
        let faults = Faults::at(3, What::CrashBefore);
        let dying = world.faulty_scheduler(&faults);
        let mut dying = Box::pin(dying.register(&wanted));
        assert!(futures_util::poll!(&mut dying).is_pending());
        assert_eq!((faults.calls.lock().unwrap().last(), world.schedules.len()), (Some(&"create"), 0));
        drop(dying);

        let (scheduler, id) = (world.scheduler(), ProcessId::of("uno"));
        let process = if updated {
            let wanted = wanted.with_description("otra");
            drive(&world.clock, scheduler.update(&id, &wanted)).await.unwrap()
        } else {
            drive(&world.clock, scheduler.enable(&id)).await.unwrap()
        };
        assert!(process.enabled);
        assert_eq!(world.assert_sound().await, (1, 1));
        assert_eq!(world.schedules.len(), 1, "Ok means that it is dispatched");
    }
}

#[tokio::test]
async fn a_move_that_waits_for_one_schedule_leaves_the_other_alone() {
    let world = World::new();
    let process = world.scheduler().register(&registration("uno", DAILY)).await.unwrap().process;
    // Somebody has died over it a moment ago.
    let before = world.store.schedule(&process.schedule_id).await.unwrap();
    let mut after = before.clone().unwrap();
    let until = later(world.clock.now(), Duration::from_secs(60));
    after.state = ScheduleState::Creating(Hold { owner: Owner::from_u128(1), until });
    world.store.commit(&Transaction::new().with_schedule(before, Some(after))).await.unwrap();

    let faults = Faults::none();
    let scheduler = world.faulty_scheduler(&faults);
    let nightly = registration("uno", "cron(0 3 * * ? *)");
    drive(&world.clock, scheduler.update(&process.id, &nightly)).await.unwrap();
    assert_eq!(faults.calls.lock().unwrap().iter().filter(|call| **call == "create").count(), 1);
    assert_eq!(world.assert_sound().await, (1, 1));
}
