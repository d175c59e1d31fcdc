//! What the calls work on, and the calls.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kairos::backend::{Queue, ScheduleBackend, Store};
use kairos::chance::Chance;
use kairos::clock::{Clock, ManualClock};
use kairos::dispatcher::{DispatchRequest, Dispatcher};
use kairos::retry::Backoff;
use kairos::scheduler::{ReconcileMode, SchedulerConfig};
use kairos::{Error, ProcessId, Registration, Scheduler, Specification};
use kairos_memory::{MemoryQueue, MemorySchedules, MemoryStore};

use crate::gated::{Gate, Gated, Mistake};

/// Two processes and two schedules are enough for every row of the protocol.
pub(crate) const S: &str = "rate(1 day)";
pub(crate) const T: &str = "rate(2 days)";

/// What is there before the calls begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Start {
    /// Nothing.
    Empty,
    /// Process a on S.
    A,
    /// Processes a and b on S.
    AAndB,
    /// Process a on S, b on T.
    AThenBOnT,
    /// Process a on S, whose registration died before the trigger was created; its hold has ended.
    Abandoned,
}

impl Start {
    pub(crate) const ALL: [Self; 5] = [Self::Empty, Self::A, Self::AAndB, Self::AThenBOnT, Self::Abandoned];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    RegisterA,
    RegisterB,
    UnregisterA,
    UnregisterB,
    /// Process a from S to T.
    MoveA,
    DisableA,
    EnableA,
    Reconcile,
    /// An occurrence of S, dispatched.
    FireS,
}

impl Call {
    pub(crate) const ALL: [Self; 9] = [
        Self::RegisterA,
        Self::RegisterB,
        Self::UnregisterA,
        Self::UnregisterB,
        Self::MoveA,
        Self::DisableA,
        Self::EnableA,
        Self::Reconcile,
        Self::FireS,
    ];

    /// The processes that it registers, unregisters, moves or switches.
    pub(crate) fn touches(self, name: &str) -> bool {
        match self {
            Self::RegisterB | Self::UnregisterB => name == "b",
            Self::RegisterA | Self::UnregisterA | Self::MoveA | Self::DisableA | Self::EnableA => name == "a",
            Self::Reconcile | Self::FireS => false,
        }
    }
}

pub(crate) type Running = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) schedules: Arc<MemorySchedules>,
    pub(crate) queue: Arc<MemoryQueue>,
}

pub(crate) fn registration(name: &str, expression: &str) -> Registration {
    Registration::new(name, expression, "kairos:task:x")
}

pub(crate) fn config() -> SchedulerConfig {
    let mut config = SchedulerConfig::default();
    // Short waits beside a long lease: time passes, and no hold ends by it.
    config.polling = Backoff::new(Duration::from_millis(2), Duration::from_millis(2));
    config.patience = Duration::from_secs(24 * 60 * 60);
    config
}

/// Runs what never waits.
pub(crate) fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    use futures_util::FutureExt as _;
    future.now_or_never().expect("nothing waits here")
}

impl World {
    pub(crate) fn new(start: Start) -> Self {
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let world = Self {
            store: Arc::new(MemoryStore::new()),
            schedules: Arc::new(MemorySchedules::new(shared.clone())),
            queue: Arc::new(MemoryQueue::new(shared)),
            clock,
        };
        let register = |name: &str, expression: &str| {
            now_or_never(world.scheduler(100).register(&registration(name, expression))).unwrap();
        };
        match start {
            Start::Empty => {}
            Start::A => register("a", S),
            Start::AAndB => {
                register("a", S);
                register("b", S);
            }
            Start::AThenBOnT => {
                register("a", S);
                register("b", T);
            }
            Start::Abandoned => {
                let gate = Arc::new(Gate::new(None));
                let mut call = world.begin(Call::RegisterA, 101, &gate);
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                // Three calls are done; the fourth, which would create the trigger, never is.
                for _ in 0..4 {
                    assert!(call.as_mut().poll(&mut context).is_pending());
                }
                assert_eq!(gate.last_call(), "create");
                drop(call);
                world.clock.advance(config().lease);
            }
        }
        world
    }

    /// A scheduler without gates, whose tokens no other one draws.
    pub(crate) fn scheduler(&self, seed: u64) -> Scheduler {
        self.scheduler_over(self.store.clone(), self.schedules.clone(), self.queue.clone(), seed)
    }

    fn scheduler_over(
        &self,
        store: Arc<dyn Store>,
        schedules: Arc<dyn ScheduleBackend>,
        queue: Arc<dyn Queue>,
        seed: u64,
    ) -> Scheduler {
        Scheduler::new(store, schedules, queue, Arc::new(self.clock.clone()))
            .with_config(config())
            .with_chance(Arc::new(Chance::from_seed(seed)))
    }

    /// Begins a call that stops at its gate before each call of a backend.
    pub(crate) fn begin(&self, call: Call, seed: u64, gate: &Arc<Gate>) -> Running {
        let store: Arc<dyn Store> = Arc::new(Gated { inner: self.store.clone(), gate: gate.clone() });
        let schedules = Arc::new(Gated { inner: self.schedules.clone(), gate: gate.clone() });
        let queue = Arc::new(Gated { inner: self.queue.clone(), gate: gate.clone() });
        let scheduler = self.scheduler_over(store.clone(), schedules, queue.clone(), seed);
        let dispatcher = Dispatcher::new(store, queue, Arc::new(self.clock.clone()));
        let occurrence = self.clock.now();
        Box::pin(async move {
            let (a, b) = (ProcessId::of("a"), ProcessId::of("b"));
            match call {
                Call::RegisterA => scheduler.register(&registration("a", S)).await.map(drop),
                Call::RegisterB => scheduler.register(&registration("b", S)).await.map(drop),
                Call::UnregisterA => scheduler.unregister(&a).await.map(drop),
                Call::UnregisterB => scheduler.unregister(&b).await.map(drop),
                Call::MoveA => scheduler.update(&a, &registration("a", T)).await.map(drop),
                Call::DisableA => scheduler.disable(&a).await.map(drop),
                Call::EnableA => scheduler.enable(&a).await.map(drop),
                Call::Reconcile => scheduler.reconcile(ReconcileMode::Repair).await.map(drop),
                Call::FireS => {
                    let schedule = Specification::new(S).schedule_id();
                    dispatcher.dispatch(&DispatchRequest::new(schedule, occurrence)).await.map(drop)
                }
            }
        })
    }
}

/// The mistake that the gates of a scenario make.
pub(crate) fn gate(mistake: Option<Mistake>) -> Arc<Gate> {
    Arc::new(Gate::new(mistake))
}
