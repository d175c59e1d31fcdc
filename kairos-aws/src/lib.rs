//! The backends of [Kairos](kairos) on AWS.
//!
//! Each service is a feature, none of which is on by default: an SDK crate takes minutes to build and megabytes of a binary.
//!
//! [`Config`] says what the parts of an installation are called, and wires the algorithms up over them:
//!
#![cfg_attr(feature = "full", doc = "```no_run")]
#![cfg_attr(not(feature = "full"), doc = "```ignore")]
//! use kairos_aws::Config;
//!
//! # async fn run() -> kairos::Result<()> {
//! let sdk = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
//! let config = Config::from_parameters("Tareas", &aws_sdk_ssm::Client::new(&sdk)).await?.with_environment();
//! let (scheduler, dispatcher, executor) = (config.scheduler(&sdk)?, config.dispatcher(&sdk)?, config.executor(&sdk)?);
//! # Ok(()) }
//! ```
//!
//! What each of these must be allowed is listed under *Permissions* in the crate's [README](https://docs.rs/crate/kairos-aws/latest/source/README.md), with
//! policy documents beside it.

#![forbid(unsafe_code)]

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
#[cfg(all(feature = "dynamodb", feature = "sqs"))]
mod wiring;

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
