//! Cursors and ids of another listing, another table, or damaged on their way.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kairos::backend::{ExecutionFilter, History as _, ProcessFilter, ScheduleBackend as _};
use kairos::dispatcher::DispatchRequest;
use kairos::page::{Cursor, PageRequest};
use kairos::scheduler::Backfill;
use kairos::{Changes, ErrorKind, ExecutionState, ProcessId, Registration, Result, ScheduleId, TriggerInput};

use crate::support::*;

/// The ids on a page of two, and where it goes on.
type Listed<'w> = BoxFuture<'w, Result<(Vec<String>, Option<Cursor>)>>;
type Listing<'w> = Box<dyn Fn(Option<Cursor>) -> Listed<'w> + 'w>;

fn listings(world: &World) -> Vec<(&'static str, Listing<'_>)> {
    macro_rules! listing {
        ($name:literal, $list:expr, $id:expr) => {{
            let listing: Listing<'_> = Box::new(move |cursor| {
                async move {
                    let page = PageRequest::first(2).with_cursor(cursor);
                    #[allow(clippy::redundant_closure_call, reason = "each listing is called in its own way")]
                    let page = $list(page).await?;
                    Ok((page.items.iter().map($id).collect(), page.next))
                }
                .boxed()
            });
            ($name, listing)
        }};
    }
    let World { scheduler, schedules, history, .. } = world;
    let of_process = || ExecutionFilter::all().with_process(ProcessId::of("p0"));
    vec![
        listing!(
            "processes",
            |page| async move { scheduler.processes(&ProcessFilter::default(), &page).await },
            |process| process.id.to_string()
        ),
        listing!(
            "enabled processes",
            |page| async move { scheduler.processes(&ProcessFilter::default().with_enabled(true), &page).await },
            |process| process.id.to_string()
        ),
        listing!(
            "processes of a schedule",
            |page| async move {
                let schedule = kairos::Specification::new("rate(1 day)").schedule_id();
                scheduler.processes(&ProcessFilter::of_schedule(schedule), &page).await
            },
            |process| process.id.to_string()
        ),
        listing!("schedules", |page| async move { scheduler.schedules(&page).await }, |schedule| schedule
            .id
            .to_string()),
        listing!("triggers", |page| async move { schedules.list(&page).await }, |trigger| trigger
            .schedule_id
            .to_string()),
        listing!("executions", |page| async move { history.list(&ExecutionFilter::all(), &page).await }, |execution| {
            execution.id.to_string()
        }),
        listing!(
            "executions that succeeded",
            |page| async move { history.list(&ExecutionFilter::all().with_state(ExecutionState::Succeeded), &page).await },
            |execution| execution.id.to_string()
        ),
        listing!(
            "executions of a process",
            |page| async move { history.list(&of_process(), &page).await },
            |execution| execution.id.to_string()
        ),
    ]
}

/// Five processes of one schedule and four of others; five executions of the first.
async fn full_world() -> World {
    let world = World::new();
    for number in 0..5 {
        world.scheduler.register(&lambda(&format!("p{number}"))).await.unwrap();
    }
    for number in 2..6 {
        let name = format!("q{number}");
        let other = Registration::new(name, format!("rate({number} hours)"), LAMBDA).with_role(ROLE);
        world.scheduler.register(&other).await.unwrap();
    }
    for key in ["a", "b", "c", "d", "e"] {
        world.scheduler.run_now(&ProcessId::of("p0"), Some(key)).await.unwrap();
    }
    assert_eq!(world.execute().await.len(), 5);
    world
}

#[tokio::test]
async fn a_cursor_serves_the_listing_that_gave_it_and_no_other() {
    let world = full_world().await;
    let listings = listings(&world);
    for (from, list) in &listings {
        let (first, next) = list(None).await.unwrap();
        let cursor = next.unwrap_or_else(|| panic!("{from} is too short for this test"));
        let (second, _) = list(Some(cursor.clone())).await.unwrap();
        assert!(!second.is_empty() && first.iter().all(|id| !second.contains(id)), "{from}: {first:?} {second:?}");
        for (to, other) in listings.iter().filter(|(to, _)| to != from) {
            let error = other(Some(cursor.clone())).await.expect_err("a page of another listing");
            assert_eq!(error.kind(), ErrorKind::Malformed, "a cursor of {from} given to {to}: {error}");
            faults(&error);
        }
    }
}

#[tokio::test]
async fn a_cursor_that_was_damaged_leads_nowhere() {
    let world = full_world().await;
    for (name, list) in listings(&world) {
        let cursor = list(None).await.unwrap().1.unwrap();
        let sound: Vec<char> = cursor.as_str().chars().collect();
        let text = |characters: &[char]| characters.iter().collect::<String>();
        let mut damaged = vec![format!("{cursor}\n"), format!(" {cursor}"), format!("{cursor}{cursor}"), String::new()];
        for index in 0..sound.len() {
            damaged.push(text(&sound[..index]));
            damaged.push(text(&[&sound[..index], &sound[index + 1..]].concat()));
            for other in ['0', '1', 'Z', 'é', '\n'].into_iter().filter(|other| *other != sound[index]) {
                damaged.push(text(&[&sound[..index], &[other], &sound[index + 1..]].concat()));
            }
        }
        // Leaving out one of two equal neighbours is the same whichever it is; none of these is the cursor itself.
        for text in damaged.into_iter().filter(|text| *text != cursor.as_str()) {
            match list(Some(Cursor::new(text.as_str()))).await {
                Ok((ids, _)) => panic!("{name}: {text:?} for {cursor} gives {ids:?}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Malformed, "{name}: {text:?}: {error}");
                    faults(&error);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_trigger_that_goes_on_at_a_foreign_cursor_dispatches_nothing() {
    let world = full_world().await;
    let schedule = kairos::Specification::new("rate(1 day)").schedule_id();
    for (name, list) in listings(&world) {
        let mut input = TriggerInput::new(schedule.clone(), at(DUE));
        input.cursor = list(None).await.unwrap().1;
        let error = world.dispatcher.dispatch(&DispatchRequest::of_trigger(input, at(DUE))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{name}");
        assert!(world.queue.is_empty());
    }
}

#[tokio::test]
async fn an_id_of_another_table_finds_nothing_and_changes_nothing() {
    let world = full_world().await;
    let World { scheduler, .. } = &world;
    let before = (world.snapshot().await, world.executions().await);
    let registered = scheduler.process(&ProcessId::of("p0")).await.unwrap();
    let wrong = [
        registered.schedule_id.to_string(),
        registered.id.to_string().to_uppercase(),
        format!("{} ", registered.id),
        format!("{}\n", registered.id),
        registered.name.clone(),
        world.executions().await[0].id.to_string(),
        "%".into(),
        String::new(),
        "../procesos".into(),
        "x".repeat(1_000_000),
    ];
    for text in wrong {
        let id = ProcessId::from(text.as_str());
        let backfill = Backfill::new(at("2025-01-01T00:00:00Z")..=at(DUE));
        for error in [
            scheduler.process(&id).await.unwrap_err(),
            scheduler.preview(&id, 1).await.unwrap_err(),
            scheduler.run_now(&id, None).await.unwrap_err(),
            scheduler.backfill(&id, &backfill).await.unwrap_err(),
            scheduler.update(&id, &lambda("p0")).await.unwrap_err(),
            scheduler.patch(&id, &Changes::from_json(r#"{"descripcion":"d"}"#).unwrap()).await.unwrap_err(),
            scheduler.enable(&id).await.unwrap_err(),
            scheduler.disable(&id).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            faults(&error);
        }
        assert!(!scheduler.unregister(&id).await.unwrap());
        let executions = ExecutionFilter::all().with_process(id);
        assert!(world.history.list(&executions, &PageRequest::first(10)).await.unwrap().items.is_empty());
    }
    for text in [registered.id.as_str(), "", "calendarizacion-", "\n"] {
        let id = ScheduleId::from(text);
        let error = scheduler.schedule(&id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        faults(&error);
        let page = scheduler.processes(&ProcessFilter::of_schedule(id.clone()), &PageRequest::first(10)).await.unwrap();
        assert!(page.items.is_empty());
        assert_eq!(world.dispatcher.dispatch(&DispatchRequest::new(id, at(DUE))).await.unwrap().queued, 0);
    }
    assert_eq!((world.snapshot().await, world.executions().await), before);
    assert!(world.queue.is_empty());
}

impl World {
    /// All rows and triggers.
    async fn snapshot(&self) -> String {
        let page = PageRequest::first(1_000);
        let processes = self.scheduler.processes(&ProcessFilter::default(), &page).await.unwrap().items;
        let records = self.scheduler.schedules(&page).await.unwrap().items;
        format!("{processes:?} {records:?} {:?}", self.schedules.list(&page).await.unwrap().items)
    }
}
