//! The words of Kairos: what is registered, stored, sent and recorded, and its fixed wire formats.

pub mod container_task;
mod execution;
mod hold;
mod id;
mod inline;
mod message;
pub(crate) mod payload;
mod placeholders;
mod policy;
mod process;
mod registration;
mod schedule;
mod specification;
mod time;

pub use container_task::ContainerTask;
pub use execution::{Execution, ExecutionState, Failure};
pub use hold::{Hold, Owner};
pub(crate) use id::Occurrence;
pub use id::{ExecutionId, MessageId, ProcessId, ScheduleId};
pub(crate) use message::check_identity;
pub use message::{Body, Origin, TriggerInput, WorkItem};
pub use payload::Attribute;
pub use placeholders::Placeholders;
pub(crate) use policy::check_description;
pub(crate) use policy::payload;
pub use policy::{Policy, limits};
pub use process::Process;
pub use registration::{Changes, Registration};
pub use schedule::{Schedule, ScheduleState};
pub use specification::Specification;
pub use time::OffsetTimestamp;
