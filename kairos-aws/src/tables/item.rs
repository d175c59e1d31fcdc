//! Rows as items: the wire format, attribute by attribute.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use kairos::{Process, Result, Schedule};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use serde_json::Value;

use super::attribute::fields;
use crate::error::dynamodb::{unreadable_row, unwritable_row};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// A row of a table that the older system writes too.
pub(crate) trait Row: Serialize + DeserializeOwned + PartialEq + Send + Sync {
    /// The attribute that is the table's partition key.
    const KEY: &'static str;
    /// Every other attribute that Kairos knows. What else an item holds is somebody else's, and stays.
    const ATTRIBUTES: &'static [&'static str];

    fn id(&self) -> &str;
}

impl Row for Process {
    const KEY: &'static str = "IdProceso";
    const ATTRIBUTES: &'static [&'static str] = &[
        "IdCalendarizacion",
        "Nombre",
        "ArnRol",
        "ArnProceso",
        "Parametros",
        "Habilitado",
        "FechaCreacion",
        "ZonaHoraria",
        "Inicio",
        "Fin",
        "VentanaMinutos",
        "Grupo",
        "Etiquetas",
        "Descripcion",
        "MaximoIntentos",
        "EdadMaximaSegundos",
        "RegistradoPor",
    ];

    fn id(&self) -> &str {
        self.id.as_str()
    }
}

impl Row for Schedule {
    const KEY: &'static str = "IdCalendarizacion";
    const ATTRIBUTES: &'static [&'static str] = &[
        "Nombre",
        "Descripcion",
        "Cron",
        "ZonaHoraria",
        "Inicio",
        "Fin",
        "VentanaMinutos",
        "Grupo",
        "Arn",
        "FechaCreacion",
        "Estado",
        "CantidadProcesos",
        "Propietario",
        "ReservadaHasta",
    ];

    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// A row as Kairos writes it.
pub(crate) fn to_item(row: &impl Serialize) -> Result<Item> {
    match serde_json::to_value(row) {
        Ok(Value::Object(fields)) => Ok(fields.into_iter().map(|(name, value)| (name, to_attribute(value))).collect()),
        Ok(_) => Err(unwritable_row()),
        Err(error) => Err(unwritable_row().with_source(error)),
    }
}

/// What an item means. Attributes that are unknown are passed over, whatever they hold.
pub(crate) fn from_item<T: DeserializeOwned>(item: &Item) -> Result<T> {
    let read = || MapDeserializer::new(fields(item));
    // Of one that cannot be read, a second look tells which attribute it is. Nearly all can, and are not burdened with that.
    T::deserialize(read())
        .or_else(|_| serde_path_to_error::deserialize(read()))
        .map_err(|error| unreadable_row().with_source(error))
}

fn to_attribute(value: Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(truth) => AttributeValue::Bool(truth),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text),
        Value::Array(values) => AttributeValue::L(values.into_iter().map(to_attribute).collect()),
        Value::Object(fields) => {
            AttributeValue::M(fields.into_iter().map(|(name, value)| (name, to_attribute(value))).collect())
        }
    }
}

/// How many bytes an item counts against the service's limits (DynamoDB developer guide, "Item sizes and formats").
pub(crate) fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + attribute_size(value)).sum()
}

pub(crate) fn attribute_size(attribute: &AttributeValue) -> usize {
    const OVERHEAD: usize = 3;
    match attribute {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::L(values) => OVERHEAD + values.iter().map(|value| 1 + attribute_size(value)).sum::<usize>(),
        AttributeValue::M(fields) => OVERHEAD + fields.len() + size(fields),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kairos::ErrorKind;

    use super::*;

    const PROCESS: &str = r#"{
        "IdProceso": "proceso-YQ..", "IdCalendarizacion": "calendarizacion-x", "Nombre": "a", "ArnRol": "rol",
        "ArnProceso": "kairos:task:a", "Parametros": null, "Habilitado": true, "FechaCreacion": "2026-01-01T00:00:00.5+00:00",
        "ZonaHoraria": "America/Lima", "Inicio": "2026-01-01T00:00:00Z", "Fin": "2027-01-01T00:00:00Z", "VentanaMinutos": 15,
        "Grupo": "g", "Etiquetas": {"clave": "valor"}, "Descripcion": "d", "MaximoIntentos": 3, "EdadMaximaSegundos": 60,
        "RegistradoPor": "ana"
    }"#;
    const SCHEDULE: &str = r#"{
        "IdCalendarizacion": "calendarizacion-x", "Nombre": "x", "Descripcion": "d", "Cron": "rate(1 day)",
        "ZonaHoraria": "America/Lima", "Inicio": "2026-01-01T00:00:00Z", "Fin": "2027-01-01T00:00:00Z", "VentanaMinutos": 15,
        "Grupo": "g", "Arn": "arn", "FechaCreacion": "2026-01-01T00:00:00.5+00:00", "Estado": "Creando",
        "CantidadProcesos": 18446744073709551615, "Propietario": "00000000-0000-0000-0000-000000000001", "ReservadaHasta": "2026-01-01T00:00:00Z"
    }"#;

    fn is_known_in_full<T: Row + std::fmt::Debug>(json: &str) {
        let row: T = serde_json::from_str(json).unwrap();
        let item = to_item(&row).unwrap();
        let written: BTreeSet<_> = item.keys().map(String::as_str).collect();
        let known: BTreeSet<_> = T::ATTRIBUTES.iter().copied().chain([T::KEY]).collect();
        assert_eq!(written, known, "an attribute that is not compared would be overwritten unseen");
        assert_eq!(from_item::<T>(&item).unwrap(), row);
        let json: Value = serde_json::from_str(json).unwrap();
        assert_eq!(from_item::<Value>(&item).unwrap(), json, "the wire format, attribute by attribute");
    }

    #[test]
    fn every_attribute_of_a_row_is_known() {
        is_known_in_full::<Process>(PROCESS);
        is_known_in_full::<Schedule>(SCHEDULE);
    }

    #[test]
    fn attributes_have_the_types_of_the_older_system() {
        let item = to_item(&serde_json::from_str::<Process>(PROCESS).unwrap()).unwrap();
        assert_eq!(item["Nombre"], AttributeValue::S("a".into()));
        assert_eq!(item["Parametros"], AttributeValue::Null(true));
        assert_eq!(item["Habilitado"], AttributeValue::Bool(true));
        assert_eq!(item["VentanaMinutos"], AttributeValue::N("15".into()));
        let tags = HashMap::from([("clave".into(), AttributeValue::S("valor".into()))]);
        assert_eq!(item["Etiquetas"], AttributeValue::M(tags));
    }

    #[test]
    fn foreign_attributes_are_passed_over_and_broken_ones_are_not() {
        let process: Process = serde_json::from_str(PROCESS).unwrap();
        let mut item = to_item(&process).unwrap();
        item.insert("Bytes".into(), AttributeValue::B(vec![1].into()));
        item.insert("Conjunto".into(), AttributeValue::Ns(vec!["1".into()]));
        item.insert("Lista".into(), AttributeValue::L(vec![AttributeValue::N("-1.5".into())]));
        assert_eq!(from_item::<Process>(&item).unwrap(), process);
        for (name, value, what) in [
            ("FechaCreacion", AttributeValue::S("ayer".into()), "FechaCreacion: "),
            ("VentanaMinutos", AttributeValue::N("-1".into()), "VentanaMinutos: invalid value: integer `-1`"),
            ("VentanaMinutos", AttributeValue::N("uno".into()), "VentanaMinutos: uno is no number"),
            ("Nombre", AttributeValue::Null(true), "Nombre: invalid type: unit value, expected a string"),
            ("Nombre", AttributeValue::B(vec![1].into()), "missing field `Nombre`"),
        ] {
            let mut broken = item.clone();
            broken.insert(name.into(), value);
            let error = from_item::<Process>(&broken).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Malformed);
            assert!(format!("{error:#}").contains(what), "{error:#}");
        }
    }

    #[test]
    fn sizes_are_those_that_the_service_counts() {
        let map = HashMap::from([("clave".into(), AttributeValue::S("ñ".into()))]);
        for (value, bytes) in [
            (AttributeValue::S("ñandú".into()), 7),
            (AttributeValue::N("1234".into()), 3),
            (AttributeValue::Null(true), 1),
            (AttributeValue::Bool(false), 1),
            (AttributeValue::L(vec![AttributeValue::Bool(true)]), 5),
            (AttributeValue::M(map), 11),
        ] {
            assert_eq!(attribute_size(&value), bytes, "{value:?}");
            assert_eq!(size(&HashMap::from([("abc".into(), value)])), bytes + 3);
        }
    }
}
