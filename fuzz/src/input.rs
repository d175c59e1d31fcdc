//! Zones and instants out of any text, so that no mutation is wasted.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

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

/// FNV-1a (Fowler, Noll and Vo) of 64 bits.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
