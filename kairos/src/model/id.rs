//! Identifiers: which process, which schedule, which message, which execution.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};
use uuid::Uuid;

use super::inline::Inline;
use super::policy::limits;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident($text:ty)) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($text);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// Which process: `proceso-` and the encoded name.
    ///
    /// ```
    /// use kairos::ProcessId;
    ///
    /// let id = ProcessId::of("cierre?>");
    /// assert_eq!(id.as_str(), "proceso-Y2llcnJlPz4.");
    /// assert_eq!(id.name().as_deref(), Some("cierre?>"));
    /// ```
    ProcessId(Arc<str>)
}

text_id! {
    /// Which schedule; made by [`Specification::schedule_id`](crate::Specification::schedule_id).
    /// Up to 64 bytes are kept in place, as a trigger's name may be no longer: a clone is a copy.
    ScheduleId(Inline)
}

text_id! {
    /// Which message, by the name that its queue gave it. Up to 64 bytes are kept in place: a clone is a copy.
    MessageId(Inline)
}

const PROCESS_PREFIX: &str = "proceso-";
pub(super) const SCHEDULE_PREFIX: &str = "calendarizacion-";

impl ScheduleId {
    /// Whether it is of the kind that Kairos gives; triggers of others may lie beside its own.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.0.starts_with(SCHEDULE_PREFIX)
    }

    /// Whether this is the id of a schedule of this expression and nothing else. Allocates nothing.
    ///
    /// ```
    /// use kairos::{ScheduleId, Specification};
    ///
    /// let id = Specification::new("rate(5 minutes)").schedule_id();
    /// assert!(id.is_of("rate(5 minutes)") && !id.is_of("rate(5 minute)"));
    /// assert_eq!(id.expression().as_deref(), Some("rate(5 minutes)"));
    /// ```
    #[must_use]
    pub fn is_of(&self, expression: &str) -> bool {
        self.0.strip_prefix(SCHEDULE_PREFIX).is_some_and(|encoded| is_encoded(encoded, expression))
    }

    /// The expression that the id was made of, or `None` if it stands for more than a bare expression.
    #[must_use]
    pub fn expression(&self) -> Option<String> {
        decode(self.0.strip_prefix(SCHEDULE_PREFIX)?)
    }
}

impl ProcessId {
    /// The id of the process of this name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        format!("{PROCESS_PREFIX}{}", encode(name)).into()
    }

    /// Whether this is the id of the process of this name. It is asked for each execution, and allocates nothing.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        self.0.strip_prefix(PROCESS_PREFIX).is_some_and(|encoded| is_encoded(encoded, name))
    }

    /// The name that the id was made of, or `None` if it was not made by [`Self::of`].
    #[must_use]
    pub fn name(&self) -> Option<String> {
        decode(self.0.strip_prefix(PROCESS_PREFIX)?)
    }
}

/// Whether a text could be an id: such a text can break no line, no JSON and no path that it is put into.
pub(super) fn may_be_id(text: &str) -> bool {
    is_like_id(text, limits::ID)
}

/// Whether a text of 1 to `longest` bytes consists of what ids consist of.
pub(super) fn is_like_id(text: &str, longest: usize) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'_' | b'.');
    // All bytes, whatever the first are: many are looked at in one step then.
    (1..=longest).contains(&text.len()) && text.bytes().fold(true, |all, byte| all & fits(byte))
}

/// Standard base64 of the UTF-8 text with `+` as `-`, `/` as `_` and `=` as `.`: what a trigger's name may hold.
pub(super) fn encode(text: &str) -> String {
    URL_SAFE.encode(text).replace('=', ".")
}

/// Whether this is what [`encode`] writes of a text.
fn is_encoded(encoded: &str, text: &str) -> bool {
    // Whole groups of three bytes: encoded apart they are what they are encoded together.
    const CHUNK: usize = 48;
    let mut rest = encoded.as_bytes();
    for chunk in text.as_bytes().chunks(CHUNK) {
        let mut encoded = [0; CHUNK / 3 * 4];
        let Ok(length) = URL_SAFE.encode_slice(chunk, &mut encoded) else { return false };
        let encoded = &mut encoded[..length];
        encoded.iter_mut().rev().take_while(|byte| **byte == b'=').for_each(|byte| *byte = b'.');
        let Some(after) = rest.strip_prefix(&*encoded) else { return false };
        rest = after;
    }
    rest.is_empty()
}

/// Only of what [`encode`] writes: `=` is none of it, though base64 knows it.
fn decode(text: &str) -> Option<String> {
    let decoded = String::from_utf8(URL_SAFE.decode(text.replace('.', "=")).ok()?).ok()?;
    (encode(&decoded) == text).then_some(decoded)
}

/// Which execution: one process at one occurrence.
///
/// The same occurrence always has the same id, whoever computes it and however often.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExecutionId(Uuid);

impl ExecutionId {
    /// What execution ids are derived under (UUID version 5, RFC 9562).
    pub const NAMESPACE: Uuid = Uuid::from_u128(0x6b61_6972_6f73_5e1e_8c5f_656a_6563_7563);

    /// The execution of `process` at the occurrence `scheduled`, whether its schedule or a backfill asks for it.
    #[must_use]
    pub fn of_occurrence(process: &ProcessId, scheduled: Timestamp) -> Self {
        Occurrence::new(scheduled).execution(process)
    }

    /// The execution of `process` that a person or program asked for under `key`.
    ///
    /// The time is left out: asking again under the same key a moment later means the same execution.
    #[must_use]
    pub fn of_request(process: &ProcessId, key: &str) -> Self {
        Self::derive(process, &rest("", key))
    }

    /// The execution that a message asks for which names no occurrence, by its own id and the time it was sent.
    #[must_use]
    pub(crate) fn of_message(process: &ProcessId, sent: Timestamp, message_id: &str) -> Self {
        Self::derive(process, &rest(sent, message_id))
    }

    fn derive(process: &ProcessId, rest: &str) -> Self {
        Self(version_5(&Self::NAMESPACE, [process.as_str(), rest]))
    }

    /// The id as a UUID.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

/// As `Uuid::new_v5`, by the processor's own instructions where it has them: several times as fast.
fn version_5(namespace: &Uuid, [first, rest]: [&str; 2]) -> Uuid {
    let hash = Sha1::new().chain_update(namespace).chain_update(first).chain_update(rest).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_sha1_bytes(bytes).into_uuid()
}

/// What an execution's id is derived from, after that of its process. Each of the three parts ends in a line feed, which no process id and
/// no time holds.
fn rest(scheduled: impl fmt::Display, key: &str) -> String {
    format!("\n{scheduled}\n{key}\n")
}

/// One nominal fire time, written once for the ids of all its executions.
#[derive(Debug)]
pub(crate) struct Occurrence {
    pub(crate) scheduled_time: Timestamp,
    rest: String,
}

impl Occurrence {
    pub(crate) fn new(scheduled_time: Timestamp) -> Self {
        Self { scheduled_time, rest: rest(scheduled_time, "") }
    }

    pub(crate) fn execution(&self, process: &ProcessId) -> ExecutionId {
        ExecutionId::derive(process, &self.rest)
    }
}

impl From<Uuid> for ExecutionId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl std::str::FromStr for ExecutionId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_base64_with_three_characters_replaced() {
        assert_eq!(encode("a"), "YQ..");
        assert_eq!(encode("~~~???"), "fn5-Pz8_");
        assert_eq!(decode("fn5-Pz8_").as_deref(), Some("~~~???"));
        for text in ["proceso-%%", "proceso-YQ==", "proceso-YQ=.", "proceso-YR.."] {
            assert_eq!(ProcessId::from(text).name(), None, "{text}");
        }
    }

    #[test]
    fn an_id_is_of_one_name_only() {
        for length in 0..200 {
            for name in ["a".repeat(length), "ñ?>".repeat(length)] {
                let id = ProcessId::of(&name);
                assert!(id.is_of(&name) && may_be_id(id.as_str()), "{id}");
                assert!(!id.is_of(&format!("{name}a")) && !ProcessId::from(format!("{id}YQ..")).is_of(&name), "{id}");
            }
        }
        for (id, name) in [("proceso-YQ..", "b"), ("YQ..", "a"), ("proceso-YQ==", "a"), ("proceso-YQ", "a"), ("", "")] {
            assert!(!ProcessId::from(id).is_of(name), "{id}");
        }
    }

    #[test]
    fn an_execution_id_depends_on_each_of_its_parts_and_on_nothing_else() {
        let process = ProcessId::of("ventas");
        let noon: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let id = ExecutionId::of_occurrence(&process, noon);
        assert_eq!(id, ExecutionId::of_occurrence(&ProcessId::of("ventas"), noon));
        assert_ne!(id, ExecutionId::of_occurrence(&ProcessId::of("compras"), noon));
        assert_ne!(id, ExecutionId::of_occurrence(&process, Timestamp::UNIX_EPOCH));
        assert_ne!(id, ExecutionId::of_request(&process, ""));
        assert_ne!(ExecutionId::of_request(&process, "a"), ExecutionId::of_request(&process, "b"));
        let long = "k".repeat(1_000);
        assert_eq!(
            ExecutionId::of_request(&process, &long).uuid(),
            Uuid::new_v5(&ExecutionId::NAMESPACE, format!("{process}\n\n{long}\n").as_bytes()),
            "however long its parts are"
        );
        // Written down so that no later version computes another one.
        assert_eq!(id.to_string(), "ccfc2443-088b-5aaa-a43f-145cc331b5b2");
    }
}
