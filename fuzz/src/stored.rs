//! Items of the tables.

use std::fmt::Debug;

use jiff::Timestamp;
use kairos::{Execution, Policy, Process, Schedule};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::refusal::check_error;

/// An item is read, written and read again as the same, and what depends on it answers.
pub fn stored(text: &str) {
    if let Some(process) = read::<Process>(text)
        && let Err(error) = Policy::default().admit(&process)
    {
        check_error(&error, |_| None);
    }
    if let Some(schedule) = read::<Schedule>(text) {
        let expression = schedule.specification.expression.as_str();
        match schedule.specification.timetable(schedule.created_at.timestamp()) {
            Ok(timetable) => drop(timetable.next_after(Timestamp::UNIX_EPOCH)),
            Err(error) => check_error(&error, |field| (field == "cron").then_some(expression)),
        }
    }
    read::<Execution>(text);
}

fn read<T: Debug + PartialEq + Serialize + DeserializeOwned>(text: &str) -> Option<T> {
    match serde_json::from_str(text) {
        Ok(item) => {
            check_round_trip(&item);
            Some(item)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// What is written is read as the same, from text and from a tree of values, and written as the same text.
#[track_caller]
pub(crate) fn check_round_trip<T: Debug + PartialEq + Serialize + DeserializeOwned>(item: &T) {
    let text = serde_json::to_string(item).expect("plain data is always JSON");
    let again: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(again, *item, "{text}");
    assert_eq!(serde_json::to_string(&again).ok(), Some(text));
    let tree = serde_json::to_value(item).expect("plain data is always JSON");
    assert_eq!(serde_json::from_value::<T>(tree).expect("the tree is what the text is"), *item);
}
