//! What topics and queues have in common.

use super::Call;

/// Gives a message what it says beside its body. The builders of topics and queues are alike by their names only.
macro_rules! addressed {
    ($service:ident, $call:expr, $request:expr) => {{
        let mut request = $request;
        for attribute in $call.invocation.attributes() {
            let value = $service::types::MessageAttributeValue::builder()
                .data_type(if attribute.is_number { "Number" } else { "String" })
                .string_value(attribute.value)
                .build();
            request = request.message_attributes(attribute.name, value.map_err($crate::error::no_request)?);
        }
        if let Some(fifo) = $crate::invoker::message::Fifo::of($call) {
            request = request.message_group_id(fifo.group).message_deduplication_id(fifo.deduplication);
        }
        request
    }};
}
pub(super) use addressed;

/// What a first-in-first-out target orders and recognises messages by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fifo {
    pub(super) group: String,
    pub(super) deduplication: String,
}

impl Fifo {
    /// Executions of a process arrive in their order, and each once; `None` if the target is no such target.
    pub(super) fn of(call: &Call<'_>) -> Option<Self> {
        call.target.resource().ends_with(".fifo").then(|| Self {
            group: super::names::bounded(call.invocation.process.id.as_str(), 128).into_owned(),
            deduplication: call.invocation.execution_id.to_string(),
        })
    }
}
