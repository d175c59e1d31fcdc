//! The dispatcher: one trigger's input in, one message per process out, as far as the time goes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kairos::clock::{between, later};
use kairos::dispatcher::{DispatchRequest, Dispatched};
use kairos::{Arn, Dispatcher, Error, ErrorKind, Result, TriggerInput};
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use serde_json::{Value, json};

use super::setup::{Installation, SetupError, variable};
use crate::telemetry::Metrics;

/// When whoever dispatches an occurrence hands the rest of it on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relay {
    /// When the time runs out: one dispatcher sends page after page.
    #[default]
    OutOfTime,
    /// Before its own page is sent: as many dispatchers send as there are pages.
    PageByPage,
}

impl Relay {
    /// What `KAIROS_DISPATCH_RELAY` says: `on` or `off`, which holds if it says nothing.
    ///
    /// # Errors
    /// If it says something else.
    pub fn from_environment() -> Result<Self, SetupError> {
        Self::named(variable("KAIROS_DISPATCH_RELAY").as_deref())
    }

    fn named(name: Option<&str>) -> Result<Self, SetupError> {
        match name {
            Some("on") => Ok(Self::PageByPage),
            Some("off") | None => Ok(Self::OutOfTime),
            Some(other) => Err(format!("KAIROS_DISPATCH_RELAY is '{other}': it must be on or off").into()),
        }
    }
}

/// Dispatches what a trigger asks for until shortly before the deadline, and hands the rest on: then, or at once.
///
/// Input without an occurrence means the one at `got_at`; what is handed on names it, so that all of it stays one occurrence.
///
/// # Errors
/// Whatever kept any process from being queued, or the rest from being handed on where the time ran out. The same input again is harmless.
pub async fn dispatch<H, F>(
    dispatcher: &Dispatcher,
    input: TriggerInput,
    got_at: Timestamp,
    deadline: Timestamp,
    relay: Relay,
    hand_on: H,
) -> Result<Dispatched>
where
    H: Fn(TriggerInput) -> F + Send + Sync,
    F: Future<Output = Result<()>> + Send,
{
    let request = DispatchRequest::of_trigger(input, got_at).with_deadline(deadline);
    let dispatched = match relay {
        Relay::OutOfTime => dispatcher.dispatch(&request).await?,
        // Boxed: what hands on calls a service, and that within a dispatch is a type deeper than the compiler looks.
        Relay::PageByPage => Box::pin(dispatcher.dispatch_relayed(&request, &hand_on)).await?,
    };
    if let Some(cursor) = &dispatched.next {
        hand_on(request.continuation(cursor.clone())).await.map_err(|error| error.during("hand on"))?;
    }
    Ok(dispatched)
}

/// Whether somebody else has the rest of the occurrence.
#[must_use]
pub fn goes_on(dispatched: &Dispatched) -> bool {
    dispatched.handed_over || dispatched.next.is_some()
}

/// What a dispatch comes to in metrics.
pub fn count(metrics: &mut Metrics, result: &Result<Dispatched>) {
    metrics.count("Dispatched", result.as_ref().map_or(0, |dispatched| dispatched.queued as u64));
}

/// By how much an occurrence is dispatched later than it should be, where its trigger says and a first part of it is meant.
pub fn late(metrics: &mut Metrics, input: &TriggerInput, got_at: Timestamp) {
    if let (Some(scheduled_time), None) = (input.scheduled_time, &input.cursor) {
        metrics.duration("DispatchLateness", between(scheduled_time, got_at));
    }
}

/// The function `dispatcher`.
#[derive(Clone, Debug)]
pub struct DispatcherFunction {
    installation: Installation,
    dispatcher: Dispatcher,
    relay: Relay,
    functions: aws_sdk_lambda::Client,
}

impl DispatcherFunction {
    /// Over the tables and the queue of an installation.
    ///
    /// # Errors
    /// If a name that it needs is not configured, or a setting is none.
    pub fn new(installation: Installation) -> Result<Arc<Self>, SetupError> {
        let dispatcher = installation.config.dispatcher(&installation.sdk)?;
        let relay = Relay::from_environment()?;
        let functions = aws_sdk_lambda::Client::new(&installation.sdk);
        Ok(Arc::new(Self { installation, dispatcher, relay, functions }))
    }

    /// One invocation. Where the time runs out, or before its first page if it [relays](Relay::PageByPage), the function goes on by invoking
    /// itself asynchronously, by the ARN that it was invoked by.
    ///
    /// # Errors
    /// If the input cannot be read, or not every process was queued and nobody goes on: the trigger's own retries do.
    pub async fn handle(self: Arc<Self>, event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
        let (payload, context) = event.into_parts();
        let clock = &self.installation.clock;
        let began = clock.now();
        let mut metrics = self.installation.metrics();
        let input = TriggerInput::from_json(&payload.to_string());
        let result = match input.inspect(|input| late(&mut metrics, input, began)) {
            Ok(input) => self.answer(input, &context, began).await,
            Err(error) => Err(error),
        };
        count(&mut metrics, &result);
        metrics.duration("BatchDuration", between(began, clock.now()));
        metrics.property("requestId", context.request_id.as_str());
        metrics.emit(began);
        match result {
            Ok(dispatched) => {
                let Dispatched { queued, pages, .. } = dispatched;
                tracing::info!(schedule = payload["IdCalendarizacion"].as_str(), queued, pages, "dispatched");
                Ok(json!({"Despachados": queued, "Continua": goes_on(&dispatched)}))
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "not dispatched");
                Err(told(&error))
            }
        }
    }

    async fn answer(&self, input: TriggerInput, context: &Context, got_at: Timestamp) -> Result<Dispatched> {
        let hand_on = |rest| self.invoke_itself(&context.invoked_function_arn, rest);
        dispatch(&self.dispatcher, input, got_at, deadline(context, got_at), self.relay, hand_on).await
    }

    async fn invoke_itself(&self, arn: &str, rest: TriggerInput) -> Result<()> {
        use aws_sdk_lambda::primitives::Blob;
        use aws_sdk_lambda::types::InvocationType;

        let arn = Arn::parse(arn).map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
        let payload = serde_json::to_vec(&rest).map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
        let request = self.functions.invoke().function_name(arn.as_str()).invocation_type(InvocationType::Event);
        // Whatever it is, the trigger tries again.
        request.payload(Blob::new(payload)).send().await.map(drop).map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("{arn} could not be invoked")).with_source(error)
        })
    }
}

/// Until when an invocation that began at `began` must have answered.
pub(super) fn deadline(context: &Context, began: Timestamp) -> Timestamp {
    /// cargo-lambda gives ten minutes here, where Lambda gives an instant: nothing that runs now ends on the first day of 1970.
    const FIRST_DAY: u64 = 24 * 60 * 60 * 1000;
    if context.deadline < FIRST_DAY {
        return later(began, Duration::from_millis(context.deadline));
    }
    i64::try_from(context.deadline).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()).unwrap_or_default()
}

/// An error as whoever invoked the function reads it, or finds it beside the event where events go that nobody took.
pub(super) fn told(error: &Error) -> Diagnostic {
    Diagnostic { error_type: error.kind().as_str().into(), error_message: format!("{error:#}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relaying_is_on_or_off() {
        for (name, expected) in
            [(None, Relay::OutOfTime), (Some("off"), Relay::OutOfTime), (Some("on"), Relay::PageByPage)]
        {
            assert_eq!(Relay::named(name).unwrap(), expected);
        }
        let error = Relay::named(Some("si")).unwrap_err().to_string();
        assert_eq!(error, "KAIROS_DISPATCH_RELAY is 'si': it must be on or off");
    }

    #[test]
    fn a_deadline_is_an_instant_or_what_cargo_lambda_makes_of_it() {
        let began: Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
        for (given, expected) in [
            (1_767_603_630_000, "2026-01-05T09:00:30Z"),
            (600_000, "2026-01-05T09:10:00Z"),
            (u64::MAX, "1970-01-01T00:00:00Z"),
        ] {
            let mut context = Context::default();
            context.deadline = given;
            assert_eq!(deadline(&context, began).to_string(), expected);
        }
    }
}
