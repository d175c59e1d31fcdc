//! Rows and messages to put a backend to: the least, the fullest, the largest, and those of the older system.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::support::{Stop, Verdict};
use crate::model::{
    Hold, OffsetTimestamp, Origin, Owner, Process, ProcessId, Schedule, ScheduleId, ScheduleState, Specification,
    WorkItem, limits,
};

/// Letters beyond ASCII, quotes, both slashes, white space and a placeholder: what transports like to change.
pub(super) const AWKWARD: &str =
    "{\"día\":\"<kairos.scheduled-time>\",\"ruta\":\"C:\\\\año\\/ñ\"}\t\r\n 'ü' 日本語 🦀 %27 &amp; \u{1}";

pub(super) fn schedule_id(mark: &str) -> ScheduleId {
    format!("calendarizacion-{mark}").into()
}

/// A process with nothing optional, in the schedule of the same mark.
pub(super) fn process(mark: &str, name: &str) -> Process {
    let name = format!("{mark} {name}");
    Process {
        id: ProcessId::of(&name),
        schedule_id: schedule_id(mark),
        name,
        role: None,
        target: "kairos:task:conformance".into(),
        parameters: None,
        enabled: true,
        created_at: offset_time("2025-11-06T12:34:56.1234567-03:00"),
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

/// A process with everything optional.
pub(super) fn full_process(mark: &str, name: &str) -> Process {
    Process {
        role: Some("arn:aws:iam::123456789012:role/kairos/conformance".into()),
        target: "arn:aws:lambda:us-east-1:123456789012:function:conformance:prod".into(),
        parameters: Some(AWKWARD.into()),
        enabled: false,
        time_zone: Some("America/Santiago".into()),
        start: Some(instant("2026-01-01T00:00:00Z")),
        end: Some(instant("2199-12-31T23:59:59.999999999Z")),
        window_minutes: Some(15),
        group: Some("nocturno".into()),
        tags: Some(BTreeMap::from([("equipo".into(), "ñandú".into()), ("vacía".into(), String::new())])),
        description: Some("Cierre del día".into()),
        max_attempts: Some(185),
        max_age_seconds: Some(1_209_600),
        registered_by: Some("arn:aws:sts::123456789012:assumed-role/operación/ana".into()),
        ..process(mark, name)
    }
}

/// A process as large as a registration may make it.
pub(super) fn largest_process(mark: &str, name: &str) -> Process {
    let (tags, key, value) = limits::TAGS;
    let name = format!("{mark} {name} ");
    let name = format!("{name}{}", "n".repeat(limits::NAME - name.len()));
    Process {
        id: ProcessId::of(&name),
        name,
        parameters: Some("\"ñ\"".repeat(limits::PARAMETERS / 4).into()),
        tags: Some((0..tags).map(|index| (format!("{index:0key$}"), "ñ".repeat(value))).collect()),
        description: Some("é".repeat(limits::DESCRIPTION)),
        registered_by: Some("a".repeat(limits::CALLER)),
        ..full_process(mark, "")
    }
}

/// A process as the older system wrote it: seven fractional digits, parameters that are null, nothing that is new.
pub(super) fn older_process(mark: &str, name: &str) -> Verdict<Process> {
    read(&json!({
        "IdProceso": ProcessId::of(&format!("{mark} {name}")),
        "IdCalendarizacion": schedule_id(mark),
        "Nombre": format!("{mark} {name}"),
        "ArnRol": "arn:aws:iam::123456789012:role/viejo",
        "ArnProceso": "arn:aws:states:us-east-1:123456789012:stateMachine:cierre",
        "Parametros": null,
        "Habilitado": true,
        "FechaCreacion": "2023-02-28T23:59:59.1234560-03:00",
    }))
}

/// A record as the older system wrote it: no count, no state.
pub(super) fn older_schedule(mark: &str) -> Verdict<Schedule> {
    read(&json!({
        "IdCalendarizacion": schedule_id(mark),
        "Nombre": format!("calendarizacion {mark}"),
        "Descripcion": "",
        "Grupo": "kairos",
        "Cron": "cron(0 9 ? * MON-FRI *)",
        "Arn": format!("arn:aws:scheduler:us-east-1:123456789012:schedule/kairos/{mark}"),
        "FechaCreacion": "2023-02-28T23:59:59.0000001-03:00",
    }))
}

fn read<T: serde::de::DeserializeOwned>(row: &serde_json::Value) -> Verdict<T> {
    // From text, as a backend reads it: some readers borrow from it.
    serde_json::from_str(&row.to_string())
        .map_err(|error| Stop::failed(format!("expected the sample to be readable: {error}")))
}

/// A record with nothing optional.
pub(super) fn schedule(mark: &str) -> Schedule {
    Schedule {
        id: schedule_id(mark),
        specification: Specification::new("cron(0 9 * * ? *)"),
        name: format!("calendarizacion {mark}"),
        description: None,
        trigger_arn: None,
        created_at: offset_time("2025-11-06T12:34:56.1234567-03:00"),
        state: ScheduleState::Active,
        process_count: Some(1),
    }
}

/// A record with everything optional.
pub(super) fn full_schedule(mark: &str) -> Schedule {
    Schedule {
        specification: Specification::new("cron(0/5 8-18 ? * MON-FRI 2026-2030)")
            .with_time_zone("America/Santiago")
            .with_start(instant("2026-01-01T00:00:00Z"))
            .with_end(instant("2030-12-31T23:59:59.999999999Z"))
            .with_window_minutes(15)
            .with_group("nocturno"),
        description: Some("Cada cinco minutos, de día".into()),
        trigger_arn: Some(format!("arn:aws:scheduler:us-east-1:123456789012:schedule/nocturno/{mark}")),
        state: ScheduleState::Creating(hold(1)),
        process_count: Some(u64::from(u32::MAX)),
        ..schedule(mark)
    }
}

pub(super) fn hold(owner: u128) -> Hold {
    Hold { owner: Owner::from_u128(owner), until: instant("2026-01-01T00:01:30.000000001Z") }
}

/// A change of one field of a row, under the field's name.
pub(super) type Alteration<T> = (&'static str, fn(&mut T));

/// For each field of a process, what differs from both [`process`] and [`full_process`].
pub(super) const PROCESS_FIELDS: [Alteration<Process>; 18] = [
    ("schedule_id", |row| row.schedule_id = "calendarizacion-otra".into()),
    ("name", |row| row.name.push('!')),
    ("role", |row| row.role = Some("arn:aws:iam::123456789012:role/otra".into())),
    ("target", |row| row.target = "kairos:task:otra".into()),
    ("parameters", |row| row.parameters = Some("{}".into())),
    ("parameters, to empty text", |row| row.parameters = Some("".into())),
    ("enabled", |row| row.enabled = !row.enabled),
    ("created_at", |row| row.created_at = offset_time("2025-11-06T12:34:56.1234568-03:00")),
    ("created_at, in its offset", |row| row.created_at = offset_time("2025-11-06T15:34:56.1234567+00:00")),
    ("time_zone", |row| row.time_zone = Some("America/Lima".into())),
    ("start", |row| row.start = Some(instant("2026-01-01T00:00:01Z"))),
    ("end", |row| row.end = Some(instant("2199-12-31T23:59:59.999999998Z"))),
    ("window_minutes", |row| row.window_minutes = Some(16)),
    ("group", |row| row.group = Some("diurno".into())),
    ("tags", |row| row.tags = Some(BTreeMap::from([("equipo".into(), "otro".into())]))),
    ("description", |row| row.description = Some("Otra".into())),
    ("limits", |row| (row.max_attempts, row.max_age_seconds) = (Some(3), Some(60))),
    ("registered_by", |row| row.registered_by = Some("otra".into())),
];

/// For each field of a record, what differs from both [`schedule`] and [`full_schedule`].
pub(super) const SCHEDULE_FIELDS: [Alteration<Schedule>; 16] = [
    ("expression", |row| row.specification.expression = "rate(5 minutes)".into()),
    ("time_zone", |row| row.specification.time_zone = Some("America/Lima".into())),
    ("start", |row| row.specification.start = Some(instant("2026-01-01T00:00:01Z"))),
    ("end", |row| row.specification.end = Some(instant("2030-12-31T23:59:59.999999998Z"))),
    ("window_minutes", |row| row.specification.window_minutes = Some(16)),
    ("group", |row| row.specification.group = Some("diurno".into())),
    ("name", |row| row.name.push('!')),
    ("description", |row| row.description = Some("Otra".into())),
    ("trigger_arn", |row| row.trigger_arn = Some("otro".into())),
    ("created_at", |row| row.created_at = offset_time("2025-11-06T12:34:56.1234568-03:00")),
    ("process_count", |row| row.process_count = Some(2)),
    ("process_count, to absent", |row| row.process_count = None),
    ("state", |row| row.state = ScheduleState::Retiring(hold(1))),
    ("owner", |row| row.state = ScheduleState::Creating(hold(2))),
    ("hold", |row| {
        row.state = ScheduleState::Creating(Hold { until: instant("2026-01-01T00:01:30Z"), ..hold(1) });
    }),
    ("hold, to another owner and time", |row| {
        row.state = ScheduleState::Retiring(Hold { until: instant("2026-01-01T00:01:31Z"), ..hold(2) });
    }),
];

/// An execution that no other case asks for, of a process of its own.
pub(super) fn work(mark: &str, scheduled_time: Timestamp) -> WorkItem {
    WorkItem::of_occurrence(Arc::new(process(mark, "ejecución")), scheduled_time, Origin::Schedule)
}

/// An instant that is written down here; one that cannot be read would be the epoch, and no case passes with that.
pub(super) fn instant(text: &str) -> Timestamp {
    text.parse().unwrap_or_default()
}

fn offset_time(text: &str) -> OffsetTimestamp {
    text.parse().unwrap_or_else(|_| Timestamp::UNIX_EPOCH.into())
}
