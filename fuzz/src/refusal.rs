//! What holds of every refusal.

use kairos::{Error, Failure};

/// The longest text of one fault or error, in bytes.
const LONGEST: usize = 2_048;
const MOST_FAULTS: usize = 100;

/// Whether a text is one line, and says something: also for readers that break lines where Unicode does. It looks like what it is.
pub(crate) fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(|c: char| breaks_line(c) || disguises_line(c))
}

pub(crate) fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether a character turns the text around it, or marks the order of bytes.
pub(crate) fn disguises_line(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[track_caller]
pub(crate) fn check_line(text: &str) {
    assert!(is_line(text), "no line: {text:?}");
}

/// A place that an error points at lies in the text, and not within a character.
#[track_caller]
pub(crate) fn check_place(text: &str, at: usize) {
    assert!(text.is_char_boundary(at), "byte {at} is no place in {text:?}");
}

/// An error is one line of bounded length, as is what is kept of it; so is each of its faults, which points into the text of its field.
#[track_caller]
pub(crate) fn check_error<'t>(error: &Error, text_of: impl Fn(&str) -> Option<&'t str>) {
    check_line(&error.to_string());
    check_failure(&Failure::from(error));
    assert!(error.message().len() <= LONGEST && error.faults().len() <= MOST_FAULTS, "{error}");
    for fault in error.faults() {
        check_line(&fault.to_string());
        assert!(!fault.field.is_empty() && (1..=LONGEST).contains(&fault.message.len()), "{fault:?}");
        if let (Some(at), Some(text)) = (fault.at, text_of(fault.field)) {
            check_place(text, at);
        }
    }
}

/// What is kept of an error is one line within bounds.
#[track_caller]
pub(crate) fn check_failure(failure: &Failure) {
    assert!(
        is_line(&failure.text) && failure.text.len() <= Failure::MAX_TEXT && !failure.kind.is_empty(),
        "{failure:?}"
    );
}
