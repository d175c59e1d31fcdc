//! Where processes and schedule records are kept.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::model::{Process, ProcessId, Schedule, ScheduleId};
use crate::page::{Page, PageRequest};

/// Keeps processes and schedule records.
///
/// # Contract
/// - [`process`](Store::process) and [`schedule`](Store::schedule) see every [`commit`](Store::commit) that was answered before they were called.
/// - A listing gives every item that is there from its first page to its last exactly once, in a stable order. Items that come or go
///   meanwhile may be missed or given. A page may hold fewer items than its limit, even none, while [`Page::next`] says that it goes on.
/// - Listings may lag behind commits where [`StoreCapabilities::consistent_listings`] is false.
/// - A commit happens whole or not at all, also in the eyes of concurrent readers.
///
/// # Idempotency
/// Reads are. A commit repeated after an answer that was lost fails with [`Lost`](crate::ErrorKind::Lost), as what it expected is no longer there.
///
/// # Errors
/// [`Lost`](crate::ErrorKind::Lost) from a commit that found other rows than it expected; any
/// [retryable](crate::Error::is_retryable) kind from one that met another and cannot tell;
/// [`Malformed`](crate::ErrorKind::Malformed) for a cursor of another listing or a row that cannot be read;
/// [`Throttled`](crate::ErrorKind::Throttled), [`Timeout`](crate::ErrorKind::Timeout), [`Unavailable`](crate::ErrorKind::Unavailable),
/// [`Denied`](crate::ErrorKind::Denied) as the service behind it says.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The process of this id.
    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>>;

    /// The schedule record of this id.
    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>>;

    /// A page of the processes that a filter lets through.
    async fn list_processes(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<Arc<Process>>>;

    /// A page of all schedule records.
    async fn list_schedules(&self, page: &PageRequest) -> Result<Page<Schedule>>;

    /// Makes all changes of a transaction, or none.
    async fn commit(&self, transaction: &Transaction) -> Result<()>;

    /// What this backend can do.
    fn capabilities(&self) -> StoreCapabilities;
}

/// What a [`Store`] can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreCapabilities {
    /// Whether listings see every commit that was answered before.
    pub consistent_listings: bool,
}

impl StoreCapabilities {
    /// Listings that lag.
    #[must_use]
    pub const fn new() -> Self {
        Self { consistent_listings: false }
    }

    /// The same with listings that do not lag.
    #[must_use]
    pub const fn with_consistent_listings(mut self) -> Self {
        self.consistent_listings = true;
        self
    }
}

impl Default for StoreCapabilities {
    fn default() -> Self {
        Self::new()
    }
}

/// Which processes a listing gives. What is `None` lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessFilter {
    /// Those of one schedule. Backends have an index for it.
    pub schedule: Option<ScheduleId>,
    /// Those whose name begins with this.
    pub name_prefix: Option<String>,
    /// The enabled or the disabled ones.
    pub enabled: Option<bool>,
}

impl ProcessFilter {
    /// All processes of a schedule.
    #[must_use]
    pub fn of_schedule(schedule: ScheduleId) -> Self {
        Self { schedule: Some(schedule), ..Self::default() }
    }

    /// The same, of these only those whose name begins with `prefix`.
    #[must_use]
    pub fn with_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.name_prefix = Some(prefix.into());
        self
    }

    /// The same, of these only the enabled or only the disabled ones.
    #[must_use]
    pub fn with_enabled(mut self, enabled: bool) -> Self {
        self.enabled = Some(enabled);
        self
    }

    /// Whether the filter lets a process through.
    #[must_use]
    pub fn admits(&self, process: &Process) -> bool {
        self.schedule.as_ref().is_none_or(|id| *id == process.schedule_id)
            && self.name_prefix.as_ref().is_none_or(|prefix| process.name.starts_with(prefix.as_str()))
            && self.enabled.is_none_or(|enabled| enabled == process.enabled)
    }
}

/// Changes that happen together or not at all.
///
/// Each one says what the row is expected to be, as it was read, and what it becomes: nothing is overwritten unseen.
/// A change that leaves its row as it is, is a mere condition. A transaction without changes is a success; one that names a row twice is
/// [`Invalid`](crate::ErrorKind::Invalid).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transaction {
    /// Changes of processes, each of another one.
    pub processes: Vec<Change<Arc<Process>>>,
    /// Changes of schedule records, each of another one.
    pub schedules: Vec<Change<Schedule>>,
}

/// What a row is expected to be, and what it becomes; `None` is no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<T> {
    /// The row as it was read. Any other row makes the whole transaction fail with [`Lost`](crate::ErrorKind::Lost).
    pub before: Option<T>,
    /// The row as it is to be.
    pub after: Option<T>,
}

impl Transaction {
    /// No change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same and a change of a process.
    #[must_use]
    pub fn with_process(mut self, before: Option<Arc<Process>>, after: Option<Arc<Process>>) -> Self {
        self.processes.push(Change { before, after });
        self
    }

    /// The same and a change of a schedule record.
    #[must_use]
    pub fn with_schedule(mut self, before: Option<Schedule>, after: Option<Schedule>) -> Self {
        self.schedules.push(Change { before, after });
        self
    }
}
