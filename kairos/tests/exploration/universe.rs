//! All that has been found out: worlds, what they answer, and what became of them. It is found out once, however many runs need it.

use kairos::ErrorKind;

use crate::calls::{Calls, History, Next};
use crate::mistakes::{Culprit, Mistake};
use crate::promises::Promised;
use crate::request::{Answer, Request};
use crate::table::{Map, Set, Table};
use crate::world::World;

#[derive(Default)]
pub(crate) struct Universe {
    pub(crate) calls: Calls,
    pub(crate) worlds: Table<World>,
    pub(crate) promises: Table<Promised, Promised>,
    /// By world, request, and who asks where that matters.
    answered: Map<(u32, u32, Option<History>), (u32, u32)>,
    /// The answer to a pause.
    woken: u32,
    held: Set<(u32, u32)>,
    reconciled: Map<(u32, u8), Reconciled>,
}

/// What reconciling made of a world.
#[derive(Clone, Debug)]
pub(crate) struct Reconciled {
    pub(crate) world: u32,
    /// What it found, in words, and how much that was.
    pub(crate) report: String,
    pub(crate) findings: usize,
}

impl Universe {
    pub(crate) fn new(mistake: Option<Mistake>) -> Self {
        let mut universe = Self::default();
        universe.calls.mistake = mistake;
        universe.woken = universe.calls.answers.id(Answer::Done);
        universe
    }

    /// What a call is answered to its request, and the world after that.
    pub(crate) fn answer(&mut self, world: u32, request: u32, asker: History) -> (u32, u32) {
        // Only who makes a mistake is answered otherwise than everybody else.
        let key = (world, request, self.calls.mistake.map(|_| asker));
        if let Some(known) = self.answered.get(&key) {
            return *known;
        }
        let (before, asked) = (self.worlds.get(world), self.calls.requests.get(request));
        let (after, answer) = match self.calls.mistake {
            None => before.answer(asked),
            Some(mistake) => {
                let seed = self.calls.seed(asker);
                Culprit { mistake, seed, has_committed: self.calls.has_committed(asker) }.answer(before, asked)
            }
        };
        let found = (self.worlds.id(after), self.calls.answers.id(answer));
        self.answered.insert(key, found);
        found
    }

    /// The number of an answer without a request that it belongs to.
    pub(crate) fn failed(&mut self, kind: ErrorKind) -> u32 {
        self.calls.answers.id(Answer::Failed(kind))
    }

    /// A call that has waited goes on: where it stands then.
    pub(crate) fn wake(&mut self, history: History, epoch: u8) -> History {
        let mut at = self.calls.answer(history, self.woken, epoch);
        // It may wait twice on end.
        while self.calls.next(at) == Next::Waits {
            at = self.calls.answer(at, self.woken, epoch);
        }
        at
    }

    /// Whether a call that waits would change nothing, and wait again.
    pub(crate) fn waits_in_vain(&mut self, world: u32, history: History, epoch: u8) -> bool {
        let mut at = self.wake(history, epoch);
        loop {
            match self.calls.next(at) {
                Next::Waits => return at == history,
                Next::Asks(request) => {
                    let (after, answer) = self.answer(world, request, at);
                    if after != world {
                        return false;
                    }
                    at = self.calls.answer(at, answer, epoch);
                }
                Next::Answers(_) => return false,
            }
        }
    }

    /// Whether all that has been promised is so in this world.
    pub(crate) fn holds(&mut self, world: u32, promised: u32) -> Result<(), String> {
        if self.held.contains(&(world, promised)) {
            return Ok(());
        }
        self.promises.get(promised).hold(self.worlds.get(world))?;
        self.held.insert((world, promised));
        Ok(())
    }

    /// What is to be so when no call is under way any more, and after reconciling.
    pub(crate) fn ends_well(&mut self, world: u32, promised: u32, epoch: u8, undisturbed: bool) -> Result<(), String> {
        if undisturbed {
            self.worlds.get(world).is_sound().map_err(|what| format!("all calls are answered, and {what}"))?;
        }
        let reconciled = self.reconciled(world, epoch)?;
        if undisturbed && reconciled.findings > 0 {
            return Err(format!("all calls are answered, and reconciling finds {}", reconciled.report));
        }
        self.holds(reconciled.world, promised)
            .map_err(|what| format!("after reconciling ({}), {what}", reconciled.report))
    }

    fn reconciled(&mut self, world: u32, epoch: u8) -> Result<Reconciled, String> {
        if let Some(known) = self.reconciled.get(&(world, epoch)) {
            return Ok(known.clone());
        }
        let reconciled = self.worlds.get(world).reconciled(epoch);
        let (after, report, again) = reconciled.map_err(|error| format!("reconcile failed: {error}"))?;
        let findings = report.findings.len();
        let report = format!("{:?}", report.findings.iter().map(ToString::to_string).collect::<Vec<_>>());
        after.is_sound().map_err(|what| format!("after reconciling ({report}), {what}"))?;
        if !again.findings.is_empty() {
            return Err(format!("reconciling ({report}), and again, finds {:?}", again.findings));
        }
        let found = Reconciled { world: self.worlds.id(after), report, findings };
        self.reconciled.insert((world, epoch), found.clone());
        Ok(found)
    }

    pub(crate) fn request(&self, history: History) -> Option<&Request> {
        match self.calls.next(history) {
            Next::Asks(request) => Some(self.calls.requests.get(request)),
            _ => None,
        }
    }
}
