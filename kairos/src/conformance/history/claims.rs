//! Claims: the table of what was before, who asks, and what the answer is.

use futures_util::future::join_all;

use super::{Desk, FIRST, LONG, SECOND, SHORT, THIRD};
use crate::backend::{Claim, Claimed};
use crate::clock::later;
use crate::conformance::samples::work;
use crate::conformance::support::{Verdict, ensure, expect_same, mark};
use crate::model::{ExecutionState, Hold, Origin, Owner, WorkItem};

pub(super) async fn an_unknown_execution_is_granted(desk: &Desk<'_>) -> Verdict {
    for redriven in [false, true] {
        let claimed = desk.claim(&desk.work(), FIRST, LONG, redriven).await;
        desk.expect_granted("the first claim of an execution", claimed, 1).await?;
    }
    Ok(())
}

pub(super) async fn a_live_claim_holds_others_off(desk: &Desk<'_>) -> Verdict {
    let work = desk.work();
    let now = desk.now();
    let until = later(now, LONG);
    let first = Claim::new(work.clone(), Hold { owner: FIRST, until }, now);
    desk.expect_granted("the first claim", desk.history.claim(&first).await, 1).await?;
    let before = desk.execution(work.execution_id).await?;
    for redriven in [false, true] {
        let claimed = desk.claim(&work, SECOND, LONG, redriven).await?;
        expect_same("a claim while another one lives", &claimed, &Claimed::Held { until })?;
    }
    expect_same("the execution", &desk.execution(work.execution_id).await?, &before)
}

pub(super) async fn an_ended_claim_is_granted_to_another(desk: &Desk<'_>) -> Verdict {
    let (work, _) = desk.ended().await?;
    desk.expect_granted("a claim after another has ended", desk.claim(&work, SECOND, LONG, false).await, 2).await
}

/// As [`Hold::has_ended`] says: at its last instant nobody holds it any more, and just before somebody does.
pub(super) async fn a_claim_ends_at_its_very_end(desk: &Desk<'_>) -> Verdict {
    let work = desk.work();
    let now = desk.now();
    let until = later(now, SHORT);
    let first = Claim::new(work.clone(), Hold { owner: FIRST, until }, now);
    desk.expect_granted("the first claim", desk.history.claim(&first).await, 1).await?;
    desk.time.pass(SHORT).await;
    let hold = Hold { owner: SECOND, until: later(until, LONG) };
    let second = Claim::new(work, hold, until);
    desk.expect_granted("a claim at the instant another ends", desk.history.claim(&second).await, 2).await
}

/// At once, although the claim of the try that failed would have lasted.
pub(super) async fn a_failed_execution_is_granted_again(desk: &Desk<'_>) -> Verdict {
    let work = desk.recorded(ExecutionState::Failed).await?;
    desk.expect_granted("a claim after a failure", desk.claim(&work, SECOND, LONG, false).await, 2).await
}

async fn expect_finished(desk: &Desk<'_>, work: &WorkItem, state: ExecutionState, redriven: bool) -> Verdict {
    let before = desk.execution(work.execution_id).await?;
    for owner in [SECOND, FIRST] {
        let claimed = desk.claim(work, owner, LONG, redriven).await?;
        expect_same("the claim of a finished execution", &claimed, &Claimed::Finished(state))?;
    }
    expect_same("the execution", &desk.execution(work.execution_id).await?, &before)
}

pub(super) async fn a_succeeded_execution_is_finished(desk: &Desk<'_>) -> Verdict {
    let work = desk.recorded(ExecutionState::Succeeded).await?;
    expect_finished(desk, &work, ExecutionState::Succeeded, false).await?;
    expect_finished(desk, &work, ExecutionState::Succeeded, true).await
}

pub(super) async fn a_skipped_execution_is_finished(desk: &Desk<'_>) -> Verdict {
    let work = desk.recorded(ExecutionState::Skipped).await?;
    expect_finished(desk, &work, ExecutionState::Skipped, false).await?;
    expect_finished(desk, &work, ExecutionState::Skipped, true).await
}

pub(super) async fn a_dead_execution_is_finished(desk: &Desk<'_>) -> Verdict {
    let work = desk.recorded(ExecutionState::Dead).await?;
    expect_finished(desk, &work, ExecutionState::Dead, false).await
}

pub(super) async fn a_redriven_dead_execution_is_granted_from_1(desk: &Desk<'_>) -> Verdict {
    let work = desk.recorded(ExecutionState::Failed).await?;
    desk.expect_granted("the second claim", desk.claim(&work, SECOND, LONG, false).await, 2).await?;
    desk.record(&work, SECOND, ExecutionState::Dead).await?;
    desk.expect_granted("a redriven claim of a dead execution", desk.claim(&work, THIRD, LONG, true).await, 1).await?;
    let execution = desk.execution(work.execution_id).await?;
    expect_same("its attempts", &execution.attempts, &1)?;
    expect_same("its state", &execution.state, &ExecutionState::Running)?;
    desk.record(&work, THIRD, ExecutionState::Failed).await?;
    desk.expect_granted("the claim after that failed", desk.claim(&work, FIRST, LONG, false).await, 2).await
}

/// A dead letter may be one that history knows nothing of: its death was not recorded, or the queue itself buried it.
pub(super) async fn a_redriven_claim_counts_from_1_also_if_no_death_was_recorded(desk: &Desk<'_>) -> Verdict {
    for (what, work) in [
        ("a redriven claim after a failure", desk.recorded(ExecutionState::Failed).await?),
        ("a redriven claim after another has ended", desk.ended().await?.0),
    ] {
        desk.expect_granted(what, desk.claim(&work, SECOND, LONG, true).await, 1).await?;
        expect_same("the attempts in the record", &desk.execution(work.execution_id).await?.attempts, &1)?;
        desk.record(&work, SECOND, ExecutionState::Failed).await?;
        let third = desk.claim(&work, THIRD, LONG, false).await;
        desk.expect_granted("the claim after that failed", third, 2).await?;
    }
    Ok(())
}

/// What came too late is what a backfill is for. It repeats nothing else.
pub(super) async fn a_backfill_reopens_a_skipped_execution(desk: &Desk<'_>) -> Verdict {
    let backfill = |work: &WorkItem| WorkItem { origin: Origin::Backfill, ..work.clone() };
    let work = desk.recorded(ExecutionState::Failed).await?;
    desk.expect_granted("the second claim", desk.claim(&work, SECOND, LONG, false).await, 2).await?;
    desk.record(&work, SECOND, ExecutionState::Skipped).await?;
    let third = desk.claim(&backfill(&work), THIRD, LONG, false).await;
    desk.expect_granted("the claim of a backfill of a skipped execution", third, 1).await?;
    let execution = desk.execution(work.execution_id).await?;
    expect_same("its state", &execution.state, &ExecutionState::Running)?;
    expect_same("its attempts", &execution.attempts, &1)?;
    let fourth = desk.claim(&backfill(&work), FIRST, LONG, false).await?;
    ensure!(matches!(fourth, Claimed::Held { .. }), "a live claim to hold a backfill off, found {fourth:?}");
    for state in [ExecutionState::Succeeded, ExecutionState::Dead] {
        let work = desk.recorded(state).await?;
        expect_finished(desk, &backfill(&work), state, false).await?;
    }
    let failed = desk.recorded(ExecutionState::Failed).await?;
    let claimed = desk.claim(&backfill(&failed), SECOND, LONG, false).await;
    desk.expect_granted("the claim of a backfill after a failure", claimed, 2).await
}

pub(super) async fn a_redriven_execution_can_die_again(desk: &Desk<'_>) -> Verdict {
    let work = desk.recorded(ExecutionState::Dead).await?;
    for owner in [SECOND, THIRD] {
        desk.expect_granted("a redriven claim of a dead execution", desk.claim(&work, owner, LONG, true).await, 1)
            .await?;
        desk.record(&work, owner, ExecutionState::Dead).await?;
        expect_finished(desk, &work, ExecutionState::Dead, false).await?;
    }
    Ok(())
}

pub(super) async fn a_repeated_claim_is_the_same_attempt(desk: &Desk<'_>) -> Verdict {
    let work = desk.work();
    for _ in 0..3 {
        let claimed = desk.claim(&work, FIRST, LONG, false).await;
        desk.expect_granted("the first claim, or the same again", claimed, 1).await?;
    }
    desk.record(&work, FIRST, ExecutionState::Failed).await?;
    for _ in 0..3 {
        let claimed = desk.claim(&work, SECOND, LONG, false).await;
        desk.expect_granted("the second claim, or the same again", claimed, 2).await?;
    }
    desk.record(&work, SECOND, ExecutionState::Dead).await?;
    for _ in 0..3 {
        let claimed = desk.claim(&work, THIRD, LONG, true).await;
        desk.expect_granted("a redriven claim, or the same again", claimed, 1).await?;
    }
    expect_same("the attempts in the record", &desk.execution(work.execution_id).await?.attempts, &1)
}

pub(super) async fn attempts_are_counted(desk: &Desk<'_>) -> Verdict {
    let work = desk.work();
    for attempt in 1..=5 {
        let owner = Owner::from_u128(attempt.into());
        let claimed = desk.claim(&work, owner, LONG, false).await;
        desk.expect_granted("one claim after the other", claimed, attempt).await?;
        expect_same("the attempts in the record", &desk.execution(work.execution_id).await?.attempts, &attempt)?;
        desk.record(&work, owner, ExecutionState::Failed).await?;
        expect_same("the attempts in the record", &desk.execution(work.execution_id).await?.attempts, &attempt)?;
    }
    Ok(())
}

pub(super) async fn executions_do_not_hinder_each_other(desk: &Desk<'_>) -> Verdict {
    let mark = mark();
    let now = desk.now();
    for seconds in 0..3 {
        let work = work(&mark, later(now, SHORT * seconds));
        let claimed = desk.claim(&work, FIRST, LONG, false).await;
        desk.expect_granted("the claim of another occurrence of the same process", claimed, 1).await?;
    }
    Ok(())
}

/// Of eight claims at once, one is granted and all others are told who was faster.
async fn expect_one_granted(desk: &Desk<'_>, work: &WorkItem, redriven: bool, attempt: u32) -> Verdict {
    let now = desk.now();
    let until = later(now, LONG);
    let claims: Vec<_> = (0..8)
        .map(|caller| Hold { owner: Owner::from_u128(caller), until })
        .map(|hold| Claim::new(work.clone(), hold, now).with_redriven(redriven))
        .collect();
    let mut granted = 0;
    for claimed in join_all(claims.iter().map(|claim| desk.history.claim(claim))).await {
        match claimed {
            Ok(Claimed::Granted { attempt: given }) => {
                granted += 1;
                expect_same("the attempt", &given, &attempt)?;
            }
            Ok(other) => expect_same("the answer to a claim that came later", &other, &Claimed::Held { until })?,
            // A service under contention may ask for patience instead of deciding.
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(error.into()),
        }
    }
    ensure!(granted == 1, "one of 8 concurrent claims to be granted, but {granted} were");
    expect_same("the attempts in the record", &desk.execution(work.execution_id).await?.attempts, &attempt)
}

pub(super) async fn of_concurrent_claims_one_is_granted(desk: &Desk<'_>) -> Verdict {
    for _ in 0..5 {
        expect_one_granted(desk, &desk.work(), false, 1).await?;
    }
    Ok(())
}

pub(super) async fn of_concurrent_claims_after_another_one_is_granted(desk: &Desk<'_>) -> Verdict {
    expect_one_granted(desk, &desk.recorded(ExecutionState::Failed).await?, false, 2).await?;
    expect_one_granted(desk, &desk.ended().await?.0, false, 2).await?;
    expect_one_granted(desk, &desk.recorded(ExecutionState::Dead).await?, true, 1).await
}
