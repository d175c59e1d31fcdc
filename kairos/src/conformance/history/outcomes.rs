//! What is recorded of an execution, and who may.

use super::{Desk, FIRST, LONG, SECOND, SHORT};
use crate::backend::{Claim, Claimed, Outcome};
use crate::clock::later;
use crate::conformance::samples::{AWKWARD, full_process, instant};
use crate::conformance::support::{Verdict, ensure, expect_refusal, expect_same, mark};
use crate::error::ErrorKind;
use crate::model::{Execution, ExecutionState, Failure, Hold, Origin, WorkItem};

const LOST: &[ErrorKind] = &[ErrorKind::Lost];
const ENDS: [ExecutionState; 4] =
    [ExecutionState::Succeeded, ExecutionState::Failed, ExecutionState::Dead, ExecutionState::Skipped];

fn failure() -> Failure {
    let mut text = AWKWARD.repeat(20);
    text.truncate(text.floor_char_boundary(Failure::MAX_TEXT));
    Failure { kind: ErrorKind::Throttled.as_str().into(), text }
}

pub(super) async fn an_unknown_execution_is_none(desk: &Desk<'_>) -> Verdict {
    expect_same("an unknown execution", &desk.history.get(desk.work().execution_id).await?, &None)
}

pub(super) async fn a_claimed_execution_is_running(desk: &Desk<'_>) -> Verdict {
    let process = std::sync::Arc::new(full_process(&mark(), "ejecución"));
    let due = instant("2026-02-28T23:59:59.123456789Z");
    for work in [
        WorkItem::of_occurrence(process.clone(), due, Origin::Schedule),
        WorkItem::of_occurrence(process.clone(), desk.now(), Origin::Backfill),
        WorkItem::of_request(process.clone(), "clave ñ", desk.now()),
    ] {
        let now = desk.now();
        let claim = Claim::new(work.clone(), Hold { owner: FIRST, until: later(now, LONG) }, now);
        desk.expect_granted("the first claim", desk.history.claim(&claim).await, 1).await?;
        expect_same("the execution", &desk.execution(work.execution_id).await?, &Execution::first_try(&work, now))?;
    }
    Ok(())
}

pub(super) async fn a_later_try_shows_in_the_record(desk: &Desk<'_>) -> Verdict {
    let work = desk.recorded(ExecutionState::Failed).await?;
    desk.time.pass(SHORT).await;
    let now = desk.now();
    let claim = Claim::new(work.clone(), Hold { owner: SECOND, until: later(now, LONG) }, now);
    desk.expect_granted("the second claim", desk.history.claim(&claim).await, 2).await?;
    let execution = desk.execution(work.execution_id).await?;
    expect_same("its state", &execution.state, &ExecutionState::Running)?;
    expect_same("the time its last try began", &execution.started_at, &now)?;
    expect_same("the occurrence", &execution.scheduled_time, &work.scheduled_time)
}

pub(super) async fn every_outcome_comes_back(desk: &Desk<'_>) -> Verdict {
    for state in ENDS {
        for failure in [None, Some(failure())] {
            let work = desk.running().await?;
            let mut expected = desk.execution(work.execution_id).await?;
            let outcome = Outcome::new(work.execution_id, FIRST, state, desk.now()).with_failure(failure.clone());
            desk.history.record(&outcome).await?;
            (expected.state, expected.finished_at, expected.error) = (state, Some(outcome.at), failure);
            expect_same("the execution", &desk.execution(work.execution_id).await?, &expected)?;
        }
    }
    Ok(())
}

pub(super) async fn a_success_takes_the_earlier_failure_away(desk: &Desk<'_>) -> Verdict {
    let work = desk.running().await?;
    let outcome = Outcome::new(work.execution_id, FIRST, ExecutionState::Failed, desk.now()).with_failure(failure());
    desk.history.record(&outcome).await?;
    desk.expect_granted("the second claim", desk.claim(&work, SECOND, LONG, false).await, 2).await?;
    let outcome = desk.record(&work, SECOND, ExecutionState::Succeeded).await?;
    let execution = desk.execution(work.execution_id).await?;
    expect_same("the error of an execution whose last try succeeded", &execution.error, &None)?;
    expect_same("the time its last try ended", &execution.finished_at, &Some(outcome.at))?;
    expect_same("its attempts", &execution.attempts, &2)
}

pub(super) async fn an_owner_renews_its_claim(desk: &Desk<'_>) -> Verdict {
    let work = desk.work();
    desk.expect_granted("the first claim", desk.claim(&work, FIRST, SHORT * 2, false).await, 1).await?;
    let mut until = desk.now();
    for factor in 1..=2 {
        until = later(desk.now(), LONG * factor);
        desk.history.renew(work.execution_id, FIRST, until).await?;
    }
    desk.time.pass(SHORT * 3).await;
    let claimed = desk.claim(&work, SECOND, LONG, false).await?;
    expect_same("a claim after the end that has been put off", &claimed, &Claimed::Held { until })?;
    desk.record(&work, FIRST, ExecutionState::Succeeded).await?;
    expect_same("its attempts", &desk.execution(work.execution_id).await?.attempts, &1)
}

pub(super) async fn nobody_else_renews_a_claim(desk: &Desk<'_>) -> Verdict {
    let work = desk.work();
    let now = desk.now();
    let until = later(now, LONG);
    let claim = Claim::new(work.clone(), Hold { owner: FIRST, until }, now);
    desk.expect_granted("the first claim", desk.history.claim(&claim).await, 1).await?;
    let result = desk.history.renew(work.execution_id, SECOND, later(until, LONG)).await;
    expect_refusal("a renewal by somebody else", result, LOST)?;
    let claimed = desk.claim(&work, SECOND, LONG, false).await?;
    expect_same("a claim while the first one lives", &claimed, &Claimed::Held { until })
}

/// With the outcome the claim was given up: nothing is left to renew.
pub(super) async fn what_is_over_is_not_renewed(desk: &Desk<'_>) -> Verdict {
    for state in ENDS {
        let work = desk.recorded(state).await?;
        let before = desk.execution(work.execution_id).await?;
        let result = desk.history.renew(work.execution_id, FIRST, later(desk.now(), LONG)).await;
        expect_refusal(&format!("a renewal after {state}"), result, LOST)?;
        expect_same("the execution", &desk.execution(work.execution_id).await?, &before)?;
    }
    let work = desk.recorded(ExecutionState::Failed).await?;
    let _ = desk.history.renew(work.execution_id, FIRST, later(desk.now(), LONG)).await;
    desk.expect_granted("a claim after a failure", desk.claim(&work, SECOND, LONG, false).await, 2).await
}

pub(super) async fn an_overtaken_owner_renews_and_records_nothing(desk: &Desk<'_>) -> Verdict {
    let (work, _) = desk.ended().await?;
    desk.expect_granted("the second claim", desk.claim(&work, SECOND, LONG, false).await, 2).await?;
    let before = desk.execution(work.execution_id).await?;
    let renewed = desk.history.renew(work.execution_id, FIRST, later(desk.now(), LONG)).await;
    expect_refusal("a renewal by an owner who was overtaken", renewed, LOST)?;
    for state in ENDS {
        let result = desk.record(&work, FIRST, state).await;
        expect_refusal("the outcome of an owner who was overtaken", result, LOST)?;
    }
    expect_same("the execution", &desk.execution(work.execution_id).await?, &before)?;
    desk.record(&work, SECOND, ExecutionState::Succeeded).await?;
    expect_same("its state", &desk.execution(work.execution_id).await?.state, &ExecutionState::Succeeded)
}

pub(super) async fn nobody_else_records_an_outcome(desk: &Desk<'_>) -> Verdict {
    let work = desk.running().await?;
    let before = desk.execution(work.execution_id).await?;
    for state in ENDS {
        expect_refusal("the outcome of somebody else", desk.record(&work, SECOND, state).await, LOST)?;
    }
    expect_same("the execution", &desk.execution(work.execution_id).await?, &before)
}

/// Lost is what somebody else holds by now, or what has finished: late alone is not lost, and what is known is kept.
pub(super) async fn an_ended_claim_that_nobody_took_is_recorded(desk: &Desk<'_>) -> Verdict {
    let (work, _) = desk.ended().await?;
    desk.record(&work, FIRST, ExecutionState::Succeeded).await?;
    let claimed = desk.claim(&work, SECOND, LONG, false).await?;
    expect_same("a claim after it", &claimed, &Claimed::Finished(ExecutionState::Succeeded))
}

pub(super) async fn a_repeated_outcome_changes_nothing(desk: &Desk<'_>) -> Verdict {
    for state in ENDS {
        let work = desk.running().await?;
        let outcome = Outcome::new(work.execution_id, FIRST, state, desk.now()).with_failure(failure());
        desk.history.record(&outcome).await?;
        let before = desk.execution(work.execution_id).await?;
        if let Err(error) = desk.history.record(&outcome).await {
            let lost = error.kind() == ErrorKind::Lost;
            ensure!(lost, "the same outcome again to succeed or to be lost, but it failed: {error} ({})", error.kind());
        }
        expect_same("the execution", &desk.execution(work.execution_id).await?, &before)?;
    }
    Ok(())
}

pub(super) async fn another_outcome_afterwards_is_lost(desk: &Desk<'_>) -> Verdict {
    for first in ENDS {
        for second in ENDS.into_iter().filter(|state| *state != first) {
            let work = desk.recorded(first).await?;
            let before = desk.execution(work.execution_id).await?;
            for owner in [FIRST, SECOND] {
                let result = desk.record(&work, owner, second).await;
                expect_refusal(&format!("{second} after {first}"), result, LOST)?;
            }
            expect_same("the execution", &desk.execution(work.execution_id).await?, &before)?;
        }
    }
    Ok(())
}

pub(super) async fn an_unknown_execution_is_neither_renewed_nor_recorded(desk: &Desk<'_>) -> Verdict {
    let kinds = &[ErrorKind::Lost, ErrorKind::NotFound];
    let work = desk.work();
    let result = desk.history.renew(work.execution_id, FIRST, later(desk.now(), LONG)).await;
    expect_refusal("the renewal of an unknown execution", result, kinds)?;
    let result = desk.record(&work, FIRST, ExecutionState::Succeeded).await;
    expect_refusal("the outcome of an unknown execution", result, kinds)?;
    expect_same("the execution", &desk.history.get(work.execution_id).await?, &None)?;
    desk.expect_granted("its first claim", desk.claim(&work, FIRST, LONG, false).await, 1).await
}
