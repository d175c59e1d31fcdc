//! What a backend implements: the least that the algorithms need, and no more.
//!
//! Each trait states its contract, which the suites in `conformance` check (feature `conformance`). Feature `mock` adds mocks of
//! each (`MockStore` and so on) for the unit tests of those who embed Kairos.
//!
//! # Every call ends
//!
//! A call of any of these traits ends by itself, whatever becomes of the service behind it: a backend has its own timeouts, and answers
//! [`Timeout`](crate::ErrorKind::Timeout) when one runs out. Only the backend knows how long its service may take, and can give a
//! request up in an orderly way; who drops a call from outside does not know whether it was done. Dispatching, registering and
//! receiving therefore wait for as long as a call takes.
//!
//! Some calls are limited by the algorithms nevertheless, where something that they hold would end meanwhile, or where the code of others runs:
//!
//! | calls | limit | because |
//! | --- | --- | --- |
//! | [`ScheduleBackend::create`] and [`delete`](ScheduleBackend::delete), by the scheduler | [`SchedulerConfig::call_limit`](crate::scheduler::SchedulerConfig::call_limit) | they are made while the schedule's record is held, and must not be under way when that ends |
//! | [`History::claim`] and [`record`](History::record), retries included | half of what is shorter, [`ExecutorConfig::lease`](crate::executor::ExecutorConfig::lease) or [`Receiver::visibility_timeout`] | what was claimed must still be claimed, and invisible to others, when the answer comes |
//! | [`History::renew`] and [`Receiver::change_visibility`] while a target is at work | a third of it | the one must not keep the other from being tried again in time |
//! | [`Invoker::invoke`] | [`ExecutorConfig::call_limit`](crate::executor::ExecutorConfig::call_limit) | a target that never answers would take the room of others for ever |
//!
//! Where nothing can be done for a long time, what waits is bounded by whoever holds it, and who hands it over is told to come again: a
//! queue may refuse what it has no room for as [`Throttled`](crate::ErrorKind::Throttled), a trigger's retries and the age up to which it catches up end.

mod history;
mod invoker;
mod queue;
mod schedules;
mod store;

pub use history::{Claim, Claimed, ExecutionFilter, History, Outcome};
pub use invoker::{Invocation, Invoker, InvokerCapabilities};
pub use queue::{DeadLetterReason, Delivery, Message, Queue, QueueLimits, Receipt, Receiver};
pub use schedules::{ScheduleBackend, Trigger, TriggerKey};
pub use store::{Change, ProcessFilter, Store, StoreCapabilities, Transaction};

#[cfg(feature = "mock")]
pub use {
    history::MockHistory,
    invoker::MockInvoker,
    queue::{MockQueue, MockReceiver},
    schedules::MockScheduleBackend,
    store::MockStore,
};
