//! How often a queue is asked for, and by whom.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use kairos::ErrorKind;
use kairos::backend::Invoker as _;

use super::wire::Answer;
use super::{QUEUE, Wire, clock, invocation, invoker};

/// How often the queue was asked for, and how often it was sent to.
fn calls(wire: &Wire) -> (usize, usize) {
    let seen = wire.seen("sqs");
    let asked = seen.iter().filter(|seen| seen.asks_for_queue()).count();
    (asked, seen.len() - asked)
}

#[tokio::test]
async fn a_hundred_at_once_ask_for_a_queue_once() {
    let (clock, wire) = (clock(), Wire::new(&clock()).closed());
    let (invoker, call) = (invoker(&wire, &clock), invocation(QUEUE));
    let mut all = join_all((0..100).map(|_| invoker.invoke(call.clone()))).boxed();
    assert!((&mut all).now_or_never().is_none());
    wire.open(1);
    assert!((&mut all).now_or_never().is_none());
    assert_eq!(calls(&wire), (1, 0));
    wire.open(1);
    for answer in all.await {
        answer.unwrap();
    }
    assert_eq!(calls(&wire), (1, 100));
}

#[tokio::test]
async fn where_one_may_not_ask_or_goes_away_the_others_ask_for_themselves() {
    let denied = AtomicUsize::new(0);
    let wire = Wire::new(&clock()).closed().with_rule(move |seen| {
        let is_first = seen.asks_for_queue() && denied.fetch_add(1, Ordering::Relaxed) == 0;
        is_first.then(|| Answer::error("sqs", "AccessDenied", 403))
    });
    let clock = clock();
    let (invoker, call) = (invoker(&wire, &clock), invocation(QUEUE));
    let (mut one, mut two) = (invoker.invoke(call.clone()), invoker.invoke(call.clone()));
    wire.open(1);
    assert!((&mut one).now_or_never().is_none() && (&mut two).now_or_never().is_none());
    assert_eq!(calls(&wire), (1, 0));
    wire.open(1);
    assert_eq!(one.await.unwrap_err().kind(), ErrorKind::Denied);
    assert!((&mut two).now_or_never().is_none());
    assert_eq!(calls(&wire), (2, 0));

    // The second asks now, and goes away while a third waits for it.
    let mut three = invoker.invoke(call.clone());
    assert!((&mut three).now_or_never().is_none());
    drop(two);
    wire.open(1);
    three.await.unwrap();
    invoker.invoke(call.clone()).await.unwrap();
    assert_eq!(calls(&wire), (3, 2));
}
