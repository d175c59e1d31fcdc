//! Topics: published to.

use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use kairos::backend::Invocation;
use kairos::{Arn, TargetKind};

use super::as_session;
use super::failure::Failure;
use super::message::{Fifo, attributes, body, check_size};
use super::sessions::Session;
use crate::error;

pub(super) async fn invoke(
    client: &Client,
    session: &Session,
    target: &Arn,
    invocation: &Invocation,
) -> Result<(), Failure> {
    let attributes = attributes(invocation);
    let body = body(TargetKind::Sns, invocation.payload.as_deref())?;
    check_size(TargetKind::Sns, Some(body), &attributes)?;
    let mut request = client.publish().topic_arn(target.as_str()).message(body);
    for attribute in attributes {
        let value =
            MessageAttributeValue::builder().data_type(attribute.data_type).string_value(attribute.value).build();
        request = request.message_attributes(attribute.name, value.map_err(error::no_request)?);
    }
    if let Some(fifo) = Fifo::of(target, invocation) {
        request = request.message_group_id(fifo.group).message_deduplication_id(fifo.deduplication);
    }
    request
        .customize()
        .config_override(as_session!(aws_sdk_sns, session, target))
        .send()
        .await
        .map(|_| ())
        .map_err(|error| Failure::of(error, error::of_publish))
}

/// Whether the topic is there.
pub(super) async fn check(client: &Client, session: &Session, target: &Arn) -> Result<(), Failure> {
    client
        .get_topic_attributes()
        .topic_arn(target.as_str())
        .customize()
        .config_override(as_session!(aws_sdk_sns, session, target))
        .send()
        .await
        .map(|_| ())
        .map_err(|error| Failure::of(error, error::of_get_topic_attributes))
}
