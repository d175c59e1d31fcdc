//! What the cases are written with: verdicts, expectations, time that passes, and walks through listings.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::{Either, select};

use crate::chance::Chance;
use crate::clock::{Clock, ManualClock, SystemClock, later};
use crate::error::{Error, ErrorKind, Result};
use crate::page::{Cursor, Page, PageRequest};

/// Time that a suite lets pass: moved by hand, or really waited for.
///
/// The backend under test must run on the same clock. It is implemented for the two clocks of Kairos; implement it for a clock of
/// your own, or to be more or less patient.
#[async_trait]
pub trait Passage: Clock {
    /// Lets `duration` pass, and what falls due meanwhile happen.
    async fn pass(&self, duration: Duration);

    /// The longest that one case may wait for something that takes this long in the nature of the thing, such as the next
    /// occurrence of a cron expression. Cases that would need longer are reported as not applicable.
    fn patience(&self) -> Duration;
}

/// Moves from timer to timer, so that what one timer sets off can set the next.
///
/// Whatever the backend does in tasks of its own gets its turn on the same runtime: use one of a single thread.
#[async_trait]
impl Passage for ManualClock {
    async fn pass(&self, duration: Duration) {
        let end = later(self.now(), duration);
        take_turns().await;
        while let Some(next) = self.next_timer().filter(|next| *next <= end) {
            self.advance_to(next);
            take_turns().await;
        }
        self.advance_to(end);
        take_turns().await;
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(7 * 24 * 60 * 60)
    }
}

/// Lets other tasks run until they have nothing left to do but wait; a chain of wake-ups takes a turn for each link.
async fn take_turns() {
    const TURNS: usize = 32;
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

/// Really waits.
#[async_trait]
impl Passage for SystemClock {
    async fn pass(&self, duration: Duration) {
        self.sleep_until(later(self.now(), duration)).await;
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(15)
    }
}

/// What a suite has found: every case that passed, and every case that this backend could not be put to.
///
/// A case that failed is never in a report: the suite panics with its name instead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Which suite it was.
    pub suite: &'static str,
    /// The cases that passed, in their order.
    pub cases: Vec<&'static str>,
    /// The cases that do not apply to the backend, and why.
    pub not_applicable: Vec<(&'static str, &'static str)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} cases passed", self.suite, self.cases.len())?;
        if !self.not_applicable.is_empty() {
            write!(f, ", {} not applicable:", self.not_applicable.len())?;
            for (index, (case, why)) in self.not_applicable.iter().enumerate() {
                write!(f, "{} {case} ({why})", if index == 0 { "" } else { "," })?;
            }
        }
        Ok(())
    }
}

/// Runs the cases of one suite.
pub(super) struct Runner {
    report: Report,
    gaps: &'static [(&'static str, &'static str)],
}

#[allow(clippy::panic, reason = "a suite is test code that ships: a case that fails ends the test")]
impl Runner {
    /// `gaps` are cases that do not apply here, and why.
    pub(super) const fn new(suite: &'static str, gaps: &'static [(&'static str, &'static str)]) -> Self {
        Self { report: Report { suite, cases: Vec::new(), not_applicable: Vec::new() }, gaps }
    }

    /// Runs one case and notes how it went.
    pub(super) async fn run(&mut self, case: &'static str, verdict: impl Future<Output = Verdict>) {
        if let Some(gap) = self.gaps.iter().find(|(name, _)| *name == case) {
            self.report.not_applicable.push(*gap);
            return;
        }
        let suite = self.report.suite;
        match AssertUnwindSafe(verdict).catch_unwind().await {
            Ok(Ok(())) => self.report.cases.push(case),
            Ok(Err(Stop::NotApplicable(why))) => self.report.not_applicable.push((case, why)),
            Ok(Err(Stop::Failed { what, at })) => panic!("conformance of {suite}: case {case}: {what} ({at})"),
            Err(panic) => panic!("conformance of {suite}: case {case}: the backend panicked: {}", text_of(&*panic)),
        }
    }

    /// What was found. A gap that names no case is a mistake that would go unseen.
    pub(super) fn finish(self) -> Report {
        let Self { report, gaps } = self;
        for (name, _) in gaps {
            let known = report.not_applicable.iter().any(|(case, _)| case == name);
            assert!(known, "conformance of {}: there is no case {name} that could be a gap", report.suite);
        }
        report
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

/// Runs the cases of a suite by their names, one after the other.
macro_rules! run_cases {
    ($suite:literal, $context:expr, [$($case:path),* $(,)?]) => {
        $crate::conformance::support::run_cases!($suite, $context, gaps: &[], [$($case),*])
    };
    ($suite:literal, $context:expr, gaps: $gaps:expr, [$($case:path),* $(,)?]) => {{
        let mut runner = $crate::conformance::support::Runner::new($suite, $gaps);
        $(
            runner.run($crate::conformance::support::last_segment(stringify!($case)), $case($context)).await;
        )*
        runner.finish()
    }};
}
pub(super) use run_cases;

/// The name of a function without the modules before it.
pub(super) fn last_segment(path: &'static str) -> &'static str {
    path.rsplit(':').next().unwrap_or(path).trim()
}

/// How a case ended.
pub(super) type Verdict<T = ()> = Result<T, Stop>;

/// Why a case did not pass.
#[derive(Debug)]
pub(super) enum Stop {
    /// The backend breaks its contract.
    Failed { what: String, at: &'static Location<'static> },
    /// The backend, or this installation of it, cannot be put to the case.
    NotApplicable(&'static str),
}

impl Stop {
    #[track_caller]
    pub(super) fn failed(what: impl Into<String>) -> Self {
        Self::Failed { what: what.into(), at: Location::caller() }
    }
}

/// A call that should have succeeded and did not.
impl From<Error> for Stop {
    #[track_caller]
    fn from(error: Error) -> Self {
        Self::failed(format!("expected the call to succeed, but it failed: {}", in_full(&error)))
    }
}

fn in_full(error: &Error) -> String {
    let mut text = format!("{} ({})", error, error.kind());
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Fails the case unless the condition holds. The text says what was expected, after "expected".
macro_rules! ensure {
    ($condition:expr, $($expected:tt)+) => {
        if !$condition {
            return Err($crate::conformance::support::Stop::failed(format!("expected {}", format_args!($($expected)+))));
        }
    };
}
pub(super) use ensure;

/// Expects a value to be another.
#[track_caller]
pub(super) fn expect_same<T: PartialEq + fmt::Debug>(what: &str, found: &T, expected: &T) -> Verdict {
    if found == expected {
        return Ok(());
    }
    Err(Stop::failed(format!("expected {what} to be {}, found {}", in_short(expected), in_short(found))))
}

/// Rows may be of some hundred kilobytes; a message is for a person.
fn in_short(value: &impl fmt::Debug) -> String {
    const LONGEST: usize = 2_000;
    let mut text = format!("{value:?}");
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}

/// Expects a call to fail with one of these kinds.
#[track_caller]
pub(super) fn expect_refusal<T: fmt::Debug>(what: &str, result: Result<T>, kinds: &[ErrorKind]) -> Verdict<Error> {
    match result {
        Err(error) if kinds.contains(&error.kind()) => Ok(error),
        Err(error) => Err(Stop::failed(format!(
            "expected {what} to fail with {}, but it failed: {}",
            names(kinds),
            in_full(&error)
        ))),
        Ok(answer) => Err(Stop::failed(format!(
            "expected {what} to fail with {}, but it gave {}",
            names(kinds),
            in_short(&answer)
        ))),
    }
}

fn names(kinds: &[ErrorKind]) -> String {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" or ")
}

/// Text that no other case and no other run has: 36 letters, digits and hyphens.
pub(super) fn mark() -> String {
    Chance::from_system().uuid().to_string()
}

/// Walks through a whole listing, and checks on the way what holds for every page.
///
/// Cursors go through their text, as they do when a caller of the API sends them back.
pub(super) async fn walk<T>(
    limit: usize,
    mut page: impl AsyncFnMut(PageRequest) -> Result<Page<T>>,
) -> Verdict<Vec<T>> {
    const MOST_PAGES: usize = 100_000;
    let mut items = Vec::new();
    let mut request = PageRequest::first(limit);
    for _ in 0..MOST_PAGES {
        let answer = page(request.clone()).await?;
        ensure!(answer.items.len() <= limit, "at most {limit} items on a page, found {}", answer.items.len());
        items.extend(answer.items);
        match answer.next {
            Some(cursor) => request = request.with_cursor(Cursor::new(cursor.as_str())),
            None => return Ok(items),
        }
    }
    Err(Stop::failed(format!("expected the listing to end within {MOST_PAGES} pages")))
}

/// Texts that no backend gives out as a cursor.
pub(super) fn garbage_cursors() -> [String; 6] {
    [String::new(), "no cursor".into(), "AAAA".into(), "{}".into(), "ñandú 🦤".into(), "x".repeat(5_000)]
}

/// Expects each text that is no cursor to be refused.
pub(super) async fn expect_garbage_refused<T: fmt::Debug>(
    mut page: impl AsyncFnMut(PageRequest) -> Result<Page<T>>,
) -> Verdict {
    for text in garbage_cursors() {
        let what = format!("the cursor {}", in_short(&text));
        let request = PageRequest::first(10).with_cursor(Cursor::new(text));
        expect_refusal(&what, page(request).await, &[ErrorKind::Malformed])?;
    }
    Ok(())
}

/// Asks again and again, while time passes, until there is an answer or the patience with eventual consistency ends.
pub(super) async fn eventually<T>(
    time: &dyn Passage,
    what: &str,
    mut attempt: impl AsyncFnMut() -> Verdict<Option<T>>,
) -> Verdict<T> {
    const ATTEMPTS: usize = 120;
    const BETWEEN: Duration = Duration::from_millis(250);
    for _ in 0..ATTEMPTS {
        if let Some(answer) = attempt().await? {
            return Ok(answer);
        }
        time.pass(BETWEEN).await;
    }
    Err(Stop::failed(format!("expected {what} within {} s", (BETWEEN * 120).as_secs())))
}

/// Tries a case that one stray duplicate would spoil up to three times. A backend that breaks its contract fails each time.
pub(super) async fn thrice(mut attempt: impl AsyncFnMut() -> Verdict) -> Verdict {
    for _ in 0..2 {
        match attempt().await {
            Err(Stop::Failed { .. }) => {}
            verdict => return verdict,
        }
    }
    attempt().await
}

/// A call that may wait for `limit`, while that time passes; `None` if it is not back even some time after.
pub(super) async fn within<T>(time: &dyn Passage, limit: Duration, call: impl Future<Output = T>) -> Option<T> {
    /// The way to a service and back, and a slow machine.
    const GRACE: Duration = Duration::from_secs(10);
    let passing = async {
        time.pass(limit).await;
        time.pass(GRACE).await;
    };
    match select(std::pin::pin!(call), std::pin::pin!(passing)).await {
        Either::Left((answer, _)) => Some(answer),
        Either::Right(((), _)) => None,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    async fn passes((): ()) -> Verdict {
        Ok(())
    }

    async fn does_not_apply((): ()) -> Verdict {
        Err(Stop::NotApplicable("nobody looks"))
    }

    async fn fails((): ()) -> Verdict {
        expect_same("the answer", &41, &42)
    }

    async fn falls_over((): ()) -> Verdict {
        panic!("nothing is there")
    }

    fn panic_of(suite: impl Future<Output = Report>) -> String {
        let panic = AssertUnwindSafe(suite).catch_unwind().now_or_never().unwrap().unwrap_err();
        text_of(&*panic).to_owned()
    }

    #[test]
    fn a_report_names_what_passed_and_what_does_not_apply() {
        let gaps = &[("fails", "not here")];
        let suite = async { run_cases!("trial", (), gaps: gaps, [passes, does_not_apply, fails]) };
        let report = suite.now_or_never().unwrap();
        assert_eq!(report.cases, ["passes"]);
        assert_eq!(
            report.to_string(),
            "trial: 1 cases passed, 2 not applicable: does_not_apply (nobody looks), fails (not here)"
        );
        let report = async { run_cases!("trial", (), [passes, self::passes]) }.now_or_never().unwrap();
        assert_eq!(report.to_string(), "trial: 2 cases passed");
    }

    #[test]
    fn a_panic_names_the_suite_the_case_and_what_was_expected() {
        let message = panic_of(async { run_cases!("trial", (), [passes, fails]) });
        assert!(
            message.starts_with("conformance of trial: case fails: expected the answer to be 42, found 41 ("),
            "{message}"
        );
        let message = panic_of(async { run_cases!("trial", (), [falls_over]) });
        assert_eq!(message, "conformance of trial: case falls_over: the backend panicked: nothing is there");
        let message = panic_of(async { run_cases!("trial", (), gaps: &[("passed", "a slip")], [passes]) });
        assert_eq!(message, "conformance of trial: there is no case passed that could be a gap");
    }

    #[tokio::test]
    async fn a_manual_clock_passes_from_timer_to_timer() {
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let (other, start) = (clock.clone(), clock.now());
        let chain = tokio::spawn(async move {
            let mut woken = Vec::new();
            for _ in 0..3 {
                other.sleep_until(later(other.now(), Duration::from_secs(2))).await;
                woken.push(other.now());
            }
            woken
        });
        clock.pass(Duration::from_secs(7)).await;
        let expected = [2, 4, 6].map(|seconds| later(start, Duration::from_secs(seconds)));
        assert_eq!(chain.await.unwrap(), expected);
        assert_eq!(clock.now(), later(start, Duration::from_secs(7)));
    }

    #[tokio::test]
    async fn a_call_that_never_ends_is_given_up() {
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(within(&clock, Duration::from_secs(5), std::future::pending::<()>()).await, None);
        let call = clock.sleep_until(later(clock.now(), Duration::from_secs(5)));
        assert_eq!(within(&clock, Duration::from_secs(5), call).await, Some(()));
    }

    #[tokio::test]
    async fn a_listing_is_walked_to_its_end_and_no_page_exceeds_its_limit() {
        let page = async |request: PageRequest| {
            let from: usize = request.cursor.as_ref().map_or(0, |cursor| cursor.as_str().parse().unwrap());
            let items: Vec<_> = (from..5).take(2).collect();
            let end = from + items.len();
            Ok(Page { items, next: (end < 5).then(|| Cursor::new(end.to_string())) })
        };
        assert_eq!(walk(2, page).await.unwrap(), [0, 1, 2, 3, 4]);
        assert!(matches!(walk(1, page).await, Err(Stop::Failed { .. })));
    }
}
