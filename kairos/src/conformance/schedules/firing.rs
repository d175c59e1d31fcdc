//! Triggers fire, at every occurrence and at no other time.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::{ScheduleHarness, Sight, delete_all, fired, group, needs, occurrences, once, trigger};
use crate::backend::Trigger;
use crate::clock::later;
use crate::conformance::support::{Stop, Verdict, ensure, expect_same, mark};
use crate::model::Specification;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Services look at their triggers once a minute, some of them twice.
const LAG: Duration = Duration::from_secs(90);

/// Lets time pass until something has fired of a trigger.
async fn expect_fired(harness: &dyn ScheduleHarness, trigger: &Trigger, due: Timestamp, lag: Duration) -> Verdict {
    let step = (lag / 90).max(SECOND);
    loop {
        let now = harness.time().now();
        let has_fired = !fired(harness, &trigger.schedule_id).await.is_empty();
        ensure!(!has_fired || now >= due, "nothing to fire before {due}, but at {now} it had");
        if has_fired {
            return Ok(());
        }
        ensure!(now < later(due, lag), "'{}' to fire within {lag:?} from its time", trigger.specification.expression);
        harness.time().pass(step).await;
    }
}

async fn create_once(
    harness: &dyn ScheduleHarness,
    count: usize,
    group: Option<String>,
) -> Verdict<(Vec<Trigger>, Timestamp)> {
    let (mut specification, due) = once(harness.time().now(), 4);
    specification.group = group;
    let triggers: Vec<_> = (0..count).map(|_| trigger(&mark(), specification.clone())).collect();
    for trigger in &triggers {
        harness.backend().create(trigger).await?;
    }
    Ok((triggers, due))
}

pub(super) async fn a_trigger_fires_when_it_is_due(harness: &dyn ScheduleHarness) -> Verdict {
    needs(harness, Sight::Firings, SECOND)?;
    let (triggers, due) = create_once(harness, 1, None).await?;
    expect_fired(harness, &triggers[0], due, LAG).await?;
    delete_all(harness, &triggers).await
}

/// By its nominal time, whenever it fires, and from its beginning.
pub(super) async fn a_firing_names_its_occurrence(harness: &dyn ScheduleHarness) -> Verdict {
    needs(harness, Sight::Occurrences, SECOND)?;
    let (triggers, due) = create_once(harness, 1, None).await?;
    expect_fired(harness, &triggers[0], due, LAG).await?;
    for input in fired(harness, &triggers[0].schedule_id).await {
        expect_same("the occurrence that fired", &input.scheduled_time, &Some(due))?;
        expect_same("where the dispatch goes on", &input.cursor, &None)?;
    }
    delete_all(harness, &triggers).await
}

pub(super) async fn triggers_of_one_instant_all_fire(harness: &dyn ScheduleHarness) -> Verdict {
    needs(harness, Sight::Firings, SECOND)?;
    let (triggers, due) = create_once(harness, 5, None).await?;
    for trigger in &triggers {
        expect_fired(harness, trigger, due, LAG).await?;
    }
    delete_all(harness, &triggers).await
}

pub(super) async fn a_deleted_trigger_does_not_fire(harness: &dyn ScheduleHarness) -> Verdict {
    needs(harness, Sight::Firings, SECOND)?;
    let (triggers, _) = create_once(harness, 2, None).await?;
    delete_all(harness, &triggers).await?;
    harness.time().pass(LAG.min(harness.time().patience())).await;
    for trigger in &triggers {
        let fired = fired(harness, &trigger.schedule_id).await;
        ensure!(fired.is_empty(), "a trigger that was deleted before its time not to fire, but it did: {fired:?}");
    }
    Ok(())
}

pub(super) async fn a_trigger_in_a_group_fires(harness: &dyn ScheduleHarness) -> Verdict {
    needs(harness, Sight::Firings, SECOND)?;
    let (triggers, due) = create_once(harness, 1, Some(group(harness)?)).await?;
    expect_fired(harness, &triggers[0], due, LAG).await?;
    delete_all(harness, &triggers).await
}

/// Whole minutes away from any occurrence of a cron expression, so that what counts as before and after is clear.
async fn half_past_a_minute(harness: &dyn ScheduleHarness) -> Timestamp {
    let now = harness.time().now();
    let past = u64::try_from(now.as_second().rem_euclid(60)).unwrap_or_default();
    harness.time().pass(Duration::from_secs((90 - past) % 60)).await;
    harness.time().now()
}

/// Expects a trigger to fire at all its occurrences between two instants, and at no other time; the last of them a little later.
async fn expect_occurrences(
    harness: &dyn ScheduleHarness,
    trigger: &Trigger,
    from: Timestamp,
    to: Timestamp,
) -> Verdict {
    let timetable = trigger.specification.timetable(from)?;
    let expected: BTreeSet<_> = timetable.after(from).take_while(|at| *at <= to).collect();
    for _ in 0..LAG.as_secs() {
        if occurrences(harness, &trigger.schedule_id).await.is_superset(&expected) {
            break;
        }
        harness.time().pass(SECOND).await;
    }
    let mut found = occurrences(harness, &trigger.schedule_id).await;
    // The next ones may have come due while the last was waited for.
    found.retain(|at| *at <= to);
    expect_same(&format!("the occurrences of {:?} that fired", trigger.specification), &found, &expected)
}

/// Creates a trigger, lets time pass, and expects all its occurrences to have fired, and nothing else.
async fn expect_series(harness: &dyn ScheduleHarness, specification: Specification, span: Duration) -> Verdict {
    needs(harness, Sight::Occurrences, span)?;
    let from = half_past_a_minute(harness).await;
    let trigger = trigger(&mark(), specification);
    harness.backend().create(&trigger).await?;
    harness.time().pass(span).await;
    expect_occurrences(harness, &trigger, from, later(from, span)).await?;
    delete_all(harness, &[trigger]).await
}

pub(super) async fn every_occurrence_fires(harness: &dyn ScheduleHarness) -> Verdict {
    for (expression, span) in [
        ("cron(* * * * ? *)", MINUTE * 5),
        ("* * * * ? *", MINUTE * 3),
        ("cron(0/7 * ? * 1-7 *)", MINUTE * 30),
        ("cron(15 3,9 * * ? *)", DAY * 2),
    ] {
        expect_series(harness, Specification::new(expression), span).await?;
    }
    Ok(())
}

/// From where it counts is the backend's own moment of creation; how far one is from the next is not.
pub(super) async fn a_rate_fires_at_its_intervals(harness: &dyn ScheduleHarness) -> Verdict {
    needs(harness, Sight::Occurrences, MINUTE * 12)?;
    let from = harness.time().now();
    let trigger = trigger(&mark(), Specification::new("rate(2 minutes)"));
    harness.backend().create(&trigger).await?;
    harness.time().pass(MINUTE * 10 + LAG).await;
    let found: Vec<_> = occurrences(harness, &trigger.schedule_id).await.into_iter().collect();
    ensure!(found.len() >= 4, "at least 4 occurrences of rate(2 minutes) in 10 minutes, found {found:?} since {from}");
    for pair in found.windows(2) {
        expect_same("the occurrence after another of rate(2 minutes)", &pair[1], &later(pair[0], MINUTE * 2))?;
    }
    delete_all(harness, &[trigger]).await
}

pub(super) async fn occurrences_are_those_of_the_time_zone(harness: &dyn ScheduleHarness) -> Verdict {
    for zone in ["America/Santiago", "Asia/Kathmandu"] {
        expect_series(harness, Specification::new("cron(30 9 * * ? *)").with_time_zone(zone), DAY * 2).await?;
    }
    Ok(())
}

pub(super) async fn there_is_no_occurrence_outside_the_dates(harness: &dyn ScheduleHarness) -> Verdict {
    let every_minute = || Specification::new("cron(* * * * ? *)");
    for shape in 0..3 {
        needs(harness, Sight::Occurrences, MINUTE * 8)?;
        let now = half_past_a_minute(harness).await;
        let (start, end) = (later(now, MINUTE * 2), later(now, MINUTE * 5));
        let specification = match shape {
            0 => every_minute().with_start(start),
            1 => every_minute().with_end(end),
            _ => every_minute().with_start(start).with_end(end),
        };
        expect_series(harness, specification, MINUTE * 8).await?;
    }
    Ok(())
}

/// A firing may come late by the window, but it is the same occurrence.
pub(super) async fn a_window_moves_no_occurrence(harness: &dyn ScheduleHarness) -> Verdict {
    let window = 5;
    let span = MINUTE * 22;
    needs(harness, Sight::Occurrences, span + MINUTE * window)?;
    let from = half_past_a_minute(harness).await;
    let trigger = trigger(&mark(), Specification::new("cron(0/10 * * * ? *)").with_window_minutes(window));
    harness.backend().create(&trigger).await?;
    harness.time().pass(span + MINUTE * window).await;
    expect_occurrences(harness, &trigger, from, later(from, span)).await?;
    delete_all(harness, &[trigger]).await
}

pub(super) async fn creating_again_neither_stops_nor_moves_it(harness: &dyn ScheduleHarness) -> Verdict {
    needs(harness, Sight::Occurrences, MINUTE * 6)?;
    let from = half_past_a_minute(harness).await;
    let trigger = trigger(&mark(), Specification::new("cron(* * * * ? *)"));
    for _ in 0..3 {
        harness.backend().create(&trigger).await?;
        harness.time().pass(MINUTE * 2).await;
    }
    expect_occurrences(harness, &trigger, from, later(from, MINUTE * 6)).await?;
    delete_all(harness, &[trigger]).await
}

pub(super) async fn deleting_ends_a_series(harness: &dyn ScheduleHarness) -> Verdict {
    needs(harness, Sight::Occurrences, MINUTE * 6)?;
    half_past_a_minute(harness).await;
    let trigger = trigger(&mark(), Specification::new("cron(* * * * ? *)"));
    harness.backend().create(&trigger).await?;
    harness.time().pass(MINUTE * 3).await;
    ensure!(!occurrences(harness, &trigger.schedule_id).await.is_empty(), "something to fire within three minutes");
    harness.backend().delete(&trigger.key()).await?;
    let deleted = harness.time().now();
    harness.time().pass(MINUTE * 3).await;
    let more: Vec<_> =
        occurrences(harness, &trigger.schedule_id).await.into_iter().filter(|at| *at > deleted).collect();
    ensure!(more.is_empty(), "no occurrence after the deletion at {deleted} to fire, found {more:?}");
    Ok(())
}

pub(super) async fn a_refused_firing_comes_again(harness: &dyn ScheduleHarness) -> Verdict {
    needs(harness, Sight::Firings, HOUR)?;
    let (triggers, due) = create_once(harness, 2, None).await?;
    if !harness.refuse(true).await {
        delete_all(harness, &triggers).await?;
        return Err(Stop::NotApplicable("the dispatcher cannot be made to refuse here"));
    }
    for _ in 0..30 {
        harness.time().pass(SECOND).await;
        for trigger in &triggers {
            let fired = fired(harness, &trigger.schedule_id).await;
            ensure!(fired.is_empty(), "nothing to be taken by a dispatcher that refuses, found {fired:?}");
        }
    }
    harness.refuse(false).await;
    for trigger in &triggers {
        expect_fired(harness, trigger, due, HOUR).await?;
    }
    delete_all(harness, &triggers).await
}

pub(super) async fn a_firing_that_is_refused_for_ever_is_a_dead_letter(harness: &dyn ScheduleHarness) -> Verdict {
    needs(harness, Sight::Firings, DAY * 2)?;
    if harness.dead_letters().await.is_none() {
        return Err(Stop::NotApplicable("the dead letters of triggers cannot be seen here"));
    }
    let (triggers, _) = create_once(harness, 1, None).await?;
    if !harness.refuse(true).await {
        delete_all(harness, &triggers).await?;
        return Err(Stop::NotApplicable("the dispatcher cannot be made to refuse here"));
    }
    let end = later(harness.time().now(), DAY * 2);
    let id = &triggers[0].schedule_id;
    let mut is_dead = false;
    while !is_dead && harness.time().now() < end {
        harness.time().pass(MINUTE).await;
        // Whoever looks may be who delivers.
        let fired = fired(harness, id).await;
        ensure!(fired.is_empty(), "nothing to be taken by a dispatcher that refuses, found {fired:?}");
        is_dead = harness.dead_letters().await.unwrap_or_default().iter().any(|input| input.schedule_id == *id);
    }
    harness.refuse(false).await;
    delete_all(harness, &triggers).await?;
    ensure!(is_dead, "a firing that nobody takes to lie with the dead letters within two days");
    Ok(())
}
