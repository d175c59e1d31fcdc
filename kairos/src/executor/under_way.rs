//! The executions under way in a worker, and the deliveries that wait for them.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::Handled;
use super::batch::{Received, Turn};
use crate::backend::Delivery;

/// Executions under way, each begun by `B`. What ends as soon as it is begun, as all does where everything is in memory, takes no place
/// among them.
#[derive(Debug)]
pub(super) struct UnderWay<F, B> {
    begin: B,
    running: FuturesUnordered<Running<F>>,
    /// Where the next one is begun: room that one left which ended at once.
    room: Option<Pin<Box<Option<F>>>>,
    is_ending: bool,
}

/// An execution, and its delivery, to be given back if it does not end in time.
#[derive(Debug)]
struct Running<F> {
    delivery: Received,
    execution: Pin<Box<Option<F>>>,
}

impl<F: Future> Future for Running<F> {
    type Output = (Received, F::Output);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        poll_begun(self.execution.as_mut(), context).map(|ended| (self.delivery.clone(), ended))
    }
}

fn poll_begun<F: Future>(execution: Pin<&mut Option<F>>, context: &mut Context<'_>) -> Poll<F::Output> {
    execution.as_pin_mut().map_or(Poll::Pending, |begun| begun.poll(context))
}

impl<F, B> UnderWay<F, B>
where
    F: Future<Output = Handled>,
    B: Fn(Received, Turn) -> F,
{
    pub(super) fn new(begin: B) -> Self {
        Self { begin, running: FuturesUnordered::new(), room: None, is_ending: false }
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// Begins an execution, and what follows it if it ends at once.
    pub(super) async fn begin(&mut self, delivery: Received, tell: &mut impl FnMut(&Handled)) {
        self.go_on(Some((delivery, Turn::Execute)), tell).await;
    }

    /// Until one has ended and what follows it is begun; false if none is under way. It may be dropped at any time, and goes on when it is
    /// called again.
    pub(super) async fn step(&mut self, tell: &mut impl FnMut(&Handled)) -> bool {
        let Some((delivery, handled)) = self.running.next().await else { return false };
        tell(&handled);
        self.go_on(self.follower(&delivery, &handled), tell).await;
        true
    }

    /// From here on what has not begun goes back.
    pub(super) fn begin_no_more(&mut self) {
        self.is_ending = true;
    }

    /// The deliveries that are not done with.
    pub(super) fn into_unfinished(self) -> Vec<Delivery> {
        let deliveries = self.running.into_iter().flat_map(|running| running.delivery.and_followers());
        deliveries.map(|delivery| Delivery::clone(&delivery)).collect()
    }

    /// Never waits: an execution that does not end at once takes its place.
    async fn go_on(&mut self, mut next: Option<(Received, Turn)>, tell: &mut impl FnMut(&Handled)) {
        while let Some((delivery, turn)) = next.take() {
            let mut execution = self.room.take().unwrap_or_else(|| Box::pin(None));
            execution.set(Some((self.begin)(delivery.clone(), turn)));
            match poll_fn(|context| Poll::Ready(poll_begun(execution.as_mut(), context))).await {
                Poll::Ready(handled) => {
                    self.room = Some(execution);
                    tell(&handled);
                    next = self.follower(&delivery, &handled);
                }
                Poll::Pending => self.running.push(Running { delivery, execution }),
            }
        }
    }

    fn follower(&self, delivery: &Received, handled: &Handled) -> Option<(Received, Turn)> {
        Some((delivery.follower()?, if self.is_ending { Turn::HoldBack } else { Turn::after(handled) }))
    }
}
