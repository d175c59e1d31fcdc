//! Listings of schedule records.

use std::collections::BTreeMap;

use super::schedule_change;
use crate::backend::{ProcessFilter, Store};
use crate::clock::SystemClock;
use crate::conformance::samples::{full_schedule, older_schedule, process, schedule};
use crate::conformance::support::{
    self, Stop, Verdict, ensure, eventually, expect_garbage_refused, expect_refusal, expect_same, mark, walk,
};
use crate::error::ErrorKind;
use crate::model::{Schedule, ScheduleId};
use crate::page::PageRequest;

async fn insert(store: &dyn Store, records: &[Schedule]) -> Verdict {
    for record in records {
        store.commit(&schedule_change(None, Some(record))).await?;
    }
    Ok(())
}

/// What the listing gives of some records, in pages of a limit, each as often as it is given.
async fn listed(store: &dyn Store, ours: &[ScheduleId], limit: usize) -> Verdict<Vec<Schedule>> {
    let mut listed = walk(limit, async |page| store.list_schedules(&page).await).await?;
    listed.retain(|record| ours.contains(&record.id));
    Ok(listed)
}

async fn caught_up(store: &dyn Store, ours: &[ScheduleId], limit: usize, expected: &[Schedule]) -> Verdict {
    let by_id =
        |records: &[Schedule]| -> BTreeMap<_, _> { records.iter().map(|row| (row.id.clone(), row.clone())).collect() };
    if !store.capabilities().consistent_listings {
        let _ = eventually(&SystemClock, "the listing to catch up", async || {
            Ok((by_id(&listed(store, ours, limit).await?) == by_id(expected)).then_some(()))
        })
        .await;
    }
    let listed = listed(store, ours, limit).await?;
    expect_same("the listed records", &by_id(&listed), &by_id(expected))?;
    ensure!(listed.len() == expected.len(), "each record once, found {} for {}", listed.len(), expected.len());
    Ok(())
}

fn ids(records: &[Schedule]) -> Vec<ScheduleId> {
    records.iter().map(|record| record.id.clone()).collect()
}

pub(super) async fn a_listing_gives_every_schedule_once(store: &dyn Store) -> Verdict {
    let records: Vec<_> = (0..7).map(|_| schedule(&mark())).collect();
    insert(store, &records).await?;
    // The table may be large by now, from other suites and other runs: the smallest pages only walk over the whole of it once.
    for limit in [3, 50, PageRequest::MAX_LIMIT] {
        caught_up(store, &ids(&records), limit, &records).await?;
    }
    store.commit(&schedule_change(Some(&records[3]), None)).await?;
    let left: Vec<_> = records.iter().filter(|record| **record != records[3]).cloned().collect();
    caught_up(store, &ids(&records), PageRequest::MAX_LIMIT, &left).await
}

pub(super) async fn a_listing_gives_whole_records(store: &dyn Store) -> Verdict {
    let records = [schedule(&mark()), full_schedule(&mark()), older_schedule(&mark())?];
    insert(store, &records).await?;
    caught_up(store, &ids(&records), PageRequest::MAX_LIMIT, &records).await
}

pub(super) async fn schedules_that_come_and_go_disturb_no_other(store: &dyn Store) -> Verdict {
    let (stay, go): (Vec<_>, Vec<_>) = (0..6).map(|_| (schedule(&mark()), schedule(&mark()))).unzip();
    insert(store, &stay).await?;
    insert(store, &go).await?;
    caught_up(store, &ids(&[stay.clone(), go.clone()].concat()), 100, &[stay.clone(), go.clone()].concat()).await?;
    let mut given = Vec::new();
    let mut left = go.clone();
    walk(2, async |page| {
        let answer = store.list_schedules(&page).await?;
        given.extend(ids(&answer.items));
        // The one that was given last goes first: the listing must find its way on without it.
        let last = answer.items.last().and_then(|last| left.iter().position(|record| record.id == last.id));
        if let Some(index) = last {
            store.commit(&schedule_change(Some(&left.swap_remove(index)), None)).await?;
            store.commit(&schedule_change(None, Some(&schedule(&support::mark())))).await?;
        }
        Ok(answer)
    })
    .await?;
    for record in &stay {
        let times = given.iter().filter(|id| **id == record.id).count();
        ensure!(
            times == 1,
            "'{}', which stayed, to be given once while others came and went, but it was {times} times",
            record.id
        );
    }
    Ok(())
}

pub(super) async fn a_cursor_of_processes_is_refused(store: &dyn Store) -> Verdict {
    insert(store, &[schedule(&mark()), schedule(&mark())]).await?;
    let row = std::sync::Arc::new(process(&mark(), "cursor"));
    store.commit(&super::process_change(None, Some(&row))).await?;
    let page = store.list_schedules(&PageRequest::first(1)).await?;
    let cursor = page
        .next
        .ok_or_else(|| Stop::failed("expected a page of 1 out of several schedules to say that the listing goes on"))?;
    let request = PageRequest::first(1).with_cursor(cursor);
    let result = store.list_processes(&ProcessFilter::default(), &request).await;
    expect_refusal("the cursor of schedules in the listing of processes", result, &[ErrorKind::Malformed])?;
    Ok(())
}

pub(super) async fn text_that_is_no_cursor_is_refused_for_schedules(store: &dyn Store) -> Verdict {
    expect_garbage_refused(async |page| store.list_schedules(&page).await).await
}
