//! Pages: how every listing is read, a bounded piece at a time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a listing goes on. Opaque: only the backend that gave it out can read it, and it outlives a restart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor from the text that a backend made of it, or that a caller sent back.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text to hand out.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which page is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageRequest {
    /// How many items at most. A backend may give fewer, even none, while the listing goes on.
    pub limit: usize,
    /// Where to go on; `None` for the beginning.
    pub cursor: Option<Cursor>,
}

impl PageRequest {
    /// The largest page that is ever read at once.
    pub const MAX_LIMIT: usize = 1_000;

    /// The first page, of at most `limit` items (1 to [`Self::MAX_LIMIT`]; brought within that range).
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self { limit: limit.clamp(1, Self::MAX_LIMIT), cursor: None }
    }

    /// The page that begins at `cursor`, or the first for `None`.
    #[must_use]
    pub fn with_cursor(mut self, cursor: impl Into<Option<Cursor>>) -> Self {
        self.cursor = cursor.into();
        self
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self::first(100)
    }
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items; possibly fewer than asked for.
    pub items: Vec<T>,
    /// Where the listing goes on; `None` only when it has ended.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// The only page of a listing.
    #[must_use]
    pub fn last(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}
