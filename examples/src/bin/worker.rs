//! Dispatcher and executor as one service for containers, with health at `KAIROS_HEALTH_PORT`; SIGTERM or SIGINT ends it, a second one at once.

use std::net::Ipv4Addr;

use kairos::shutdown::shutdown;
use kairos_examples::functions::worker::Service;
use kairos_examples::functions::{Installation, SetupError};
use kairos_examples::signal::stop_signal;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), SetupError> {
    let installation = Installation::from_environment().await?;
    let (service, health) = Service::of(&installation)?;
    let port = std::env::var("KAIROS_HEALTH_PORT").map_or(Ok(8080), |port| port.parse());
    let port: u16 = port.map_err(|error| format!("KAIROS_HEALTH_PORT: {error}"))?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    tracing::info!(health = %listener.local_addr()?, "started");

    let (stop, stopping) = shutdown();
    let (leave, left) = shutdown();
    let health = tokio::spawn(health.until(stopping.clone()).serve(listener, left));
    let work = tokio::spawn(async move { service.run(stopping).await });
    stop_signal().await?;
    tracing::info!("stopping");
    stop.request();
    tokio::select! {
        report = work => {
            let report = report?;
            let (handled, in_flight, unfinished) = (report.handled, report.in_flight, report.unfinished.len());
            tracing::info!(handled, in_flight, unfinished, "stopped");
        }
        again = stop_signal() => {
            again?;
            tracing::warn!("ended at once; what was under way comes back by itself");
            return Ok(());
        }
    }
    leave.request();
    Ok(health.await??)
}
