//! One page out of several partitions, each sorted by itself.

use std::collections::VecDeque;

use kairos::Execution;

/// What one request found in a partition: rows with their positions, newest first, and the last position that was looked at unless the
/// partition ends there.
pub(super) struct Found {
    pub(super) rows: Vec<(String, Execution)>,
    pub(super) last: Option<String>,
}

/// Fills a page with the newest rows of all partitions. It never gives a row before every partition has said that it has no newer one.
pub(super) struct Merge {
    streams: Vec<Stream>,
    limit: usize,
    items: Vec<Execution>,
    /// The position of the last item.
    given: Option<String>,
}

#[derive(Default)]
struct Stream {
    rows: VecDeque<(String, Execution)>,
    /// Everything above has been looked at.
    frontier: Option<String>,
    ended: bool,
}

impl Stream {
    /// Whether only the service knows what comes next.
    fn is_open(&self) -> bool {
        self.rows.is_empty() && !self.ended
    }
}

impl Merge {
    pub(super) fn new(streams: usize, limit: usize) -> Self {
        let streams = (0..streams).map(|_| Stream::default()).collect();
        Self { streams, limit, items: Vec::new(), given: None }
    }

    /// The partitions to ask.
    pub(super) fn wanted(&self) -> impl Iterator<Item = usize> {
        self.streams.iter().enumerate().filter(|(_, stream)| stream.is_open()).map(|(index, _)| index)
    }

    /// Below which position to ask a partition.
    pub(super) fn frontier(&self, stream: usize) -> Option<&str> {
        self.streams[stream].frontier.as_deref()
    }

    pub(super) fn add(&mut self, stream: usize, found: Found) {
        let stream = &mut self.streams[stream];
        stream.rows.extend(found.rows);
        stream.ended = found.last.is_none();
        stream.frontier = found.last;
    }

    /// Gives rows for as long as it is known which comes next; whether the page is full or the listing at its end.
    pub(super) fn fill(&mut self) -> bool {
        while self.items.len() < self.limit {
            if self.streams.iter().any(Stream::is_open) {
                return false;
            }
            if !self.give_newest(None) {
                break;
            }
        }
        true
    }

    /// The newest row that is at hand, if it is above a position.
    fn give_newest(&mut self, above: Option<&str>) -> bool {
        let heads = self.streams.iter_mut().filter(|stream| !stream.rows.is_empty());
        let newest = heads.max_by(|one, other| one.rows[0].0.cmp(&other.rows[0].0));
        let Some(stream) = newest.filter(|stream| above.is_none_or(|above| stream.rows[0].0.as_str() > above)) else {
            return false;
        };
        if let Some((position, execution)) = stream.rows.pop_front() {
            // It has changed its partition meanwhile, and is in both: the one that is read first is given.
            if self.given.as_ref() != Some(&position) {
                self.items.push(execution);
                self.given = Some(position);
            }
        }
        true
    }

    /// The items, and the position after which the listing goes on. If the page is not full, it goes down to where nothing is unknown.
    pub(super) fn finish(mut self) -> (Vec<Execution>, Option<String>) {
        let open = self.streams.iter().filter(|stream| stream.is_open());
        let frontier = open.filter_map(|stream| stream.frontier.clone()).max();
        if let Some(frontier) = &frontier {
            while self.items.len() < self.limit && self.give_newest(Some(frontier)) {}
        }
        let goes_on = self.streams.iter().any(|stream| !stream.rows.is_empty() || !stream.ended);
        let next = if self.items.len() == self.limit { self.given } else { frontier };
        (self.items, next.filter(|_| goes_on))
    }
}

#[cfg(test)]
mod tests {
    use kairos::Execution;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn execution(number: u128) -> Execution {
        serde_json::from_value(json!({
            "IdEjecucion": Uuid::from_u128(number).to_string(), "IdProceso": "p", "IdCalendarizacion": "c",
            "FechaProgramada": "2026-01-01T00:00:00Z", "Origen": "calendario", "Estado": "Exitosa", "Intentos": 1,
            "FechaInicio": "2026-01-01T00:00:00Z",
        }))
        .unwrap()
    }

    fn position(number: u128) -> String {
        format!("{number:04}")
    }

    fn number(execution: &Execution) -> u128 {
        execution.id.uuid().as_u128()
    }

    /// A partition of these rows, asked for so many at a time, of which only those that pass are given.
    fn ask(partition: &[u128], below: Option<&str>, wanted: usize, passes: fn(u128) -> bool) -> Found {
        let mut left = partition.iter().filter(|n| below.is_none_or(|below| position(**n).as_str() < below));
        let looked_at: Vec<_> = left.by_ref().take(wanted).copied().collect();
        let last = if looked_at.len() == wanted { looked_at.last().map(|n| position(*n)) } else { None };
        let rows = looked_at.into_iter().filter(|n| passes(*n)).map(|n| (position(n), execution(n))).collect();
        Found { rows, last }
    }

    /// The whole listing, page by page.
    fn walk(
        partitions: &[Vec<u128>],
        limit: usize,
        wanted: usize,
        rounds: usize,
        passes: fn(u128) -> bool,
    ) -> Vec<u128> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        for _ in 0..1_000 {
            let mut merge = Merge::new(partitions.len(), limit);
            for _ in 0..rounds {
                for stream in merge.wanted().collect::<Vec<_>>() {
                    let below = merge.frontier(stream).or(after.as_deref());
                    let found = ask(&partitions[stream], below, wanted, passes);
                    merge.add(stream, found);
                }
                if merge.fill() {
                    break;
                }
            }
            let (items, next) = merge.finish();
            assert!(items.len() <= limit);
            all.extend(items.iter().map(number));
            match next {
                Some(next) => after = Some(next),
                None => return all,
            }
        }
        panic!("the listing does not end: {all:?}");
    }

    #[test]
    fn pages_give_every_row_once_and_newest_first() {
        let partitions =
            [(0..90).rev().step_by(3).collect(), vec![], (0..90).rev().filter(|n| n % 3 == 0).collect(), vec![1, 0]];
        let partitions: [Vec<u128>; 4] = partitions;
        let mut expected: Vec<u128> = partitions.concat();
        expected.sort_unstable();
        expected.dedup();
        expected.reverse();
        for limit in [1, 2, 7, 1_000] {
            for wanted in [1, 2, 5, 1_000] {
                for rounds in [1, 2, 10] {
                    assert_eq!(
                        walk(&partitions, limit, wanted, rounds, |_| true),
                        expected,
                        "{limit} {wanted} {rounds}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_filter_that_lets_little_through_makes_short_pages_and_loses_nothing() {
        let partition = [(0..500).rev().collect()];
        for limit in [1, 3, 100] {
            for wanted in [1, 10] {
                let found = walk(&partition, limit, wanted, 2, |n| n % 97 == 0);
                assert_eq!(found, [485, 388, 291, 194, 97, 0], "{limit} {wanted}");
            }
        }
    }

    #[test]
    fn a_row_that_changes_its_partition_meanwhile_is_given_once() {
        let partitions = [vec![5, 4, 3], vec![4, 2]];
        assert_eq!(walk(&partitions, 10, 10, 2, |_| true), [5, 4, 3, 2]);
    }
}
