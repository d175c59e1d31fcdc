//! The suite of [`Invoker`]: which targets it calls, what its answers mean, and that it can be dropped.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join_all, poll_fn};
use jiff::Timestamp;

use super::Report;
use super::samples::{instant, process};
use super::support::{Stop, Verdict, ensure, expect_refusal, expect_same, mark, run_cases};
use crate::backend::{Invocation, Invoker};
use crate::error::ErrorKind;
use crate::model::ExecutionId;
use crate::target::{Target, TargetKind};

/// An [`Invoker`] with what a test needs around it: targets to call, and eyes on them.
#[async_trait]
pub trait InvokerHarness: Send + Sync {
    /// The backend.
    fn backend(&self) -> &dyn Invoker;

    /// Invocations that must succeed, at least one, best one for each kind of target. The cases give them execution ids of their own.
    fn samples(&self) -> Vec<Sample>;

    /// An invocation whose target does not exist; `None` if there can be no such thing.
    fn missing(&self) -> Option<Invocation>;

    /// The calls that targets have taken so far, duplicates and all; `None` if nobody sees that.
    async fn taken(&self) -> Option<Vec<Taken>>;

    /// Cases by name that this backend is known to fail, and why: for a stand-in that lacks something the real target has.
    /// They are reported as not applicable.
    fn gaps(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
}

/// An invocation that must succeed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sample {
    /// The invocation.
    pub invocation: Invocation,
    /// Whether its target has an idempotency key of its own, so that it takes an execution once.
    pub is_idempotent: bool,
}

impl Sample {
    /// An invocation of a target that takes every call.
    #[must_use]
    pub const fn new(invocation: Invocation) -> Self {
        Self { invocation, is_idempotent: false }
    }

    /// The same, of a target that takes an execution once.
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.is_idempotent = true;
        self
    }
}

/// A call that a target has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Under which execution.
    pub execution_id: ExecutionId,
    /// With which payload, if the target shows it.
    pub payload: Option<Arc<str>>,
}

/// Runs every case of [`Invoker`]'s contract against a backend and the targets behind it.
///
/// Kinds of error that only a service in trouble gives stay for the backend's own tests.
///
/// # Panics
/// At the first case that fails, with its name and what was expected.
pub async fn invoker(harness: &dyn InvokerHarness) -> Report {
    run_cases!("invoker", harness, gaps: harness.gaps(), [
        every_sample_is_covered,
        every_sample_is_taken,
        every_try_is_taken,
        a_payload_arrives_as_it_is,
        a_repeated_call_succeeds,
        an_idempotent_target_takes_an_execution_once,
        concurrent_calls_are_all_taken,
        a_dropped_call_harms_no_later_one,
        a_kind_that_is_not_covered_is_unsupported,
        a_task_that_is_not_registered_is_refused,
        a_missing_target_is_refused_for_good,
        capabilities_stay,
    ])
}

/// The samples, each as an execution that no other case asks for.
fn samples(harness: &dyn InvokerHarness) -> Verdict<Vec<Sample>> {
    let mut samples = harness.samples();
    ensure!(!samples.is_empty(), "the harness to give one sample at least");
    for sample in &mut samples {
        sample.invocation.execution_id = new_execution(&sample.invocation);
    }
    Ok(samples)
}

fn new_execution(invocation: &Invocation) -> ExecutionId {
    ExecutionId::of_request(&invocation.process.id, &mark())
}

/// What targets have taken of an execution; `None` if nobody sees that.
async fn taken(harness: &dyn InvokerHarness, id: ExecutionId) -> Option<Vec<Taken>> {
    let mut taken = harness.taken().await?;
    taken.retain(|call| call.execution_id == id);
    Some(taken)
}

/// What targets have taken of an execution; an asynchronous one may show it a moment after it accepted the call.
async fn taken_at_least(harness: &dyn InvokerHarness, id: ExecutionId, count: usize) -> Verdict<Vec<Taken>> {
    const ATTEMPTS: usize = 200;
    let unseen = || Stop::NotApplicable("nobody sees what targets have taken here");
    for _ in 0..ATTEMPTS {
        if taken(harness, id).await.ok_or_else(unseen)?.len() >= count {
            break;
        }
        crate::clock::ClockExt::sleep(&crate::clock::SystemClock, Duration::from_millis(25)).await;
    }
    taken(harness, id).await.ok_or_else(unseen)
}

async fn every_sample_is_covered(harness: &dyn InvokerHarness) -> Verdict {
    let capabilities = harness.backend().capabilities();
    for sample in samples(harness)? {
        let target = &sample.invocation.target;
        ensure!(capabilities.covers(target), "'{target}', which is a sample, to be covered by {capabilities:?}");
    }
    Ok(())
}

/// `Ok` means that the target has taken the call.
async fn every_sample_is_taken(harness: &dyn InvokerHarness) -> Verdict {
    for Sample { invocation, .. } in samples(harness)? {
        harness.backend().invoke(invocation.clone()).await?;
        if harness.taken().await.is_some() {
            let calls = taken_at_least(harness, invocation.execution_id, 1).await?.len();
            ensure!(calls == 1, "'{}' to have taken the call once, found {calls} times", invocation.target);
        }
    }
    Ok(())
}

async fn every_try_is_taken(harness: &dyn InvokerHarness) -> Verdict {
    for Sample { mut invocation, .. } in samples(harness)? {
        for attempt in [2, 185] {
            invocation.execution_id = new_execution(&invocation);
            harness.backend().invoke(invocation.clone().with_attempt(attempt)).await?;
        }
    }
    Ok(())
}

async fn a_payload_arrives_as_it_is(harness: &dyn InvokerHarness) -> Verdict {
    let mut is_seen = false;
    for Sample { invocation, .. } in samples(harness)? {
        harness.backend().invoke(invocation.clone()).await?;
        for call in taken_at_least(harness, invocation.execution_id, 1).await? {
            if call.payload.is_some() && invocation.payload.is_some() {
                is_seen = true;
                expect_same(
                    &format!("the payload that '{}' got", invocation.target),
                    &call.payload,
                    &invocation.payload,
                )?;
            }
        }
    }
    if is_seen { Ok(()) } else { Err(Stop::NotApplicable("no target shows its payload here")) }
}

async fn a_repeated_call_succeeds(harness: &dyn InvokerHarness) -> Verdict {
    for Sample { invocation, .. } in samples(harness)? {
        for attempt in [1, 1, 2] {
            harness.backend().invoke(invocation.clone().with_attempt(attempt)).await?;
        }
    }
    Ok(())
}

async fn an_idempotent_target_takes_an_execution_once(harness: &dyn InvokerHarness) -> Verdict {
    let samples: Vec<_> = samples(harness)?.into_iter().filter(|sample| sample.is_idempotent).collect();
    if samples.is_empty() {
        return Err(Stop::NotApplicable("no sample is idempotent"));
    }
    for Sample { mut invocation, .. } in samples {
        for _ in 0..3 {
            harness.backend().invoke(invocation.clone()).await?;
        }
        let calls = taken_at_least(harness, invocation.execution_id, 1).await?.len();
        ensure!(calls == 1, "'{}' to have taken an execution once, found {calls} times", invocation.target);
        // Another execution is another call, alike as they may be.
        invocation.execution_id = new_execution(&invocation);
        harness.backend().invoke(invocation.clone()).await?;
        let calls = taken_at_least(harness, invocation.execution_id, 1).await?.len();
        ensure!(calls == 1, "'{}' to have taken another execution once, found {calls} times", invocation.target);
    }
    Ok(())
}

async fn concurrent_calls_are_all_taken(harness: &dyn InvokerHarness) -> Verdict {
    let samples: Vec<_> = (0..4).map(|_| samples(harness)).collect::<Verdict<Vec<_>>>()?.concat();
    let calls = samples.iter().map(|sample| harness.backend().invoke(sample.invocation.clone()));
    for answer in join_all(calls).await {
        answer?;
    }
    for Sample { invocation, .. } in &samples {
        if harness.taken().await.is_some() {
            let calls = taken_at_least(harness, invocation.execution_id, 1).await?.len();
            ensure!(calls == 1, "'{}' to have taken each of many calls once, found {calls} times", invocation.target);
        }
    }
    Ok(())
}

/// Dropped after each of its first steps; whether it was called is open then.
async fn a_dropped_call_harms_no_later_one(harness: &dyn InvokerHarness) -> Verdict {
    const STEPS: usize = 5;
    for Sample { invocation, .. } in samples(harness)? {
        for steps in 0..STEPS {
            let mut call = harness.backend().invoke(invocation.clone());
            for _ in 0..steps {
                let step = poll_fn(|context| std::task::Poll::Ready(call.as_mut().poll(context)));
                if step.await.is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        harness.backend().invoke(invocation.clone()).await?;
        let other = Invocation { execution_id: new_execution(&invocation), ..invocation };
        harness.backend().invoke(other.clone()).await?;
    }
    Ok(())
}

/// One target of each kind.
const TARGETS: [&str; 10] = [
    "arn:aws:lambda:us-east-1:123456789012:function:conformance",
    "arn:aws:states:us-east-1:123456789012:stateMachine:conformance",
    "arn:aws:sns:us-east-1:123456789012:conformance",
    "arn:aws:sqs:us-east-1:123456789012:conformance",
    "arn:aws:ecs:us-east-1:123456789012:cluster/conformance",
    "arn:aws:events:us-east-1:123456789012:event-bus/conformance",
    "arn:aws:kinesis:us-east-1:123456789012:stream/conformance",
    "arn:aws:firehose:us-east-1:123456789012:deliverystream/conformance",
    "https://conformance.invalid/",
    "kairos:task:conformance",
];

fn invocation_of(target: &str) -> Verdict<Invocation> {
    let target = Target::parse(target).map_err(|error| Stop::failed(error.to_string()))?;
    let mark = mark();
    let mut process = process(&mark, "ejecución");
    process.target = target.as_str().into();
    process.role = target.kind().needs_role().then(|| "arn:aws:iam::123456789012:role/conformance".into());
    process.parameters = Some("{}".into());
    let scheduled_time: Timestamp = instant("2026-01-01T09:00:00Z");
    let id = ExecutionId::of_occurrence(&process.id, scheduled_time);
    Ok(Invocation::new(target, process.into(), id, scheduled_time))
}

async fn a_kind_that_is_not_covered_is_unsupported(harness: &dyn InvokerHarness) -> Verdict {
    let capabilities = harness.backend().capabilities();
    let mut uncovered = 0;
    for target in TARGETS {
        let invocation = invocation_of(target)?;
        if !capabilities.kinds.contains(&invocation.target.kind()) {
            uncovered += 1;
            let answer = harness.backend().invoke(invocation.clone()).await;
            expect_refusal(&format!("a call of '{target}'"), answer, &[ErrorKind::Unsupported])?;
        }
    }
    if uncovered == 0 { Err(Stop::NotApplicable("every kind of target is covered")) } else { Ok(()) }
}

async fn a_task_that_is_not_registered_is_refused(harness: &dyn InvokerHarness) -> Verdict {
    let capabilities = harness.backend().capabilities();
    if !capabilities.kinds.contains(&TargetKind::Task) {
        return Err(Stop::NotApplicable("tasks are not covered"));
    }
    let invocation = invocation_of(&format!("kairos:task:{}", mark()))?;
    ensure!(!capabilities.covers(&invocation.target), "a task that is not registered not to be covered");
    let answer = harness.backend().invoke(invocation.clone()).await;
    expect_refusal("a call of a task that is not registered", answer, &[ErrorKind::NotFound, ErrorKind::Unsupported])?;
    Ok(())
}

/// It would fail each time: the kind must send it to the dead letters at once.
async fn a_missing_target_is_refused_for_good(harness: &dyn InvokerHarness) -> Verdict {
    let Some(missing) = harness.missing() else {
        return Err(Stop::NotApplicable("no target can be missing"));
    };
    // Some services do not tell a stranger whether something exists.
    let kinds = [ErrorKind::NotFound, ErrorKind::Denied, ErrorKind::Rejected];
    for _ in 0..2 {
        let error = expect_refusal(
            "a call of a target that is missing",
            harness.backend().invoke(missing.clone()).await,
            &kinds,
        )?;
        ensure!(!error.message().is_empty(), "an error to say what went wrong");
    }
    let calls = taken(harness, missing.execution_id).await.unwrap_or_default();
    ensure!(calls.is_empty(), "a target that is missing not to take a call, found {calls:?}");
    Ok(())
}

async fn capabilities_stay(harness: &dyn InvokerHarness) -> Verdict {
    let capabilities = harness.backend().capabilities();
    expect_same("the capabilities when asked again", &harness.backend().capabilities(), &capabilities)?;
    let has_tasks = !capabilities.tasks.is_empty();
    let calls_tasks = capabilities.kinds.contains(&TargetKind::Task);
    ensure!(calls_tasks || !has_tasks, "tasks to be among the kinds, as some are registered: {capabilities:?}");
    Ok(())
}
