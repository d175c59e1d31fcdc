//! What holds of every refusal.

use kairos::{Error, Failure};

/// Whether a text is one line, and says something: also for readers that break lines where Unicode does.
pub(crate) fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
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

/// An error is one line, as is what is kept of it; so is each of its faults, which points into the text of its field.
#[track_caller]
pub(crate) fn check_error<'t>(error: &Error, text_of: impl Fn(&str) -> Option<&'t str>) {
    check_line(&error.to_string());
    check_failure(&Failure::from(error));
    for fault in error.faults() {
        check_line(&fault.to_string());
        assert!(!fault.field.is_empty() && !fault.message.is_empty(), "{fault:?}");
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
