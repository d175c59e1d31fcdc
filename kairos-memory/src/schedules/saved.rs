//! The triggers and what they have fired, written out and read back.

use jiff::Timestamp;
use kairos::backend::Trigger;
use kairos::{Result, ScheduleId, Specification, TriggerInput};
use serde::{Deserialize, Serialize};

use super::missed::{Account, Missed};
use super::retries::Retries;
use super::{Firing, MemorySchedules, State};
use crate::error;
use crate::saved::{Version, row};
use crate::triggers::Triggers;

/// All triggers and firings of a [`MemorySchedules`], to be written out with serde and [restored](MemorySchedules::restore).
///
/// A trigger is its specification as the table has it, beside its place in listings and its next occurrence:
/// `{"Version":1,"Disparadores":[{"Lugar":0,"IdCalendarizacion":"…","Especificacion":{…},"Proxima":"…"}, …],
/// "Huecos":[…],"Pendientes":[…],"Muertos":[…],"Abandonados":0,"Perdidas":[…],"Hora":"…"}`. The catch-up window is not part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedSchedules {
    #[serde(rename = "Version")]
    version: Version,
    /// In the order in which they are due.
    #[serde(rename = "Disparadores")]
    triggers: Vec<SavedTrigger>,
    /// The free places, in the order in which they will be filled: cursors and the order of listings depend on places.
    #[serde(rename = "Huecos")]
    holes: Vec<u32>,
    /// In the order in which they are due.
    #[serde(rename = "Pendientes")]
    retries: Vec<SavedRetry>,
    #[serde(rename = "Muertos")]
    dead_letters: Vec<SavedFiring>,
    #[serde(rename = "Abandonados")]
    given_up: u64,
    #[serde(rename = "Perdidas")]
    missed: Vec<SavedMissed>,
    #[serde(rename = "Hora")]
    latest: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedMissed {
    #[serde(rename = "IdCalendarizacion")]
    schedule_id: ScheduleId,
    #[serde(rename = "Cantidad")]
    count: u64,
    #[serde(rename = "Exacta")]
    is_exact: bool,
    #[serde(rename = "Primera")]
    first: Timestamp,
    #[serde(rename = "Ultima")]
    last: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedTrigger {
    #[serde(rename = "Lugar")]
    place: u32,
    #[serde(rename = "IdCalendarizacion")]
    schedule_id: ScheduleId,
    #[serde(rename = "Especificacion")]
    specification: Specification,
    #[serde(rename = "Descripcion", default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// What has fired already lies before it. A rate counts on from it, so that its anchor need not be known any more.
    #[serde(rename = "Proxima", default, skip_serializing_if = "Option::is_none")]
    next: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedRetry {
    #[serde(rename = "Desde")]
    due: Timestamp,
    #[serde(rename = "Disparo")]
    firing: SavedFiring,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedFiring {
    #[serde(rename = "Entrada")]
    input: TriggerInput,
    #[serde(rename = "Intento")]
    attempt: u32,
    #[serde(rename = "PrimeraEntrega")]
    first_taken_at: Timestamp,
}

impl From<Firing> for SavedFiring {
    fn from(firing: Firing) -> Self {
        let Firing { input, attempt, first_taken_at } = firing;
        Self { input, attempt, first_taken_at }
    }
}

impl From<SavedFiring> for Firing {
    fn from(firing: SavedFiring) -> Self {
        let SavedFiring { input, attempt, first_taken_at } = firing;
        Self { input, attempt, first_taken_at }
    }
}

impl From<&Missed> for SavedMissed {
    fn from(missed: &Missed) -> Self {
        let Missed { schedule_id, count, is_exact, first, last } = missed.clone();
        Self { schedule_id, count, is_exact, first, last }
    }
}

impl SavedSchedules {
    /// Has firings that somebody took and may not have dispatched come again at once, as the same delivery.
    pub(crate) fn take_back(&mut self, firings: impl IntoIterator<Item = Firing>) {
        let retry = |firing: Firing| SavedRetry { due: firing.first_taken_at, firing: firing.into() };
        self.retries.extend(firings.into_iter().map(retry));
        self.retries.sort_by_key(|retry| retry.due);
    }
}

impl MemorySchedules {
    /// All triggers and what was given back, as they are now. Takes time in proportion to their number, in which firing waits.
    ///
    /// What was [taken](Self::take_due) is its taker's, and not part of it until it is given back.
    #[must_use]
    pub fn save(&self) -> SavedSchedules {
        self.save_and(|| ()).0
    }

    /// Replaces all triggers and firings by those that were saved. Whoever waits for [changes](Self::changed) is woken.
    ///
    /// Each trigger goes on with the occurrence after the last one that was taken, however long ago that is: what came due between
    /// is due now, and nothing comes twice.
    ///
    /// # Errors
    /// [`Malformed`](kairos::ErrorKind::Malformed), naming the row, for a trigger that is there twice or could not have been created, by field,
    /// and for a place that is missing or there twice. Then nothing has changed.
    pub fn restore(&self, saved: SavedSchedules) -> Result<()> {
        self.restore_and(saved, || Ok(()))
    }

    /// Saves, and does something else before anything changes.
    pub(crate) fn save_and<T>(&self, then: impl FnOnce() -> T) -> (SavedSchedules, T) {
        let state = self.state.lock();
        let State { triggers, retries, dead_letters, given_up, missed, latest } = &*state;
        let trigger = |(place, trigger, next): (u32, Trigger, Option<Timestamp>)| SavedTrigger {
            place,
            schedule_id: trigger.schedule_id,
            specification: trigger.specification,
            description: trigger.description,
            next,
        };
        let retry = |(due, firing): (Timestamp, &Firing)| SavedRetry { due, firing: firing.clone().into() };
        let saved = SavedSchedules {
            version: Version,
            triggers: triggers.placed().into_iter().map(trigger).collect(),
            holes: triggers.holes(),
            retries: retries.in_order().map(retry).collect(),
            dead_letters: dead_letters.iter().cloned().map(Into::into).collect(),
            given_up: *given_up,
            missed: missed.iter().map(Into::into).collect(),
            latest: *latest,
        };
        (saved, then())
    }

    /// Restores, unless something else fails that is done in between.
    pub(crate) fn restore_and<T>(&self, saved: SavedSchedules, then: impl FnOnce() -> Result<T>) -> Result<T> {
        let read = read(saved)?;
        let mut state = self.state.lock();
        let done = then()?;
        *state = read;
        drop(state);
        self.changed.notify_one();
        Ok(done)
    }
}

fn read(saved: SavedSchedules) -> Result<State> {
    let SavedSchedules { version: Version, triggers: rows, holes, retries, dead_letters, given_up, missed, latest } =
        saved;
    let mut triggers = Triggers::to_be_filled(rows.iter().map(|row| row.place), &holes)?;
    for (index, SavedTrigger { place: _, schedule_id, specification, description, next }) in
        rows.into_iter().enumerate()
    {
        let trigger = Trigger::new(schedule_id, specification).with_description(description);
        let unreadable = |what: &str| error::unreadable(row("Disparadores", index), what).about(&trigger.schedule_id);
        if triggers.find(&trigger.key()).is_some() {
            return Err(unreadable("the trigger is there twice"));
        }
        let timetable = trigger
            .timetable(next.unwrap_or_default())
            .map_err(|error| unreadable("there can be no such trigger").with_faults(error.faults().to_vec()))?;
        triggers.insert(&trigger, &timetable, next);
    }
    let mut waiting = Retries::default();
    for SavedRetry { due, firing } in retries {
        waiting.insert(due, firing.into());
    }
    let mut account = Account::default();
    for SavedMissed { schedule_id, count, is_exact, first, last } in missed {
        account.insert(Missed { schedule_id, count, is_exact, first, last });
    }
    Ok(State {
        triggers,
        retries: waiting,
        dead_letters: dead_letters.into_iter().map(Into::into).collect(),
        given_up,
        missed: account,
        latest,
    })
}
