//! Cursors of the listings in memory.

use std::fmt::Debug;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use kairos::backend::{
    Claim, ExecutionFilter, History as _, ProcessFilter, ScheduleBackend as _, Store as _, Transaction, Trigger,
};
use kairos::clock::ManualClock;
use kairos::page::{Cursor, Page, PageRequest};
use kairos::{Body, ErrorKind, Hold, Owner, Process, Result, Schedule, Specification};
use kairos_memory::{MemoryHistory, MemorySchedules, MemoryStore};

use crate::driving::at_once;
use crate::input::{extended, message, shortened};
use crate::refusal::check_error;

/// How many rows each listing has.
const ROWS: usize = 7;

struct World {
    store: MemoryStore,
    schedules: MemorySchedules,
    history: MemoryHistory,
}

/// A cursor is malformed, or a listing goes on from it to its end: in order, giving nothing twice. Only what bears the seal of the listing
/// and the position is taken.
pub fn cursors(text: &str) {
    static WORLD: LazyLock<World> = LazyLock::new(World::new);
    let (limit, cursor) = text.split_once('\n').unwrap_or(("1", text));
    let limit = limit.trim().parse().unwrap_or(2);
    let World { store, schedules, history } = &*WORLD;
    let of_all = ProcessFilter::default();
    let of_one = ProcessFilter::of_schedule(specification(0).schedule_id());
    for filter in [of_all.clone().with_name_prefix("p"), of_all.with_enabled(true), of_one] {
        check(
            limit,
            cursor,
            |process: &Arc<Process>| process.id.clone(),
            |page| at_once(store.list_processes(&filter, page)),
        );
    }
    check(limit, cursor, |schedule: &Schedule| schedule.id.clone(), |page| at_once(store.list_schedules(page)));
    check(limit, cursor, |trigger: &Trigger| trigger.schedule_id.clone(), |page| at_once(schedules.list(page)));
    let of_all = ExecutionFilter::all();
    let of_one = of_all.clone().with_process(process(0).id.clone());
    let of_some = of_all.clone().with_from(instant(1)).with_until(instant(5));
    for filter in [of_all, of_one, of_some] {
        check(limit, cursor, |execution: &kairos::Execution| execution.id, |page| at_once(history.list(&filter, page)));
    }
}

fn check<T, K: PartialEq + Debug>(
    limit: usize,
    cursor: &str,
    key: impl Fn(&T) -> K,
    list: impl Fn(&PageRequest) -> Result<Page<T>>,
) {
    let all =
        to_the_end(PageRequest::first(PageRequest::MAX_LIMIT), &key, &list).expect("a listing from its beginning");
    let first = list(&PageRequest::first(1)).expect("a listing from its beginning");
    let given = first.next.expect("each listing has more than one row");
    let given = given.as_str();
    check_damaged(given, limit, &list);
    let cursor = match cursor.split_at_checked(1) {
        Some(("=", position)) => sealed(given, position),
        Some(("~", position)) => format!("{}.{position}", seal(given).0),
        _ => cursor.to_owned(),
    };
    match to_the_end(PageRequest::first(limit).with_cursor(Cursor::new(cursor.as_str())), &key, &list) {
        Ok(rest) => {
            assert_eq!(cursor, sealed(given, seal(&cursor).1), "it was taken without its seal");
            check_damaged(&cursor, limit, &list);
            // What is left is the end of all there is, wherever that begins.
            assert!(all.ends_with(&rest), "{cursor:?}: {rest:?} of {all:?}");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
            check_error(&error, |_| None);
        }
    }
}

/// A cursor in which one character is another leads nowhere.
fn check_damaged<T>(sound: &str, place: usize, list: impl Fn(&PageRequest) -> Result<Page<T>>) {
    let place = place % sound.chars().count();
    let damaged: String = sound
        .chars()
        .enumerate()
        .map(|(index, c)| match c {
            'x' if index == place => 'y',
            _ if index == place => 'x',
            _ => c,
        })
        .collect();
    let Err(error) = list(&PageRequest::first(1).with_cursor(Cursor::new(damaged.as_str()))) else {
        panic!("{damaged:?} was taken for {sound:?}")
    };
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
}

/// The seal of a cursor, and its position.
fn seal(cursor: &str) -> (&str, &str) {
    cursor.split_once('.').unwrap_or_else(|| panic!("{cursor:?} has no seal"))
}

/// The cursor of another position in the listing that gave this one out: a seal keeps off accidents, not somebody who knows how it is made.
fn sealed(given: &str, position: &str) -> String {
    let (seal, of) = seal(given);
    let seal = u64::from_str_radix(seal, 16).unwrap_or_else(|error| panic!("{given:?}: {error}"));
    format!("{:016x}.{position}", extended(shortened(seal, of), position))
}

/// What is listed from a page on. Only the first page may fail.
fn to_the_end<T, K>(
    mut page: PageRequest,
    key: impl Fn(&T) -> K,
    list: impl Fn(&PageRequest) -> Result<Page<T>>,
) -> Result<Vec<K>> {
    let mut found = list(&page)?;
    let mut keys = Vec::new();
    for _ in 0..=ROWS {
        assert!(found.items.len() <= page.limit);
        keys.extend(found.items.iter().map(&key));
        let Some(next) = found.next else { return Ok(keys) };
        page = page.with_cursor(next);
        found = list(&page).expect("a cursor that was given out");
    }
    panic!("no end after as many pages as there are rows");
}

impl World {
    fn new() -> Self {
        let world = Self {
            store: MemoryStore::new(),
            schedules: MemorySchedules::new(Arc::new(ManualClock::at(instant(0)))),
            history: MemoryHistory::new(),
        };
        for row in 0..ROWS {
            let specification = specification(row);
            let transaction = Transaction::new()
                .with_process(None, Some(process(row)))
                .with_schedule(None, Some(Schedule::new(specification.clone(), instant(0))));
            at_once(world.store.commit(&transaction)).expect("no row is there yet");
            at_once(world.schedules.create(&Trigger::new(specification.schedule_id(), specification)))
                .expect("no trigger is there yet");
            let work = kairos::WorkItem::of_occurrence(process(row / 3), instant(row), kairos::Origin::Schedule);
            let hold = Hold { owner: Owner::from_u128(1), until: instant(row + 1) };
            at_once(world.history.claim(&Claim::new(work, hold, instant(row)))).expect("no claim is there yet");
        }
        world
    }
}

fn specification(row: usize) -> Specification {
    Specification::new(format!("rate({} days)", row + 1))
}

/// Some before the epoch, all with a fraction of a second.
fn instant(row: usize) -> Timestamp {
    let row = i64::try_from(row).expect("a few rows");
    Timestamp::from_millisecond((row - 2) * 1_500).expect("close to the epoch")
}

fn process(row: usize) -> Arc<Process> {
    let text = format!(
        r#"{{"IdProceso":"=","IdCalendarizacion":"{}","Nombre":"p{row}","ArnProceso":"kairos:task:a",
            "Habilitado":{},"FechaCreacion":"2026-01-01T00:00:00Z"}}"#,
        specification(row / 3).schedule_id(),
        row != 1,
    );
    let work = Body::from_json(&*message(&text)).work("", Timestamp::UNIX_EPOCH);
    work.expect("a process").process
}
