//! Triggers that send their input to a queue.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use kairos::backend::{DeadLetterReason, Delivery, Message, Queue, Receiver};
use kairos::clock::{Clock, ClockExt as _, between, later};
use kairos::dispatcher::Dispatched;
use kairos::retry::Backoff;
use kairos::shutdown::Shutdown;
use kairos::{Body, Dispatcher, Error, ErrorKind, Failure, Result, TriggerInput};

use super::Metered;
use crate::functions::dispatch::{Relay, count, dispatch, goes_on, late};

/// How many occurrences are dispatched at once.
const LANES: usize = 4;
/// How long one input is worked on before the rest of its occurrence becomes a message of its own.
const SLICE: Duration = Duration::from_secs(30);
/// How long a message of triggers stays invisible: much longer than a slice.
pub(super) const VISIBILITY: Duration = Duration::from_secs(180);
/// How long to wait for input before asking again.
const WAIT: Duration = Duration::from_secs(20);
/// How long input stays away that could not be dispatched, and how long a queue is left alone that cannot be reached.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// Dispatches what arrives at a queue of triggers.
#[derive(Clone, Debug)]
pub struct Triggers {
    dispatcher: Dispatcher,
    receiver: Arc<dyn Receiver>,
    sender: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    metrics: Metered,
    relay: Relay,
}

impl Triggers {
    /// `receiver` and `sender` are the two sides of one queue: what takes too long goes on as another message.
    #[must_use]
    pub fn new(
        dispatcher: Dispatcher,
        receiver: Arc<dyn Receiver>,
        sender: Arc<dyn Queue>,
        clock: Arc<dyn Clock>,
        metrics: Metered,
    ) -> Self {
        Self { dispatcher, receiver, sender, clock, metrics, relay: Relay::default() }
    }

    /// The same, handing the rest of an occurrence on at another time.
    #[must_use]
    pub fn with_relay(mut self, relay: Relay) -> Self {
        self.relay = relay;
        self
    }

    /// Dispatches until the end is asked for; what is under way may go on for `grace`, and comes back if that is not enough.
    pub async fn run(&self, shutdown: Shutdown, grace: Duration) {
        let lanes = join_all((0..LANES).map(|lane| self.lane(lane, shutdown.clone())));
        let mut end = shutdown;
        let limit = async {
            end.requested().await;
            self.clock.sleep(grace).await;
        };
        tokio::select! {
            _ = lanes => {}
            () = limit => tracing::warn!("not everything was dispatched in time; it comes back"),
        }
    }

    async fn lane(&self, lane: usize, mut shutdown: Shutdown) {
        let mut failures = 0;
        while !shutdown.is_requested() {
            let received = tokio::select! {
                biased;
                () = shutdown.requested() => return,
                received = self.receiver.receive(1, WAIT) => received,
            };
            match received {
                Ok(deliveries) => {
                    failures = 0;
                    for delivery in deliveries {
                        self.take(&delivery).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "the queue of triggers cannot be reached");
                    failures += 1;
                    tokio::select! {
                        () = shutdown.requested() => return,
                        () = self.clock.sleep(BACKOFF.delay(failures, lane as u128)) => {}
                    }
                }
            }
        }
    }

    /// Dispatches one input and settles it with its queue.
    pub async fn take(&self, delivery: &Delivery) {
        let began = self.clock.now();
        let result = self.dispatch(delivery, began).await;
        self.metrics.add(|metrics| {
            count(metrics, &result);
            metrics.duration("BatchDuration", between(began, self.clock.now()));
        });
        let message = delivery.message_id.as_str();
        let settled = match result {
            Ok(dispatched) => {
                let Dispatched { queued, pages, .. } = dispatched;
                tracing::info!(message, queued, pages, goes_on = goes_on(&dispatched), "dispatched");
                let answers = self.receiver.acknowledge(std::slice::from_ref(&delivery.receipt)).await;
                answers.and_then(|answers| answers.into_iter().collect())
            }
            Err(error) => {
                tracing::error!(message, error = format!("{error:#}"), "not dispatched");
                self.return_or_bury(delivery, &error).await
            }
        };
        if let Err(error) = settled {
            tracing::warn!(message, error = format!("{error:#}"), "input could not be settled; it comes back");
        }
    }

    async fn dispatch(&self, delivery: &Delivery, began: Timestamp) -> Result<Dispatched> {
        let input = TriggerInput::from_json(&delivery.body.to_json())?;
        self.metrics.add(|metrics| late(metrics, &input, began));
        // Input without an occurrence is of the time at which it was sent: the same at each delivery.
        let (got_at, deadline) = (delivery.sent_at, later(began, SLICE));
        dispatch(&self.dispatcher, input, got_at, deadline, self.relay, |rest| self.send(rest)).await
    }

    async fn send(&self, rest: TriggerInput) -> Result<()> {
        let text = serde_json::to_string(&rest).map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
        self.sender.send(&[Message::new(Body::from_json(text))]).await?.into_iter().collect()
    }

    async fn return_or_bury(&self, delivery: &Delivery, error: &Error) -> Result<()> {
        if error.kind() == ErrorKind::Malformed {
            let buried = self.receiver.dead_letter(delivery, &DeadLetterReason::new(Failure::from(error))).await;
            if !buried.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unsupported) {
                return buried;
            }
        }
        let seed = u128::from(delivery.sent_at.as_millisecond().unsigned_abs());
        self.receiver.change_visibility(&delivery.receipt, BACKOFF.delay(delivery.receive_count, seed)).await
    }
}
