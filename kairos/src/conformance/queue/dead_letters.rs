//! Dead letters, and their way back.

use super::{MANY, POLLS, Post, WAIT, expect_late};
use crate::backend::{DeadLetterReason, Delivery, Message};
use crate::conformance::samples::AWKWARD;
use crate::conformance::support::{Stop, Verdict, ensure, expect_same, mark, thrice};
use crate::error::ErrorKind;
use crate::model::{Body, Failure};

/// The reason as the executor gives it: with the work, if the message says what that is.
fn reason(delivery: &Delivery) -> DeadLetterReason {
    let failure = Failure { kind: ErrorKind::Denied.as_str().into(), text: AWKWARD.into() };
    match delivery.body.work(delivery.message_id.as_str(), delivery.sent_at) {
        Ok(work) => DeadLetterReason::of_work(failure, &work, delivery.receive_count),
        Err(_) => DeadLetterReason::new(failure),
    }
}

async fn bury(post: &Post<'_>, delivery: &Delivery) -> Verdict {
    Ok(post.receiver.dead_letter(delivery, &reason(delivery)).await?)
}

/// Redrives until so many messages of a mark are back; the dead letters of others may come first.
async fn redriven(post: &Post<'_>, mark: &str, count: usize) -> Verdict<Vec<Delivery>> {
    let mut back: Vec<Delivery> = Vec::new();
    for _ in 0..POLLS {
        let redriven = post.receiver.redrive(MANY).await?;
        ensure!(redriven <= MANY, "at most {MANY} dead letters to be redriven, found {redriven}");
        for delivery in post.receive(mark, MANY, WAIT).await? {
            back.retain(|other| other.message_id != delivery.message_id);
            back.push(delivery);
        }
        if back.len() >= count {
            return Ok(back);
        }
    }
    Err(Stop::failed(format!("expected {count} redriven messages to be received, but {} were", back.len())))
}

async fn one_redriven(post: &Post<'_>, mark: &str) -> Verdict<Delivery> {
    redriven(post, mark, 1).await?.pop().ok_or_else(|| Stop::failed("expected a redriven message to be received"))
}

pub(super) async fn a_dead_letter_is_off_the_queue(post: &Post<'_>) -> Verdict {
    thrice(async || {
        let mark = mark();
        let delivery = post.one_in_flight(&mark).await?;
        bury(post, &delivery).await?;
        post.expect_gone(&mark, "that lies with the dead letters").await?;
        let back = one_redriven(post, &mark).await?;
        post.acknowledge(&[back]).await
    })
    .await
}

/// With its whole body, and marked as redriven at this delivery and the next.
pub(super) async fn a_redriven_dead_letter_is_delivered_again(post: &Post<'_>) -> Verdict {
    let mark = mark();
    let first = post.one_in_flight(&mark).await?;
    bury(post, &first).await?;
    let second = one_redriven(post, &mark).await?;
    let third = post.one(&mark).await?;
    for delivery in [&second, &third] {
        expect_same("its text", &delivery.body.to_json(), &first.body.to_json())?;
        expect_same("whether it comes from the dead letters", &delivery.redriven, &true)?;
    }
    post.acknowledge(&[third]).await
}

pub(super) async fn a_redriven_message_is_acknowledged_like_any(post: &Post<'_>) -> Verdict {
    thrice(async || {
        let mark = mark();
        let first = post.one_in_flight(&mark).await?;
        bury(post, &first).await?;
        let second = one_redriven(post, &mark).await?;
        // It can die again, and live again.
        bury(post, &second).await?;
        let third = one_redriven(post, &mark).await?;
        expect_same("whether it comes from the dead letters", &third.redriven, &true)?;
        post.acknowledge(&[third]).await?;
        post.expect_gone(&mark, "that was acknowledged after it was redriven").await?;
        while post.receiver.redrive(MANY).await? > 0 {}
        post.expect_gone(&mark, "that was acknowledged, also among the dead letters").await
    })
    .await
}

pub(super) async fn any_text_can_lie_with_the_dead_letters(post: &Post<'_>) -> Verdict {
    let mark = mark();
    let text = format!("no JSON, {mark}, ñ 日本語 🦀");
    post.send(&[Message::new(Body::from_json(text.as_str()))]).await?;
    let first = post.one(&mark).await?;
    bury(post, &first).await?;
    let second = one_redriven(post, &mark).await?;
    expect_same("its text", &second.body.to_json().as_ref(), &text.as_str())?;
    post.acknowledge(&[second]).await
}

pub(super) async fn no_more_are_redriven_than_asked_for(post: &Post<'_>) -> Verdict {
    const MOST: usize = 1_000;
    let mark = mark();
    for delivery in &post.in_flight(&mark, 3).await? {
        bury(post, delivery).await?;
    }
    let mut sum = 0;
    for round in 0..MOST {
        let redriven = post.receiver.redrive(1).await?;
        ensure!(redriven <= 1, "at most 1 dead letter to be redriven, found {redriven}");
        sum += redriven;
        // A service shows its dead letters a moment later, so that the first rounds may find none.
        if redriven == 0 && (sum >= 3 || round > 30) {
            break;
        }
        if redriven == 0 {
            post.time.pass(WAIT).await;
        }
    }
    ensure!(sum >= 3, "3 dead letters to be redriven, one by one, found {sum}");
    let back = post.collect(&mark, 3).await?;
    post.acknowledge(&back).await?;
    expect_same("how many of no dead letters were redriven", &post.receiver.redrive(MANY).await?, &0)
}

pub(super) async fn the_oldest_is_redriven_first(post: &Post<'_>) -> Verdict {
    thrice(async || {
        let mark = mark();
        let texts = [format!("{mark} older"), format!("{mark} newer")];
        for text in &texts {
            post.send(&[Message::new(Body::from_json(text.as_str()))]).await?;
            let delivery = post.one(text).await?;
            bury(post, &delivery).await?;
            post.time.pass(WAIT).await;
        }
        let mut back = Vec::new();
        for _ in 0..POLLS {
            post.receiver.redrive(1).await?;
            // Twice, so that the one has time to arrive before the next is asked for.
            for _ in 0..2 {
                let received = post.receive(&mark, MANY, WAIT).await?;
                post.acknowledge(&received).await?;
                back.extend(received.iter().map(|delivery| delivery.body.to_json().into_owned()));
            }
            if back.len() >= texts.len() {
                break;
            }
        }
        expect_same("the dead letters in the order in which they came back", &back, &texts.to_vec())
    })
    .await
}

/// Somebody else has received the message since, and may still succeed with it.
pub(super) async fn a_late_receipt_makes_no_dead_letter(post: &Post<'_>) -> Verdict {
    let mark = mark();
    let first = post.one_in_flight(&mark).await?;
    let second = post.one(&mark).await?;
    expect_late("a dead letter with a late receipt", post.receiver.dead_letter(&first, &reason(&first)).await)?;
    let third = post.one(&mark).await?;
    ensure!(third.receive_count > second.receive_count, "the third delivery to count higher than the second");
    post.acknowledge(&[third]).await
}
