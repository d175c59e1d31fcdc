//! The HTTP API as its callers see it: the router in process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod documented;
mod failures;
mod log;
mod requests;
mod support;
mod transcripts;
