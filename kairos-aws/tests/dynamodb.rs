//! Store and history over Amazon's DynamoDB Local: `scripts/servers run cargo test -p kairos-aws --test dynamodb`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests, also in the functions that they share"
)]

#[path = "dynamodb/executions.rs"]
mod executions;
#[path = "dynamodb/older.rs"]
mod older;
#[path = "dynamodb/requests.rs"]
mod requests;
#[path = "dynamodb/rows.rs"]
mod rows;
#[path = "dynamodb/suites.rs"]
mod suites;
#[path = "dynamodb/support.rs"]
mod support;
