//! The suite of [`Queue`] and [`Receiver`]: what is sent comes back, stays away while somebody has it, and goes for good.

mod dead_letters;
mod receiving;
mod sending;
mod visibility;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::Report;
use super::samples::work;
use super::support::{Passage, Stop, Verdict, ensure, run_cases, within};
use crate::backend::{Delivery, Message, Queue, Receipt, Receiver};
use crate::clock::{between, later};
use crate::error::{ErrorKind, Result};
use crate::model::MessageId;

/// Runs every case of the contracts of [`Queue`] and [`Receiver`] against the two ends of one queue.
///
/// The queue may hold other messages, which the cases leave alone, and may deliver in any order and now and then twice. Dead letters
/// of others are redriven with those of the cases. The visibility timeout must be two seconds at least; in real time, five are
/// enough for a service at some distance, and some twenty cases wait for it.
/// Retention, what becomes of a reason, and errors of the service behind it stay for the backend's own tests.
///
/// # Panics
/// At the first case that fails, with its name and what was expected.
pub async fn queue(queue: &dyn Queue, receiver: &dyn Receiver, time: &dyn Passage) -> Report {
    let post = Post { queue, receiver, time };
    run_cases!(
        "queue",
        &post,
        [
            sending::limits_leave_room,
            sending::there_is_an_answer_for_each_message,
            sending::an_empty_batch_has_no_answers,
            sending::a_batch_of_too_many_messages_is_refused,
            sending::a_batch_of_too_many_bytes_is_refused,
            sending::a_batch_of_the_most_bytes_is_taken,
            sending::work_comes_back_as_it_was_sent,
            sending::text_comes_back_as_it_was_sent,
            sending::the_largest_message_is_taken,
            sending::an_older_message_means_the_same_at_each_delivery,
            sending::a_message_sent_again_is_another,
            sending::a_delayed_message_stays_away_first,
            sending::the_longest_delay_is_taken,
            sending::a_longer_delay_is_refused,
            receiving::a_first_delivery_says_so,
            visibility::a_received_message_stays_away_and_comes_back,
            receiving::no_more_are_received_than_asked_for,
            receiving::an_empty_receive_ends_with_its_wait,
            receiving::a_receive_that_waits_gets_what_arrives,
            receiving::concurrent_receivers_share_no_message,
            receiving::an_acknowledged_message_is_gone,
            receiving::many_are_acknowledged_at_once,
            receiving::acknowledging_twice_succeeds,
            receiving::acknowledging_none_has_no_answers,
            visibility::each_delivery_counts_higher,
            visibility::a_message_comes_back_at_once_when_let_go,
            visibility::a_short_wait_is_not_rounded_down_to_none,
            visibility::a_message_that_is_kept_longer_stays_away_longer,
            visibility::a_message_that_is_kept_shorter_comes_back_sooner,
            visibility::the_timeout_counts_from_the_last_change,
            visibility::a_late_receipt_acknowledges_nothing,
            visibility::a_late_receipt_changes_no_visibility,
            visibility::a_change_brings_nothing_back_that_was_acknowledged,
            dead_letters::a_dead_letter_is_off_the_queue,
            dead_letters::a_redriven_dead_letter_is_delivered_again,
            dead_letters::a_redriven_message_is_acknowledged_like_any,
            dead_letters::any_text_can_lie_with_the_dead_letters,
            dead_letters::no_more_are_redriven_than_asked_for,
            dead_letters::the_oldest_is_redriven_first,
            dead_letters::a_late_receipt_makes_no_dead_letter,
        ]
    )
}

/// How long one call waits for the first message.
const WAIT: Duration = Duration::from_secs(1);
/// How often a case asks for a message that must come.
const POLLS: usize = 90;
/// Most messages of one call; services give no more than this.
const MANY: usize = 10;
/// What an answer to a receipt that is no longer good may be, where it is not a success that changes nothing.
const NO_LONGER_GOOD: &[ErrorKind] = &[ErrorKind::NotFound];

#[derive(Debug)]
struct Post<'b> {
    queue: &'b dyn Queue,
    receiver: &'b dyn Receiver,
    time: &'b dyn Passage,
}

impl Post<'_> {
    fn now(&self) -> Timestamp {
        self.time.now()
    }

    fn timeout(&self) -> Duration {
        self.receiver.visibility_timeout()
    }

    /// A message that asks for an execution of a process with this mark.
    fn message(&self, mark: &str, index: u32) -> Message {
        Message::new(work(mark, later(self.now(), Duration::from_secs(index.into()))))
    }

    /// Sends messages one by one, each of which must be taken.
    async fn send(&self, messages: &[Message]) -> Verdict {
        for message in messages {
            let answers = self.queue.send(std::slice::from_ref(message)).await?;
            ensure!(answers.len() == 1, "one answer for one message, found {}", answers.len());
            for answer in answers {
                answer?;
            }
        }
        Ok(())
    }

    /// Sends so many messages of a mark and receives them.
    async fn in_flight(&self, mark: &str, count: u32) -> Verdict<Vec<Delivery>> {
        let messages: Vec<_> = (0..count).map(|index| self.message(mark, index)).collect();
        self.send(&messages).await?;
        self.collect(mark, messages.len()).await
    }

    /// Sends one message of a mark and receives it.
    async fn one_in_flight(&self, mark: &str) -> Verdict<Delivery> {
        self.send(&[self.message(mark, 0)]).await?;
        self.one(mark).await
    }

    /// One call, with what it gives of a mark: what else lies on the queue is none of the case's business.
    async fn receive(&self, mark: &str, max: usize, wait: Duration) -> Verdict<Vec<Delivery>> {
        let before = self.now();
        let Some(received) = within(self.time, wait, self.receiver.receive(max, wait)).await else {
            return Err(Stop::failed(format!("expected a call that waits up to {wait:?} to end")));
        };
        let mut received = received?;
        ensure!(received.len() <= max, "at most {max} messages, found {}", received.len());
        let nothing_there = received.is_empty();
        received.retain(|delivery| delivery.body.to_json().contains(mark));
        if received.is_empty() {
            // It may answer before its wait is over, with nothing or with what others sent; but whoever asks again and again
            // relies on time to go on.
            let rest = between(self.now(), later(before, wait));
            self.time.pass(if nothing_there { rest } else { rest.min(WAIT / 10) }).await;
        }
        Ok(received)
    }

    /// Receives until so many messages of a mark are there, of each the latest delivery.
    async fn collect(&self, mark: &str, count: usize) -> Verdict<Vec<Delivery>> {
        let mut collected: BTreeMap<MessageId, Delivery> = BTreeMap::new();
        for _ in 0..POLLS {
            for delivery in self.receive(mark, MANY, WAIT).await? {
                collected.insert(delivery.message_id.clone(), delivery);
            }
            if collected.len() >= count {
                return Ok(collected.into_values().collect());
            }
        }
        Err(Stop::failed(format!("expected {count} messages to be received, but {} were", collected.len())))
    }

    /// Receives the one message of a mark.
    async fn one(&self, mark: &str) -> Verdict<Delivery> {
        let mut received = self.collect(mark, 1).await?;
        received.pop().ok_or_else(|| Stop::failed("expected a message to be received"))
    }

    /// Expects no message of a mark to be received until an instant.
    async fn expect_none(&self, mark: &str, until: Timestamp, why: &str) -> Verdict {
        loop {
            let left = between(self.now(), until);
            if left.is_zero() {
                return Ok(());
            }
            let received = self.receive(mark, MANY, left.min(WAIT)).await?;
            if let Some(delivery) = received.first() {
                let (count, early) = (delivery.receive_count, between(self.now(), until));
                return Err(Stop::failed(format!(
                    "expected a message {why} to stay away, but its delivery {count} came {early:?} too early"
                )));
            }
        }
    }

    /// Expects a message that is off the queue for good not to come back, also when its timeout is over.
    async fn expect_gone(&self, mark: &str, why: &str) -> Verdict {
        self.expect_none(mark, later(self.now(), self.timeout() + WAIT), why).await
    }

    async fn acknowledge(&self, deliveries: &[Delivery]) -> Verdict {
        let receipts: Vec<_> = deliveries.iter().map(|delivery| delivery.receipt.clone()).collect();
        for answer in self.answers(&receipts).await? {
            answer?;
        }
        Ok(())
    }

    /// Acknowledges, and gives the answer to each receipt.
    async fn answers(&self, receipts: &[Receipt]) -> Verdict<Vec<Result<()>>> {
        let answers = self.receiver.acknowledge(receipts).await?;
        ensure!(
            answers.len() == receipts.len(),
            "one answer for each of {} receipts, found {}",
            receipts.len(),
            answers.len()
        );
        Ok(answers)
    }
}

/// Expects a call with a late receipt to be refused, or to have done nothing.
fn expect_late(what: &str, result: Result<()>) -> Verdict {
    if result.is_ok() {
        return Ok(());
    }
    super::support::expect_refusal(what, result, NO_LONGER_GOOD).map(|_| ())
}
