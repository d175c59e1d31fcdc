//! What stands behind the question mark: filters and pages.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::Timestamp;
use kairos::Fault;
use kairos::page::{Cursor, PageRequest};
use percent_encoding::percent_decode_str;

use super::body::parse_instant;
use super::path::may_be_id;
use super::problem::Problem;

/// How many items a page may hold, and how many it holds if nothing is said.
pub(super) const PAGE: (RangeInclusive<usize>, usize) = (1..=PageRequest::MAX_LIMIT, 100);

/// The parameters of a query by name, and what is wrong with them. A parameter that is not known is refused: a filter with a slip of
/// the pen would show everything.
#[derive(Debug)]
pub(super) struct Query {
    values: BTreeMap<&'static str, String>,
    faults: Vec<Fault>,
}

impl Query {
    /// Splits and decodes a query of these parameters.
    pub(super) fn new(text: Option<&str>, known: &[&'static str]) -> Self {
        let mut query = Self { values: BTreeMap::new(), faults: Vec::new() };
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(name) = decode(name) else {
                query.fault(Fault::new("consulta", "holds a parameter whose name is not UTF-8"));
                continue;
            };
            let Some(&known) = known.iter().find(|known| **known == name) else {
                let message = format!("'{name}' is no parameter here; those that are: {}", known.join(", "));
                query.fault(Fault::new("consulta", message));
                continue;
            };
            match decode(value) {
                None => query.fault(Fault::new(known, "must be UTF-8")),
                Some(value) => {
                    if query.values.insert(known, value).is_some() {
                        query.fault(Fault::new(known, "is there twice"));
                    }
                }
            }
        }
        query
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// A parameter, if it is there.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.values.remove(name)
    }

    /// A parameter that is read in some way.
    pub(super) fn read<T>(&mut self, name: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        read(&text).map_err(|message| self.fault(Fault::new(name, message))).ok()
    }

    /// An id of something that may be there.
    pub(super) fn id<T: From<String>>(&mut self, name: &'static str) -> Option<T> {
        self.read(name, |text| match may_be_id(text) {
            true => Ok(text.to_owned().into()),
            false => Err(format!("'{text}' is no id: letters, digits, '-', '_' and '.' are expected")),
        })
    }

    pub(super) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        self.read(name, |text| text.parse().map_err(|_| format!("must be true or false, not '{text}'")))
    }

    pub(super) fn instant(&mut self, name: &'static str) -> Option<Timestamp> {
        // The plus of an offset means a blank here, and no instant has one there: who has forgotten to escape it is understood.
        self.read(name, |text| {
            parse_instant(text).or_else(|fault| parse_instant(&text.replace(' ', "+")).map_err(|_| fault))
        })
    }

    pub(super) fn number(&mut self, name: &'static str, range: &RangeInclusive<usize>) -> Option<usize> {
        self.read(name, |text| {
            let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let number = digits.and_then(|digits| digits.parse().ok()).filter(|number| range.contains(number));
            number.ok_or_else(|| {
                format!("must be a whole number from {} to {}, not '{text}'", range.start(), range.end())
            })
        })
    }

    /// Which page is wanted.
    pub(super) fn page(&mut self) -> PageRequest {
        let (range, usual) = PAGE;
        let limit = self.number("limite", &range).unwrap_or(usual);
        // Who begins may well have an empty one.
        let cursor = self.text("cursor").filter(|cursor| !cursor.is_empty());
        PageRequest::first(limit).with_cursor(cursor.map(Cursor::new))
    }

    pub(super) fn finish(self) -> Result<(), Problem> {
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::invalid(self.faults)) }
    }
}

/// One side of a pair (WHATWG URL Standard, `application/x-www-form-urlencoded`), or `None` if it is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let mut query =
            Query::new(Some("nombre=a%C3%B1o+1&&habilitado=true&limite"), &["nombre", "habilitado", "limite"]);
        assert_eq!(query.text("nombre").as_deref(), Some("año 1"));
        assert_eq!(query.boolean("habilitado"), Some(true));
        assert_eq!(query.number("limite", &(1..=9)), None);
        assert_eq!(query.faults, [Fault::new("limite", "must be a whole number from 1 to 9, not ''")]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, field) in [
            ("nombre=%FF", "nombre"),
            ("%FF=1", "consulta"),
            ("nombre=a&nombre=a", "nombre"),
            ("nombres=a", "consulta"),
            ("Nombre=a", "consulta"),
        ] {
            let query = Query::new(Some(text), &["nombre"]);
            assert_eq!(query.faults.iter().map(|fault| fault.field).collect::<Vec<_>>(), [field], "{text}");
        }
    }

    #[test]
    fn a_number_is_digits_within_its_range() {
        for text in ["0", "1001", "+1", "-1", "1.0", "1e2", " 1", "99999999999999999999999"] {
            let text = format!("limite={}", text.replace('+', "%2B"));
            let mut query = Query::new(Some(&text), &["limite"]);
            query.page();
            assert_eq!(query.faults.len(), 1, "{text}");
        }
    }
}
