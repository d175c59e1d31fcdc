//! Registering, unregistering, updating: what holds after each, after a fault, and after a crash at any step.

use std::time::Duration;

use futures_util::future::join_all;
use kairos::backend::*;
use kairos::clock::Clock as _;
use kairos::page::PageRequest;
use kairos::scheduler::{Backfill, ReconcileMode, SchedulerConfig};
use kairos::{Changes, ErrorKind, Origin, Policy, ProcessId, Registration, Schedule, Specification};

use crate::support::*;

const DAILY: &str = "cron(0 9 * * ? *)";

#[tokio::test]
async fn the_first_registration_creates_the_trigger_and_the_last_unregistration_takes_it() {
    let world = World::new();
    let scheduler = world.scheduler();
    let one = scheduler.register(&registration("uno", DAILY)).await.unwrap();
    let two = scheduler.register(&registration("dos", DAILY)).await.unwrap();
    assert!(one.created && two.created);
    assert_eq!(one.process.schedule_id, two.process.schedule_id);
    assert_eq!(world.assert_sound().await, (2, 1));

    assert!(scheduler.unregister(&one.process.id).await.unwrap());
    assert_eq!(world.assert_sound().await, (1, 1));
    assert!(scheduler.unregister(&two.process.id).await.unwrap());
    assert_eq!(world.assert_sound().await, (0, 0));
    assert!(!scheduler.unregister(&two.process.id).await.unwrap());
    assert_eq!(world.schedules.len(), 0);
}

#[tokio::test]
async fn the_same_again_is_the_same_and_another_definition_is_a_conflict_that_names_the_fields() {
    let world = World::new();
    let scheduler = world.scheduler();
    let first = registration("uno", DAILY).with_parameters("secreto").with_max_attempts(2u32);
    let stored = scheduler.register(&first).await.unwrap().process;
    let again = scheduler.register(&first.clone().with_time_zone("UTC")).await.unwrap();
    assert!(!again.created);
    assert_eq!(again.process, stored);

    let other = Registration::new("uno", "cron(0 10 * * ? *)", "kairos:task:otra")
        .with_parameters("distinto")
        .with_max_attempts(3u32)
        .disabled();
    let error = scheduler.register(&other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let fields: Vec<_> = error.faults().iter().map(|fault| fault.field).collect();
    assert_eq!(fields, ["cron", "arnProceso", "parametros", "habilitado", "maximoIntentos"]);
    assert!(!error.to_string().contains("secreto"), "{error}");
    let zoned = first.with_time_zone("America/Lima");
    let error = scheduler.register(&zoned).await.unwrap_err();
    let fields: Vec<_> = error.faults().iter().map(|fault| fault.field).collect();
    assert_eq!(fields, ["zonaHoraria"], "the expression is the same");
    assert_eq!(world.assert_sound().await, (1, 1));
}

#[tokio::test]
async fn who_registered_first_stays_whoever_registers_the_same_or_changes_it() {
    let world = World::new();
    let scheduler = world.scheduler();
    let plain = registration("uno", DAILY);
    let stored = scheduler.register(&plain.clone().with_registered_by("ana")).await.unwrap().process;
    let is_anas = |process: &kairos::Process| process.registered_by.as_deref() == Some("ana");
    assert!(is_anas(&stored));
    for again in [plain.clone(), plain.clone().with_registered_by("eva")] {
        let registered = scheduler.register(&again).await.unwrap();
        assert!(!registered.created && is_anas(&registered.process));
    }
    let elsewhere = Registration::new("uno", "cron(0 10 * * ? *)", "kairos:task:otra").with_registered_by("eva");
    assert!(is_anas(&scheduler.update(&stored.id, &elsewhere).await.unwrap()));
    let changes = Changes::from_json(r#"{"descripcion":"d","registradoPor":"eva"}"#).unwrap();
    assert!(is_anas(&scheduler.patch(&stored.id, &changes).await.unwrap()));
    assert!(is_anas(&scheduler.disable(&stored.id).await.unwrap()));
    assert!(is_anas(&scheduler.process(&stored.id).await.unwrap()));

    scheduler.unregister(&stored.id).await.unwrap();
    assert_eq!(scheduler.register(&plain).await.unwrap().process.registered_by, None);
    assert_eq!(scheduler.update(&stored.id, &elsewhere).await.unwrap().registered_by, None);
    for odd in [String::new(), "a\nb".into(), "a".repeat(kairos::limits::CALLER + 1)] {
        let error = scheduler.register(&registration("dos", DAILY).with_registered_by(odd)).await.unwrap_err();
        assert_eq!(error.faults()[0].field, "registradoPor");
    }
    let longest = registration("dos", DAILY).with_registered_by("a".repeat(kairos::limits::CALLER));
    scheduler.register(&longest).await.unwrap();
}

#[tokio::test]
async fn an_invalid_registration_reports_every_fault_and_writes_nothing() {
    let world = World::new();
    let policy = Policy::default().with_role_prefix("kairos-");
    let scheduler = world.scheduler().with_config(SchedulerConfig::default().with_policy(policy));
    let wrong = Registration::new("", "cron(0 9 * * * *)", "arn:aws:lambda:x").with_role("arn:aws:iam::1:role/x");
    let error = scheduler.register(&wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let fields: Vec<_> = error.faults().iter().map(|fault| fault.field).collect();
    assert_eq!(fields, ["nombre", "cron", "arnProceso", "arnRol"]);
    assert_eq!(world.assert_sound().await, (0, 0));
}

#[tokio::test]
async fn many_at_once_leave_one_trigger_and_the_right_count() {
    let world = World::new();
    let scheduler = world.scheduler();
    let names: Vec<_> = (0..40).map(|index| format!("p{index}")).collect();
    let registrations = names.iter().map(|name| {
        let scheduler = &scheduler;
        async move { scheduler.register(&registration(name, DAILY)).await }
    });
    for registered in drive(&world.clock, join_all(registrations)).await {
        registered.unwrap();
    }
    assert_eq!(world.assert_sound().await, (40, 1));
    let ids: Vec<_> = names.iter().map(|name| ProcessId::of(name)).collect();
    let gone = drive(&world.clock, join_all(ids.iter().map(|id| scheduler.unregister(id)))).await;
    assert!(gone.into_iter().all(|gone| gone.unwrap()));
    assert_eq!(world.assert_sound().await, (0, 0));
}

#[tokio::test]
async fn an_update_moves_a_process_and_both_counts() {
    let world = World::new();
    let scheduler = world.scheduler();
    let id = scheduler.register(&registration("uno", DAILY)).await.unwrap().process.id.clone();
    scheduler.register(&registration("dos", DAILY)).await.unwrap();
    let created_at = scheduler.process(&id).await.unwrap().created_at;

    world.clock.advance(MINUTE);
    let moved = scheduler.update(&id, &registration("uno", "rate(1 hour)")).await.unwrap();
    assert_eq!(moved.created_at, created_at);
    assert_eq!(world.assert_sound().await, (2, 2));
    // The last one takes the old schedule with it; joining one that exists creates none.
    let moved = scheduler.patch(&id, &Changes::from_json(&format!(r#"{{"cron":"{DAILY}"}}"#)).unwrap()).await.unwrap();
    assert_eq!(world.assert_sound().await, (2, 1));
    assert_eq!(moved.schedule_id, Specification::new(DAILY).schedule_id());
    // Other fields change in place.
    let changes = Changes::from_json(r#"{"descripcion":"d","parametros":"x"}"#).unwrap();
    let changed = scheduler.patch(&id, &changes).await.unwrap();
    assert_eq!((changed.description.as_deref(), changed.parameters.as_deref()), (Some("d"), Some("x")));
    let cleared = scheduler.patch(&id, &Changes::from_json(r#"{"descripcion":null}"#).unwrap()).await.unwrap();
    assert_eq!((cleared.description.as_deref(), cleared.parameters.as_deref()), (None, Some("x")));
    assert_eq!(world.assert_sound().await, (2, 1));
}

#[tokio::test]
async fn an_update_is_checked_like_a_registration() {
    let world = World::new();
    let scheduler = world.scheduler();
    let id = scheduler.register(&registration("uno", DAILY)).await.unwrap().process.id.clone();
    let error = scheduler.update(&id, &registration("dos", "rate(0 days)")).await.unwrap_err();
    let fields: Vec<_> = error.faults().iter().map(|fault| fault.field).collect();
    assert_eq!(fields, ["cron", "nombre"]);
    let missing = ProcessId::of("nadie");
    let error = scheduler.update(&missing, &registration("nadie", DAILY)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(scheduler.disable(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!scheduler.disable(&id).await.unwrap().enabled);
    assert!(scheduler.enable(&id).await.unwrap().enabled);
    assert_eq!(world.assert_sound().await, (1, 1));
}

/// What a test does with a scheduler, and what must be there beforehand.
type Operation = for<'a> fn(&'a kairos::Scheduler) -> futures_util::future::BoxFuture<'a, kairos::Result<()>>;

const OPERATIONS: [(&str, Operation); 7] = [
    ("register, new schedule", |scheduler| {
        Box::pin(async { scheduler.register(&registration("nuevo", "rate(3 days)")).await.map(drop) })
    }),
    ("register, joining", |scheduler| {
        Box::pin(async { scheduler.register(&registration("nuevo", DAILY)).await.map(drop) })
    }),
    ("unregister, one of two", |scheduler| {
        Box::pin(async { scheduler.unregister(&ProcessId::of("uno")).await.map(drop) })
    }),
    ("unregister, the last", |scheduler| {
        Box::pin(async { scheduler.unregister(&ProcessId::of("solo")).await.map(drop) })
    }),
    ("move to a new schedule", |scheduler| {
        Box::pin(async {
            scheduler.update(&ProcessId::of("solo"), &registration("solo", "rate(2 days)")).await.map(drop)
        })
    }),
    ("move to another's schedule", |scheduler| {
        Box::pin(async { scheduler.update(&ProcessId::of("solo"), &registration("solo", DAILY)).await.map(drop) })
    }),
    ("disable", |scheduler| Box::pin(async { scheduler.disable(&ProcessId::of("uno")).await.map(drop) })),
];

async fn populated() -> World {
    let world = World::new();
    let scheduler = world.scheduler();
    for (name, expression) in [("uno", DAILY), ("dos", DAILY), ("solo", "rate(1 day)")] {
        scheduler.register(&registration(name, expression)).await.unwrap();
    }
    world
}

/// Runs every operation with a fault at each of its calls, and hands the world over to be looked at.
async fn with_fault_at_every_call(what: What, check: impl AsyncFn(&World, &str, kairos::Result<()>)) -> usize {
    let mut cases = 0;
    for (name, operation) in OPERATIONS {
        for index in 0.. {
            let world = populated().await;
            let faults = Faults::at(index, what);
            let scheduler = world.faulty_scheduler(&faults);
            let crash = matches!(what, What::CrashBefore | What::CrashAfter);
            let result = if crash {
                let mut call = operation(&scheduler);
                match futures_util::poll!(&mut call) {
                    std::task::Poll::Ready(result) => result,
                    std::task::Poll::Pending => Ok(()),
                }
            } else {
                drive(&world.clock, operation(&scheduler)).await
            };
            if !faults.happened() {
                result.unwrap();
                world.assert_sound().await;
                break;
            }
            cases += 1;
            let case = format!("{name}, {what:?} at call {index} ({:?})", faults.calls.lock().unwrap());
            check(&world, &case, result).await;
        }
    }
    cases
}

#[tokio::test]
async fn a_crash_at_any_call_leaves_nothing_that_reconcile_does_not_repair() {
    for what in [What::CrashBefore, What::CrashAfter] {
        let cases = with_fault_at_every_call(what, async |world, case, _| {
            world.clock.advance(SchedulerConfig::default().lease);
            let scheduler = world.scheduler();
            let planned = scheduler.reconcile(ReconcileMode::DryRun).await.unwrap();
            let report = scheduler.reconcile(ReconcileMode::Repair).await.unwrap();
            assert!(report.is_clean(), "{case}: {report:?}");
            assert_eq!(planned.findings.len(), report.findings.len(), "{case}: a dry run lists what a real one does");
            assert!(scheduler.reconcile(ReconcileMode::Repair).await.unwrap().findings.is_empty(), "{case}");
            world.assert_sound().await;
            // Whoever was registered before and was not the subject still is.
            assert!(world.store.process(&ProcessId::of("dos")).await.unwrap().is_some(), "{case}");
        })
        .await;
        println!("{what:?}: {cases} crashes");
        assert!(cases >= 30, "{cases}");
    }
}

#[tokio::test]
async fn a_crashed_move_never_leaves_a_process_without_a_trigger() {
    for what in [What::CrashBefore, What::CrashAfter] {
        with_fault_at_every_call(what, async |world, case, _| {
            for name in ["dos", "uno", "solo"] {
                if let Some(process) = world.store.process(&ProcessId::of(name)).await.unwrap() {
                    let record = world.store.schedule(&process.schedule_id).await.unwrap().unwrap();
                    let key = Trigger::new(record.id.clone(), record.specification.clone()).key();
                    assert!(world.schedules.get(&key).await.unwrap().is_some(), "{case}: {name}");
                }
            }
        })
        .await;
    }
}

#[tokio::test]
async fn after_a_crash_anybody_can_go_on_once_the_hold_has_ended() {
    for what in [What::CrashBefore, What::CrashAfter] {
        with_fault_at_every_call(what, async |world, case, _| {
            let scheduler = world.scheduler();
            for (name, operation) in OPERATIONS {
                // Waits for the hold to end, and takes it over.
                let result = drive(&world.clock, operation(&scheduler)).await;
                let is_fine = result
                    .as_ref()
                    .err()
                    .is_none_or(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict));
                assert!(is_fine, "{case}, then {name}: {result:?}");
            }
            world.clock.advance(SchedulerConfig::default().lease);
            scheduler.reconcile(ReconcileMode::Repair).await.unwrap();
            world.assert_sound().await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_fault_at_any_call_is_told_and_repaired() {
    for kind in [ErrorKind::Denied, ErrorKind::Unavailable, ErrorKind::Throttled] {
        with_fault_at_every_call(What::Fail(kind), async |world, case, result| {
            if let Err(error) = &result {
                assert_eq!(error.kind(), kind, "{case}");
            }
            world.clock.advance(SchedulerConfig::default().lease);
            let scheduler = world.scheduler();
            scheduler.reconcile(ReconcileMode::Repair).await.unwrap();
            world.assert_sound().await;
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_is_looked_up() {
    with_fault_at_every_call(What::LoseAnswer, async |world, case, result| {
        if result.is_ok() {
            // An Ok holds at once, without anybody reconciling.
            world.assert_sound().await;
        } else {
            println!("{case}: {result:?}");
            world.clock.advance(SchedulerConfig::default().lease);
            world.scheduler().reconcile(ReconcileMode::Repair).await.unwrap();
            world.assert_sound().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_registration_whose_trigger_is_refused_is_taken_back() {
    let world = World::new();
    // read process, read record, commit, create
    let faults = Faults::at(3, What::Fail(ErrorKind::Denied));
    let error = world.faulty_scheduler(&faults).register(&registration("uno", DAILY)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(error.to_string(), "create the trigger proceso-dW5v: a fault");
    assert_eq!(world.assert_sound().await, (0, 0));
}

#[tokio::test]
async fn rows_of_the_older_system_are_adopted() {
    let world = World::new();
    let scheduler = world.scheduler();
    let older = Specification::new(DAILY);
    // What the older system wrote: a record without state and count, and two rows.
    let seeded = World::new();
    for name in ["a", "b"] {
        seeded.scheduler().register(&registration(name, DAILY)).await.unwrap();
    }
    let mut record: Schedule = seeded.store.schedule(&older.schedule_id()).await.unwrap().unwrap();
    record.process_count = None;
    world.schedules.create(&Trigger::new(record.id.clone(), older.clone())).await.unwrap();
    let page = PageRequest::default();
    let rows = seeded.store.list_processes(&ProcessFilter::default(), &page).await.unwrap().items;
    let mut transaction = Transaction::new().with_schedule(None, Some(record));
    for row in rows {
        transaction = transaction.with_process(None, Some(row));
    }
    world.store.commit(&transaction).await.unwrap();

    scheduler.register(&registration("c", DAILY)).await.unwrap();
    assert_eq!(world.assert_sound().await, (3, 1));
    scheduler.disable(&ProcessId::of("a")).await.unwrap();
    for name in ["a", "b", "c"] {
        assert!(scheduler.unregister(&ProcessId::of(name)).await.unwrap());
    }
    assert_eq!(world.assert_sound().await, (0, 0));
}

#[tokio::test]
async fn a_row_that_nobody_counted_keeps_its_trigger() {
    let world = World::new();
    let scheduler = world.scheduler();
    let mine = scheduler.register(&registration("mia", DAILY)).await.unwrap().process;
    // The older system adds a process to the schedule, and knows of no count.
    let seeded = World::new();
    let theirs = seeded.scheduler().register(&registration("suya", DAILY)).await.unwrap().process;
    world.store.commit(&Transaction::new().with_process(None, Some(theirs))).await.unwrap();
    assert!(scheduler.unregister(&mine.id).await.unwrap());
    assert_eq!(world.assert_sound().await, (1, 1));
}

#[tokio::test]
async fn a_run_now_happens_once_under_its_key() {
    let world = World::new();
    let scheduler = world.scheduler();
    let id = scheduler.register(&registration("uno", DAILY).disabled()).await.unwrap().process.id.clone();
    let first = scheduler.run_now(&id, Some("k")).await.unwrap();
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(scheduler.run_now(&id, Some("k")).await.unwrap(), first);
    assert_ne!(scheduler.run_now(&id, None).await.unwrap(), scheduler.run_now(&id, None).await.unwrap());
    let deliveries = world.receive_all().await;
    assert_eq!(deliveries.len(), 4);
    let work = deliveries[0].body.work("m", world.clock.now()).unwrap();
    assert_eq!((work.origin, work.execution_id), (Origin::Manual, first));
    assert_eq!(scheduler.run_now(&ProcessId::of("nadie"), None).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_backfill_queues_the_missed_occurrences_with_their_own_ids() {
    let world = World::new();
    let scheduler = world.scheduler();
    let id = scheduler.register(&registration("uno", DAILY)).await.unwrap().process.id.clone();
    let range = at("2025-12-01T09:00:00Z")..=at("2025-12-10T09:00:00Z");
    let filled = scheduler.backfill(&id, &Backfill::new(range.clone()).with_limit(4)).await.unwrap();
    assert_eq!((filled.queued, filled.next), (4, Some(at("2025-12-05T09:00:00Z"))));
    let rest = Backfill::new(filled.next.unwrap()..=*range.end());
    let filled = scheduler.backfill(&id, &rest).await.unwrap();
    assert_eq!((filled.queued, filled.next), (6, None), "both ends are included");
    let works: Vec<_> = world.receive_all().await;
    let work = works[0].body.work("m", world.clock.now()).unwrap();
    assert_eq!(work.origin, Origin::Backfill);
    assert_eq!(work.execution_id, kairos::ExecutionId::of_occurrence(&id, at("2025-12-01T09:00:00Z")));
    // What is yet to come is left to the schedule.
    let future = Backfill::new(at("2026-01-01T00:00:00Z")..=at("2026-02-01T00:00:00Z"));
    assert_eq!(scheduler.backfill(&id, &future).await.unwrap().queued, 0);
    let reversed = Backfill::new(at("2026-02-01T00:00:00Z")..=at("2026-01-01T00:00:00Z"));
    let error = scheduler.backfill(&id, &reversed).await.unwrap_err();
    assert_eq!(error.faults()[0].field, "hasta");
}

#[tokio::test]
async fn a_preview_shows_the_next_fires_with_notes_on_zone_changes() {
    let world = World::new();
    let scheduler = world.scheduler();
    let wanted = registration("uno", "cron(30 2 ? 3 SUN *)").with_time_zone("America/New_York");
    let id = scheduler.register(&wanted).await.unwrap().process.id.clone();
    let preview = scheduler.preview(&id, 3).await.unwrap();
    let fires: Vec<_> = preview.fires.iter().map(|fire| fire.at.to_string()).collect();
    assert_eq!(fires, ["2026-03-01T07:30:00Z", "2026-03-15T06:30:00Z", "2026-03-22T06:30:00Z"]);
    let notes: Vec<_> = preview.fires[1].notes.iter().map(ToString::to_string).collect();
    assert!(notes.iter().any(|note| note.contains("02:30")), "{notes:?}");
    assert_eq!(scheduler.preview_registration(&wanted, 3).unwrap(), preview);
    assert_eq!(scheduler.preview(&ProcessId::of("x"), 1).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn listings_are_paged_and_filtered() {
    let world = World::new();
    let scheduler = world.scheduler();
    for index in 0..5 {
        scheduler.register(&registration(&format!("p{index}"), DAILY)).await.unwrap();
    }
    scheduler.disable(&ProcessId::of("p3")).await.unwrap();
    let filter = ProcessFilter::default().with_enabled(true).with_name_prefix("p");
    let first = scheduler.processes(&filter, &PageRequest::first(3)).await.unwrap();
    let rest = scheduler.processes(&filter, &PageRequest::first(3).with_cursor(first.next.clone())).await.unwrap();
    let names: Vec<_> = first.items.iter().chain(&rest.items).map(|process| process.name.clone()).collect();
    assert_eq!(names.len(), 4);
    assert!(!names.contains(&"p3".to_owned()));
    assert_eq!(scheduler.schedules(&PageRequest::default()).await.unwrap().items.len(), 1);
    let id = Specification::new(DAILY).schedule_id();
    assert_eq!(scheduler.schedule(&id).await.unwrap().process_count, Some(5));
}

#[tokio::test]
async fn a_call_that_waits_for_too_long_says_so() {
    let world = World::new();
    // The holder dies before it can create the trigger; its lease is an hour, others wait two minutes.
    let faults = Faults::at(3, What::CrashBefore);
    let mut config = SchedulerConfig::default();
    config.lease = Duration::from_secs(3_600);
    let holder = world.faulty_scheduler(&faults).with_config(config);
    let wanted = registration("uno", DAILY);
    let mut call = Box::pin(holder.register(&wanted));
    assert!(futures_util::poll!(&mut call).is_pending());
    let other = world.scheduler();
    let error = drive(&world.clock, other.register(&registration("dos", DAILY))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.is_retryable() && error.retry_after().is_some());
}
