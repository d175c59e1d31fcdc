//! What became of deliveries: one by one, by the batch, and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use crate::model::{Failure, WorkItem};

/// What became of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The target took it.
    Succeeded,
    /// It had been done with already.
    Duplicate,
    /// It came too late to be run.
    Skipped,
    /// It failed and comes back.
    Retrying {
        /// Why.
        failure: Failure,
        /// When.
        at: Timestamp,
    },
    /// It failed for good and lies with the dead letters.
    Dead(Failure),
    /// Another delivery of it is at work, or has taken it over from this one; it comes back to see how that ended.
    Waiting {
        /// When the other's claim ends, or could have ended, unless it is renewed.
        until: Timestamp,
    },
    /// The queue or the history could not be reached; it comes back when its visibility timeout ends.
    Undecided(Failure),
}

impl Verdict {
    /// Whether the message stays on the queue.
    #[must_use]
    pub const fn comes_back(&self) -> bool {
        matches!(self, Self::Retrying { .. } | Self::Waiting { .. } | Self::Undecided(_))
    }
}

/// What became of each delivery of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchReport {
    /// One entry per delivery, in order of completion.
    pub handled: Vec<Handled>,
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Handled {
    /// The message.
    pub message_id: Arc<str>,
    /// The execution, if the message could be read.
    pub work: Option<WorkItem>,
    /// What became of it.
    pub verdict: Verdict,
}

impl BatchReport {
    /// The ids of the messages that stay on the queue: the failures of a partial batch response.
    pub fn to_return(&self) -> impl Iterator<Item = &str> {
        self.handled.iter().filter(|handled| handled.verdict.comes_back()).map(|handled| &*handled.message_id)
    }
}

/// How many deliveries ended in which way since the executor was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is the number of the verdict that bears its name")]
pub struct ExecutorCounts {
    pub succeeded: u64,
    pub duplicates: u64,
    pub skipped: u64,
    pub retrying: u64,
    pub dead: u64,
    pub waiting: u64,
    pub undecided: u64,
    /// Outcomes that could not be recorded.
    pub unrecorded: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    succeeded: AtomicU64,
    duplicates: AtomicU64,
    skipped: AtomicU64,
    retrying: AtomicU64,
    dead: AtomicU64,
    waiting: AtomicU64,
    undecided: AtomicU64,
    pub(super) unrecorded: AtomicU64,
}

impl Counters {
    pub(super) fn count(&self, verdict: &Verdict) {
        let counter = match verdict {
            Verdict::Succeeded => &self.succeeded,
            Verdict::Duplicate => &self.duplicates,
            Verdict::Skipped => &self.skipped,
            Verdict::Retrying { .. } => &self.retrying,
            Verdict::Dead(_) => &self.dead,
            Verdict::Waiting { .. } => &self.waiting,
            Verdict::Undecided(_) => &self.undecided,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> ExecutorCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ExecutorCounts {
            succeeded: get(&self.succeeded),
            duplicates: get(&self.duplicates),
            skipped: get(&self.skipped),
            retrying: get(&self.retrying),
            dead: get(&self.dead),
            waiting: get(&self.waiting),
            undecided: get(&self.undecided),
            unrecorded: get(&self.unrecorded),
        }
    }
}
