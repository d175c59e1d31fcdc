//! What the example programs share.

#![forbid(unsafe_code)]

#[cfg(feature = "aws")]
pub mod functions;
pub mod http;
pub mod local;
#[cfg(feature = "aws")]
pub mod orders;
pub mod signal;
#[cfg(feature = "aws")]
pub mod telemetry;

/// The examples of the README, as they stand there.
#[cfg(all(doctest, feature = "aws"))]
#[doc = include_str!("../../README.md")]
pub struct Readme;
