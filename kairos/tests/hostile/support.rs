//! All of Kairos in memory, with every door open to whoever wants to slip something in.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kairos::backend::{ExecutionFilter, History as _, Message, Receiver as _, Store as _, Transaction};
use kairos::clock::{Clock, ManualClock};
use kairos::dispatcher::{DispatchRequest, Dispatcher};
use kairos::executor::{Executor, ExecutorConfig, Verdict};
use kairos::page::PageRequest;
use kairos::scheduler::SchedulerConfig;
use kairos::{
    Body, Error, Execution, ExecutionId, Failure, Policy, Process, ProcessId, Registration, Schedule, ScheduleId,
    Scheduler, Tasks, WorkItem,
};
use kairos_memory::{DeadLetter, MemoryHistory, MemoryInvoker, MemoryQueue, MemorySchedules, MemoryStore};
use serde_json::{Value, json};

pub(crate) const DUE: &str = "2026-01-01T00:00:00Z";
/// When messages are sent and executed: a little later.
pub(crate) const NOW: &str = "2026-01-01T00:00:05Z";
pub(crate) const LAMBDA: &str = "arn:aws:lambda:us-east-1:123456789012:function:ventas";
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/kairos-ventas";

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) schedules: Arc<MemorySchedules>,
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) history: Arc<MemoryHistory>,
    /// What was called, tasks and all other targets alike.
    pub(crate) targets: Arc<MemoryInvoker>,
    pub(crate) scheduler: Scheduler,
    pub(crate) dispatcher: Dispatcher,
    executor: Executor,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_policy(Policy::default())
    }

    pub(crate) fn with_policy(policy: Policy) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(at(NOW)));
        let store = Arc::new(MemoryStore::new());
        let schedules = Arc::new(MemorySchedules::new(clock.clone()));
        let queue = Arc::new(MemoryQueue::new(clock.clone()));
        let history = Arc::new(MemoryHistory::new());
        let targets = Arc::new(MemoryInvoker::new(clock.clone()));
        let tasks = Tasks::new().with("panic", |_| async { panic!("a\nb\u{202e}") }).with_others(targets.clone());
        let scheduler = Scheduler::new(store.clone(), schedules.clone(), queue.clone(), clock.clone())
            .with_config(SchedulerConfig::default().with_policy(policy.clone()));
        let dispatcher = Dispatcher::new(store.clone(), queue.clone(), clock.clone());
        let executor = Executor::new(queue.clone(), Arc::new(tasks), clock)
            .with_config(ExecutorConfig::default().with_policy(policy))
            .with_history(history.clone());
        Self { store, schedules, queue, history, targets, scheduler, dispatcher, executor }
    }

    /// Executes what is visible now.
    pub(crate) async fn execute(&self) -> Vec<Verdict> {
        let deliveries = self.queue.receive(10_000, Duration::ZERO).await.unwrap();
        self.executor.execute(deliveries).await.handled.into_iter().map(|handled| handled.verdict).collect()
    }

    /// Executes a message that is the only one on the queue.
    pub(crate) async fn execute_text(&self, text: &str) -> Verdict {
        self.queue.inject(text);
        self.execute().await.remove(0)
    }

    /// Executes a message that must be refused, and gives its reason: it lies with the dead letters, as it was, nothing was called,
    /// and the next message fares well.
    #[track_caller]
    pub(crate) fn refuses(&self, body: impl Into<Body>) -> impl Future<Output = Failure> {
        let (at, body) = (std::panic::Location::caller(), body.into());
        async move {
            let (calls, dead) = (self.targets.calls().len(), self.queue.dead_letters().len());
            kairos::backend::Queue::send(&*self.queue, &[Message::new(body.clone())]).await.unwrap().remove(0).unwrap();
            let verdicts = self.execute().await;
            let [Verdict::Dead(failure)] = &verdicts[..] else { panic!("{at}: {verdicts:?}") };
            let letters = self.queue.dead_letters();
            assert_eq!(letters.len(), dead + 1, "{at}");
            let DeadLetter { body: kept, reason, .. } = letters.last().unwrap();
            assert!(*kept == body, "{at}: what was refused is kept as it was");
            assert_eq!(reason.failure, *failure, "{at}");
            for text in [Some(&failure.text), Some(&failure.kind), reason.target.as_ref()].into_iter().flatten() {
                assert_line(text);
            }
            assert_eq!(self.targets.calls().len(), calls, "{at}: nothing was called");
            assert!(self.queue.is_empty(), "{at}");
            failure.clone()
        }
    }

    pub(crate) async fn executions(&self) -> Vec<Execution> {
        self.history.list(&ExecutionFilter::all(), &PageRequest::first(1_000)).await.unwrap().items
    }

    /// Writes rows as somebody with a table's console would.
    pub(crate) async fn write_row(&self, process: Process) -> Arc<Process> {
        let process = Arc::new(process);
        let mut row: Value = serde_json::to_value(&*process).unwrap();
        row["Cron"] = json!("rate(1 day)");
        let schedule: Schedule = serde_json::from_value(row).unwrap();
        let found = self.store.schedule(&schedule.id).await.unwrap();
        let mut transaction = Transaction::new().with_process(None, Some(process.clone()));
        if found.is_none() {
            transaction = transaction.with_schedule(None, Some(schedule));
        }
        self.store.commit(&transaction).await.unwrap();
        process
    }

    pub(crate) async fn dispatch(&self, schedule: &ScheduleId) {
        self.dispatcher.dispatch(&DispatchRequest::new(schedule.clone(), at(DUE))).await.unwrap();
    }
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn lambda(name: &str) -> Registration {
    Registration::new(name, "rate(1 day)", LAMBDA).with_role(ROLE)
}

/// A sound message of a schedule, as JSON, with some attributes made otherwise; `null` takes one away.
pub(crate) fn message(changes: &Value) -> Value {
    let process = ProcessId::of("ventas");
    let mut message = json!({
        "IdProceso": process, "IdCalendarizacion": "calendarizacion-x", "Nombre": "ventas", "ArnRol": ROLE,
        "ArnProceso": LAMBDA, "Habilitado": true, "FechaCreacion": DUE, "FechaProgramada": DUE,
        "IdEjecucion": ExecutionId::of_occurrence(&process, at(DUE)), "Origen": "calendario",
    });
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => message.as_object_mut().unwrap().remove(key),
            value => message.as_object_mut().unwrap().insert(key.clone(), value.clone()),
        };
    }
    message
}

/// The text of such a message, as a queue on a wire has it.
pub(crate) fn text(changes: &Value) -> Body {
    Body::from_json(message(changes).to_string())
}

/// The process that such a message carries.
pub(crate) fn process(changes: &Value) -> Process {
    serde_json::from_str(&message(changes).to_string()).unwrap()
}

/// The same message as a backend in memory keeps it.
pub(crate) fn value(changes: &Value) -> Body {
    WorkItem::of_occurrence(Arc::new(process(changes)), at(DUE), kairos::Origin::Schedule).into()
}

/// What a log, a header and a message attribute can hold without being taken for something else.
#[track_caller]
pub(crate) fn assert_line(text: &str) {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
    };
    assert!(!text.is_empty() && !text.contains(harmful), "{text:?}");
    assert!(text.len() < 8_192, "{} bytes: {}…", text.len(), &text[..text.floor_char_boundary(200)]);
}

/// The faults of an error whose every text is one bounded line.
#[track_caller]
pub(crate) fn faults(error: &Error) -> Vec<&'static str> {
    assert_line(&error.to_string());
    assert_line(error.message());
    error.faults().iter().for_each(|fault| assert_line(&fault.message));
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        assert_line(&cause.to_string());
        source = cause.source();
    }
    error.faults().iter().map(|fault| fault.field).collect()
}
