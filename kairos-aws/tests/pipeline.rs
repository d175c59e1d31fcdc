//! Processes on their way from registration to target, over real servers: `scripts/servers run cargo test -p kairos-aws --test pipeline`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "invoker/archive.rs"]
mod archive;
#[path = "pipeline/calls.rs"]
mod calls;
#[path = "pipeline/chain.rs"]
mod chain;
#[path = "pipeline/counting.rs"]
mod counting;
#[path = "pipeline/faults.rs"]
mod faults;
#[path = "pipeline/microburst.rs"]
mod microburst;
#[path = "pipeline/permissions.rs"]
mod permissions;
#[path = "pipeline/place.rs"]
mod place;
#[path = "pipeline/raw.rs"]
mod raw;
#[path = "pipeline/scale.rs"]
mod scale;
#[path = "pipeline/seeding.rs"]
mod seeding;
#[path = "pipeline/targets.rs"]
mod targets;

/// Counts what is allocated, for those who want to know.
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;
