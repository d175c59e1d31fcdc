//! What became of deliveries: one by one, by the batch, and counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::between;
use crate::model::{Failure, MessageId, Origin, WorkItem};

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
    /// Another delivery of it is at work, or has taken it over from this one, and it comes back to see how that ended; or it comes back untried, as
    /// one of its [group](crate::backend::Delivery::group) before it does.
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
    pub message_id: MessageId,
    /// The execution, if the message could be read.
    pub work: Option<WorkItem>,
    /// Whether it came back from the dead letters.
    pub redriven: bool,
    /// When the executor took it up.
    pub started_at: Timestamp,
    /// What became of it.
    pub verdict: Verdict,
}

impl Handled {
    /// How long after its scheduled time it was taken up: waits between tries, and whatever kept it away, included. `None` if the
    /// message could not be read; zero if the clock showed an earlier time.
    #[must_use]
    pub fn lateness(&self) -> Option<Duration> {
        self.work.as_ref().map(|work| between(work.scheduled_time, self.started_at))
    }

    /// The lateness that nobody wanted: of what was tried, or skipped as too late, and is not late on purpose, as backfills and redriven dead
    /// letters are.
    #[must_use]
    pub fn unwanted_lateness(&self) -> Option<Duration> {
        let has_come_to_it =
            !matches!(self.verdict, Verdict::Duplicate | Verdict::Waiting { .. } | Verdict::Undecided(_));
        let is_backfill = self.work.as_ref().is_some_and(|work| work.origin == Origin::Backfill);
        self.lateness().filter(|_| has_come_to_it && !is_backfill && !self.redriven)
    }
}

impl BatchReport {
    /// The ids of the messages that stay on the queue: the failures of a partial batch response.
    pub fn to_return(&self) -> impl Iterator<Item = &str> {
        self.handled.iter().filter(|handled| handled.verdict.comes_back()).map(|handled| handled.message_id.as_str())
    }
}

/// How many deliveries ended in which way since the executor was made, and how late they were.
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
    /// The longest [unwanted lateness](Handled::unwanted_lateness), in whole milliseconds.
    pub longest_lateness: Duration,
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
    longest_lateness_millis: AtomicU64,
}

impl Counters {
    pub(super) fn count(&self, handled: &Handled) {
        let counter = match &handled.verdict {
            Verdict::Succeeded => &self.succeeded,
            Verdict::Duplicate => &self.duplicates,
            Verdict::Skipped => &self.skipped,
            Verdict::Retrying { .. } => &self.retrying,
            Verdict::Dead(_) => &self.dead,
            Verdict::Waiting { .. } => &self.waiting,
            Verdict::Undecided(_) => &self.undecided,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(lateness) = handled.unwanted_lateness() {
            let millis = u64::try_from(lateness.as_millis()).unwrap_or(u64::MAX);
            // Seldom the longest so far, and looking costs less than writing.
            if millis > self.longest_lateness_millis.load(Ordering::Relaxed) {
                self.longest_lateness_millis.fetch_max(millis, Ordering::Relaxed);
            }
        }
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
            longest_lateness: Duration::from_millis(get(&self.longest_lateness_millis)),
        }
    }
}
