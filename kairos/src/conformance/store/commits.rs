//! Commits and the reads after them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{join, join_all};

use super::{Pair, insert_processes, pair_change, process_change, schedule_change, stored};
use crate::backend::{Store, Transaction};
use crate::conformance::samples::{
    self, PROCESS_FIELDS, SCHEDULE_FIELDS, full_process, full_schedule, largest_process, process, schedule,
};
use crate::conformance::support::{Stop, Verdict, ensure, expect_refusal, expect_same, mark};
use crate::error::ErrorKind;
use crate::model::{Process, ScheduleState};

const LOST: &[ErrorKind] = &[ErrorKind::Lost];

fn pair() -> Pair {
    let mark = mark();
    Pair::new(process(&mark, "ventas"), schedule(&mark))
}

fn full_pair() -> Pair {
    let mark = mark();
    Pair::new(full_process(&mark, "ventas"), full_schedule(&mark))
}

async fn expect_stored(store: &dyn Store, pair: &Pair) -> Verdict {
    let (process, schedule) = stored(store, pair).await?;
    expect_same("the stored process", &process, &Some(pair.process.clone()))?;
    expect_same("the stored schedule", &schedule, &Some(pair.schedule.clone()))
}

async fn expect_absent(store: &dyn Store, pair: &Pair) -> Verdict {
    expect_same("the rows", &stored(store, pair).await?, &(None, None))
}

pub(super) async fn an_unknown_row_is_none(store: &dyn Store) -> Verdict {
    expect_absent(store, &pair()).await
}

pub(super) async fn reads_see_the_commit_before_them(store: &dyn Store) -> Verdict {
    const ROUNDS: u64 = 10;
    let pair = pair();
    for _ in 0..ROUNDS {
        store.commit(&pair_change(None, Some(&pair))).await?;
        expect_stored(store, &pair).await?;
        let changed = pair.changed();
        store.commit(&pair_change(Some(&pair), Some(&changed))).await?;
        expect_stored(store, &changed).await?;
        store.commit(&pair_change(Some(&changed), None)).await?;
        expect_absent(store, &pair).await?;
    }
    Ok(())
}

pub(super) async fn rows_come_back_as_they_were_written(store: &dyn Store) -> Verdict {
    let mut empty = full_pair();
    let row = Arc::make_mut(&mut empty.process);
    (row.parameters, row.tags) = (Some("".into()), Some([].into()));
    let mut retiring = full_pair();
    retiring.schedule.state = ScheduleState::Retiring(samples::hold(3));
    retiring.schedule.process_count = Some(0);
    for pair in [pair(), full_pair(), empty, retiring] {
        store.commit(&pair_change(None, Some(&pair))).await?;
        expect_stored(store, &pair).await?;
        // Written again from something else, and taken away: what was optional leaves no trace.
        let bare = Pair {
            process: Arc::new(Process { created_at: pair.process.created_at, ..bare_of(&pair.process) }),
            schedule: crate::model::Schedule { id: pair.schedule.id.clone(), ..schedule("") },
        };
        store.commit(&pair_change(Some(&pair), Some(&bare))).await?;
        expect_stored(store, &bare).await?;
    }
    Ok(())
}

fn bare_of(row: &Process) -> Process {
    Process { id: row.id.clone(), schedule_id: row.schedule_id.clone(), name: row.name.clone(), ..process("", "") }
}

pub(super) async fn rows_of_the_older_system_come_back(store: &dyn Store) -> Verdict {
    let mark = mark();
    let older = Pair::new(samples::older_process(&mark, "ventas")?, samples::older_schedule(&mark)?);
    store.commit(&pair_change(None, Some(&older))).await?;
    expect_stored(store, &older).await
}

/// The older system did not count: no count is not a count of zero, and the first call that counts says so.
pub(super) async fn rows_of_the_older_system_are_adopted(store: &dyn Store) -> Verdict {
    let older = samples::older_schedule(&mark())?;
    store.commit(&schedule_change(None, Some(&older))).await?;
    let mut counted = older.clone();
    counted.process_count = Some(3);
    let mut at_zero = older.clone();
    at_zero.process_count = Some(0);
    let result = store.commit(&schedule_change(Some(&at_zero), Some(&counted))).await;
    expect_refusal("a commit that expects a count of 0 where there is none", result, LOST)?;
    store.commit(&schedule_change(Some(&older), Some(&counted))).await?;
    expect_same("the record", &store.schedule(&older.id).await?, &Some(counted.clone()))?;
    let result = store.commit(&schedule_change(Some(&older), None)).await;
    expect_refusal("a deletion that expects no count where there is one", result, LOST)?;
    store.commit(&schedule_change(Some(&counted), None)).await?;
    expect_same("the record", &store.schedule(&older.id).await?, &None)
}

pub(super) async fn the_largest_row_fits(store: &dyn Store) -> Verdict {
    let mark = mark();
    let largest = Pair::new(largest_process(&mark, "ventas"), full_schedule(&mark));
    store.commit(&pair_change(None, Some(&largest))).await?;
    expect_stored(store, &largest).await?;
    let changed = largest.changed();
    store.commit(&pair_change(Some(&largest), Some(&changed))).await?;
    expect_stored(store, &changed).await
}

pub(super) async fn an_insert_that_meets_a_row_is_lost(store: &dyn Store) -> Verdict {
    let there = pair();
    store.commit(&pair_change(None, Some(&there))).await?;
    for new in [there.clone(), there.changed()] {
        let result = store.commit(&process_change(None, Some(&new.process))).await;
        expect_refusal("the insert of a process that is there", result, LOST)?;
        let result = store.commit(&schedule_change(None, Some(&new.schedule))).await;
        expect_refusal("the insert of a schedule that is there", result, LOST)?;
    }
    expect_stored(store, &there).await
}

pub(super) async fn an_update_that_meets_no_row_is_lost(store: &dyn Store) -> Verdict {
    let gone = pair();
    let new = gone.changed();
    let result = store.commit(&process_change(Some(&gone.process), Some(&new.process))).await;
    expect_refusal("the update of a process that is not there", result, LOST)?;
    let result = store.commit(&schedule_change(Some(&gone.schedule), Some(&new.schedule))).await;
    expect_refusal("the update of a schedule that is not there", result, LOST)?;
    expect_absent(store, &gone).await
}

pub(super) async fn a_deletion_that_meets_no_row_is_lost(store: &dyn Store) -> Verdict {
    let gone = pair();
    let result = store.commit(&process_change(Some(&gone.process), None)).await;
    expect_refusal("the deletion of a process that is not there", result, LOST)?;
    let result = store.commit(&schedule_change(Some(&gone.schedule), None)).await;
    expect_refusal("the deletion of a schedule that is not there", result, LOST)?;
    Ok(())
}

/// Three ways for a row to differ in a field: only the row has it, only the expectation has it, or both have another value.
pub(super) async fn every_field_of_a_process_is_compared(store: &dyn Store) -> Verdict {
    for (field, alter) in PROCESS_FIELDS {
        let bare = Arc::new(process(&mark(), "ventas"));
        let mut altered = bare.clone();
        alter(Arc::make_mut(&mut altered));
        let full = Arc::new(full_process(&mark(), "ventas"));
        let mut otherwise = full.clone();
        alter(Arc::make_mut(&mut otherwise));
        insert_processes(store, &[bare.clone(), full.clone()]).await?;
        let new =
            |row: &Arc<Process>| Some(Arc::new(Process { target: "kairos:task:nueva".into(), ..(**row).clone() }));
        for (there, expected) in [(&bare, &altered), (&full, &otherwise)] {
            let what = format!("a commit that expects another {field}");
            let update = Transaction::new().with_process(Some(expected.clone()), new(there));
            expect_refusal(&what, store.commit(&update).await, LOST)?;
            expect_refusal(&what, store.commit(&process_change(Some(expected), None)).await, LOST)?;
            expect_same("the process after it", &store.process(&there.id).await?, &Some(there.clone()))?;
        }
        store.commit(&process_change(Some(&bare), Some(&altered))).await?;
        let what = format!("a commit that expects the {field} of before");
        let update = Transaction::new().with_process(Some(bare.clone()), new(&bare));
        expect_refusal(&what, store.commit(&update).await, LOST)?;
        expect_same("the process after it", &store.process(&bare.id).await?, &Some(altered))?;
    }
    Ok(())
}

pub(super) async fn every_field_of_a_schedule_is_compared(store: &dyn Store) -> Verdict {
    for (field, alter) in SCHEDULE_FIELDS {
        let bare = schedule(&mark());
        let mut altered = bare.clone();
        alter(&mut altered);
        let full = full_schedule(&mark());
        let mut otherwise = full.clone();
        alter(&mut otherwise);
        for (there, expected) in [(&bare, &altered), (&full, &otherwise)] {
            let mut new = there.clone();
            new.name.push_str(" nueva");
            store.commit(&schedule_change(None, Some(there))).await?;
            let what = format!("a commit that expects another {field}");
            expect_refusal(&what, store.commit(&schedule_change(Some(expected), Some(&new))).await, LOST)?;
            expect_refusal(&what, store.commit(&schedule_change(Some(expected), None)).await, LOST)?;
            expect_same("the schedule after it", &store.schedule(&there.id).await?, &Some(there.clone()))?;
        }
        store.commit(&schedule_change(Some(&bare), Some(&altered))).await?;
        let what = format!("a commit that expects the {field} of before");
        expect_refusal(&what, store.commit(&schedule_change(Some(&bare), None)).await, LOST)?;
        expect_same("the schedule after it", &store.schedule(&bare.id).await?, &Some(altered))?;
    }
    Ok(())
}

pub(super) async fn a_row_can_be_expected_and_left(store: &dyn Store) -> Verdict {
    let there = pair();
    store.commit(&pair_change(None, Some(&there))).await?;
    store.commit(&pair_change(Some(&there), Some(&there))).await?;
    expect_stored(store, &there).await?;
    let other = there.changed();
    let result = store.commit(&process_change(Some(&other.process), Some(&other.process))).await;
    expect_refusal("a commit that expects another process and changes nothing", result, LOST)?;
    let result = store.commit(&schedule_change(Some(&other.schedule), Some(&other.schedule))).await;
    expect_refusal("a commit that expects another schedule and changes nothing", result, LOST)?;
    expect_stored(store, &there).await
}

pub(super) async fn a_transaction_without_changes_succeeds(store: &dyn Store) -> Verdict {
    store.commit(&Transaction::new()).await?;
    Ok(())
}

/// What moves a process to another schedule: an insert, an update and a deletion of each kind at once.
pub(super) async fn a_transaction_happens_whole(store: &dyn Store) -> Verdict {
    let (inserted, updated, deleted) = (pair(), pair(), pair());
    for before in [&updated, &deleted] {
        store.commit(&pair_change(None, Some(before))).await?;
    }
    let changed = updated.changed();
    store.commit(&all_of(&inserted, (&updated, &changed), &deleted)).await?;
    expect_stored(store, &inserted).await?;
    expect_stored(store, &changed).await?;
    expect_absent(store, &deleted).await
}

fn all_of(inserted: &Pair, updated: (&Pair, &Pair), deleted: &Pair) -> Transaction {
    let mut all = Transaction::new();
    for part in [
        pair_change(None, Some(inserted)),
        pair_change(Some(updated.0), Some(updated.1)),
        pair_change(Some(deleted), None),
    ] {
        all.processes.extend(part.processes);
        all.schedules.extend(part.schedules);
    }
    all
}

/// Each of six changes is the one that fails.
pub(super) async fn one_lost_change_undoes_all(store: &dyn Store) -> Verdict {
    let (inserted, updated, deleted, in_the_way) = (pair(), pair(), pair(), pair());
    for before in [&updated, &deleted, &in_the_way] {
        store.commit(&pair_change(None, Some(before))).await?;
    }
    let changed = updated.changed();
    let good = all_of(&inserted, (&updated, &changed), &deleted);
    for failing in 0..good.processes.len() + good.schedules.len() {
        let mut transaction = good.clone();
        match transaction.processes.get_mut(failing) {
            Some(change) => {
                (change.before, change.after) = (None, Some(in_the_way.process.clone()));
            }
            None => {
                let change = &mut transaction.schedules[failing - good.processes.len()];
                (change.before, change.after) = (None, Some(in_the_way.schedule.clone()));
            }
        }
        let what = format!("a transaction whose change {} of 6 cannot be made", failing + 1);
        expect_refusal(&what, store.commit(&transaction).await, LOST)?;
        expect_absent(store, &inserted).await?;
        expect_stored(store, &updated).await?;
        expect_stored(store, &deleted).await?;
        expect_stored(store, &in_the_way).await?;
    }
    store.commit(&good).await?;
    Ok(())
}

pub(super) async fn a_repeated_commit_is_lost(store: &dyn Store) -> Verdict {
    let pair = pair();
    let changed = pair.changed();
    for transaction in
        [pair_change(None, Some(&pair)), pair_change(Some(&pair), Some(&changed)), pair_change(Some(&changed), None)]
    {
        store.commit(&transaction).await?;
        expect_refusal("the same commit again", store.commit(&transaction).await, LOST)?;
    }
    expect_absent(store, &pair).await
}

pub(super) async fn of_concurrent_inserts_one_succeeds(store: &dyn Store) -> Verdict {
    const CALLERS: usize = 8;
    let pair = pair();
    let rows: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let mut row = pair.clone();
            Arc::make_mut(&mut row.process).description = Some(format!("de {caller}"));
            row.schedule.description = Some(format!("de {caller}"));
            row
        })
        .collect();
    let inserts: Vec<_> = rows.iter().map(|row| pair_change(None, Some(row))).collect();
    let results = join_all(inserts.iter().map(|insert| store.commit(insert))).await;
    let mut winners = Vec::new();
    for (row, result) in rows.iter().zip(results) {
        match result {
            Ok(()) => winners.push(row),
            // A service under contention may ask for patience instead of deciding.
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(error.into()),
        }
    }
    ensure!(winners.len() <= 1, "one of {CALLERS} concurrent inserts to succeed, but {} did", winners.len());
    match winners.first() {
        Some(winner) => expect_stored(store, winner).await,
        None => Err(Stop::failed(format!("expected one of {CALLERS} concurrent inserts to succeed, but none did"))),
    }
}

pub(super) async fn concurrent_increments_all_land(store: &dyn Store) -> Verdict {
    const CALLERS: u64 = 8;
    const TRIES: usize = 500;
    let mut record = schedule(&mark());
    record.process_count = Some(0);
    store.commit(&schedule_change(None, Some(&record))).await?;
    let increment = async || -> Verdict {
        for _ in 0..TRIES {
            let read = store.schedule(&record.id).await?;
            let mut next = read.clone().ok_or_else(|| Stop::failed("expected the record to be there"))?;
            next.process_count = next.process_count.map(|count| count + 1);
            match store.commit(&schedule_change(read.as_ref(), Some(&next))).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Stop::failed(format!("expected an increment to land within {TRIES} tries")))
    };
    for landed in join_all((0..CALLERS).map(|_| increment())).await {
        landed?;
    }
    let count = store.schedule(&record.id).await?.and_then(|record| record.process_count);
    expect_same("the count after one increment by each of 8 callers", &count, &Some(CALLERS))
}

/// Both rows always move together, so whoever reads one and then the other never finds the second behind the first.
pub(super) async fn concurrent_readers_see_whole_commits(store: &dyn Store) -> Verdict {
    const STEPS: u64 = 25;
    let at = |step: u64, pair: &Pair| {
        let mut pair = pair.clone();
        Arc::make_mut(&mut pair.process).max_age_seconds = Some(step);
        pair.schedule.process_count = Some(step);
        pair
    };
    let pair = pair();
    store.commit(&pair_change(None, Some(&at(0, &pair)))).await?;
    let done = AtomicBool::new(false);
    let write = async {
        let mut result = Ok(());
        for step in 1..=STEPS {
            result = result.and(store.commit(&pair_change(Some(&at(step - 1, &pair)), Some(&at(step, &pair)))).await);
            // Lets the reader in where nothing else does.
            tokio::task::yield_now().await;
        }
        done.store(true, Ordering::Relaxed);
        result
    };
    let read = async || -> Verdict<(u64, u64)> {
        let in_process = store.process(&pair.process.id).await?.and_then(|row| row.max_age_seconds);
        let in_schedule = store.schedule(&pair.schedule.id).await?.and_then(|row| row.process_count);
        let in_process_again = store.process(&pair.process.id).await?.and_then(|row| row.max_age_seconds);
        ensure!(
            in_process <= in_schedule,
            "the schedule to be at {in_process:?} as the process was, found {in_schedule:?}"
        );
        ensure!(
            in_schedule <= in_process_again,
            "the process to be at {in_schedule:?} as the schedule was, found {in_process_again:?}"
        );
        Ok((in_process.unwrap_or_default(), in_process_again.unwrap_or_default()))
    };
    let watch = async {
        while !done.load(Ordering::Relaxed) {
            read().await?;
            tokio::task::yield_now().await;
        }
        read().await
    };
    let (written, watched) = join(write, watch).await;
    written?;
    expect_same("the step of both rows in the end", &watched?, &(STEPS, STEPS))
}
