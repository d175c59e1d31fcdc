//! Instants as the wire writes them: ISO 8601 with the offset of whoever wrote them.

use std::fmt;
use std::str::FromStr;

use jiff::fmt::temporal::{DateTimePrinter, Pieces, PiecesOffset};
use jiff::tz::Offset;
use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize};

/// An instant together with the UTC offset it was written in, so that what is read is written again unchanged.
///
/// Reads 0 to 9 fractional digits, an offset or `Z`, and no offset at all as UTC. Writes as many fractional digits as are needed.
/// An offset with seconds cannot be written in ISO 8601: the instant that it means is kept in UTC.
///
/// ```
/// use kairos::OffsetTimestamp;
///
/// let text = "2025-11-06T12:34:56.1234567-03:00";
/// let created: OffsetTimestamp = text.parse().unwrap();
/// assert_eq!(created.to_string(), text);
/// assert_eq!(created.timestamp().to_string(), "2025-11-06T15:34:56.1234567Z");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetTimestamp {
    timestamp: Timestamp,
    offset: Offset,
}

impl OffsetTimestamp {
    /// The instant.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        self.timestamp
    }
}

impl From<Timestamp> for OffsetTimestamp {
    fn from(timestamp: Timestamp) -> Self {
        Self { timestamp, offset: Offset::UTC }
    }
}

impl fmt::Display for OffsetTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = DateTimePrinter::new().timestamp_with_offset_to_string(&self.timestamp, self.offset);
        f.write_str(&text)
    }
}

impl FromStr for OffsetTimestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pieces = Pieces::parse(text)?;
        let time = pieces.time().unwrap_or(civil::Time::midnight());
        let offset = match pieces.offset() {
            Some(PiecesOffset::Numeric(numeric)) => numeric.offset(),
            _ => Offset::UTC,
        };
        let timestamp = offset.to_timestamp(pieces.date().to_datetime(time))?;
        let is_written = offset.seconds() % 60 == 0;
        Ok(Self { timestamp, offset: if is_written { offset } else { Offset::UTC } })
    }
}

impl Serialize for OffsetTimestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OffsetTimestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        for text in [
            "2025-11-06T12:34:56.1234567-03:00",
            "2025-11-06T12:34:56.123456789+05:45",
            "2025-11-06T12:34:56+00:00",
            "1969-12-31T23:59:59.5-11:00",
        ] {
            assert_eq!(text.parse::<OffsetTimestamp>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_offset_with_seconds_keeps_its_instant() {
        let read: OffsetTimestamp = "1890-01-01T00:00:00-04:42:46".parse().unwrap();
        assert_eq!(read.to_string(), "1890-01-01T04:42:46+00:00");
        assert_eq!(read.to_string().parse::<OffsetTimestamp>().unwrap(), read);
    }

    #[test]
    fn other_spellings_of_the_same_instant_are_read() {
        let instant: Timestamp = "2025-11-06T12:34:56Z".parse().unwrap();
        for text in [
            "2025-11-06T12:34:56Z",
            "2025-11-06T12:34:56",
            "2025-11-06T12:34:56.000-00:00",
            "2025-11-06T09:34:56.0000000-03:00",
        ] {
            assert_eq!(text.parse::<OffsetTimestamp>().unwrap().timestamp(), instant, "{text}");
        }
        for text in ["", "ayer", "2025-13-01T00:00:00Z", "2025-11-06T12:34:56.1234567890Z"] {
            text.parse::<OffsetTimestamp>().unwrap_err();
        }
    }
}
