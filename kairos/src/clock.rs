//! Time, read in this one place: the system's clock, or one that a test or a simulation moves by hand.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, MutexGuard};

/// Where actual time comes from, and how to wait for it.
///
/// Nominal time, when something *should* happen, never comes from here: it comes with the occurrence.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Completes once [`Clock::now`] is at or after `instant`; at once if it already is. If the clock is set back meanwhile, it completes
    /// after as long as was left when it began: who waits for an instant looks again.
    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()>;
}

/// What every clock can do besides.
pub trait ClockExt: Clock {
    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(later(self.now(), duration))
    }

    /// The future's output, or `None` if it takes longer than `limit`, counted from when it first has to wait; it is dropped then.
    fn within<F>(&self, limit: Duration, future: F) -> impl Future<Output = Option<F::Output>> + Send
    where
        F: Future + Send,
        F::Output: Send,
    {
        async move {
            let mut future = std::pin::pin!(future);
            // Most of what is limited is there at once, and needs neither a timer nor the time.
            let mut timer = None;
            poll_fn(|context| match future.as_mut().poll(context) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending => {
                    let timer = timer.get_or_insert_with(|| self.sleep(limit));
                    timer.as_mut().poll(context).map(|()| None)
                }
            })
            .await
        }
    }
}

impl<C: Clock + ?Sized> ClockExt for C {}

/// `instant` plus `duration`, at most the last representable instant.
#[must_use]
pub fn later(instant: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| instant.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}

/// `instant` minus `duration`, at least the first representable instant.
#[must_use]
pub fn earlier(instant: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| instant.checked_sub(duration).ok())
        .unwrap_or(Timestamp::MIN)
}

/// The time from one instant to a later one; zero if it is not later.
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

/// The second in which an instant lies.
#[must_use]
pub fn whole_second(instant: Timestamp) -> Timestamp {
    let fraction = SignedDuration::from_nanos(instant.subsec_nanosecond().into());
    instant.checked_sub(fraction).unwrap_or(instant)
}

/// The system's clock, with tokio's timers.
///
/// Waiting needs a tokio runtime with time enabled.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that waits")]
    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        // Timers stand still while the machine sleeps, and know nothing of a clock that is set: the clock is asked this often.
        const OFTEN: Duration = Duration::from_secs(30);
        Box::pin(async move {
            let mut at_most = between(Timestamp::now(), instant);
            loop {
                let left = between(Timestamp::now(), instant).min(at_most);
                if left.is_zero() {
                    return;
                }
                let turn = left.min(OFTEN);
                tokio::time::sleep(turn).await;
                at_most = at_most.saturating_sub(turn);
            }
        })
    }
}

/// A clock that stands still until it is moved.
///
/// Clones share the time. Moving it wakes what waits, earliest first, and never backwards.
///
/// ```
/// use std::time::Duration;
/// use kairos::clock::{Clock, ManualClock};
///
/// let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().to_string(), "2026-01-01T00:01:30Z");
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<Hands>>);

struct Hands {
    now: Timestamp,
    /// Breaks ties between timers of the same instant: first come, first woken.
    next_ticket: u64,
    timers: BTreeMap<(Timestamp, u64), Waker>,
}

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Hands { now, next_ticket: 0, timers: BTreeMap::new() })))
    }

    /// Moves the clock forward by `duration` and wakes what was waiting for a time up to then.
    pub fn advance(&self, duration: Duration) {
        let target = later(self.now(), duration);
        self.advance_to(target);
    }

    /// Moves the clock forward to `instant` and wakes what was waiting for a time up to then. An earlier instant changes nothing.
    pub fn advance_to(&self, instant: Timestamp) {
        let due = {
            let mut hands = self.hands();
            hands.now = hands.now.max(instant);
            let after = (hands.now, u64::MAX);
            let later = hands.timers.split_off(&after);
            std::mem::replace(&mut hands.timers, later)
        };
        // Woken outside the lock: a waker may run code that asks for the time.
        for waker in due.into_values() {
            waker.wake();
        }
    }

    /// The earliest instant that anything waits for.
    #[must_use]
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.hands().timers.first_key_value().map(|((at, _), _)| *at)
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        // Every change under the lock is complete before anything can panic.
        self.0.lock()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hands = self.hands();
        f.debug_struct("ManualClock").field("now", &hands.now).field("timers", &hands.timers.len()).finish()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.hands().now
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(ManualSleep { clock: self.clone(), instant, ticket: None })
    }
}

struct ManualSleep {
    clock: ManualClock,
    instant: Timestamp,
    ticket: Option<u64>,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut hands = this.clock.hands();
        if hands.now >= this.instant {
            if let Some(ticket) = this.ticket.take() {
                hands.timers.remove(&(this.instant, ticket));
            }
            return Poll::Ready(());
        }
        let ticket = *this.ticket.get_or_insert_with(|| {
            hands.next_ticket += 1;
            hands.next_ticket
        });
        hands.timers.insert((this.instant, ticket), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.clock.hands().timers.remove(&(self.instant, ticket));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn clock() -> ManualClock {
        ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_sleep_ends_when_the_clock_reaches_it_and_not_before() {
        let clock = clock();
        let mut sleep = clock.sleep(Duration::from_secs(60));
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance(Duration::from_secs(59));
        assert!((&mut sleep).now_or_never().is_none());
        clock.advance(Duration::from_secs(1));
        assert!((&mut sleep).now_or_never().is_some());
        assert_eq!(clock.next_timer(), None);
    }

    #[test]
    fn a_dropped_sleep_leaves_no_timer() {
        let clock = clock();
        let mut sleep = clock.sleep(Duration::from_secs(60));
        assert!((&mut sleep).now_or_never().is_none());
        assert!(clock.next_timer().is_some());
        drop(sleep);
        assert_eq!(clock.next_timer(), None);
    }

    #[test]
    fn time_never_runs_backwards() {
        let clock = clock();
        let before = clock.now();
        clock.advance_to(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), before);
    }

    #[test]
    fn a_limit_gives_up_on_what_takes_longer() {
        let clock = clock();
        let slow = clock.sleep(Duration::from_secs(10));
        let mut limited = Box::pin(clock.within(Duration::from_secs(5), slow));
        assert!((&mut limited).now_or_never().is_none());
        clock.advance(Duration::from_secs(5));
        assert_eq!(limited.now_or_never(), Some(None));
        assert_eq!(clock.within(Duration::ZERO, async { 7 }).now_or_never(), Some(Some(7)));
    }

    #[test]
    fn arithmetic_stops_at_the_ends_of_time() {
        let now = clock().now();
        assert_eq!(later(now, Duration::MAX), Timestamp::MAX);
        assert_eq!(earlier(now, Duration::MAX), Timestamp::MIN);
        assert_eq!(between(Timestamp::MAX, now), Duration::ZERO);
    }
}
