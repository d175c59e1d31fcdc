//! Queues with one flaw each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kairos::backend::{DeadLetterReason, Delivery, Message, Queue, QueueLimits, Receipt, Receiver};
use kairos::clock::{ClockExt as _, ManualClock};
use kairos::{Body, Error, ErrorKind, MessageId, Result, conformance, limits};
use kairos_memory::MemoryQueue;

use super::assert_found;
use crate::harness::clock;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    LosesTheLast,
    AnswersOnce,
    FailsWithoutMessages,
    TakesAnyBatch,
    TakesAnyBytes,
    TakesOneByteLess,
    MendsText,
    RefusesLargeMessages,
    NamesEachDelivery,
    DropsDuplicates,
    ForgetsDelays,
    CutsDelays,
    TakesAnyDelay,
    MixesUpAnswers,
    CountsFromZero,
    GivesMoreThanAskedFor,
    WaitsForEver,
    DoesNotWait,
    ForgetsVisibility,
    ForgetsToAcknowledge,
    RefusesTheSecondAcknowledgement,
    NeverDeliversAgain,
    CountsNothing,
    IgnoresLongerVisibility,
    IgnoresShorterVisibility,
    RoundsVisibilityDown,
    LetsLateReceiptsAcknowledge,
    LetsLateReceiptsLetGo,
    RefusesLateReceiptsStrangely,
    KeepsDeadLettersOnTheQueue,
    LosesDeadLetters,
    HidesThatItIsRedriven,
    RedrivesAll,
    LetsLateReceiptsBury,
}

const FOUND_BY: [(Flaw, &str); 34] = [
    (Flaw::LosesTheLast, "there_is_an_answer_for_each_message"),
    (Flaw::AnswersOnce, "there_is_an_answer_for_each_message"),
    (Flaw::FailsWithoutMessages, "an_empty_batch_has_no_answers"),
    (Flaw::TakesAnyBatch, "a_batch_of_too_many_messages_is_refused"),
    (Flaw::TakesAnyBytes, "a_batch_of_too_many_bytes_is_refused"),
    (Flaw::TakesOneByteLess, "a_batch_of_the_most_bytes_is_taken"),
    (Flaw::MendsText, "text_comes_back_as_it_was_sent"),
    (Flaw::RefusesLargeMessages, "a_batch_of_the_most_bytes_is_taken"),
    (Flaw::NamesEachDelivery, "an_older_message_means_the_same_at_each_delivery"),
    (Flaw::DropsDuplicates, "a_message_sent_again_is_another"),
    (Flaw::ForgetsDelays, "a_delayed_message_stays_away_first"),
    (Flaw::CutsDelays, "the_longest_delay_is_taken"),
    (Flaw::TakesAnyDelay, "a_longer_delay_is_refused"),
    (Flaw::MixesUpAnswers, "a_longer_delay_is_refused"),
    (Flaw::CountsFromZero, "a_delayed_message_stays_away_first"),
    (Flaw::GivesMoreThanAskedFor, "no_more_are_received_than_asked_for"),
    (Flaw::WaitsForEver, "a_batch_of_too_many_messages_is_refused"),
    (Flaw::DoesNotWait, "a_receive_that_waits_gets_what_arrives"),
    (Flaw::ForgetsVisibility, "a_received_message_stays_away_and_comes_back"),
    (Flaw::ForgetsToAcknowledge, "an_acknowledged_message_is_gone"),
    (Flaw::RefusesTheSecondAcknowledgement, "acknowledging_twice_succeeds"),
    (Flaw::NeverDeliversAgain, "an_older_message_means_the_same_at_each_delivery"),
    (Flaw::CountsNothing, "a_received_message_stays_away_and_comes_back"),
    (Flaw::IgnoresLongerVisibility, "a_message_that_is_kept_longer_stays_away_longer"),
    (Flaw::IgnoresShorterVisibility, "a_message_that_is_kept_shorter_comes_back_sooner"),
    (Flaw::RoundsVisibilityDown, "a_short_wait_is_not_rounded_down_to_none"),
    (Flaw::LetsLateReceiptsAcknowledge, "a_late_receipt_acknowledges_nothing"),
    (Flaw::LetsLateReceiptsLetGo, "a_late_receipt_changes_no_visibility"),
    (Flaw::RefusesLateReceiptsStrangely, "a_late_receipt_acknowledges_nothing"),
    (Flaw::KeepsDeadLettersOnTheQueue, "a_dead_letter_is_off_the_queue"),
    (Flaw::LosesDeadLetters, "a_dead_letter_is_off_the_queue"),
    (Flaw::HidesThatItIsRedriven, "a_redriven_dead_letter_is_delivered_again"),
    (Flaw::RedrivesAll, "no_more_are_redriven_than_asked_for"),
    (Flaw::LetsLateReceiptsBury, "a_late_receipt_makes_no_dead_letter"),
];

#[tokio::test]
async fn every_flaw_of_a_queue_is_found() {
    for (flaw, case) in FOUND_BY {
        let clock = clock();
        let limits = QueueLimits::new(10).with_batch_bytes(limits::MESSAGE);
        let queue = MemoryQueue::new(Arc::new(clock.clone())).with_limits(match flaw {
            // What the flawed one says is not what it does.
            Flaw::TakesAnyBatch => QueueLimits::new(1_000),
            Flaw::TakesAnyBytes => QueueLimits::new(10),
            Flaw::TakesOneByteLess => limits.with_batch_bytes(limits::MESSAGE - 1),
            _ => limits,
        });
        let mutant = Mutant { queue, limits, flaw, clock: clock.clone(), memory: Mutex::default() };
        assert_found(&flaw, case, conformance::queue(&mutant, &mutant, &clock)).await;
    }
}

#[derive(Debug)]
struct Mutant {
    queue: MemoryQueue,
    limits: QueueLimits,
    flaw: Flaw,
    clock: ManualClock,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    sent: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
    /// Which message each receipt is of, and the latest delivery of each message.
    messages: BTreeMap<String, MessageId>,
    latest: BTreeMap<MessageId, Delivery>,
    deliveries: usize,
}

impl Mutant {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// The latest delivery of the message that a receipt is of.
    fn latest(&self, receipt: &Receipt) -> Option<Delivery> {
        let memory = self.memory.lock().unwrap();
        memory.latest.get(memory.messages.get(receipt.as_str())?).cloned()
    }
}

#[async_trait]
impl Queue for Mutant {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        let mut batch = batch.to_vec();
        match self.flaw {
            Flaw::FailsWithoutMessages if batch.is_empty() => {
                return Err(Error::new(ErrorKind::Invalid, "nothing to send"));
            }
            Flaw::RefusesLargeMessages if batch.iter().any(|message| message.body.to_json().len() > 900_000) => {
                return Err(Error::new(ErrorKind::Invalid, "too large"));
            }
            Flaw::LosesTheLast if batch.len() > 1 => {
                batch.pop();
                let mut answers = self.queue.send(&batch).await?;
                answers.push(Ok(()));
                return Ok(answers);
            }
            Flaw::MendsText => {
                for message in &mut batch {
                    message.body = Body::from_json(message.body.to_json().trim());
                }
            }
            Flaw::DropsDuplicates => {
                let mut memory = self.memory.lock().unwrap();
                if !batch.iter().any(|message| memory.sent.insert(message.body.to_json().into_owned())) {
                    return Ok(batch.iter().map(|_| Ok(())).collect());
                }
            }
            Flaw::ForgetsDelays => batch.iter_mut().for_each(|message| message.delay = Duration::ZERO),
            Flaw::CutsDelays | Flaw::TakesAnyDelay => {
                let most = if self.has(Flaw::CutsDelays) { Duration::from_secs(10) } else { self.limits.delay };
                for message in batch
                    .iter_mut()
                    .filter(|message| self.has(Flaw::TakesAnyDelay) || message.delay <= self.limits.delay)
                {
                    message.delay = message.delay.min(most);
                }
            }
            _ => {}
        }
        let mut answers = self.queue.send(&batch).await?;
        match self.flaw {
            Flaw::AnswersOnce => answers.truncate(1),
            Flaw::MixesUpAnswers => answers.reverse(),
            _ => {}
        }
        Ok(answers)
    }

    fn limits(&self) -> QueueLimits {
        self.limits
    }
}

#[async_trait]
impl Receiver for Mutant {
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let (asked, waited) = match self.flaw {
            Flaw::GivesMoreThanAskedFor => (max.max(2), wait),
            Flaw::DoesNotWait => (max, Duration::ZERO),
            _ => (max, wait),
        };
        let mut received = self.queue.receive(asked, waited).await?;
        if self.has(Flaw::WaitsForEver) && received.is_empty() {
            self.clock.sleep(Duration::from_secs(3_600)).await;
        }
        for delivery in &mut received {
            let receipt = delivery.receipt.clone();
            match self.flaw {
                Flaw::ForgetsVisibility => self.queue.change_visibility(&receipt, Duration::ZERO).await?,
                Flaw::NeverDeliversAgain => self.queue.acknowledge(&[receipt]).await?.remove(0)?,
                Flaw::CountsFromZero => delivery.receive_count -= 1,
                Flaw::CountsNothing => delivery.receive_count = 1,
                Flaw::HidesThatItIsRedriven => delivery.redriven = false,
                Flaw::NamesEachDelivery => delivery.message_id = delivery.receipt.as_str().into(),
                _ => {}
            }
            let mut memory = self.memory.lock().unwrap();
            memory.deliveries += 1;
            memory.messages.insert(delivery.receipt.as_str().into(), delivery.message_id.clone());
            memory.latest.insert(delivery.message_id.clone(), delivery.clone());
        }
        Ok(received)
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        let mut receipts = receipts.to_vec();
        match self.flaw {
            Flaw::ForgetsToAcknowledge => return Ok(receipts.iter().map(|_| Ok(())).collect()),
            Flaw::LetsLateReceiptsAcknowledge => {
                for receipt in &mut receipts {
                    *receipt = self.latest(receipt).map_or(receipt.clone(), |delivery| delivery.receipt);
                }
            }
            _ => {}
        }
        let mut answers = self.queue.acknowledge(&receipts).await?;
        for (receipt, answer) in receipts.iter().zip(&mut answers) {
            let is_new = self.memory.lock().unwrap().acknowledged.insert(receipt.as_str().into());
            if self.has(Flaw::RefusesTheSecondAcknowledgement) && !is_new {
                *answer = Err(Error::new(ErrorKind::NotFound, "it is gone"));
            }
            if self.has(Flaw::RefusesLateReceiptsStrangely) && answer.is_err() {
                *answer = Err(Error::new(ErrorKind::Unavailable, "no idea"));
            }
        }
        Ok(answers)
    }

    async fn change_visibility(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        match self.flaw {
            Flaw::NeverDeliversAgain => Ok(()),
            Flaw::IgnoresLongerVisibility if delay > self.visibility_timeout() => Ok(()),
            Flaw::IgnoresShorterVisibility if !delay.is_zero() && delay < self.visibility_timeout() => Ok(()),
            Flaw::RoundsVisibilityDown => {
                self.queue.change_visibility(receipt, Duration::from_secs(delay.as_secs())).await
            }
            Flaw::LetsLateReceiptsLetGo => {
                let receipt = self.latest(receipt).map_or(receipt.clone(), |delivery| delivery.receipt);
                self.queue.change_visibility(&receipt, delay).await
            }
            _ => self.queue.change_visibility(receipt, delay).await,
        }
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &DeadLetterReason) -> Result<()> {
        match self.flaw {
            Flaw::KeepsDeadLettersOnTheQueue => Ok(()),
            Flaw::LosesDeadLetters => self.queue.acknowledge(std::slice::from_ref(&delivery.receipt)).await?.remove(0),
            Flaw::LetsLateReceiptsBury => {
                let latest = self.latest(&delivery.receipt).unwrap_or_else(|| delivery.clone());
                self.queue.dead_letter(&latest, reason).await
            }
            _ => self.queue.dead_letter(delivery, reason).await,
        }
    }

    async fn redrive(&self, max: usize) -> Result<usize> {
        let max = if self.has(Flaw::RedrivesAll) { usize::MAX } else { max };
        self.queue.redrive(max).await
    }

    fn visibility_timeout(&self) -> Duration {
        self.queue.visibility_timeout()
    }
}
