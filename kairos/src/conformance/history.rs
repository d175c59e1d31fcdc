//! The suite of [`History`]: who may try an execution, what is recorded of it, and how it is listed.

mod claims;
mod listings;
mod outcomes;

use std::time::Duration;

use jiff::Timestamp;

use super::Report;
use super::samples::work;
use super::support::{Passage, Stop, Verdict, expect_same, mark, run_cases};
use crate::backend::{Claim, Claimed, History, Outcome};
use crate::clock::later;
use crate::error::Result;
use crate::model::{Execution, ExecutionId, ExecutionState, Hold, Owner, WorkItem};

/// Runs every case of [`History`]'s contract against a backend, which may hold other executions and keeps those of the cases.
///
/// Claims last a second where a case needs one that has ended. Listings may lag; the cases ask again as time passes.
/// Retention, and errors of the service behind it, stay for the backend's own tests.
///
/// # Panics
/// At the first case that fails, with its name and what was expected.
pub async fn history(backend: &dyn History, time: &dyn Passage) -> Report {
    let desk = Desk { history: backend, time };
    run_cases!(
        "history",
        &desk,
        [
            claims::an_unknown_execution_is_granted,
            claims::a_live_claim_holds_others_off,
            claims::an_ended_claim_is_granted_to_another,
            claims::a_claim_ends_at_its_very_end,
            claims::a_failed_execution_is_granted_again,
            claims::a_succeeded_execution_is_finished,
            claims::a_skipped_execution_is_finished,
            claims::a_dead_execution_is_finished,
            claims::a_redriven_dead_execution_is_granted_from_1,
            claims::a_redriven_claim_counts_from_1_also_if_no_death_was_recorded,
            claims::a_redriven_execution_can_die_again,
            claims::a_backfill_reopens_a_skipped_execution,
            claims::a_repeated_claim_is_the_same_attempt,
            claims::attempts_are_counted,
            claims::executions_do_not_hinder_each_other,
            claims::of_concurrent_claims_one_is_granted,
            claims::of_concurrent_claims_after_another_one_is_granted,
            outcomes::an_unknown_execution_is_none,
            outcomes::a_claimed_execution_is_running,
            outcomes::a_later_try_shows_in_the_record,
            outcomes::every_outcome_comes_back,
            outcomes::a_success_takes_the_earlier_failure_away,
            outcomes::an_owner_renews_its_claim,
            outcomes::nobody_else_renews_a_claim,
            outcomes::what_is_over_is_not_renewed,
            outcomes::an_overtaken_owner_renews_and_records_nothing,
            outcomes::nobody_else_records_an_outcome,
            outcomes::an_ended_claim_that_nobody_took_is_recorded,
            outcomes::a_repeated_outcome_changes_nothing,
            outcomes::another_outcome_afterwards_is_lost,
            outcomes::an_unknown_execution_is_neither_renewed_nor_recorded,
            listings::a_listing_gives_every_execution_once,
            listings::a_listing_begins_with_the_newest,
            listings::executions_of_one_instant_are_all_given,
            listings::filters_combine,
            listings::a_listing_follows_the_state,
            listings::a_cursor_of_another_listing_is_refused,
            listings::text_that_is_no_cursor_is_refused,
        ]
    )
}

/// Longer than any suite takes.
const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_secs(1);
/// The owner of the first claim of an execution in most cases, and others.
const FIRST: Owner = Owner::from_u128(1);
const SECOND: Owner = Owner::from_u128(2);
const THIRD: Owner = Owner::from_u128(3);

#[derive(Debug)]
struct Desk<'b> {
    history: &'b dyn History,
    time: &'b dyn Passage,
}

impl Desk<'_> {
    fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// An execution that nobody else knows, of a process of its own, due now.
    fn work(&self) -> WorkItem {
        work(&mark(), self.now())
    }

    async fn claim(&self, work: &WorkItem, owner: Owner, lease: Duration, redriven: bool) -> Result<Claimed> {
        let now = self.now();
        let hold = Hold { owner, until: later(now, lease) };
        self.history.claim(&Claim::new(work.clone(), hold, now).with_redriven(redriven)).await
    }

    async fn expect_granted(&self, what: &str, claimed: Result<Claimed>, attempt: u32) -> Verdict {
        expect_same(what, &claimed?, &Claimed::Granted { attempt })
    }

    async fn record(&self, work: &WorkItem, owner: Owner, state: ExecutionState) -> Result<Outcome> {
        let outcome = Outcome::new(work.execution_id, owner, state, self.now());
        self.history.record(&outcome).await.map(|()| outcome)
    }

    async fn execution(&self, id: ExecutionId) -> Verdict<Execution> {
        self.history.get(id).await?.ok_or_else(|| Stop::failed("expected the execution to be known, but it is not"))
    }

    /// A new execution, claimed by the first owner for long.
    async fn running(&self) -> Verdict<WorkItem> {
        let work = self.work();
        self.expect_granted("the first claim", self.claim(&work, FIRST, LONG, false).await, 1).await?;
        Ok(work)
    }

    /// A new execution whose claim by the first owner has ended, and when it did.
    async fn ended(&self) -> Verdict<(WorkItem, Timestamp)> {
        let work = self.work();
        let until = later(self.now(), SHORT);
        self.expect_granted("the first claim", self.claim(&work, FIRST, SHORT, false).await, 1).await?;
        self.time.pass(SHORT * 2).await;
        Ok((work, until))
    }

    /// A new execution that the first owner has brought to an end, which came to this.
    async fn recorded(&self, state: ExecutionState) -> Verdict<WorkItem> {
        let work = self.running().await?;
        self.record(&work, FIRST, state).await?;
        Ok(work)
    }
}
