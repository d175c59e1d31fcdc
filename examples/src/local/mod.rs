//! The local program, command by command.

pub mod file;
pub mod next;
pub mod run;
pub mod serve;
mod session;
pub mod simulate;
pub mod tasks;

use std::error::Error;

use clap::Subcommand;
use jiff::Timestamp;
use kairos::clock::{Clock as _, SystemClock, whole_second};

/// The result of a command: what went wrong is told to its user in one line or several.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a span of time on a manual clock and shows what ran, what failed and what was lost.
    Simulate(simulate::Arguments),
    /// Runs on the real clock until Ctrl-C, printing each execution as it happens.
    Run(run::Arguments),
    /// Serves the HTTP API on this machine, and runs what is registered on the real clock beside it, until Ctrl-C.
    Serve(serve::Arguments),
    /// Shows what an expression means and when it fires next.
    Next(next::Arguments),
}

/// An instant as the command line takes it, or now, to the second.
fn instant_or_now(given: Option<Timestamp>) -> Timestamp {
    given.unwrap_or_else(|| whole_second(SystemClock.now()))
}

fn block_on(command: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(command)
}
