//! `serve`: the HTTP API on this machine, and what is registered runs on the real clock beside it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use kairos::clock::{ClockExt as _, SystemClock};
use kairos::shutdown::shutdown;
use tokio::net::TcpListener;

use super::session::Session;
use super::{Result, block_on};
use crate::http::{Api, of_this_machine, router};
use crate::signal::stop_signal;

/// What `serve` is asked.
#[derive(Args, Debug)]
pub struct Arguments {
    /// JSON array of registrations to begin with, as the API takes them.
    file: Option<PathBuf>,
    /// The port on the loopback address; 0 for any that is free.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// How many seconds requests and executions under way may go on after Ctrl-C.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    grace: u64,
}

/// Runs the command.
///
/// # Errors
/// If the file cannot be read or holds faults, or the port is taken.
pub fn main(arguments: &Arguments) -> Result<()> {
    block_on(serve(arguments))
}

async fn serve(arguments: &Arguments) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let listener = TcpListener::bind(address).await.map_err(|error| format!("{address}: {error}"))?;
    let grace = Duration::from_secs(arguments.grace);
    let session = Session::begin(arguments.file.as_deref(), grace).await?;
    let kairos = session.kairos();
    let api = Api::new(kairos.scheduler().clone(), kairos.clock().clone()).with_history(kairos.history().clone());
    let (stop, mut stopped) = shutdown();
    println!(
        "{} processes are registered; http://{} takes requests, and /openapi.json there describes them; Ctrl-C ends",
        session.registered(),
        listener.local_addr()?
    );
    let server = axum::serve(listener, of_this_machine(router(api)));
    let mut server = pin!(server.with_graceful_shutdown(async move { stopped.requested().await }).into_future());
    tokio::select! {
        failed = &mut server => failed?,
        interrupted = stop_signal() => interrupted?,
    }
    stop.request();
    let requests = async {
        // What is left of requests after that is cut off with the runtime.
        let _ = SystemClock.within(grace, server).await;
    };
    session.end(requests).await
}
