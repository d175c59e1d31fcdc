//! The worker: dispatcher and executor as one service without end, for containers.
//!
//! It reads what triggers send to a queue, and the execution queue; it keeps what is at work invisible, and stops in an orderly way.
//!
//! | variable | meaning | if not set |
//! | --- | --- | --- |
//! | `KAIROS_DISPATCH_QUEUE_URL` | the queue that triggers send their input to | the worker executes only |
//! | `KAIROS_DISPATCH_DEAD_LETTER_QUEUE_URL` | where input goes that cannot be read | it stays, until the queue's redrive policy takes it away |
//! | `KAIROS_DISPATCH_RELAY` | as of the function [`dispatcher`](super::dispatch::Relay), by messages to that queue | `off` |
//! | `KAIROS_CONCURRENCY` | how many executions run at once | 64 |
//! | `KAIROS_HEALTH_PORT` | where [health] is told | 8080 |

pub mod health;
mod triggers;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, join3};
use kairos::backend::{Queue, Receiver};
use kairos::clock::{Clock, ClockExt as _};
use kairos::executor::{Handled, Worker, WorkerConfig, WorkerReport};
use kairos::shutdown::Shutdown;
use kairos::{Dispatcher, Executor, Result};

use super::{Installation, SetupError, dispatch::Relay, execute, setup::variable};
use crate::telemetry::Metrics;
use health::Pulse;
use parking_lot::Mutex;

pub use triggers::Triggers;
pub use watched::Watched;

/// How often metrics are written.
const REPORTING: Duration = Duration::from_secs(60);

/// A worker that is wired up.
#[derive(Clone, Debug)]
pub struct Service {
    executor: Arc<Executor>,
    worker: WorkerConfig,
    triggers: Option<Triggers>,
    clock: Arc<dyn Clock>,
    metrics: Metered,
}

/// What has been counted since it was written last.
#[derive(Clone, Debug)]
pub struct Metered {
    empty: Metrics,
    current: Arc<Mutex<Metrics>>,
}

impl Metered {
    /// Nothing yet.
    #[must_use]
    pub fn new(empty: Metrics) -> Self {
        Self { current: Arc::new(Mutex::new(empty.clone())), empty }
    }

    /// Counts.
    pub fn add(&self, count: impl FnOnce(&mut Metrics)) {
        count(&mut self.current.lock());
    }

    /// What has been counted, which is no longer counted here.
    #[must_use]
    pub fn take(&self) -> Metrics {
        let mut current = self.current.lock();
        std::mem::replace(&mut current, self.empty.clone())
    }
}

impl Service {
    /// Over anything.
    #[must_use]
    pub fn new(executor: Arc<Executor>, worker: WorkerConfig, clock: Arc<dyn Clock>, metrics: Metrics) -> Self {
        Self { executor, worker, triggers: None, clock, metrics: Metered::new(metrics) }
    }

    /// The same, dispatching what arrives at a queue of triggers.
    #[must_use]
    pub fn with_triggers(
        mut self,
        dispatcher: Dispatcher,
        relay: Relay,
        receiver: Arc<dyn Receiver>,
        sender: Arc<dyn Queue>,
    ) -> Self {
        let metrics = self.metrics.clone();
        let triggers = Triggers::new(dispatcher, receiver, sender, self.clock.clone(), metrics);
        self.triggers = Some(triggers.with_relay(relay));
        self
    }

    /// Over the tables, queues and targets of an installation, and where to ask how it is doing.
    ///
    /// # Errors
    /// If a name that it needs is not configured, or a setting is none.
    pub fn of(installation: &Installation) -> Result<(Self, health::Health), SetupError> {
        let Installation { config, sdk, clock, .. } = installation;
        let mut pulses = Vec::new();
        let mut watch = |name: &'static str, queue: Arc<dyn Receiver>| {
            let pulse = Arc::new(Pulse::new(name, clock.clone()));
            pulses.push(pulse.clone());
            Arc::new(Watched::new(queue, pulse))
        };
        let executions = watch("executions", Arc::new(config.queue(sdk)?));
        let executor = Arc::new(config.executor_receiving(sdk, executions)?);
        let concurrency = variable("KAIROS_CONCURRENCY").map_or(Ok(64), |text| text.parse());
        let concurrency = concurrency.map_err(|error| format!("KAIROS_CONCURRENCY: {error}"))?;
        let worker = WorkerConfig::default().with_concurrency(concurrency);
        let mut service = Self::new(executor, worker, clock.clone(), installation.metrics());
        if let Some(url) = variable("KAIROS_DISPATCH_QUEUE_URL") {
            let client = aws_sdk_sqs::Client::new(sdk);
            let mut queue = kairos_aws::SqsQueue::new(&client, url).with_visibility_timeout(triggers::VISIBILITY);
            if let Some(url) = variable("KAIROS_DISPATCH_DEAD_LETTER_QUEUE_URL") {
                queue = queue.with_dead_letters(url);
            }
            let queue = Arc::new(queue);
            let watched = watch("triggers", queue.clone());
            service = service.with_triggers(config.dispatcher(sdk)?, Relay::from_environment()?, watched, queue);
        }
        let tables = Arc::new(config.history(sdk)?);
        Ok((service, health::Health::new(pulses, tables, clock.clone())))
    }

    /// Works until the end is asked for, then lets what is under way end within the grace.
    pub async fn run(&self, shutdown: Shutdown) -> WorkerReport {
        let worker = Worker::new(self.executor.clone(), self.worker);
        let work = worker.run_with(shutdown.clone(), |handled| self.handled(handled));
        let dispatch = join_all(self.triggers.iter().map(|triggers| triggers.run(shutdown.clone(), self.worker.grace)));
        let report = self.report(shutdown);
        let (done, ..) = join3(work, dispatch, report).await;
        self.emit();
        done
    }

    fn handled(&self, handled: &Handled) {
        execute::log(handled);
        self.metrics.add(|metrics| execute::count(metrics, [handled]));
    }

    async fn report(&self, mut shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                () = self.clock.sleep(REPORTING) => self.emit(),
            }
        }
    }

    /// Nothing to tell is not told.
    fn emit(&self) {
        let metrics = self.metrics.take();
        if !metrics.is_idle() {
            metrics.emit(self.clock.now());
        }
    }
}
