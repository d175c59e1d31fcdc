//! The row of an execution: its wire format, its hold, and what it is sorted and spread by.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use kairos::backend::ExecutionFilter;
use kairos::clock::later;
use kairos::{Execution, ExecutionId, ExecutionState, Hold};
use serde::Deserialize;

pub(super) const KEY: &str = "IdEjecucion";
pub(super) const PROCESS: &str = "IdProceso";
pub(super) const STATE: &str = "Estado";
pub(super) const ATTEMPTS: &str = "Intentos";
pub(super) const STARTED: &str = "FechaInicio";
pub(super) const FINISHED: &str = "FechaFin";
pub(super) const ERROR: &str = "Error";
pub(super) const OWNER: &str = "Propietario";
pub(super) const UNTIL: &str = "ReservadaHasta";

/// How many partitions of the index by state each state has, if nothing else is said.
pub(super) const PARTITIONS: u8 = 4;
const STATES: [ExecutionState; 5] = [
    ExecutionState::Running,
    ExecutionState::Succeeded,
    ExecutionState::Failed,
    ExecutionState::Dead,
    ExecutionState::Skipped,
];

/// An execution, and who is trying it.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    #[serde(flatten)]
    pub(super) execution: Execution,
    #[serde(flatten)]
    pub(super) hold: Option<Hold>,
}

/// An instant as text that sorts as the instants do, from the year 0 on: the same number of digits each.
pub(super) fn fixed(instant: Timestamp) -> String {
    format!("{instant:.9}")
}

/// Where an execution stands in every listing: by its scheduled time, and among those of one time by its id.
pub(super) fn order(scheduled_time: Timestamp, id: ExecutionId) -> String {
    format!("{}#{id}", fixed(scheduled_time))
}

/// The partition of an execution in the index by state, which has `count` of them for each state.
pub(super) fn partition(state: ExecutionState, id: ExecutionId, count: u8) -> AttributeValue {
    // The last byte of a hash.
    let number = id.uuid().as_bytes()[15] % count;
    AttributeValue::S(partition_name(state, number))
}

/// The partitions of one state, or of all.
pub(super) fn partitions(state: Option<ExecutionState>, count: u8) -> Vec<String> {
    let states = state.as_ref().map_or(&STATES[..], std::slice::from_ref);
    states.iter().flat_map(|state| (0..count).map(|number| partition_name(*state, number))).collect()
}

fn partition_name(state: ExecutionState, number: u8) -> String {
    format!("{state}#{number}")
}

/// When an execution may be forgotten that is kept from then on.
pub(super) fn expiry(from: Timestamp, retention: Duration) -> AttributeValue {
    AttributeValue::N(later(from, retention).as_second().to_string())
}

/// The part of the order that a page may come from: from a position on, and before another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: String,
    pub(super) until: String,
}

impl Span {
    /// Before and after all positions, as text.
    const FIRST: &'static str = " ";
    const LAST: &'static str = "~";

    pub(super) fn of(filter: &ExecutionFilter, after: Option<&str>) -> Self {
        let from = filter.from.map_or_else(|| Self::FIRST.to_owned(), fixed);
        let until = filter.until.map_or_else(|| Self::LAST.to_owned(), fixed);
        Self { from, until }.below(after)
    }

    /// What of it comes before a position.
    pub(super) fn below(&self, position: Option<&str>) -> Self {
        let until = position.filter(|position| *position < self.until.as_str()).unwrap_or(&self.until);
        Self { from: self.from.clone(), until: until.to_owned() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.from >= self.until
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aws_sdk_dynamodb::types::AttributeValue;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_order_is_that_of_the_instants_and_then_of_the_ids() {
        let id = |number: u128| ExecutionId::from(Uuid::from_u128(number));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let sorted = [
            order(at("1969-12-31T23:59:59.5Z"), id(9)),
            order(at("2026-01-01T09:00:00Z"), id(1)),
            order(at("2026-01-01T09:00:00Z"), id(2)),
            order(at("2026-01-01T09:00:00.000000001Z"), id(0)),
            order(at("2026-01-01T09:00:00.5Z"), id(0)),
            order(at("2026-01-01T09:00:01Z"), id(0)),
            order(Timestamp::MAX, id(0)),
        ];
        assert!(sorted.is_sorted(), "{sorted:?}");
        assert_eq!(sorted[1], "2026-01-01T09:00:00.000000000Z#00000000-0000-0000-0000-000000000001");
        for position in &sorted {
            assert!(Span::FIRST < position.as_str() && position.as_str() < Span::LAST);
        }
    }

    #[test]
    fn a_span_begins_with_its_first_instant_and_ends_before_its_last() {
        let (from, until): (Timestamp, Timestamp) =
            ("2026-01-01T09:00:00Z".parse().unwrap(), "2026-01-01T10:00:00Z".parse().unwrap());
        let span = Span::of(&ExecutionFilter::all().with_from(from).with_until(until), None);
        let id = ExecutionId::from(Uuid::nil());
        assert!(span.from <= order(from, id) && order(until, id) > span.until && !span.is_empty());
        let later = span.below(Some(&order(from, id)));
        assert_eq!(later.until, order(from, id));
        assert_eq!(span.below(Some(&order(until, id))), span);
        assert!(Span::of(&ExecutionFilter::all().with_from(until).with_until(from), None).is_empty());
        assert!(!Span::of(&ExecutionFilter::all(), None).is_empty());
    }

    #[test]
    fn executions_are_spread_over_all_partitions_of_their_state() {
        let ids = (0..64u8).map(|n| ExecutionId::from(Uuid::new_v5(&Uuid::nil(), &[n])));
        let used: BTreeSet<_> =
            ids.map(|id| partition(ExecutionState::Dead, id, PARTITIONS).as_s().unwrap().clone()).collect();
        assert_eq!(used, partitions(Some(ExecutionState::Dead), PARTITIONS).into_iter().collect());
        assert_eq!(used.first().map(String::as_str), Some("Muerta#0"));
        let all: BTreeSet<_> = partitions(None, PARTITIONS).into_iter().collect();
        assert!(all.len() == 20 && all.is_superset(&used));
    }

    #[test]
    fn an_execution_expires_after_its_retention() {
        let from = "1970-01-02T00:00:00.9Z".parse().unwrap();
        assert_eq!(expiry(from, Duration::from_secs(60)), AttributeValue::N("86460".into()));
        let end = expiry(from, Duration::MAX);
        assert_eq!(end, AttributeValue::N(Timestamp::MAX.as_second().to_string()));
    }
}
