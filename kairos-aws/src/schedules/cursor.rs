//! Where a listing of triggers goes on: in which group, and after what of it.

use kairos::Result;
use kairos::page::Cursor;

use crate::error::scheduler::foreign_cursor;

/// A place in the listing: a group, and the service's own token within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) group: String,
    /// `None` is the group's beginning.
    pub(super) token: Option<String>,
}

impl Place {
    pub(super) fn of(cursor: &Cursor) -> Result<Self> {
        let parsed = cursor.as_str().split_once('.').and_then(|(seal, position)| {
            let (group, token) = position.split_once('/')?;
            (seal == sealed(position)).then(|| Self {
                group: group.into(),
                token: Some(token).filter(|token| !token.is_empty()).map(str::to_owned),
            })
        });
        parsed.ok_or_else(|| foreign_cursor(cursor))
    }

    pub(super) fn cursor(&self) -> Cursor {
        // No group's name holds a slash.
        let position = format!("{}/{}", self.group, self.token.as_deref().unwrap_or_default());
        Cursor::new(format!("{}.{position}", sealed(&position)))
    }
}

/// FNV-1a (Fowler, Noll and Vo) of 64 bits over the listing and the position: a damaged position, or one of another listing, would
/// lead elsewhere, and nobody would know.
fn sealed(position: &str) -> String {
    let bytes = "triggers ".bytes().chain(position.bytes());
    let seal =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{seal:016x}")
}

#[cfg(test)]
mod tests {
    use kairos::ErrorKind;

    use super::*;

    #[test]
    fn a_cursor_leads_where_it_was_made_and_a_damaged_one_nowhere() {
        for token in [None, Some("a/b.c ñ==".to_owned())] {
            let place = Place { group: "kairos.x".into(), token };
            let cursor = place.cursor();
            assert_eq!(Place::of(&cursor).unwrap(), place);
            for text in [cursor.as_str().replace("kairos", "otro"), format!("{cursor}x"), cursor.as_str()[1..].into()] {
                assert_eq!(Place::of(&Cursor::new(text)).unwrap_err().kind(), ErrorKind::Malformed);
            }
        }
    }
}
