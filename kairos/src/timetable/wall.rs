//! The wall clock of a time zone from 1970 to 2199, and where on it an expression fires.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use parking_lot::RwLock;

use crate::expression::{At, Cron, Minute};

/// More than any offset from UTC.
const MARGIN: i64 = 2 * 86_400;
/// 1970-01-01 and 2200-01-01 in UTC, less and plus any offset: no named local minute lies outside.
const FIRST: i64 = -MARGIN;
const LAST: i64 = 7_258_118_400 + MARGIN;

/// A wall clock: the spans of time in which the zone's offset from UTC does not change.
///
/// Asking the zone itself costs a computation of its daylight saving rule, twice per fire time; this table costs a look
/// at an index, and it says by its shape what happens at a change: each span owns the local times of which it has the
/// *first* pass. What no span owns is skipped; what a later span would show again is owned by the earlier one.
#[derive(Debug)]
pub(crate) struct Wall {
    zone: TimeZone,
    spans: Box<[Span]>,
    /// The span at the beginning of each stretch of time, from [`FIRST`] up to the last change: from there it is a step
    /// or none to any other of the stretch, where a binary search would take nine.
    index: Box<[u16]>,
}

/// The seconds of a stretch, as a power of two: 48 days, in which a zone hardly changes twice.
const STRETCH: u32 = 22;

/// Local times are in seconds since 1970-01-01T00:00:00 on the wall clock.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// When it ends, in seconds since the epoch; the last never does.
    end: i64,
    /// The first local time that this span owns; never decreases from one span to the next.
    lower: i64,
    /// The end of the local times it owns; never below `lower`.
    upper: i64,
    /// Local time less UTC, in seconds.
    offset: i64,
}

/// An instant as a wall clock shows it: what the search for the next fire time begins with, whatever is sought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// In seconds since the epoch.
    second: i64,
    /// The span that it is in.
    span: usize,
    /// The first minute from there on that shows for the first time.
    minute: Minute,
}

/// Local times that a zone change skips, and when it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    /// Seconds since the epoch.
    pub(crate) change: i64,
    /// The local times from `lower` up to `upper`, in seconds since 1970-01-01T00:00:00 on the wall clock.
    pub(crate) lower: i64,
    pub(crate) upper: i64,
}

impl Moment {
    /// When it is, in seconds since the epoch.
    pub(crate) fn second(&self) -> i64 {
        self.second
    }
}

impl Wall {
    /// The wall clock of a zone. It is made once per named zone of the process (some 50 µs and 20 kB for a zone that
    /// changes twice a year) and shared.
    pub(crate) fn of(zone: TimeZone) -> Arc<Wall> {
        /// Walls by the name of their zone. A database can be updated under the same name.
        static WALLS: RwLock<BTreeMap<String, Arc<Wall>>> = RwLock::new(BTreeMap::new());
        /// More than the database has names. Zones that are made up as one goes are not kept.
        const KEPT: usize = 1024;

        let known = |name| WALLS.read().get(name).filter(|known| known.zone == zone).cloned();
        if let Some(known) = zone.iana_name().and_then(known) {
            return known;
        }
        let wall = Arc::new(Wall::new(zone));
        if let Some(name) = wall.zone.iana_name() {
            let mut walls = WALLS.write();
            if walls.len() < KEPT || walls.contains_key(name) {
                walls.insert(name.to_owned(), Arc::clone(&wall));
            }
        }
        wall
    }

    fn new(zone: TimeZone) -> Wall {
        let start = Timestamp::from_second(FIRST).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut offset = i64::from(zone.to_offset(start).seconds());
        let mut lower = i64::MIN;
        let mut spans = Vec::new();
        let changes = zone.following(start).map(|change| (change.timestamp().as_second(), change.offset().seconds()));
        for (end, next) in changes.take_while(|&(change, _)| change < LAST) {
            let next = i64::from(next);
            // Some changes are of the name only.
            if next == offset {
                continue;
            }
            let upper = lower.max(end + offset);
            spans.push(Span { end, lower, upper, offset });
            (lower, offset) = (upper.max(end + next), next);
        }
        spans.push(Span { end: i64::MAX, lower, upper: i64::MAX, offset });
        Wall::of_spans(zone, spans)
    }

    fn of_spans(zone: TimeZone, spans: Vec<Span>) -> Wall {
        let last = spans.iter().rev().nth(1).map_or(FIRST, |changing| changing.end);
        let mut at = 0;
        let index = (FIRST..=last.max(FIRST)).step_by(1 << STRETCH).map(|second| {
            while spans[at].end <= second {
                at += 1;
            }
            // Should there ever be more spans, the way from the entry is the longer.
            u16::try_from(at).unwrap_or(u16::MAX)
        });
        Wall { zone, index: index.collect(), spans: spans.into() }
    }

    pub(crate) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The span of an instant.
    fn at(&self, second: i64) -> usize {
        let stretch = usize::try_from((second - FIRST) >> STRETCH).unwrap_or(0);
        let mut index = usize::from(self.index[stretch.min(self.index.len() - 1)]);
        while self.spans[index].end <= second {
            index += 1;
        }
        index
    }

    /// The instant of a one-time expression: none in a gap, the first of an overlap.
    pub(crate) fn once(&self, at: At) -> Option<Timestamp> {
        if let Ok(local) = Offset::UTC.to_timestamp(at.local()).map(Timestamp::as_second)
            && Wall::shows(local)
        {
            return Timestamp::from_second(self.first_pass(local)?).ok();
        }
        // Of other years the zone itself has to be asked.
        let offset = match self.zone.to_ambiguous_timestamp(at.local()).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Fold { before, .. } => before,
            AmbiguousOffset::Gap { .. } => return None,
        };
        offset.to_timestamp(at.local()).ok()
    }

    /// The second at which a local time shows for the first time; `None` if it never does.
    fn first_pass(&self, local: i64) -> Option<i64> {
        let span = self.spans[self.owner(local, 0)];
        (local >= span.lower).then_some(local - span.offset)
    }

    /// Whether a local time is of the years that a wall knows.
    fn shows(local: i64) -> bool {
        (FIRST + MARGIN..LAST - MARGIN).contains(&local)
    }

    /// The span that owns a local time, or the next one if it is skipped; not before the span `from`.
    fn owner(&self, local: i64, from: usize) -> usize {
        // What ended that long before showed it no longer, whatever its offset.
        let mut index = self.at(local - MARGIN).max(from);
        while self.spans[index].upper <= local {
            index += 1;
        }
        index
    }

    /// An instant as this clock shows it. Inlined, as is what begins with it: a moment that is asked about once never lies in memory.
    #[inline(always)]
    pub(crate) fn moment(&self, second: i64) -> Moment {
        let span = self.at(second);
        let Span { offset, lower, .. } = self.spans[span];
        Moment { second, span, minute: Minute::at_or_after((second + offset).max(lower)) }
    }

    /// The first second at or after a moment of this clock at which a cron expression fires.
    ///
    /// Bounded: each turn of the loop is at a later zone change (there are a few hundred), and the searches between them
    /// go through the calendar once.
    #[inline(always)]
    pub(crate) fn first_from(&self, cron: &Cron, moment: &Moment) -> Option<i64> {
        let mut index = moment.span;
        let mut local = cron.first_at(&moment.minute)?;
        loop {
            if local >= self.spans[index].upper {
                index = self.owner(local, index + 1);
            }
            let span = self.spans[index];
            if local >= span.lower {
                return Some(local - span.offset);
            }
            local = cron.first_from(span.lower)?;
        }
    }

    /// The last second at or before an instant at which a cron expression fires. Bounded as [`Wall::first_from`].
    pub(crate) fn last_until(&self, cron: &Cron, second: i64) -> Option<i64> {
        let mut index = self.at(second);
        let span = self.spans[index];
        let local = second + span.offset;
        // Below its own local times a span shows some for the second time: all of them have fired.
        let mut local = cron.last_until(if local < span.lower { span.lower - 1 } else { local.min(span.upper - 1) })?;
        loop {
            if local < self.spans[index].lower {
                // What begins that long after does not show it yet.
                index = self.at(local + MARGIN).min(index - 1);
                while self.spans[index].lower > local {
                    index -= 1;
                }
            }
            let span = self.spans[index];
            if local < span.upper {
                return Some(local - span.offset);
            }
            local = cron.last_until(span.upper - 1)?;
        }
    }

    /// The skipped local times of the zone changes after one instant and up to another.
    pub(crate) fn gaps(&self, after: i64, until: i64) -> impl Iterator<Item = Gap> {
        let from = self.at(after);
        let changes = self.spans[from..].windows(2).take_while(move |spans| spans[0].end <= until);
        changes
            .map(|spans| Gap { change: spans[0].end, lower: spans[0].upper, upper: spans[1].lower })
            .filter(|gap| gap.lower < gap.upper)
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::{AmbiguousOffset, Offset, TimeZoneDatabase};

    use super::*;

    /// The local minute that shows at a second, if it shows for the first time.
    fn first_pass(wall: &Wall, second: i64) -> bool {
        let span = wall.spans[wall.at(second)];
        second + span.offset >= span.lower
    }

    fn instant(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn every_zone_s_wall_is_the_zone_s_own() {
        let database = TimeZoneDatabase::bundled();
        for name in database.available() {
            let zone = database.get(name.as_str()).unwrap();
            let wall = Wall::new(zone.clone());
            assert!(wall.spans.is_sorted_by(|one, other| one.end < other.end), "{name}");
            assert!(wall.spans.iter().all(|span| span.lower <= span.upper), "{name}");
            assert!(wall.spans.windows(2).all(|pair| pair[0].upper <= pair[1].lower), "{name}");
            for &Span { end, .. } in &wall.spans[..wall.spans.len() - 1] {
                for second in [end - 86_400, end - 3_600, end - 1, end, end + 1, end + 1_799, end + 3_599, end + 3_600]
                {
                    let instant = instant(second);
                    let offset = zone.to_offset(instant);
                    assert_eq!(wall.spans[wall.at(second)].offset, i64::from(offset.seconds()), "{name} {instant}");
                    // The zone itself resolves an overlap to its first pass.
                    let first = zone.to_ambiguous_timestamp(offset.to_datetime(instant)).earlier().unwrap();
                    assert_eq!(first_pass(&wall, second), first == instant, "{name} {instant}");
                }
            }
        }
    }

    #[test]
    fn every_local_time_around_a_change_shows_when_the_zone_says_so() {
        let database = TimeZoneDatabase::bundled();
        for name in database.available() {
            let zone = database.get(name.as_str()).unwrap();
            let wall = Wall::new(zone.clone());
            for &Span { end, offset, .. } in &wall.spans[..wall.spans.len() - 1] {
                for apart in [-86_400, -7_200, -3_601, -3_600, -1_800, -1, 0, 1, 1_800, 3_599, 3_600, 7_200, 86_400] {
                    let local = end + offset + apart;
                    if !Wall::shows(local) {
                        continue;
                    }
                    let shown = zone.to_ambiguous_timestamp(Offset::UTC.to_datetime(instant(local)));
                    let expected = match shown.offset() {
                        AmbiguousOffset::Gap { .. } => None,
                        _ => Some(shown.earlier().unwrap().as_second()),
                    };
                    assert_eq!(wall.first_pass(local), expected, "{name} {}", instant(local));
                }
            }
        }
    }

    #[test]
    fn fire_times_far_apart_are_found_across_changes() {
        let database = TimeZoneDatabase::bundled();
        for name in database.available().step_by(7) {
            let zone = database.get(name.as_str()).unwrap();
            let wall = Wall::new(zone.clone());
            // In the gaps and overlaps of many a zone, every few years, and once.
            for text in ["30 2 ? 3 1#2 *", "30 1 ? 11 1#1 *", "15 0 ? 9 1#1 *", "0 0 1 1 ? */7", "0 12 1 7 ? 2199"] {
                let Ok(crate::expression::Expression::Cron(cron)) = text.parse() else { panic!() };
                let locals = std::iter::successors(cron.first_from(0), |local| cron.first_from(local + 1));
                let expected: Vec<i64> = locals
                    .map(|local| zone.to_ambiguous_timestamp(Offset::UTC.to_datetime(instant(local))))
                    .filter(|local| !matches!(local.offset(), AmbiguousOffset::Gap { .. }))
                    .map(|local| local.earlier().unwrap().as_second())
                    .collect();
                let next = |from| wall.first_from(&cron, &wall.moment(from));
                let forwards: Vec<i64> = std::iter::successors(next(FIRST), |fire| next(fire + 1)).collect();
                assert_eq!(forwards, expected, "{text} in {name}");
                let previous = |until| wall.last_until(&cron, until);
                let mut backwards: Vec<i64> =
                    std::iter::successors(previous(LAST), |fire| previous(fire - 1)).collect();
                backwards.reverse();
                assert_eq!(backwards, expected, "{text} in {name}, backwards");
            }
        }
    }

    #[test]
    fn walls_are_shared_by_name() {
        let zone = TimeZone::get("America/Santiago").unwrap();
        assert!(Arc::ptr_eq(&Wall::of(zone.clone()), &Wall::of(zone)));
        // Another zone of the same name is another zone.
        let utc = TimeZoneDatabase::bundled().get("Etc/UTC").unwrap();
        let walls = [TimeZone::UTC, utc, TimeZone::fixed(jiff::tz::offset(1))].map(Wall::of);
        assert!(walls.iter().all(|wall| wall.spans.len() == 1));
    }

    #[test]
    fn changes_that_come_close_still_show_each_local_time_once() {
        // A zone that goes back by two hours and, an hour later, by two more: no zone did, but a database may say so.
        let (a, b, c) = (14_400, 7_200, 0);
        // The second span ends before it shows anything new.
        let upper = a;
        let wall = Wall::of_spans(
            TimeZone::UTC,
            vec![
                Span { end: 0, lower: i64::MIN, upper, offset: a },
                Span { end: 3_600, lower: upper, upper: upper.max(3_600 + b), offset: b },
                Span { end: i64::MAX, lower: upper.max(3_600 + b), upper: i64::MAX, offset: c },
            ],
        );
        let Ok(crate::expression::Expression::Cron(hourly)) = "cron(0 * * * ? *)".parse() else { panic!() };
        let mut fires = vec![];
        let mut next = 0;
        while let Some(fire) = wall.first_from(&hourly, &wall.moment(next)).filter(|_| fires.len() < 8) {
            fires.push(fire);
            next = fire + 1;
        }
        // Local 04:00 comes at 04:00 in UTC: everything before it was shown by the first span.
        assert_eq!(fires[..3], [14_400, 18_000, 21_600]);
        assert_eq!(wall.last_until(&hourly, 14_399), Some(-3_600));
        assert!(fires.windows(2).all(|pair| wall.last_until(&hourly, pair[1] - 1) == Some(pair[0])));
    }
}
