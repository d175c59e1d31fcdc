//! Histories with one flaw each.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use kairos::backend::{Claim, Claimed, ExecutionFilter, History, Outcome};
use kairos::page::{Page, PageRequest};
use kairos::{Error, ErrorKind, Execution, ExecutionId, ExecutionState, Failure, Owner, Result, conformance};
use kairos_memory::MemoryHistory;

use super::assert_found;
use crate::harness::clock;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    GrantsTwice,
    ForgetsUntilWhen,
    NeverLetsAClaimEnd,
    EndsAClaimLate,
    TakesFailedForFinished,
    GrantsWhatSucceeded,
    TakesSkippedForDead,
    GrantsTheDead,
    BuriesForEver,
    GoesOnCountingWhenRedriven,
    RedrivesOnlyTheDead,
    SkipsForEver,
    BackfillsWhatSucceeded,
    DoesNotKnowItsOwner,
    CountsFromZero,
    ClaimsInTwoSteps,
    ForgetsTheOrigin,
    ForgetsWhenATryBegan,
    CutsErrors,
    KeepsOldErrors,
    RenewsNothing,
    LetsAnyoneRenew,
    LetsAnyoneRecord,
    RefusesLateOutcomes,
    OverwritesOutcomes,
    MakesUpExecutions,
    EndsAfterTheFirstPage,
    ListsTheOldestFirst,
    IncludesTheEnd,
    ListsByTheStateOfBefore,
    TakesAnyCursor,
}

const FOUND_BY: [(Flaw, &str); 31] = [
    (Flaw::GrantsTwice, "a_live_claim_holds_others_off"),
    (Flaw::ForgetsUntilWhen, "a_live_claim_holds_others_off"),
    (Flaw::NeverLetsAClaimEnd, "an_ended_claim_is_granted_to_another"),
    (Flaw::EndsAClaimLate, "a_claim_ends_at_its_very_end"),
    (Flaw::TakesFailedForFinished, "a_failed_execution_is_granted_again"),
    (Flaw::GrantsWhatSucceeded, "a_succeeded_execution_is_finished"),
    (Flaw::TakesSkippedForDead, "a_skipped_execution_is_finished"),
    (Flaw::GrantsTheDead, "a_dead_execution_is_finished"),
    (Flaw::BuriesForEver, "a_redriven_dead_execution_is_granted_from_1"),
    (Flaw::GoesOnCountingWhenRedriven, "a_redriven_dead_execution_is_granted_from_1"),
    (Flaw::RedrivesOnlyTheDead, "a_redriven_claim_counts_from_1_also_if_no_death_was_recorded"),
    (Flaw::SkipsForEver, "a_backfill_reopens_a_skipped_execution"),
    (Flaw::BackfillsWhatSucceeded, "a_backfill_reopens_a_skipped_execution"),
    (Flaw::DoesNotKnowItsOwner, "a_repeated_claim_is_the_same_attempt"),
    (Flaw::CountsFromZero, "an_unknown_execution_is_granted"),
    (Flaw::ClaimsInTwoSteps, "of_concurrent_claims_one_is_granted"),
    (Flaw::ForgetsTheOrigin, "a_claimed_execution_is_running"),
    (Flaw::ForgetsWhenATryBegan, "a_later_try_shows_in_the_record"),
    (Flaw::CutsErrors, "every_outcome_comes_back"),
    (Flaw::KeepsOldErrors, "a_success_takes_the_earlier_failure_away"),
    (Flaw::RenewsNothing, "an_owner_renews_its_claim"),
    (Flaw::LetsAnyoneRenew, "nobody_else_renews_a_claim"),
    (Flaw::LetsAnyoneRecord, "an_overtaken_owner_renews_and_records_nothing"),
    (Flaw::RefusesLateOutcomes, "an_ended_claim_that_nobody_took_is_recorded"),
    (Flaw::OverwritesOutcomes, "another_outcome_afterwards_is_lost"),
    (Flaw::MakesUpExecutions, "an_unknown_execution_is_neither_renewed_nor_recorded"),
    (Flaw::EndsAfterTheFirstPage, "a_listing_gives_every_execution_once"),
    (Flaw::ListsTheOldestFirst, "a_listing_begins_with_the_newest"),
    (Flaw::IncludesTheEnd, "filters_combine"),
    (Flaw::ListsByTheStateOfBefore, "a_listing_follows_the_state"),
    (Flaw::TakesAnyCursor, "a_cursor_of_another_listing_is_refused"),
];

#[tokio::test]
async fn every_flaw_of_a_history_is_found() {
    for (flaw, case) in FOUND_BY {
        let mutant = Mutant { inner: MemoryHistory::new(), flaw, claims: Mutex::default(), errors: Mutex::default() };
        assert_found(&flaw, case, conformance::history(&mutant, &clock())).await;
    }
}

#[derive(Debug)]
struct Mutant {
    inner: MemoryHistory,
    flaw: Flaw,
    /// The claim that was granted last, of each execution.
    claims: Mutex<BTreeMap<ExecutionId, Claim>>,
    errors: Mutex<BTreeMap<ExecutionId, Failure>>,
}

fn lost() -> Error {
    Error::new(ErrorKind::Lost, "it is lost")
}

impl Mutant {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn last_claim(&self, id: ExecutionId) -> Option<Claim> {
        self.claims.lock().unwrap().get(&id).cloned()
    }
}

#[async_trait]
impl History for Mutant {
    async fn claim(&self, claim: &Claim) -> Result<Claimed> {
        let id = claim.work.execution_id;
        let before = self.inner.get(id).await?;
        let last = self.last_claim(id);
        let mut claim = claim.clone();
        let repeats = last.as_ref().is_some_and(|last| last.hold.owner == claim.hold.owner);
        let state = before.as_ref().map(|before| before.state);
        let is_running = before.as_ref().is_some_and(|before| before.state == ExecutionState::Running);
        match self.flaw {
            Flaw::DoesNotKnowItsOwner if repeats && is_running => {
                return Ok(Claimed::Held { until: claim.hold.until });
            }
            Flaw::NeverLetsAClaimEnd if !repeats && is_running => return Ok(Claimed::Held { until: claim.hold.until }),
            Flaw::EndsAClaimLate => claim.now -= SignedDuration::from_millis(1),
            Flaw::GrantsTheDead => claim.redriven |= state == Some(ExecutionState::Dead),
            Flaw::BuriesForEver => claim.redriven = false,
            Flaw::RedrivesOnlyTheDead => claim.redriven &= state == Some(ExecutionState::Dead),
            Flaw::SkipsForEver if before.is_some() => claim.work.origin = kairos::Origin::Schedule,
            Flaw::ClaimsInTwoSteps => tokio::task::yield_now().await,
            _ => {}
        }
        let claimed = self.inner.claim(&claim).await?;
        let attempt = before.as_ref().map_or(1, |before| before.attempts + 1);
        let flawed = match (self.flaw, claimed) {
            (Flaw::GrantsTwice, Claimed::Held { .. }) => Claimed::Granted { attempt },
            (Flaw::ClaimsInTwoSteps, Claimed::Held { .. }) if before.is_none() => Claimed::Granted { attempt: 1 },
            (Flaw::ForgetsUntilWhen, Claimed::Held { .. }) => Claimed::Held { until: Timestamp::MAX },
            (Flaw::TakesFailedForFinished, _) if state == Some(ExecutionState::Failed) => {
                Claimed::Finished(ExecutionState::Failed)
            }
            (Flaw::GrantsWhatSucceeded, Claimed::Finished(ExecutionState::Succeeded)) => Claimed::Granted { attempt },
            (Flaw::TakesSkippedForDead, Claimed::Finished(ExecutionState::Skipped)) => {
                Claimed::Finished(ExecutionState::Dead)
            }
            (Flaw::GoesOnCountingWhenRedriven, Claimed::Granted { .. }) if state == Some(ExecutionState::Dead) => {
                Claimed::Granted { attempt }
            }
            (Flaw::BackfillsWhatSucceeded, Claimed::Finished(ExecutionState::Succeeded))
                if claim.work.origin == kairos::Origin::Backfill =>
            {
                Claimed::Granted { attempt }
            }
            (Flaw::CountsFromZero, Claimed::Granted { attempt }) => Claimed::Granted { attempt: attempt - 1 },
            (_, claimed) => claimed,
        };
        if matches!(flawed, Claimed::Granted { .. }) {
            self.claims.lock().unwrap().insert(id, claim);
        }
        Ok(flawed)
    }

    async fn renew(&self, id: ExecutionId, owner: Owner, until: Timestamp) -> Result<()> {
        if let Some(claim) = self.claims.lock().unwrap().get_mut(&id).filter(|claim| claim.hold.owner == owner) {
            claim.hold.until = until;
        }
        match self.flaw {
            Flaw::RenewsNothing => Ok(()),
            Flaw::LetsAnyoneRenew => {
                let owner = self.last_claim(id).map_or(owner, |claim| claim.hold.owner);
                self.inner.renew(id, owner, until).await
            }
            _ => self.inner.renew(id, owner, until).await,
        }
    }

    async fn record(&self, outcome: &Outcome) -> Result<()> {
        let mut outcome = outcome.clone();
        let last = self.last_claim(outcome.id);
        match self.flaw {
            Flaw::CutsErrors => {
                if let Some(failure) = &mut outcome.failure {
                    failure.text.truncate(failure.text.floor_char_boundary(100));
                }
            }
            Flaw::KeepsOldErrors => {
                let mut errors = self.errors.lock().unwrap();
                match &outcome.failure {
                    Some(failure) => drop(errors.insert(outcome.id, failure.clone())),
                    None => outcome.failure = errors.get(&outcome.id).cloned(),
                }
            }
            Flaw::LetsAnyoneRecord => outcome.owner = last.map_or(outcome.owner, |claim| claim.hold.owner),
            Flaw::RefusesLateOutcomes if last.as_ref().is_some_and(|claim| claim.hold.has_ended(outcome.at)) => {
                return Err(lost());
            }
            Flaw::OverwritesOutcomes => {
                let result = self.inner.record(&outcome).await;
                let is_owner = last.as_ref().is_some_and(|claim| claim.hold.owner == outcome.owner);
                return if is_owner { Ok(()) } else { result };
            }
            Flaw::MakesUpExecutions if last.is_none() => return Ok(()),
            _ => {}
        }
        self.inner.record(&outcome).await
    }

    async fn get(&self, id: ExecutionId) -> Result<Option<Execution>> {
        let mut execution = self.inner.get(id).await?;
        if let Some(execution) = &mut execution {
            match self.flaw {
                Flaw::ForgetsTheOrigin => execution.origin = kairos::Origin::Schedule,
                Flaw::ForgetsWhenATryBegan if execution.attempts > 1 => execution.started_at = execution.scheduled_time,
                _ => {}
            }
        }
        Ok(execution)
    }

    async fn list(&self, filter: &ExecutionFilter, page: &PageRequest) -> Result<Page<Execution>> {
        match self.flaw {
            Flaw::ListsTheOldestFirst => {
                let mut found = self.inner.list(filter, page).await?;
                found.items.reverse();
                return Ok(found);
            }
            Flaw::IncludesTheEnd => {
                let until = filter.until.map(|until| until + SignedDuration::from_nanos(1));
                return self.inner.list(&filter.clone().with_until(until), page).await;
            }
            Flaw::ListsByTheStateOfBefore if filter.state == Some(ExecutionState::Dead) => {
                return Ok(Page::last(Vec::new()));
            }
            _ => {}
        }
        let found = self.inner.list(filter, page).await;
        if found.is_err() && self.has(Flaw::TakesAnyCursor) {
            return Ok(Page::last(Vec::new()));
        }
        let mut found = found?;
        if self.has(Flaw::EndsAfterTheFirstPage) {
            found.next = None;
        }
        Ok(found)
    }
}
