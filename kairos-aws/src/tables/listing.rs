//! The cursors between the pages of a listing.

use std::fmt::Debug;

use kairos::Result;
use kairos::page::{Cursor, PageRequest};

use crate::error::dynamodb::foreign_cursor;

/// One listing: of which table, under which filter. Its cursors name it, so that no other listing takes them.
pub(crate) struct Listing(u64);

impl Listing {
    pub(crate) fn new(table: &str, filter: &impl Debug) -> Self {
        Self(extended(0xcbf2_9ce4_8422_2325, format!("{table} {filter:?}").as_bytes()))
    }

    /// Where a page begins: after the row of this position, or with the first one.
    ///
    /// # Errors
    /// [`Malformed`](kairos::ErrorKind::Malformed) for a cursor of another listing, or one that was damaged on its way.
    pub(crate) fn after<'p>(&self, page: &'p PageRequest) -> Result<Option<&'p str>> {
        let Some(cursor) = &page.cursor else { return Ok(None) };
        match cursor.as_str().split_once('.') {
            Some((seal, position)) if !position.is_empty() && seal == self.seal(position) => Ok(Some(position)),
            _ => Err(foreign_cursor(cursor)),
        }
    }

    pub(crate) fn cursor(&self, position: &str) -> Cursor {
        Cursor::new(format!("{}.{position}", self.seal(position)))
    }

    /// Of the listing and the position: a damaged position would lead elsewhere, and nobody would know.
    fn seal(&self, position: &str) -> String {
        format!("{:016x}", extended(self.0, position.as_bytes()))
    }
}

/// How many items a page may hold.
pub(crate) fn limit(page: &PageRequest) -> usize {
    page.limit.clamp(1, PageRequest::MAX_LIMIT)
}

/// FNV-1a (Fowler, Noll and Vo) of 64 bits, going on from a fingerprint: the same at every run.
pub(crate) fn extended(fingerprint: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(fingerprint, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use kairos::ErrorKind;

    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_listing_only() {
        let listing = Listing::new("AppProcesos", &"a");
        let after = |listing: &Listing, cursor: &str| {
            let page = PageRequest::default().with_cursor(Cursor::new(cursor));
            listing.after(&page).map(|position| position.map(str::to_owned)).map_err(|error| error.kind())
        };
        let cursor = listing.cursor("proceso-YQ..");
        assert_eq!(after(&Listing::new("AppProcesos", &"a"), cursor.as_str()), Ok(Some("proceso-YQ..".into())));
        assert_eq!(after(&Listing::new("AppProcesos", &"b"), cursor.as_str()), Err(ErrorKind::Malformed));
        assert_eq!(after(&Listing::new("OtraProcesos", &"a"), cursor.as_str()), Err(ErrorKind::Malformed));
        let damaged = cursor.as_str().replace("YQ", "Yg");
        for text in ["", ".", "x", damaged.as_str(), listing.cursor("").as_str()] {
            assert_eq!(after(&listing, text), Err(ErrorKind::Malformed), "{text}");
        }
        assert_eq!(listing.after(&PageRequest::default()).unwrap(), None);
        // Written down, as cursors outlive a restart.
        assert_eq!(cursor.as_str(), "9549a051ff47f511.proceso-YQ..");
    }
}
