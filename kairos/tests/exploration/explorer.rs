//! The search: breadth first over the choices of who takes the next step, so that what breaks a promise is found by its shortest run.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::AddAssign;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use kairos::ErrorKind;
use kairos::backend::ScheduleBackend as _;

use crate::gated::{Gate, Mistake};
use crate::promises::{Promised, Snapshot};
use crate::world::{Call, Running, Start, World, config, gate, now_or_never};

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) start: Start,
    pub(crate) calls: Vec<Call>,
    pub(crate) mistake: Option<Mistake>,
}

/// How far a scenario is explored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How many calls may die.
    pub(crate) crashes: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Explored {
    /// Distinct situations, each checked.
    pub(crate) states: usize,
    /// Runs from beginning to end that lead through them.
    pub(crate) runs: f64,
}

impl AddAssign for Explored {
    fn add_assign(&mut self, other: Self) {
        self.states += other.states;
        self.runs += other.runs;
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states, {:.0} runs", self.states, self.runs)
    }
}

/// A run that breaks a promise.
#[derive(Debug)]
pub(crate) struct Broken {
    scenario: Scenario,
    pub(crate) path: Vec<String>,
    what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}: {}", self.scenario, self.what)?;
        self.path.iter().enumerate().try_for_each(|(index, step)| writeln!(f, "  {:2}. {step}", index + 1))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Choice {
    /// A call takes its next step.
    Step(usize),
    /// A call dies where it stands.
    Crash(usize),
    /// What a mistake has put off is done.
    Late(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Status {
    /// Stands before a call of a backend.
    Ready,
    /// Waits for time to pass, since the rows were as they are by this hash.
    Waiting(u64),
    Answered(Option<ErrorKind>),
    Dead,
}

/// One run, replayed from its choices.
struct Run {
    world: World,
    calls: Vec<Running>,
    gates: Vec<Arc<Gate>>,
    status: Vec<Status>,
    /// What has been promised so far.
    promised: Promised,
    done_late: Vec<bool>,
    path: Vec<String>,
    crashes: usize,
    scenario: Scenario,
}

pub(crate) fn explore(scenario: &Scenario, bounds: Bounds) -> Result<Explored, Broken> {
    // The situation that each choice leads to; how many runs end beneath each is counted at the end.
    let mut found: HashMap<u64, usize> = HashMap::new();
    let mut children: Vec<Vec<usize>> = Vec::new();
    let mut queue: VecDeque<(Vec<Choice>, Option<usize>)> = VecDeque::from([(Vec::new(), None)]);
    while let Some((choices, parent)) = queue.pop_front() {
        let mut run = Run::new(scenario);
        for choice in &choices {
            run.take(*choice);
        }
        run.check().map_err(|what| run.broken(what))?;
        let key = run.key();
        let is_new = !found.contains_key(&key);
        let index = *found.entry(key).or_insert_with(|| {
            children.push(Vec::new());
            children.len() - 1
        });
        if let Some(parent) = parent {
            children[parent].push(index);
        }
        if !is_new {
            continue;
        }
        let next = run.choices(bounds);
        if next.is_empty() {
            run.check_end().map_err(|what| run.broken(what))?;
        }
        for choice in next {
            let mut choices = choices.clone();
            choices.push(choice);
            queue.push_back((choices, Some(index)));
        }
    }
    let mut runs = vec![None; children.len()];
    Ok(Explored { states: children.len(), runs: count(0, &children, &mut runs) })
}

/// How many runs end beneath a situation. One that comes back to it, as by waiting in vain, is no further run.
fn count(index: usize, children: &[Vec<usize>], runs: &mut [Option<f64>]) -> f64 {
    if let Some(known) = runs[index] {
        return known;
    }
    runs[index] = Some(0.0);
    let sum = children[index].iter().map(|child| count(*child, children, runs)).sum::<f64>();
    let sum = if children[index].is_empty() { 1.0 } else { sum };
    runs[index] = Some(sum);
    sum
}

impl Run {
    fn new(scenario: &Scenario) -> Self {
        let world = World::new(scenario.start);
        let gates: Vec<_> = scenario.calls.iter().map(|_| gate(scenario.mistake)).collect();
        let calls =
            scenario.calls.iter().zip(&gates).zip(0u64..).map(|((call, gate), seed)| world.begin(*call, seed, gate));
        Self {
            calls: calls.collect(),
            status: vec![Status::Ready; scenario.calls.len()],
            promised: Promised::at_start(&world, scenario),
            done_late: vec![false; scenario.calls.len()],
            world,
            gates,
            path: Vec::new(),
            crashes: 0,
            scenario: scenario.clone(),
        }
    }

    /// What can happen next.
    fn choices(&self, bounds: Bounds) -> Vec<Choice> {
        let rows = self.snapshot().rows();
        let is_alive = |status: &Status| matches!(status, Status::Ready | Status::Waiting(_));
        let has_news = |status: &Status| matches!(status, Status::Waiting(seen) if *seen != rows);
        let is_stuck = !self.status.iter().any(|status| *status == Status::Ready || has_news(status));
        let mut choices = Vec::new();
        for (index, status) in self.status.iter().enumerate() {
            // Who waits looks again when there is something new to see, or when nobody else can go on.
            let can_go_on = match status {
                Status::Ready => true,
                Status::Waiting(_) => has_news(status) || is_stuck,
                _ => false,
            };
            if can_go_on {
                choices.push(Choice::Step(index));
            }
            if is_alive(status) && self.crashes < bounds.crashes && self.gates[index].arrivals() > 0 {
                choices.push(Choice::Crash(index));
            }
        }
        choices.extend((0..self.gates.len()).filter(|index| self.has_late(*index)).map(Choice::Late));
        choices
    }

    fn has_late(&self, index: usize) -> bool {
        self.scenario.mistake == Some(Mistake::OkBeforeTheTriggerExists)
            && matches!(self.status[index], Status::Answered(_))
            && !self.done_late[index]
    }

    fn take(&mut self, choice: Choice) {
        match choice {
            Choice::Step(index) => self.step(index),
            Choice::Crash(index) => {
                self.path.push(format!(
                    "{:?} dies before: {}",
                    self.scenario.calls[index],
                    self.gates[index].last_call()
                ));
                self.calls[index] = Box::pin(std::future::pending());
                self.status[index] = Status::Dead;
                self.crashes += 1;
            }
            Choice::Late(index) => {
                self.path.push(format!("{:?} creates its trigger at last", self.scenario.calls[index]));
                self.done_late[index] = true;
                while let Some(trigger) = self.gates[index].take_late() {
                    now_or_never(self.world.schedules.create(&trigger)).unwrap();
                }
            }
        }
    }

    fn step(&mut self, index: usize) {
        let call = self.scenario.calls[index];
        if matches!(self.status[index], Status::Waiting(_)) {
            let is_stuck = !self.status.contains(&Status::Ready);
            // None is left if its time has come already, while another was waited for.
            if let Some(timer) = self.world.clock.next_timer() {
                self.world.clock.advance_to(timer);
            }
            // Nobody is left who could end a hold: it ends by itself.
            if is_stuck && self.crashes > 0 {
                self.world.clock.advance(config().lease);
            }
        }
        let before = self.gates[index].arrivals();
        let doing = self.gates[index].last_call();
        self.promised.begin(index);
        let mut context = Context::from_waker(Waker::noop());
        let polled = self.calls[index].as_mut().poll(&mut context);
        let then = match polled {
            Poll::Ready(result) => {
                let error = result.as_ref().err().map(kairos::Error::kind);
                self.status[index] = Status::Answered(error);
                self.promised.answer(index, error);
                format!("answers {}", result.map_or_else(|error| error.to_string(), |()| "Ok".into()))
            }
            Poll::Pending if self.gates[index].arrivals() > before => {
                self.status[index] = Status::Ready;
                format!("will: {}", self.gates[index].last_call())
            }
            Poll::Pending => {
                self.status[index] = Status::Waiting(self.snapshot().rows());
                "waits".into()
            }
        };
        let done = if before == 0 { "begins" } else { doing };
        self.path.push(format!("{call:?}: {done}; {then}"));
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.world)
    }

    /// Everything that the rest of the run depends on.
    fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.snapshot().rows().hash(&mut hasher);
        self.status.hash(&mut hasher);
        for gate in &self.gates {
            (gate.arrivals(), gate.answers()).hash(&mut hasher);
        }
        self.crashes.hash(&mut hasher);
        (&self.promised, &self.done_late).hash(&mut hasher);
        hasher.finish()
    }

    /// What must hold at every moment.
    fn check(&self) -> Result<(), String> {
        self.promised.hold(&self.snapshot())
    }

    /// What must hold when every call has been answered or is dead.
    fn check_end(&self) -> Result<(), String> {
        let unanswered = self.status.iter().any(|status| matches!(status, Status::Ready | Status::Waiting(_)));
        if unanswered {
            return Err("a call can neither go on nor wait".into());
        }
        // What the start had left undone already, no call but reconcile has to do.
        if self.crashes == 0 && self.scenario.start != Start::Abandoned {
            self.snapshot().is_sound().map_err(|what| format!("all calls are answered, and {what}"))?;
        }
        self.world.clock.advance(config().lease);
        let reconciled = now_or_never(self.world.scheduler(102).reconcile(kairos::scheduler::ReconcileMode::Repair));
        let report = reconciled.map_err(|error| format!("reconcile failed: {error}"))?;
        let snapshot = self.snapshot();
        let after = |what| format!("after reconciling ({report:?}), {what}");
        snapshot.is_sound().map_err(after)?;
        self.promised.hold(&snapshot).map_err(after)
    }

    fn broken(&self, what: String) -> Broken {
        Broken { scenario: self.scenario.clone(), path: self.path.clone(), what }
    }
}
