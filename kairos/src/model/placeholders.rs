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
        // Nothing is longer than that.
        self.fill_within(parameters, usize::MAX).unwrap_or_default()
    }

    /// The same, or its length if that is more than `most` bytes: a placeholder can be much shorter than its value, and text that is
    /// made of them takes no more memory than `most` allows.
    ///
    /// # Errors
    /// How many bytes it would take.
    pub fn fill_within<'t>(&self, parameters: &'t str, most: usize) -> Result<Cow<'t, str>, usize> {
        if !parameters.contains(OPENING) {
            return if parameters.len() <= most { Ok(Cow::Borrowed(parameters)) } else { Err(parameters.len()) };
        }
        let mut filled = Filled { text: String::with_capacity(most.min(parameters.len() + 64)), length: 0, most };
        let mut rest = parameters;
        while let Some(start) = rest.find(OPENING) {
            let (before, from) = rest.split_at(start);
            filled.push(before);
            let placeholder = end_of_name(from).map(|end| from.split_at(end));
            rest = match placeholder.and_then(|(name, after)| Some((self.value(name)?, after))) {
                Some((value, after)) => {
                    filled.push(&value);
                    after
                }
                // An unknown placeholder is text; what follows its opening may hold a known one.
                None => {
                    filled.push(OPENING);
                    &from[OPENING.len()..]
                }
            };
        }
        filled.push(rest);
        if filled.length <= most { Ok(Cow::Owned(filled.text)) } else { Err(filled.length) }
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

/// What has been filled in so far: counted in full, kept while it is within the limit.
struct Filled {
    text: String,
    length: usize,
    most: usize,
}

impl Filled {
    fn push(&mut self, piece: &str) {
        self.length = self.length.saturating_add(piece.len());
        if self.length <= self.most {
            self.text.push_str(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill_within(parameters: &str, most: usize) -> Result<String, usize> {
        let process_id = ProcessId::of("ventas");
        let placeholders = Placeholders {
            execution_id: uuid::Uuid::nil().into(),
            scheduled_time: "2026-01-01T09:00:00Z".parse().unwrap(),
            process_id: &process_id,
            schedule_id: &"calendarizacion-<kairos.attempt>".into(),
            attempt: 2,
        };
        if let Ok(filled) = placeholders.fill_within(parameters, most) {
            assert_eq!(filled, placeholders.fill(parameters));
        }
        placeholders.fill_within(parameters, most).map(Cow::into_owned)
    }

    fn fill(parameters: &str) -> String {
        fill_within(parameters, usize::MAX).unwrap()
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

    #[test]
    fn the_limit_holds_to_the_byte_and_the_length_beyond_it_is_told() {
        for (text, length) in [("ñandú", 7), ("n<kairos.attempt>", 2), ("<kairos.execution-id>ñ<kairos.x>", 48)] {
            assert_eq!(fill(text).len(), length);
            assert_eq!(fill_within(text, length), Ok(fill(text)));
            assert_eq!(fill_within(text, length - 1), Err(length), "{text}");
        }
    }
}
