//! What to do with an execution: decided here, carried out by the executor.

use std::time::Duration;

use jiff::Timestamp;

use super::ExecutorConfig;
use crate::clock::{between, later};
use crate::error::{Error, ErrorKind};
use crate::model::{Origin, WorkItem};

/// What to do with an execution that has been claimed.
#[derive(Debug)]
pub(super) enum Start {
    /// Call the target.
    Run,
    /// It is too old to be run.
    Skip(Error),
    /// It has been tried often enough: by executors that never came back to say how it went.
    GiveUp(Error),
}

/// What to do with an execution after a try.
#[derive(Debug)]
pub(super) enum End {
    Succeeded,
    /// It comes back after this long.
    Retry(Error, Duration),
    /// It goes to the dead letters.
    Dead(Error),
}

/// The time is asked for only where it decides: most executions have no limit on age.
pub(super) fn start(
    work: &WorkItem,
    attempt: u32,
    redriven: bool,
    now: impl FnOnce() -> Timestamp,
    config: &ExecutorConfig,
) -> Start {
    let max_attempts = max_attempts(work, config);
    if attempt > max_attempts {
        let message =
            format!("it has been tried {max_attempts} times already, which is its limit; the last try never came back");
        return Start::GiveUp(Error::new(ErrorKind::Failed, message));
    }
    let Some(limit) = max_age(work, redriven, config) else { return Start::Run };
    let late = between(work.scheduled_time, now());
    if late <= limit {
        return Start::Run;
    }
    let message = format!("it is {} s late; its limit is {} s", late.as_secs(), limit.as_secs());
    Start::Skip(Error::new(ErrorKind::Timeout, message))
}

pub(super) fn end(
    work: &WorkItem,
    result: Result<(), Error>,
    attempt: u32,
    redriven: bool,
    now: impl FnOnce() -> Timestamp,
    config: &ExecutorConfig,
) -> End {
    let Err(error) = result else {
        return End::Succeeded;
    };
    if !error.is_retryable() || attempt >= max_attempts(work, config) {
        return End::Dead(error);
    }
    let backoff = config.backoff.delay(attempt, work.execution_id.uuid().as_u128());
    let delay = error.retry_after().map_or(backoff, |asked| asked.max(backoff));
    let too_late =
        max_age(work, redriven, config).is_some_and(|limit| between(work.scheduled_time, later(now(), delay)) > limit);
    if too_late { End::Dead(error) } else { End::Retry(error, delay) }
}

fn max_attempts(work: &WorkItem, config: &ExecutorConfig) -> u32 {
    work.process.max_attempts.unwrap_or(config.max_attempts).max(1)
}

/// Who redrives a dead letter, or backfills what was missed, wants it run however old it is.
fn max_age(work: &WorkItem, redriven: bool, config: &ExecutorConfig) -> Option<Duration> {
    if redriven || work.origin == Origin::Backfill {
        return None;
    }
    work.process.max_age_seconds.map(Duration::from_secs).or(config.max_age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Registration;

    const DUE: &str = "2026-01-01T00:00:00Z";

    fn work(registration: Registration) -> WorkItem {
        let due: Timestamp = DUE.parse().unwrap();
        WorkItem::of_occurrence(registration.into_process(due.into()).into(), due, Origin::Schedule)
    }

    fn limited() -> WorkItem {
        let registration = Registration::new("a", "rate(1 day)", "kairos:task:a");
        work(registration.with_max_attempts(3u32).with_max_age_seconds(600u64))
    }

    fn after(seconds: u64) -> Timestamp {
        later(DUE.parse().unwrap(), Duration::from_secs(seconds))
    }

    fn throttled() -> Result<(), Error> {
        Err(Error::new(ErrorKind::Throttled, "busy"))
    }

    #[test]
    fn an_execution_runs_within_its_limits() {
        let config = ExecutorConfig::default();
        let start = |attempt, redriven, late| start(&limited(), attempt, redriven, || after(late), &config);
        assert!(matches!(start(1, false, 600), Start::Run));
        assert!(matches!(start(3, false, 0), Start::Run));
        assert!(matches!(start(1, false, 601), Start::Skip(_)));
        assert!(matches!(start(1, true, 601), Start::Run));
        assert!(matches!(start(4, false, 0), Start::GiveUp(_)));
    }

    #[test]
    fn a_failure_comes_back_only_if_it_may_pass_and_the_limits_allow_it() {
        let config = ExecutorConfig::default();
        let end = |result, attempt, late| end(&limited(), result, attempt, false, || after(late), &config);
        assert!(matches!(end(Ok(()), 9, 9_999), End::Succeeded));
        assert!(matches!(end(throttled(), 1, 0), End::Retry(..)));
        assert!(matches!(end(throttled(), 3, 0), End::Dead(_)));
        assert!(matches!(end(throttled(), 1, 600), End::Dead(_)));
        assert!(matches!(end(Err(Error::new(ErrorKind::Denied, "no")), 1, 0), End::Dead(_)));
    }

    #[test]
    fn a_backfill_is_never_too_old_but_its_tries_are_limited() {
        let config = ExecutorConfig::default();
        let work = WorkItem { origin: Origin::Backfill, ..limited() };
        assert!(matches!(start(&work, 1, false, || after(999_999), &config), Start::Run));
        assert!(matches!(start(&work, 4, false, || after(999_999), &config), Start::GiveUp(_)));
        assert!(matches!(end(&work, throttled(), 1, false, || after(999_999), &config), End::Retry(..)));
        assert!(matches!(end(&work, throttled(), 3, false, || after(999_999), &config), End::Dead(_)));
    }

    #[test]
    fn the_target_may_ask_for_a_longer_wait_but_not_for_a_shorter_one() {
        let config = ExecutorConfig::default();
        for (asked, least) in [(0, config.backoff.base / 2), (120, Duration::from_secs(120))] {
            let error = Error::new(ErrorKind::Throttled, "busy").with_retry_after(Duration::from_secs(asked));
            match end(&limited(), Err(error), 1, false, || after(0), &config) {
                End::Retry(_, delay) => assert!(delay >= least, "{delay:?}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
