//! Drives futures over the backends in memory, without a runtime.

use std::task::{Context, Poll, Waker};

use futures_util::FutureExt as _;
use kairos::clock::ManualClock;

/// More turns than this are no progress.
const MOST_TURNS: usize = 1_000_000;

/// What a future gives that waits for nothing.
#[track_caller]
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing in memory waits")
}

/// What a future gives that waits on a clock alone: the clock is moved whenever nothing else can happen.
#[track_caller]
pub(crate) fn drive<T>(clock: &ManualClock, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..MOST_TURNS {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        clock.advance_to(clock.next_timer().expect("what waits, waits on the clock"));
    }
    panic!("no end after {MOST_TURNS} turns");
}
