//! Why an expression was refused.

use std::fmt;

use super::parse::Fault;
use super::{explain, repair};
use crate::error::bounded_line;

/// Why an expression was refused: where, why, and what was probably meant.
///
/// ```
/// use kairos::expression::Expression;
///
/// let error = Expression::parse("cron(71 8 1 * ? *)").unwrap_err();
/// assert_eq!(error.at(), 5);
/// assert_eq!(error.to_string(), "minute 71 is out of range 0-59");
///
/// let error = Expression::parse("cron(0 9 * * * *)").unwrap_err();
/// assert_eq!(error.suggestion(), Some("cron(0 9 * * ? *)"));
/// assert!(error.to_string().ends_with("use ? in one of them: cron(0 9 * * ? *)"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    at: usize,
    message: String,
    suggestion: Option<String>,
}

impl ExpressionError {
    #[cold]
    pub(super) fn new(text: &str, fault: Fault) -> ExpressionError {
        let (at, message) = explain::explain(text, fault);
        ExpressionError { at, message: bounded_line(message), suggestion: repair::suggest(text, fault) }
    }

    /// The byte offset of the culprit in the text as it was given: at most its length, and never inside a character.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// What is wrong and what was expected, in one line that begins in lower case.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The whole expression as it was probably meant, where that is clear. It can be parsed.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }
}

/// The message, then the suggestion.
impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.suggestion.iter().try_for_each(|suggestion| write!(f, ": {suggestion}"))
    }
}

impl std::error::Error for ExpressionError {}
