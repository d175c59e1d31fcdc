//! Zones, instants and messages out of any text, so that no mutation is wasted.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use kairos::{ExecutionId, OffsetTimestamp, ProcessId};
use serde::Deserialize;

/// The zone of this name, or the one that the text happens to mean.
pub(crate) fn zone(text: &str) -> TimeZone {
    kairos::zone::get(text).unwrap_or_else(|_| {
        let database = TimeZoneDatabase::bundled();
        let names: Vec<_> = database.available().collect();
        let index = usize::try_from(fingerprint(text) % names.len() as u64).expect("below the number of names");
        kairos::zone::get(names[index].as_str()).unwrap_or(TimeZone::UTC)
    })
}

/// The instant that is written, or the one that the text happens to mean: within or close to the years that expressions name.
pub(crate) fn instant(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|_| {
        let hash = fingerprint(text);
        let seconds = i64::try_from(hash % 7_400_000_000).expect("far below the largest") - 100_000_000;
        let nanoseconds = if hash.is_multiple_of(3) { 0 } else { i32::try_from(hash >> 35).expect("29 bits") };
        Timestamp::new(seconds, nanoseconds).expect("between 1966 and 2201")
    })
}

/// None for nothing and for `-`.
pub(crate) fn optional_instant(text: Option<&str>) -> Option<Timestamp> {
    text.filter(|text| *text != "-").map(instant)
}

/// What the ids of a message are made of.
#[derive(Deserialize)]
struct Named {
    #[serde(rename = "Nombre")]
    name: String,
    #[serde(rename = "FechaProgramada", default)]
    scheduled_time: Option<String>,
}

/// The message with the ids that belong to it where it says `=`: no mutation would ever find them.
pub(crate) fn message(text: &str) -> Cow<'_, str> {
    let id = |key: &str, id: &str| format!(r#""{key}":"{id}""#);
    let [process, execution] = ["IdProceso", "IdEjecucion"].map(|key| id(key, "="));
    if !text.contains(&process) && !text.contains(&execution) {
        return text.into();
    }
    let Ok(named) = serde_json::from_str::<Named>(text) else { return text.into() };
    let process_id = ProcessId::of(&named.name);
    let text = text.replace(&process, &id("IdProceso", process_id.as_str()));
    match named.scheduled_time.and_then(|time| time.parse::<OffsetTimestamp>().ok()) {
        Some(time) => {
            let execution_id = ExecutionId::of_occurrence(&process_id, time.timestamp());
            text.replace(&execution, &id("IdEjecucion", &execution_id.to_string())).into()
        }
        None => text.into(),
    }
}

/// FNV-1a (Fowler, Noll and Vo) of 64 bits.
fn fingerprint(text: &str) -> u64 {
    extended(0xcbf2_9ce4_8422_2325, text)
}

const PRIME: u64 = 0x0100_0000_01b3;

/// The fingerprint of what has this one so far, and of the text after it.
pub(crate) fn extended(fingerprint: u64, text: &str) -> u64 {
    text.bytes().fold(fingerprint, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// The fingerprint of what stood before this text, which has this one with it.
pub(crate) fn shortened(fingerprint: u64, text: &str) -> u64 {
    const INVERSE: u64 = 0xce96_5057_aff6_957b;
    const { assert!(PRIME.wrapping_mul(INVERSE) == 1) };
    text.bytes().rev().fold(fingerprint, |hash, byte| hash.wrapping_mul(INVERSE) ^ u64::from(byte))
}
