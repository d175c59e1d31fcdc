//! What the suites need around the in-memory backend.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kairos::backend::{Invocation, Invoker, ScheduleBackend};
use kairos::clock::ManualClock;
use kairos::conformance::{InvokerHarness, Passage, Sample, ScheduleHarness, Sight, Taken};
use kairos::{ErrorKind, ExecutionId, Process, ProcessId, Target, TargetKind, TriggerInput};
use kairos_memory::{Answer, MemoryInvoker, MemorySchedules};
use serde_json::json;

/// Any time will do that is none of a full minute.
pub(crate) fn clock() -> ManualClock {
    ManualClock::at("2026-02-27T22:57:41.123456789Z".parse().unwrap())
}

/// Triggers on a clock. Whoever looks at what has fired is the one who takes it.
pub(crate) struct Timed<C> {
    pub(crate) schedules: MemorySchedules,
    clock: C,
    refuses: AtomicBool,
    fired: Mutex<Vec<TriggerInput>>,
}

impl<C: Passage + Clone> Timed<C> {
    pub(crate) fn new(clock: C) -> Self {
        Self {
            // The suites let days pass before they look.
            schedules: MemorySchedules::new(Arc::new(clock.clone())).with_catch_up(Duration::MAX),
            clock,
            refuses: AtomicBool::new(false),
            fired: Mutex::default(),
        }
    }
}

#[async_trait]
impl<C: Passage> ScheduleHarness for Timed<C> {
    fn backend(&self) -> &dyn ScheduleBackend {
        &self.schedules
    }

    fn time(&self) -> &dyn Passage {
        &self.clock
    }

    fn sight(&self) -> Sight {
        Sight::Occurrences
    }

    async fn fired(&self) -> Vec<TriggerInput> {
        let mut fired = self.fired.lock().unwrap();
        for firing in self.schedules.take_due(usize::MAX) {
            if self.refuses.load(Ordering::Relaxed) {
                self.schedules.give_back(firing);
            } else {
                fired.push(firing.input);
            }
        }
        fired.clone()
    }

    async fn refuse(&self, refuse: bool) -> bool {
        self.refuses.store(refuse, Ordering::Relaxed);
        true
    }

    async fn dead_letters(&self) -> Option<Vec<TriggerInput>> {
        Some(self.schedules.dead_letters().into_iter().map(|firing| firing.input).collect())
    }

    fn group(&self) -> Option<String> {
        Some("nocturno".into())
    }
}

/// Targets in memory, called directly or through something before them.
pub(crate) struct Targets {
    memory: Arc<MemoryInvoker>,
    front: Arc<dyn Invoker>,
}

const MISSING: &str = "arn:aws:lambda:us-east-1:123456789012:function:nadie";
const SAMPLES: [&str; 5] = [
    "arn:aws:lambda:us-east-1:123456789012:function:ventas",
    "arn:aws:states:us-east-1:123456789012:stateMachine:cierre",
    "arn:aws:sns:us-east-1:123456789012:avisos",
    "arn:aws:sqs:us-east-1:123456789012:pedidos",
    "https://example.com/hook",
];

impl Targets {
    pub(crate) fn new(memory: Arc<MemoryInvoker>) -> Self {
        memory.fail_always(MISSING, ErrorKind::NotFound);
        Self { front: memory.clone(), memory }
    }

    pub(crate) fn behind(mut self, front: Arc<dyn Invoker>) -> Self {
        self.front = front;
        self
    }
}

pub(crate) fn invocation(target: &str) -> Invocation {
    let process: Process = serde_json::from_value(json!({
        "IdProceso": ProcessId::of("ventas"), "IdCalendarizacion": "calendarizacion-x", "Nombre": "ventas",
        "ArnRol": "arn:aws:iam::123456789012:role/kairos", "ArnProceso": target, "Parametros": "{\"día\": \"1\"}",
        "Habilitado": true, "FechaCreacion": "2026-01-01T00:00:00Z",
    }))
    .unwrap();
    let due = "2026-01-01T09:00:00Z".parse().unwrap();
    let id = ExecutionId::of_occurrence(&process.id, due);
    Invocation::new(Target::parse(target).unwrap(), Arc::new(process), id, due)
}

#[async_trait]
impl InvokerHarness for Targets {
    fn backend(&self) -> &dyn Invoker {
        &*self.front
    }

    fn samples(&self) -> Vec<Sample> {
        SAMPLES.map(|target| Sample::new(invocation(target)).idempotent()).to_vec()
    }

    fn missing(&self) -> Option<Invocation> {
        Some(invocation(MISSING))
    }

    async fn taken(&self) -> Option<Vec<Taken>> {
        let taken = self.memory.calls().into_iter().filter(|call| call.answer == Answer::Taken);
        let call = |Invocation { execution_id, payload, .. }| Taken { execution_id, payload };
        Some(taken.map(|taken| call(taken.invocation)).collect())
    }
}

/// A kind that none of the samples has.
pub(crate) const UNUSED: TargetKind = TargetKind::Firehose;
