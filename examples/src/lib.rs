//! What the example programs share.

#[cfg(feature = "aws")]
pub mod functions;
pub mod http;
pub mod local;
#[cfg(feature = "aws")]
pub mod orders;
pub mod signal;
#[cfg(feature = "aws")]
pub mod telemetry;
