//! What everything that is written out has in common: its version, and the places of its rows.

use kairos::Result;
use serde::{Deserialize, Serialize};

use crate::error;
use crate::slab::Slab;

/// The version of what is written out. What has another one is refused when it is read: it says what this one cannot know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub(crate) struct Version;

impl Version {
    const NUMBER: u32 = 1;
}

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        match number {
            Self::NUMBER => Ok(Self),
            other => Err(format!("the state was saved as version {other}; only version {} can be read", Self::NUMBER)),
        }
    }
}

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        Version::NUMBER
    }
}

/// A slab for rows that will be inserted in their order, each of which finds its place, with these holes among them.
///
/// # Errors
/// [`Malformed`](kairos::ErrorKind::Malformed) where a place is there twice, or one is missing.
pub(crate) fn slab<T>(rows: &'static str, places: impl Iterator<Item = u32>, holes: &[u32]) -> Result<Slab<T>> {
    let mut order: Vec<u32> = places.collect();
    let count = order.len();
    order.extend(holes);
    Slab::to_be_filled(&order).map_err(|index| {
        let (place, places) = (order[index] as usize, order.len());
        let what = match place < places {
            true => format!("place {place} is there twice"),
            false => format!("place {place} is beyond the {places} that are there: one before it is missing"),
        };
        match index.checked_sub(count) {
            None => error::unreadable(row(rows, index), what),
            Some(index) => error::unreadable(row("Huecos", index), what),
        }
    })
}

/// How errors name a row.
pub(crate) fn row(list: &'static str, index: usize) -> String {
    format!("{list}[{index}]")
}
