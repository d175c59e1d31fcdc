//! The router on one's own machine, where nobody stands before it.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// The same router for callers of this machine: a page in a browser is none, though it runs here.
///
/// Browsers send what any page asks them to, to any address, this one included. Such a request names the page's origin, or, where the
/// page has its own name point here, a host that is not this one.
pub fn of_this_machine(router: Router) -> Router {
    router.layer(from_fn(refuse_pages))
}

async fn refuse_pages(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let is_here = host.is_none_or(|host| matches!(host.host(), "127.0.0.1" | "localhost" | "[::1]"));
    if is_here && !request.headers().contains_key(ORIGIN) {
        return next.run(request).await;
    }
    Problem::forbidden().into_response()
}
