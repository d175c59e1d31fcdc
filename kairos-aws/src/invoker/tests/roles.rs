//! How often a role is assumed, and by whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use kairos::backend::Invoker as _;
use kairos::clock::ManualClock;
use kairos::{ErrorKind, TargetKind};

use super::wire::{Answer, Seen};
use super::{FUNCTION, MACHINE, QUEUE, SessionConfig, TOPIC, Wire, clock, invocation, invocation_of, invoker, process};
use crate::invoker::Call;
use crate::invoker::failure::Refusal;
use crate::invoker::sessions::Identity;

fn keys(wire: &Wire) -> Vec<String> {
    wire.seen("lambda").iter().map(|seen| seen.access_key().to_owned()).collect()
}

#[tokio::test]
async fn a_hundred_at_once_assume_a_role_once() {
    let (clock, wire) = (clock(), Wire::new(&clock()).closed());
    let invoker = invoker(&wire, &clock);
    let calls = (0..100).map(|call| invocation([FUNCTION, MACHINE, TOPIC, QUEUE][call % 4])).collect::<Vec<_>>();
    let mut all = join_all(calls.into_iter().map(|call| invoker.invoke(call))).boxed();
    assert!((&mut all).now_or_never().is_none());
    assert_eq!(wire.seen("sts").len(), 1);
    wire.open(1_000);
    for answer in all.await {
        answer.unwrap();
    }
    assert_eq!((wire.seen("sts").len(), wire.seen("lambda").len()), (1, 25));
    assert!(wire.seen("states").iter().all(|seen| seen.access_key() == "ASIA1"));
}

#[tokio::test]
async fn a_failure_is_for_those_who_wait_for_it_and_not_for_those_who_come_later() {
    let failures = Arc::new(AtomicUsize::new(1));
    let left = failures.clone();
    let (clock, wire) = (
        clock(),
        Wire::new(&clock()).closed().with_rule(move |seen| {
            let fails = seen.service() == "sts"
                && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
            fails.then(|| Answer::error("sts", "AccessDenied", 403))
        }),
    );
    let invoker = invoker(&wire, &clock);
    let call = invocation(FUNCTION);
    let mut all = join_all((0..100).map(|_| invoker.invoke(call.clone()))).boxed();
    assert!((&mut all).now_or_never().is_none());
    wire.open(1_000);
    for answer in all.await {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert_eq!(
            error.to_string(),
            format!(
                "assume role {}: access denied: the service answered AccessDenied: no; the README of kairos-aws lists what each \
                 part must be allowed",
                super::ROLE
            )
        );
        assert!(std::error::Error::source(&error).is_some());
    }
    assert_eq!((wire.seen("sts").len(), wire.seen("lambda").len()), (1, 0));
    invoker.invoke(call.clone()).await.unwrap();
    assert_eq!(wire.seen("sts").len(), 2);
}

#[tokio::test]
async fn who_comes_when_a_failure_is_known_does_not_get_it_though_others_still_wait() {
    let (clock, wire) = (clock(), Wire::new(&clock()).closed());
    let left = AtomicUsize::new(0);
    let wire = wire.with_rule(move |seen| {
        let fails = seen.service() == "sts" && left.fetch_add(1, Ordering::Relaxed) == 0;
        fails.then(|| Answer::error("sts", "AccessDenied", 403))
    });
    let invoker = invoker(&wire, &clock);
    let call = invocation(FUNCTION);
    let (mut first, mut second) = (invoker.invoke(call.clone()), invoker.invoke(call.clone()));
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    wire.open(2);
    first.await.unwrap_err();
    invoker.invoke(call.clone()).await.unwrap();
    second.await.unwrap_err();
    assert_eq!(wire.seen("sts").len(), 2);
}

#[tokio::test]
async fn a_session_that_somebody_else_has_replaced_is_not_replaced_again() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let invoker = invoker(&wire, &clock);
    let identity = invoker.identity(TargetKind::Lambda, &process(FUNCTION)).unwrap();
    let old = invoker.sessions.get(&identity).await.unwrap();
    assert!(invoker.sessions.refused(&identity, &old, Refusal::Token));
    let new = invoker.sessions.get(&identity).await.unwrap();
    assert!(invoker.sessions.refused(&identity, &old, Refusal::Token), "worth trying again");
    assert!(Arc::ptr_eq(&invoker.sessions.get(&identity).await.unwrap(), &new));
}

#[tokio::test]
async fn the_session_that_was_not_used_for_longest_is_forgotten_first() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let invoker = invoker(&wire, &clock).with_sessions(SessionConfig::default().with_most(2)).unwrap();
    for name in ["a", "b", "a", "c", "a", "b"] {
        clock.advance(Duration::from_secs(1));
        let mut process = process(FUNCTION);
        process.role = Some(format!("arn:aws:iam::123456789012:role/{name}"));
        invoker.invoke(invocation_of(process)).await.unwrap();
    }
    assert_eq!(keys(&wire), ["ASIA1", "ASIA2", "ASIA1", "ASIA3", "ASIA1", "ASIA4"]);
}

#[tokio::test]
async fn who_waits_goes_on_when_the_one_who_began_goes_away() {
    let (clock, wire) = (clock(), Wire::new(&clock()).closed());
    let invoker = invoker(&wire, &clock);
    let call = invocation(FUNCTION);
    let mut first = invoker.invoke(call.clone());
    let mut second = invoker.invoke(call.clone());
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    drop(first);
    wire.open(1_000);
    second.await.unwrap();
    assert_eq!(wire.seen("sts").len(), 1);

    // If all of them go away, whoever comes next begins anew.
    let (clock, wire) = (super::clock(), Wire::new(&clock).closed());
    let invoker = super::invoker(&wire, &clock);
    let mut first = invoker.invoke(call.clone());
    assert!((&mut first).now_or_never().is_none());
    drop(first);
    wire.open(1_000);
    invoker.invoke(call.clone()).await.unwrap();
    assert_eq!(wire.seen("sts").len(), 2);
}

#[tokio::test]
async fn a_session_is_renewed_before_it_ends_by_one_of_those_who_use_it() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let invoker = invoker(&wire, &clock);
    let call = invocation(FUNCTION);
    invoker.invoke(call.clone()).await.unwrap();
    clock.advance(Duration::from_secs(55 * 60 - 1));
    invoker.invoke(call.clone()).await.unwrap();
    assert_eq!(keys(&wire), ["ASIA1", "ASIA1"]);
    clock.advance(Duration::from_secs(151));
    join_all((0..20).map(|_| invoker.invoke(call.clone()))).await.into_iter().for_each(|answer| answer.unwrap());
    invoker.invoke(call.clone()).await.unwrap();
    assert_eq!(wire.seen("sts").len(), 2);
    assert_eq!(keys(&wire).last().unwrap(), "ASIA2");
}

#[tokio::test]
async fn who_calls_while_a_session_is_renewed_does_not_wait() {
    let (clock, wire) = (clock(), Wire::new(&clock()).closed());
    wire.open(1);
    let invoker = invoker(&wire, &clock);
    let call = invocation(FUNCTION);
    invoker.invoke(call.clone()).await.unwrap();
    clock.advance(Duration::from_secs(58 * 60));
    let mut renewing = invoker.invoke(call.clone());
    assert!((&mut renewing).now_or_never().is_none());
    invoker.invoke(call.clone()).await.unwrap();
    assert_eq!(keys(&wire), ["ASIA1"; 2]);
    wire.open(1);
    renewing.await.unwrap();
    assert_eq!((keys(&wire).last().map(String::as_str), wire.seen("sts").len()), (Some("ASIA2"), 2));
}

/// STS that answers the first call and no other.
fn only_once(clock: &ManualClock) -> Wire {
    let calls = AtomicUsize::new(0);
    Wire::new(clock).with_rule(move |seen| {
        let fails = seen.service() == "sts" && calls.fetch_add(1, Ordering::Relaxed) > 0;
        fails.then(|| Answer::error("sts", "ServiceUnavailable", 503))
    })
}

#[tokio::test]
async fn a_session_that_cannot_be_renewed_is_used_to_its_end() {
    let clock = clock();
    let wire = only_once(&clock);
    let invoker = invoker(&wire, &clock);
    let call = invocation(FUNCTION);
    invoker.invoke(call.clone()).await.unwrap();
    clock.advance(Duration::from_secs(58 * 60));
    for _ in 0..5 {
        invoker.invoke(call.clone()).await.unwrap();
    }
    assert_eq!(wire.seen("sts").len(), 2, "not at each call");
    clock.advance(Duration::from_secs(20));
    invoker.invoke(call.clone()).await.unwrap();
    assert_eq!(wire.seen("sts").len(), 3);
    clock.advance(Duration::from_secs(100));
    assert_eq!(invoker.invoke(call.clone()).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(keys(&wire), ["ASIA1"; 7]);
}

/// Refuses what was issued before the second session with this code.
fn revoking(clock: &ManualClock, code: &'static str) -> Wire {
    Wire::new(clock).with_rule(move |seen: &Seen| {
        let is_old = seen.service() == "lambda" && seen.access_key() == "ASIA1";
        is_old.then(|| Answer::error("lambda", code, 403))
    })
}

#[tokio::test]
async fn a_revoked_session_is_dropped_and_the_call_made_again() {
    for code in
        ["ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId", "AccessDeniedException"]
    {
        let clock = clock();
        let wire = revoking(&clock, code);
        let invoker = invoker(&wire, &clock);
        // Used by another target meanwhile, so that the session is not a fresh one.
        invoker.invoke(invocation(TOPIC)).await.unwrap();
        clock.advance(Duration::from_secs(60));
        let call = invocation(FUNCTION);
        join_all((0..3).map(|_| invoker.invoke(call.clone()))).await.into_iter().for_each(|answer| answer.unwrap());
        assert_eq!(wire.seen("sts").len(), 2, "{code}");
        let keys = keys(&wire);
        assert_eq!(keys.iter().filter(|key| *key == "ASIA2").count(), 3, "{code}: {keys:?}");
    }
}

#[tokio::test]
async fn a_call_is_made_twice_at_most() {
    let (clock, wire) = (
        clock(),
        Wire::new(&clock()).with_rule(|seen| {
            (seen.service() == "lambda").then(|| Answer::error("lambda", "ExpiredTokenException", 403))
        }),
    );
    let invoker = invoker(&wire, &clock);
    assert_eq!(invoker.invoke(invocation(FUNCTION)).await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!((wire.seen("sts").len(), wire.seen("lambda").len()), (2, 2));
}

#[tokio::test]
async fn a_role_that_may_not_do_something_is_not_assumed_for_each_message_of_it() {
    let (clock, wire) = (
        clock(),
        Wire::new(&clock()).with_rule(|seen| {
            (seen.service() == "lambda").then(|| Answer::error("lambda", "AccessDeniedException", 403))
        }),
    );
    let invoker = invoker(&wire, &clock);
    for _ in 0..10 {
        assert_eq!(invoker.invoke(invocation(FUNCTION)).await.unwrap_err().kind(), ErrorKind::Denied);
    }
    assert_eq!((wire.seen("sts").len(), wire.seen("lambda").len()), (1, 10));
}

#[tokio::test]
async fn each_role_and_if_asked_for_each_process_has_its_own_session() {
    for (config, expected) in [
        (SessionConfig::default(), ["ASIA1", "ASIA1", "ASIA2", "ASIA1"]),
        (SessionConfig::default().with_one_per_process(), ["ASIA1", "ASIA2", "ASIA3", "ASIA1"]),
        (SessionConfig::default().with_most(1), ["ASIA1", "ASIA1", "ASIA2", "ASIA3"]),
    ] {
        let (clock, wire) = (clock(), Wire::new(&clock()));
        let invoker = invoker(&wire, &clock).with_sessions(config.clone()).unwrap();
        let mut other_process = process(FUNCTION);
        other_process.id = "proceso-b3Rybw..".into();
        let mut other_role = process(FUNCTION);
        other_role.role = Some("arn:aws:iam::123456789012:role/kairos-otro".into());
        for process in [process(FUNCTION), other_process, other_role, process(FUNCTION)] {
            clock.advance(Duration::from_secs(1));
            invoker.invoke(invocation_of(process)).await.unwrap();
        }
        assert_eq!(keys(&wire), expected, "{config:?}");
    }
}

#[tokio::test]
async fn what_needs_no_role_has_none_and_is_called_as_the_executor() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let invoker = invoker(&wire, &clock);
    let mut roleless = process(FUNCTION);
    roleless.role = None;
    assert_eq!(invoker.identity(TargetKind::Https, &roleless).unwrap(), Identity::Own);
    assert_eq!(invoker.identity(TargetKind::Lambda, &roleless).unwrap_err().kind(), ErrorKind::Denied);
    let session = invoker.sessions.get(&Identity::Own).await.unwrap();
    let call = invocation(FUNCTION);
    let target = call.target.arn().unwrap();
    invoker.call(&Call { session: &session, target, invocation: &call }).await.unwrap();
    assert_eq!((keys(&wire), wire.seen("sts").len()), (vec!["AKIAOWN".to_owned()], 0));
}

#[test]
fn what_the_service_would_refuse_is_refused_at_once() {
    let (clock, wire) = (clock(), Wire::new(&clock()));
    let error = invoker(&wire, &clock).with_sessions(SessionConfig::default().with_name("a b")).unwrap_err();
    assert_eq!((error.kind(), error.faults()[0].field), (ErrorKind::Invalid, "name"));
}
