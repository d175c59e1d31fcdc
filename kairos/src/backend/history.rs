//! Where executions are claimed before they run, and recorded after.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::error::Result;
use crate::model::{Execution, ExecutionId, ExecutionState, Failure, Hold, Origin, Owner, ProcessId, WorkItem};
use crate::page::{Page, PageRequest};

/// Keeps executions: the claim that makes an occurrence run once, and what became of it.
///
/// # Contract
/// - [`claim`](History::claim) is one atomic step. Of concurrent claims of one execution, one is granted.
/// - A claim is granted for an execution that is unknown, that [failed](ExecutionState::Failed), or whose claim has ended.
/// - It is granted as the first attempt again, where [`Claim::starts_anew`] says so: one that is [redriven](Claim::redriven) for
///   any execution but those with a live claim, [succeeded](ExecutionState::Succeeded) or [skipped](ExecutionState::Skipped), also a
///   [dead](ExecutionState::Dead) one; one of a [backfill](Origin::Backfill) for a skipped one.
/// - [`record`](History::record) and [`renew`](History::renew) change only what their owner still holds.
/// - Whether a claim has ended is told by [`Claim::now`], not by a clock of the backend. One that has ended and that nobody took over is
///   still its owner's to record.
/// - [`get`](History::get) sees every claim and outcome that was answered before. Listings may lag.
/// - What is recorded stays for the backend's retention, which must be longer than any message can be delivered late.
///
/// # Idempotency
/// Recording the same outcome twice is a success or [`Lost`](crate::ErrorKind::Lost); neither changes anything.
/// A claim repeated by its own owner after an answer that was lost is granted again, as the same attempt, also if it starts anew.
///
/// # Errors
/// [`Lost`](crate::ErrorKind::Lost) from a renewal or a record wherever its owner does not hold the execution (any more): somebody else does, or
/// its try has ended; for one that is unknown also [`NotFound`](crate::ErrorKind::NotFound);
/// [`Malformed`](crate::ErrorKind::Malformed) for a cursor of another listing;
/// [`Throttled`](crate::ErrorKind::Throttled), [`Timeout`](crate::ErrorKind::Timeout), [`Unavailable`](crate::ErrorKind::Unavailable),
/// [`Denied`](crate::ErrorKind::Denied) as the service behind it says.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait History: fmt::Debug + Send + Sync + 'static {
    /// Claims an execution for one try.
    async fn claim(&self, claim: &Claim) -> Result<Claimed>;

    /// Makes a claim last until `until`.
    async fn renew(&self, id: ExecutionId, owner: Owner, until: Timestamp) -> Result<()>;

    /// Records how a try ended, and gives up the claim.
    async fn record(&self, outcome: &Outcome) -> Result<()>;

    /// The execution of this id.
    async fn get(&self, id: ExecutionId) -> Result<Option<Execution>>;

    /// A page of the executions that a filter lets through, by scheduled time, newest first.
    async fn list(&self, filter: &ExecutionFilter, page: &PageRequest) -> Result<Page<Execution>>;
}

/// The wish to try an execution.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Claim {
    /// What is to be tried.
    pub work: WorkItem,
    /// Who wants to, and until when at first.
    pub hold: Hold,
    /// The time now.
    pub now: Timestamp,
    /// Whether it comes back from the dead letters just now: its attempts count from 1 again.
    pub redriven: bool,
}

impl Claim {
    /// A claim of one delivery.
    #[must_use]
    pub fn new(work: WorkItem, hold: Hold, now: Timestamp) -> Self {
        Self { work, hold, now, redriven: false }
    }

    /// The same, back from the dead letters or not.
    #[must_use]
    pub fn with_redriven(mut self, redriven: bool) -> Self {
        self.redriven = redriven;
        self
    }

    /// Whether it makes an execution that is in this state, and has no live claim, begin again with its first attempt.
    #[must_use]
    pub fn starts_anew(&self, state: ExecutionState) -> bool {
        match state {
            ExecutionState::Running | ExecutionState::Failed | ExecutionState::Dead => self.redriven,
            ExecutionState::Skipped => self.work.origin == Origin::Backfill,
            ExecutionState::Succeeded => false,
        }
    }
}

/// The answer to a [`Claim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is yours to try, for the `attempt`-th time, from 1.
    Granted {
        /// Which try this is.
        attempt: u32,
    },
    /// Somebody else is at it.
    Held {
        /// When their claim ends, unless they renew it.
        until: Timestamp,
    },
    /// It has been done with.
    Finished(ExecutionState),
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The execution.
    pub id: ExecutionId,
    /// Who tried.
    pub owner: Owner,
    /// What became of it: any state but [`Running`](ExecutionState::Running).
    pub state: ExecutionState,
    /// When.
    pub at: Timestamp,
    /// Why it failed, unless it succeeded.
    pub failure: Option<Failure>,
}

impl Outcome {
    /// The outcome of a try.
    #[must_use]
    pub const fn new(id: ExecutionId, owner: Owner, state: ExecutionState, at: Timestamp) -> Self {
        Self { id, owner, state, at, failure: None }
    }

    /// The same with what failed.
    #[must_use]
    pub fn with_failure(mut self, failure: impl Into<Option<Failure>>) -> Self {
        self.failure = failure.into();
        self
    }
}

/// Which executions a listing gives. What is `None` lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecutionFilter {
    /// Those in one state.
    pub state: Option<ExecutionState>,
    /// Those of one process.
    pub process: Option<ProcessId>,
    /// Those scheduled at or after this.
    pub from: Option<Timestamp>,
    /// Those scheduled before this.
    pub until: Option<Timestamp>,
}

impl ExecutionFilter {
    /// All executions.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// The same, of these only those in a state.
    #[must_use]
    pub fn with_state(mut self, state: ExecutionState) -> Self {
        self.state = Some(state);
        self
    }

    /// The same, of these only those of a process.
    #[must_use]
    pub fn with_process(mut self, process: ProcessId) -> Self {
        self.process = Some(process);
        self
    }

    /// The same, of these only those scheduled at or after `from`.
    #[must_use]
    pub fn with_from(mut self, from: impl Into<Option<Timestamp>>) -> Self {
        self.from = from.into();
        self
    }

    /// The same, of these only those scheduled before `until`.
    #[must_use]
    pub fn with_until(mut self, until: impl Into<Option<Timestamp>>) -> Self {
        self.until = until.into();
        self
    }

    /// Whether the filter lets an execution through.
    #[must_use]
    pub fn admits(&self, execution: &Execution) -> bool {
        self.state.is_none_or(|state| state == execution.state)
            && self.process.as_ref().is_none_or(|id| *id == execution.process_id)
            && self.from.is_none_or(|from| from <= execution.scheduled_time)
            && self.until.is_none_or(|until| execution.scheduled_time < until)
    }
}
