//! What is deployed on AWS: its logic over the in-memory backend, and its binaries over real servers, under the Lambda Runtime API:
//! `scripts/servers run cargo test -p kairos-examples --test functions`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "functions/batch.rs"]
mod batch;
#[path = "functions/binaries.rs"]
mod binaries;
#[path = "functions/messages.rs"]
mod messages;
#[path = "functions/metrics.rs"]
mod metrics;
#[path = "functions/runtime.rs"]
mod runtime;
#[path = "functions/site.rs"]
mod site;
#[path = "functions/triggers.rs"]
mod triggers;

use serde_json::Value;

/// A recorded event.
fn event(name: &str) -> Value {
    serde_json::from_str(&text(&format!("{name}.json"))).unwrap()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(format!("{}/events/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}
