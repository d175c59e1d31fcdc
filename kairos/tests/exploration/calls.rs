//! Calls of the real scheduler, as functions of what they have been answered: each is run once for each history, however many
//! runs lead through it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kairos::backend::{Queue, ScheduleBackend, Store};
use kairos::chance::Chance;
use kairos::clock::{Clock, later};
use kairos::dispatcher::{DispatchRequest, Dispatcher, DispatcherConfig};
use kairos::scheduler::ReconcileMode;
use kairos::{Error, ErrorKind, ProcessId, Scheduler, Specification};

use crate::gate::Gate;
use crate::mistakes::Mistake;
use crate::request::{Answer, Request};
use crate::scenario::Call;
use crate::table::{Map, Table};
use crate::world::{S, T, config, instant, registration};

/// Where a call stands: by all that it has been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct History(u32);

/// What a call does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Next {
    /// It asks this.
    Asks(u32),
    /// It waits a moment, to look again.
    Waits,
    /// It answers its caller.
    Answers(Option<ErrorKind>),
}

#[derive(Debug)]
struct Node {
    call: Call,
    seed: u64,
    /// The epoch in which it began.
    begun: u8,
    last: Option<(History, Answered)>,
    next: Next,
}

/// An answer, and the epoch in which it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Answered {
    answer: u32,
    epoch: u8,
}

#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) mistake: Option<Mistake>,
    pub(crate) requests: Table<Request>,
    pub(crate) answers: Table<Answer>,
    nodes: Vec<Node>,
    roots: Map<(Call, u64, u8), History>,
    children: Map<(History, Answered), History>,
}

impl Calls {
    /// A call that begins in an epoch. Calls of different seeds draw different owners.
    pub(crate) fn begin(&mut self, call: Call, seed: u64, epoch: u8) -> History {
        if let Some(known) = self.roots.get(&(call, seed, epoch)) {
            return *known;
        }
        let node = self.run(call, seed, epoch, None);
        let root = self.push(node);
        self.roots.insert((call, seed, epoch), root);
        root
    }

    /// The same call after one answer more.
    pub(crate) fn answer(&mut self, history: History, answer: u32, epoch: u8) -> History {
        let answered = Answered { answer, epoch };
        if let Some(known) = self.children.get(&(history, answered)) {
            return *known;
        }
        let Node { call, seed, begun, .. } = self.nodes[history.0 as usize];
        let node = self.run(call, seed, begun, Some((history, answered)));
        let same = if node.next == Next::Waits { self.waited_in_vain(&node) } else { None };
        let child = same.unwrap_or_else(|| self.push(node));
        self.children.insert((history, answered), child);
        child
    }

    pub(crate) fn next(&self, history: History) -> Next {
        self.nodes[history.0 as usize].next
    }

    pub(crate) fn seed(&self, history: History) -> u64 {
        self.nodes[history.0 as usize].seed
    }

    /// Whether a call has committed anything.
    pub(crate) fn has_committed(&self, history: History) -> bool {
        let is_commit = |(request, answer)| {
            matches!((self.requests.get(request), self.answers.get(answer)), (Request::Commit(_), Answer::Done))
        };
        self.past(&self.nodes[history.0 as usize]).any(is_commit)
    }

    fn push(&mut self, node: Node) -> History {
        self.nodes.push(node);
        History(u32::try_from(self.nodes.len() - 1).unwrap())
    }

    /// All that was asked and answered before a node, the last first.
    fn past(&self, node: &Node) -> impl Iterator<Item = (u32, u32)> {
        let before = |(history, _): &(History, Answered)| self.nodes[history.0 as usize].last;
        std::iter::successors(node.last, before).filter_map(|(history, answered)| match self.next(history) {
            Next::Asks(request) => Some((request, answered.answer)),
            _ => None,
        })
    }

    /// Where the call waited before, if since then it has asked and been answered the same as in the round before that: it is where it was.
    fn waited_in_vain(&self, node: &Node) -> Option<History> {
        let (last, before) = self.last_round(node.last);
        // Who waits twice on end does so for two reasons.
        let before = before.filter(|_| !last.is_empty())?;
        let (round_before, _) = self.last_round(self.nodes[before.0 as usize].last);
        (last == round_before).then_some(before)
    }

    /// What was asked and answered since the call waited last, the last first, and where that was.
    fn last_round(&self, mut last: Option<(History, Answered)>) -> (Vec<(u32, u32)>, Option<History>) {
        let mut round = Vec::new();
        while let Some((history, Answered { answer, .. })) = last {
            let Next::Asks(request) = self.next(history) else { return (round, Some(history)) };
            round.push((request, answer));
            last = self.nodes[history.0 as usize].last;
        }
        (round, None)
    }

    /// Runs the real code up to the first request that has no answer yet.
    fn run(&mut self, call: Call, seed: u64, begun: u8, last: Option<(History, Answered)>) -> Node {
        // No two calls begin at the same moment: what they write is told apart by when.
        let at = |epoch| later(instant(epoch), Duration::from_millis(seed + 1));
        let mut answers = Vec::new();
        let mut before = last;
        while let Some((history, Answered { answer, epoch })) = before {
            answers.push((self.answers.get(answer).clone(), at(epoch)));
            before = self.nodes[history.0 as usize].last;
        }
        let gate = Gate::new(self.mistake, at(begun), answers);
        let mut running = start(call, seed, &gate);
        let next = match running.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Next::Answers(result.err().map(|error| error.kind())),
            Poll::Pending => match gate.unanswered().expect("who waits has asked") {
                Request::Pause => Next::Waits,
                request => Next::Asks(self.requests.id(request)),
            },
        };
        Node { call, seed, begun, last, next }
    }
}

type Running = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

fn start(call: Call, seed: u64, gate: &Gate) -> Running {
    let store: Arc<dyn Store> = Arc::new(gate.clone());
    let schedules: Arc<dyn ScheduleBackend> = Arc::new(gate.clone());
    let queue: Arc<dyn Queue> = Arc::new(gate.clone());
    let clock: Arc<dyn Clock> = Arc::new(gate.clone());
    let scheduler = Scheduler::new(store.clone(), schedules, queue.clone(), clock.clone())
        .with_config(config())
        .with_chance(Arc::new(Chance::from_seed(seed)));
    let mut dispatching = DispatcherConfig::default();
    dispatching.send = config().send;
    let dispatcher = Dispatcher::with_config(store, queue, clock, dispatching);
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
                dispatcher.dispatch(&DispatchRequest::new(schedule, instant(0))).await.map(drop)
            }
        }
    })
}
