//! Dispatch and execution over the servers that stand in for AWS, beside bare loops of the same calls.
//!
//! The servers take most of the time, and run on the same cores: beside rates the CPU time of this program is told.

mod bare;
mod calls;
#[allow(clippy::unwrap_used, reason = "the tests' own: nothing can be counted where it cannot go on")]
#[path = "../../kairos-aws/tests/pipeline/counting.rs"]
mod counting;
mod dispatch;
mod distance;
mod execution;
mod memory;
mod place;
mod turns;

use std::error::Error;
use std::process::ExitCode;

use place::Place;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Prints what each part costs.
pub(crate) fn run() -> ExitCode {
    match run_all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run_all() -> Outcome<()> {
    let (tables, services) = (endpoint("KAIROS_TEST_DYNAMODB")?, endpoint("KAIROS_TEST_AWS")?);
    // One thread does everything: its time is all that is taken here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let place = runtime.block_on(Place::new(&tables, &services))?;
    dispatch::run(&runtime, &place, &tables, &services)?;
    execution::run(&runtime, &place)?;
    calls::run(&runtime, &place, &tables, &services)?;
    memory::run(&runtime, &place)
}

fn endpoint(variable: &str) -> Outcome<String> {
    let missing =
        "is not set: run this by scripts/servers run cargo run --release -p kairos-benches --features aws -- aws";
    std::env::var(variable).map_err(|_| format!("{variable} {missing}").into())
}
