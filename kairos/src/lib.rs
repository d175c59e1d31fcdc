//! Kairos runs processes on a schedule and does not lose them.
//!
//! A *process* names a schedule expression, a target (what to run), a role (as whom) and parameters. All processes with the same
//! schedule share one trigger. The [`Scheduler`] registers them and keeps the triggers; at each occurrence the [`Dispatcher`] puts
//! every enabled process of the schedule on a queue; the [`Executor`] takes them off, claims each execution so that it runs once,
//! and calls its target.
//!
//! The algorithms work over the traits in [`backend`]. The crate `kairos-memory` implements them in memory, for embedding on the
//! real clock and for tests on a manual one:
//!
//! ```
//! use kairos::Registration;
//! use kairos::clock::ManualClock;
//! use kairos_memory::Embedded;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> kairos::Result<()> {
//! let new_year = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
//! let mut kairos = Embedded::builder().with_task("report", |_| async { Ok(()) }).simulate(new_year);
//! let report = Registration::new("report", "cron(0 9 ? * MON-FRI *)", "kairos:task:report")
//!     .with_time_zone("America/Santiago");
//! kairos.scheduler().register(&report).await?;
//!
//! kairos.advance(std::time::Duration::from_secs(365 * 24 * 60 * 60)).await;
//! assert_eq!(kairos.executor().counts().succeeded, 261);
//! # Ok(()) }
//! ```
//!
//! [`Expression`] and [`Timetable`] stand by themselves: when something fires, in the exact dialect of EventBridge Scheduler.
//!
//! # Nominal and actual time
//! The *scheduled time* is when something should happen; it comes with the occurrence and is never read from a clock. Actual time comes
//! from a [`Clock`](clock::Clock). The two never share a name.
//!
//! # Features
//! - `conformance`: the suites that every backend passes, to be run against one of your own.
//! - `mock`: mocks of the backend traits, made by mockall.
//! - `system-tz`: time zones from the machine instead of the bundled database.

#![forbid(unsafe_code)]

pub mod backend;
pub mod chance;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod dispatcher;
pub mod executor;
pub mod expression;
pub mod page;
pub mod retry;
pub mod scheduler;
pub mod shutdown;
pub mod tasks;
pub mod timetable;
pub mod zone;

mod arn;
mod error;
mod model;
mod sender;
mod target;

pub use arn::{Arn, ArnError};
pub use dispatcher::Dispatcher;
pub use error::{Error, ErrorKind, Fault, Result};
pub use executor::Executor;
pub use expression::Expression;
pub use model::{
    Attribute, Body, Changes, ContainerTask, Execution, ExecutionId, ExecutionState, Failure, Hold, MessageId,
    OffsetTimestamp, Origin, Owner, Placeholders, Policy, Process, ProcessId, Registration, Schedule, ScheduleId,
    ScheduleState, Specification, TriggerInput, WorkItem, container_task, limits,
};
pub use scheduler::Scheduler;
pub use target::{Target, TargetError, TargetKind};
pub use tasks::Tasks;
pub use timetable::Timetable;
