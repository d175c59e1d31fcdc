//! Bodies: how requests are read, and answers written.

use std::collections::BTreeMap;
use std::fmt;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use kairos::{Fault, limits};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::problem::Problem;

/// What faults of the body as a whole are reported under, as the core does.
const WHOLE: &str = "solicitud";

/// The text of a request. Its media type is not asked for: clients of the older system do not always say it.
#[derive(Debug)]
pub(super) struct Text(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let fault = |fault: Fault| Problem::invalid([fault]);
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(limits::REQUEST),
            _ => fault(Fault::new(WHOLE, "could not be read to its end")),
        })?;
        String::from_utf8(bytes.into()).map(Self).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            fault(Fault::new(WHOLE, "must be UTF-8").with_at(at))
        })
    }
}

/// The fields of a small request, by their lower-cased names, and what is wrong with them.
#[derive(Debug)]
pub(super) struct Fields {
    values: BTreeMap<String, Value>,
    faults: Vec<Fault>,
}

impl Fields {
    /// Reads a JSON object; an empty text and null are one without fields. Unknown fields are ignored, as in a registration.
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        let fault = |message: String| Problem::invalid([Fault::new(WHOLE, message)]);
        if matches!(text.trim(), "" | "null") {
            return Ok(Self { values: BTreeMap::new(), faults: Vec::new() });
        }
        let Pairs(pairs) = serde_json::from_str(text).map_err(|error| match error.is_data() {
            true => fault("must be a JSON object".into()),
            false => fault(format!("must be JSON: {error}")),
        })?;
        let mut values = BTreeMap::new();
        for (key, value) in pairs {
            if values.insert(key.to_lowercase(), value).is_some() {
                return Err(fault(format!("holds '{key}' twice")));
            }
        }
        Ok(Self { values, faults: Vec::new() })
    }

    /// A field that may be absent; null is absent.
    pub(super) fn optional<T>(&mut self, field: &'static str, read: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        let value = self.values.get(&field.to_lowercase()).filter(|value| !value.is_null())?;
        read(value).map_err(|message| self.faults.push(Fault::new(field, message))).ok()
    }

    /// A field that must be there.
    pub(super) fn required<T>(&mut self, field: &'static str, read: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        let is_given = self.values.get(&field.to_lowercase()).is_some_and(|value| !value.is_null());
        if !is_given {
            self.fault(Fault::new(field, "is missing"));
        }
        self.optional(field, read)
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn finish(self) -> Result<(), Problem> {
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::invalid(self.faults)) }
    }
}

/// A JSON object as it stands: a tree would hold the last of two values under the same key, and not tell.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// A text.
pub(super) fn string(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("must be a string, not {value}"))
}

/// An instant, as registrations take it.
pub(super) fn instant(value: &Value) -> Result<Timestamp, String> {
    parse_instant(&string(value)?)
}

/// An instant from its text.
pub(super) fn parse_instant(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| format!("'{text}' is no instant: 2026-01-31T09:00:00Z or with an offset like -03:00 is expected"))
}

/// A whole number within a range.
pub(super) fn within(range: std::ops::RangeInclusive<usize>) -> impl Fn(&Value) -> Result<usize, String> {
    move |value| {
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| format!("must be a whole number from {} to {}, not {value}", range.start(), range.end()))
    }
}

/// An answer as JSON, with status 200.
#[derive(Clone, Debug)]
pub(super) struct Json(Vec<u8>);

impl Json {
    /// # Errors
    /// None that is known: everything that is answered can be written.
    pub(super) fn of(value: &impl Serialize) -> Result<Self, kairos::Error> {
        serde_json::to_vec(value).map(Self).map_err(|error| {
            kairos::Error::new(kairos::ErrorKind::Rejected, "the answer cannot be written").with_source(error)
        })
    }

    /// Its size in bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}
