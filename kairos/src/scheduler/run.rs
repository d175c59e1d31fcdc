//! Running out of turn: once, now, or the occurrences that were missed in a range of time.

use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Scheduler;
use crate::backend::Message;
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::model::{ExecutionId, Origin, Process, ProcessId, WorkItem, check_identity};

/// Which occurrences to queue once more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backfill {
    /// The range of scheduled times, both ends included.
    pub range: RangeInclusive<Timestamp>,
    /// How many occurrences one call queues at most, 1 to [`Backfill::MAX`].
    pub limit: usize,
}

impl Backfill {
    /// The most occurrences of one call.
    pub const MAX: usize = 10_000;

    /// All occurrences in a range, [`Self::MAX`] at a time.
    #[must_use]
    pub fn new(range: RangeInclusive<Timestamp>) -> Self {
        Self { range, limit: Self::MAX }
    }

    /// The same, so many at a time.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit.clamp(1, Self::MAX);
        self
    }
}

/// What a backfill did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backfilled {
    /// How many occurrences are on the queue.
    pub queued: usize,
    /// Where the range goes on, if the limit was hit: the first scheduled time that is not queued.
    pub next: Option<Timestamp>,
}

impl Scheduler {
    /// Runs a process now, enabled or not.
    ///
    /// Under the same `key` it runs once, as long as history remembers it; without a key it runs at each call.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound); what [`Policy::admit`](crate::Policy::admit) answers for what is stored, and
    /// [`Malformed`](crate::ErrorKind::Malformed) for a row that no executor would take; whatever the store or the queue answer.
    /// After a timeout it may run all the same.
    pub async fn run_now(&self, id: &ProcessId, key: Option<&str>) -> Result<ExecutionId> {
        let ran = async {
            let process = self.process(id).await?;
            self.admit(&process)?;
            let fresh;
            let key = match key {
                Some(key) => key,
                None => {
                    fresh = self.chance.uuid().to_string();
                    &fresh
                }
            };
            let work = WorkItem::of_request(process, key, self.clock.now());
            let execution_id = work.execution_id;
            self.queue_all(vec![Message::new(work)]).await?;
            Ok(execution_id)
        };
        ran.await.map_err(|error: Error| error.during("run now").about(id))
    }

    /// Queues the occurrences of a process in a range of the past, enabled or not, with the execution ids that they had or would have had:
    /// what has run already, history keeps from running again, and doing this twice is harmless. Occurrences yet to come are left to the schedule.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a range that ends before it begins; as [`run_now`](Self::run_now) for the process;
    /// whatever the store or the queue answer, in which case some may be queued: do it again.
    pub async fn backfill(&self, id: &ProcessId, backfill: &Backfill) -> Result<Backfilled> {
        let (from, until) = (*backfill.range.start(), *backfill.range.end());
        let filled = async {
            if until < from {
                return Err(Error::invalid(vec![Fault::new(
                    "hasta",
                    format!("must not be before desde ({from}), not {until}"),
                )]));
            }
            let (process, timetable) = self.timetable(id).await?;
            self.admit(&process)?;
            let until = until.min(self.clock.now());
            // The iteration is exclusive of where it begins.
            let before = from.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(from);
            let mut occurrences = timetable.after(before).take_while(|at| *at <= until);
            let now: Vec<_> = occurrences.by_ref().take(backfill.limit).collect();
            let next = occurrences.next();
            self.queue_all(plan(&process, &now)).await?;
            Ok(Backfilled { queued: now.len(), next })
        };
        filled.await.map_err(|error| error.during("backfill").about(id))
    }

    /// Whether an executor would take what is stored: here somebody is there to be told why it would not.
    fn admit(&self, process: &Process) -> Result<()> {
        check_identity(process).map_err(|fault| {
            Error::new(ErrorKind::Malformed, "what is stored is not a process").with_faults(vec![fault])
        })?;
        self.config.policy.admit(process).map(|_| ())
    }

    async fn queue_all(&self, messages: Vec<Message>) -> Result<()> {
        let sent = self.sender.send(messages, self.clock.now().as_nanosecond().unsigned_abs()).await;
        match sent.error {
            None => Ok(()),
            Some(error) => {
                let message = format!("{} of {} messages could not be queued", sent.failed, sent.failed + sent.queued);
                Err(Error::new(error.kind(), message).with_source(error))
            }
        }
    }
}

fn plan(process: &Arc<Process>, occurrences: &[Timestamp]) -> Vec<Message> {
    occurrences.iter().map(|at| Message::new(WorkItem::of_occurrence(process.clone(), *at, Origin::Backfill))).collect()
}
