//! Who calls.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// The caller's identity, as whoever has verified it says: the server before the router puts it into the request's extensions.
///
/// It is never read from anything that a caller writes. Where nobody has put it there, as on one's own machine, nobody is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let Self(name) = parts.extensions.get::<Self>().cloned().unwrap_or_default();
        Ok(Self(name.filter(|name| !name.is_empty())))
    }
}
