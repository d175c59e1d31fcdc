//! The store against a naive map.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{now, process};
use kairos::backend::{ProcessFilter, Store, Transaction};
use kairos::page::{Cursor, PageRequest};
use kairos::{ErrorKind, Process, ProcessId, Schedule, ScheduleId, Specification};
use kairos_memory::MemoryStore;
use proptest::prelude::*;

/// Everything that a filter lets through, page by page.
fn list(store: &MemoryStore, filter: &ProcessFilter, limit: usize) -> Vec<Arc<Process>> {
    let mut all = Vec::new();
    let mut page = PageRequest::first(limit);
    loop {
        let found = now(store.list_processes(filter, &page)).unwrap();
        assert!(found.items.len() <= limit);
        all.extend(found.items);
        match found.next {
            Some(next) => page = page.with_cursor(next),
            None => return all,
        }
    }
}

fn schedule(number: u8) -> ScheduleId {
    ScheduleId::from(format!("calendarizacion-{number}"))
}

fn of(number: u8, on: u8, enabled: bool) -> Arc<Process> {
    process(&format!("p{number:02}"), schedule(on).as_str(), enabled)
}

/// A process, the schedule and switch it gets (none: it goes), and whether the change is made on stale knowledge.
type Step = (u8, Option<(u8, bool)>, bool);

proptest! {
    #[test]
    fn it_holds_and_lists_what_a_map_would(
        commits in prop::collection::vec(
            prop::collection::btree_map(0..30u8, (prop::option::of((0..4u8, any::<bool>())), prop::bool::weighted(0.1)), 1..4),
            1..40,
        ),
        limit in 1..12usize,
    ) {
        let store = MemoryStore::new();
        let mut model: BTreeMap<ProcessId, Arc<Process>> = BTreeMap::new();
        for commit in commits {
            let steps: Vec<Step> = commit.into_iter().map(|(number, (after, stale))| (number, after, stale)).collect();
            let mut transaction = Transaction::new();
            let mut expected = model.clone();
            let mut is_lost = false;
            for (number, after, stale) in steps {
                let id = ProcessId::of(&format!("p{number:02}"));
                let current = model.get(&id).cloned();
                let other = current.is_none().then(|| of(number, 9, true));
                let before = if stale { other } else { current.clone() };
                let after = after.map(|(on, enabled)| of(number, on, enabled));
                if before.is_none() && after.is_none() {
                    continue;
                }
                is_lost |= before != current;
                match &after {
                    Some(process) => expected.insert(id, process.clone()),
                    None => expected.remove(&id),
                };
                transaction = transaction.with_process(before, after);
            }
            match now(store.commit(&transaction)) {
                Ok(()) => {
                    prop_assert!(!is_lost);
                    model = expected;
                }
                Err(error) => {
                    prop_assert_eq!(error.kind(), ErrorKind::Lost);
                    prop_assert!(is_lost);
                }
            }
        }
        for number in 0..30u8 {
            let id = ProcessId::of(&format!("p{number:02}"));
            prop_assert_eq!(now(store.process(&id)).unwrap(), model.get(&id).cloned());
        }
        let filters = [
            ProcessFilter::default(),
            ProcessFilter::default().with_enabled(false),
            ProcessFilter::default().with_name_prefix("p1"),
            ProcessFilter::of_schedule(schedule(0)),
            ProcessFilter::of_schedule(schedule(1)).with_enabled(true),
            ProcessFilter::of_schedule(schedule(9)),
        ];
        for filter in filters {
            let expected: Vec<_> = model.values().filter(|process| filter.admits(process)).cloned().collect();
            prop_assert_eq!(list(&store, &filter, limit), expected);
        }
    }
}

#[test]
fn a_commit_that_finds_one_other_row_changes_none_and_names_it() {
    let store = MemoryStore::new();
    let record = Schedule::new(Specification::new("rate(5 minutes)"), common::at(common::START));
    let mut stale = record.clone();
    stale.process_count = Some(7);
    now(store.commit(&Transaction::new().with_schedule(None, Some(record.clone())))).unwrap();
    let error = now(
        store.commit(&Transaction::new().with_process(None, Some(of(1, 0, true))).with_schedule(Some(stale), None))
    )
    .unwrap_err();
    assert_eq!((error.kind(), error.subject()), (ErrorKind::Lost, Some(record.id.as_str())));
    assert_eq!(now(store.process(&of(1, 0, true).id)).unwrap(), None);
    assert_eq!(now(store.schedule(&record.id)).unwrap(), Some(record));
}

#[test]
fn a_transaction_that_means_nothing_is_refused() {
    let store = MemoryStore::new();
    let twice = Transaction::new().with_process(None, Some(of(1, 0, true))).with_process(Some(of(1, 0, true)), None);
    let nothing = Transaction::new().with_schedule(None, None);
    let another = Transaction::new().with_process(Some(of(1, 0, true)), Some(of(2, 0, true)));
    for (transaction, expected) in [(twice, "twice"), (nothing, "no row"), (another, "another row")] {
        let error = now(store.commit(&transaction)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(expected), "{error}");
    }
    now(store.commit(&Transaction::new())).unwrap();
}

#[test]
fn a_cursor_is_good_for_its_own_listing_only_and_stays_good_while_rows_come_and_go() {
    let store = MemoryStore::new();
    for number in [1, 3, 5, 7] {
        now(store.commit(&Transaction::new().with_process(None, Some(of(number, 0, true))))).unwrap();
    }
    let filter = ProcessFilter::of_schedule(schedule(0));
    let first = now(store.list_processes(&filter, &PageRequest::first(2))).unwrap();
    let next = PageRequest::first(10).with_cursor(first.next);
    for wrong in [
        now(store.list_processes(&ProcessFilter::default(), &next)).map(|_| ()),
        now(store.list_schedules(&next)).map(|_| ()),
        now(store.list_processes(&filter, &PageRequest::default().with_cursor(Cursor::new("x")))).map(|_| ()),
    ] {
        assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Malformed);
    }
    // By id, which is the encoded name, the order is 5, 6, 7, 1, 2, 3.
    // The row that the cursor points at goes, one before it and one after it come.
    let changes = Transaction::new()
        .with_process(Some(of(7, 0, true)), None)
        .with_process(None, Some(of(6, 0, true)))
        .with_process(None, Some(of(2, 0, true)));
    now(store.commit(&changes)).unwrap();
    let names: Vec<_> =
        now(store.list_processes(&filter, &next)).unwrap().items.iter().map(|p| p.name.clone()).collect();
    assert_eq!(names, ["p01", "p02", "p03"]);
}
