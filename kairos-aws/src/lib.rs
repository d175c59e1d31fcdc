//! The backends of [Kairos](kairos) on AWS.
//!
//! Each service is a feature, none of which is on by default.

mod config;
#[allow(dead_code, reason = "no service is on")]
mod error;

pub use config::Config;
#[cfg(feature = "sqs")]
mod queue;
#[cfg(feature = "scheduler")]
mod schedules;
#[cfg(any(feature = "scheduler", feature = "sqs"))]
mod timeouts;

#[cfg(feature = "sqs")]
pub use queue::SqsQueue;
#[cfg(feature = "scheduler")]
pub use schedules::EventBridgeSchedules;
#[cfg(any(feature = "lambda", feature = "sfn", feature = "sns", all(feature = "sqs", feature = "sts")))]
mod invoker;
#[cfg(any(feature = "lambda", feature = "sfn", feature = "sns", all(feature = "sqs", feature = "sts")))]
mod timeouts;

#[cfg(any(feature = "lambda", feature = "sfn", feature = "sns", all(feature = "sqs", feature = "sts")))]
pub use invoker::{AwsInvoker, SessionConfig};
