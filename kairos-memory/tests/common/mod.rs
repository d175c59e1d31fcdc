//! What the tests of this crate share.

#![allow(dead_code, reason = "every test file is a crate of its own and uses some of this")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use kairos::clock::ManualClock;
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
