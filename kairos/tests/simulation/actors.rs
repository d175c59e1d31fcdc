//! Everybody who does something: users, the service that fires triggers, dispatchers, workers, the janitor, and who cuts the wires.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use jiff::Timestamp;
use kairos::backend::Receiver as _;
use kairos::clock::{Clock as _, ClockExt as _, earlier};
use kairos::dispatcher::DispatchRequest;
use kairos::executor::{Worker, WorkerConfig};
use kairos::scheduler::{Backfill, ReconcileMode};
use kairos::shutdown::shutdown;
use kairos::{ErrorKind, ProcessId, Result, TriggerInput};
use kairos_memory::Firing;

use crate::driver::mortal;
use crate::journal::Known;
use crate::network::{Caller, SERVICES};
use crate::world::{World, names, registration, specifications};

const USERS: usize = 3;

pub(crate) fn begin(world: &Rc<World>) {
    for user in 0..USERS {
        world.spawner.spawn(use_scheduler(world.clone(), user));
    }
    world.spawner.spawn(clean_up(world.clone()));
    world.spawner.spawn(fire(world.clone()));
    world.spawner.spawn(work(world.clone()));
    world.spawner.spawn(serve(world.clone()));
    world.spawner.spawn(cut_wires(world.clone()));
}

impl World {
    async fn pause(&self, from: u64, to: u64) {
        self.clock.sleep(self.dice.between(Duration::from_secs(from), Duration::from_secs(to))).await;
    }

    fn is_healed(&self) -> bool {
        self.clock.now() >= self.healed_at
    }
}

/// The next one.
fn whole_minute(now: Timestamp) -> Timestamp {
    Timestamp::from_second((now.as_second() / 60 + 1) * 60).unwrap()
}

/// Registers, moves, switches, runs and unregisters processes that nobody else touches, on schedules that others use too.
async fn use_scheduler(world: Rc<World>, user: usize) {
    let names = names(&world, user);
    while !world.is_healed() {
        world.pause(0, 120).await;
        if world.dice.happens(0.5) {
            // All of them at once.
            world.clock.sleep_until(whole_minute(world.clock.now())).await;
        }
        let name = world.dice.one_of(&names);
        let call = Call::drawn(&world, name);
        let answer = mortal(world.network.death(), call.make(&world, user, name)).await;
        if answer.is_none() {
            world.journal.note(|| format!("{name}: {call:?} has died"));
        }
        if let Some(answer) = answer {
            world.journal.entries().calls_answered += 1;
            call.learn(&world, name, answer);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Register(usize),
    Unregister,
    Update(usize),
    Enable,
    Disable,
    RunNow,
    Backfill,
}

/// What a call has told about its process.
enum Answer {
    Is(Known),
    Nothing,
}

impl Call {
    fn drawn(world: &World, name: &str) -> Self {
        let schedule = world.dice.below(specifications().len());
        match (world.journal.known(name), world.dice.below(10)) {
            (Known::Unregistered, 0..8) => Self::Register(schedule),
            (_, 0 | 1) => Self::Register(schedule),
            (_, 2 | 3) => Self::Unregister,
            (_, 4 | 5) => Self::Update(schedule),
            (_, 6) => Self::Disable,
            (_, 7) => Self::Enable,
            (_, 8) => Self::RunNow,
            (_, _) => Self::Backfill,
        }
    }

    /// Whether the call can change what this is.
    fn changes(self, known: &Known) -> bool {
        match (self, known) {
            (Self::Register(_), Known::Registered { .. }) | (Self::RunNow | Self::Backfill, _) => false,
            (Self::Enable, Known::Registered { enabled, .. }) => !enabled,
            (Self::Disable, Known::Registered { enabled, .. }) => *enabled,
            _ => true,
        }
    }

    async fn make(self, world: &World, user: usize, name: &str) -> Result<Answer> {
        let before = world.journal.known(name);
        world.journal.note(|| format!("{name}: {self:?} is called"));
        if self.changes(&before) {
            world.journal.learnt(name, Known::Nothing);
        }
        let scheduler = world.scheduler(Caller::User(user));
        let id = ProcessId::of(name);
        let known = |process: Arc<kairos::Process>| Answer::Is(Known::of(&process));
        let registration = |schedule: usize| registration(name, &specifications()[schedule]);
        match self {
            Self::Register(schedule) => Ok(known(scheduler.register(&registration(schedule)).await?.process)),
            Self::Update(schedule) => scheduler.update(&id, &registration(schedule)).await.map(known),
            Self::Enable => scheduler.enable(&id).await.map(known),
            Self::Disable => scheduler.disable(&id).await.map(known),
            Self::Unregister => {
                let was_there = scheduler.unregister(&id).await?;
                if !was_there && matches!(before, Known::Registered { .. }) {
                    world.journal.wrong(format!("{name} was registered, and its unregistration found nothing"));
                }
                Ok(Answer::Is(Known::Unregistered))
            }
            Self::RunNow => {
                // A key that comes up again now and then.
                let key = world.dice.below(4).to_string();
                scheduler.run_now(&id, Some(&key)).await.map(|_| Answer::Nothing)
            }
            Self::Backfill => {
                let now = world.clock.now();
                let from = earlier(now, Duration::from_secs(20 * 60));
                scheduler.backfill(&id, &Backfill::new(from..=now)).await.map(|_| Answer::Nothing)
            }
        }
    }

    fn learn(self, world: &World, name: &str, answer: Result<Answer>) {
        let before = world.journal.known(name);
        match answer {
            Ok(Answer::Is(known)) if self.changes(&before) => world.journal.learnt(name, known),
            Ok(Answer::Is(known)) if known != before => {
                world.journal.wrong(format!("{name} is {before:?}, and {self:?} found {known:?}"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if matches!(before, Known::Registered { .. }) {
                    world.journal.wrong(format!("{name} is {before:?}, and {self:?} did not find it"));
                }
                world.journal.learnt(name, Known::Unregistered);
            }
            Err(error) => world.journal.note(|| format!("{name}: {self:?}: {error}")),
        }
    }
}

/// Reconciles and redrives now and then, while all others go on.
async fn clean_up(world: Rc<World>) {
    while !world.is_healed() {
        world.pause(60, 900).await;
        if world.climate.is_reconciled {
            let scheduler = world.scheduler(Caller::Janitor);
            let reconciled = mortal(world.network.death(), scheduler.reconcile(ReconcileMode::Repair)).await;
            world.journal.note(|| format!("reconciled: {reconciled:?}"));
        }
        if world.dice.happens(0.3) {
            let oldest = world.queue.dead_letters().into_iter().take(5);
            oldest.filter_map(|letter| letter.reason.execution_id).for_each(|id| world.journal.redriven(id));
            world.queue.redrive(5).await.unwrap();
        }
    }
}

/// The scheduler service: delivers what is due, late or twice, and again while that fails.
async fn fire(world: Rc<World>) {
    while world.clock.now() < world.stopped_at {
        let due = world.schedules.take_due(20);
        if due.is_empty() {
            let next = world.schedules.next_due().unwrap_or(world.stopped_at).min(world.stopped_at);
            let changed = std::pin::pin!(world.schedules.changed());
            select(changed, world.clock.sleep_until(next)).await;
        }
        for firing in due {
            world.spawner.spawn(deliver(world.clone(), firing));
        }
    }
}

async fn deliver(world: Rc<World>, firing: Firing) {
    if world.network.strikes(|climate| climate.delayed) {
        world.network.note(|faults| faults.delayed += 1);
        world.pause(1, 90).await;
    }
    if world.network.strikes(|climate| climate.doubled) {
        world.network.note(|faults| faults.fired_twice += 1);
        let (world, input) = (world.clone(), firing.input.clone());
        world.clone().spawner.spawn(async move {
            dispatch(&world, input).await;
        });
    }
    if !dispatch(&world, firing.input.clone()).await {
        world.schedules.give_back(firing);
    }
}

/// Dispatches an occurrence, in as many turns as it takes. False if not even the first one came to its end.
async fn dispatch(world: &World, mut input: TriggerInput) -> bool {
    let (schedule_id, scheduled_time) = (input.schedule_id.clone(), input.scheduled_time.unwrap());
    let mut is_first = true;
    loop {
        let now = world.clock.now();
        let mut request = DispatchRequest::of_trigger(input.clone(), now);
        if world.dice.happens(0.3) {
            // Enough for one page.
            request = request.with_deadline(now);
        }
        let dispatcher = world.dispatcher();
        match mortal(world.network.death(), dispatcher.dispatch(&request)).await {
            Some(Ok(dispatched)) => match dispatched.next {
                None => {
                    world.journal.dispatched(&schedule_id, scheduled_time);
                    return true;
                }
                Some(cursor) => {
                    let json = serde_json::to_string(&request.continuation(cursor)).unwrap();
                    input = TriggerInput::from_json(&json).unwrap();
                    is_first = false;
                }
            },
            failed => {
                world.journal.note(|| format!("dispatch of {schedule_id} at {scheduled_time}: {failed:?}"));
                if is_first {
                    return false;
                }
                // What goes on from a cursor is delivered again by itself.
                world.pause(1, 20).await;
            }
        }
    }
}

/// A long-running worker, which is killed or asked to end now and then, and started again.
async fn work(world: Rc<World>) {
    for number in (0..).step_by(2) {
        let caller = Caller::Worker(number);
        let config = WorkerConfig::default().with_concurrency(4).with_batch(3).with_grace(Duration::from_secs(10));
        let worker = Worker::new(Arc::new(world.executor(caller)), config);
        let (end, stop) = shutdown();
        let life = world.climate.worker_life.filter(|_| !world.is_healed());
        let Some(life) = life.map(|most| world.dice.between(Duration::from_secs(1), most)) else {
            worker.run(stop).await;
            continue;
        };
        let mut running = Box::pin(worker.run(stop));
        let polls = world.dice.happens(0.5).then(|| 1 + world.dice.below(400));
        let lived = {
            let living = std::pin::pin!(mortal(polls, &mut running));
            match select(living, world.clock.sleep(life)).await {
                Either::Left((lived, _)) => lived.is_some(),
                Either::Right(_) => world.dice.happens(0.3),
            }
        };
        if lived {
            end.request();
            running.await;
        } else {
            world.network.note(|faults| faults.workers_killed += 1);
            drop(running);
        }
        world.journal.died(caller);
        world.pause(1, 20).await;
    }
}

/// A function that is called with a batch at a time, and may die over it.
async fn serve(world: Rc<World>) {
    for number in (1..).step_by(2) {
        let Ok(batch) = world.queue.receive(3, Duration::from_secs(20)).await else { continue };
        if batch.is_empty() {
            continue;
        }
        let caller = Caller::Worker(number);
        let executor = world.executor(caller);
        let polls = world.climate.worker_life.and_then(|_| world.network.death()).map(|polls| polls * 2);
        if mortal(polls, executor.execute(batch)).await.is_none() {
            world.network.note(|faults| faults.workers_killed += 1);
            world.journal.died(caller);
        }
    }
}

async fn cut_wires(world: Rc<World>) {
    let Some(every) = world.climate.cut_every else { return };
    let callers = [
        Caller::User(0),
        Caller::User(1),
        Caller::Janitor,
        Caller::Dispatcher,
        Caller::Dispatcher,
        Caller::Worker(0),
        Caller::Worker(1),
    ];
    while !world.is_healed() {
        world.clock.sleep(world.dice.between(Duration::from_secs(10), every)).await;
        let (caller, service) = (*world.dice.one_of(&callers), *world.dice.one_of(&SERVICES));
        let duration = world.dice.between(Duration::from_secs(5), Duration::from_secs(240));
        world.journal.note(|| format!("{caller:?} is cut off from {service:?} for {duration:?}"));
        world.network.cut(caller, service, duration);
    }
}
