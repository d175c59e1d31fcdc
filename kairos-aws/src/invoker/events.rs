//! Event buses: an event is put, whose detail is the payload.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use kairos::Error;

use super::failure::Failure;
use super::{Call, send_as};
use crate::error;

pub(super) async fn invoke(client: &Client, call: &Call<'_>) -> Result<(), Failure> {
    let request = client.put_events().entries(entry(call)?);
    let answer = send_as!(aws_sdk_eventbridge, call, request);
    let answer = answer.map_err(|error| Failure::of(error, error::of_put_events))?;
    if answer.failed_entry_count() == 0 {
        return Ok(());
    }
    let entry = answer.entries().first();
    let (code, message) = entry.map_or((None, None), |entry| (entry.error_code(), entry.error_message()));
    Err(Failure::told(error::event_refused(code, message)))
}

fn entry(call: &Call<'_>) -> Result<PutEventsRequestEntry, Error> {
    let (source, resources) = call.invocation.event_source();
    let time = DateTime::from_nanos(call.invocation.scheduled_time.as_nanosecond()).map_err(error::no_request)?;
    let entry = PutEventsRequestEntry::builder()
        .event_bus_name(call.target.as_str())
        .source(source)
        .detail_type(&call.invocation.process.name)
        .detail(call.invocation.payload.as_deref().unwrap_or("{}"))
        .set_resources(Some(resources.into()))
        .time(time);
    Ok(entry.build())
}

/// Whether the event bus is there. A call would not tell: what is put to one that does not exist goes nowhere.
pub(super) async fn check(client: &Client, call: &Call<'_>) -> Result<(), Failure> {
    let request = client.describe_event_bus().name(call.target.as_str());
    let answer = send_as!(aws_sdk_eventbridge, call, request);
    answer.map(|_| ()).map_err(|error| Failure::of(error, error::of_describe_event_bus))
}
