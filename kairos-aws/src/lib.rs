//! The backends of [Kairos](kairos) on AWS.
//!
//! Each service is a feature, none of which is on by default: an SDK crate takes minutes to build and megabytes of a binary.

mod config;
#[allow(dead_code, reason = "each service uses its own part")]
mod error;
#[cfg(feature = "dynamodb")]
mod history;
#[cfg(feature = "invoker")]
mod invoker;
#[cfg(feature = "sqs")]
mod queue;
#[cfg(feature = "scheduler")]
mod schedules;
#[cfg(feature = "dynamodb")]
mod store;
#[cfg(feature = "dynamodb")]
mod tables;
#[cfg(any(feature = "dynamodb", feature = "scheduler", feature = "sqs", feature = "invoker"))]
mod timeouts;

pub use config::Config;
#[cfg(feature = "dynamodb")]
pub use history::DynamoHistory;
#[cfg(feature = "invoker")]
pub use invoker::{AwsInvoker, SessionConfig};
#[cfg(feature = "sqs")]
pub use queue::SqsQueue;
#[cfg(feature = "scheduler")]
pub use schedules::EventBridgeSchedules;
#[cfg(feature = "dynamodb")]
pub use store::DynamoStore;
#[cfg(feature = "dynamodb")]
pub use tables::{TableNames, TableOptions, create_tables};
