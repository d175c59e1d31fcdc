//! The one error of the crate: what kind it is, what was being done, to what, and whether trying again can help.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The result of everything in Kairos that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the terms that a caller can act upon.
///
/// Backends map every error of the service behind them to one of these, in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself is wrong; [`Error::faults`] says in which fields. Trying again cannot help.
    Invalid,
    /// What the call names does not exist.
    NotFound,
    /// The name is taken by another definition; [`Error::faults`] names the fields that differ.
    Conflict,
    /// A compare-and-set found something else than what was read. Read again and decide anew.
    Lost,
    /// Another call holds what this one needs, and held it for longer than this one was willing to wait.
    Busy,
    /// The backend cannot do this at all; see its capabilities.
    Unsupported,
    /// Access was denied.
    Denied,
    /// What was read back (a message, an item, a cursor) is not what Kairos writes.
    Malformed,
    /// The service asks for fewer requests.
    Throttled,
    /// No answer within the time allowed. What was asked for may or may not have been done.
    Timeout,
    /// The service, or the way to it, is down. What was asked for may or may not have been done.
    Unavailable,
    /// The target itself reported a failure that may pass, or its code panicked.
    Failed,
    /// The target itself reported a failure that will not pass.
    Rejected,
}

impl ErrorKind {
    /// Whether the same request can succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Lost | Self::Busy | Self::Throttled | Self::Timeout | Self::Unavailable | Self::Failed)
    }

    /// The kind in one lower-case word, as it stands in dead letters, history and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::Lost => "lost",
            Self::Busy => "busy",
            Self::Unsupported => "unsupported",
            Self::Denied => "denied",
            Self::Malformed => "malformed",
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The longest text of one fault or error, in bytes: room for the longest ARN and what is wrong with it.
const LONGEST: usize = 2_048;
/// The most faults of one error: a request may hold more, and nobody reads on.
const MOST_FAULTS: usize = 100;

/// Whether a character ends a line for some reader, or is refused by those that carry text (XML 1.0, `Char`).
pub(crate) fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether a character makes a line look like another one: it turns the text around it, or shows nothing
/// (Unicode Standard Annex 9, "Explicit Directional Formatting Characters").
pub(crate) fn disguises_line(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A text that came from anywhere as one honest line of at most `most` bytes: logs, headers and message attributes hold it.
pub(crate) fn one_line(text: &str, most: usize) -> Cow<'_, str> {
    let is_escaped = |c: char| breaks_line(c) || disguises_line(c);
    if text.len() <= most && !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len().min(most));
    for c in text.chars() {
        let end = line.len();
        if is_escaped(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
        if line.len() > most {
            line.truncate(end);
            break;
        }
    }
    Cow::Owned(line)
}

pub(crate) fn bounded_line(text: String) -> String {
    match one_line(&text, LONGEST) {
        Cow::Owned(line) => line,
        Cow::Borrowed(_) => text,
    }
}

/// One thing wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, by its name in a JSON request (`cron`, `zonaHoraria`).
    pub field: &'static str,
    /// What is wrong with it and what would be right. One line of at most 2 KiB, as [`Self::new`] makes it.
    pub message: String,
    /// Where in the field's text, as a byte offset, if one place is to blame.
    pub at: Option<usize>,
}

impl Fault {
    /// A fault of a whole field. A message that quotes hostile text is escaped to one line, and cut.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: bounded_line(message.into()), at: None }
    }

    /// What tells a field that is so from one that was asked for, if they differ. Both values are shown.
    ///
    /// ```
    /// use kairos::Fault;
    ///
    /// let fault = Fault::of_difference("zonaHoraria", Some(&"America/Lima"), None).unwrap();
    /// assert_eq!(fault.to_string(), "zonaHoraria: is 'America/Lima', not nothing");
    /// assert_eq!(Fault::of_difference("cron", Some(&"rate(1 day)"), Some(&"rate(1 day)")), None);
    /// ```
    #[must_use]
    pub fn of_difference<T: PartialEq + fmt::Display + ?Sized>(
        field: &'static str,
        existing: Option<&T>,
        wanted: Option<&T>,
    ) -> Option<Self> {
        let show = |value: Option<&T>| value.map_or_else(|| "nothing".into(), |value| format!("'{value}'"));
        (existing != wanted).then(|| Self::new(field, format!("is {}, not {}", show(existing), show(wanted))))
    }

    /// The same fault, pointing at a byte of the field's text.
    #[must_use]
    pub fn with_at(mut self, at: usize) -> Self {
        self.at = Some(at);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its fields are public: the message may have been made elsewhere.
        write!(f, "{}: {}", self.field, one_line(&self.message, LONGEST))?;
        match self.at {
            Some(at) => write!(f, " (at byte {at})"),
            None => Ok(()),
        }
    }
}

/// Any failure of Kairos or of a backend.
///
/// `Display` gives one lower-case line: the operation, the id it was about, what went wrong, and every fault by field.
/// Whatever it quotes, it is one line: control characters, line separators and what turns text around are escaped, as `\n` and
/// `\u{202e}`; each text is cut at 2 KiB, and no more than 100 faults are kept.
/// The cause, if there is one, is the [source](StdError::source) and is not repeated in the line.
///
/// ```
/// use kairos::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Throttled, "the table answers more slowly than it is asked")
///     .during("register")
///     .about("proceso-YQ..");
/// assert!(error.is_retryable());
/// assert_eq!(error.to_string(), "register proceso-YQ..: the table answers more slowly than it is asked");
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    operation: Option<&'static str>,
    subject: Option<String>,
    faults: Vec<Fault>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of a kind, with what went wrong in words that name the value and the fix.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: bounded_line(message.into()),
            operation: None,
            subject: None,
            faults: Vec::new(),
            retry_after: None,
            source: None,
        }))
    }

    /// A request with something wrong in each of these fields.
    #[must_use]
    pub fn invalid(faults: Vec<Fault>) -> Self {
        Self::new(ErrorKind::Invalid, "the request is not valid").with_faults(faults)
    }

    /// The same error with the fields it is about, the first 100 of them.
    #[must_use]
    pub fn with_faults(mut self, mut faults: Vec<Fault>) -> Self {
        faults.truncate(MOST_FAULTS);
        self.0.faults = faults;
        self
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error with the time after which the service expects the next try.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// The same error with what was being done. The innermost operation stays: it is the one that failed.
    #[must_use]
    pub fn during(mut self, operation: &'static str) -> Self {
        self.0.operation.get_or_insert(operation);
        self
    }

    /// The same error with the id it is about. The innermost id stays.
    #[must_use]
    pub fn about(mut self, subject: impl fmt::Display) -> Self {
        self.0.subject.get_or_insert_with(|| bounded_line(subject.to_string()));
        self
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same request can succeed later; see [`ErrorKind::is_retryable`].
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// What went wrong, without the operation, the id and the faults.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The fields at fault: of a request, of two definitions that differ, or of a process that is not let in.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.0.faults
    }

    /// What was being done when it failed.
    #[must_use]
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// The id of the process, schedule or execution that it is about.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }

    /// How long the service asks the caller to wait before the next try, where it said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

/// As `{error}` without the causes behind it, for whoever walks through them; as `{error:#}` with them, for a reader, each that says more than
/// the one before it.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        match (inner.operation, &inner.subject) {
            (Some(operation), Some(subject)) => write!(f, "{operation} {subject}: ")?,
            (Some(operation), None) => write!(f, "{operation}: ")?,
            (None, Some(subject)) => write!(f, "{subject}: ")?,
            (None, None) => {}
        }
        f.write_str(&inner.message)?;
        for (index, fault) in inner.faults.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            fault.fmt(f)?;
        }
        if f.alternate() { self.fmt_causes(f) } else { Ok(()) }
    }
}

impl Error {
    fn fmt_causes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_on_demand_and_none_says_what_was_said() {
        let refused = Error::new(ErrorKind::Failed, "refused: no route").with_source("no route");
        let error =
            Error::new(ErrorKind::Unavailable, "the service could not be reached").during("send").with_source(refused);
        assert_eq!(error.to_string(), "send: the service could not be reached");
        assert_eq!(format!("{error:#}"), "send: the service could not be reached: refused: no route");
    }

    #[test]
    fn a_line_names_the_operation_the_id_and_every_fault() {
        let error = Error::invalid(vec![
            Fault::new("nombre", "must not be empty"),
            Fault::new("cron", "minute 71 is out of range 0-59").with_at(5),
        ])
        .during("register")
        .during("ignored: the innermost stays");
        assert_eq!(
            error.to_string(),
            "register: the request is not valid: nombre: must not be empty; \
             cron: minute 71 is out of range 0-59 (at byte 5)"
        );
        assert!(!error.is_retryable());
    }

    #[test]
    fn a_line_stays_one_line_whatever_it_quotes() {
        let hostile = "a\r\nb\u{85}\u{2028}\u{202e}\u{fffe}\u{0}ñ";
        let escaped = r"a\r\nb\u{85}\u{2028}\u{202e}\u{fffe}\u{0}ñ";
        let fault = Fault { field: "nombre", message: hostile.into(), at: None };
        let error = Error::new(ErrorKind::Invalid, hostile).about(hostile).with_faults(vec![fault]);
        assert_eq!(error.to_string(), format!("{escaped}: {escaped}: nombre: {escaped}"));
        assert_eq!(error.message(), escaped);
    }

    #[test]
    fn a_line_is_bounded_and_cut_between_characters() {
        assert_eq!(one_line("ñandú", 3), "ña");
        assert_eq!(one_line("a\n", 2), "a", "an escape is whole or not there");
        let faults = vec![Fault::new("etiquetas", "ñ".repeat(1_000_000)); 1_000];
        assert_eq!(faults[0].message.len(), LONGEST);
        let error = Error::invalid(faults);
        assert_eq!(error.faults().len(), MOST_FAULTS);
        assert!(error.to_string().len() < MOST_FAULTS * (LONGEST + 100));
    }

    #[test]
    fn the_source_is_kept_apart_from_the_line() {
        let error = Error::new(ErrorKind::Unavailable, "the store is down").with_source("connection reset");
        assert_eq!(error.to_string(), "the store is down");
        assert_eq!(error.source().unwrap().to_string(), "connection reset");
    }
}
