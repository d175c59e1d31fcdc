//! Ids in paths.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use kairos::{Fault, limits};

use super::problem::Problem;

/// Whether anything could have this id. No store is asked about what nothing can have: it may refuse the very question.
pub(super) fn may_be_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= limits::ID && text.bytes().all(fits)
}

/// The `{id}` of a path, decoded.
#[derive(Debug)]
pub(super) struct Id(String);

impl Id {
    /// The id, unless nothing can have it.
    pub(super) fn possible(&self) -> Option<&str> {
        Some(self.text()).filter(|id| may_be_id(id))
    }

    /// The id as it was written.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// The id of something that may be there.
    pub(super) fn of(&self, what: &str) -> Result<&str, Problem> {
        self.possible().ok_or_else(|| Problem::not_found(what))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = Path::<String>::from_request_parts(parts, state).await;
        read.map(|Path(id)| Self(id)).map_err(|_| Problem::invalid([Fault::new("id", "must be UTF-8")]))
    }
}
