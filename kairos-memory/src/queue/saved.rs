//! The messages, written out and read back.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use kairos::backend::DeadLetterReason;
use kairos::{Body, Result};
use serde::{Deserialize, Serialize};

use super::{Dead, Entry, MemoryQueue, State};
use crate::error;
use crate::saved::{self, Version, row};
use crate::wheel::{instant, tick};

/// All messages and dead letters of a [`MemoryQueue`], to be written out with serde and [restored](MemoryQueue::restore).
///
/// A message is its text, beside its place on the queue, when it becomes visible and when it expires, and how often it was received:
/// `{"Version":1,"Prefijo":"…","Enviados":9,"Vencidos":0,"Hora":"…","Mensajes":[…],"Huecos":[…],"Muertos":[…]}`.
/// Timeouts, retention and limits are not part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedQueue {
    #[serde(rename = "Version")]
    version: Version,
    /// In hexadecimal, as not every reader of JSON has numbers of 64 bits.
    #[serde(rename = "Prefijo", with = "hexadecimal")]
    id_prefix: u64,
    #[serde(rename = "Enviados")]
    sent: u64,
    #[serde(rename = "Vencidos")]
    expired: u64,
    #[serde(rename = "Hora")]
    latest: Timestamp,
    /// In the order in which they become visible.
    #[serde(rename = "Mensajes")]
    messages: Vec<SavedMessage>,
    /// The free places before the last one that is taken.
    #[serde(rename = "Huecos")]
    holes: Vec<u32>,
    #[serde(rename = "Muertos")]
    dead_letters: Vec<SavedDead>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedMessage {
    #[serde(rename = "Lugar")]
    place: u32,
    #[serde(rename = "Visible")]
    visible_at: Timestamp,
    #[serde(rename = "Vence")]
    expires_at: Timestamp,
    #[serde(rename = "Mensaje")]
    entry: SavedEntry,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedDead {
    #[serde(rename = "Desde")]
    at: Timestamp,
    #[serde(rename = "Motivo")]
    reason: DeadLetterReason,
    #[serde(rename = "Mensaje")]
    entry: SavedEntry,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedEntry {
    #[serde(rename = "Numero")]
    sequence: u64,
    #[serde(rename = "FechaEnvio")]
    sent_at: Timestamp,
    #[serde(rename = "Recepciones")]
    receive_count: u32,
    #[serde(rename = "Entregas")]
    deliveries: u32,
    #[serde(rename = "Redirigido")]
    redriven: bool,
    #[serde(rename = "Texto", with = "text")]
    body: Body,
}

impl From<&Entry> for SavedEntry {
    fn from(entry: &Entry) -> Self {
        let Entry { body, sent_at, sequence, receive_count, deliveries, redriven } = entry;
        Self {
            sequence: *sequence,
            sent_at: *sent_at,
            receive_count: *receive_count,
            deliveries: *deliveries,
            redriven: *redriven,
            body: body.clone(),
        }
    }
}

impl From<SavedEntry> for Entry {
    fn from(entry: SavedEntry) -> Self {
        let SavedEntry { sequence, sent_at, receive_count, deliveries, redriven, body } = entry;
        Self { body, sent_at, sequence, receive_count, deliveries, redriven }
    }
}

impl MemoryQueue {
    /// All messages and dead letters as they are now, but those that have expired. Takes time in proportion to their number, in which
    /// senders and receivers wait.
    #[must_use]
    pub fn save(&self) -> SavedQueue {
        self.save_and(|| ()).0
    }

    /// Replaces all messages and dead letters by those that were saved. Receipts given out before go on being good, and receivers that
    /// wait look again.
    ///
    /// Messages become visible, and expire, at the instants at which they would have. On a clock that is behind that of the save they are
    /// brought forward by as much, as when a clock is set back.
    ///
    /// # Errors
    /// [`Malformed`](kairos::ErrorKind::Malformed), naming the row, for a message that is there twice or was never sent, and for a place that is
    /// missing or there twice. Then nothing has changed.
    pub fn restore(&self, saved: SavedQueue) -> Result<()> {
        self.restore_and(saved, || Ok(()))
    }

    /// Saves, and does something else before anything changes.
    pub(crate) fn save_and<T>(&self, then: impl FnOnce() -> T) -> (SavedQueue, T) {
        let (state, _) = self.lock();
        let State { messages, visible, expiry, dead_letters, latest, sent, expired } = &*state;
        let message = |(place, due): (u32, u64)| {
            let (entry, expires_at) = (messages.get(place)?.into(), instant(expiry.due(place)?));
            Some(SavedMessage { place, visible_at: instant(due), expires_at, entry })
        };
        let dead =
            |Dead { entry, reason, at }: &Dead| SavedDead { at: *at, reason: reason.clone(), entry: entry.into() };
        let places: Vec<_> = messages.slots_from(0).filter_map(|(slot, entry)| entry.map(|_| slot)).collect();
        // A queue that was long once need not be written out as long for ever.
        let end = places.last().map_or(0, |last| last + 1);
        let saved = SavedQueue {
            version: Version,
            id_prefix: self.id_prefix.load(Ordering::Relaxed),
            sent: *sent,
            expired: *expired,
            latest: *latest,
            messages: visible.in_order().into_iter().filter_map(message).collect(),
            holes: messages.holes().into_iter().filter(|hole| *hole < end).collect(),
            dead_letters: dead_letters.iter().map(dead).collect(),
        };
        (saved, then())
    }

    /// Restores, unless something else fails that is done in between.
    pub(crate) fn restore_and<T>(&self, saved: SavedQueue, then: impl FnOnce() -> Result<T>) -> Result<T> {
        let id_prefix = saved.id_prefix;
        let read = read(saved)?;
        let mut state = self.state.lock();
        let done = then()?;
        *state = read;
        self.id_prefix.store(id_prefix, Ordering::Relaxed);
        drop(state);
        self.changed.notify_waiters();
        Ok(done)
    }
}

fn read(saved: SavedQueue) -> Result<State> {
    let SavedQueue { version: Version, id_prefix: _, sent, expired, latest, messages, holes, dead_letters } = saved;
    let mut seen = BTreeSet::new();
    let mut check = |list: &'static str, index: usize, sequence: u64| {
        let fault = if !(1..=sent).contains(&sequence) {
            format!("message {sequence} is none of the {sent} that were sent")
        } else if !seen.insert(sequence) {
            format!("message {sequence} is there twice")
        } else {
            return Ok(());
        };
        Err(error::unreadable(row(list, index), fault))
    };
    let places = messages.iter().map(|message| message.place);
    let mut state = State { messages: saved::slab("Mensajes", places, &holes)?, latest, sent, expired, ..State::new() };
    for (index, SavedMessage { place: _, visible_at, expires_at, entry }) in messages.into_iter().enumerate() {
        check("Mensajes", index, entry.sequence)?;
        let slot = state.messages.insert(entry.into());
        state.visible.set(slot, tick(visible_at));
        state.expiry.set(slot, tick(expires_at));
    }
    for (index, SavedDead { at, reason, entry }) in dead_letters.into_iter().enumerate() {
        check("Muertos", index, entry.sequence)?;
        state.dead_letters.push_back(Dead { entry: entry.into(), reason, at });
    }
    Ok(state)
}

/// A body as the text of a message.
mod text {
    use kairos::Body;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(body: &Body, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&body.to_json())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Body, D::Error> {
        String::deserialize(deserializer).map(Body::from_json)
    }
}

mod hexadecimal {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16)
            .map_err(|error| D::Error::custom(format!("'{text}' is no number in hexadecimal: {error}")))
    }
}
