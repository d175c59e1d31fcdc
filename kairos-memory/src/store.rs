//! Processes and schedule records, in memory.

mod saved;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use kairos::backend::{Change, ProcessFilter, Store, StoreCapabilities, Transaction};
use kairos::page::{Page, PageRequest};
use kairos::{Process, ProcessId, Result, Schedule, ScheduleId};
use parking_lot::Mutex;

use crate::error;
use crate::listing::Listing;

pub use saved::SavedStore;

/// A [`Store`] in memory: sorted by id, and within each schedule by id again.
///
/// Reading a row costs the logarithm of how many there are, a page what it holds, and a commit what it changes, whether a
/// schedule has one process or a million. Listings see every commit at once.
///
/// ```
/// use kairos::backend::{ProcessFilter, Store, Transaction};
/// use kairos::page::PageRequest;
/// use kairos::{Process, ScheduleId};
/// use kairos_memory::MemoryStore;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let store = MemoryStore::new();
/// let process: Process = serde_json::from_str(
///     r#"{"IdProceso":"proceso-YQ..","IdCalendarizacion":"calendarizacion-x","Nombre":"a","ArnProceso":"kairos:task:a",
///         "Parametros":null,"Habilitado":true,"FechaCreacion":"2026-01-01T00:00:00Z"}"#,
/// )?;
/// store.commit(&Transaction::new().with_process(None, Some(process.clone().into()))).await?;
///
/// let schedule = ScheduleId::from("calendarizacion-x");
/// let page = store.list_processes(&ProcessFilter::of_schedule(schedule), &PageRequest::default()).await?;
/// assert_eq!(*page.items[0], process);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct MemoryStore {
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    processes: Processes,
    /// The same rows again, so that a page of one schedule needs no look into the map of all.
    by_schedule: BTreeMap<ScheduleId, Processes>,
    schedules: BTreeMap<ScheduleId, Schedule>,
}

type Processes = BTreeMap<ProcessId, Arc<Process>>;

impl MemoryStore {
    /// A store without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows.lock();
        f.debug_struct("MemoryStore")
            .field("processes", &rows.processes.len())
            .field("schedules", &rows.schedules.len())
            .finish()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>> {
        Ok(self.rows.lock().processes.get(id).cloned())
    }

    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        Ok(self.rows.lock().schedules.get(id).cloned())
    }

    async fn list_processes(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<Arc<Process>>> {
        let listing = Listing::new("processes", filter);
        let range = after(listing.after(page)?);
        let rows = self.rows.lock();
        let none = Processes::new();
        let processes = match &filter.schedule {
            Some(schedule) => rows.by_schedule.get(schedule).unwrap_or(&none),
            None => &rows.processes,
        };
        let admitted = |(id, process): (_, &Arc<Process>)| (id, filter.admits(process).then(|| Arc::clone(process)));
        Ok(listing.page(page.limit, processes.range::<str, _>(range).map(admitted)))
    }

    async fn list_schedules(&self, page: &PageRequest) -> Result<Page<Schedule>> {
        let listing = Listing::new("schedules", &());
        let range = after(listing.after(page)?);
        let rows = self.rows.lock();
        let schedules = rows.schedules.range::<str, _>(range).map(|(id, schedule)| (id, Some(schedule.clone())));
        Ok(listing.page(page.limit, schedules))
    }

    async fn commit(&self, transaction: &Transaction) -> Result<()> {
        let processes = by_id(&transaction.processes, |process| &process.id)?;
        let schedules = by_id(&transaction.schedules, |schedule| &schedule.id)?;
        let mut rows = self.rows.lock();
        check(&processes, &rows.processes)?;
        check(&schedules, &rows.schedules)?;
        for (id, change) in processes {
            rows.put_process(id, change);
        }
        for (id, change) in schedules {
            match &change.after {
                Some(schedule) => rows.schedules.insert(id.clone(), schedule.clone()),
                None => rows.schedules.remove(id),
            };
        }
        Ok(())
    }

    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities::new().with_consistent_listings()
    }
}

impl Rows {
    fn put_process(&mut self, id: &ProcessId, change: &Change<Arc<Process>>) {
        if let Some(before) = &change.before
            && let Some(processes) = self.by_schedule.get_mut(&before.schedule_id)
        {
            processes.remove(id);
            if processes.is_empty() {
                self.by_schedule.remove(&before.schedule_id);
            }
        }
        match &change.after {
            Some(process) => {
                let processes = self.by_schedule.entry(process.schedule_id.clone()).or_default();
                processes.insert(id.clone(), Arc::clone(process));
                self.processes.insert(id.clone(), Arc::clone(process));
            }
            None => {
                self.processes.remove(id);
            }
        }
    }
}

/// Everything after a row, or everything.
fn after(position: Option<&str>) -> (Bound<&str>, Bound<&str>) {
    (position.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

/// The changes with the row that each is about.
fn by_id<T, I: Ord + fmt::Display>(changes: &[Change<T>], id: impl Fn(&T) -> &I) -> Result<Vec<(&I, &Change<T>)>> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::with_capacity(changes.len());
    for change in changes {
        let about = match (change.before.as_ref().map(&id), change.after.as_ref().map(&id)) {
            (Some(before), Some(after)) if before != after => {
                return Err(error::unsound_transaction(format!("makes '{before}' another row, '{after}'")));
            }
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => return Err(error::unsound_transaction("holds a change of no row")),
        };
        if !seen.insert(about) {
            return Err(error::unsound_transaction(format!("changes '{about}' twice")));
        }
        found.push((about, change));
    }
    Ok(found)
}

fn check<T: PartialEq, I: Ord + fmt::Display>(changes: &[(&I, &Change<T>)], rows: &BTreeMap<I, T>) -> Result<()> {
    match changes.iter().find(|(id, change)| rows.get(id) != change.before.as_ref()) {
        Some((id, _)) => Err(error::row_changed(id)),
        None => Ok(()),
    }
}
