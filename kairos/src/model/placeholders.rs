//! Placeholders in parameters: what an execution tells its target about itself.

use std::borrow::Cow;

use jiff::Timestamp;

use super::id::{ExecutionId, ProcessId, ScheduleId};

/// The values of the placeholders for one try of one execution.
///
/// | placeholder | value |
/// | --- | --- |
/// | `<kairos.execution-id>` | the execution id, 36 characters |
/// | `<kairos.scheduled-time>` | the nominal time, RFC 3339 in UTC |
/// | `<kairos.process-id>` | the process id |
/// | `<kairos.schedule-id>` | the schedule id |
/// | `<kairos.attempt>` | which try it is, from 1 |
///
/// All else passes byte for byte. What a value holds is not searched again.
#[derive(Clone, Debug)]
pub struct Placeholders<'a> {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Its nominal time.
    pub scheduled_time: Timestamp,
    /// Its process.
    pub process_id: &'a ProcessId,
    /// The schedule of its process.
    pub schedule_id: &'a ScheduleId,
    /// Which try it is, from 1.
    pub attempt: u32,
}

const OPENING: &str = "<kairos.";
/// No placeholder is longer; looking further would make hostile text quadratic.
const LONGEST: usize = "<kairos.scheduled-time>".len();

impl Placeholders<'_> {
    /// The parameters with every placeholder replaced.
    #[must_use]
    pub fn fill<'t>(&self, parameters: &'t str) -> Cow<'t, str> {
        if !parameters.contains(OPENING) {
            return Cow::Borrowed(parameters);
        }
        let mut filled = String::with_capacity(parameters.len() + 64);
        let mut rest = parameters;
        while let Some(start) = rest.find(OPENING) {
            let (before, from) = rest.split_at(start);
            filled.push_str(before);
            rest = match end_of_name(from).map(|end| from.split_at(end)) {
                Some((name, after)) => match self.value(name) {
                    Some(value) => {
                        filled.push_str(&value);
                        after
                    }
                    None => skip_opening(&mut filled, from),
                },
                None => skip_opening(&mut filled, from),
            };
        }
        filled.push_str(rest);
        Cow::Owned(filled)
    }

    fn value(&self, placeholder: &str) -> Option<Cow<'_, str>> {
        Some(match placeholder {
            "<kairos.execution-id>" => self.execution_id.to_string().into(),
            "<kairos.scheduled-time>" => self.scheduled_time.to_string().into(),
            "<kairos.process-id>" => self.process_id.as_str().into(),
            "<kairos.schedule-id>" => self.schedule_id.as_str().into(),
            "<kairos.attempt>" => self.attempt.to_string().into(),
            _ => return None,
        })
    }
}

fn end_of_name(from: &str) -> Option<usize> {
    let end = from.bytes().take(LONGEST).position(|byte| byte == b'>')?;
    Some(end + 1)
}

/// An unknown placeholder is text; what follows its opening may hold a known one.
fn skip_opening<'t>(filled: &mut String, from: &'t str) -> &'t str {
    let (opening, rest) = from.split_at(OPENING.len());
    filled.push_str(opening);
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(parameters: &str) -> String {
        let process_id = ProcessId::of("ventas");
        Placeholders {
            execution_id: uuid::Uuid::nil().into(),
            scheduled_time: "2026-01-01T09:00:00Z".parse().unwrap(),
            process_id: &process_id,
            schedule_id: &"calendarizacion-<kairos.attempt>".into(),
            attempt: 2,
        }
        .fill(parameters)
        .into_owned()
    }

    #[test]
    fn each_placeholder_is_replaced_once_and_all_else_is_kept() {
        assert_eq!(
            fill(r#"{"id":"<kairos.execution-id>","t":"<kairos.scheduled-time>","n":<kairos.attempt>}"#),
            r#"{"id":"00000000-0000-0000-0000-000000000000","t":"2026-01-01T09:00:00Z","n":2}"#
        );
        assert_eq!(fill("<kairos.process-id>"), "proceso-dmVudGFz");
        for text in ["", "ñandú <kairos.", "<kairos.otra>", "<kairos.attempt", "<aws.attempt>"] {
            assert_eq!(fill(text), text);
        }
    }

    #[test]
    fn a_value_is_not_searched_and_an_unknown_one_hides_nothing() {
        assert_eq!(fill("<kairos.schedule-id>"), "calendarizacion-<kairos.attempt>");
        assert_eq!(fill("<kairos.x<kairos.attempt>"), "<kairos.x2");
        assert_eq!(fill("<<kairos.attempt>>"), "<2>");
    }
}
