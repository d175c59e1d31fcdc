//! The rows, written out and read back.

use std::collections::btree_map::Entry;
use std::fmt::Display;
use std::sync::Arc;

use kairos::backend::Change;
use kairos::{Process, Result, Schedule};
use serde::{Deserialize, Serialize};

use super::{MemoryStore, Rows};
use crate::error;
use crate::saved::{Version, row};

/// All rows of a [`MemoryStore`], to be written out with serde and [restored](MemoryStore::restore).
///
/// They are in the formats of the table: `{"Version":1,"Procesos":[…],"Calendarizaciones":[…]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedStore {
    #[serde(rename = "Version")]
    version: Version,
    #[serde(rename = "Procesos")]
    processes: Vec<Arc<Process>>,
    #[serde(rename = "Calendarizaciones")]
    schedules: Vec<Schedule>,
}

impl MemoryStore {
    /// All rows as they are now. Takes time in proportion to their number, in which commits and reads wait.
    #[must_use]
    pub fn save(&self) -> SavedStore {
        self.save_and(|| ()).0
    }

    /// Replaces all rows by those that were saved.
    ///
    /// # Errors
    /// [`Malformed`](kairos::ErrorKind::Malformed), naming the row, for an id that is there twice. Then nothing has changed.
    pub fn restore(&self, saved: SavedStore) -> Result<()> {
        self.restore_and(saved, || Ok(()))
    }

    /// Saves, and does something else before anything changes.
    pub(crate) fn save_and<T>(&self, then: impl FnOnce() -> T) -> (SavedStore, T) {
        let rows = self.rows.lock();
        let Rows { processes, by_schedule: _, schedules } = &*rows;
        let saved = SavedStore {
            version: Version,
            processes: processes.values().cloned().collect(),
            schedules: schedules.values().cloned().collect(),
        };
        (saved, then())
    }

    /// Restores, unless something else fails that is done in between.
    pub(crate) fn restore_and<T>(&self, saved: SavedStore, then: impl FnOnce() -> Result<T>) -> Result<T> {
        let read = read(saved)?;
        let mut rows = self.rows.lock();
        let done = then()?;
        *rows = read;
        Ok(done)
    }
}

fn read(saved: SavedStore) -> Result<Rows> {
    let SavedStore { version: Version, processes, schedules } = saved;
    let mut rows = Rows::default();
    for (index, process) in processes.into_iter().enumerate() {
        let id = process.id.clone();
        if rows.processes.contains_key(&id) {
            return Err(twice("Procesos", index, &id));
        }
        rows.put_process(&id, &Change { before: None, after: Some(process) });
    }
    for (index, schedule) in schedules.into_iter().enumerate() {
        match rows.schedules.entry(schedule.id.clone()) {
            Entry::Vacant(entry) => entry.insert(schedule),
            Entry::Occupied(entry) => return Err(twice("Calendarizaciones", index, entry.key())),
        };
    }
    Ok(rows)
}

fn twice(list: &'static str, index: usize, id: impl Display) -> kairos::Error {
    error::unreadable(row(list, index), "the id is there twice").about(id)
}
