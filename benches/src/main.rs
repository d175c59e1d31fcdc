//! What Kairos costs: each command runs one comparison, both sides in the same run, and prints tables.
//!
//! Times are CPU time and depend on the machine; ratios, bytes and allocations hardly do. Run with
//! `cargo run --release -p kairos-benches -- all`.

mod allocator;
#[cfg(feature = "aws")]
mod aws;
mod expressions;
mod measure;
mod memory;
mod paths;
mod pipeline;
mod schedules;
mod simulation;
mod table;

use std::process::ExitCode;

const USAGE: &str = "usage: kairos-benches COMMAND [COUNT]

commands:
  all        all of these
  expressions
             parse the expressions that are in use and find their next fire times, beside four other crates
  schedules  register, fire and cancel COUNT triggers in memory (1000000), beside bare timers and tokio-cron-scheduler
  pipeline   dispatch and execute COUNT processes a round (20000), beside apalis and a bare channel
  simulation a year of COUNT processes (10000), beside evaluating their expressions

with feature aws, by scripts/servers run:
  aws        dispatch and execute over the servers that stand in for AWS, beside bare loops of calls

for scripts/instructions:
  paths      name the hot paths
  path NAME COUNT
             do one of them so many times, and print nothing";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let path = (command.as_deref() == Some("path")).then(|| arguments.next()).flatten();
    let count = arguments.next().map(|count| count.parse::<u32>());
    match (command.as_deref(), count) {
        (Some("all"), None) => {
            expressions::run();
            schedules::run(1_000_000);
            pipeline::run(20_000);
            simulation::run(10_000);
        }
        #[cfg(feature = "aws")]
        (Some("aws"), None) => return aws::run(),
        #[cfg(not(feature = "aws"))]
        (Some("aws"), None) => {
            eprintln!(
                "this was built without the SDK; it takes --features aws after -p kairos-benches, and scripts/servers run"
            );
            return ExitCode::FAILURE;
        }
        (Some("expressions"), None) => expressions::run(),
        (Some("pipeline"), None) => pipeline::run(20_000),
        (Some("pipeline"), Some(Ok(count))) if count >= 1_000 => pipeline::run(count),
        (Some("schedules"), None) => schedules::run(1_000_000),
        (Some("schedules"), Some(Ok(count))) if count >= 1_000 => schedules::run(count),
        (Some("simulation"), None) => simulation::run(10_000),
        (Some("simulation"), Some(Ok(count))) if count >= 1_000 => simulation::run(count),
        (Some("paths"), None) => paths::names().for_each(|name| println!("{name}")),
        (Some("path"), Some(Ok(count))) if path.is_some_and(|path| paths::run(&path, count as usize)) => {}
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
