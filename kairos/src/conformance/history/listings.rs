//! Listings of executions.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{Desk, FIRST, LONG};
use crate::backend::ExecutionFilter;
use crate::clock::whole_second;
use crate::conformance::samples::process;
use crate::conformance::support::{
    Stop, Verdict, eventually, expect_garbage_refused, expect_refusal, expect_same, mark, walk,
};
use crate::error::ErrorKind;
use crate::model::{Execution, ExecutionState, Origin, Process, WorkItem};
use crate::page::PageRequest;

const LIMITS: [usize; 4] = [1, 2, 3, 1_000];

/// Executions of one process at these times, in milliseconds from now; the first two thirds have succeeded, the rest is running.
async fn executions(desk: &Desk<'_>, process: &Arc<Process>, offsets: &[i64]) -> Verdict<Vec<Execution>> {
    let now = desk.now();
    let mut executions = Vec::new();
    for (index, offset) in offsets.iter().enumerate() {
        let due = whole_second(now).saturating_add(SignedDuration::from_millis(*offset)).unwrap_or(now);
        let work = WorkItem::of_occurrence(process.clone(), due, Origin::Schedule);
        desk.expect_granted("the first claim", desk.claim(&work, FIRST, LONG, false).await, 1).await?;
        if index * 3 < offsets.len() * 2 {
            desk.record(&work, FIRST, ExecutionState::Succeeded).await?;
        }
        executions.push(desk.execution(work.execution_id).await?);
    }
    Ok(executions)
}

fn new_process() -> Arc<Process> {
    Arc::new(process(&mark(), "ejecución"))
}

/// What a listing gives of the executions of some processes.
async fn listed(
    desk: &Desk<'_>,
    ours: &[Arc<Process>],
    filter: &ExecutionFilter,
    limit: usize,
) -> Verdict<Vec<Execution>> {
    let mut listed = walk(limit, async |page| desk.history.list(filter, &page).await).await?;
    listed.retain(|execution| ours.iter().any(|process| process.id == execution.process_id));
    Ok(listed)
}

/// Expects a listing to give just these executions, in the end; in which order is another case.
async fn expect_listed(
    desk: &Desk<'_>,
    ours: &[Arc<Process>],
    filter: &ExecutionFilter,
    limit: usize,
    expected: &[Execution],
) -> Verdict<Vec<Execution>> {
    let by_id = |executions: &[Execution]| {
        let mut sorted = executions.to_vec();
        sorted.sort_by_key(|execution| execution.id);
        sorted
    };
    let caught_up = eventually(desk.time, "the listing to catch up", async || {
        let listed = listed(desk, ours, filter, limit).await?;
        Ok((by_id(&listed) == by_id(expected)).then_some(listed))
    });
    match caught_up.await {
        Ok(listed) => Ok(listed),
        Err(_) => {
            let found = listed(desk, ours, filter, limit).await?;
            let what = format!("the listed executions of {filter:?}, each once");
            expect_same(&what, &by_id(&found), &by_id(expected))?;
            Ok(found)
        }
    }
}

pub(super) async fn a_listing_gives_every_execution_once(desk: &Desk<'_>) -> Verdict {
    let process = new_process();
    let executions = executions(desk, &process, &[0, 1_000, -60_000, -3_600_000, -7_200_000, 2_000, -1]).await?;
    let filter = ExecutionFilter::all().with_process(process.id.clone());
    for limit in LIMITS {
        expect_listed(desk, std::slice::from_ref(&process), &filter, limit, &executions).await?;
    }
    expect_listed(desk, &[process], &ExecutionFilter::all(), PageRequest::MAX_LIMIT, &executions).await?;
    Ok(())
}

/// Also within one second: text with and without a fraction does not sort as the instants do.
pub(super) async fn a_listing_begins_with_the_newest(desk: &Desk<'_>) -> Verdict {
    let process = new_process();
    let offsets = [0, 500, 250, 1_000, -1, 50, -86_400_000, 5, 60_000];
    let executions = executions(desk, &process, &offsets).await?;
    for filter in [
        ExecutionFilter::all().with_process(process.id.clone()),
        ExecutionFilter::all().with_process(process.id.clone()).with_state(ExecutionState::Succeeded),
        ExecutionFilter::all().with_state(ExecutionState::Running),
        ExecutionFilter::all(),
    ] {
        let mut expected: Vec<_> = executions.iter().filter(|execution| filter.admits(execution)).cloned().collect();
        expected.sort_by_key(|execution| std::cmp::Reverse(execution.scheduled_time));
        for limit in [4, 1_000] {
            let listed = expect_listed(desk, std::slice::from_ref(&process), &filter, limit, &expected).await?;
            let times = |executions: &[Execution]| executions.iter().map(|one| one.scheduled_time).collect::<Vec<_>>();
            expect_same("the order of the scheduled times", &times(&listed), &times(&expected))?;
        }
    }
    Ok(())
}

/// Where many share one scheduled time, the time alone does not say where a listing goes on.
pub(super) async fn executions_of_one_instant_are_all_given(desk: &Desk<'_>) -> Verdict {
    let process = new_process();
    let now = desk.now();
    let mut executions = Vec::new();
    for key in 0..7 {
        let work = WorkItem::of_request(process.clone(), &format!("{key}"), now);
        desk.expect_granted("the first claim", desk.claim(&work, FIRST, LONG, false).await, 1).await?;
        executions.push(desk.execution(work.execution_id).await?);
    }
    for filter in [
        ExecutionFilter::all().with_process(process.id.clone()),
        ExecutionFilter::all().with_state(ExecutionState::Running).with_from(now),
    ] {
        for limit in LIMITS {
            expect_listed(desk, std::slice::from_ref(&process), &filter, limit, &executions).await?;
        }
    }
    Ok(())
}

/// Every combination of the filters gives what [`ExecutionFilter::admits`]: from a time on, and before a time.
pub(super) async fn filters_combine(desk: &Desk<'_>) -> Verdict {
    let processes = [new_process(), new_process()];
    let mut all = Vec::new();
    for process in &processes {
        all.extend(executions(desk, process, &[0, 1_000, 1_001, 2_000, 2_500]).await?);
    }
    let times = [all.get(1), all.get(3)].map(|execution| execution.map(|execution| execution.scheduled_time));
    for process in [None, processes.first()] {
        for state in [None, Some(ExecutionState::Succeeded), Some(ExecutionState::Running), Some(ExecutionState::Dead)]
        {
            for (from, until) in
                [(None, None), (times[0], None), (None, times[1]), (times[0], times[1]), (times[1], times[0])]
            {
                let mut filter = ExecutionFilter::all().with_from(from).with_until(until);
                filter.process = process.map(|process| process.id.clone());
                filter.state = state;
                let expected: Vec<_> = all.iter().filter(|execution| filter.admits(execution)).cloned().collect();
                expect_listed(desk, &processes, &filter, 100, &expected).await?;
            }
        }
    }
    Ok(())
}

pub(super) async fn a_listing_follows_the_state(desk: &Desk<'_>) -> Verdict {
    let process = new_process();
    let ours = std::slice::from_ref(&process);
    let work = WorkItem::of_occurrence(process.clone(), desk.now(), Origin::Schedule);
    desk.expect_granted("the first claim", desk.claim(&work, FIRST, LONG, false).await, 1).await?;
    let running = desk.execution(work.execution_id).await?;
    expect_listed(desk, ours, &ExecutionFilter::all().with_state(ExecutionState::Running), 1_000, &[running]).await?;
    desk.record(&work, FIRST, ExecutionState::Dead).await?;
    let dead = desk.execution(work.execution_id).await?;
    expect_listed(desk, ours, &ExecutionFilter::all().with_state(ExecutionState::Running), 1_000, &[]).await?;
    expect_listed(desk, ours, &ExecutionFilter::all().with_state(ExecutionState::Dead), 1_000, &[dead]).await?;
    Ok(())
}

pub(super) async fn a_cursor_of_another_listing_is_refused(desk: &Desk<'_>) -> Verdict {
    let process = new_process();
    let executions = executions(desk, &process, &[0, 1_000, 2_000, 3_000]).await?;
    let filter = ExecutionFilter::all().with_process(process.id.clone());
    expect_listed(desk, std::slice::from_ref(&process), &filter, 100, &executions).await?;
    let page = desk.history.list(&filter, &PageRequest::first(1)).await?;
    let cursor = page
        .next
        .ok_or_else(|| Stop::failed("expected a page of 1 out of 4 executions to say that the listing goes on"))?;
    let request = PageRequest::first(1).with_cursor(cursor);
    for (what, other) in [
        ("of another process", ExecutionFilter::all().with_process(new_process().id.clone())),
        ("of all processes", ExecutionFilter::all()),
        ("of one state", filter.clone().with_state(ExecutionState::Running)),
        ("from a time on", filter.clone().with_from(desk.now())),
        ("before a time", filter.clone().with_until(desk.now())),
    ] {
        let result = desk.history.list(&other, &request).await;
        expect_refusal(
            &format!("the cursor of a process's executions in the listing {what}"),
            result,
            &[ErrorKind::Malformed],
        )?;
    }
    Ok(())
}

pub(super) async fn text_that_is_no_cursor_is_refused(desk: &Desk<'_>) -> Verdict {
    for filter in [
        ExecutionFilter::all(),
        ExecutionFilter::all().with_process(new_process().id.clone()),
        ExecutionFilter::all().with_state(ExecutionState::Failed),
    ] {
        expect_garbage_refused(async |page| desk.history.list(&filter, &page).await).await?;
    }
    Ok(())
}
