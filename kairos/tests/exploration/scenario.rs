//! What is explored: where it starts, which calls run beside each other, and what may go wrong meanwhile.

use std::fmt;

use crate::mistakes::Mistake;

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

    /// The process that it registers, unregisters, moves or switches.
    pub(crate) fn subject(self) -> Option<&'static str> {
        match self {
            Self::RegisterB | Self::UnregisterB => Some("b"),
            Self::RegisterA | Self::UnregisterA | Self::MoveA | Self::DisableA | Self::EnableA => Some("a"),
            Self::Reconcile | Self::FireS => None,
        }
    }
}

/// The most calls of a scenario.
pub(crate) const MOST_CALLS: usize = 3;

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) start: Start,
    pub(crate) calls: Vec<Call>,
    pub(crate) mistake: Option<Mistake>,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {:?}, {:?}", self.start, self.calls)?;
        self.mistake.map_or(Ok(()), |mistake| write!(f, ", {mistake:?}"))
    }
}

/// So many calls beside each other, whichever they are, from every start.
pub(crate) fn all(calls: usize) -> Vec<Scenario> {
    let chosen = multisets(&Call::ALL, calls);
    let of_start = |start| chosen.iter().map(move |calls| Scenario { start, calls: calls.clone(), mistake: None });
    Start::ALL.into_iter().flat_map(of_start).collect()
}

fn multisets(of: &[Call], size: usize) -> Vec<Vec<Call>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let with_first =
        |first: usize| multisets(&of[first..], size - 1).into_iter().map(move |rest| [vec![of[first]], rest].concat());
    (0..of.len()).flat_map(with_first).collect()
}

/// How far a scenario is explored.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// How often a call that could go on may be held up for another one to go on; `None` is as often as can be.
    pub(crate) preemptions: Option<u32>,
    /// How many calls may die.
    pub(crate) crashes: u8,
    /// How many requests may be refused, or have their answers lost.
    pub(crate) faults: u8,
    /// How often everybody may be held up until every hold has ended.
    pub(crate) lapses: u8,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.preemptions {
            Some(most) => write!(f, "at most {most} preemptions")?,
            None => f.write_str("in full")?,
        }
        for (most, what) in [(self.crashes, "crashes"), (self.faults, "faults"), (self.lapses, "lapses of time")] {
            if most > 0 {
                write!(f, ", at most {most} {what}")?;
            }
        }
        Ok(())
    }
}
