//! A message as SQS takes it: body, delay, group and deduplication id.

use std::borrow::Cow;
use std::time::Duration;

use kairos::backend::Message;
use kairos::{ExecutionId, Result};
use serde::Deserialize;
use uuid::Uuid;

use super::attributes::is_carried;
use crate::error::sqs::refused_message;

/// Longest message group id and deduplication id, in characters (SQS API Reference, `SendMessage`).
const MAX_ID: usize = 128;
/// Longest delay of a message (SQS API Reference, `SendMessage`, `DelaySeconds`).
pub(super) const MAX_DELAY: Duration = Duration::from_secs(900);

/// What decides about the order of messages, and which are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    /// The process: no process with many executions keeps those of others waiting. `None` if the message names none, and need not.
    pub(super) group: Option<String>,
    /// The execution; on FIFO queues only.
    pub(super) deduplication: Option<String>,
}

#[derive(Deserialize)]
struct Named<'b> {
    #[serde(rename = "IdProceso", borrow, default)]
    process: Option<Cow<'b, str>>,
    #[serde(rename = "IdEjecucion", borrow, default)]
    execution: Option<Cow<'b, str>>,
    #[serde(rename = "Origen", borrow, default)]
    origin: Option<Cow<'b, str>>,
}

impl Keys {
    /// Of a message that is sent for the first time.
    pub(super) fn of(body: &str, is_fifo: bool) -> Self {
        let named = serde_json::from_str::<Named<'_>>(body).ok();
        let group = named.as_ref().and_then(|named| named.process.as_deref()).and_then(group_of);
        if !is_fifo {
            return Self { group, deduplication: None };
        }
        let execution = named.as_ref().and_then(|named| {
            let id: ExecutionId = named.execution.as_deref()?.parse().ok()?;
            // A backfill means the execution that may have been sent a moment ago, and has failed since.
            Some(match named.origin.as_deref() {
                Some("reproceso") => format!("{id}-reproceso"),
                _ => id.to_string(),
            })
        });
        let digest = || digest(body);
        Self { group: Some(group.unwrap_or_else(digest)), deduplication: Some(execution.unwrap_or_else(digest)) }
    }

    /// Of a message that goes from one queue to another: the service's id of it there tells it from what was sent before.
    pub(super) fn of_moved(body: &str, is_fifo: bool, id: &str) -> Self {
        let keys = Self::of(body, is_fifo);
        Self { deduplication: keys.deduplication.map(|_| id.into()), ..keys }
    }
}

/// The id of the process if a group can bear it, or something made of it that one can.
fn group_of(process: &str) -> Option<String> {
    let is_short = process.len() <= MAX_ID && process.bytes().all(|byte| byte.is_ascii_graphic());
    if process.is_empty() { None } else { Some(if is_short { process.into() } else { digest(process) }) }
}

fn digest(text: &str) -> String {
    Uuid::new_v5(&ExecutionId::NAMESPACE, text.as_bytes()).to_string()
}

/// What SQS would refuse, told before it is asked.
pub(super) fn check(message: &Message, body: &str, longest_delay: Duration) -> Result<()> {
    if body.is_empty() {
        return Err(refused_message("body", "must not be empty"));
    }
    if let Some((at, c)) = body.char_indices().find(|(_, c)| !is_carried(*c)) {
        let why = format!("holds {} at byte {at}, which the queue does not carry", c.escape_default());
        return Err(refused_message("body", why));
    }
    if message.delay > longest_delay {
        let why = format!("{:?} is longer than the {longest_delay:?} allowed", message.delay);
        return Err(refused_message("delay", why));
    }
    Ok(())
}

/// Whole seconds, never fewer.
pub(super) fn whole_seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use kairos::{Body, ErrorKind};

    use super::*;

    const EXECUTION: &str = "ccfc2443-088b-5aaa-a43f-145cc331b5b2";

    fn body(origin: &str) -> String {
        format!(r#"{{"IdProceso":"proceso-YQ..","Parametros":null,"IdEjecucion":"{EXECUTION}","Origen":"{origin}"}}"#)
    }

    #[test]
    fn messages_are_grouped_by_process_and_told_apart_by_execution() {
        let keys = Keys::of(&body("calendario"), true);
        assert_eq!((keys.group.as_deref(), keys.deduplication.as_deref()), (Some("proceso-YQ.."), Some(EXECUTION)));
        let standard = Keys::of(&body("calendario"), false);
        assert_eq!(standard, Keys { deduplication: None, ..keys.clone() });
        assert_eq!(Keys::of(&body("manual"), true), keys);
        assert_ne!(Keys::of(&body("reproceso"), true), keys, "a backfill may follow what has just failed");
    }

    #[test]
    fn a_message_of_the_older_dispatcher_is_told_apart_by_its_text() {
        let (one, two) =
            (r#"{"IdProceso":"proceso-YQ..","Nombre":"a"}"#, r#"{"IdProceso":"proceso-YQ..","Nombre":"b"}"#);
        let keys = [Keys::of(one, true), Keys::of(one, true), Keys::of(two, true)];
        assert_eq!(keys[0], keys[1]);
        assert_eq!(keys[0].group, keys[2].group);
        assert_ne!(keys[0].deduplication, keys[2].deduplication);
    }

    #[test]
    fn any_text_has_keys_that_the_service_takes() {
        let long = format!(r#"{{"IdProceso":"proceso-{}","IdEjecucion":7}}"#, "YQ..".repeat(80));
        for text in ["no JSON", "", r#"{"IdProceso":""}"#, r#"{"IdProceso":"ñ"}"#, long.as_str()] {
            let keys = Keys::of(text, true);
            for key in [keys.group.unwrap(), keys.deduplication.unwrap()] {
                assert!((1..=MAX_ID).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()), "{key}");
            }
        }
        assert_eq!(Keys::of("no JSON", false), Keys { group: None, deduplication: None });
    }

    #[test]
    fn what_the_service_refuses_is_refused_by_field() {
        let refused = |text: &str, delay| {
            let message = Message::new(Body::from_json(text)).with_delay(delay);
            let error = check(&message, text, MAX_DELAY).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            error.faults()[0].field
        };
        assert_eq!(refused("", Duration::ZERO), "body");
        for c in ['\u{0}', '\u{1}', '\u{b}', '\u{1f}', '\u{fffe}', '\u{ffff}'] {
            assert_eq!(refused(&format!("a{c}"), Duration::ZERO), "body", "{c:?}");
        }
        assert_eq!(refused("a", MAX_DELAY + Duration::from_nanos(1)), "delay");
        let text = "\t\n\r \u{7f}ñ\u{d7ff}\u{e000}\u{fffd}🦀\u{10ffff}";
        check(&Message::new(Body::from_json(text)).with_delay(MAX_DELAY), text, MAX_DELAY).unwrap();
    }

    #[test]
    fn seconds_are_rounded_up() {
        for (duration, seconds) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_secs(1), 1),
            (Duration::from_millis(1_001), 2),
            (Duration::MAX, i32::MAX),
        ] {
            assert_eq!(whole_seconds(duration), seconds, "{duration:?}");
        }
    }
}
