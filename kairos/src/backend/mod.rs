//! What a backend implements: the least that the algorithms need, and no more.
//!
//! Each trait states its contract, which the suites in `conformance` check (feature `conformance`). Feature `mock` adds mocks of
//! each (`MockStore` and so on) for the unit tests of those who embed Kairos.

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
