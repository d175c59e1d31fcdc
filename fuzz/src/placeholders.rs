//! Placeholders in parameters.

use std::borrow::Cow;

use jiff::Timestamp;
use kairos::{ExecutionId, Placeholders, ProcessId};

/// Parameters are filled as a plain search from left to right fills them, and left alone where they hold no opening; what comes out is
/// limited to the byte.
pub fn placeholders(text: &str) {
    let process_id = ProcessId::of("ventas");
    let schedule_id = "calendarizacion-<kairos.attempt>".into();
    let execution_id = ExecutionId::of_occurrence(&process_id, Timestamp::UNIX_EPOCH);
    let values = [
        ("<kairos.execution-id>", execution_id.to_string()),
        ("<kairos.scheduled-time>", Timestamp::UNIX_EPOCH.to_string()),
        ("<kairos.process-id>", process_id.to_string()),
        ("<kairos.schedule-id>", format!("{schedule_id}")),
        ("<kairos.attempt>", u32::MAX.to_string()),
    ];
    let placeholders = Placeholders {
        execution_id,
        scheduled_time: Timestamp::UNIX_EPOCH,
        process_id: &process_id,
        schedule_id: &schedule_id,
        attempt: u32::MAX,
    };
    let filled = placeholders.fill(text);
    assert_eq!(filled, searched(text, &values));
    // Within a limit it is the same, and one byte less is too little.
    let length = filled.len();
    assert_eq!(placeholders.fill_within(text, length).as_deref(), Ok(&*filled));
    if let Some(less) = length.checked_sub(1) {
        assert_eq!(placeholders.fill_within(text, less), Err(length));
    }
    let longest = values.iter().map(|(_, value)| value.len()).max().unwrap_or_default();
    assert!(filled.len() <= text.len() + text.len() / "<kairos.attempt>".len() * longest);
    assert!(text.contains("<kairos.") || matches!(filled, Cow::Borrowed(same) if same == text));
}

fn searched(text: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = match values.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, value)) => {
                filled.push_str(value);
                &rest[name.len()..]
            }
            None => {
                filled.push(character);
                &rest[character.len_utf8()..]
            }
        };
    }
    filled
}
