//! What travels beside the body of a message: why it died, that it was redriven, and the attributes that others gave it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};
use aws_smithy_types::base64;
use jiff::Timestamp;
use kairos::backend::{DeadLetterReason, Delivery, Receipt};
use kairos::{Body, ProcessId, Result, limits};
use serde::{Deserialize, Serialize};

use crate::error::sqs::{refused_message, unreadable_message};

/// What the names of Kairos's own attributes begin with.
const OWN: &str = "Kairos.";
/// The message as it was sent first: its id, and when in milliseconds since the Unix epoch. Whatever bears it on the queue has been a dead
/// letter, also where the console or another tool has moved it back.
const ORIGIN: &str = "Kairos.Mensaje";
/// Most attributes of a message (SQS Developer Guide, "Message attributes").
const MOST: usize = 10;

pub(super) type Attributes = HashMap<String, MessageAttributeValue>;

/// A received message, as far as it must be known again when it is settled. It travels in the receipt, so that nothing is kept here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    /// The service's own name for the delivery.
    pub(super) handle: String,
    /// What is no part of a plain message; `None` if it is one.
    pub(super) extra: Option<Extra>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Extra {
    /// The id that SQS gave it when it was redriven; [`Delivery::message_id`] is the one from before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// What others gave it, by name: the type and the value, in base64 if that is binary.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) attributes: BTreeMap<String, (String, String)>,
}

impl Envelope {
    pub(super) fn of_receipt(receipt: &Receipt) -> Self {
        match receipt.as_str().split_once(' ') {
            Some((handle, extra)) => Self { handle: handle.into(), extra: serde_json::from_str(extra).ok() },
            None => Self { handle: receipt.as_str().into(), extra: None },
        }
    }

    fn receipt(&self) -> Receipt {
        match self.extra.as_ref().and_then(|extra| serde_json::to_string(extra).ok()) {
            // A handle holds no space.
            Some(extra) => Receipt::new(format!("{} {extra}", self.handle)),
            None => Receipt::new(self.handle.as_str()),
        }
    }

    fn of_message(message: &Message, is_redriven: bool) -> Result<Self> {
        let handle = message.receipt_handle().ok_or_else(|| unreadable_message("its receipt handle"))?;
        let attributes = foreign(message);
        let id = message.message_id().filter(|_| is_redriven).map(str::to_owned);
        let extra = Extra { id, attributes };
        Ok(Self { handle: handle.into(), extra: Some(extra).filter(|extra| *extra != Extra::default()) })
    }

    fn foreign(&self) -> impl Iterator<Item = (&str, Attribute<'_>)> {
        let attributes = self.extra.iter().flat_map(|extra| &extra.attributes);
        attributes.map(|(name, (kind, value))| {
            (name.as_str(), Attribute { kind: Cow::Borrowed(kind), value: Cow::Borrowed(value) })
        })
    }
}

fn foreign(message: &Message) -> BTreeMap<String, (String, String)> {
    let attributes = message.message_attributes().into_iter().flatten();
    let others = attributes.filter(|(name, _)| !name.starts_with(OWN));
    others
        .map(|(name, attribute)| {
            let value = match attribute.binary_value() {
                Some(binary) => base64::encode(binary),
                None => attribute.string_value().unwrap_or_default().to_owned(),
            };
            (name.clone(), (attribute.data_type().to_owned(), value))
        })
        .collect()
}

/// The delivery of a received message.
pub(super) fn delivery(message: &Message) -> Result<Delivery> {
    let id = message.message_id().ok_or_else(|| unreadable_message("its id"))?;
    let body = message.body().ok_or_else(|| unreadable_message("its body"))?;
    let sent_at = sent_at(message).ok_or_else(|| unreadable_message("the attribute SentTimestamp"))?;
    let count = system_attribute(message, &MessageSystemAttributeName::ApproximateReceiveCount);
    let count = count.and_then(|count| count.parse().ok()).unwrap_or(1);
    let mark = own(message, ORIGIN);
    let (id, sent_at) = mark.and_then(parse_origin).unwrap_or((id, sent_at));
    let receipt = Envelope::of_message(message, mark.is_some())?.receipt();
    Ok(Delivery::new(id, receipt, sent_at, Body::from_json(body))
        .with_receive_count(count)
        .with_redriven(mark.is_some())
        .with_group(group(message).map(Arc::from)))
}

/// The group within which a message has its place. Messages of standard queues have groups too, but no place: only a FIFO queue numbers them
/// (SQS API Reference, `ReceiveMessage`, `SequenceNumber`).
fn group(message: &Message) -> Option<&str> {
    system_attribute(message, &MessageSystemAttributeName::SequenceNumber)?;
    system_attribute(message, &MessageSystemAttributeName::MessageGroupId)
}

pub(super) fn sent_at(message: &Message) -> Option<Timestamp> {
    let text = system_attribute(message, &MessageSystemAttributeName::SentTimestamp)?;
    Timestamp::from_millisecond(text.parse().ok()?).ok()
}

fn system_attribute<'m>(message: &'m Message, name: &MessageSystemAttributeName) -> Option<&'m str> {
    message.attributes()?.get(name).map(String::as_str)
}

fn own<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    message.message_attributes()?.get(name)?.string_value()
}

fn origin(id: &str, sent_at: Timestamp) -> String {
    format!("{id} {}", sent_at.as_millisecond())
}

/// A mark that cannot be read marks all the same.
fn parse_origin(mark: &str) -> Option<(&str, Timestamp)> {
    let (id, sent_at) = mark.split_once(' ')?;
    Some((id, Timestamp::from_millisecond(sent_at.parse().ok()?).ok()?)).filter(|(id, _)| !id.is_empty())
}

/// What a dead letter bears: what it was, what others gave it, and the reason, as far as there is room beside its body.
pub(super) fn of_dead_letter(
    delivery: &Delivery,
    envelope: &Envelope,
    reason: &DeadLetterReason,
    body: &str,
) -> Result<Attributes> {
    let mut attributes = Room::beside(body);
    attributes.add(ORIGIN, &Attribute::text(&origin(delivery.message_id.as_str(), delivery.sent_at)));
    for (name, attribute) in envelope.foreign() {
        attributes.add(name, &attribute);
    }
    attributes.add("Kairos.Tipo", &Attribute::text(&reason.failure.kind));
    attributes.add("Kairos.Texto", &Attribute::text(&reason.failure.text));
    let execution_id = reason.execution_id.map(|id| id.to_string());
    for (name, value) in [
        ("Kairos.IdEjecucion", execution_id.as_deref()),
        ("Kairos.IdProceso", reason.process_id.as_ref().map(ProcessId::as_str)),
        ("Kairos.ArnProceso", reason.target.as_deref()),
    ] {
        attributes.add(name, &Attribute::text(value.unwrap_or_default()));
    }
    attributes.add("Kairos.Intentos", &Attribute { kind: "Number".into(), value: reason.attempts.to_string().into() });
    attributes.finish(delivery.message_id.as_str())
}

/// What a redriven message bears: the mark, and what others gave it. The reason is of the past.
///
/// # Errors
/// If there is no room for the mark: without it, an execution that is recorded as dead would be taken for done.
pub(super) fn of_redriven(message: &Message) -> Result<Attributes> {
    let body = message.body().ok_or_else(|| unreadable_message("its body"))?;
    let id = message.message_id().ok_or_else(|| unreadable_message("its id"))?;
    let mark = match own(message, ORIGIN) {
        Some(mark) => mark.to_owned(),
        None => origin(id, sent_at(message).ok_or_else(|| unreadable_message("the attribute SentTimestamp"))?),
    };
    let envelope = Envelope::of_message(message, true)?;
    let mut attributes = Room::beside(body);
    if !attributes.add(ORIGIN, &Attribute::text(&mark)) {
        return Err(refused_message(
            "body",
            "leaves no room for the mark of a redriven message; shorten its parameters",
        ));
    }
    for (name, attribute) in envelope.foreign() {
        attributes.add(name, &attribute);
    }
    attributes.finish(id)
}

struct Attribute<'a> {
    kind: Cow<'a, str>,
    value: Cow<'a, str>,
}

impl<'a> Attribute<'a> {
    fn text(value: &'a str) -> Self {
        Self { kind: "String".into(), value: carried(value) }
    }

    fn value(&self) -> Result<MessageAttributeValue> {
        let value = MessageAttributeValue::builder().data_type(&*self.kind);
        let value = if self.kind.starts_with("Binary") {
            let binary = base64::decode(&*self.value).map_err(|_| unreadable_message("a binary attribute's value"))?;
            value.binary_value(Blob::new(binary))
        } else {
            value.string_value(&*self.value)
        };
        value.build().map_err(|_| unreadable_message("the type of an attribute"))
    }
}

/// Attributes as far as there is room: they count towards the largest message, with names and types.
struct Room<'a> {
    bytes: usize,
    attributes: Vec<(String, Result<MessageAttributeValue>)>,
    left_out: Vec<&'a str>,
}

impl<'a> Room<'a> {
    fn beside(body: &str) -> Self {
        Self { bytes: limits::MESSAGE.saturating_sub(body.len()), attributes: Vec::new(), left_out: Vec::new() }
    }

    /// Whether there was room. An attribute without a value is none.
    fn add(&mut self, name: &'a str, attribute: &Attribute<'_>) -> bool {
        if attribute.value.is_empty() {
            return true;
        }
        let size = name.len() + attribute.kind.len() + attribute.value.len();
        if self.attributes.len() == MOST || size > self.bytes {
            self.left_out.push(name);
            return false;
        }
        self.bytes -= size;
        self.attributes.push((name.to_owned(), attribute.value()));
        true
    }

    fn finish(self, message_id: &str) -> Result<Attributes> {
        if !self.left_out.is_empty() {
            tracing::warn!(message = message_id, attributes = ?self.left_out, "there is no room for these attributes");
        }
        self.attributes.into_iter().map(|(name, value)| Ok((name, value?))).collect()
    }
}

/// Whether SQS carries a character in bodies and attributes (API Reference, `SendMessage`: XML 1.0, `Char`).
pub(super) const fn is_carried(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// The text with everything escaped that SQS does not carry.
fn carried(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_carried) {
        return text.into();
    }
    let mut carried = String::with_capacity(text.len());
    for c in text.chars() {
        if is_carried(c) {
            carried.push(c);
        } else {
            carried.extend(c.escape_default());
        }
    }
    carried.into()
}
