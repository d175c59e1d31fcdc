//! The sending side: batches, limits, bodies and delays.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Post, WAIT};
use crate::backend::{Delivery, Message};
use crate::clock::later;
use crate::conformance::samples::{AWKWARD, full_process, largest_process, older_process, process};
use crate::conformance::support::{Stop, Verdict, ensure, expect_refusal, expect_same, mark, thrice};
use crate::error::ErrorKind;
use crate::model::{Body, Origin, WorkItem, limits};

const INVALID: &[ErrorKind] = &[ErrorKind::Invalid];

pub(super) async fn limits_leave_room(post: &Post<'_>) -> Verdict {
    let limits = post.queue.limits();
    ensure!(limits.batch_messages >= 1, "a batch to hold a message at least");
    ensure!(limits.batch_bytes != Some(0), "a batch to hold a byte at least");
    ensure!(
        post.timeout() >= Duration::from_secs(2),
        "a visibility timeout of two seconds at least, to tell apart from none"
    );
    expect_same("the limits when asked again", &post.queue.limits(), &limits)
}

pub(super) async fn there_is_an_answer_for_each_message(post: &Post<'_>) -> Verdict {
    let mark = mark();
    let most = u32::try_from(post.queue.limits().batch_messages).unwrap_or(u32::MAX).min(100);
    for count in [1, most] {
        let mark = format!("{mark}-{count}");
        let batch: Vec<_> = (0..count).map(|index| post.message(&mark, index)).collect();
        let answers = post.queue.send(&batch).await?;
        expect_same("the number of answers", &answers.len(), &batch.len())?;
        for answer in answers {
            answer?;
        }
        let received = post.collect(&mark, batch.len()).await?;
        let sent: BTreeSet<_> = batch.iter().map(|message| message.body.to_json()).collect();
        let came: BTreeSet<_> = received.iter().map(|delivery| delivery.body.to_json()).collect();
        expect_same("what was received of a batch", &came, &sent)?;
        post.acknowledge(&received).await?;
    }
    Ok(())
}

pub(super) async fn an_empty_batch_has_no_answers(post: &Post<'_>) -> Verdict {
    expect_same("the number of answers to no message", &post.queue.send(&[]).await?.len(), &0)
}

pub(super) async fn a_batch_of_too_many_messages_is_refused(post: &Post<'_>) -> Verdict {
    const MOST: usize = 10_000;
    let limit = post.queue.limits().batch_messages;
    if limit > MOST {
        return Err(Stop::NotApplicable("batches hold any number of messages"));
    }
    let mark = mark();
    let batch: Vec<_> = (0..=limit).map(|index| text(format!("{mark} {index}"))).collect();
    expect_refusal("a batch of one message too many", post.queue.send(&batch).await, INVALID)?;
    post.expect_none(&mark, later(post.now(), WAIT * 2), "of a batch that was refused").await
}

fn text(text: String) -> Message {
    Message::new(Body::from_json(text))
}

/// Text of just so many bytes in as few messages as may be.
fn batch_of(mark: &str, bytes: usize) -> Vec<Message> {
    let mut left = bytes;
    let mut batch = Vec::new();
    while left > 0 {
        let size = if left > limits::MESSAGE { limits::MESSAGE.min(left - mark.len()) } else { left };
        batch.push(text(format!("{mark}{}", "x".repeat(size.saturating_sub(mark.len())))));
        left -= size;
    }
    batch
}

/// The limit on bytes, where there is one that a test can reach.
fn limit_on_bytes(post: &Post<'_>, mark: &str, over: usize) -> Verdict<(usize, Vec<Message>)> {
    const MOST: usize = 16 * 1024 * 1024;
    let limits = post.queue.limits();
    let Some(limit) = limits.batch_bytes.filter(|limit| (mark.len()..=MOST).contains(limit)) else {
        return Err(Stop::NotApplicable("batches hold any number of bytes"));
    };
    let batch = batch_of(mark, limit + over);
    if batch.len() > limits.batch_messages {
        return Err(Stop::NotApplicable("so many messages as a batch holds do not reach its limit on bytes"));
    }
    Ok((limit, batch))
}

pub(super) async fn a_batch_of_too_many_bytes_is_refused(post: &Post<'_>) -> Verdict {
    let mark = mark();
    // More than a byte over: the second of two messages has to bear the mark.
    let (limit, batch) = limit_on_bytes(post, &mark, mark.len())?;
    let what = format!("a batch of more than {limit} bytes");
    expect_refusal(&what, post.queue.send(&batch).await, INVALID)?;
    post.expect_none(&mark, later(post.now(), WAIT * 2), "of a batch that was refused").await
}

pub(super) async fn a_batch_of_the_most_bytes_is_taken(post: &Post<'_>) -> Verdict {
    let mark = mark();
    let (_, batch) = limit_on_bytes(post, &mark, 0)?;
    for answer in post.queue.send(&batch).await? {
        answer?;
    }
    let received = post.collect(&mark, batch.len()).await?;
    post.acknowledge(&received).await
}

/// The work that a delivery asks for.
fn work_of(delivery: &Delivery) -> Verdict<WorkItem> {
    Ok(delivery.body.work(delivery.message_id.as_str(), delivery.sent_at)?)
}

pub(super) async fn work_comes_back_as_it_was_sent(post: &Post<'_>) -> Verdict {
    let now = post.now();
    for process in [process, full_process, largest_process] {
        let mark = mark();
        let process = Arc::new(process(&mark, "ejecución"));
        for work in [
            WorkItem::of_occurrence(process.clone(), now, Origin::Schedule),
            WorkItem::of_occurrence(process.clone(), later(now, WAIT), Origin::Backfill),
            WorkItem::of_request(process.clone(), "clave ñ", now),
        ] {
            post.send(&[Message::new(work.clone())]).await?;
            let delivery = post.one(&mark).await?;
            expect_same("the work", &work_of(&delivery)?, &work)?;
            expect_same("the text", &delivery.body.to_json(), &Body::from(work).to_json())?;
            post.acknowledge(&[delivery]).await?;
        }
    }
    Ok(())
}

/// Text that some other system wrote is read when it is executed, and not before: it need not even be JSON.
pub(super) async fn text_comes_back_as_it_was_sent(post: &Post<'_>) -> Verdict {
    for around in
        ["", " ", "\n", "{\"b\": 1,  \"a\":\t2.50, \"b\":null}", "no JSON <at> all & \"quotes\"", "ñ 日本語 🦀 \\u00e1"]
    {
        let mark = mark();
        let sent = Body::from_json(format!("{around}{mark}{around}"));
        post.send(&[Message::new(sent.clone())]).await?;
        let delivery = post.one(&mark).await?;
        expect_same("the text", &delivery.body.to_json(), &sent.to_json())?;
        post.acknowledge(&[delivery]).await?;
    }
    Ok(())
}

pub(super) async fn the_largest_message_is_taken(post: &Post<'_>) -> Verdict {
    if post.queue.limits().batch_bytes.is_some_and(|bytes| bytes < limits::MESSAGE) {
        return Err(Stop::failed(format!("expected a batch to hold a message of {} bytes", limits::MESSAGE)));
    }
    let mark = mark();
    let sent = format!("{mark}{}", "x".repeat(limits::MESSAGE - mark.len()));
    post.send(&[text(sent.clone())]).await?;
    let delivery = post.one(&mark).await?;
    expect_same("the text", &delivery.body.to_json().as_ref(), &sent.as_str())?;
    post.acknowledge(&[delivery]).await
}

/// It names neither occurrence nor execution: its own id and the time it was sent stand for them, and so have to stay.
pub(super) async fn an_older_message_means_the_same_at_each_delivery(post: &Post<'_>) -> Verdict {
    let mark = mark();
    let older = older_process(&mark, "ejecución")?;
    let mut json = serde_json::to_value(&older).map_err(|error| Stop::failed(error.to_string()))?;
    json["Desconocido"] = serde_json::json!({ "atributo": [1, AWKWARD] });
    post.send(&[text(json.to_string())]).await?;
    let first = post.one(&mark).await?;
    let work = work_of(&first)?;
    expect_same("the process", &*work.process, &older)?;
    expect_same("the occurrence", &work.scheduled_time, &first.sent_at)?;
    post.receiver.change_visibility(&first.receipt, Duration::ZERO).await?;
    let second = post.one(&mark).await?;
    expect_same("the work at the second delivery", &work_of(&second)?, &work)?;
    post.acknowledge(&[second]).await
}

pub(super) async fn a_message_sent_again_is_another(post: &Post<'_>) -> Verdict {
    let mark = mark();
    let message = post.message(&mark, 0);
    post.send(&[message.clone(), message.clone()]).await?;
    let received = post.collect(&mark, 2).await?;
    post.acknowledge(&received).await
}

pub(super) async fn a_delayed_message_stays_away_first(post: &Post<'_>) -> Verdict {
    let delay = Duration::from_secs(3);
    if post.queue.limits().delay < delay {
        return Err(Stop::NotApplicable("messages cannot be delayed for three seconds"));
    }
    let mark = mark();
    let before = post.now();
    post.send(&[post.message(&mark, 0).with_delay(delay)]).await?;
    post.expect_none(&mark, later(before, delay - WAIT / 2), "that is delayed").await?;
    let received = post.one(&mark).await?;
    expect_same("its delivery", &received.receive_count, &1)?;
    post.acknowledge(&[received]).await
}

pub(super) async fn the_longest_delay_is_taken(post: &Post<'_>) -> Verdict {
    let delay = post.queue.limits().delay;
    let mark = mark();
    let before = post.now();
    // What is left of it in real time comes back as a message that is none of another case's business.
    post.send(&[post.message(&mark, 0).with_delay(delay)]).await?;
    if delay > post.time.patience() {
        return Ok(());
    }
    post.expect_none(&mark, later(before, delay.saturating_sub(WAIT / 2)), "that is delayed").await?;
    let received = post.one(&mark).await?;
    post.acknowledge(&[received]).await
}

/// Refused as a whole, and then nothing was sent; or in its own answer, and then the others were.
pub(super) async fn a_longer_delay_is_refused(post: &Post<'_>) -> Verdict {
    let limits = post.queue.limits();
    let Some(delay) = limits.delay.checked_add(Duration::from_secs(1)) else {
        return Err(Stop::NotApplicable("messages may be delayed for ever"));
    };
    let mark = mark();
    let late = post.message(&mark, 0).with_delay(delay);
    let mut batch = vec![late, post.message(&mark, 1), post.message(&mark, 2)];
    batch.truncate(limits.batch_messages);
    let whole = match post.queue.send(&batch).await {
        Ok(answers) => {
            expect_same("the number of answers", &answers.len(), &batch.len())?;
            for (message, answer) in batch.iter().zip(answers) {
                if message.delay.is_zero() {
                    answer?;
                } else {
                    expect_refusal("a message with too long a delay", answer, INVALID)?;
                }
            }
            false
        }
        refused => {
            expect_refusal("a batch with too long a delay", refused, INVALID)?;
            true
        }
    };
    if whole {
        return post.expect_none(&mark, later(post.now(), WAIT * 2), "of a batch that was refused").await;
    }
    let taken = post.collect(&mark, batch.len() - 1).await?;
    post.acknowledge(&taken).await?;
    thrice(async || post.expect_none(&mark, later(post.now(), WAIT * 2), "that was refused or acknowledged").await)
        .await
}
