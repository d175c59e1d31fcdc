//! Time zones by name.

use std::fmt;

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The longest name that is looked at, in bytes; the longest in the database has 32.
const MAX_LENGTH: usize = 100;
/// How many slips a name may have and still be recognised.
const MAX_DISTANCE: usize = 2;

/// A time zone by its IANA name, such as `America/Santiago`, `US/Eastern` or `UTC`.
///
/// Upper and lower case do not matter (Kairos's decision); the zone's own `iana_name` is spelled as IANA spells it. Zones
/// come from the database bundled with the library, so that results do not depend on the machine. With the crate feature
/// `system-tz` they come from the machine's database, and from the bundled one where that has none.
///
/// ```
/// let zone = kairos::zone::get("america/santiago")?;
/// assert_eq!(zone.iana_name(), Some("America/Santiago"));
///
/// let error = kairos::zone::get("UTC+01:00").unwrap_err();
/// assert_eq!(error.suggestion(), Some("Etc/GMT-1"));
/// # Ok::<(), kairos::zone::ZoneError>(())
/// ```
///
/// # Errors
///
/// For anything that is not such a name: offsets, abbreviations such as `PST`, misspellings, more than 100 bytes.
pub fn get(name: &str) -> Result<TimeZone, ZoneError> {
    if name.len() > MAX_LENGTH {
        return Err(ZoneError { name: name.chars().take(32).chain(['…']).collect(), suggestion: None });
    }
    let found = database().get(name).or_else(|_| TimeZoneDatabase::bundled().get(name));
    // jiff knows `Etc/Unknown`, which is none of IANA's.
    found
        .ok()
        .filter(|zone| !zone.is_unknown())
        .ok_or_else(|| ZoneError { name: name.to_owned(), suggestion: suggest(name) })
}

#[cfg(feature = "system-tz")]
fn database() -> &'static TimeZoneDatabase {
    jiff::tz::db()
}

#[cfg(not(feature = "system-tz"))]
fn database() -> TimeZoneDatabase {
    TimeZoneDatabase::bundled()
}

/// Why a name is no time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneError {
    name: String,
    suggestion: Option<String>,
}

impl ZoneError {
    /// The name as it was given; only its beginning if it is longer than any name can be.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name that was probably meant.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "time zone {:?} is not an IANA name", self.name)?;
        match self.suggestion.as_deref() {
            Some(name) if name.starts_with("Etc/GMT") => {
                write!(f, "; use {name} (its sign is the other way round), or the name of a place")
            }
            Some(name) => write!(f, "; use {name}"),
            None => f.write_str("; use one such as America/Santiago or UTC"),
        }
    }
}

impl std::error::Error for ZoneError {}

fn suggest(name: &str) -> Option<String> {
    if let Some(minutes) = offset(name) {
        return at_offset(minutes);
    }
    let name = name.trim().replace(' ', "_");
    let names: Vec<String> = TimeZoneDatabase::bundled()
        .available()
        .map(|known| known.to_string())
        .filter(|known| known != "Factory")
        .collect();
    let is_place = |known: &&String| known.rsplit_once('/').is_some_and(|(_, place)| place.eq_ignore_ascii_case(&name));
    names
        .iter()
        .find(|known| known.eq_ignore_ascii_case(&name))
        .or_else(|| names.iter().find(is_place))
        .cloned()
        .or_else(|| {
            let near = |known: String| Some((distance_ignoring_case(&known, &name)?, known));
            // Short names are all near each other.
            let near = names.into_iter().filter(|known| known.len() > 5).filter_map(near);
            near.min_by_key(|&(distance, _)| distance).map(|(_, known)| known)
        })
}

/// The minutes east of Greenwich of `UTC+1`, `GMT-03:00`, `+0530` and the like.
fn offset(name: &str) -> Option<i32> {
    let name = name.trim();
    let prefix = name.get(..3).filter(|prefix| ["UTC", "GMT"].iter().any(|known| known.eq_ignore_ascii_case(prefix)));
    let rest = name[prefix.map_or(0, str::len)..].trim_start();
    let (sign, rest) = match rest.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, rest.strip_prefix(['-', '\u{2212}'])?),
    };
    let (hours, minutes) = match rest.split_once(':') {
        Some(parts) => parts,
        None if rest.len() == 4 && rest.is_ascii() => rest.split_at(2),
        None => (rest, "0"),
    };
    let number = |text: &str| text.parse::<u8>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours <= 14 && minutes < 60).then(|| sign * (i32::from(hours) * 60 + i32::from(minutes)))
}

/// A zone that is always at an offset. `Etc/GMT-1` is an hour *east*: there, signs are reversed.
fn at_offset(minutes: i32) -> Option<String> {
    /// Part-hour offsets without daylight saving.
    const PLACES: [(i32, &str); 8] = [
        (-570, "Pacific/Marquesas"),
        (210, "Asia/Tehran"),
        (270, "Asia/Kabul"),
        (330, "Asia/Kolkata"),
        (345, "Asia/Kathmandu"),
        (390, "Asia/Yangon"),
        (525, "Australia/Eucla"),
        (570, "Australia/Darwin"),
    ];
    match minutes {
        0 => Some(String::from("UTC")),
        -720..=840 if minutes % 60 == 0 => Some(format!("Etc/GMT{:+}", -minutes / 60)),
        _ => PLACES.iter().find(|(known, _)| *known == minutes).map(|(_, name)| (*name).to_owned()),
    }
}

fn distance_ignoring_case(one: &str, other: &str) -> Option<usize> {
    distance(&one.to_ascii_lowercase(), &other.to_ascii_lowercase(), MAX_DISTANCE)
}

/// How many bytes must be added, removed or replaced to make one text of another; `None` if it is more than `most`.
///
/// Work is bounded by the product of the lengths, and by nothing at all where these differ by more than `most`.
pub(crate) fn distance(one: &str, other: &str, most: usize) -> Option<usize> {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len().abs_diff(other.len()) > most {
        return None;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, byte) in one.iter().enumerate() {
        let mut diagonal = index;
        row[0] = index + 1;
        for (column, against) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != against);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
        if row.iter().all(|&distance| distance > most) {
            return None;
        }
    }
    row.last().copied().filter(|&distance| distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_iana_s() {
        for name in ["America/Santiago", "US/Eastern", "UTC", "Etc/UTC", "GMT", "EST5EDT", "Asia/Saigon", "Etc/GMT-1"] {
            let zone = get(name).unwrap();
            assert_eq!(zone.iana_name(), Some(name));
            assert_eq!(get(&name.to_lowercase()).unwrap().iana_name(), Some(name));
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_nearest() {
        let rows = [
            ("UTC+01:00", Some("Etc/GMT-1")),
            ("UTC+1", Some("Etc/GMT-1")),
            ("GMT+1", Some("Etc/GMT-1")),
            ("gmt-03", Some("Etc/GMT+3")),
            ("+0530", Some("Asia/Kolkata")),
            ("UTC-12:00", Some("Etc/GMT+12")),
            ("UTC+14", Some("Etc/GMT-14")),
            ("UTC-13", None),
            ("UTC+00:00", Some("UTC")),
            ("UTC+0:17", None),
            ("UTC+1:60", None),
            ("America/Santiagoo", Some("America/Santiago")),
            ("Europe/Brussel", Some("Europe/Brussels")),
            ("America/New York", Some("America/New_York")),
            (" Europe/Madrid ", Some("Europe/Madrid")),
            ("Madrid", Some("Europe/Madrid")),
            ("Asia/Tokio", Some("Asia/Tokyo")),
            ("America/Nowhere_At_All", None),
            ("PST", None),
            ("Etc/Unknown", None),
            ("", None),
            ("ñ", None),
            ("UTC−03:00", Some("Etc/GMT+3")),
            ("UTé+1", None),
        ];
        for (name, suggestion) in rows {
            let error = get(name).unwrap_err();
            assert_eq!(error.suggestion(), suggestion, "{name:?}");
            assert_eq!(error.name(), name);
            if let Some(suggestion) = suggestion {
                assert_eq!(get(suggestion).unwrap().iana_name(), Some(suggestion));
                assert!(error.to_string().contains(suggestion));
            }
        }
    }

    #[test]
    fn an_offset_is_answered_without_a_place_that_has_another() {
        for (name, known) in [("UTC-3", "Etc/GMT+3"), ("+03:00", "Etc/GMT-3")] {
            assert_eq!(
                get(name).unwrap_err().to_string(),
                format!(
                    "time zone {name:?} is not an IANA name; \
                     use {known} (its sign is the other way round), or the name of a place"
                )
            );
        }
    }

    #[test]
    fn every_offset_that_is_offered_is_that_offset() {
        for minutes in (-13 * 60..=15 * 60).step_by(15) {
            if let Some(name) = at_offset(minutes) {
                let noon = jiff::civil::date(2026, 7, 1).at(12, 0, 0, 0);
                for noon in [noon, noon.with().month(1).build().unwrap()] {
                    let zone = get(&name).unwrap();
                    assert_eq!(zone.to_offset(zone.to_timestamp(noon).unwrap()).seconds(), minutes * 60, "{name}");
                }
            }
        }
    }

    #[test]
    fn distances_are_counted_up_to_a_bound() {
        assert_eq!(distance("tokyo", "tokyo", 2), Some(0));
        assert_eq!(distance("tokio", "tokyo", 2), Some(1));
        assert_eq!(distance("tokyo", "toky", 2), Some(1));
        assert_eq!(distance("tkoyo", "tokyo", 2), Some(2));
        assert_eq!(distance("tokyo", "kyoto", 2), None);
        assert_eq!(distance("", "abc", 2), None);
        assert_eq!(distance("", "", 0), Some(0));
    }
}
