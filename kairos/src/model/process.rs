//! The process, as the API returns it, as the table holds it and as the queue carries it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::{ProcessId, ScheduleId};
use super::time::OffsetTimestamp;

/// A stored process.
///
/// Its JSON is the wire format: fixed Spanish names, unknown attributes ignored, what is optional left out when absent.
/// Nothing in it is checked: what another system wrote must stay readable. It was checked when it was registered,
/// and is checked again when it is executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Process {
    /// Made of the name.
    #[serde(rename = "IdProceso")]
    pub id: ProcessId,
    /// The schedule it belongs to.
    #[serde(rename = "IdCalendarizacion")]
    pub schedule_id: ScheduleId,
    /// Unique name.
    #[serde(rename = "Nombre")]
    pub name: String,
    /// As whom the target is called; `None` for endpoints and tasks.
    #[serde(rename = "ArnRol", default, deserialize_with = "none_if_empty")]
    pub role: Option<String>,
    /// What is run: see [`Target`](crate::Target). Shared by all its executions.
    #[serde(rename = "ArnProceso")]
    pub target: Arc<str>,
    /// Handed to the target byte for byte, apart from placeholders. Always written, as older readers insist on it. Shared by all its executions.
    #[serde(rename = "Parametros", default)]
    pub parameters: Option<Arc<str>>,
    /// Whether occurrences are dispatched.
    #[serde(rename = "Habilitado", default)]
    pub enabled: bool,
    /// When it was registered.
    #[serde(rename = "FechaCreacion")]
    pub created_at: OffsetTimestamp,
    /// IANA name of its zone; `None` is UTC.
    #[serde(rename = "ZonaHoraria", default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// No occurrence before this instant.
    #[serde(rename = "Inicio", default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// No occurrence after this instant.
    #[serde(rename = "Fin", default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// Flexible window in minutes.
    #[serde(rename = "VentanaMinutos", default, skip_serializing_if = "Option::is_none")]
    pub window_minutes: Option<u32>,
    /// Schedule group of its trigger.
    #[serde(rename = "Grupo", default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Free labels.
    #[serde(rename = "Etiquetas", default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// What it is for, in words.
    #[serde(rename = "Descripcion", default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How often an execution is tried at most; `None` is the executor's own limit.
    #[serde(rename = "MaximoIntentos", default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// How many seconds after its scheduled time an execution may still be tried; `None` is the executor's own limit.
    #[serde(rename = "EdadMaximaSegundos", default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u64>,
    /// Who registered it, as whoever verified the caller says; updates leave it as it is.
    #[serde(rename = "RegistradoPor", default, skip_serializing_if = "Option::is_none")]
    pub registered_by: Option<String>,
}

fn none_if_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}
