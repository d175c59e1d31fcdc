//! The suite of [`Store`]: what a commit does and refuses, and what a listing gives.

mod commits;
mod listings;
mod schedules;

use std::sync::Arc;

use super::Report;
use super::support::{Verdict, run_cases};
use crate::backend::{Store, Transaction};
use crate::model::{Process, Schedule};

/// Runs every case of [`Store`]'s contract against a backend, which may hold other rows and keeps those of the cases.
///
/// Where [listings may lag](crate::backend::StoreCapabilities::consistent_listings), the cases ask again in real time, on tokio's timers.
/// What no caller of the trait can bring about stays for the backend's own tests: rows that cannot be read, and errors of the
/// service behind it.
///
/// # Panics
/// At the first case that fails, with its name and what was expected.
pub async fn store(backend: &dyn Store) -> Report {
    run_cases!(
        "store",
        backend,
        [
            commits::an_unknown_row_is_none,
            commits::reads_see_the_commit_before_them,
            commits::rows_come_back_as_they_were_written,
            commits::rows_of_the_older_system_come_back,
            commits::rows_of_the_older_system_are_adopted,
            commits::the_largest_row_fits,
            commits::an_insert_that_meets_a_row_is_lost,
            commits::an_update_that_meets_no_row_is_lost,
            commits::a_deletion_that_meets_no_row_is_lost,
            commits::every_field_of_a_process_is_compared,
            commits::every_field_of_a_schedule_is_compared,
            commits::a_row_can_be_expected_and_left,
            commits::a_transaction_without_changes_succeeds,
            commits::a_transaction_happens_whole,
            commits::one_lost_change_undoes_all,
            commits::a_repeated_commit_is_lost,
            commits::of_concurrent_inserts_one_succeeds,
            commits::concurrent_increments_all_land,
            commits::concurrent_readers_see_whole_commits,
            listings::a_listing_gives_every_process_once,
            listings::a_listing_keeps_its_order,
            listings::an_empty_listing_ends,
            listings::a_listing_gives_whole_rows,
            listings::filters_combine,
            listings::a_name_prefix_means_its_very_letters,
            listings::an_updated_process_is_listed_as_it_is,
            listings::a_deleted_process_leaves_the_listing,
            listings::processes_that_come_and_go_disturb_no_other,
            listings::large_rows_take_more_pages,
            listings::a_cursor_serves_another_limit,
            listings::a_cursor_of_another_listing_is_refused,
            listings::text_that_is_no_cursor_is_refused,
            schedules::a_listing_gives_every_schedule_once,
            schedules::a_listing_gives_whole_records,
            schedules::schedules_that_come_and_go_disturb_no_other,
            schedules::a_cursor_of_processes_is_refused,
            schedules::text_that_is_no_cursor_is_refused_for_schedules,
        ]
    )
}

/// Both kinds of row at once: nearly every case holds for each.
#[derive(Clone, Debug, PartialEq)]
struct Pair {
    process: Arc<Process>,
    schedule: Schedule,
}

impl Pair {
    fn new(process: Process, schedule: Schedule) -> Self {
        Self { process: Arc::new(process), schedule }
    }

    /// The same rows with something changed in each.
    fn changed(&self) -> Self {
        let mut changed = self.clone();
        Arc::make_mut(&mut changed.process).target = "kairos:task:cambiada".into();
        changed.schedule.name.push_str(" cambiada");
        changed
    }
}

fn process_change(before: Option<&Arc<Process>>, after: Option<&Arc<Process>>) -> Transaction {
    Transaction::new().with_process(before.cloned(), after.cloned())
}

fn schedule_change(before: Option<&Schedule>, after: Option<&Schedule>) -> Transaction {
    Transaction::new().with_schedule(before.cloned(), after.cloned())
}

fn pair_change(before: Option<&Pair>, after: Option<&Pair>) -> Transaction {
    Transaction::new()
        .with_process(before.map(|pair| pair.process.clone()), after.map(|pair| pair.process.clone()))
        .with_schedule(before.map(|pair| pair.schedule.clone()), after.map(|pair| pair.schedule.clone()))
}

async fn insert_processes(store: &dyn Store, processes: &[Arc<Process>]) -> Verdict {
    for process in processes {
        store.commit(&process_change(None, Some(process))).await?;
    }
    Ok(())
}

/// What the store holds in place of a pair, row by row.
async fn stored(store: &dyn Store, pair: &Pair) -> Verdict<(Option<Arc<Process>>, Option<Schedule>)> {
    Ok((store.process(&pair.process.id).await?, store.schedule(&pair.schedule.id).await?))
}
