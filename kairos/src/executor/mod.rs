//! The executor: takes executions off the queue, claims each, calls its target, records what became of it.
//!
//! # The life of an execution
//!
//! ```text
//!                    claimed               the target took it
//!   (on the queue) ───────────► EnCurso ───────────────────────► Exitosa
//!        ▲                      │  │ │ too late
//!        │ may pass, within     │  │ └─────────────────────────► Omitida
//!        │ limits: Fallida      │  │ will not pass, or limits
//!        └──────────────────────┘  └───────────────────────────► Muerta ──► dead letters
//!        ▲                                                                       │
//!        └────────────────────────── redrive: attempts from 1 ◄──────────────────┘
//! ```
//!
//! A delivery that meets a live claim goes back until that has ended; one that meets a finished execution is acknowledged. One
//! whose claim history refuses for good goes to the dead letters untried, with that reason, and history is left as it was.

mod attempt;
mod batch;
mod plan;
mod report;
mod under_way;
mod worker;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};

use crate::backend::{DeadLetterReason, Delivery, History, Invoker, Receiver};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::model::{Failure, Policy};
use crate::retry::Backoff;
use batch::{Received, Turn};
use report::Counters;

pub use report::{BatchReport, ExecutorCounts, Handled, Verdict};
pub use worker::{Worker, WorkerConfig, WorkerReport};

/// Executes deliveries.
///
/// With a [`History`] every occurrence runs once, as far as its target lets that be known. Without one it runs at least once.
///
/// ```
/// # use std::sync::Arc;
/// use kairos::clock::{Clock, SystemClock};
/// use kairos::executor::Executor;
/// use kairos::Tasks;
/// use kairos_memory::{MemoryHistory, MemoryQueue};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> kairos::Result<()> {
/// let clock: Arc<dyn Clock> = Arc::new(SystemClock);
/// let queue = Arc::new(MemoryQueue::new(clock.clone()));
/// let tasks = Tasks::new().with("informe", |_| async { Ok(()) });
/// let executor = Executor::new(queue, Arc::new(tasks), clock).with_history(Arc::new(MemoryHistory::new()));
///
/// let report = executor.execute(Vec::new()).await;
/// assert!(report.to_return().next().is_none(), "nothing goes back to the queue");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Executor {
    receiver: Arc<dyn Receiver>,
    invoker: Arc<dyn Invoker>,
    history: Option<Arc<dyn History>>,
    clock: Arc<dyn Clock>,
    chance: Arc<Chance>,
    config: ExecutorConfig,
    counters: Counters,
}

/// How an [`Executor`] works.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecutorConfig {
    /// What is let in; checked again here, as a message may have been made by hand.
    pub policy: Policy,
    /// How many executions of a batch run at once.
    pub concurrency: usize,
    /// How often an execution is tried, where its process does not say.
    pub max_attempts: u32,
    /// How long after its scheduled time an execution may still be tried, where its process does not say.
    pub max_age: Option<Duration>,
    /// How long an execution stays away after a failure that may pass.
    pub backoff: Backoff,
    /// How long a claim lasts. It is renewed while the target is at work, so that this is how long a crash goes unnoticed.
    pub lease: Duration,
    /// How long a call of a target may take.
    pub call_limit: Duration,
    /// How often history is asked, if that fails in passing. All of it takes half of the lease and of the queue's visibility
    /// timeout at most, so that what was claimed is still claimed, and still invisible to others, when the answer comes.
    pub history_attempts: u32,
    /// How long to wait before it is asked again.
    pub history_backoff: Backoff,
}

impl Default for ExecutorConfig {
    /// 32 at once; five tries, 5 s to 15 min apart; no limit on age; claims of 60 s; calls of up to 15 min.
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            concurrency: 32,
            max_attempts: 5,
            max_age: None,
            backoff: Backoff::new(Duration::from_secs(5), Duration::from_secs(15 * 60)),
            lease: Duration::from_secs(60),
            call_limit: Duration::from_secs(15 * 60),
            history_attempts: 8,
            history_backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(2)),
        }
    }
}

impl ExecutorConfig {
    /// The same, letting in only what a policy does.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The same with another default limit on tries.
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// The same with another backoff.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// The same with another limit on one call.
    #[must_use]
    pub fn with_call_limit(mut self, limit: Duration) -> Self {
        self.call_limit = limit;
        self
    }
}

impl Executor {
    /// An executor without history: everything runs at least once.
    #[must_use]
    pub fn new(receiver: Arc<dyn Receiver>, invoker: Arc<dyn Invoker>, clock: Arc<dyn Clock>) -> Self {
        Self {
            receiver,
            invoker,
            history: None,
            clock,
            chance: Arc::new(Chance::from_system()),
            config: ExecutorConfig::default(),
            counters: Counters::default(),
        }
    }

    /// The same, claiming and recording every execution.
    #[must_use]
    pub fn with_history(mut self, history: Arc<dyn History>) -> Self {
        self.history = Some(history);
        self
    }

    /// The same, working as configured.
    #[must_use]
    pub fn with_config(mut self, config: ExecutorConfig) -> Self {
        self.config = config;
        self
    }

    /// The same, drawing the owners of its claims from `chance`.
    #[must_use]
    pub fn with_chance(mut self, chance: Arc<Chance>) -> Self {
        self.chance = chance;
        self
    }

    /// How many deliveries ended in which way so far, and the longest lateness.
    #[must_use]
    pub fn counts(&self) -> ExecutorCounts {
        self.counters.snapshot()
    }

    /// Executes a batch: each delivery by itself, several at once, none harming another. Those of one [group](Delivery::group) run one after the
    /// other.
    pub async fn execute(&self, batch: Vec<Delivery>) -> BatchReport {
        let handled = stream::iter(Received::first_of_each(batch))
            .map(|first| self.handle_in_order(first))
            .buffer_unordered(self.config.concurrency.max(1))
            .concat()
            .await;
        BatchReport { handled }
    }

    async fn handle_in_order(&self, first: Received) -> Vec<Handled> {
        let mut handled = Vec::new();
        let mut turn = Turn::Execute;
        for delivery in first.and_followers() {
            let one = self.take(delivery, turn).await;
            turn = Turn::after(&one);
            handled.push(one);
        }
        handled
    }

    /// Executes one delivery and settles it with the queue.
    pub async fn handle(&self, delivery: &Delivery) -> Handled {
        self.take(delivery, Turn::Execute).await
    }

    /// Executes a delivery, or gives it back untried, as one of its group that is to run before it comes back too.
    async fn take(&self, delivery: impl Deref<Target = Delivery>, turn: Turn) -> Handled {
        let delivery = &*delivery;
        let started_at = self.clock.now();
        let (work, result) = match (turn, delivery.body.work(delivery.message_id.as_str(), delivery.sent_at)) {
            (Turn::Execute, Ok(work)) => {
                let result = self.claim_and_run(delivery, &work, started_at).await;
                (Some(work), result)
            }
            (Turn::Execute, Err(error)) => {
                let reason = DeadLetterReason::new(Failure::from(&error));
                (None, self.dead_letter(delivery, &reason).boxed().await)
            }
            (Turn::HoldBack, work) => {
                self.give_back(delivery).boxed().await;
                (work.ok(), Ok(Verdict::Waiting { until: started_at }))
            }
        };
        let verdict = result.unwrap_or_else(|error| {
            tracing::warn!(message = %delivery.message_id, error = format!("{error:#}"), "a delivery could not be settled; it comes back");
            Verdict::Undecided(Failure::from(&error))
        });
        let Delivery { message_id, redriven, .. } = delivery;
        let handled = Handled { message_id: message_id.clone(), work, redriven: *redriven, started_at, verdict };
        self.counters.count(&handled);
        handled
    }

    /// Makes a delivery visible to others at once.
    async fn give_back(&self, delivery: &Delivery) {
        if let Err(error) = self.receiver.change_visibility(&delivery.receipt, Duration::ZERO).await {
            tracing::warn!(error = format!("{error:#}"), "a delivery could not be given back; it comes back by itself");
        }
    }
}
