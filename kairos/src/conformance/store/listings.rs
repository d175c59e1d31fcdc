//! Listings of processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{insert_processes, process_change};
use crate::backend::{ProcessFilter, Store};
use crate::clock::SystemClock;
use crate::conformance::samples::{full_process, largest_process, older_process, process, schedule_id};
use crate::conformance::support::{
    self, Stop, Verdict, ensure, eventually, expect_garbage_refused, expect_refusal, expect_same, mark, walk,
};
use crate::error::ErrorKind;
use crate::model::{Process, ProcessId};
use crate::page::{Cursor, PageRequest};

const LIMITS: [usize; 5] = [1, 2, 3, 7, 1_000];

fn processes(mark: &str, count: usize) -> Vec<Arc<Process>> {
    (0..count).map(|index| Arc::new(process(mark, &format!("{index:03}")))).collect()
}

fn ids<'p>(processes: impl IntoIterator<Item = &'p Arc<Process>>) -> Vec<ProcessId> {
    processes.into_iter().map(|process| process.id.clone()).collect()
}

fn sorted(mut ids: Vec<ProcessId>) -> Vec<ProcessId> {
    ids.sort();
    ids
}

async fn all(store: &dyn Store, filter: &ProcessFilter, limit: usize) -> Verdict<Vec<Arc<Process>>> {
    walk(limit, async |page| store.list_processes(filter, &page).await).await
}

/// What a listing gives of the processes of one mark, once it has caught up so far as to give these.
async fn caught_up(
    store: &dyn Store,
    mark: &str,
    filter: &ProcessFilter,
    limit: usize,
    expected: &[Arc<Process>],
) -> Verdict<Vec<Arc<Process>>> {
    let expected = sorted(ids(expected));
    let listed = async || {
        let mut listed = all(store, filter, limit).await?;
        listed.retain(|process| process.name.starts_with(mark));
        Ok::<_, Stop>(listed)
    };
    if !store.capabilities().consistent_listings {
        let _ = eventually(&SystemClock, "the listing to catch up", async || {
            Ok((sorted(ids(&listed().await?)) == expected).then_some(()))
        })
        .await;
    }
    let listed = listed().await?;
    expect_same("the listed processes, each once", &sorted(ids(&listed)), &expected)?;
    Ok(listed)
}

pub(super) async fn a_listing_gives_every_process_once(store: &dyn Store) -> Verdict {
    let mark = mark();
    let rows = processes(&mark, 7);
    insert_processes(store, &rows).await?;
    for limit in LIMITS {
        caught_up(store, &mark, &ProcessFilter::of_schedule(schedule_id(&mark)), limit, &rows).await?;
    }
    caught_up(store, &mark, &ProcessFilter::default(), PageRequest::MAX_LIMIT, &rows).await?;
    caught_up(store, &mark, &ProcessFilter::default().with_name_prefix(mark.as_str()), 100, &rows).await?;
    Ok(())
}

pub(super) async fn a_listing_keeps_its_order(store: &dyn Store) -> Verdict {
    let mark = mark();
    let rows = processes(&mark, 7);
    insert_processes(store, &rows).await?;
    for filter in
        [ProcessFilter::of_schedule(schedule_id(&mark)), ProcessFilter::default().with_name_prefix(mark.as_str())]
    {
        let first = caught_up(store, &mark, &filter, 3, &rows).await?;
        let second = all(store, &filter, 3).await?;
        expect_same("the order of a listing that is read again", &ids(&second), &ids(&first))?;
    }
    Ok(())
}

pub(super) async fn an_empty_listing_ends(store: &dyn Store) -> Verdict {
    let mark = mark();
    for filter in [ProcessFilter::of_schedule(schedule_id(&mark)), ProcessFilter::default().with_name_prefix(mark)] {
        expect_same(
            "the processes of a schedule that is not there",
            &ids(&all(store, &filter, 10).await?),
            &Vec::new(),
        )?;
    }
    Ok(())
}

pub(super) async fn a_listing_gives_whole_rows(store: &dyn Store) -> Verdict {
    let mark = mark();
    let rows =
        [process(&mark, "simple"), full_process(&mark, "completo"), older_process(&mark, "anterior")?].map(Arc::new);
    insert_processes(store, &rows).await?;
    for filter in
        [ProcessFilter::of_schedule(schedule_id(&mark)), ProcessFilter::default().with_name_prefix(mark.as_str())]
    {
        let listed = caught_up(store, &mark, &filter, 100, &rows).await?;
        let by_id = |rows: &[Arc<Process>]| -> BTreeMap<_, _> {
            rows.iter().map(|row| (row.id.clone(), row.clone())).collect()
        };
        expect_same("the listed rows", &by_id(&listed), &by_id(&rows))?;
    }
    Ok(())
}

/// Every combination of the three filters gives what [`ProcessFilter::admits`].
pub(super) async fn filters_combine(store: &dyn Store) -> Verdict {
    let (mark, other) = (mark(), mark());
    let mut rows = Vec::new();
    for schedule in [&mark, &other] {
        for name in ["ventas", "ventas del día", "compras"] {
            for enabled in [true, false] {
                let mut row = process(&mark, &format!("{name} {enabled} {}", &schedule[..8]));
                row.schedule_id = schedule_id(schedule);
                row.enabled = enabled;
                rows.push(Arc::new(row));
            }
        }
    }
    insert_processes(store, &rows).await?;
    for schedule in [None, Some(&mark), Some(&other)] {
        for prefix in [mark.clone(), format!("{mark} ventas"), format!("{mark} ventas del"), format!("{mark} x")] {
            for enabled in [None, Some(true), Some(false)] {
                let mut filter = ProcessFilter::default().with_name_prefix(prefix.as_str());
                filter.schedule = schedule.map(|mark| schedule_id(mark));
                filter.enabled = enabled;
                let expected: Vec<_> = rows.iter().filter(|row| filter.admits(row)).cloned().collect();
                caught_up(store, &mark, &filter, 5, &expected).await?;
            }
        }
        if let Some(schedule) = schedule {
            let filter = ProcessFilter::of_schedule(schedule_id(schedule)).with_enabled(true);
            let expected: Vec<_> = rows.iter().filter(|row| filter.admits(row)).cloned().collect();
            caught_up(store, &mark, &filter, 5, &expected).await?;
        }
    }
    Ok(())
}

/// Neither wildcards, nor another case, nor letters that look alike.
pub(super) async fn a_name_prefix_means_its_very_letters(store: &dyn Store) -> Verdict {
    let mark = mark();
    let names = ["a%b", "a_b", "a*b", "axb", "Axb", "á1", "a\u{301}1", "a", "z"];
    let rows: Vec<_> = names.iter().map(|name| Arc::new(process(&mark, name))).collect();
    insert_processes(store, &rows).await?;
    caught_up(store, &mark, &ProcessFilter::of_schedule(schedule_id(&mark)), 100, &rows).await?;
    for prefix in names.into_iter().chain(["", "a%", "a_", "a*", "a.", "A", "á", "b"]) {
        let filter = ProcessFilter::of_schedule(schedule_id(&mark)).with_name_prefix(format!("{mark} {prefix}"));
        let expected: Vec<_> = rows.iter().filter(|row| filter.admits(row)).cloned().collect();
        caught_up(store, &mark, &filter, 4, &expected).await?;
    }
    Ok(())
}

pub(super) async fn an_updated_process_is_listed_as_it_is(store: &dyn Store) -> Verdict {
    let (from, to) = (mark(), mark());
    let row = Arc::new(process(&from, "traslado"));
    insert_processes(store, std::slice::from_ref(&row)).await?;
    let listing = |mark: &str| ProcessFilter::of_schedule(schedule_id(mark));
    caught_up(store, &from, &listing(&from), 10, std::slice::from_ref(&row)).await?;
    let mut moved = row.clone();
    Arc::make_mut(&mut moved).schedule_id = schedule_id(&to);
    Arc::make_mut(&mut moved).enabled = false;
    store.commit(&process_change(Some(&row), Some(&moved))).await?;
    caught_up(store, &from, &listing(&from), 10, &[]).await?;
    caught_up(store, &from, &listing(&to).with_enabled(true), 10, &[]).await?;
    let listed = caught_up(store, &from, &listing(&to), 10, std::slice::from_ref(&moved)).await?;
    expect_same("the listed process", &listed, &vec![moved])
}

pub(super) async fn a_deleted_process_leaves_the_listing(store: &dyn Store) -> Verdict {
    let mark = mark();
    let rows = processes(&mark, 3);
    insert_processes(store, &rows).await?;
    store.commit(&process_change(Some(&rows[1]), None)).await?;
    let left = [rows[0].clone(), rows[2].clone()];
    caught_up(store, &mark, &ProcessFilter::of_schedule(schedule_id(&mark)), 10, &left).await?;
    Ok(())
}

/// Between pages, now the process given last is deleted, now others are added: those that stay are given once all the same.
pub(super) async fn processes_that_come_and_go_disturb_no_other(store: &dyn Store) -> Verdict {
    let mark = mark();
    let filter = ProcessFilter::of_schedule(schedule_id(&mark));
    let rows = processes(&mark, 12);
    insert_processes(store, &rows).await?;
    caught_up(store, &mark, &filter, 100, &rows).await?;
    let (mut given, mut gone, mut pages) = (Vec::new(), BTreeSet::new(), 0);
    walk(2, async |page| {
        let answer = store.list_processes(&filter, &page).await?;
        given.extend(ids(&answer.items));
        pages += 1;
        match answer.items.last().filter(|row| rows.contains(row)) {
            Some(last) if pages % 2 == 1 => {
                store.commit(&process_change(Some(last), None)).await?;
                gone.insert(last.id.clone());
            }
            // Before and after all others, whichever way the listing runs. It ends, as only rows of the beginning make it longer.
            Some(_) => {
                for name in [format!(" {pages:03} nuevo"), format!("z {pages:03} nuevo")] {
                    store.commit(&process_change(None, Some(&Arc::new(process(&mark, &name))))).await?;
                }
            }
            None => {}
        }
        Ok(answer)
    })
    .await?;
    for row in rows.iter().filter(|row| !gone.contains(&row.id)) {
        let times = given.iter().filter(|id| **id == row.id).count();
        ensure!(
            times == 1,
            "'{}', which stayed, to be given once while others came and went, but it was {times} times",
            row.name
        );
    }
    let twice = given.len() - given.iter().collect::<BTreeSet<_>>().len();
    ensure!(twice == 0, "no process to be given twice, but {twice} were");
    Ok(())
}

/// More than a megabyte in all, where services end a page whatever its limit.
pub(super) async fn large_rows_take_more_pages(store: &dyn Store) -> Verdict {
    let mark = mark();
    let rows: Vec<_> = (0..5).map(|index| Arc::new(largest_process(&mark, &index.to_string()))).collect();
    insert_processes(store, &rows).await?;
    caught_up(store, &mark, &ProcessFilter::of_schedule(schedule_id(&mark)), 1_000, &rows).await?;
    Ok(())
}

/// A listing with something behind its first page, and the cursor to it.
async fn cursor(store: &dyn Store, mark: &str, filter: &ProcessFilter) -> Verdict<Cursor> {
    let rows = processes(mark, 4);
    insert_processes(store, &rows).await?;
    caught_up(store, mark, filter, 100, &rows).await?;
    let page = store.list_processes(filter, &PageRequest::first(1)).await?;
    page.next.ok_or_else(|| Stop::failed("expected a page of 1 out of 4 processes to say that the listing goes on"))
}

pub(super) async fn a_cursor_serves_another_limit(store: &dyn Store) -> Verdict {
    let mark = mark();
    let filter = ProcessFilter::of_schedule(schedule_id(&mark));
    let cursor = cursor(store, &mark, &filter).await?;
    let mut given = ids(&store.list_processes(&filter, &PageRequest::first(1)).await?.items);
    let mut first = Some(cursor);
    let rest = walk(100, async |page| {
        let page = if page.cursor.is_none() { page.with_cursor(first.take()) } else { page };
        store.list_processes(&filter, &page).await
    })
    .await?;
    given.extend(ids(&rest));
    expect_same("a first page of 1 and the rest in pages of 100", &sorted(given), &sorted(ids(&processes(&mark, 4))))
}

pub(super) async fn a_cursor_of_another_listing_is_refused(store: &dyn Store) -> Verdict {
    let mark = mark();
    let filter = ProcessFilter::of_schedule(schedule_id(&mark));
    let request = PageRequest::first(1).with_cursor(cursor(store, &mark, &filter).await?);
    for (what, other) in [
        ("of another schedule", ProcessFilter::of_schedule(schedule_id(&support::mark()))),
        ("of all schedules", ProcessFilter::default()),
        ("with another prefix", filter.clone().with_name_prefix(mark.as_str())),
        ("of the enabled ones", filter.clone().with_enabled(true)),
    ] {
        let result = store.list_processes(&other, &request).await;
        expect_refusal(
            &format!("the cursor of a schedule's processes in the listing {what}"),
            result,
            &[ErrorKind::Malformed],
        )?;
    }
    let result = store.list_schedules(&request).await;
    expect_refusal("the cursor of processes in the listing of schedules", result, &[ErrorKind::Malformed])?;
    Ok(())
}

pub(super) async fn text_that_is_no_cursor_is_refused(store: &dyn Store) -> Verdict {
    let mark = mark();
    for filter in [
        ProcessFilter::default(),
        ProcessFilter::of_schedule(schedule_id(&mark)),
        ProcessFilter::default().with_name_prefix(mark),
        ProcessFilter::default().with_enabled(true),
    ] {
        expect_garbage_refused(async |page| store.list_processes(&filter, &page).await).await?;
    }
    Ok(())
}
