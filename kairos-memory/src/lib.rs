//! The in-memory backend of Kairos: for tests, and for services that run their own code on a schedule.
//!
//! It is a real backend, not a stub. Messages become invisible and come back, are counted, delayed, buried and redriven;
//! transactions compare before they write; triggers fire at every occurrence, however far time jumps within a day; executions are claimed and expire.
//! All of it runs on a [`Clock`](kairos::clock::Clock): the system's, or one that a test moves by hand.
//!
//! | type | implements | and besides |
//! | --- | --- | --- |
//! | [`MemoryStore`] | [`Store`](kairos::backend::Store) | |
//! | [`MemorySchedules`] | [`ScheduleBackend`](kairos::backend::ScheduleBackend) | says what is due, takes back what could not be dispatched, and accounts for what was missed |
//! | [`MemoryQueue`] | [`Queue`](kairos::backend::Queue), [`Receiver`](kairos::backend::Receiver) | shows its dead letters |
//! | [`MemoryHistory`] | [`History`](kairos::backend::History) | |
//! | [`MemoryInvoker`] | [`Invoker`](kairos::backend::Invoker) | records calls, and fails where it is told to |
//!
//! [`Embedded`] wires all of them up with the algorithms of the core: a whole Kairos in one process, which a service starts on the
//! real clock. [`Simulation`] is the same on a manual clock: years in milliseconds, the same each time.
//!
//! Memory is bounded by what is registered and by limits that can be set: see [`MemorySchedules`] and
//! [`MemoryQueue::with_capacity`] for what happens when nothing can be delivered for a long time.
//!
//! Nothing is written anywhere: what is in memory ends with the process, unless its owner writes it out. [`Embedded::save`] gives the whole
//! state as a serde value, and [`Embedded::restore`] goes on from it; each backend but the invoker has the same two calls.

#![forbid(unsafe_code)]

mod embedded;
mod error;
mod history;
mod index;
mod intern;
mod invoker;
mod listing;
mod order;
mod push;
mod queue;
mod saved;
mod schedules;
mod simulation;
mod slab;
mod store;
mod triggers;
mod wheel;

pub use embedded::{Embedded, EmbeddedBuilder, Running, Saved, ShutdownReport};
pub use history::{MemoryHistory, SavedHistory};
pub use invoker::{Answer, Call, Counts, MemoryInvoker};
pub use queue::{DeadLetter, MemoryQueue, SavedQueue};
pub use schedules::{Firing, MemorySchedules, Missed, SavedSchedules};
pub use simulation::Simulation;
pub use store::{MemoryStore, SavedStore};
