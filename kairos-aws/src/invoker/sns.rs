//! Topics: published to.

use aws_sdk_sns::Client;

use super::failure::Failure;
use super::message::addressed;
use super::{Call, send_as};
use crate::error;

pub(super) async fn invoke(client: &Client, call: &Call<'_>) -> Result<(), Failure> {
    let request = client
        .publish()
        .topic_arn(call.target.as_str())
        .set_message(call.invocation.payload.as_deref().map(str::to_owned));
    let request = addressed!(aws_sdk_sns, call, request);
    let answer = send_as!(aws_sdk_sns, call, request);
    answer.map(|_| ()).map_err(|error| Failure::of(error, error::of_publish))
}

/// Whether the topic is there.
pub(super) async fn check(client: &Client, call: &Call<'_>) -> Result<(), Failure> {
    let request = client.get_topic_attributes().topic_arn(call.target.as_str());
    let answer = send_as!(aws_sdk_sns, call, request);
    answer.map(|_| ()).map_err(|error| Failure::of(error, error::of_get_topic_attributes))
}
