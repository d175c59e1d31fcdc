//! The order of executions: by scheduled time, in all, in one state and of one process.

use std::collections::BTreeSet;
use std::fmt;
use std::iter::Peekable;

use jiff::Timestamp;
use kairos::ExecutionState;
use kairos::backend::ExecutionFilter;

use crate::slab::NIL;

/// Where an execution stands in every listing: by its scheduled time, and among those of one time by its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// A timestamp takes 16 bytes by itself; with the slot, these do.
    seconds: i64,
    nanoseconds: u32,
    slot: u32,
}

impl Position {
    const FIRST: Self = Self { seconds: i64::MIN, nanoseconds: 0, slot: 0 };
    const LAST: Self = Self { seconds: i64::MAX, nanoseconds: u32::MAX, slot: NIL };

    pub(crate) fn new(time: Timestamp, slot: u32) -> Self {
        // Before the epoch, a timestamp's fraction is negative.
        let fraction = time.subsec_nanosecond();
        Self {
            seconds: time.as_second() - i64::from(fraction < 0),
            nanoseconds: fraction.rem_euclid(1_000_000_000).unsigned_abs(),
            slot,
        }
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '_');
        Some(Self {
            seconds: parts.next()?.parse().ok()?,
            nanoseconds: parts.next()?.parse().ok()?,
            slot: parts.next()?.parse().ok()?,
        })
    }

    pub(crate) fn slot(self) -> u32 {
        self.slot
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.seconds, self.nanoseconds, self.slot)
    }
}

/// What has become of an execution since the indexes last heard of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) position: Position,
    pub(crate) process: u32,
    /// The state in which they have it, if they do.
    pub(crate) before: Option<ExecutionState>,
    pub(crate) after: ExecutionState,
}

/// An execution that the indexes have, in this state, and that is no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone {
    pub(crate) position: Position,
    pub(crate) process: u32,
    pub(crate) state: ExecutionState,
}

/// The sorted positions of executions, of each state and of each process. All of them are those of all states, merged.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    by_state: [BTreeSet<Position>; 5],
    /// By the number of the process: one tree, not one for each process.
    by_process: BTreeSet<(u32, Position)>,
}

impl Indexes {
    /// Takes out what is gone, and then brings what has changed to its places, which may be the same. Neighbours one after the other: many at
    /// once cost far less than one by one.
    pub(crate) fn update(&mut self, gone: &mut Vec<Gone>, changes: impl Iterator<Item = Change>) {
        gone.sort_unstable_by_key(|gone| gone.position);
        for Gone { position, state, .. } in &*gone {
            self.by_state[number(*state)].remove(position);
        }
        gone.sort_unstable_by_key(|gone| (gone.process, gone.position));
        for Gone { position, process, .. } in gone.drain(..) {
            self.by_process.remove(&(process, position));
        }
        let mut changes: Vec<Change> = changes.collect();
        changes.sort_unstable_by_key(|change| change.position);
        for Change { position, before, after, .. } in &changes {
            if *before != Some(*after) {
                if let Some(before) = before {
                    self.by_state[number(*before)].remove(position);
                }
                self.by_state[number(*after)].insert(*position);
            }
        }
        changes.retain(|change| change.before.is_none());
        changes.sort_unstable_by_key(|change| (change.process, change.position));
        self.by_process.extend(changes.iter().map(|change| (change.process, change.position)));
    }

    /// The positions that a filter may let through, newest first, those at or after `before` left out. The filter's process is asked for
    /// by its number, if it has one.
    pub(crate) fn newest_first(
        &self,
        filter: &ExecutionFilter,
        process: Option<u32>,
        before: Option<Position>,
    ) -> Box<dyn Iterator<Item = Position> + '_> {
        let from = filter.from.map_or(Position::FIRST, |from| Position::new(from, 0));
        let until = filter.until.map_or(Position::LAST, |until| Position::new(until, 0));
        let until = before.map_or(until, |before| before.min(until));
        if from >= until {
            return Box::new(std::iter::empty());
        }
        match (&filter.process, filter.state) {
            (Some(_), _) => match process {
                Some(process) => {
                    let range = self.by_process.range((process, from)..(process, until));
                    Box::new(range.rev().map(|(_, position)| *position))
                }
                None => Box::new(std::iter::empty()),
            },
            (None, Some(state)) => Box::new(self.by_state[number(state)].range(from..until).rev().copied()),
            (None, None) => {
                let states = self.by_state.iter().map(|state| state.range(from..until).rev().copied().peekable());
                Box::new(Merged(states.collect()))
            }
        }
    }
}

/// Several sequences, each newest first, as one.
struct Merged<I: Iterator>(Vec<Peekable<I>>);

impl<I: Iterator<Item = Position>> Iterator for Merged<I> {
    type Item = Position;

    fn next(&mut self) -> Option<Position> {
        let heads = self.0.iter_mut().enumerate().filter_map(|(index, rest)| Some((*rest.peek()?, index)));
        let (_, newest) = heads.max()?;
        self.0[newest].next()
    }
}

/// States that a later version adds share the last index; the listing's own filter tells them apart.
fn number(state: ExecutionState) -> usize {
    match state {
        ExecutionState::Running => 0,
        ExecutionState::Succeeded => 1,
        ExecutionState::Failed => 2,
        ExecutionState::Dead => 3,
        _ => 4,
    }
}
