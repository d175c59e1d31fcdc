//! Fire times with what the zone does to them, in words.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset};

use super::Timetable;
use super::bounds::{Bounds, floor};
use crate::expression::{Cron, Expression};

/// How many skipped occurrences are named before the rest are counted.
const NAMED: usize = 3;
/// How many skipped occurrences are counted.
const COUNTED: usize = 10_000;

/// One fire time, as a preview shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fire {
    /// The instant.
    pub at: Timestamp,
    /// The same on the wall clock of the zone.
    pub local: DateTime,
    /// The zone's offset from UTC at the instant.
    pub offset: Offset,
    /// What the zone does between the fire time before (or the instant asked about) and this one.
    pub notes: Vec<ZoneNote>,
}

/// What a time zone does to a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZoneNote {
    /// An occurrence before this one does not fire, since a zone change skips its local time.
    Skipped {
        /// The local time that does not exist.
        local: DateTime,
    },
    /// More such occurrences than are named one by one.
    SkippedMore {
        /// How many more; counted up to 10 000.
        count: usize,
    },
    /// The local time of this fire comes twice. It fires the first time.
    Repeated {
        /// The local time.
        local: DateTime,
        /// When it comes again, without firing.
        again: Timestamp,
    },
    /// The offset from UTC is no longer that of the fire time before (or of the instant asked about).
    OffsetChanged {
        /// The offset then.
        from: Offset,
        /// The offset now.
        to: Offset,
    },
}

impl fmt::Display for ZoneNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ZoneNote::Skipped { local } => {
                write!(f, "skips {}: a zone change leaves out that local time", Minute(*local))
            }
            ZoneNote::SkippedMore { count } => write!(f, "skips {count} more for the same reason"),
            ZoneNote::Repeated { local, again } => {
                write!(f, "{} comes twice and fires the first time, not again at {again}", Minute(*local))
            }
            ZoneNote::OffsetChanged { from, to } => write!(f, "the offset from UTC changes from {from} to {to}"),
        }
    }
}

/// Why a timetable does not fire after an instant; see [`Timetable::why_never`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Never {
    /// The expression names days that no year from 1970 to 2199 has, such as 30 February.
    NoSuchDay,
    /// It has fired for the last time.
    Over {
        /// When.
        last: Timestamp,
    },
    /// It would fire, but only after its end.
    Ended {
        /// The end.
        end: Timestamp,
    },
    /// All that is left falls in local times that zone changes skip.
    Skipped {
        /// The first local time that is left.
        local: DateTime,
    },
    /// The next occurrence is beyond the largest instant there is, in the year 9999.
    Beyond,
}

impl fmt::Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Never::NoSuchDay => f.write_str("never fires: no year from 1970 to 2199 has such a day"),
            Never::Over { last } => write!(f, "never fires again: the last time was {last}"),
            Never::Ended { end } => write!(f, "never fires again: it ends at {end}"),
            Never::Skipped { local } => {
                write!(
                    f,
                    "never fires: a zone change skips {}, and every occurrence left is skipped alike",
                    Minute(*local)
                )
            }
            Never::Beyond => f.write_str("never fires: the instant is beyond the last that can be told"),
        }
    }
}

/// A local time as a person writes it: without seconds where there are none.
struct Minute(DateTime);

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Minute(local) = self;
        write!(f, "{} {:02}:{:02}", local.date(), local.hour(), local.minute())?;
        if local.second() == 0 { Ok(()) } else { write!(f, ":{:02}", local.second()) }
    }
}

impl Timetable {
    /// The next fire times after an instant, at most `count`, with what the zone does to them.
    ///
    /// ```
    /// use kairos::timetable::{Timetable, ZoneNote};
    ///
    /// let timetable = Timetable::new("cron(30 1 * * ? *)".parse()?, kairos::zone::get("America/New_York")?);
    /// let fires = timetable.upcoming("2026-10-31T12:00:00-04:00".parse()?, 2);
    /// assert_eq!(fires[0].local.to_string(), "2026-11-01T01:30:00");
    /// assert!(matches!(fires[0].notes[..], [ZoneNote::Repeated { .. }]));
    /// assert_eq!(fires[1].notes[0].to_string(), "the offset from UTC changes from -04 to -05");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn upcoming(&self, after: Timestamp, count: usize) -> Vec<Fire> {
        let mut last = (after, self.zone().to_offset(after));
        let mut fires = Vec::new();
        for at in self.after(after).take(count) {
            let offset = self.zone().to_offset(at);
            let local = offset.to_datetime(at);
            let mut notes = self.skipped_notes(last.0, at);
            notes.extend(self.repeated(local, at));
            if offset != last.1 {
                notes.push(ZoneNote::OffsetChanged { from: last.1, to: offset });
            }
            last = (at, offset);
            fires.push(Fire { at, local, offset, notes });
        }
        fires
    }

    /// Why nothing fires after an instant; `None` if something does.
    ///
    /// ```
    /// use kairos::timetable::{Never, Timetable};
    ///
    /// let timetable = Timetable::new("cron(0 0 30 2 ? *)".parse()?, jiff::tz::TimeZone::UTC);
    /// let never = timetable.why_never("2026-01-01T00:00:00Z".parse()?);
    /// assert_eq!(never, Some(Never::NoSuchDay));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn why_never(&self, after: Timestamp) -> Option<Never> {
        if self.next_after(after).is_some() {
            return None;
        }
        let unbounded = self.clone().with_end(None);
        if let (Some(end), Some(_)) = (self.end(), unbounded.next_after(after)) {
            return Some(Never::Ended { end });
        }
        let skipped = |local| Never::Skipped { local };
        Some(match &self.expression {
            Expression::Cron(cron) => {
                let left = || self.skipped_between(cron, after, Timestamp::MAX).next().map(skipped);
                let last = || self.previous_before(Timestamp::MAX).map(|last| Never::Over { last });
                let ever = || self.skipped_between(cron, Timestamp::MIN, after).next().map(skipped);
                left().or_else(last).or_else(ever).unwrap_or(Never::NoSuchDay)
            }
            Expression::Rate(_) => Never::Beyond,
            Expression::At(at) => match self.zone().to_ambiguous_timestamp(at.local()).offset() {
                AmbiguousOffset::Gap { .. } => skipped(at.local()),
                _ => self.wall.once(*at).map_or(Never::Beyond, |last| Never::Over { last }),
            },
        })
    }

    /// The local times that the expression names and a zone change skips, for changes after an instant and up to
    /// another, within start and end.
    fn skipped_between(&self, cron: &Cron, after: Timestamp, until: Timestamp) -> impl Iterator<Item = DateTime> {
        let Bounds { start, end, .. } = self.bounds;
        let within = move |change: i64| {
            start.is_none_or(|start| floor(start) <= change) && end.is_none_or(|end| floor(end) >= change)
        };
        let gaps = self.wall.gaps(floor(after), floor(until)).filter(move |gap| within(gap.change));
        gaps.flat_map(move |gap| {
            let first = cron.first_from(gap.lower);
            std::iter::successors(first, move |local| cron.first_from(local + 60))
                .take_while(move |&local| local < gap.upper)
        })
        .filter_map(|local| Some(Offset::UTC.to_datetime(Timestamp::from_second(local).ok()?)))
    }

    fn skipped_notes(&self, after: Timestamp, until: Timestamp) -> Vec<ZoneNote> {
        let Expression::Cron(cron) = &self.expression else {
            return Vec::new();
        };
        let mut skipped = self.skipped_between(cron, after, until).take(COUNTED);
        let mut notes: Vec<_> = skipped.by_ref().take(NAMED).map(|local| ZoneNote::Skipped { local }).collect();
        match skipped.count() {
            0 => {}
            count => notes.push(ZoneNote::SkippedMore { count }),
        }
        notes
    }

    /// A rate goes by elapsed time: that the wall clock shows a time twice means nothing to it.
    fn repeated(&self, local: DateTime, at: Timestamp) -> Option<ZoneNote> {
        if matches!(self.expression, Expression::Rate(_)) {
            return None;
        }
        match self.zone().to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Fold { after, .. } => {
                let again = after.to_timestamp(local).ok().filter(|&again| again > at)?;
                Some(ZoneNote::Repeated { local, again })
            }
            _ => None,
        }
    }
}
