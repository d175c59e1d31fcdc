//! The algorithms over the in-memory backend, with faults put between them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod dispatcher;
mod executor;
mod executor_faults;
mod reconcile;
mod scheduler;
mod scheduler_races;
mod support;
mod worker;
