//! Backends with one flaw each. A suite that passed one of them would be worth nothing.

mod history;
mod invoker;
mod queue;
mod schedules;
mod store;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use kairos::conformance::Report;

/// Expects a suite to panic in a case, and to say so.
async fn assert_found(flaw: &impl std::fmt::Debug, case: &str, suite: impl Future<Output = Report>) {
    let message = match AssertUnwindSafe(suite).catch_unwind().await {
        Ok(report) => panic!("{flaw:?} passed: {report}"),
        Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
    };
    assert!(message.contains(&format!("case {case}: ")), "{flaw:?} was not found by {case}, but: {message}");
    assert!(message.contains("expected"), "{flaw:?}: {message} does not say what was expected");
}
