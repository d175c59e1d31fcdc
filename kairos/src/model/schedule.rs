//! The schedule record: who uses the one trigger of a schedule, and whether that trigger exists.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hold::{Hold, Owner};
use super::id::ScheduleId;
use super::specification::Specification;
use super::time::OffsetTimestamp;
use crate::clock::whole_second;

/// The record of a schedule.
///
/// It counts the processes of the schedule and says whether its trigger exists. See the registration protocol in
/// [`scheduler`](crate::scheduler).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Row", into = "Row")]
#[non_exhaustive]
pub struct Schedule {
    /// Made of the specification.
    pub id: ScheduleId,
    /// When it fires.
    pub specification: Specification,
    /// Name to show.
    pub name: String,
    /// What it is for, in words.
    pub description: Option<String>,
    /// The ARN of its trigger, once that has been created.
    pub trigger_arn: Option<String>,
    /// When the record was written first; a rate without a start counts from here.
    pub created_at: OffsetTimestamp,
    /// Whether the trigger exists.
    pub state: ScheduleState,
    /// How many processes belong to it; `None` if the older system wrote the record, which did not count.
    pub process_count: Option<u64>,
}

/// Whether the trigger of a schedule exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleState {
    /// It exists. `Activa`, also when the attribute is absent.
    Active,
    /// One call is creating it; all others wait. `Creando`.
    Creating(Hold),
    /// One call is deleting it; all others wait. `Retirando`.
    Retiring(Hold),
}

impl ScheduleState {
    /// Who holds the record, unless it is active.
    #[must_use]
    pub fn hold(&self) -> Option<&Hold> {
        match self {
            Self::Active => None,
            Self::Creating(hold) | Self::Retiring(hold) => Some(hold),
        }
    }

    fn as_str(&self) -> &'static str {
        match self {
            Self::Active => "Activa",
            Self::Creating(_) => "Creando",
            Self::Retiring(_) => "Retirando",
        }
    }
}

impl fmt::Display for ScheduleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Schedule {
    /// A record of `specification`, created now (to the second, as rates count from it), whose trigger exists and that no process uses.
    #[must_use]
    pub fn new(specification: Specification, now: Timestamp) -> Self {
        let id = specification.schedule_id();
        Self {
            name: id.to_string(),
            id,
            specification,
            description: None,
            trigger_arn: None,
            created_at: whole_second(now).into(),
            state: ScheduleState::Active,
            process_count: Some(0),
        }
    }
}

/// The record as the table and the API hold it.
#[derive(Clone, Serialize, Deserialize)]
struct Row {
    #[serde(rename = "IdCalendarizacion")]
    id: ScheduleId,
    #[serde(rename = "Nombre", default)]
    name: Option<String>,
    #[serde(rename = "Descripcion", default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(flatten)]
    specification: Specification,
    #[serde(rename = "Arn", default, skip_serializing_if = "Option::is_none")]
    trigger_arn: Option<String>,
    #[serde(rename = "FechaCreacion")]
    created_at: OffsetTimestamp,
    #[serde(rename = "Estado", default)]
    state: Option<String>,
    #[serde(rename = "CantidadProcesos", default, skip_serializing_if = "Option::is_none")]
    process_count: Option<u64>,
    #[serde(rename = "Propietario", default, skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
    #[serde(rename = "ReservadaHasta", default, skip_serializing_if = "Option::is_none")]
    held_until: Option<Timestamp>,
}

impl TryFrom<Row> for Schedule {
    type Error = String;

    fn try_from(row: Row) -> Result<Self, String> {
        let hold = || {
            Ok::<_, String>(Hold {
                owner: row.owner.ok_or("Propietario is missing")?,
                until: row.held_until.ok_or("ReservadaHasta is missing")?,
            })
        };
        let state = match row.state.as_deref() {
            None | Some("Activa") => ScheduleState::Active,
            Some("Creando") => ScheduleState::Creating(hold()?),
            Some("Retirando") => ScheduleState::Retiring(hold()?),
            Some(other) => {
                return Err(format!("Estado '{other}' is unknown: Activa, Creando or Retirando is expected"));
            }
        };
        Ok(Self {
            name: row.name.unwrap_or_else(|| row.id.to_string()),
            id: row.id,
            specification: row.specification,
            description: row.description,
            trigger_arn: row.trigger_arn,
            created_at: row.created_at,
            state,
            process_count: row.process_count,
        })
    }
}

impl From<Schedule> for Row {
    fn from(schedule: Schedule) -> Self {
        let hold = schedule.state.hold().copied();
        Self {
            id: schedule.id,
            name: Some(schedule.name),
            description: schedule.description,
            specification: schedule.specification,
            trigger_arn: schedule.trigger_arn,
            created_at: schedule.created_at,
            state: Some(schedule.state.as_str().into()),
            process_count: schedule.process_count,
            owner: hold.map(|hold| hold.owner),
            held_until: hold.map(|hold| hold.until),
        }
    }
}
