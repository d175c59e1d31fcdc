//! The worker: receives and executes without end, until it is asked to stop.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Fuse, FusedFuture as _};
use tokio::task::coop::consume_budget;

use super::attempt::text_of;
use super::batch::Received;
use super::under_way::UnderWay;
use super::{Executor, Handled};
use crate::backend::Delivery;
use crate::clock::ClockExt as _;
use crate::retry::Backoff;
use crate::shutdown::Shutdown;

/// Receives deliveries and executes them, so many at once.
#[derive(Clone, Debug)]
pub struct Worker {
    executor: Arc<Executor>,
    config: WorkerConfig,
}

/// How a [`Worker`] works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerConfig {
    /// How many executions run at once, at most; 0 is taken for 1.
    pub concurrency: usize,
    /// How many messages are received at once, at most, as long as there is room for as many executions; 0 is taken for 1.
    pub batch: usize,
    /// How long to wait for room for a whole batch, or for half of the executions if they are fewer, before fewer messages are asked for. Each
    /// receipt costs; where executions end one by one, each would be followed by a receipt of one message.
    pub gathering: Duration,
    /// How long to wait for messages before asking again.
    pub wait: Duration,
    /// How long executions under way may go on once the end has been asked for.
    pub grace: Duration,
    /// How long to stay away from a queue that cannot be reached.
    pub backoff: Backoff,
}

impl Default for WorkerConfig {
    /// 64 at once, received by tens, for which there is room within 100 ms; 20 s of waiting; 25 s of grace.
    fn default() -> Self {
        Self {
            concurrency: 64,
            batch: 10,
            gathering: Duration::from_millis(100),
            wait: Duration::from_secs(20),
            grace: Duration::from_secs(25),
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(30)),
        }
    }
}

impl WorkerConfig {
    /// The same with so many executions at once.
    #[must_use]
    pub fn with_concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.max(1);
        self
    }

    /// The same, receiving so many messages at once.
    #[must_use]
    pub fn with_batch(mut self, batch: usize) -> Self {
        self.batch = batch.max(1);
        self
    }

    /// The same with another time to wait for room; zero is none.
    #[must_use]
    pub fn with_gathering(mut self, gathering: Duration) -> Self {
        self.gathering = gathering;
        self
    }

    /// The same with another time to wait for messages.
    #[must_use]
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The same with another grace.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}

/// What a worker did, and what was under way when it stopped.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// How many deliveries were handled.
    pub handled: u64,
    /// How many executions were under way when the end was asked for.
    pub in_flight: usize,
    /// The deliveries that did not end within the grace. They are visible on the queue again.
    pub unfinished: Vec<Delivery>,
}

impl Worker {
    /// A worker of an executor.
    #[must_use]
    pub fn new(executor: Arc<Executor>, config: WorkerConfig) -> Self {
        Self { executor, config }
    }

    /// Works until the end is asked for, then lets what is under way end within the grace.
    pub async fn run(&self, shutdown: Shutdown) -> WorkerReport {
        self.run_with(shutdown, |_| {}).await
    }

    /// The same, telling of each delivery as it is done with. An observer that panics is logged, and told of the next one.
    pub async fn run_with(&self, mut shutdown: Shutdown, mut on_handled: impl FnMut(&Handled) + Send) -> WorkerReport {
        let mut report = WorkerReport::default();
        let mut tell = |handled: &Handled| {
            report.handled += 1;
            // Its faults must not harm the executions under way.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| on_handled(handled))) {
                tracing::error!(message = %handled.message_id, panic = text_of(&*panic), "the observer panicked");
            }
        };
        let executor = &*self.executor;
        let mut under_way = UnderWay::new(|delivery: Received, turn| executor.take(delivery, turn));
        let concurrency = self.config.concurrency.max(1);
        let seed = executor.chance.uuid().as_u128();
        let mut failures = 0;
        let mut receiving: Fuse<BoxFuture<'_, _>> = Fuse::terminated();
        let enough = self.config.batch.clamp(1, concurrency.div_ceil(2));
        let mut gathering: Fuse<BoxFuture<'static, ()>> = Fuse::terminated();
        let mut is_gathered = false;
        let end = shutdown.clone();
        let mut end_requested = pin!(shutdown.requested());
        loop {
            // A receive under way is kept: dropping it could drop what it has received.
            let room = concurrency.saturating_sub(under_way.len());
            if receiving.is_terminated() && room > 0 {
                if room >= enough || is_gathered || self.config.gathering.is_zero() {
                    let max = self.config.batch.clamp(1, room);
                    receiving = self.receive(max, failures, seed).boxed().fuse();
                    (gathering, is_gathered) = (Fuse::terminated(), false);
                } else if gathering.is_terminated() {
                    gathering = executor.clock.sleep(self.config.gathering).fuse();
                }
            }
            tokio::select! {
                biased;
                () = &mut end_requested => break,
                true = under_way.step(&mut tell), if under_way.len() > 0 => {
                    // Those that have ended too, without asking for all else in between.
                    while !end.is_requested() && under_way.step(&mut tell).now_or_never() == Some(true) {}
                }
                () = &mut gathering => is_gathered = true,
                (received, failed) = &mut receiving => {
                    failures = failed;
                    // It may be what another worker has just given back, as the end has been asked for.
                    if end.is_requested() {
                        self.give_back(&received).await;
                        break;
                    }
                    for delivery in Received::first_of_each(received) {
                        under_way.begin(delivery, &mut tell).await;
                    }
                    // Others of this thread have their turn, also where there is always something to receive and it ends at once.
                    consume_budget().await;
                }
            }
        }
        drop(receiving);
        under_way.begin_no_more();
        let left = under_way.len();
        let grace = self.config.grace;
        let is_drained =
            executor.clock.within(grace, async { while under_way.step(&mut tell).await {} }).await.is_some();
        report.in_flight = left;
        if !is_drained {
            report.unfinished = under_way.into_unfinished();
            self.give_back(&report.unfinished).await;
        }
        report
    }

    /// What could be received, and how often in a row receiving has failed.
    async fn receive(&self, max: usize, failures: u32, seed: u128) -> (Vec<Delivery>, u32) {
        if failures > 0 {
            let delay = self.config.backoff.delay(failures, seed);
            self.executor.clock.sleep(delay).await;
        }
        match self.executor.receiver.receive(max, self.config.wait).await {
            Ok(received) => (received, 0),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the queue cannot be reached");
                (Vec::new(), failures.saturating_add(1))
            }
        }
    }

    async fn give_back(&self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            self.executor.give_back(delivery).await;
        }
    }
}
