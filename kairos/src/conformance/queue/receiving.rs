//! The receiving side: what a call gives, and how a message is taken off the queue.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};

use super::{MANY, Post, WAIT};
use crate::clock::{earlier, later};
use crate::conformance::support::{Stop, Verdict, ensure, expect_same, mark, thrice, within};

pub(super) async fn a_first_delivery_says_so(post: &Post<'_>) -> Verdict {
    /// A service has a clock of its own.
    const SKEW: Duration = Duration::from_secs(60);
    thrice(async || {
        let mark = mark();
        let before = post.now();
        let deliveries = post.in_flight(&mark, 3).await?;
        let after = post.now();
        for delivery in &deliveries {
            expect_same("the count of the first delivery", &delivery.receive_count, &1)?;
            expect_same("whether it comes from the dead letters", &delivery.redriven, &false)?;
            let (from, to) = (earlier(before, SKEW), later(after, SKEW));
            let sent = delivery.sent_at;
            ensure!(from <= sent && sent <= to, "the time of sending to be between {before} and {after}, found {sent}");
        }
        let ids: BTreeSet<_> = deliveries.iter().map(|delivery| &delivery.message_id).collect();
        expect_same("the number of different ids", &ids.len(), &3)?;
        let receipts: BTreeSet<_> = deliveries.iter().map(|delivery| delivery.receipt.as_str()).collect();
        expect_same("the number of different receipts", &receipts.len(), &3)?;
        post.acknowledge(&deliveries).await
    })
    .await
}

/// However many there are, and also if more are asked for than a service gives at once.
pub(super) async fn no_more_are_received_than_asked_for(post: &Post<'_>) -> Verdict {
    for max in [1, 2, 3, MANY, 11, 1_000] {
        let mark = mark();
        let messages: Vec<_> = (0..5).map(|index| post.message(&mark, index)).collect();
        post.send(&messages).await?;
        let mut received = BTreeSet::new();
        let mut left = Vec::new();
        for _ in 0..super::POLLS {
            // Every call checks that it gave no more than `max`.
            for delivery in post.receive(&mark, max, WAIT).await? {
                if received.insert(delivery.message_id.clone()) {
                    left.push(delivery);
                }
            }
            if received.len() == messages.len() {
                break;
            }
        }
        expect_same("the number of messages received", &received.len(), &messages.len())?;
        post.acknowledge(&left).await?;
    }
    Ok(())
}

pub(super) async fn an_empty_receive_ends_with_its_wait(post: &Post<'_>) -> Verdict {
    let mark = mark();
    for wait in [Duration::ZERO, WAIT, WAIT * 2] {
        // Every call checks that it has ended.
        let received = post.receive(&mark, MANY, wait).await?;
        expect_same("the messages of a case that has sent none", &received, &Vec::new())?;
    }
    Ok(())
}

/// What arrives while a call waits ends the wait.
pub(super) async fn a_receive_that_waits_gets_what_arrives(post: &Post<'_>) -> Verdict {
    const LONG_WAIT: Duration = Duration::from_secs(8);
    thrice(async || {
        let mark = mark();
        let waiting = post.receiver.receive(MANY, LONG_WAIT);
        let sending = async {
            post.time.pass(WAIT).await;
            let sent = post.send(&[post.message(&mark, 0)]).await;
            // Time goes on, so that a call that does not notice ends empty-handed.
            post.time.pass(LONG_WAIT * 2).await;
            sent
        };
        let received = match select(std::pin::pin!(waiting), std::pin::pin!(sending)).await {
            Either::Left((received, _)) => received?,
            Either::Right((sent, _)) => {
                sent?;
                return Err(Stop::failed(format!("expected a call that waits up to {LONG_WAIT:?} to end")));
            }
        };
        let ours: Vec<_> = received.into_iter().filter(|delivery| delivery.body.to_json().contains(&mark)).collect();
        ensure!(!ours.is_empty(), "a call that waits to give the message that arrives meanwhile");
        post.acknowledge(&ours).await
    })
    .await
}

pub(super) async fn concurrent_receivers_share_no_message(post: &Post<'_>) -> Verdict {
    const MESSAGES: u32 = 6;
    thrice(async || {
        let mark = mark();
        let messages: Vec<_> = (0..MESSAGES).map(|index| post.message(&mark, index)).collect();
        let all = post.send(&messages).await.map(|()| messages.len())?;
        let end = later(post.now(), post.timeout() / 2);
        let mut received = Vec::new();
        while received.len() < all && post.now() < end {
            let calls = join_all((0..4).map(|_| post.receiver.receive(2, Duration::ZERO)));
            let Some(answers) = within(post.time, Duration::ZERO, calls).await else {
                return Err(Stop::failed("expected a call that does not wait to end"));
            };
            for answer in answers {
                received.extend(answer?.into_iter().filter(|delivery| delivery.body.to_json().contains(&mark)));
            }
            post.time.pass(WAIT / 10).await;
        }
        let ids: BTreeSet<_> = received.iter().map(|delivery| delivery.message_id.clone()).collect();
        expect_same("the number of different messages among those received at once", &ids.len(), &received.len())?;
        post.acknowledge(&received).await?;
        ensure!(
            received.len() == all,
            "{all} messages to be received within half their timeout, found {}",
            received.len()
        );
        Ok(())
    })
    .await
}

pub(super) async fn an_acknowledged_message_is_gone(post: &Post<'_>) -> Verdict {
    thrice(async || {
        let mark = mark();
        let deliveries = post.in_flight(&mark, 2).await?;
        post.acknowledge(&deliveries).await?;
        post.expect_gone(&mark, "that was acknowledged").await
    })
    .await
}

/// More than a service takes in one call.
pub(super) async fn many_are_acknowledged_at_once(post: &Post<'_>) -> Verdict {
    const MESSAGES: u32 = 25;
    thrice(async || {
        let mark = mark();
        let deliveries = post.in_flight(&mark, MESSAGES).await?;
        post.acknowledge(&deliveries).await?;
        post.expect_gone(&mark, "that was acknowledged with many others").await
    })
    .await
}

pub(super) async fn acknowledging_twice_succeeds(post: &Post<'_>) -> Verdict {
    let mark = mark();
    let deliveries = post.in_flight(&mark, 2).await?;
    post.acknowledge(&deliveries[..1]).await?;
    // Once more, beside one that is new.
    post.acknowledge(&deliveries).await?;
    post.acknowledge(&deliveries).await
}

pub(super) async fn acknowledging_none_has_no_answers(post: &Post<'_>) -> Verdict {
    expect_same("the number of answers to no receipt", &post.answers(&[]).await?.len(), &0)
}
