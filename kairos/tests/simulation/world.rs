//! One run: the services, and everybody who uses them, from the first call to the verdict.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use kairos::chance::Chance;
use kairos::clock::{Clock, ManualClock, later};
use kairos::dispatcher::{Dispatcher, DispatcherConfig};
use kairos::executor::{Executor, ExecutorConfig};
use kairos::retry::Backoff;
use kairos::scheduler::{ReconcileMode, ReconcileReport, SchedulerConfig};
use kairos::{Policy, Registration, Scheduler, Specification};
use kairos_memory::{MemoryHistory, MemoryQueue, MemorySchedules, MemoryStore};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::actors;
use crate::climate::{Climate, Dice};
use crate::driver::{Driver, Spawner};
use crate::journal::Journal;
use crate::network::{Caller, Faults, Network, Reached};
use crate::oracle;
use crate::target::{BEHAVIOURS, ROLE, Targets, arn};

/// For so long things go wrong while processes come, go and move.
const TROUBLE: Duration = Duration::from_secs(40 * 60);
/// For so long triggers fire after that, with nothing going wrong.
const CALM: Duration = Duration::from_secs(30 * 60);
/// For so long what is on its way may come to its end.
const REST: Duration = Duration::from_secs(40 * 60);

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) dice: Dice,
    pub(crate) climate: Climate,
    pub(crate) network: Arc<Network>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) schedules: Arc<MemorySchedules>,
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) history: Arc<MemoryHistory>,
    pub(crate) spawner: Spawner,
    /// When nothing goes wrong any more, and when no trigger fires any more.
    pub(crate) healed_at: Timestamp,
    pub(crate) stopped_at: Timestamp,
    chance: Arc<Chance>,
}

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) climate: Climate,
    pub(crate) faults: Faults,
    pub(crate) executions: usize,
    pub(crate) repeated: usize,
    pub(crate) calls: u64,
    pub(crate) polls: u64,
    pub(crate) wrong: Vec<String>,
    pub(crate) trace: Vec<String>,
}

pub(crate) fn run(seed: u64, is_traced: bool) -> Ran {
    let dice = Dice::new(seed);
    let climate = Climate::drawn(&dice);
    // Nine in the morning in Santiago, on a Wednesday.
    let clock = ManualClock::at("2026-03-04T12:00:00Z".parse().unwrap());
    let mut driver = Driver::new(clock.clone(), dice.clone());
    let world = Rc::new(World::new(seed, clock, dice, climate, driver.spawner(), is_traced));
    actors::begin(&world);
    driver.run_until(world.healed_at, || world.rewrite_perhaps());
    world.network.heal();
    driver.run_until(later(world.stopped_at, REST), || {});
    driver.stop();

    let mut wrong = oracle::judge(&world);
    wrong.splice(0..0, std::mem::take(&mut world.journal.entries().wrong));
    let entries = world.journal.entries();
    let (executions, repeated, calls) = (entries.executions.len(), oracle::repeated(&entries), entries.calls_answered);
    drop(entries);
    Ran {
        climate: world.climate.clone(),
        faults: world.network.faults(),
        executions,
        repeated,
        calls,
        polls: driver.polls,
        wrong,
        trace: world.journal.take_trace(),
    }
}

impl World {
    fn new(seed: u64, clock: ManualClock, dice: Dice, climate: Climate, spawner: Spawner, is_traced: bool) -> Self {
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let healed_at = later(clock.now(), TROUBLE);
        let limits = kairos::backend::QueueLimits::new(3);
        Self {
            network: Network::new(clock.clone(), dice.clone(), climate.clone()),
            journal: Journal::new(clock.clone(), is_traced),
            store: Arc::new(MemoryStore::new()),
            schedules: Arc::new(MemorySchedules::new(shared.clone())),
            queue: Arc::new(MemoryQueue::new(shared).with_limits(limits)),
            history: Arc::new(MemoryHistory::new()),
            chance: Arc::new(Chance::from_seed(seed)),
            healed_at,
            stopped_at: later(healed_at, CALM),
            clock,
            dice,
            climate,
            spawner,
        }
    }

    /// What a backend on servers does all the time: whoever takes the next step finds only what was written down.
    fn rewrite_perhaps(&self) {
        if self.network.strikes(|climate| climate.rewritten) {
            self.network.note(|faults| faults.rewritten += 1);
            self.store.restore(through_text(&self.store.save())).unwrap();
            self.schedules.restore(through_text(&self.schedules.save())).unwrap();
            self.queue.restore(through_text(&self.queue.save())).unwrap();
            self.history.restore(through_text(&self.history.save())).unwrap();
        }
    }

    fn shared_clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    /// A backend as a caller reaches it.
    fn reached<B>(&self, inner: &Arc<B>, caller: Caller) -> Arc<Reached<B>> {
        Arc::new(Reached::new(inner.clone(), caller, self.network.clone(), self.journal.clone()))
    }

    pub(crate) fn scheduler(&self, caller: Caller) -> Scheduler {
        let (store, schedules) = (self.reached(&self.store, caller), self.reached(&self.schedules, caller));
        let queue = self.reached(&self.queue, caller);
        Scheduler::new(store, schedules, queue, self.shared_clock())
            .with_config(SchedulerConfig::default().with_policy(policy()))
            .with_chance(self.chance.clone())
    }

    pub(crate) fn dispatcher(&self) -> Dispatcher {
        let caller = Caller::Dispatcher;
        let mut config = DispatcherConfig::default();
        config.page_size = 2;
        config.send.attempts = 3;
        Dispatcher::with_config(
            self.reached(&self.store, caller),
            self.reached(&self.queue, caller),
            self.shared_clock(),
            config,
        )
    }

    pub(crate) fn executor(&self, worker: Caller) -> Executor {
        let targets = Targets {
            worker,
            network: self.network.clone(),
            journal: self.journal.clone(),
            history: self.history.clone(),
            clock: self.clock.clone(),
            dice: self.dice.clone(),
        };
        let config = ExecutorConfig::default()
            .with_policy(policy())
            .with_call_limit(Duration::from_secs(90))
            .with_backoff(Backoff::new(Duration::from_secs(5), Duration::from_secs(120)));
        Executor::new(self.reached(&self.queue, worker), Arc::new(targets), self.shared_clock())
            .with_history(self.reached(&self.history, worker))
            .with_config(config)
            .with_chance(self.chance.clone())
    }

    /// Reconciles when nobody is at work.
    pub(crate) fn reconcile(&self) -> ReconcileReport {
        let scheduler =
            Scheduler::new(self.store.clone(), self.schedules.clone(), self.queue.clone(), self.shared_clock());
        scheduler.reconcile(ReconcileMode::Repair).now_or_never().expect("nobody is waited for").unwrap()
    }
}

fn through_text<T: Serialize + DeserializeOwned>(saved: &T) -> T {
    serde_json::from_str(&serde_json::to_string(saved).unwrap()).unwrap()
}

fn policy() -> Policy {
    Policy::default().with_role_prefix("kairos-")
}

/// The schedules that processes come to, leave and share.
pub(crate) fn specifications() -> [Specification; 4] {
    [
        Specification::new("cron(0/5 * * * ? *)"),
        Specification::new("cron(1/7 * * * ? *)"),
        Specification::new("cron(3,18,33,48 * * * ? *)"),
        Specification::new("cron(0/10 9-18 ? * MON-FRI *)").with_time_zone("America/Santiago"),
    ]
}

/// A process of this name on a schedule. All else follows from the name.
pub(crate) fn registration(name: &str, specification: &Specification) -> Registration {
    let behaviour = name.split('-').next().unwrap_or_default();
    let mut registration = Registration::new(name, specification.expression.clone(), arn(behaviour))
        .with_role(ROLE)
        .with_parameters(r#"{"id":"<kairos.execution-id>"}"#);
    registration.time_zone.clone_from(&specification.time_zone);
    match name.len() % 3 {
        0 => registration,
        1 => registration.with_max_attempts(3u32),
        _ => registration.with_max_age_seconds(600u64),
    }
}

/// The names that a user has to itself.
pub(crate) fn names(world: &World, user: usize) -> Vec<String> {
    let name = |index| format!("{}-{user}-{index}", BEHAVIOURS[(user + index) % BEHAVIOURS.len()]);
    (0..world.climate.processes).map(name).collect()
}
