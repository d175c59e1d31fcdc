//! The executions, written out and read back.

use jiff::Timestamp;
use kairos::{Execution, ExecutionState, Hold, Result};
use serde::{Deserialize, Serialize};

use super::{MemoryHistory, Record, State, Try};
use crate::error;
use crate::saved::{self, Version, row};
use crate::wheel::{instant, tick};

/// All executions of a [`MemoryHistory`] with their claims, to be written out with serde and [restored](MemoryHistory::restore).
///
/// Each is as the table has it, beside its place in listings, when it expires, and who is trying it:
/// `{"Version":1,"Ejecuciones":[{"Lugar":0,"Vence":"…","Ejecucion":{…},"Reserva":{…}}, …],"Huecos":[…]}`.
/// The retention is not part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedHistory {
    #[serde(rename = "Version")]
    version: Version,
    /// In the order in which they expire.
    #[serde(rename = "Ejecuciones")]
    executions: Vec<SavedExecution>,
    /// The free places, in the order in which they will be filled: cursors and the order of listings depend on places.
    #[serde(rename = "Huecos")]
    holes: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedExecution {
    #[serde(rename = "Lugar")]
    place: u32,
    #[serde(rename = "Vence")]
    expires_at: Timestamp,
    #[serde(rename = "Ejecucion")]
    execution: Execution,
    #[serde(rename = "Reserva", default, skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
}

impl MemoryHistory {
    /// All executions as they are now. Takes time in proportion to their number, in which claims and outcomes wait.
    #[must_use]
    pub fn save(&self) -> SavedHistory {
        let state = self.state.lock();
        let State { records, expiry, .. } = &*state;
        let saved = |(place, due): (u32, u64)| {
            let (execution, hold) = (state.get(place)?, state.hold(place).cloned());
            Some(SavedExecution { place, expires_at: instant(due), execution, hold })
        };
        SavedHistory {
            version: Version,
            executions: expiry.in_order().into_iter().filter_map(saved).collect(),
            holes: records.holes(),
        }
    }

    /// Replaces all executions by those that were saved. Claims go on: their owners can renew them and record how they end.
    ///
    /// # Errors
    /// [`Malformed`](kairos::ErrorKind::Malformed), naming the row, for an id that is there twice, a place that is missing or there twice,
    /// a claim of an execution that is not running, and one that is running without a claim. Then nothing has changed.
    pub fn restore(&self, saved: SavedHistory) -> Result<()> {
        let read = read(saved)?;
        *self.state.lock() = read;
        Ok(())
    }
}

fn read(saved: SavedHistory) -> Result<State> {
    const LIST: &str = "Ejecuciones";
    let SavedHistory { version: Version, executions, holes } = saved;
    let records = saved::slab(LIST, executions.iter().map(|execution| execution.place), &holes)?;
    let mut state = State { records, ..State::new() };
    for (index, SavedExecution { place: _, expires_at, execution, hold }) in executions.into_iter().enumerate() {
        let id = execution.id;
        let fault = match (execution.state == ExecutionState::Running, hold.is_some()) {
            _ if state.find(id).is_some() => Some("the id is there twice"),
            (true, false) => Some("it is running, but nobody's"),
            (false, true) => Some("it is somebody's, but not running"),
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(error::unreadable(row(LIST, index), fault).about(id));
        }
        let record = record(&mut state, execution, hold);
        let slot = state.insert(record);
        state.expiry.set(slot, tick(expires_at));
    }
    Ok(state)
}

fn record(state: &mut State, execution: Execution, hold: Option<Hold>) -> Record {
    let process = state.processes.acquire(&execution.process_id);
    let schedule = state.schedules.acquire(&execution.schedule_id);
    let Execution { id, scheduled_time, started_at, finished_at, error, attempts, origin, .. } = execution;
    let last_try = hold.map_or(Try::Ended(finished_at), |hold| Try::Held(state.holds.insert(hold)));
    let error = error.map(Box::new);
    Record {
        id,
        scheduled_time,
        started_at,
        last_try,
        error,
        process,
        schedule,
        attempts,
        origin,
        state: execution.state,
        indexed: None,
    }
}
