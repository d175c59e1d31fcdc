//! The scheduler: what is registered runs, what is unregistered stops, and nothing is left behind.
//!
//! # The registration protocol
//!
//! All processes of a schedule share one trigger. The schedule's record counts its processes and says whether the trigger exists:
//! it is *active* (the trigger exists), *creating*, or *retiring*. The last two are exclusive: they carry an owner and a lease that is
//! longer than any call can take. Everyone else waits for them to end, or takes an ended one over. The process row, the count and the
//! state change in one transaction, on condition of what was read.
//!
//! | call | finds | does |
//! | --- | --- | --- |
//! | register | no record | writes process and record, creating, count 1, mine → creates the trigger → active if still mine → `Ok` |
//! | | active | writes process, count + 1 → `Ok`: active means that the trigger exists |
//! | | an ended hold | writes process, count + 1, creating, mine → creates the trigger → active if still mine → `Ok` |
//! | unregister | active, count over 1 | deletes process, count − 1 → `Ok` |
//! | | active, count 1 | deletes process, retiring, count 0, mine → deletes the trigger → deletes the record if still mine → `Ok` |
//! | | an ended hold | the same; where processes are left, the trigger is created instead of deleted |
//! | update or enable, same schedule | active | replaces the process |
//! | | an ended hold, or no record | replaces the process, creating, mine → creates the trigger → active if still mine → `Ok` |
//! | update, other schedule | | makes sure of the other schedule's trigger first, then moves the process and both counts in one transaction, then deletes the old trigger if it was the last |
//! | reconcile | an ended hold | processes left: creates the trigger, active; none: deletes trigger and record |
//!
//! The table is the pure function `plan` in `scheduler/plan.rs`; the rest carries it out.

mod plan;
mod protocol;
mod query;
mod reconcile;
mod register;
mod run;
mod update;

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Queue, ScheduleBackend, Store};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::model::Policy;
use crate::retry::Backoff;
use crate::sender::{SendConfig, Sender};

pub use query::Preview;
pub use reconcile::{Finding, Problem, ReconcileMode, ReconcileReport, Repair};
pub use register::Registered;
pub use run::{Backfill, Backfilled};

/// Registers processes and keeps one trigger per distinct schedule.
///
/// Every call may fail or be dropped at any await: what it leaves behind is found by the calls after it, or by
/// [`reconcile`](Scheduler::reconcile).
///
/// ```
/// # use std::sync::Arc;
/// use kairos::clock::{Clock, SystemClock};
/// use kairos::{Registration, Scheduler};
/// use kairos_memory::{MemoryQueue, MemorySchedules, MemoryStore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> kairos::Result<()> {
/// let clock: Arc<dyn Clock> = Arc::new(SystemClock);
/// let schedules = Arc::new(MemorySchedules::new(clock.clone()));
/// let queue = Arc::new(MemoryQueue::new(clock.clone()));
/// let scheduler = Scheduler::new(Arc::new(MemoryStore::new()), schedules, queue, clock);
///
/// let registration = Registration::new("informe", "cron(0 9 ? * MON-FRI *)", "kairos:task:informe");
/// let registered = scheduler.register(&registration).await?;
/// assert!(registered.created);
/// assert!(!scheduler.register(&registration).await?.created, "the same again is the same");
/// assert!(scheduler.unregister(&registered.process.id).await?);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Scheduler {
    store: Arc<dyn Store>,
    schedules: Arc<dyn ScheduleBackend>,
    clock: Arc<dyn Clock>,
    chance: Arc<Chance>,
    sender: Sender,
    config: SchedulerConfig,
}

/// How a [`Scheduler`] works.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchedulerConfig {
    /// What is let in.
    pub policy: Policy,
    /// How long a call may hold a schedule's record. Twice `call_limit` at least, as the call must end within it; less is made that.
    /// What the schedule backend was asked for under a hold must have happened by its end, or never, even if the answer was given up.
    pub lease: Duration,
    /// How long one call of the schedule backend may take.
    pub call_limit: Duration,
    /// How long a call waits for others before it gives up as [`Busy`](crate::ErrorKind::Busy).
    pub patience: Duration,
    /// How often it looks again meanwhile.
    pub polling: Backoff,
    /// How messages are sent by runs now and backfills.
    pub send: SendConfig,
}

impl Default for SchedulerConfig {
    /// Everything is let in; holds of 60 s for calls of up to 20 s; two minutes of patience.
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            lease: Duration::from_secs(60),
            call_limit: Duration::from_secs(20),
            patience: Duration::from_secs(120),
            polling: Backoff::new(Duration::from_millis(20), Duration::from_secs(2)),
            send: SendConfig::default(),
        }
    }
}

impl SchedulerConfig {
    /// The same, letting in only what a policy does.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}

impl Scheduler {
    /// A scheduler over these backends.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        schedules: Arc<dyn ScheduleBackend>,
        queue: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let config = SchedulerConfig::default();
        let sender = Sender::new(queue, clock.clone(), config.send);
        Self { store, schedules, clock, chance: Arc::new(Chance::from_system()), sender, config }
    }

    /// The same, working as configured.
    #[must_use]
    pub fn with_config(mut self, mut config: SchedulerConfig) -> Self {
        config.lease = config.lease.max(config.call_limit.saturating_mul(2));
        self.sender = self.sender.with_config(config.send);
        self.config = config;
        self
    }

    /// The same, drawing its owners from `chance`.
    #[must_use]
    pub fn with_chance(mut self, chance: Arc<Chance>) -> Self {
        self.chance = chance;
        self
    }
}
