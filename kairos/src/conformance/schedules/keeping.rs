//! Triggers are created, read, listed and deleted.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::{ScheduleHarness, delete_all, far, trigger};
use crate::backend::{Trigger, TriggerKey};
use crate::conformance::samples::{Alteration, instant, schedule_id};
use crate::conformance::support::{
    self, Verdict, ensure, eventually, expect_garbage_refused, expect_refusal, expect_same, mark, walk,
};
use crate::error::{Error, ErrorKind};
use crate::model::Specification;

fn full() -> Specification {
    far(0)
        .with_time_zone("America/Santiago")
        .with_start(instant("2198-01-01T00:00:00Z"))
        .with_end(instant("2199-12-31T23:59:59Z"))
        .with_window_minutes(15)
}

fn fields(error: &Error) -> Vec<&'static str> {
    error.faults().iter().map(|fault| fault.field).collect()
}

pub(super) async fn an_unknown_trigger_is_none(harness: &dyn ScheduleHarness) -> Verdict {
    let key = TriggerKey { schedule_id: schedule_id(&mark()), group: None };
    expect_same("an unknown trigger", &harness.backend().get(&key).await?, &None)
}

pub(super) async fn a_trigger_comes_back_as_it_was_created(harness: &dyn ScheduleHarness) -> Verdict {
    let bare = Specification::new("0 9 1 1 ? 2199");
    for specification in
        [far(0), full(), bare, Specification::new("at(2199-01-01T09:00:00)"), Specification::new("rate(365 days)")]
    {
        for description in [None, Some("Cada año, el 1 de enero".to_owned())] {
            let trigger = trigger(&mark(), specification.clone()).with_description(description);
            harness.backend().create(&trigger).await?;
            expect_same("the trigger", &harness.backend().get(&trigger.key()).await?, &Some(trigger.clone()))?;
            delete_all(harness, &[trigger]).await?;
        }
    }
    Ok(())
}

pub(super) async fn creating_names_the_trigger(harness: &dyn ScheduleHarness) -> Verdict {
    let triggers = [trigger(&mark(), far(0)), trigger(&mark(), far(0))];
    let one = harness.backend().create(&triggers[0]).await?;
    let two = harness.backend().create(&triggers[1]).await?;
    ensure!(!one.is_empty() && one != two, "two triggers to have two names, found '{one}' and '{two}'");
    expect_same("the name of a trigger that exists", &harness.backend().create(&triggers[0]).await?, &one)?;
    delete_all(harness, &triggers).await
}

pub(super) async fn creating_again_succeeds(harness: &dyn ScheduleHarness) -> Verdict {
    for specification in [far(0), full(), Specification::new("0 9 1 1 ? 2199")] {
        let trigger = trigger(&mark(), specification);
        for _ in 0..3 {
            harness.backend().create(&trigger).await?;
        }
        expect_same("the trigger", &harness.backend().get(&trigger.key()).await?, &Some(trigger.clone()))?;
        delete_all(harness, &[trigger]).await?;
    }
    Ok(())
}

pub(super) async fn another_description_is_no_other_definition(harness: &dyn ScheduleHarness) -> Verdict {
    let trigger = trigger(&mark(), far(0)).with_description("Una".to_owned());
    harness.backend().create(&trigger).await?;
    for description in [Some("Otra".to_owned()), None] {
        harness.backend().create(&trigger.clone().with_description(description)).await?;
    }
    delete_all(harness, &[trigger]).await
}

pub(super) async fn another_specification_is_a_conflict(harness: &dyn ScheduleHarness) -> Verdict {
    let alterations: [Alteration<Specification>; 5] = [
        ("cron", |one| one.expression = far(1).expression),
        ("zonaHoraria", |one| one.time_zone = Some("America/Lima".into())),
        ("inicio", |one| one.start = Some(instant("2198-01-01T00:00:01Z"))),
        ("fin", |one| one.end = Some(instant("2199-12-31T23:59:58Z"))),
        ("ventanaMinutos", |one| one.window_minutes = Some(16)),
    ];
    for (field, alter) in alterations {
        let mut altered = far(0);
        alter(&mut altered);
        let mut otherwise = full();
        alter(&mut otherwise);
        for (there, wanted) in [(far(0), altered.clone()), (altered, far(0)), (full(), otherwise)] {
            let there = trigger(&mark(), there);
            harness.backend().create(&there).await?;
            let wanted = Trigger::new(there.schedule_id.clone(), wanted);
            let result = harness.backend().create(&wanted).await;
            let error = expect_refusal(&format!("a creation with another {field}"), result, &[ErrorKind::Conflict])?;
            expect_same("the fields that differ", &fields(&error), &vec![field])?;
            expect_same("the trigger after it", &harness.backend().get(&there.key()).await?, &Some(there.clone()))?;
            delete_all(harness, &[there]).await?;
        }
    }
    Ok(())
}

pub(super) async fn deleting_again_succeeds(harness: &dyn ScheduleHarness) -> Verdict {
    let trigger = trigger(&mark(), far(0));
    harness.backend().delete(&trigger.key()).await?;
    harness.backend().create(&trigger).await?;
    for _ in 0..3 {
        harness.backend().delete(&trigger.key()).await?;
        expect_same("the deleted trigger", &harness.backend().get(&trigger.key()).await?, &None)?;
    }
    Ok(())
}

pub(super) async fn a_deleted_name_is_free(harness: &dyn ScheduleHarness) -> Verdict {
    let mark = mark();
    let first = trigger(&mark, far(0));
    harness.backend().create(&first).await?;
    harness.backend().delete(&first.key()).await?;
    let second = trigger(&mark, full());
    harness.backend().create(&second).await?;
    expect_same("the trigger", &harness.backend().get(&second.key()).await?, &Some(second.clone()))?;
    delete_all(harness, &[second]).await
}

/// The same name in another group is another trigger.
pub(super) async fn a_name_is_one_within_its_group(harness: &dyn ScheduleHarness) -> Verdict {
    let group = super::group(harness)?;
    let mark = mark();
    let (here, there) = (trigger(&mark, far(0)), trigger(&mark, far(1).with_group(group)));
    for trigger in [&here, &there] {
        harness.backend().create(trigger).await?;
    }
    for trigger in [&here, &there] {
        expect_same("the trigger", &harness.backend().get(&trigger.key()).await?, &Some(trigger.clone()))?;
    }
    harness.backend().delete(&here.key()).await?;
    expect_same("the deleted trigger", &harness.backend().get(&here.key()).await?, &None)?;
    expect_same("the trigger", &harness.backend().get(&there.key()).await?, &Some(there.clone()))?;
    delete_all(harness, &[there]).await
}

pub(super) async fn what_never_fires_is_refused_by_field(harness: &dyn ScheduleHarness) -> Verdict {
    for (field, specification) in [
        ("cron", Specification::new("cron(0 9 * * * *)")),
        ("cron", Specification::new("cada día a las nueve")),
        ("cron", Specification::new("rate(0 minutes)")),
        ("zonaHoraria", far(0).with_time_zone("Marte/Olimpo")),
    ] {
        let trigger = trigger(&mark(), specification);
        let result = harness.backend().create(&trigger).await;
        let what = format!("the creation of {:?}", trigger.specification);
        let error = expect_refusal(&what, result, &[ErrorKind::Invalid])?;
        expect_same("the fields at fault", &fields(&error), &vec![field])?;
        expect_same("the trigger", &harness.backend().get(&trigger.key()).await?, &None)?;
    }
    Ok(())
}

pub(super) async fn concurrent_creations_and_deletions_succeed(harness: &dyn ScheduleHarness) -> Verdict {
    let trigger = trigger(&mark(), far(0));
    let key = trigger.key();
    for created in join_all((0..6).map(|_| harness.backend().create(&trigger))).await {
        created?;
    }
    expect_same("the trigger", &harness.backend().get(&key).await?, &Some(trigger.clone()))?;
    for deleted in join_all((0..6).map(|_| harness.backend().delete(&key))).await {
        deleted?;
    }
    expect_same("the deleted trigger", &harness.backend().get(&key).await?, &None)
}

/// What a listing gives of some triggers, each as often as it is given.
async fn listed(harness: &dyn ScheduleHarness, ours: &[Trigger], limit: usize) -> Verdict<Vec<Trigger>> {
    let mut listed = walk(limit, async |page| harness.backend().list(&page).await).await?;
    listed.retain(|trigger| ours.iter().any(|one| one.key() == trigger.key()));
    Ok(listed)
}

/// Expects a listing to give just these, in the end: a service may show what was created or deleted a moment later.
async fn expect_listed(harness: &dyn ScheduleHarness, ours: &[Trigger], limit: usize, expected: &[Trigger]) -> Verdict {
    let by_key = |all: &[Trigger]| -> BTreeMap<_, _> { all.iter().map(|one| (one.key(), one.clone())).collect() };
    let _ = eventually(harness.time(), "the listing to catch up", async || {
        Ok((by_key(&listed(harness, ours, limit).await?) == by_key(expected)).then_some(()))
    })
    .await;
    let listed = listed(harness, ours, limit).await?;
    expect_same("the listed triggers", &by_key(&listed), &by_key(expected))?;
    expect_same("how many times they are given in all", &listed.len(), &expected.len())
}

pub(super) async fn a_listing_gives_every_trigger_once(harness: &dyn ScheduleHarness) -> Verdict {
    let specifications = [far(0), far(1), far(2), full(), full().with_time_zone("America/Lima")];
    let mut triggers: Vec<_> =
        specifications.into_iter().map(|specification| trigger(&mark(), specification)).collect();
    if let Some(group) = harness.group() {
        triggers.push(trigger(&mark(), far(0).with_group(group)));
    }
    for trigger in &triggers {
        harness.backend().create(trigger).await?;
    }
    for limit in [1, 2, 100] {
        expect_listed(harness, &triggers, limit, &triggers).await?;
    }
    delete_all(harness, &triggers).await?;
    expect_listed(harness, &triggers, 100, &[]).await
}

pub(super) async fn triggers_that_come_and_go_disturb_no_other(harness: &dyn ScheduleHarness) -> Verdict {
    let stay: Vec<_> = (0..4).map(|_| trigger(&mark(), far(0))).collect();
    let go: Vec<_> = (0..4).map(|_| trigger(&mark(), far(0))).collect();
    for trigger in stay.iter().chain(&go) {
        harness.backend().create(trigger).await?;
    }
    let all = [stay.clone(), go.clone()].concat();
    expect_listed(harness, &all, 100, &all).await?;
    let mut given = Vec::new();
    let mut new = Vec::new();
    walk(2, async |page| {
        let answer = harness.backend().list(&page).await?;
        given.extend(answer.items.iter().map(Trigger::key));
        // The one that was given last goes first: the listing must find its way on without it.
        if let Some(last) = answer.items.last().filter(|last| go.contains(last)) {
            harness.backend().delete(&last.key()).await?;
            new.push(trigger(&support::mark(), far(0)));
            harness.backend().create(&new[new.len() - 1]).await?;
        }
        Ok(answer)
    })
    .await?;
    delete_all(harness, &[all, new].concat()).await?;
    for trigger in &stay {
        let times = given.iter().filter(|key| **key == trigger.key()).count();
        let id = &trigger.schedule_id;
        ensure!(
            times == 1,
            "'{id}', which stayed, to be given once while others came and went, but it was {times} times"
        );
    }
    Ok(())
}

pub(super) async fn text_that_is_no_cursor_is_refused(harness: &dyn ScheduleHarness) -> Verdict {
    expect_garbage_refused(async |page| harness.backend().list(&page).await).await
}
