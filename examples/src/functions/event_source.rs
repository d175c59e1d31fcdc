//! What a Lambda event source receives from the execution queue, and what is left to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};
use kairos::backend::{DeadLetterReason, Delivery, Receipt, Receiver};
use kairos::{Error, ErrorKind, Result};
use kairos_aws::SqsQueue;

use super::execute::Record;

/// The execution queue as a function sees it whose event source receives and deletes.
///
/// | | who does it |
/// | --- | --- |
/// | receive | the event source |
/// | take off the queue what is done with | the event source: every message that the answer does not name |
/// | come back after a failure | the executor sets the message's visibility to its backoff; named in the answer, so that the event source does not delete it. It changes no visibility itself |
/// | keep invisible while a target is at work | the executor |
/// | dead letters | the executor sends, with the reason, and deletes. That the event source deletes once more is harmless |
///
/// The queue's own redrive policy counts receipts, so also those of messages that were not begun or that met a live claim: it must allow for
/// more of them than processes may have tries, and catches only what the executor cannot get rid of.
#[derive(Clone, Debug)]
pub struct EventSourceQueue(Arc<dyn Receiver>);

impl EventSourceQueue {
    /// Over the queue itself.
    #[must_use]
    pub fn new(queue: Arc<dyn Receiver>) -> Self {
        Self(queue)
    }
}

#[async_trait]
impl Receiver for EventSourceQueue {
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        self.0.receive(max, wait).await
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<Result<()>>> {
        Ok(receipts.iter().map(|_| Ok(())).collect())
    }

    async fn change_visibility(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        self.0.change_visibility(receipt, delay).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: &DeadLetterReason) -> Result<()> {
        self.0.dead_letter(delivery, reason).await
    }

    async fn redrive(&self, max: usize) -> Result<usize> {
        self.0.redrive(max).await
    }

    fn visibility_timeout(&self) -> Duration {
        self.0.visibility_timeout()
    }
}

/// The messages of an event.
///
/// # Errors
/// [`Malformed`](ErrorKind::Malformed) if one has no id: the answer could not name it, and it would be deleted.
pub fn records(event: SqsEvent) -> Result<Vec<Record>> {
    event.records.into_iter().map(record).collect()
}

fn record(message: SqsMessage) -> Result<Record> {
    let Some(id) = message.message_id.clone() else {
        return Err(Error::new(ErrorKind::Malformed, "a message of the event has no messageId"));
    };
    let is_fifo = message.event_source_arn.as_deref().is_some_and(|arn| arn.ends_with(".fifo"));
    let group = message.attributes.get("MessageGroupId").filter(|_| is_fifo).cloned();
    let delivery = received(message).and_then(|message| SqsQueue::delivery(&message));
    Ok(Record { id, group, delivery })
}

/// The message as the queue's own interface gives it.
fn received(message: SqsMessage) -> Result<Message> {
    let system = message.attributes.into_iter();
    let system = system.map(|(name, value)| (MessageSystemAttributeName::from(name.as_str()), value));
    let attributes = message.message_attributes.into_iter().map(|(name, attribute)| {
        let value = MessageAttributeValue::builder()
            .set_data_type(attribute.data_type)
            .set_string_value(attribute.string_value)
            .set_binary_value(attribute.binary_value.map(|binary| Blob::new(binary.0)));
        let value = value.build().map_err(|error| {
            Error::new(ErrorKind::Malformed, format!("attribute '{name}' has no dataType")).with_source(error)
        });
        value.map(|value| (name, value))
    });
    Ok(Message::builder()
        .set_message_id(message.message_id)
        .set_receipt_handle(message.receipt_handle)
        .set_body(message.body)
        .set_attributes(Some(system.collect()))
        .set_message_attributes(Some(attributes.collect::<Result<HashMap<_, _>>>()?))
        .build())
}
