//! Ways of building the protocol that look right and are wrong. A call that makes one sees the world, or is understood, a little
//! differently; everything else is the real code.

use std::collections::BTreeSet;

use kairos::backend::Transaction;
use kairos::chance::Chance;
use kairos::{Hold, Owner, Schedule, ScheduleState};

use crate::request::{Answer, Request};
use crate::world::{World, instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// The trigger is created some time after the call has been answered.
    OkBeforeTheTriggerExists,
    /// A schedule that another call is creating is taken for an active one.
    JoiningWhatIsBeingCreated,
    /// A schedule that another call is retiring is taken for an active one.
    JoiningWhatIsBeingRetired,
    /// The process is written first, and the record after that.
    CountOutsideTheTransaction,
    /// The hold of another call is taken for one that has ended.
    TakingOverTooEarly,
    /// The last process takes the record with it at once, and the trigger after that.
    DeletingTheTriggerWithoutHolding,
    /// A call that has been held up goes on as if the hold were still its own.
    SettlingWhatIsNoLongerMine,
}

/// The call that makes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Culprit {
    pub(crate) mistake: Mistake,
    /// Its chance, which its owners are drawn from.
    pub(crate) seed: u64,
    /// Whether it has committed anything yet.
    pub(crate) has_committed: bool,
}

impl Culprit {
    /// What the world answers to a request that is made, or understood, by mistake.
    pub(crate) fn answer(self, world: &World, request: &Request) -> (World, Answer) {
        match request {
            Request::Commit(transaction) => world.answer(&Request::Commit(self.understood(world, transaction))),
            Request::Schedule(_) => {
                let (world, answer) = world.answer(request);
                let seen = match answer {
                    Answer::Schedule(record) => Answer::Schedule(record.map(|record| self.seen(record))),
                    other => other,
                };
                (world, seen)
            }
            _ => world.answer(request),
        }
    }

    /// The owners that it draws: a reconciliation draws one for each schedule.
    fn owners(self) -> BTreeSet<Owner> {
        let chance = Chance::from_seed(self.seed);
        (0..4).map(|_| chance.owner()).collect()
    }

    /// The record of another call's hold, as the mistake has it.
    fn seen(self, mut record: Schedule) -> Schedule {
        let owners = self.owners();
        let Some(&hold) = record.state.hold().filter(|hold| !owners.contains(&hold.owner)) else {
            return record;
        };
        let with_hold = |hold: Hold| match record.state {
            ScheduleState::Retiring(_) => ScheduleState::Retiring(hold),
            _ => ScheduleState::Creating(hold),
        };
        record.state = match (self.mistake, &record.state) {
            (Mistake::JoiningWhatIsBeingCreated, ScheduleState::Creating(_))
            | (Mistake::JoiningWhatIsBeingRetired, ScheduleState::Retiring(_)) => ScheduleState::Active,
            (Mistake::TakingOverTooEarly, _) => with_hold(Hold { until: instant(0), ..hold }),
            (Mistake::SettlingWhatIsNoLongerMine, _) if self.has_committed => {
                let owner = Chance::from_seed(self.seed).owner();
                with_hold(Hold { owner, ..hold })
            }
            _ => record.state.clone(),
        };
        record
    }

    /// What it writes, on condition of what is there instead of what it saw.
    fn understood(self, world: &World, transaction: &Transaction) -> Transaction {
        let mut transaction = transaction.clone();
        for change in &mut transaction.schedules {
            if self.mistake == Mistake::DeletingTheTriggerWithoutHolding
                && matches!(&change.after, Some(Schedule { state: ScheduleState::Retiring(_), .. }))
            {
                change.after = None;
            }
            let Some(before) = &mut change.before else { continue };
            let Some(actual) = world.records.iter().find(|record| record.id == before.id) else { continue };
            if *actual == *before || self.seen(actual.clone()) != *before {
                continue;
            }
            // Who joins leaves the hold to its holder.
            if before.state == ScheduleState::Active
                && let Some(after) = &mut change.after
                && after.state == ScheduleState::Active
            {
                after.state = actual.state.clone();
            }
            *before = actual.clone();
        }
        transaction
    }
}
