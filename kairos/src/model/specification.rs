//! When a schedule fires, in full: the expression and all that changes its meaning.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::id::{SCHEDULE_PREFIX, ScheduleId, encode};
use super::policy::{limits, out_of_range};
use crate::error::{Error, Fault};
use crate::expression::Expression;
use crate::timetable::Timetable;
use crate::zone;

/// An expression with its time zone, dates, window and group: two schedules are the same exactly when these are.
///
/// ```
/// use kairos::Specification;
///
/// let daily = Specification::new("cron(0 9 * * ? *)");
/// assert_eq!(daily.schedule_id().as_str(), "calendarizacion-Y3JvbigwIDkgKiAqID8gKik.");
/// let in_santiago = daily.with_time_zone("America/Santiago");
/// assert_eq!(
///     in_santiago.schedule_id().as_str(),
///     "calendarizacion-cron.0-9-Americ-3b413312c94fe9a766a4534d3fa9c257",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Specification {
    /// The expression as it was written: `cron(…)`, `rate(…)`, `at(…)`, or six bare cron fields.
    #[serde(rename = "Cron")]
    pub expression: String,
    /// IANA name of the zone in which the expression is meant; `None` is UTC.
    #[serde(rename = "ZonaHoraria", default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// No occurrence before this instant.
    #[serde(rename = "Inicio", default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// No occurrence after this instant.
    #[serde(rename = "Fin", default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// How many minutes after its nominal time the trigger may fire at the latest, 1 to 1440; `None` is at once.
    #[serde(rename = "VentanaMinutos", default, skip_serializing_if = "Option::is_none")]
    pub window_minutes: Option<u32>,
    /// The schedule group that holds the trigger; `None` is the scheduler service's configured one.
    #[serde(rename = "Grupo", default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// 128 bits, in hexadecimal digits.
const HASH_LEN: usize = 32;

impl Specification {
    /// A bare expression, in UTC.
    pub fn new(expression: impl Into<String>) -> Self {
        Self {
            expression: expression.into(),
            time_zone: None,
            start: None,
            end: None,
            window_minutes: None,
            group: None,
        }
    }

    /// The same in a time zone, by its IANA name. `UTC` is the same as none.
    #[must_use]
    pub fn with_time_zone(mut self, name: impl Into<String>) -> Self {
        self.time_zone = Some(name.into()).filter(|name| name != "UTC");
        self
    }

    /// The same with no occurrence before `start`.
    #[must_use]
    pub fn with_start(mut self, start: Timestamp) -> Self {
        self.start = Some(start);
        self
    }

    /// The same with no occurrence after `end`.
    #[must_use]
    pub fn with_end(mut self, end: Timestamp) -> Self {
        self.end = Some(end);
        self
    }

    /// The same with a flexible window of so many minutes.
    #[must_use]
    pub fn with_window_minutes(mut self, minutes: u32) -> Self {
        self.window_minutes = Some(minutes);
        self
    }

    /// The same with its trigger in a schedule group.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// The id that stands for exactly this specification; a trigger can bear it as its name.
    ///
    /// A bare expression whose encoded text fits in 64 characters is its own id. Everything else gets a readable part and
    /// 128 bits of SHA-256 over all fields. The readable part holds a full stop between letters, which encoded text never does,
    /// so that the two kinds cannot meet.
    #[must_use]
    pub fn schedule_id(&self) -> ScheduleId {
        if self.is_bare() {
            let id = format!("{SCHEDULE_PREFIX}{}", encode(&self.expression));
            if id.len() <= limits::TRIGGER_NAME {
                return id.into();
            }
        }
        let readable = self.readable(limits::TRIGGER_NAME - SCHEDULE_PREFIX.len() - 1 - HASH_LEN);
        format!("{SCHEDULE_PREFIX}{readable}-{}", self.hash()).into()
    }

    fn is_bare(&self) -> bool {
        self.time_zone.is_none()
            && self.start.is_none()
            && self.end.is_none()
            && self.window_minutes.is_none()
            && self.group.is_none()
    }

    fn readable(&self, room: usize) -> String {
        let (kind, body) = match self.expression.split_once('(') {
            Some((kind @ ("cron" | "rate" | "at"), body)) => (kind, body),
            _ => ("cron", self.expression.as_str()),
        };
        let mut text = format!("{kind}.");
        for part in [Some(body), self.time_zone.as_deref()].into_iter().flatten() {
            for word in part.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
                if !text.ends_with('.') {
                    text.push('-');
                }
                text.push_str(word);
            }
        }
        text.truncate(room);
        text.truncate(text.trim_end_matches('-').len());
        text
    }

    fn hash(&self) -> String {
        // Every field is length-prefixed or absent, so that no two specifications hash the same text.
        let mut text = String::new();
        let instants = [self.start, self.end].map(|instant| instant.map(|i| i.to_string()));
        let window = self.window_minutes.map(|minutes| minutes.to_string());
        for field in [
            Some(self.expression.as_str()),
            self.time_zone.as_deref(),
            instants[0].as_deref(),
            instants[1].as_deref(),
            window.as_deref(),
            self.group.as_deref(),
        ] {
            // Writing to a string cannot fail.
            let _ = match field {
                Some(value) => write!(text, "{}:{value};", value.len()),
                None => write!(text, "-;"),
            };
        }
        let digest = Sha256::digest(text.as_bytes());
        let mut hex = String::with_capacity(HASH_LEN);
        for byte in digest.iter().take(HASH_LEN / 2) {
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }

    /// The occurrences that it means. A rate without a start counts from `anchor`, when its schedule was created.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), with a fault for each of `cron` and `zonaHoraria` that cannot be read.
    pub fn timetable(&self, anchor: Timestamp) -> Result<Timetable, Error> {
        let mut faults = Vec::new();
        let expression = Expression::parse(&self.expression)
            .map_err(|error| faults.push(Fault::new("cron", error.to_string()).with_at(error.at())))
            .ok();
        let time_zone = zone::get(self.time_zone.as_deref().unwrap_or("UTC"))
            .map_err(|error| faults.push(Fault::new("zonaHoraria", error.to_string())))
            .ok();
        match (expression, time_zone) {
            (Some(expression), Some(time_zone)) => {
                Ok(Timetable::new(expression, time_zone).with_anchor(anchor).with_start(self.start).with_end(self.end))
            }
            _ => Err(Error::invalid(faults)),
        }
    }

    /// The same, refusing by field whatever a scheduler service would refuse.
    pub(crate) fn checked(&self, anchor: Timestamp) -> Result<Timetable, Vec<Fault>> {
        let timetable = self.timetable(anchor);
        let mut faults = timetable.as_ref().map_or_else(|error| error.faults().to_vec(), |_| Vec::new());
        if let (Some(start), Some(end)) = (self.start, self.end)
            && end <= start
        {
            faults.push(Fault::new("fin", format!("must be after inicio ({start}), not {end}")));
        }
        faults.extend(out_of_range("ventanaMinutos", self.window_minutes, &limits::WINDOW_MINUTES));
        if let Some(group) = self.group.as_deref().filter(|group| !limits::is_trigger_name(group)) {
            faults.push(Fault::new("grupo", limits::no_trigger_name(group, "group name")));
        }
        match timetable {
            Ok(timetable) if faults.is_empty() => Ok(timetable),
            _ => Err(faults),
        }
    }

    /// The fields in which a trigger that exists differs from one that is wanted; `grupo` is part of what names it, and not among them.
    #[must_use]
    pub fn differences(&self, wanted: &Self) -> Vec<Fault> {
        [
            Fault::of_difference("cron", Some(&self.expression), Some(&wanted.expression)),
            Fault::of_difference("zonaHoraria", self.time_zone.as_ref(), wanted.time_zone.as_ref()),
            Fault::of_difference("inicio", self.start.as_ref(), wanted.start.as_ref()),
            Fault::of_difference("fin", self.end.as_ref(), wanted.end.as_ref()),
            Fault::of_difference("ventanaMinutos", self.window_minutes.as_ref(), wanted.window_minutes.as_ref()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_expression_is_its_own_id_while_it_fits() {
        assert_eq!(
            Specification::new("rate(5 minutes)").schedule_id().as_str(),
            "calendarizacion-cmF0ZSg1IG1pbnV0ZXMp"
        );
        let utc = Specification::new("rate(5 minutes)").with_time_zone("UTC");
        assert_eq!(utc, Specification::new("rate(5 minutes)"));
        let long = "cron(0,5,10,15,20,25,30 8-18 ? * MON-FRI 2026-2030)";
        assert_eq!(
            Specification::new(long).schedule_id().as_str(),
            "calendarizacion-cron.0-5-10-15-248b6e1e54e25fb48099e3472b794924"
        );
    }

    #[test]
    fn every_field_makes_another_id_that_a_trigger_can_bear() {
        let bare = Specification::new("cron(0 9 * * ? *)");
        let instant: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let all = [
            bare.clone(),
            Specification::new("0 9 * * ? *"),
            Specification::new("cron(0  9 * * ? *)"),
            bare.clone().with_time_zone("America/Santiago"),
            bare.clone().with_time_zone("America/Lima"),
            bare.clone().with_start(instant),
            bare.clone().with_end(instant),
            bare.clone().with_window_minutes(15),
            bare.clone().with_group("nocturno"),
            bare.clone().with_group("nocturno").with_time_zone("America/Lima"),
            Specification::new("0".repeat(200)),
            Specification::new("ñ".repeat(200)),
        ];
        let ids: std::collections::BTreeSet<_> = all.iter().map(Specification::schedule_id).collect();
        assert_eq!(ids.len(), all.len());
        for id in ids {
            assert!(id.as_str().len() <= limits::TRIGGER_NAME, "{id}");
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            assert!(id.as_str().chars().all(fits), "{id}");
        }
    }
}
