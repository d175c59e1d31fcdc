//! Kairos on one machine: simulates a span of time, runs on the real clock, serves the HTTP API, or tells when an expression fires.

use std::process::ExitCode;

use clap::Parser;
use kairos_examples::local::{Command, next, run, serve, simulate};

/// Kairos on one machine, with everything in memory.
#[derive(Parser)]
#[command(name = "local", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    // What goes wrong inside is worth a line; what goes well the program prints itself.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::ERROR)
        .with_writer(std::io::stderr)
        .init();
    let done = match Arguments::parse().command {
        Command::Simulate(arguments) => simulate::main(&arguments),
        Command::Run(arguments) => run::main(&arguments),
        Command::Serve(arguments) => serve::main(&arguments),
        Command::Next(arguments) => next::main(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has seen enough of it.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("local: {error}");
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
