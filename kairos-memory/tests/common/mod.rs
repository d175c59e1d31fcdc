//! What the tests of this crate share.

#![allow(dead_code, reason = "every test file is a crate of its own and uses some of this")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use kairos::clock::{Clock, ClockExt as _, ManualClock, between};
use kairos::{Origin, Process, WorkItem};

pub(crate) const START: &str = "2026-01-01T00:00:00Z";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn clock() -> (ManualClock, Arc<ManualClock>) {
    let clock = ManualClock::at(at(START));
    (clock.clone(), Arc::new(clock))
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The output of a future that has no reason to wait.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing here has to wait")
}

/// A process of a schedule.
pub(crate) fn process(name: &str, schedule: &str, enabled: bool) -> Arc<Process> {
    let json = serde_json::json!({
        "IdProceso": kairos::ProcessId::of(name), "IdCalendarizacion": schedule, "Nombre": name,
        "ArnProceso": format!("kairos:task:{name}"), "Habilitado": enabled, "FechaCreacion": START,
    });
    Arc::new(serde_json::from_value(json).unwrap())
}

/// The execution of a process at an occurrence.
pub(crate) fn work(name: &str, scheduled: Timestamp) -> WorkItem {
    WorkItem::of_occurrence(process(name, "calendarizacion-x", true), scheduled, Origin::Schedule)
}

/// A manual clock that can be set, as the system's can: what it shows is so many seconds off. Waits are those of the system's clock.
#[derive(Clone, Debug)]
pub(crate) struct Settable {
    pub(crate) elapsed: ManualClock,
    off: Arc<AtomicI64>,
}

impl Settable {
    pub(crate) fn new(elapsed: ManualClock) -> Self {
        Self { elapsed, off: Arc::default() }
    }

    /// Sets it forwards, or back.
    pub(crate) fn set_by(&self, seconds: i64) {
        self.off.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Settable {
    fn now(&self) -> Timestamp {
        self.elapsed.now() + SignedDuration::from_secs(self.off.load(Ordering::Relaxed))
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        Box::pin(async move {
            let mut at_most = between(clock.now(), instant);
            loop {
                let turn = between(clock.now(), instant).min(at_most).min(secs(30));
                if turn.is_zero() {
                    return;
                }
                clock.elapsed.sleep(turn).await;
                at_most = at_most.saturating_sub(turn);
            }
        })
    }
}
