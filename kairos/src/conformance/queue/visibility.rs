//! How long a received message stays away, and what a receipt is good for.

use std::time::Duration;

use super::{Post, WAIT, expect_late};
use crate::clock::{between, later};
use crate::conformance::support::{Verdict, ensure, expect_same, mark, thrice};

/// The same message, body and all, and not before its time.
pub(super) async fn a_received_message_stays_away_and_comes_back(post: &Post<'_>) -> Verdict {
    thrice(async || {
        let mark = mark();
        post.send(&[post.message(&mark, 0)]).await?;
        let before = post.now();
        let first = post.one(&mark).await?;
        let received = post.now();
        post.expect_none(&mark, later(before, post.timeout() / 2), "that is in flight").await?;
        let second = post.one(&mark).await?;
        // Services count whole seconds, and clocks differ a little.
        let away = between(before, post.now());
        let least = post.timeout() - WAIT / 2;
        ensure!(
            away >= least,
            "a message to stay away for {:?} from {received}, but it was for {away:?}",
            post.timeout()
        );
        expect_same("the id of the message", &second.message_id, &first.message_id)?;
        expect_same("the time it was sent", &second.sent_at, &first.sent_at)?;
        expect_same("its text", &second.body.to_json(), &first.body.to_json())?;
        expect_same("whether it comes from the dead letters", &second.redriven, &false)?;
        ensure!(
            second.receive_count > first.receive_count,
            "the second delivery to count higher than {}, found {}",
            first.receive_count,
            second.receive_count
        );
        post.acknowledge(&[second]).await
    })
    .await
}

pub(super) async fn each_delivery_counts_higher(post: &Post<'_>) -> Verdict {
    let mark = mark();
    let mut delivery = post.one_in_flight(&mark).await?;
    for _ in 0..3 {
        post.receiver.change_visibility(&delivery.receipt, Duration::ZERO).await?;
        let next = post.one(&mark).await?;
        let (count, before) = (next.receive_count, delivery.receive_count);
        ensure!(count > before, "the next delivery to count higher than {before}, found {count}");
        delivery = next;
    }
    post.acknowledge(&[delivery]).await
}

/// Who waits for less than the service counts in must not be back at once, and again, and again.
pub(super) async fn a_short_wait_is_not_rounded_down_to_none(post: &Post<'_>) -> Verdict {
    let mark = mark();
    let first = post.one_in_flight(&mark).await?;
    let kept = Duration::from_nanos(999_999);
    let least = later(post.now(), kept);
    post.receiver.change_visibility(&first.receipt, kept).await?;
    let second = post.one(&mark).await?;
    ensure!(post.now() >= least, "a message to stay away until {least}, received at {}", post.now());
    post.acknowledge(&[second]).await
}

pub(super) async fn a_message_comes_back_at_once_when_let_go(post: &Post<'_>) -> Verdict {
    let mark = mark();
    let first = post.one_in_flight(&mark).await?;
    // Kept for longer first, so that it does not come back by itself.
    let kept = post.timeout() * 4 + WAIT * 10;
    post.receiver.change_visibility(&first.receipt, kept).await?;
    let before = post.now();
    post.receiver.change_visibility(&first.receipt, Duration::ZERO).await?;
    let second = post.one(&mark).await?;
    let away = between(before, post.now());
    ensure!(away < kept / 2, "a message that was let go to be back at once, but it took {away:?}");
    post.acknowledge(&[second]).await
}

pub(super) async fn a_message_that_is_kept_longer_stays_away_longer(post: &Post<'_>) -> Verdict {
    thrice(async || {
        let mark = mark();
        let first = post.one_in_flight(&mark).await?;
        let changed = post.now();
        post.receiver.change_visibility(&first.receipt, post.timeout() * 2).await?;
        post.expect_none(&mark, later(changed, post.timeout() * 2 - WAIT / 2), "that is kept for twice the timeout")
            .await?;
        let second = post.one(&mark).await?;
        post.acknowledge(&[second]).await
    })
    .await
}

pub(super) async fn a_message_that_is_kept_shorter_comes_back_sooner(post: &Post<'_>) -> Verdict {
    let mark = mark();
    let first = post.one_in_flight(&mark).await?;
    let kept = post.timeout() * 4 + WAIT * 10;
    post.receiver.change_visibility(&first.receipt, kept).await?;
    let before = post.now();
    post.receiver.change_visibility(&first.receipt, WAIT).await?;
    let second = post.one(&mark).await?;
    let away = between(before, post.now());
    ensure!(away < kept / 2, "a message that is kept for {WAIT:?} to be back after that, but it took {away:?}");
    ensure!(away >= WAIT / 2, "a message that is kept for {WAIT:?} to stay away for that, but it was for {away:?}");
    post.acknowledge(&[second]).await
}

pub(super) async fn the_timeout_counts_from_the_last_change(post: &Post<'_>) -> Verdict {
    thrice(async || {
        let mark = mark();
        let first = post.one_in_flight(&mark).await?;
        let timeout = post.timeout();
        for _ in 0..3 {
            post.time.pass(timeout / 2).await;
            post.receiver.change_visibility(&first.receipt, timeout).await?;
        }
        let changed = post.now();
        post.expect_none(&mark, later(changed, timeout - WAIT / 2), "that was kept again and again").await?;
        let second = post.one(&mark).await?;
        post.acknowledge(&[second]).await
    })
    .await
}

pub(super) async fn a_late_receipt_acknowledges_nothing(post: &Post<'_>) -> Verdict {
    let mark = mark();
    let first = post.one_in_flight(&mark).await?;
    let second = post.one(&mark).await?;
    for answer in post.answers(std::slice::from_ref(&first.receipt)).await? {
        expect_late("an acknowledgement with a late receipt", answer)?;
    }
    // Whoever has it now may still fail, so that it has to come back.
    let third = post.one(&mark).await?;
    let (count, before) = (third.receive_count, second.receive_count);
    ensure!(count > before, "the third delivery to count higher than {before}, found {count}");
    // A late receipt beside a good one harms it no more.
    let answers = post.answers(&[first.receipt, third.receipt]).await?;
    for (index, answer) in answers.into_iter().enumerate() {
        if index == 0 {
            expect_late("an acknowledgement with a late receipt", answer)?;
        } else {
            answer?;
        }
    }
    thrice(async || post.expect_gone(&mark, "that was acknowledged").await).await
}

pub(super) async fn a_late_receipt_changes_no_visibility(post: &Post<'_>) -> Verdict {
    thrice(async || {
        let mark = mark();
        let first = post.one_in_flight(&mark).await?;
        let second = post.one(&mark).await?;
        let received = post.now();
        expect_late(
            "letting go with a late receipt",
            post.receiver.change_visibility(&first.receipt, Duration::ZERO).await,
        )?;
        post.expect_none(&mark, later(received, post.timeout() / 2), "that somebody else has received since").await?;
        let much_longer = post.timeout() * 20;
        expect_late("keeping with a late receipt", post.receiver.change_visibility(&first.receipt, much_longer).await)?;
        let third = post.one(&mark).await?;
        let away = between(received, post.now());
        ensure!(away < much_longer / 2, "a late receipt not to keep the message away, but it was for {away:?}");
        ensure!(third.receive_count > second.receive_count, "the third delivery to count higher than the second");
        post.acknowledge(&[third]).await
    })
    .await
}

pub(super) async fn a_change_brings_nothing_back_that_was_acknowledged(post: &Post<'_>) -> Verdict {
    thrice(async || {
        let mark = mark();
        let delivery = post.one_in_flight(&mark).await?;
        post.acknowledge(std::slice::from_ref(&delivery)).await?;
        let changed = post.receiver.change_visibility(&delivery.receipt, Duration::ZERO).await;
        expect_late("letting go of what was acknowledged", changed)?;
        post.expect_gone(&mark, "that was acknowledged").await
    })
    .await
}
