//! Conformance suites: what every backend passes, and how to write one.
//!
//! A backend implements the traits of [`backend`](crate::backend), all of them or one. The suites here say whether it keeps their
//! contracts: each is a list of small named cases over `&dyn Trait`, of which every one fails for a backend that breaks the sentence
//! behind it. They are test code that ships: they need feature `conformance`, belong in `dev-dependencies`, and panic at the first
//! case that fails.
//!
//! ```
//! # use std::sync::Arc;
//! # use async_trait::async_trait;
//! # use kairos::Result;
//! # use kairos::backend::{Invocation, Invoker, InvokerCapabilities};
//! # use kairos::conformance::{self, InvokerHarness, Sample, Taken};
//! # use kairos::{ExecutionId, Process, ProcessId, Target, Tasks};
//! struct OurTasks(Tasks);
//!
//! # #[async_trait]
//! impl InvokerHarness for OurTasks {
//!     fn backend(&self) -> &dyn Invoker {
//!         &self.0
//!     }
//!     fn samples(&self) -> Vec<Sample> {
//!         vec![Sample::new(invocation("kairos:task:saludo"))]
//!     }
//!     fn missing(&self) -> Option<Invocation> {
//!         Some(invocation("kairos:task:nadie"))
//!     }
//! #   async fn taken(&self) -> Option<Vec<Taken>> { None }
//! }
//! # fn invocation(target: &str) -> Invocation {
//! #     let process: Process = serde_json::from_value(serde_json::json!({
//! #         "IdProceso": ProcessId::of("saludo"), "IdCalendarizacion": "calendarizacion-x", "Nombre": "saludo",
//! #         "ArnProceso": target, "Parametros": null, "Habilitado": true, "FechaCreacion": "2026-01-01T00:00:00Z",
//! #     })).unwrap();
//! #     let due = "2026-01-01T09:00:00Z".parse().unwrap();
//! #     let id = ExecutionId::of_occurrence(&process.id, due);
//! #     Invocation::new(Target::parse(target).unwrap(), Arc::new(process), id, due)
//! # }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let tasks = OurTasks(Tasks::new().with("saludo", |_| async { Ok(()) }));
//! let report = conformance::invoker(&tasks).await;
//! assert!(report.cases.contains(&"a_repeated_call_succeeds"));
//! println!("{report}");
//! # }
//! ```
//!
//! # Running the suites
//!
//! | suite | needs |
//! | --- | --- |
//! | [`store`] | the backend |
//! | [`schedules()`] | a [`ScheduleHarness`]: the backend, its clock, and eyes on what has fired |
//! | [`queue()`] | both ends of one queue, and the time that passes for it |
//! | [`history()`] | the backend, and the time that passes |
//! | [`invoker()`] | an [`InvokerHarness`]: the backend, invocations that must succeed, and eyes on their targets |
//!
//! Time is a [`Passage`]: a [`ManualClock`](crate::clock::ManualClock), on which a suite takes milliseconds, or the
//! [`SystemClock`](crate::clock::SystemClock), on which it really waits. The backend must run on the same one.
//! A manual clock wants a runtime of a single thread, which is what `#[tokio::test]` gives. The futures of the suites are not `Send`:
//! a test awaits them where it is.
//!
//! Cases stand alone. Each makes up names and ids that no other case and no other run has, so that the suites pass on a backend that
//! holds other data, and twice in a row. What is eventually consistent is asked for again and again, with a bound;
//! what may come twice is expected to.
//!
//! A case that a backend cannot be put to, such as the firing of triggers where nobody sees it, is listed by name in
//! [`Report::not_applicable`], with the reason. Look at it: a suite in which nothing applies passes as well.
//! The harnesses have `gaps` besides, for stand-ins of a service that lack something.
//!
//! # Writing a backend
//!
//! Begin with the trait whose service you know best, and run its suite from the first day: its cases come in the order in which a
//! backend grows. What to decide, and where others went wrong:
//!
//! - **Compare whole rows.** [`Store::commit`](crate::backend::Store::commit) is told what each row was when it was read. Compare every
//!   field, also those that are absent, in the same atomic step that writes. Compare what a row *means*: a date that the older
//!   system wrote as `…56.1000000-03:00` is read, and written again, as `…56.1-03:00`, and must not be taken for another one.
//! - **All changes or none.** If the service has no transactions over several rows, the backend has to build them; there is no
//!   weaker mode.
//! - **A lost race is no failure.** Where the service says that a condition did not hold, answer
//!   [`Lost`](crate::ErrorKind::Lost); where it says that two requests met, [`Lost`](crate::ErrorKind::Lost) or
//!   [`Throttled`](crate::ErrorKind::Throttled) will both be tried again. Never answer `Ok` to a commit that was repeated: the
//!   caller reads again to learn what became of it.
//! - **Cursors name their listing.** Put what is listed, under which filter, into the cursor, and refuse all others as
//!   [`Malformed`](crate::ErrorKind::Malformed). A cursor says after which row to go on, never how many to skip: rows come and go.
//!   Where many rows sort alike, it needs what tells them apart.
//! - **Text does not sort as time does.** `09:00:00.5Z` comes before `09:00:00Z` as text. Give instants a fixed width in sort keys.
//! - **A claim is one step.** [`History::claim`](crate::backend::History::claim) reads and writes at once, by the time that the claim
//!   brings along, and knows its owner again. It is what makes an occurrence run once.
//! - **A receipt is one delivery.** When a message was received again, the earlier receipt must not acknowledge it: somebody else is
//!   at work on it, and may fail.
//! - **Bodies pass byte for byte.** A message may be half a megabyte of quotes, or no JSON at all.
//! - **Answers keep their order**, one for each message and each receipt, also where a service takes only ten at once and the
//!   backend splits the call.
//! - **Say what you cannot do** in the capabilities, and nowhere else.
//!
//! What the suites cannot bring about stays for a backend's own tests: rows and cursors that another version wrote, retention,
//! the reasons at dead letters, and every error of the service behind it, each mapped to one [`ErrorKind`](crate::ErrorKind) in one table.
//!
//! A wrapper (a cache, a meter, a fault injector that is switched off) is a backend: run the suites on it as well.

mod history;
mod invoker;
mod queue;
mod samples;
mod schedules;
mod store;
mod support;

pub use history::history;
pub use invoker::{InvokerHarness, Sample, Taken, invoker};
pub use queue::queue;
pub use schedules::{ScheduleHarness, Sight, schedules};
pub use store::store;
pub use support::{Passage, Report};
