//! The backends of [Kairos](kairos) on AWS.
//!
//! Each service is a feature, none of which is on by default: an SDK crate takes minutes to build and megabytes of a binary.

mod config;
#[allow(dead_code, reason = "each service uses its own part")]
mod error;
#[cfg(feature = "invoker")]
mod invoker;
#[cfg(feature = "sqs")]
mod queue;
#[cfg(feature = "scheduler")]
mod schedules;
#[cfg(any(feature = "dynamodb", feature = "scheduler", feature = "sqs", feature = "invoker"))]
mod timeouts;

pub use config::Config;
#[cfg(feature = "invoker")]
pub use invoker::{AwsInvoker, SessionConfig};
#[cfg(feature = "sqs")]
pub use queue::SqsQueue;
#[cfg(feature = "scheduler")]
pub use schedules::EventBridgeSchedules;
