//! Years in milliseconds: an embedded Kairos on a manual clock, driven from one occurrence to the next.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use jiff::Timestamp;
use kairos::clock::{Clock as _, ManualClock, later};
use kairos::shutdown::{Shutdown, ShutdownTrigger, shutdown};

use crate::Embedded;

type Pump = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An [`Embedded`] whose time stands still until it is [advanced](Simulation::advance).
///
/// The same code runs as on the real clock; only the waiting is left out. It is deterministic: the same calls give the same run.
/// Tasks must wait on nothing but this clock.
///
/// ```
/// use std::time::Duration;
/// use kairos::Registration;
/// use kairos::backend::{ExecutionFilter, History};
/// use kairos::clock::ManualClock;
/// use kairos::page::PageRequest;
/// use kairos_memory::Embedded;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> kairos::Result<()> {
/// let mut kairos = Embedded::builder()
///     .with_task("informe", |_| async { Ok(()) })
///     .simulate(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
/// let registration = Registration::new("informe", "cron(0 9 ? * MON-FRI *)", "kairos:task:informe");
/// kairos.scheduler().register(&registration).await?;
///
/// kairos.advance(Duration::from_secs(365 * 24 * 60 * 60)).await;
/// assert_eq!(kairos.executor().counts().succeeded, 261);
///
/// let last = kairos.history().list(&ExecutionFilter::all(), &PageRequest::first(1)).await?;
/// assert_eq!(last.items[0].scheduled_time.to_string(), "2026-12-31T09:00:00Z");
/// # Ok(()) }
/// ```
pub struct Simulation {
    embedded: Embedded,
    clock: ManualClock,
    /// Fires triggers and dispatches.
    firing: Pump,
    /// Executes.
    working: Pump,
    progress: Arc<Progress>,
    waker: Waker,
    /// Ends the pumps when the simulation goes.
    _end: ShutdownTrigger,
}

/// After so many steps other tasks of the runtime get a turn.
const STEPS_PER_TURN: u32 = 256;

impl Simulation {
    pub(crate) fn new(embedded: Embedded, clock: ManualClock) -> Self {
        let progress = Arc::new(Progress::default());
        let (end, shutdown) = shutdown();
        let working = work(embedded.clone(), shutdown.clone());
        Self {
            firing: Box::pin(tokio::task::unconstrained(embedded.clone().fire(shutdown))),
            working: Box::pin(tokio::task::unconstrained(working)),
            waker: Waker::from(progress.clone()),
            progress,
            embedded,
            clock,
            _end: end,
        }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs for `duration`: all that comes due up to and including its end happens, each thing at its time.
    pub async fn advance(&mut self, duration: Duration) {
        self.advance_to(later(self.now(), duration)).await;
    }

    /// Runs until `target`. An earlier instant changes nothing.
    pub async fn advance_to(&mut self, target: Timestamp) {
        self.run(target, true, |_| false).await;
    }

    /// Lets no further trigger fire, and runs until the queue is empty: every retry is made and every execution ends.
    ///
    /// Gives up after `limit`, and says whether the queue is empty. What came due meanwhile fires, late, once time
    /// [goes on](Self::advance), as far as is [caught up on](crate::EmbeddedBuilder::with_catch_up).
    pub async fn drain(&mut self, limit: Duration) -> bool {
        let target = later(self.now(), limit);
        self.run(target, false, |embedded| embedded.queue().is_empty()).await;
        self.embedded.queue().is_empty()
    }

    async fn run(&mut self, target: Timestamp, fire: bool, is_done: impl Fn(&Embedded) -> bool) {
        let mut steps = 0u32;
        loop {
            self.settle(fire);
            if is_done(&self.embedded) {
                return;
            }
            match self.clock.next_timer().filter(|timer| *timer <= target) {
                Some(timer) => self.clock.advance_to(timer),
                None if self.now() < target => self.clock.advance_to(target),
                None => return,
            }
            steps += 1;
            if steps.is_multiple_of(STEPS_PER_TURN) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Lets everything happen that can happen without time passing.
    fn settle(&mut self, fire: bool) {
        let mut context = Context::from_waker(&self.waker);
        loop {
            self.progress.0.store(false, Ordering::Relaxed);
            // Neither ends before the simulation does.
            if fire {
                let _ = self.firing.as_mut().poll(&mut context);
            }
            let _ = self.working.as_mut().poll(&mut context);
            if !self.progress.0.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

async fn work(embedded: Embedded, shutdown: Shutdown) {
    embedded.work(shutdown).await;
}

/// Remembers that something was woken, which means that there is more to do.
#[derive(Default)]
struct Progress(AtomicBool);

impl Wake for Progress {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl std::ops::Deref for Simulation {
    type Target = Embedded;

    fn deref(&self) -> &Embedded {
        &self.embedded
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("now", &self.now()).field("embedded", &self.embedded).finish_non_exhaustive()
    }
}
