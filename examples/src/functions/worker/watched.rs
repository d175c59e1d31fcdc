//! A queue that tells whether somebody still works on it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kairos::Result;
use kairos::backend::{DeadLetterReason, Delivery, Receipt, Receiver};

use super::health::Pulse;

/// A queue whose every call is a sign of life: also of a worker that has no room for more, but keeps what it is at work on invisible.
#[derive(Clone, Debug)]
pub struct Watched {
    queue: Arc<dyn Receiver>,
    pulse: Arc<Pulse>,
}

impl Watched {
    /// Over the queue itself.
    #[must_use]
    pub fn new(queue: Arc<dyn Receiver>, pulse: Arc<Pulse>) -> Self {
        Self { queue, pulse }
    }
}

#[async_trait]
impl Receiver for Watched {
    /// The first time without waiting for messages, so that it is known at once whether the queue can be reached.
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        self.pulse.beat();
        let wait = if self.pulse.is_known() { wait } else { Duration::ZERO };
        let received = self.queue.receive(max, wait).await;
        self.pulse.reached(received.is_ok());
        received
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        self.pulse.beat();
        self.queue.acknowledge(receipts).await
    }

    async fn change_visibility(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        self.pulse.beat();
        self.queue.change_visibility(receipt, delay).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &DeadLetterReason) -> Result<()> {
        self.pulse.beat();
        self.queue.dead_letter(delivery, reason).await
    }

    async fn redrive(&self, max: usize) -> Result<usize> {
        self.queue.redrive(max).await
    }

    fn visibility_timeout(&self) -> Duration {
        self.queue.visibility_timeout()
    }
}
