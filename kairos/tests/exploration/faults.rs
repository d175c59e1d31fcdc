//! What may become of a request.

use kairos::ErrorKind;

use crate::request::Request;
use crate::scenario::Bounds;

/// How a call takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It is answered.
    Answered,
    /// It is answered, and dies.
    Dies,
    /// It dies with its request on the way.
    DiesAsking,
    /// It is answered with an error, and nothing has happened.
    Refused(ErrorKind),
    /// It is told that there was no answer, and what it asked for has happened.
    AnswerLost,
    /// It is told that there was no answer, and its request is still on the way.
    Delayed,
}

impl Manner {
    pub(crate) fn is_crash(self) -> bool {
        matches!(self, Self::Dies | Self::DiesAsking)
    }

    pub(crate) fn is_fault(self) -> bool {
        matches!(self, Self::Refused(_) | Self::AnswerLost | Self::Delayed)
    }

    /// Whether the request is carried out some other time, or never.
    pub(crate) fn is_on_the_way(self) -> bool {
        matches!(self, Self::DiesAsking | Self::Delayed)
    }
}

/// All that may become of a request with so many crashes and faults left.
pub(crate) fn manners(request: &Request, left: &Bounds) -> Vec<Manner> {
    let mut manners = vec![Manner::Answered];
    if left.crashes > 0 {
        manners.push(Manner::Dies);
        if request.changes_a_trigger() {
            manners.push(Manner::DiesAsking);
        }
    }
    if left.faults > 0 {
        manners.push(Manner::Refused(ErrorKind::Throttled));
        manners.push(Manner::Refused(ErrorKind::Denied));
        if request.changes_the_world() {
            manners.push(Manner::AnswerLost);
        }
        // A commit that is late finds other rows than it expects; a request to the scheduler service depends on nothing.
        if request.changes_a_trigger() {
            manners.push(Manner::Delayed);
        }
    }
    manners
}
