//! What a caller asks for: a registration, or changes to one. Read from JSON with keys in any case, every fault by field.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::policy::limits;
use super::process::Process;
use super::specification::Specification;
use super::time::OffsetTimestamp;
use crate::error::{Error, Fault};

/// A request to run a process on a schedule.
///
/// ```
/// use kairos::Registration;
///
/// let registration = Registration::new("informe", "cron(0 9 ? * MON-FRI *)", "kairos:task:informe")
///     .with_time_zone("America/Santiago")
///     .with_parameters(r#"{"dia":"<kairos.scheduled-time>"}"#);
/// let same = Registration::from_json(
///     r#"{"NOMBRE":"informe","Cron":"cron(0 9 ? * MON-FRI *)","arnProceso":"kairos:task:informe",
///         "zonaHoraria":"America/Santiago","parametros":"{\"dia\":\"<kairos.scheduled-time>\"}"}"#,
/// );
/// assert_eq!(registration, same.unwrap());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Registration {
    /// Unique name, 1 to 256 bytes, in any script, without control characters, line separators and blanks around it.
    #[serde(rename = "nombre")]
    pub name: String,
    /// When to run: `cron(…)`, `rate(…)`, `at(…)`, or six bare cron fields; at most 256 characters.
    #[serde(rename = "cron")]
    pub expression: String,
    /// What to run: see [`Target`](crate::Target).
    #[serde(rename = "arnProceso")]
    pub target: String,
    /// As whom: `arn:PARTITION:iam::ACCOUNT:role/NAME`. Every AWS target needs it.
    #[serde(rename = "arnRol", skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What the target is handed, at most 256 KiB of UTF-8 and [what its kind takes](crate::limits::payload).
    #[serde(rename = "parametros", skip_serializing_if = "Option::is_none")]
    pub parameters: Option<String>,
    /// Whether occurrences are dispatched; yes if not said otherwise.
    #[serde(rename = "habilitado")]
    pub enabled: bool,
    /// IANA name of the zone in which the expression is meant; UTC if absent.
    #[serde(rename = "zonaHoraria", skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// No occurrence before this instant.
    #[serde(rename = "inicio", skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// No occurrence after this instant.
    #[serde(rename = "fin", skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// Flexible window, 1 to 1440 minutes.
    #[serde(rename = "ventanaMinutos", skip_serializing_if = "Option::is_none")]
    pub window_minutes: Option<u32>,
    /// Schedule group of the trigger, 1 to 64 of `[0-9a-zA-Z-_.]`.
    #[serde(rename = "grupo", skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Free labels: at most 50, keys of 1 to 128 and values of up to 256 characters.
    #[serde(rename = "etiquetas", skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// What it is for, at most 512 characters.
    #[serde(rename = "descripcion", skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How often an execution is tried at most, 1 to 185.
    #[serde(rename = "maximoIntentos", skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// How many seconds after its scheduled time an execution may still be tried, 60 to 1209600 (14 days).
    #[serde(rename = "edadMaximaSegundos", skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u64>,
    /// Who registers it, 1 to 1024 bytes in one line. Never read from a request, which could name anybody: whoever verified the caller says
    /// so. It is no part of the definition: the same from somebody else is the same registration.
    #[serde(skip)]
    pub registered_by: Option<String>,
}

/// Changes to a registration: what is `None` stays as it is; of what may be absent, `Some(None)` takes it away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each field is the one of `Registration` that bears its name")]
#[allow(clippy::option_option, reason = "absent, null and a value are three things in a merge patch")]
pub struct Changes {
    pub name: Option<String>,
    pub expression: Option<String>,
    pub target: Option<String>,
    pub role: Option<Option<String>>,
    pub parameters: Option<Option<String>>,
    pub enabled: Option<bool>,
    pub time_zone: Option<Option<String>>,
    pub start: Option<Option<Timestamp>>,
    pub end: Option<Option<Timestamp>>,
    pub window_minutes: Option<Option<u32>>,
    pub group: Option<Option<String>>,
    pub tags: Option<Option<BTreeMap<String, String>>>,
    pub description: Option<Option<String>>,
    pub max_attempts: Option<Option<u32>>,
    pub max_age_seconds: Option<Option<u64>>,
}

macro_rules! setters {
    ($($(#[$doc:meta])* $setter:ident $field:ident: $type:ty;)*) => {
        impl Registration {
            $($(#[$doc])*
            #[must_use]
            pub fn $setter(mut self, $field: impl Into<$type>) -> Self {
                self.$field = Some($field.into());
                self
            })*
        }
    };
}

setters! {
    /// The same, run as a role.
    with_role role: String;
    /// The same, with parameters for the target.
    with_parameters parameters: String;
    /// The same, with its expression meant in a time zone.
    with_time_zone time_zone: String;
    /// The same, with no occurrence before an instant.
    with_start start: Timestamp;
    /// The same, with no occurrence after an instant.
    with_end end: Timestamp;
    /// The same, with a flexible window.
    with_window_minutes window_minutes: u32;
    /// The same, with its trigger in a schedule group.
    with_group group: String;
    /// The same, with labels.
    with_tags tags: BTreeMap<String, String>;
    /// The same, with a description.
    with_description description: String;
    /// The same, with its own limit on tries.
    with_max_attempts max_attempts: u32;
    /// The same, with its own limit on age.
    with_max_age_seconds max_age_seconds: u64;
    /// The same, registered by somebody whom the caller of this has verified.
    with_registered_by registered_by: String;
}

impl Registration {
    /// A process that is enabled, in UTC, with nothing optional.
    pub fn new(name: impl Into<String>, expression: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            expression: expression.into(),
            target: target.into(),
            role: None,
            parameters: None,
            enabled: true,
            time_zone: None,
            start: None,
            end: None,
            window_minutes: None,
            group: None,
            tags: None,
            description: None,
            max_attempts: None,
            max_age_seconds: None,
            registered_by: None,
        }
    }

    /// The same, registered without being dispatched yet.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    /// Reads a request as the API takes it. Keys may be in any case; unknown ones are ignored; `null` is absent.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), with a fault for every field that is missing or of the wrong type; for a key that is there
    /// twice, as whoever looked at the request before may have gone by the other one; and for a request longer than
    /// [`limits::REQUEST`](crate::limits::REQUEST).
    pub fn from_json(text: &str) -> Result<Self, Error> {
        Self::from_value(&parse(text)?)
    }

    /// Reads a request from JSON that has been parsed already.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn from_value(value: &Value) -> Result<Self, Error> {
        let mut reader = Reader::new(value)?;
        let changes = reader.changes();
        for (field, given) in [
            ("nombre", changes.name.is_some()),
            ("cron", changes.expression.is_some()),
            ("arnProceso", changes.target.is_some()),
        ] {
            if !given && !reader.faults.iter().any(|fault| fault.field == field) {
                reader.fault(field, "is missing");
            }
        }
        reader.finish()?;
        Ok(Self::new("", "", "").changed_by(changes))
    }

    /// What a stored process with this expression was registered as.
    #[must_use]
    pub fn of_stored(process: &Process, expression: impl Into<String>) -> Self {
        Self {
            name: process.name.clone(),
            expression: expression.into(),
            target: process.target.to_string(),
            role: process.role.clone(),
            parameters: process.parameters.as_deref().map(str::to_owned),
            enabled: process.enabled,
            time_zone: process.time_zone.clone(),
            start: process.start,
            end: process.end,
            window_minutes: process.window_minutes,
            group: process.group.clone(),
            tags: process.tags.clone(),
            description: process.description.clone(),
            max_attempts: process.max_attempts,
            max_age_seconds: process.max_age_seconds,
            registered_by: process.registered_by.clone(),
        }
    }

    /// The registration with the changes made.
    #[must_use]
    pub fn changed_by(mut self, changes: Changes) -> Self {
        fn set<T>(field: &mut T, change: Option<T>) {
            if let Some(value) = change {
                *field = value;
            }
        }
        set(&mut self.name, changes.name);
        set(&mut self.expression, changes.expression);
        set(&mut self.target, changes.target);
        set(&mut self.role, changes.role);
        set(&mut self.parameters, changes.parameters);
        set(&mut self.enabled, changes.enabled);
        set(&mut self.time_zone, changes.time_zone);
        set(&mut self.start, changes.start);
        set(&mut self.end, changes.end);
        set(&mut self.window_minutes, changes.window_minutes);
        set(&mut self.group, changes.group);
        set(&mut self.tags, changes.tags);
        set(&mut self.description, changes.description);
        set(&mut self.max_attempts, changes.max_attempts);
        set(&mut self.max_age_seconds, changes.max_age_seconds);
        self
    }

    /// When it is to run.
    #[must_use]
    pub fn specification(&self) -> Specification {
        let mut specification = Specification::new(self.expression.as_str());
        if let Some(name) = &self.time_zone {
            specification = specification.with_time_zone(name.as_str());
        }
        specification.start = self.start;
        specification.end = self.end;
        specification.window_minutes = self.window_minutes;
        specification.group.clone_from(&self.group);
        specification
    }

    /// The process as it is stored.
    pub(crate) fn into_process(self, created_at: OffsetTimestamp) -> Process {
        let specification = self.specification();
        Process {
            id: super::id::ProcessId::of(&self.name),
            schedule_id: specification.schedule_id(),
            name: self.name,
            role: self.role,
            target: self.target.into(),
            parameters: self.parameters.map(Arc::from),
            enabled: self.enabled,
            created_at,
            time_zone: specification.time_zone,
            start: self.start,
            end: self.end,
            window_minutes: self.window_minutes,
            group: self.group,
            tags: self.tags,
            description: self.description,
            max_attempts: self.max_attempts,
            max_age_seconds: self.max_age_seconds,
            registered_by: self.registered_by,
        }
    }
}

impl Changes {
    /// Turns dispatching on or off, and changes nothing else.
    #[must_use]
    pub fn enabled(enabled: bool) -> Self {
        Self { enabled: Some(enabled), ..Self::default() }
    }

    /// Reads changes as the API takes them (JSON Merge Patch, RFC 7396: `null` takes an optional field away).
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), with a fault for every field of the wrong type; and as [`Registration::from_json`].
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let value = parse(text)?;
        let mut reader = Reader::new(&value)?;
        let changes = reader.changes();
        reader.finish()?;
        Ok(changes)
    }
}

/// What faults of the request as a whole are reported under.
const WHOLE: &str = "solicitud";

fn parse(text: &str) -> Result<Value, Error> {
    let fault = |message: String| Error::invalid(vec![Fault::new(WHOLE, message)]);
    let (size, most) = (text.len(), limits::REQUEST);
    if size > most {
        return Err(fault(format!("is {size} bytes long; {most} are allowed")));
    }
    serde_json::from_str::<Unique>(text)
        .and_then(|Unique| serde_json::from_str(text))
        .map_err(|error| fault(format!("must be JSON: {error}")))
}

/// Any JSON in which no object holds a key twice. A tree would hold the last value and not tell.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(serde::de::Error::custom(format!("'{key}' is there twice")));
            }
            keys.insert(key);
            map.next_value::<Self>()?;
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

/// Reads the fields of a JSON object by their lower-cased names and collects what is wrong with them.
struct Reader<'a> {
    fields: BTreeMap<String, &'a Value>,
    faults: Vec<Fault>,
}

#[allow(clippy::option_option, reason = "absent, null and a value are three things in a merge patch")]
impl<'a> Reader<'a> {
    fn new(value: &'a Value) -> Result<Self, Error> {
        let object: &Map<String, Value> =
            value.as_object().ok_or_else(|| Error::invalid(vec![Fault::new(WHOLE, "must be a JSON object")]))?;
        // In the order of names: that of the map is another where any crate switches on serde_json's `preserve_order`.
        let mut fields = BTreeMap::new();
        let mut twice = BTreeSet::new();
        for (key, value) in object {
            let name = key.to_lowercase();
            if fields.insert(name.clone(), value).is_some() {
                twice.insert(name);
            }
        }
        let fault = |name| Fault::new(WHOLE, format!("holds '{name}' more than once, in different case"));
        Ok(Self { fields, faults: twice.into_iter().map(fault).collect() })
    }

    fn changes(&mut self) -> Changes {
        Changes {
            name: self.required("nombre", string),
            expression: self.required("cron", string),
            target: self.required("arnProceso", string),
            role: self.optional("arnRol", string).map(|role| role.filter(|r| !r.is_empty())),
            parameters: self.optional("parametros", string),
            enabled: self.required("habilitado", boolean),
            time_zone: self.optional("zonaHoraria", string),
            start: self.optional("inicio", instant),
            end: self.optional("fin", instant),
            window_minutes: self.optional("ventanaMinutos", integer),
            group: self.optional("grupo", string),
            tags: self.optional("etiquetas", labels),
            description: self.optional("descripcion", string),
            max_attempts: self.optional("maximoIntentos", integer),
            max_age_seconds: self.optional("edadMaximaSegundos", integer),
        }
    }

    fn fault(&mut self, field: &'static str, message: impl Into<String>) {
        self.faults.push(Fault::new(field, message));
    }

    /// A field that may be absent: `Some(None)` if it is null.
    fn optional<T>(&mut self, field: &'static str, read: fn(&Value) -> Result<T, String>) -> Option<Option<T>> {
        match *self.fields.get(&field.to_lowercase())? {
            Value::Null => Some(None),
            value => self.read(field, value, read).map(Some),
        }
    }

    /// A field that always has a value.
    fn required<T>(&mut self, field: &'static str, read: fn(&Value) -> Result<T, String>) -> Option<T> {
        let value = self.optional(field, read)?;
        if value.is_none() {
            self.fault(field, "must not be null");
        }
        value
    }

    fn read<T>(&mut self, field: &'static str, value: &Value, read: fn(&Value) -> Result<T, String>) -> Option<T> {
        read(value).map_err(|message| self.fault(field, message)).ok()
    }

    fn finish(self) -> Result<(), Error> {
        if self.faults.is_empty() { Ok(()) } else { Err(Error::invalid(self.faults)) }
    }
}

fn string(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Object(_) | Value::Array(_) => {
            Err(format!("must be a string; JSON goes into it as text: {:?}", value.to_string()))
        }
        other => Err(format!("must be a string, not {other}")),
    }
}

fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("must be true or false, not {value}"))
}

fn integer<T: TryFrom<u64>>(value: &Value) -> Result<T, String> {
    value
        .as_u64()
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| format!("must be a whole number, not {value}"))
}

fn instant(value: &Value) -> Result<Timestamp, String> {
    let text = string(value)?;
    text.parse()
        .map_err(|_| format!("'{text}' is no instant: 2026-01-31T09:00:00Z or with an offset like -03:00 is expected"))
}

fn labels(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let object = value.as_object().ok_or("must be an object of strings")?;
    object
        .iter()
        .map(|(key, value)| Ok((key.clone(), string(value).map_err(|message| format!("'{key}' {message}"))?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let error = Registration::from_json(text).unwrap_err();
        error.faults().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fault_is_reported_at_once_by_field() {
        assert_eq!(
            faults(
                r#"{"nombre":7,"habilitado":"si","inicio":"ayer","ventanaMinutos":-1,"etiquetas":{"a":1},"parametros":{"a":1}}"#
            ),
            [
                "nombre: must be a string, not 7",
                r#"parametros: must be a string; JSON goes into it as text: "{\"a\":1}""#,
                "habilitado: must be true or false, not \"si\"",
                "inicio: 'ayer' is no instant: 2026-01-31T09:00:00Z or with an offset like -03:00 is expected",
                "ventanaMinutos: must be a whole number, not -1",
                "etiquetas: 'a' must be a string, not 1",
                "cron: is missing",
                "arnProceso: is missing",
            ]
        );
        assert_eq!(faults("[]"), ["solicitud: must be a JSON object"]);
        assert!(faults("{")[0].starts_with("solicitud: must be JSON"));
        assert_eq!(
            faults(r#"{"nombre":"a","Nombre":"b","CRON":"c","cron":"c","arnProceso":"p"}"#),
            [
                "solicitud: holds 'cron' more than once, in different case",
                "solicitud: holds 'nombre' more than once, in different case"
            ]
        );
    }

    #[test]
    fn a_change_tells_absent_from_null() {
        let stored = Registration::new("a", "rate(1 day)", "kairos:task:a").with_parameters("{}").with_description("d");
        let changes = Changes::from_json(r#"{"Parametros":null,"habilitado":false}"#).unwrap();
        let changed = stored.clone().changed_by(changes);
        assert_eq!(changed.parameters, None);
        assert_eq!(changed.description.as_deref(), Some("d"));
        assert!(!changed.enabled);
        assert_eq!(stored.clone().changed_by(Changes::default()), stored);
    }

    #[test]
    fn a_request_does_not_say_who_makes_it() {
        let text = r#"{"nombre":"a","cron":"rate(1 day)","arnProceso":"kairos:task:a","registradoPor":"otra","RegistradoPor":1}"#;
        assert_eq!(faults(text), ["solicitud: holds 'registradopor' more than once, in different case"]);
        let read = Registration::from_json(&text.replace(r#","RegistradoPor":1"#, "")).unwrap();
        assert_eq!(read.registered_by, None);
        let text = serde_json::to_string(&read.with_registered_by("ana")).unwrap();
        assert!(!text.contains("ana"), "{text}");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let registration = Registration::new("a", "rate(1 day)", "kairos:task:a")
            .with_role("arn:aws:iam::123456789012:role/r")
            .with_time_zone("America/Lima")
            .with_start("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap())
            .with_tags(BTreeMap::from([("equipo".into(), "ventas".into())]))
            .with_max_attempts(3u32)
            .disabled();
        let text = serde_json::to_string(&registration).unwrap();
        assert_eq!(Registration::from_json(&text).unwrap(), registration);
    }
}
