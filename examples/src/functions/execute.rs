//! The executor: a batch of the execution queue in, the messages that stay on it out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use kairos::backend::Delivery;
use kairos::clock::{Clock, ClockExt as _, between, earlier};
use kairos::executor::{Handled, Verdict};
use kairos::{Executor, Result};
use lambda_runtime::{Diagnostic, LambdaEvent};
use tracing::Instrument as _;

use super::dispatch::{deadline, told};
use super::event_source::{EventSourceQueue, records};
use super::{Installation, SetupError};
use crate::telemetry::Metrics;

/// How many executions of a batch run at once.
const CONCURRENCY: usize = 32;
/// How much time must be left to begin an execution: what a claim and a call of a target take, with room to spare.
const TO_BEGIN: Duration = Duration::from_secs(15);
/// How much time must be left to answer.
const TO_ANSWER: Duration = Duration::from_secs(1);

/// One message of a batch.
#[derive(Debug)]
pub struct Record {
    /// By what the answer names it. A redriven message is delivered under another id than this.
    pub id: String,
    /// Those of one group are executed in order, one after the other; one that comes back keeps those after it back.
    pub group: Option<String>,
    /// What it says, if the event source gave it in full.
    pub delivery: Result<Delivery>,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Batch {
    /// The ids of the messages that stay on the queue, in the order of the batch.
    pub to_return: Vec<String>,
    /// What was executed, in order of completion.
    pub handled: Vec<Handled>,
    /// How many were not begun.
    pub untouched: usize,
}

/// Executes a batch, each message by itself.
///
/// What cannot be begun in time goes back as it came: without a claim, so that whoever receives it next can start at once. What was begun and has not
/// ended when it is time to answer goes back too; its claim keeps it from running twice at once.
///
/// Half of the time and a quarter of it are the most that beginning and answering ask for: a function whose own limit is short still works.
pub async fn execute(executor: &Executor, clock: &dyn Clock, records: Vec<Record>, deadline: Timestamp) -> Batch {
    let left = between(clock.now(), deadline);
    let last_begin = earlier(deadline, TO_BEGIN.min(left / 2));
    let ids: Vec<_> = records.iter().map(|record| record.id.clone()).collect();
    let mut batch = Batch::default();
    let mut finished = BTreeSet::new();
    let lanes: Vec<_> = lanes(records).into_iter().map(|lane| run(executor, clock, lane, last_begin)).collect();
    let mut running = stream::iter(lanes).buffer_unordered(CONCURRENCY);
    let all = async {
        while let Some(lane) = running.next().await {
            for settled in lane {
                match settled {
                    Settled::Handled(id, handled) => {
                        if !handled.verdict.comes_back() {
                            finished.insert(id);
                        }
                        batch.handled.push(*handled);
                    }
                    Settled::Untouched => batch.untouched += 1,
                }
            }
        }
    };
    if clock.within(left.saturating_sub(TO_ANSWER.min(left / 4)), all).await.is_none() {
        tracing::error!("the time ran out; what was under way goes back");
    }
    batch.to_return = ids.into_iter().filter(|id| !finished.contains(id)).collect();
    batch
}

#[derive(Debug)]
enum Settled {
    Handled(String, Box<Handled>),
    Untouched,
}

/// The records that may run side by side.
fn lanes(records: Vec<Record>) -> Vec<Vec<Record>> {
    let mut lanes: Vec<Vec<Record>> = Vec::new();
    let mut of_group = BTreeMap::new();
    for record in records {
        let lane = match &record.group {
            Some(group) => *of_group.entry(group.clone()).or_insert(lanes.len()),
            None => lanes.len(),
        };
        match lanes.get_mut(lane) {
            Some(lane) => lane.push(record),
            None => lanes.push(vec![record]),
        }
    }
    lanes
}

async fn run(executor: &Executor, clock: &dyn Clock, lane: Vec<Record>, last_begin: Timestamp) -> Vec<Settled> {
    let mut settled = Vec::with_capacity(lane.len());
    let mut is_held_back = false;
    for Record { id, delivery, .. } in lane {
        let delivery = match delivery {
            Ok(delivery) if !is_held_back && clock.now() < last_begin => delivery,
            Ok(_) => {
                settled.push(Settled::Untouched);
                continue;
            }
            Err(error) => {
                tracing::error!(message = id, error = format!("{error:#}"), "a message came in part; it comes back");
                is_held_back = true;
                settled.push(Settled::Untouched);
                continue;
            }
        };
        let handled = handle(executor, delivery).await;
        is_held_back |= handled.verdict.comes_back();
        settled.push(Settled::Handled(id, Box::new(handled)));
    }
    settled
}

/// Executes one delivery; every line that is logged meanwhile names execution and process, if it names any.
async fn handle(executor: &Executor, delivery: Delivery) -> Handled {
    let work = delivery.body.work(delivery.message_id.as_str(), delivery.sent_at).ok();
    let span = match &work {
        Some(work) => tracing::info_span!("execution", execution = %work.execution_id, process = %work.process.id),
        None => tracing::info_span!("execution", message = %delivery.message_id),
    };
    async {
        let handled = executor.handle(&delivery).await;
        log(&handled);
        handled
    }
    .instrument(span)
    .await
}

/// One line for each delivery.
pub fn log(handled: &Handled) {
    let (execution, process) = match &handled.work {
        Some(work) => (Some(work.execution_id.to_string()), Some(work.process.id.as_str())),
        None => (None, None),
    };
    let lateness = handled.lateness().map(|lateness| lateness.as_secs_f64());
    let (message, failure) = (handled.message_id.as_str(), failure(&handled.verdict));
    tracing::info!(execution, process, message, lateness, failure, verdict = name(&handled.verdict), "handled");
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Succeeded => "succeeded",
        Verdict::Duplicate => "duplicate",
        Verdict::Skipped => "skipped",
        Verdict::Retrying { .. } => "retrying",
        Verdict::Dead(_) => "dead",
        Verdict::Waiting { .. } => "waiting",
        Verdict::Undecided(_) => "undecided",
        _ => "other",
    }
}

fn failure(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Retrying { failure, .. } | Verdict::Dead(failure) | Verdict::Undecided(failure) => Some(&failure.text),
        _ => None,
    }
}

/// What deliveries come to in metrics. One that failed and comes back is failed, not dead-lettered; each counter appears, also if it is zero.
pub fn count<'h>(metrics: &mut Metrics, handled: impl IntoIterator<Item = &'h Handled>) {
    for name in ["Executed", "Failed", "DeadLettered", "DuplicatesSuppressed"] {
        metrics.count(name, 0);
    }
    for handled in handled {
        match handled.verdict {
            Verdict::Succeeded => metrics.count("Executed", 1),
            Verdict::Retrying { .. } => metrics.count("Failed", 1),
            Verdict::Dead(_) => metrics.count("DeadLettered", 1),
            Verdict::Duplicate => metrics.count("DuplicatesSuppressed", 1),
            _ => {}
        }
        if let Some(lateness) = handled.unwanted_lateness() {
            metrics.duration("Lateness", lateness);
        }
    }
}

/// The function `executor`.
#[derive(Debug)]
pub struct ExecutorFunction {
    installation: Installation,
    executor: Executor,
}

impl ExecutorFunction {
    /// Over the tables, the queue and the targets of an installation.
    ///
    /// # Errors
    /// If a name that it needs is not configured.
    pub fn new(installation: Installation) -> Result<Arc<Self>, SetupError> {
        let queue = EventSourceQueue::new(Arc::new(installation.config.queue(&installation.sdk)?));
        let executor = installation.config.executor_receiving(&installation.sdk, Arc::new(queue))?;
        Ok(Arc::new(Self { installation, executor }))
    }

    /// One invocation.
    ///
    /// # Errors
    /// If the event is none of a queue. All of it comes back.
    pub async fn handle(self: Arc<Self>, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Diagnostic> {
        let (event, context) = event.into_parts();
        let clock = &*self.installation.clock;
        let began = clock.now();
        let records = records(event).inspect_err(|error| tracing::error!(error = format!("{error:#}"), "not executed"));
        let records = records.map_err(|error| told(&error))?;
        let batch = execute(&self.executor, clock, records, deadline(&context, began)).await;
        let mut metrics = self.installation.metrics();
        count(&mut metrics, &batch.handled);
        metrics.duration("BatchDuration", between(began, clock.now()));
        metrics.property("requestId", context.request_id.as_str());
        metrics.property("returned", batch.to_return.len());
        metrics.property("untouched", batch.untouched);
        metrics.emit(began);
        let mut answer = SqsBatchResponse::default();
        batch.to_return.into_iter().for_each(|id| answer.add_failure(id));
        Ok(answer)
    }
}
