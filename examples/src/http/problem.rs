//! What went wrong, as its caller is told: `application/problem+json` (RFC 9457).

use std::error::Error as _;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kairos::chance::Chance;
use kairos::{Error, ErrorKind, Fault};
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem, on its way to its caller.
#[derive(Clone, Debug)]
pub(super) struct Problem(Box<Report>);

/// What is wrong, and where.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problema)]
pub(super) struct Report {
    /// What kind of problem it is, for programs: `urn:kairos:problem:` and one word.
    #[serde(rename = "type")]
    #[schema(pattern = "^urn:kairos:problem:[a-z-]+$", examples("urn:kairos:problem:invalid"))]
    kind: String,
    /// The same for people; always the same for the same kind.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong this time.
    detail: String,
    /// This very occurrence, as the log names it; where the server is to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^urn:uuid:[0-9a-f-]{36}$")]
    instance: Option<String>,
    /// What is wrong with each field.
    #[serde(rename = "errores", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, min_items = 1)]
    faults: Vec<FieldFault>,
    #[serde(skip)]
    retry_after: Option<u64>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ErrorDeCampo)]
pub(super) struct FieldFault {
    /// The field or parameter; `solicitud` for the body as a whole.
    #[serde(rename = "campo")]
    #[schema(examples("cron"))]
    field: &'static str,
    /// What is wrong with it, and what would be right.
    #[serde(rename = "mensaje")]
    message: String,
    /// Where in the field's text, in bytes of UTF-8 from 0, if one place is to blame.
    #[serde(rename = "posicion", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    at: Option<usize>,
}

impl From<Fault> for FieldFault {
    fn from(fault: Fault) -> Self {
        Self { field: fault.field, message: fault.message, at: fault.at }
    }
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Report {
            kind: format!("urn:kairos:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            instance: None,
            faults: Vec::new(),
            retry_after: None,
        }))
    }

    /// The same about these fields. What went wrong is told in one line, too: not everybody looks further.
    fn with_faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Self {
        const TOLD: usize = 10;
        let faults: Vec<_> = faults.into_iter().collect();
        let told: Vec<_> = faults.iter().take(TOLD).map(ToString::to_string).collect();
        self.0.detail.push_str(if told.is_empty() { "" } else { ": " });
        self.0.detail.push_str(&told.join("; "));
        if faults.len() > TOLD {
            self.0.detail.push_str(&format!("; and {} more", faults.len() - TOLD));
        }
        self.0.faults = faults.into_iter().map(Into::into).collect();
        self
    }

    /// 400: what is wrong with the request, by field.
    pub(super) fn invalid(faults: impl IntoIterator<Item = Fault>) -> Self {
        let (title, detail) = ("The request is not valid", "the request is not valid");
        Self::new(StatusCode::BAD_REQUEST, "invalid", title, detail).with_faults(faults)
    }

    /// 403: a page in a browser asks.
    pub(super) fn forbidden() -> Self {
        let (title, detail) = ("Pages may not ask here", "only programs of this machine are answered");
        Self::new(StatusCode::FORBIDDEN, "forbidden", title, detail)
    }

    /// 404: what the path names does not exist.
    pub(super) fn not_found(what: &str) -> Self {
        let detail = format!("there is no such {what}");
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing under this path", detail)
    }

    /// 405.
    pub(super) fn method_not_allowed() -> Self {
        let (title, detail) = ("The path does not take this method", "The header Allow names those that it takes.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", title, detail)
    }

    /// 413.
    pub(super) fn too_large(most: usize) -> Self {
        let detail = format!("{most} bytes are allowed");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large", detail)
    }

    fn conflict(kind: &str, title: &'static str, error: &Error) -> Self {
        let faults = error.faults().iter().cloned();
        Self::new(StatusCode::CONFLICT, kind, title, error.message()).with_faults(faults)
    }

    fn later(status: StatusCode, kind: &str, title: &'static str, detail: &str, error: &Error) -> Self {
        const SECONDS: u64 = 5;
        let asked = error.retry_after().map(|delay| delay.as_secs_f64().ceil().max(1.0));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float becomes the nearest u64")]
        let seconds = asked.map_or(SECONDS, |seconds| seconds as u64);
        let mut problem = Self::new(status, kind, title, detail);
        problem.0.retry_after = Some(seconds);
        problem
    }

    fn internal() -> Self {
        let detail = "The log tells more, under the id in instance.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong inside", detail)
    }

    /// What an error of Kairos means to the caller who named `asked`, the id in the path.
    ///
    /// An error with a source comes from a service: its words are for the log. So is whatever is not the caller's to mend.
    pub(super) fn of(error: &Error, asked: Asked<'_>, chance: &Chance) -> Self {
        let mut problem = Self::of_kind(error, asked);
        if problem.0.status < 500 {
            return problem;
        }
        let id = chance.uuid();
        tracing::error!(%id, kind = %error.kind(), status = problem.0.status, "{error:#}");
        problem.0.instance = Some(format!("urn:uuid:{id}"));
        problem
    }

    fn of_kind(error: &Error, asked: Asked<'_>) -> Self {
        const DOUBT: &str =
            "What was asked for may or may not have been done. Asking again does it once, but for a run without a key.";
        let is_own = error.source().is_none();
        let has_faults = is_own && !error.faults().is_empty();
        match error.kind() {
            ErrorKind::Invalid if has_faults && !asked.is_stored => Self::invalid(error.faults().iter().cloned()),
            ErrorKind::Invalid | ErrorKind::Unsupported | ErrorKind::Denied | ErrorKind::Malformed if has_faults => {
                Self::conflict("not-admitted", "What is stored is not let in any more", error)
            }
            // Of a listing nothing else that could be wrong comes from the caller; a row that cannot be read is named.
            ErrorKind::Malformed | ErrorKind::Invalid if asked.has_cursor && error.subject().is_none() => {
                Self::invalid([Fault::new("cursor", "is no cursor of this listing; begin again without one")])
            }
            ErrorKind::NotFound if is_own && asked.id.is_some() && asked.id == error.subject() => {
                Self::not_found(asked.what)
            }
            ErrorKind::NotFound if is_own && asked.id.is_some() => {
                Self::conflict("incomplete", "What is stored is incomplete", error)
            }
            ErrorKind::Conflict if is_own => Self::conflict("conflict", "There is another definition", error),
            ErrorKind::Lost | ErrorKind::Busy => {
                let (title, detail) = ("Others are at it", "Other calls held the schedule for too long; ask again.");
                Self::later(StatusCode::SERVICE_UNAVAILABLE, "busy", title, detail, error)
            }
            ErrorKind::Throttled => {
                let (title, detail) = ("There are too many requests", "Ask again after a while.");
                Self::later(StatusCode::TOO_MANY_REQUESTS, "throttled", title, detail, error)
            }
            ErrorKind::Timeout | ErrorKind::Unavailable => {
                let title = "Something that this depends on does not answer";
                Self::later(StatusCode::SERVICE_UNAVAILABLE, "unavailable", title, DOUBT, error)
            }
            _ => Self::internal(),
        }
    }
}

/// What a call was asked about, which tells whose fault an error is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked<'a> {
    what: &'static str,
    id: Option<&'a str>,
    is_stored: bool,
    has_cursor: bool,
}

impl<'a> Asked<'a> {
    /// One thing, by its id.
    pub(super) fn about(what: &'static str, id: &'a str) -> Self {
        Self { what, id: Some(id), ..Self::default() }
    }

    /// The same, where the request itself has been checked: what is at fault is stored.
    pub(super) fn stored(self) -> Self {
        Self { is_stored: true, ..self }
    }

    /// A listing, with a cursor or without.
    pub(super) fn listing(has_cursor: bool) -> Self {
        Self { has_cursor, ..Self::default() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(report) = self;
        let status = StatusCode::from_u16(report.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&report).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        if let Some(seconds) = report.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
