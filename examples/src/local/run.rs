//! `run`: the same on the real clock, until Ctrl-C.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::session::Session;
use super::{Result, block_on};
use crate::signal::stop_signal;

/// What `run` is asked.
#[derive(Args, Debug)]
pub struct Arguments {
    /// JSON array of registrations, as the API takes them.
    file: PathBuf,
    /// How many seconds executions under way may go on after Ctrl-C.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    grace: u64,
}

/// Runs the command.
///
/// # Errors
/// If the file cannot be read or holds faults.
pub fn main(arguments: &Arguments) -> Result<()> {
    block_on(run(arguments))
}

async fn run(arguments: &Arguments) -> Result<()> {
    let session = Session::begin(Some(&arguments.file), Duration::from_secs(arguments.grace)).await?;
    println!("{} processes are registered; Ctrl-C ends", session.registered());
    stop_signal().await?;
    session.end(async {}).await
}
