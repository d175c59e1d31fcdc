//! The suite of [`ScheduleBackend`]: triggers are kept, and fire.

mod firing;
mod keeping;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Report;
use super::samples::schedule_id;
use super::support::{Passage, Stop, Verdict, run_cases};
use crate::backend::{ScheduleBackend, Trigger};
use crate::model::{ScheduleId, Specification, TriggerInput};

/// A [`ScheduleBackend`] with what a test needs around it: its clock, and eyes at the other end of its triggers.
#[async_trait]
pub trait ScheduleHarness: Send + Sync {
    /// The backend.
    fn backend(&self) -> &dyn ScheduleBackend;

    /// The clock that it fires on.
    fn time(&self) -> &dyn Passage;

    /// How much of its firing can be seen here.
    fn sight(&self) -> Sight;

    /// What its triggers have delivered so far to a dispatcher that took it, duplicates and all, in any order.
    /// Empty if nothing [can be seen](Sight::Nothing).
    async fn fired(&self) -> Vec<TriggerInput>;

    /// Makes the dispatcher refuse what it is handed, or take it again. False if that cannot be done here.
    async fn refuse(&self, refuse: bool) -> bool {
        let _ = refuse;
        false
    }

    /// What lies with the dead letters of the triggers; `None` if that cannot be seen here.
    async fn dead_letters(&self) -> Option<Vec<TriggerInput>> {
        None
    }

    /// A schedule group beside the configured one, in which triggers may be created; `None` if there is none.
    fn group(&self) -> Option<String> {
        None
    }

    /// Cases by name that this backend is known to fail, and why: for a stand-in that lacks something the real service has.
    /// They are reported as not applicable.
    fn gaps(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
}

/// How much of the firing of triggers a [`ScheduleHarness`] sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sight {
    /// Nothing: no case about firing applies.
    Nothing,
    /// That a trigger has fired, but not for which occurrence.
    Firings,
    /// That a trigger has fired, and for which occurrence.
    Occurrences,
}

/// Runs every case of [`ScheduleBackend`]'s contract against a backend, which may hold other triggers.
///
/// In real time, what takes longer than the [patience](Passage::patience) is reported as not applicable: no expression of the dialect
/// fires more often than once a minute. Each case deletes its triggers in the end.
///
/// # Panics
/// At the first case that fails, with its name and what was expected.
pub async fn schedules(harness: &dyn ScheduleHarness) -> Report {
    run_cases!("schedules", harness, gaps: harness.gaps(), [
        keeping::an_unknown_trigger_is_none,
        keeping::a_trigger_comes_back_as_it_was_created,
        keeping::creating_names_the_trigger,
        keeping::creating_again_succeeds,
        keeping::another_description_is_no_other_definition,
        keeping::another_specification_is_a_conflict,
        keeping::deleting_again_succeeds,
        keeping::a_deleted_name_is_free,
        keeping::a_name_is_one_within_its_group,
        keeping::what_never_fires_is_refused_by_field,
        keeping::concurrent_creations_and_deletions_succeed,
        keeping::a_listing_gives_every_trigger_once,
        keeping::triggers_that_come_and_go_disturb_no_other,
        keeping::text_that_is_no_cursor_is_refused,
        firing::a_trigger_fires_when_it_is_due,
        firing::a_firing_names_its_occurrence,
        firing::triggers_of_one_instant_all_fire,
        firing::a_deleted_trigger_does_not_fire,
        firing::a_trigger_in_a_group_fires,
        firing::every_occurrence_fires,
        firing::a_rate_fires_at_its_intervals,
        firing::occurrences_are_those_of_the_time_zone,
        firing::there_is_no_occurrence_outside_the_dates,
        firing::a_window_moves_no_occurrence,
        firing::creating_again_neither_stops_nor_moves_it,
        firing::deleting_ends_a_series,
        firing::a_refused_firing_comes_again,
        firing::a_firing_that_is_refused_for_ever_is_a_dead_letter,
    ])
}

/// Fires once, when no test runs any more.
fn far(minute: u32) -> Specification {
    Specification::new(format!("cron({minute} 9 1 1 ? 2199)"))
}

fn trigger(mark: &str, specification: Specification) -> Trigger {
    Trigger::new(schedule_id(mark), specification)
}

/// A specification that fires once, so many whole seconds from now, and when that is.
fn once(now: Timestamp, seconds: i64) -> (Specification, Timestamp) {
    let due = Timestamp::from_second(now.as_second() + seconds).unwrap_or(now);
    (Specification::new(due.strftime("at(%Y-%m-%dT%H:%M:%S)").to_string()), due)
}

async fn delete_all(harness: &dyn ScheduleHarness, triggers: &[Trigger]) -> Verdict {
    for trigger in triggers {
        harness.backend().delete(&trigger.key()).await?;
    }
    Ok(())
}

/// What has fired so far of one schedule.
async fn fired(harness: &dyn ScheduleHarness, id: &ScheduleId) -> Vec<TriggerInput> {
    let mut fired = harness.fired().await;
    fired.retain(|input| input.schedule_id == *id);
    fired
}

/// The occurrences that have been named so far by what fired of one schedule.
async fn occurrences(harness: &dyn ScheduleHarness, id: &ScheduleId) -> BTreeSet<Timestamp> {
    fired(harness, id).await.into_iter().filter_map(|input| input.scheduled_time).collect()
}

fn needs(harness: &dyn ScheduleHarness, sight: Sight, patience: Duration) -> Verdict {
    match (harness.sight(), sight) {
        (Sight::Nothing, _) => Err(Stop::NotApplicable("firing cannot be seen here")),
        (Sight::Firings, Sight::Occurrences) => Err(Stop::NotApplicable("occurrences cannot be seen here")),
        _ if patience > harness.time().patience() => {
            Err(Stop::NotApplicable("it takes longer than the patience of this clock"))
        }
        _ => Ok(()),
    }
}

fn group(harness: &dyn ScheduleHarness) -> Verdict<String> {
    harness.group().ok_or(Stop::NotApplicable("there is no other group here"))
}
