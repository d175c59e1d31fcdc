//! Pages of listings, and the cursors between them.

use std::fmt::{Debug, Display};

use kairos::page::{Cursor, Page, PageRequest};
use kairos::{Error, ErrorKind, Result};

/// How many rows one page looks at, at most. A page of a filter that lets little through may be short, but never slow.
const LOOKED_AT: usize = 10_000;

/// One listing: what is listed, under which filter. Its cursors name it, so that no other listing takes them.
pub(crate) struct Listing(u64);

impl Listing {
    pub(crate) fn new(of: &str, filter: &impl Debug) -> Self {
        Self(fingerprint(format!("{of} {filter:?}").as_bytes()))
    }

    /// Where a page begins: after the row of this position, or with the first one.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) for a cursor of another listing, or one that was damaged on its way.
    pub(crate) fn after<'p>(&self, page: &'p PageRequest) -> Result<Option<&'p str>> {
        let Some(cursor) = &page.cursor else { return Ok(None) };
        match cursor.as_str().split_once('.') {
            Some((seal, position)) if seal == self.seal(position) => Ok(Some(position)),
            _ => Err(malformed(cursor)),
        }
    }

    /// As [`after`](Self::after), for positions that are numbers.
    pub(crate) fn after_number<N>(&self, page: &PageRequest, parse: impl Fn(&str) -> Option<N>) -> Result<Option<N>> {
        let Some(position) = self.after(page)? else { return Ok(None) };
        let number = parse(position);
        match (number, &page.cursor) {
            (None, Some(cursor)) => Err(malformed(cursor)),
            (number, _) => Ok(number),
        }
    }

    /// Fills a page with rows in order, each with its position, and its item if the filter lets it through.
    pub(crate) fn page<P: Display, T>(&self, limit: usize, rows: impl Iterator<Item = (P, Option<T>)>) -> Page<T> {
        let limit = limit.clamp(1, PageRequest::MAX_LIMIT);
        let mut items = Vec::with_capacity(limit);
        let mut last = None;
        for (looked_at, (position, item)) in rows.enumerate() {
            if items.len() == limit || looked_at == LOOKED_AT {
                return Page { items, next: last.map(|position| self.cursor(position)) };
            }
            items.extend(item);
            last = Some(position);
        }
        Page::last(items)
    }

    fn cursor(&self, position: impl Display) -> Cursor {
        let position = position.to_string();
        Cursor::new(format!("{}.{position}", self.seal(&position)))
    }

    /// Of the listing and the position: a damaged position would lead elsewhere, and nobody would know.
    fn seal(&self, position: &str) -> String {
        format!("{:016x}", extended(self.0, position.as_bytes()))
    }
}

fn malformed(cursor: &Cursor) -> Error {
    Error::new(ErrorKind::Malformed, format!("'{cursor}' is no cursor of this listing; begin again without one"))
}

/// FNV-1a (Fowler, Noll and Vo) of 64 bits: the same at every run.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    extended(0xcbf2_9ce4_8422_2325, bytes)
}

/// The fingerprint of what has this one so far, and of the bytes after it.
fn extended(fingerprint: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(fingerprint, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_through_its_own_listing_only() {
        let (odd, even) = (Listing::new("numbers", &"odd"), Listing::new("numbers", &"even"));
        let list = |page: &PageRequest| {
            let after = odd.after_number(page, |text| text.parse::<u32>().ok())?;
            let rows = (after.map_or(0, |after| after + 1)..20).map(|n| (n, (n % 2 == 1).then_some(n)));
            Ok::<_, Error>(odd.page(page.limit, rows))
        };
        let mut page = PageRequest::first(4);
        let mut seen = Vec::new();
        loop {
            let found = list(&page).unwrap();
            assert!(found.items.len() <= 4);
            seen.extend(found.items);
            let Some(next) = found.next else { break };
            assert_eq!(
                even.after(&PageRequest::first(4).with_cursor(next.clone())).unwrap_err().kind(),
                ErrorKind::Malformed
            );
            page = page.with_cursor(next);
        }
        assert_eq!(seen, [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
        let (valid, damaged) = (odd.cursor("x"), odd.cursor(12).as_str().replace("12", "1"));
        for text in ["", "x", ".", "0.1", valid.as_str(), &damaged] {
            let error = list(&PageRequest::first(4).with_cursor(Cursor::new(text))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Malformed, "{text}");
        }
    }

    #[test]
    fn a_page_of_what_nothing_comes_through_is_short_not_slow() {
        let listing = Listing::new("nothing", &());
        let mut looked_at = 0;
        let rows = (0..1_000_000).inspect(|_| looked_at += 1).map(|n| (n, None::<u32>));
        let page = listing.page(10, rows);
        assert!(page.items.is_empty() && page.next.is_some() && looked_at <= LOOKED_AT + 1);
    }
}
