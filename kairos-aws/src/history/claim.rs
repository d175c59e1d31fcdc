//! Claims: which write asks for one, and what the row means that it could not be made on.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use kairos::backend::{Claim, Claimed};
use kairos::{Execution, ExecutionState, Result};

use super::held_by;
use super::row::{
    ATTEMPTS, ERROR, FINISHED, KEY, OWNER, Record, STARTED, STATE, UNTIL, expiry, fixed, order, partition,
};
use crate::error::dynamodb::unwritable_row;
use crate::tables::expression::Expressions;
use crate::tables::item::to_item;
use crate::tables::{EXPIRY, ORDER, PARTITION};

/// A conditional write that makes a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// Of an execution that is unknown, failed or left behind, and if redriven also of a dead one.
    Free,
    /// Of one that was skipped, as its first attempt again.
    Skipped,
    /// Of one that is its owner's already, to a later end.
    Longer,
}

/// What to do where a write could not be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Answer(Claimed),
    Write(Write),
}

/// What a row that was found means for a claim. `None` is one that has gone since.
pub(super) fn plan(claim: &Claim, found: Option<&Record>) -> Step {
    let Some(Record { execution, hold }) = found else { return Step::Write(Write::Free) };
    match (execution.state, hold) {
        // The answer to its first claim was lost.
        (ExecutionState::Running, Some(hold)) if hold.owner == claim.hold.owner => {
            if hold.until < claim.hold.until {
                Step::Write(Write::Longer)
            } else {
                Step::Answer(Claimed::Granted { attempt: execution.attempts })
            }
        }
        (ExecutionState::Running, Some(hold)) if !hold.has_ended(claim.now) => {
            Step::Answer(Claimed::Held { until: hold.until })
        }
        (ExecutionState::Skipped, _) if claim.starts_anew(ExecutionState::Skipped) => Step::Write(Write::Skipped),
        (state, _) if state.is_finished() && !claim.starts_anew(state) => Step::Answer(Claimed::Finished(state)),
        // It came to this after the first look.
        _ => Step::Write(Write::Free),
    }
}

impl Write {
    /// The action and its condition.
    pub(super) fn expressions(
        self,
        claim: &Claim,
        retention: Duration,
        partitions: u8,
        expressions: &mut Expressions,
    ) -> Result<(String, String)> {
        let condition = match self {
            Self::Free => is_free(claim, expressions),
            Self::Skipped => expressions.equals(STATE, state(ExecutionState::Skipped)),
            Self::Longer => held_by(claim.hold.owner, expressions),
        };
        let mut set = vec![
            expressions.equals(UNTIL, AttributeValue::S(fixed(claim.hold.until))),
            expressions.equals(EXPIRY, expiry(claim.hold.until.max(claim.now), retention)),
        ];
        if self == Self::Longer {
            // For the answer, which is made of what was written.
            set.push(format!("{0} = {0}", expressions.name(ATTEMPTS)));
            return Ok((format!("SET {}", set.join(", ")), condition));
        }
        let work = &claim.work;
        let row = to_item(&Execution::first_try(work, claim.now))?;
        let value = |name: &str| row.get(name).cloned().ok_or_else(unwritable_row);
        // What says which execution it is stays as it was written first.
        for name in ["IdProceso", "IdCalendarizacion", "FechaProgramada", "Origen"] {
            set.push(first(name, value(name)?, expressions));
        }
        set.push(first(ORDER, AttributeValue::S(order(work.scheduled_time, work.execution_id)), expressions));
        set.push(expressions.equals(STATE, value(STATE)?));
        set.push(expressions.equals(PARTITION, partition(ExecutionState::Running, work.execution_id, partitions)));
        set.push(expressions.equals(STARTED, value(STARTED)?));
        set.push(expressions.equals(OWNER, AttributeValue::S(claim.hold.owner.to_string())));
        let one = AttributeValue::N("1".into());
        set.push(if self == Self::Skipped || claim.redriven {
            expressions.equals(ATTEMPTS, one)
        } else {
            let attempts = expressions.name(ATTEMPTS);
            let none = expressions.value(AttributeValue::N("0".into()));
            format!("{attempts} = if_not_exists({attempts}, {none}) + {}", expressions.value(one))
        });
        let removed = [FINISHED, ERROR].map(|name| expressions.name(name));
        Ok((format!("SET {} REMOVE {}", set.join(", "), removed.join(", ")), condition))
    }
}

/// Sets an attribute that is not there yet.
fn first(attribute: &str, value: AttributeValue, expressions: &mut Expressions) -> String {
    let (name, value) = (expressions.name(attribute), expressions.value(value));
    format!("{name} = if_not_exists({name}, {value})")
}

fn is_free(claim: &Claim, expressions: &mut Expressions) -> String {
    let mut cases = vec![expressions.absent(KEY), expressions.equals(STATE, state(ExecutionState::Failed))];
    if claim.redriven {
        cases.push(expressions.equals(STATE, state(ExecutionState::Dead)));
    }
    // Its own claim, although ended, is the same attempt again.
    cases.push(format!(
        "({} AND {} <= {} AND {} <> {})",
        expressions.equals(STATE, state(ExecutionState::Running)),
        expressions.name(UNTIL),
        expressions.text(fixed(claim.now)),
        expressions.name(OWNER),
        expressions.text(claim.hold.owner.to_string()),
    ));
    cases.join(" OR ")
}

fn state(state: ExecutionState) -> AttributeValue {
    AttributeValue::S(state.as_str().into())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kairos::backend::Claim;
    use kairos::{Body, Hold, Owner, WorkItem};

    use super::*;

    const ME: Owner = Owner::from_u128(1);
    const OTHER: Owner = Owner::from_u128(2);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn work(origin: &str) -> WorkItem {
        let body = format!(
            r#"{{"IdProceso":"proceso-YQ..","IdCalendarizacion":"calendarizacion-x","Nombre":"a","ArnProceso":"kairos:task:a",
                "Parametros":null,"Habilitado":true,"FechaCreacion":"2026-01-01T00:00:00Z",
                "FechaProgramada":"2026-01-01T12:00:00Z","Origen":"{origin}"}}"#
        );
        Body::from_json(body).work("message-1", at("2026-01-01T12:00:00Z")).unwrap()
    }

    fn claim(origin: &str, redriven: bool) -> Claim {
        let hold = Hold { owner: ME, until: at("2026-01-01T12:02:00Z") };
        Claim::new(work(origin), hold, at("2026-01-01T12:01:00Z")).with_redriven(redriven)
    }

    fn record(state: ExecutionState, hold: Option<(Owner, &str)>) -> Record {
        let mut execution = Execution::first_try(&work("calendario"), at("2026-01-01T12:00:00Z"));
        (execution.state, execution.attempts) = (state, 3);
        Record { execution, hold: hold.map(|(owner, until)| Hold { owner, until: at(until) }) }
    }

    /// The table of what was found, who asks, and what comes of it.
    #[test]
    fn a_claim_that_could_not_be_written_is_planned() {
        use ExecutionState::{Dead, Failed, Running, Skipped, Succeeded};
        let (calendar, backfill) = ("calendario", "reproceso");
        let other = Some((OTHER, "2026-01-01T12:01:30Z"));
        let ended = Some((OTHER, "2026-01-01T12:01:00Z"));
        let held = || Step::Answer(Claimed::Held { until: at("2026-01-01T12:01:30Z") });
        let finished = |state| Step::Answer(Claimed::Finished(state));
        for (found, origin, redriven, step) in [
            (None, calendar, false, Step::Write(Write::Free)),
            (Some(record(Running, other)), calendar, false, held()),
            (Some(record(Running, other)), calendar, true, held()),
            (Some(record(Running, other)), backfill, false, held()),
            (Some(record(Running, ended)), calendar, false, Step::Write(Write::Free)),
            (Some(record(Running, ended)), calendar, true, Step::Write(Write::Free)),
            (
                Some(record(Running, Some((ME, "2026-01-01T12:02:00Z")))),
                calendar,
                true,
                Step::Answer(Claimed::Granted { attempt: 3 }),
            ),
            (Some(record(Running, Some((ME, "2026-01-01T12:01:00Z")))), calendar, false, Step::Write(Write::Longer)),
            (Some(record(Failed, None)), calendar, false, Step::Write(Write::Free)),
            (Some(record(Succeeded, None)), calendar, true, finished(Succeeded)),
            (Some(record(Succeeded, None)), backfill, false, finished(Succeeded)),
            (Some(record(Dead, None)), calendar, false, finished(Dead)),
            (Some(record(Dead, None)), backfill, false, finished(Dead)),
            (Some(record(Dead, None)), calendar, true, Step::Write(Write::Free)),
            (Some(record(Skipped, None)), calendar, false, finished(Skipped)),
            (Some(record(Skipped, None)), calendar, true, finished(Skipped)),
            (Some(record(Skipped, None)), backfill, false, Step::Write(Write::Skipped)),
            (Some(record(Skipped, None)), backfill, true, Step::Write(Write::Skipped)),
        ] {
            assert_eq!(plan(&claim(origin, redriven), found.as_ref()), step, "{found:?} {origin} {redriven}");
        }
    }

    #[test]
    fn an_attempt_is_counted_in_the_write_unless_it_starts_anew() {
        let action = |write: Write, redriven| {
            write.expressions(&claim("calendario", redriven), Duration::ZERO, 4, &mut Expressions::default()).unwrap().0
        };
        assert!(action(Write::Free, false).contains("#Intentos = if_not_exists(#Intentos, "));
        for anew in [action(Write::Free, true), action(Write::Skipped, false)] {
            assert!(anew.contains("#Intentos = :"), "{anew}");
        }
        assert!(action(Write::Longer, false).ends_with("#Intentos = #Intentos"));
    }
}
