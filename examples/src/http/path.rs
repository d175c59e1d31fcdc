//! Ids in paths.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use kairos::{Fault, limits};

use super::problem::Problem;

/// The `{id}` of a path, decoded.
#[derive(Debug)]
pub(super) struct Id(String);

impl Id {
    /// The id, unless it is none that anything could have. No store is asked for such a one: it may refuse the very question.
    pub(super) fn possible(&self) -> Option<&str> {
        let Self(id) = self;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (id.len() <= limits::ID && id.bytes().all(fits)).then_some(id)
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
