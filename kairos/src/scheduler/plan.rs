//! The registration protocol as a table: what a call that finds a schedule record writes, and what it does next.
//!
//! Pure, so that every row can be read, tested and explored by itself. See [`super`] for the protocol in words.

use jiff::Timestamp;

use crate::model::{Hold, Schedule, ScheduleState, Specification};

/// What a call wants of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// One process more.
    Join,
    /// One process less.
    Leave,
    /// Its trigger, for a process that is known to belong to it.
    Keep,
    /// What its count asks for, as the call that holds it has not come to its own end.
    Settle,
    /// Its trigger, before a process moves to it.
    Prepare,
}

/// Who asks, and what is known.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    /// The right to the record that the call takes where it needs it.
    pub(super) hold: Hold,
    pub(super) now: Timestamp,
    /// How many processes the rows show, where the call had to count them: the record does not say, or may be wrong.
    pub(super) counted: Option<u64>,
}

#[allow(clippy::large_enum_variant, reason = "there is one at a time, on its way from one function to the next")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Somebody else is at it: look again, at the latest when their hold ends.
    Wait { until: Timestamp },
    /// Write this record (`None`: as it is), then do that.
    Write { after: Option<Schedule>, then: Then },
}

/// What a call does after its transaction, and alone has the right to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    CreateTrigger,
    DeleteTrigger,
}

/// The table.
pub(super) fn plan(found: Option<&Schedule>, intent: Intent, specification: &Specification, asker: &Asker) -> Plan {
    let Some(found) = found else {
        return match intent {
            // Nobody holds the trigger of a schedule without record; if there is one, reconciling finds it.
            Intent::Leave | Intent::Settle => Plan::Write { after: None, then: Then::Nothing },
            Intent::Join | Intent::Keep | Intent::Prepare => {
                let fresh = Schedule::new(specification.clone(), asker.now);
                create(fresh, count_after(asker.counted.unwrap_or(0), intent), asker)
            }
        };
    };
    if let Some(hold) = found.state.hold()
        && hold.owner != asker.hold.owner
        && !hold.has_ended(asker.now)
    {
        return Plan::Wait { until: hold.until };
    }
    let before = match (found.process_count, asker.counted) {
        // A row that the record does not know of keeps the trigger alive.
        (Some(recorded), Some(counted)) => recorded.max(counted),
        (recorded, counted) => recorded.or(counted).unwrap_or(0),
    };
    let count = count_after(before, intent);
    match (&found.state, intent) {
        (ScheduleState::Active, Intent::Leave) if count == 0 => retire(found.clone(), asker),
        (ScheduleState::Active, Intent::Join | Intent::Leave) => {
            Plan::Write { after: Some(Schedule { process_count: Some(count), ..found.clone() }), then: Then::Nothing }
        }
        (ScheduleState::Active, Intent::Keep | Intent::Prepare | Intent::Settle) => {
            Plan::Write { after: None, then: Then::Nothing }
        }
        // Its holder is this very call, or never came back: what it left undone is done now.
        (_, Intent::Leave | Intent::Settle) if count == 0 => retire(found.clone(), asker),
        _ => create(found.clone(), count, asker),
    }
}

fn count_after(before: u64, intent: Intent) -> u64 {
    match intent {
        Intent::Join => before.saturating_add(1),
        Intent::Leave => before.saturating_sub(1),
        // The process was read a moment ago, whoever failed to count it.
        Intent::Keep => before.max(1),
        Intent::Prepare | Intent::Settle => before,
    }
}

fn create(record: Schedule, count: u64, asker: &Asker) -> Plan {
    let after = Schedule { state: ScheduleState::Creating(asker.hold), process_count: Some(count), ..record };
    Plan::Write { after: Some(after), then: Then::CreateTrigger }
}

fn retire(record: Schedule, asker: &Asker) -> Plan {
    let after = Schedule { state: ScheduleState::Retiring(asker.hold), process_count: Some(0), ..record };
    Plan::Write { after: Some(after), then: Then::DeleteTrigger }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Owner;
    use Intent::{Join, Keep, Leave, Prepare, Settle};
    use Then::{CreateTrigger, DeleteTrigger, Nothing};

    const NOW: i64 = 1_000;
    const ME: Owner = Owner::from_u128(1);
    const OTHER: Owner = Owner::from_u128(2);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn hold(owner: Owner, until: i64) -> Hold {
        Hold { owner, until: at(until) }
    }

    fn record(state: ScheduleState, count: impl Into<Option<u64>>) -> Schedule {
        let mut record = Schedule::new(Specification::new("rate(1 day)"), at(0));
        record.state = state;
        record.process_count = count.into();
        record
    }

    fn planned(found: Option<&Schedule>, intent: Intent, counted: Option<u64>) -> (Option<(String, u64)>, Then) {
        let asker = Asker { hold: hold(ME, NOW + 60), now: at(NOW), counted };
        match plan(found, intent, &Specification::new("rate(1 day)"), &asker) {
            Plan::Wait { .. } => panic!("no wait is expected"),
            Plan::Write { after, then } => {
                (after.map(|after| (after.state.to_string(), after.process_count.unwrap())), then)
            }
        }
    }

    fn written(state: &str, count: u64) -> Option<(String, u64)> {
        Some((state.into(), count))
    }

    #[test]
    fn without_a_record() {
        assert_eq!(planned(None, Join, None), (written("Creando", 1), CreateTrigger));
        assert_eq!(planned(None, Prepare, None), (written("Creando", 0), CreateTrigger));
        assert_eq!(planned(None, Keep, Some(3)), (written("Creando", 3), CreateTrigger));
        assert_eq!(planned(None, Leave, None), (None, Nothing));
    }

    #[test]
    fn with_an_active_record() {
        let active = record(ScheduleState::Active, 2);
        assert_eq!(planned(Some(&active), Join, None), (written("Activa", 3), Nothing));
        assert_eq!(planned(Some(&active), Leave, None), (written("Activa", 1), Nothing));
        assert_eq!(planned(Some(&active), Keep, None), (None, Nothing));
        assert_eq!(planned(Some(&active), Prepare, None), (None, Nothing));
        let last = record(ScheduleState::Active, 1);
        assert_eq!(planned(Some(&last), Leave, Some(1)), (written("Retirando", 0), DeleteTrigger));
        // The older system added a row that nobody counted.
        assert_eq!(planned(Some(&last), Leave, Some(2)), (written("Activa", 1), Nothing));
    }

    #[test]
    fn with_a_record_of_the_older_system() {
        let older = record(ScheduleState::Active, None);
        assert_eq!(planned(Some(&older), Join, Some(4)), (written("Activa", 5), Nothing));
        assert_eq!(planned(Some(&older), Leave, Some(4)), (written("Activa", 3), Nothing));
        assert_eq!(planned(Some(&older), Leave, Some(1)), (written("Retirando", 0), DeleteTrigger));
    }

    #[test]
    fn with_a_hold_that_is_mine_or_has_ended() {
        for hold in [hold(OTHER, NOW), hold(ME, NOW + 60)] {
            for held in [ScheduleState::Creating(hold), ScheduleState::Retiring(hold)] {
                let empty = record(held.clone(), 0);
                assert_eq!(planned(Some(&empty), Join, None), (written("Creando", 1), CreateTrigger));
                assert_eq!(planned(Some(&empty), Prepare, None), (written("Creando", 0), CreateTrigger));
                assert_eq!(planned(Some(&empty), Keep, None), (written("Creando", 1), CreateTrigger));
                assert_eq!(planned(Some(&empty), Settle, None), (written("Retirando", 0), DeleteTrigger));
                assert_eq!(planned(Some(&empty), Leave, None), (written("Retirando", 0), DeleteTrigger));
                let used = record(held, 2);
                assert_eq!(planned(Some(&used), Join, None), (written("Creando", 3), CreateTrigger));
                assert_eq!(planned(Some(&used), Keep, None), (written("Creando", 2), CreateTrigger));
                assert_eq!(planned(Some(&used), Settle, None), (written("Creando", 2), CreateTrigger));
                assert_eq!(planned(Some(&used), Leave, None), (written("Creando", 1), CreateTrigger));
            }
        }
    }

    #[test]
    fn a_live_hold_of_another_call_is_waited_for() {
        let asker = Asker { hold: hold(ME, NOW + 60), now: at(NOW), counted: None };
        for held in [ScheduleState::Creating(hold(OTHER, NOW + 1)), ScheduleState::Retiring(hold(OTHER, NOW + 1))] {
            for intent in [Join, Leave, Keep, Prepare, Settle] {
                let plan = plan(Some(&record(held.clone(), 1)), intent, &Specification::new("rate(1 day)"), &asker);
                assert_eq!(plan, Plan::Wait { until: at(NOW + 1) });
            }
        }
    }
}
