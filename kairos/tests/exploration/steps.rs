//! One situation after another: what can happen next, and what it leads to.

use kairos::ErrorKind;

use crate::calls::{History, Next};
use crate::faults::{Manner, manners};
use crate::mistakes::Mistake;
use crate::promises::Promised;
use crate::request::{Answer, Request};
use crate::scenario::{Bounds, MOST_CALLS, Scenario, Start};
use crate::universe::Universe;
use crate::world::{World, instant};

/// So often every hold may end, before it is no progress any more.
const MOST_EPOCHS: u8 = 8;

/// Everything that the rest of a run depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Situation {
    world: u32,
    positions: [Position; MOST_CALLS],
    /// By call, the request of it that is still on the way.
    on_the_way: [Option<u32>; MOST_CALLS],
    promised: u32,
    /// Who took the last step, if it could go on and that matters.
    running: Option<u8>,
    /// How often every hold has ended.
    epoch: u8,
    crashes: u8,
    faults: u8,
    lapses: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Position {
    /// It has not begun.
    Before,
    Under(History),
    Answered(Option<ErrorKind>),
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A call takes its next step.
    Step(u8, Manner),
    /// The request of a call that was on the way arrives.
    Arrival(u8),
    /// Time passes, until every hold has ended.
    Lapse,
}

/// A scenario in a universe.
pub(crate) struct Steps<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) bounds: Bounds,
    pub(crate) universe: &'a mut Universe,
}

impl Steps<'_> {
    pub(crate) fn start(&mut self) -> Situation {
        let world = World::at(self.scenario.start);
        let promised = self.universe.promises.id_of(Promised::at_start(&world));
        let position = |index| {
            if index < self.scenario.calls.len() { Position::Before } else { Position::Answered(None) }
        };
        Situation {
            positions: std::array::from_fn(position),
            on_the_way: [None; MOST_CALLS],
            promised,
            running: None,
            epoch: 0,
            crashes: 0,
            faults: 0,
            lapses: 0,
            world: self.universe.worlds.id(world),
        }
    }

    /// What can happen next, and whether that is a preemption. Nothing, if all is over.
    pub(crate) fn choices(&mut self, now: &Situation) -> Result<Vec<(Choice, bool)>, String> {
        let mut choices = Vec::new();
        for index in 0..self.scenario.calls.len() {
            // Who waits looks again when there is something new to see.
            if !self.is_under_way(now, index) || self.waits_in_vain(now, index) {
                continue;
            }
            let at = self.at(now, index);
            let is_preemption = now.running.is_some_and(|running| usize::from(running) != index);
            let manners = match self.universe.request(at) {
                Some(request) => manners(request, &self.left(now)),
                None => vec![Manner::Answered],
            };
            choices.extend(manners.into_iter().map(|manner| (Choice::Step(number(index), manner), is_preemption)));
        }
        let is_under_way = (0..MOST_CALLS).any(|index| self.is_under_way(now, index));
        let is_stuck = choices.is_empty() && is_under_way;
        if is_stuck && self.is_undisturbed(now) {
            return Err("a call can neither go on nor wait".into());
        }
        if is_stuck || (now.lapses < self.bounds.lapses && is_under_way && self.may_lapse(now)) {
            choices.push((Choice::Lapse, false));
        }
        let arrivals = (0..MOST_CALLS).filter(|index| now.on_the_way[*index].is_some());
        choices.extend(arrivals.map(|index| (Choice::Arrival(number(index)), false)));
        Ok(choices)
    }

    fn is_under_way(&self, now: &Situation, index: usize) -> bool {
        matches!(now.positions[index], Position::Before | Position::Under(_))
    }

    fn waits_in_vain(&mut self, now: &Situation, index: usize) -> bool {
        let Position::Under(history) = now.positions[index] else { return false };
        self.universe.calls.next(history) == Next::Waits && self.universe.waits_in_vain(now.world, history, now.epoch)
    }

    /// Where a call stands when it goes on: who has not begun begins, and who waits wakes.
    fn at(&mut self, now: &Situation, index: usize) -> History {
        match now.positions[index] {
            Position::Under(history) if self.universe.calls.next(history) == Next::Waits => {
                self.universe.wake(history, now.epoch)
            }
            Position::Under(history) => history,
            _ => self.universe.calls.begin(self.scenario.calls[index], seed(index), now.epoch),
        }
    }

    fn left(&self, now: &Situation) -> Bounds {
        Bounds { crashes: self.bounds.crashes - now.crashes, faults: self.bounds.faults - now.faults, ..self.bounds }
    }

    /// A call of the scheduler service is given up before its hold can end. All else may take as long as it likes.
    fn may_lapse(&self, now: &Situation) -> bool {
        let is_at_a_trigger = now.positions.iter().any(|position| match position {
            Position::Under(history) => self.universe.request(*history).is_some_and(Request::changes_a_trigger),
            _ => false,
        });
        let records = &self.universe.worlds.get(now.world).records;
        let is_held =
            records.iter().any(|record| record.state.hold().is_some_and(|hold| !hold.has_ended(instant(now.epoch))));
        is_held && !is_at_a_trigger
    }

    /// Whether nothing has gone wrong that some call could not have seen to.
    fn is_undisturbed(&self, now: &Situation) -> bool {
        now.crashes == 0 && now.faults == 0 && self.scenario.start != Start::Abandoned
    }

    /// What a choice leads to.
    pub(crate) fn take(&mut self, now: &Situation, choice: Choice) -> Result<Situation, String> {
        let mut then = *now;
        match choice {
            Choice::Step(index, manner) => self.step(&mut then, usize::from(index), manner)?,
            Choice::Arrival(index) => self.arrive(&mut then, usize::from(index)),
            Choice::Lapse => {
                if now.epoch == MOST_EPOCHS {
                    return Err("calls wait for each other time and again".into());
                }
                then.epoch += 1;
                // What was on the way has arrived by now, or never does.
                then.on_the_way = [None; MOST_CALLS];
                then.lapses = (now.lapses + 1).min(self.bounds.lapses);
            }
        }
        then.running = then.running.filter(|running| self.goes_on(&then, *running));
        self.universe.holds(then.world, then.promised)?;
        Ok(then)
    }

    /// Whether a call would go on by itself, and that matters.
    fn goes_on(&self, now: &Situation, index: u8) -> bool {
        let Position::Under(history) = now.positions[usize::from(index)] else { return false };
        self.bounds.preemptions.is_some() && matches!(self.universe.calls.next(history), Next::Asks(_))
    }

    fn step(&mut self, now: &mut Situation, index: usize, manner: Manner) -> Result<(), String> {
        let calls = &self.scenario.calls;
        let mut promised = *self.universe.promises.get(now.promised);
        let mut history = self.at(now, index);
        if now.positions[index] == Position::Before {
            promised.begin(calls, index, self.universe.worlds.get(now.world));
        }
        if let Next::Asks(request) = self.universe.calls.next(history) {
            promised.may_send(index, &self.universe.calls.requests.get(request).sends())?;
            let answer = self.ask(now, index, history, request, manner);
            history = self.universe.calls.answer(history, answer, now.epoch);
        }
        now.crashes += u8::from(manner.is_crash());
        now.faults += u8::from(manner.is_fault());
        now.running = Some(number(index));
        now.positions[index] = match self.universe.calls.next(history) {
            // Who dies with the answer on its lips has not answered.
            _ if manner.is_crash() => {
                promised.die(index);
                Position::Dead
            }
            Next::Answers(error) => {
                promised.answer(calls, index, error, self.universe.worlds.get(now.world))?;
                Position::Answered(error)
            }
            _ => Position::Under(history),
        };
        if promised != *self.universe.promises.get(now.promised) {
            now.promised = self.universe.promises.id_of(promised);
        }
        Ok(())
    }

    /// Asks the backends, and says what the call is told.
    fn ask(&mut self, now: &mut Situation, index: usize, asks: History, request: u32, manner: Manner) -> u32 {
        let is_create = matches!(self.universe.calls.requests.get(request), Request::CreateTrigger(_));
        if is_create && self.scenario.mistake == Some(Mistake::OkBeforeTheTriggerExists) {
            self.arrive(now, index);
            now.on_the_way[index] = Some(request);
            return self.universe.calls.answers.id(Answer::Created("later".into()));
        }
        if manner.is_on_the_way() {
            now.on_the_way[index] = Some(request);
            return self.universe.failed(ErrorKind::Timeout);
        }
        if let Manner::Refused(kind) = manner {
            return self.universe.failed(kind);
        }
        let (world, answer) = self.universe.answer(now.world, request, asks);
        now.world = world;
        if manner == Manner::AnswerLost { self.universe.failed(ErrorKind::Timeout) } else { answer }
    }

    fn arrive(&mut self, now: &mut Situation, index: usize) {
        if let Some(request) = now.on_the_way[index].take() {
            let request = self.universe.calls.requests.get(request);
            let (world, _) = self.universe.worlds.get(now.world).answer(request);
            now.world = self.universe.worlds.id(world);
        }
    }

    /// What must hold when every call has been answered or is dead.
    pub(crate) fn check_end(&mut self, now: &Situation) -> Result<(), String> {
        let is_over = |position: &Position| matches!(position, Position::Answered(_) | Position::Dead);
        if !now.positions.iter().all(is_over) {
            return Ok(());
        }
        let undisturbed = self.is_undisturbed(now) && now.on_the_way == [None; MOST_CALLS];
        self.universe.ends_well(now.world, now.promised, now.epoch, undisturbed)
    }

    /// A choice in words.
    pub(crate) fn describe(&mut self, now: &Situation, choice: Choice) -> String {
        match choice {
            Choice::Lapse => "time passes, until every hold has ended".into(),
            Choice::Arrival(index) => {
                let request = now.on_the_way[usize::from(index)].map(|id| self.universe.calls.requests.get(id));
                let request = request.map_or(String::new(), ToString::to_string);
                format!("{}: arrives at last: {request}", self.name(index))
            }
            Choice::Step(index, manner) => {
                let at = self.at(now, index.into());
                let request = self.universe.request(at).map_or("nothing".into(), ToString::to_string);
                let mut then = *now;
                let outcome = match self.step(&mut then, index.into(), manner) {
                    Err(what) => what,
                    Ok(()) => match then.positions[usize::from(index)] {
                        Position::Answered(None) => "answers Ok".into(),
                        Position::Answered(Some(kind)) => format!("answers {kind}"),
                        Position::Under(history) if self.universe.calls.next(history) == Next::Waits => "waits".into(),
                        _ => String::new(),
                    },
                };
                let manner = if manner == Manner::Answered { String::new() } else { format!(" ({manner:?})") };
                let outcome = if outcome.is_empty() { outcome } else { format!("; {outcome}") };
                format!("{}: {request}{manner}{outcome}", self.name(index))
            }
        }
    }

    /// A call by its number, as there may be two of one kind.
    fn name(&self, index: u8) -> String {
        format!("{} {:?}", index + 1, self.scenario.calls[usize::from(index)])
    }
}

fn number(index: usize) -> u8 {
    u8::try_from(index).unwrap()
}

fn seed(index: usize) -> u64 {
    index.try_into().unwrap()
}
