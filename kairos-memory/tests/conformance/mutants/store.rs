//! Stores with one flaw each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kairos::backend::{ProcessFilter, Store, StoreCapabilities, Transaction};
use kairos::conformance;
use kairos::page::{Cursor, Page, PageRequest};
use kairos::{Error, ErrorKind, Process, ProcessId, Result, Schedule, ScheduleId, ScheduleState};
use kairos_memory::MemoryStore;

use super::assert_found;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    UnknownIsAnError,
    CachesReads,
    DropsEmptyText,
    RoundsCreatedAt,
    TakesNoCountForZero,
    TakesSmallRowsOnly,
    IgnoresBefore,
    IgnoresTheDescription,
    IgnoresTheHold,
    SkipsWhatStays,
    CommitsPartByPart,
    ShowsHalfACommit,
    AnswersARepetition,
    EndsAfterTheFirstPage,
    IgnoresTheLimit,
    RepeatsARow,
    ShufflesTheOrder,
    ListsWithoutTheRest,
    IgnoresEnabled,
    IgnoresCaseInPrefixes,
    CountsInCursors,
    TakesAnyCursor,
    TakesGarbageForTheBeginning,
    EndsSchedulesAfterTheFirstPage,
    TakesGarbageForNoSchedules,
}

const FOUND_BY: [(Flaw, &str); 25] = [
    (Flaw::UnknownIsAnError, "an_unknown_row_is_none"),
    (Flaw::CachesReads, "reads_see_the_commit_before_them"),
    (Flaw::DropsEmptyText, "rows_come_back_as_they_were_written"),
    (Flaw::RoundsCreatedAt, "reads_see_the_commit_before_them"),
    (Flaw::TakesNoCountForZero, "rows_of_the_older_system_are_adopted"),
    (Flaw::TakesSmallRowsOnly, "the_largest_row_fits"),
    (Flaw::IgnoresBefore, "rows_of_the_older_system_are_adopted"),
    (Flaw::IgnoresTheDescription, "every_field_of_a_process_is_compared"),
    (Flaw::IgnoresTheHold, "every_field_of_a_schedule_is_compared"),
    (Flaw::SkipsWhatStays, "a_row_can_be_expected_and_left"),
    (Flaw::CommitsPartByPart, "one_lost_change_undoes_all"),
    (Flaw::ShowsHalfACommit, "concurrent_readers_see_whole_commits"),
    (Flaw::AnswersARepetition, "a_repeated_commit_is_lost"),
    (Flaw::EndsAfterTheFirstPage, "a_listing_gives_every_process_once"),
    (Flaw::IgnoresTheLimit, "a_listing_gives_every_process_once"),
    (Flaw::RepeatsARow, "a_listing_gives_every_process_once"),
    (Flaw::ShufflesTheOrder, "a_listing_keeps_its_order"),
    (Flaw::ListsWithoutTheRest, "a_listing_gives_whole_rows"),
    (Flaw::IgnoresEnabled, "filters_combine"),
    (Flaw::IgnoresCaseInPrefixes, "a_name_prefix_means_its_very_letters"),
    (Flaw::CountsInCursors, "processes_that_come_and_go_disturb_no_other"),
    (Flaw::TakesAnyCursor, "a_cursor_of_another_listing_is_refused"),
    (Flaw::TakesGarbageForTheBeginning, "text_that_is_no_cursor_is_refused"),
    (Flaw::EndsSchedulesAfterTheFirstPage, "a_listing_gives_every_schedule_once"),
    (Flaw::TakesGarbageForNoSchedules, "text_that_is_no_cursor_is_refused_for_schedules"),
];

#[tokio::test]
async fn every_flaw_of_a_store_is_found() {
    for (flaw, case) in FOUND_BY {
        let mutant = Mutant {
            inner: MemoryStore::new(),
            flaw,
            seen: Mutex::default(),
            last: Mutex::default(),
            calls: Mutex::default(),
        };
        assert_found(&flaw, case, conformance::store(&mutant)).await;
    }
}

#[derive(Debug)]
struct Mutant {
    inner: MemoryStore,
    flaw: Flaw,
    seen: Mutex<BTreeMap<ProcessId, Option<Arc<Process>>>>,
    last: Mutex<Option<Transaction>>,
    calls: Mutex<usize>,
}

impl Mutant {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// The transaction with what it expects brought in line with what is there, as far as `same` says that it is the same.
    async fn forgive(
        &self,
        transaction: &Transaction,
        same: impl Fn(&Transaction, &Transaction) -> bool,
    ) -> Result<Transaction> {
        let mut forgiven = transaction.clone();
        for change in &mut forgiven.processes {
            if let Some(id) = change.before.as_ref().or(change.after.as_ref()).map(|row| row.id.clone()) {
                change.before = self.inner.process(&id).await?;
            }
        }
        for change in &mut forgiven.schedules {
            if let Some(id) = change.before.as_ref().or(change.after.as_ref()).map(|row| row.id.clone()) {
                change.before = self.inner.schedule(&id).await?;
            }
        }
        Ok(if same(transaction, &forgiven) { forgiven } else { transaction.clone() })
    }

    async fn commit_flawed(&self, transaction: &Transaction) -> Result<()> {
        let mut transaction = transaction.clone();
        match self.flaw {
            Flaw::DropsEmptyText => {
                for row in transaction.processes.iter_mut().filter_map(|change| change.after.as_mut()) {
                    let row = Arc::make_mut(row);
                    row.parameters = row.parameters.take().filter(|text| !text.is_empty());
                }
            }
            Flaw::RoundsCreatedAt => {
                for row in transaction.processes.iter_mut().filter_map(|change| change.after.as_mut()) {
                    let second = row.created_at.timestamp().as_second();
                    Arc::make_mut(row).created_at = jiff::Timestamp::from_second(second).unwrap().into();
                }
            }
            Flaw::TakesSmallRowsOnly => {
                let is_large = |row: &Arc<Process>| row.parameters.as_ref().is_some_and(|text| text.len() > 100_000);
                if transaction.processes.iter().filter_map(|change| change.after.as_ref()).any(is_large) {
                    return Err(Error::new(ErrorKind::Invalid, "the row is too large"));
                }
            }
            Flaw::IgnoresBefore => transaction = self.forgive(&transaction, |_, _| true).await?,
            Flaw::IgnoresTheDescription => {
                transaction = self
                    .forgive(&transaction, |one, other| without_description(one) == without_description(other))
                    .await?;
            }
            Flaw::IgnoresTheHold => {
                transaction = self.forgive(&transaction, |one, other| without_hold(one) == without_hold(other)).await?;
            }
            Flaw::TakesNoCountForZero => {
                transaction = self.forgive(&transaction, |one, other| without_zero(one) == without_zero(other)).await?;
            }
            Flaw::SkipsWhatStays => {
                transaction.processes.retain(|change| change.before != change.after);
                transaction.schedules.retain(|change| change.before != change.after);
            }
            Flaw::CommitsPartByPart | Flaw::ShowsHalfACommit => return self.commit_in_parts(&transaction).await,
            _ => {}
        }
        self.inner.commit(&transaction).await
    }

    async fn commit_in_parts(&self, transaction: &Transaction) -> Result<()> {
        let (mut processes, mut schedules) = (Transaction::new(), Transaction::new());
        processes.processes.clone_from(&transaction.processes);
        schedules.schedules.clone_from(&transaction.schedules);
        if self.has(Flaw::ShowsHalfACommit) {
            // Checked first, so that what goes wrong goes wrong as a whole.
            let mut unchanged = transaction.clone();
            unchanged.processes.iter_mut().for_each(|change| change.after.clone_from(&change.before));
            unchanged.schedules.iter_mut().for_each(|change| change.after.clone_from(&change.before));
            unchanged.processes.retain(|change| change.before.is_some());
            unchanged.schedules.retain(|change| change.before.is_some());
            self.inner.commit(&unchanged).await?;
            for row in
                transaction.processes.iter().filter(|change| change.before.is_none()).filter_map(|c| c.after.as_ref())
            {
                if self.inner.process(&row.id).await?.is_some() {
                    return Err(Error::new(ErrorKind::Lost, "it is there"));
                }
            }
            for row in
                transaction.schedules.iter().filter(|change| change.before.is_none()).filter_map(|c| c.after.as_ref())
            {
                if self.inner.schedule(&row.id).await?.is_some() {
                    return Err(Error::new(ErrorKind::Lost, "it is there"));
                }
            }
        }
        self.inner.commit(&processes).await?;
        tokio::task::yield_now().await;
        self.inner.commit(&schedules).await
    }

    /// Pages by position, as a cursor that counts has them.
    async fn page_by_count(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<Arc<Process>>> {
        let tag = format!("{filter:?}#");
        let skip = match &page.cursor {
            None => 0,
            Some(cursor) => cursor
                .as_str()
                .strip_prefix(&tag)
                .and_then(|count| count.parse().ok())
                .ok_or_else(|| Error::new(ErrorKind::Malformed, "no cursor of this listing"))?,
        };
        let mut all = Vec::new();
        let mut request = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let found = self.inner.list_processes(filter, &request).await?;
            all.extend(found.items);
            match found.next {
                Some(next) => request = request.with_cursor(next),
                None => break,
            }
        }
        let items: Vec<_> = all.iter().skip(skip).take(page.limit).cloned().collect();
        let end = skip + items.len();
        Ok(Page { items, next: (end < all.len()).then(|| Cursor::new(format!("{tag}{end}"))) })
    }
}

/// Whether the inner store gave out nothing of the kind.
fn is_garbage(page: &PageRequest) -> bool {
    page.cursor.as_ref().is_some_and(|cursor| !cursor.as_str().contains('.'))
}

fn without_description(transaction: &Transaction) -> Transaction {
    let mut transaction = transaction.clone();
    for row in transaction.processes.iter_mut().filter_map(|change| change.before.as_mut()) {
        Arc::make_mut(row).description = None;
    }
    transaction
}

fn without_zero(transaction: &Transaction) -> Transaction {
    let mut transaction = transaction.clone();
    for row in transaction.schedules.iter_mut().filter_map(|change| change.before.as_mut()) {
        row.process_count = row.process_count.filter(|count| *count != 0);
    }
    transaction
}

fn without_hold(transaction: &Transaction) -> Transaction {
    let mut transaction = transaction.clone();
    for row in transaction.schedules.iter_mut().filter_map(|change| change.before.as_mut()) {
        if let ScheduleState::Creating(hold) | ScheduleState::Retiring(hold) = &mut row.state {
            hold.until = jiff::Timestamp::UNIX_EPOCH;
        }
    }
    transaction
}

#[async_trait]
impl Store for Mutant {
    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>> {
        let row = self.inner.process(id).await?;
        match self.flaw {
            Flaw::UnknownIsAnError if row.is_none() => Err(Error::new(ErrorKind::NotFound, "there is none")),
            Flaw::CachesReads => Ok(self.seen.lock().unwrap().entry(id.clone()).or_insert(row).clone()),
            _ => Ok(row),
        }
    }

    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        self.inner.schedule(id).await
    }

    async fn list_processes(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<Arc<Process>>> {
        let call = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        let mut filter = filter.clone();
        match self.flaw {
            Flaw::IgnoresEnabled => filter.enabled = None,
            Flaw::CountsInCursors => return self.page_by_count(&filter, page).await,
            Flaw::IgnoresTheLimit => {
                let many = PageRequest::first(1_000).with_cursor(page.cursor.clone());
                return self.inner.list_processes(&filter, &many).await;
            }
            Flaw::IgnoresCaseInPrefixes => {
                let prefix = filter.name_prefix.take().unwrap_or_default().to_lowercase();
                let mut found = self.inner.list_processes(&filter, page).await?;
                found.items.retain(|row| row.name.to_lowercase().starts_with(&prefix));
                return Ok(found);
            }
            _ => {}
        }
        let found = self.inner.list_processes(&filter, page).await;
        let refused = matches!(&found, Err(error) if error.kind() == ErrorKind::Malformed);
        if refused
            && (self.has(Flaw::TakesAnyCursor) || self.has(Flaw::TakesGarbageForTheBeginning) && is_garbage(page))
        {
            return self.inner.list_processes(&filter, &page.clone().with_cursor(None)).await;
        }
        let mut found = found?;
        match self.flaw {
            Flaw::EndsAfterTheFirstPage => found.next = None,
            Flaw::RepeatsARow if found.items.len() < page.limit => found.items.extend(found.items.first().cloned()),
            Flaw::ShufflesTheOrder if call % 2 == 0 => found.items.reverse(),
            Flaw::ListsWithoutTheRest => {
                for row in &mut found.items {
                    Arc::make_mut(row).tags = None;
                }
            }
            _ => {}
        }
        Ok(found)
    }

    async fn list_schedules(&self, page: &PageRequest) -> Result<Page<Schedule>> {
        let found = self.inner.list_schedules(page).await;
        if found.is_err() && self.has(Flaw::TakesGarbageForNoSchedules) && is_garbage(page) {
            return Ok(Page::last(Vec::new()));
        }
        let mut found = found?;
        if self.has(Flaw::EndsSchedulesAfterTheFirstPage) {
            found.next = None;
        }
        Ok(found)
    }

    async fn commit(&self, transaction: &Transaction) -> Result<()> {
        let result = self.commit_flawed(transaction).await;
        let last = self.last.lock().unwrap().replace(transaction.clone());
        if self.has(Flaw::AnswersARepetition) && last.as_ref() == Some(transaction) {
            return Ok(());
        }
        result
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }
}
