//! One delivery on its way: claimed, tried, recorded, settled with its queue.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{Either, join, select};
use futures_util::{FutureExt as _, poll};
use jiff::Timestamp;

use super::plan::{self, End, Start};
use super::{Executor, Verdict};
use crate::backend::{Claim, Claimed, DeadLetterReason, Delivery, History, Invocation, Outcome};
use crate::clock::{ClockExt as _, between, later};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{ExecutionState, Failure, Hold, Owner, Placeholders, WorkItem, payload};
use crate::retry::retrying;

/// How the call of a target came to its end.
#[derive(Debug)]
enum Called {
    /// It was answered, or given up.
    Answered(Result<()>),
    /// Somebody else has the claim by now.
    Overtaken(Error),
}

/// One try of one execution.
#[derive(Debug)]
struct Try<'a> {
    delivery: &'a Delivery,
    work: &'a WorkItem,
    claim: Option<Held<'a>>,
    attempt: u32,
}

/// A claim of an execution.
#[derive(Clone, Copy, Debug)]
struct Held<'a> {
    history: &'a dyn History,
    owner: Owner,
}

impl Executor {
    pub(super) async fn claim_and_run(&self, delivery: &Delivery, work: &WorkItem, now: Timestamp) -> Result<Verdict> {
        let held = self.history.as_deref().map(|history| Held { history, owner: self.chance.owner() });
        let attempt = match self.claim(delivery, work, held.as_ref(), now).await {
            Ok(Claimed::Granted { attempt }) => attempt,
            Ok(Claimed::Held { until }) => {
                // A claim that ends later than any that is made now was made before the clock was set back, or by an executor whose
                // claims are longer: this one looks again, instead of staying away for as long as the clock was set back.
                let delay = between(self.clock.now(), until).min(self.config.lease);
                self.receiver.change_visibility(&delivery.receipt, delay).await?;
                return Ok(Verdict::Waiting { until });
            }
            Ok(Claimed::Finished(_)) => {
                self.acknowledge(delivery).await?;
                return Ok(Verdict::Duplicate);
            }
            // It would come back for ever, to be refused each time.
            Err(error) if !error.is_retryable() => return self.refuse(delivery, work, error).boxed().await,
            Err(error) => return Err(error),
        };
        let this = Try { delivery, work, claim: held, attempt };
        match plan::start(work, attempt, delivery.redriven, || self.clock.now(), &self.config) {
            Start::Skip(error) => {
                self.record(&this, ExecutionState::Skipped, Some(&error)).await;
                self.acknowledge(delivery).await?;
                Ok(Verdict::Skipped)
            }
            Start::GiveUp(error) => self.bury(&this, &error).boxed().await,
            Start::Run => match self.call_target(&this).await {
                Called::Answered(result) => self.settle(&this, result).await,
                // Whoever has the claim records how it ends. This message comes back by itself, to see that it has.
                Called::Overtaken(error) => {
                    tracing::warn!(execution = %work.execution_id, error = format!("{error:#}"), "an execution was taken over by another executor");
                    Ok(Verdict::Waiting { until: later(self.clock.now(), self.config.lease) })
                }
            },
        }
    }

    /// Without history every delivery is granted, and counts as a try.
    async fn claim(
        &self,
        delivery: &Delivery,
        work: &WorkItem,
        held: Option<&Held<'_>>,
        now: Timestamp,
    ) -> Result<Claimed> {
        let Some(&Held { history, owner }) = held else {
            return Ok(Claimed::Granted { attempt: delivery.receive_count });
        };
        // Claiming again as the same owner is the same claim: an answer that was lost costs no try.
        let claim = |redriven: bool, now: Timestamp| async move {
            let hold = Hold { owner, until: later(now, self.config.lease) };
            history.claim(&Claim::new(work.clone(), hold, now).with_redriven(redriven)).await
        };
        // Later deliveries of a redriven message go on counting, or it would never come to the end of its tries.
        let is_first = delivery.redriven && delivery.receive_count <= 1;
        // Each request at its own time: a claim that is granted late lasts as long as any other.
        let mut first = Some(now);
        self.insist("claim", work, || {
            let now = first.take().unwrap_or_else(|| self.clock.now());
            async move {
                match claim(is_first, now).await? {
                    // The first delivery came to nothing before it could claim.
                    Claimed::Finished(ExecutionState::Dead) if delivery.redriven => claim(true, self.clock.now()).await,
                    claimed => Ok(claimed),
                }
            }
        })
        .await
    }

    /// Puts a message whose execution cannot be claimed with the dead letters.
    async fn refuse(&self, delivery: &Delivery, work: &WorkItem, error: Error) -> Result<Verdict> {
        let error = Error::new(error.kind(), "it could not be claimed").with_source(error);
        // Each delivery before this one was a try, at most.
        let tries = delivery.receive_count.saturating_sub(1);
        self.dead_letter(delivery, &DeadLetterReason::of_work(Failure::from(&error), work, tries)).await
    }

    /// A call of history, tried again for a short while.
    async fn insist<T, F, Fut>(&self, operation: &'static str, work: &WorkItem, call: F) -> Result<T>
    where
        T: Send,
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Result<T>> + Send,
    {
        let seed = work.execution_id.uuid().as_u128();
        let (attempts, backoff) = (self.config.history_attempts, self.config.history_backoff);
        let mut calls = pin!(retrying(&*self.clock, attempts, backoff, seed, call));
        // What is there at once needs no limit, nor the room for one.
        match poll!(&mut calls) {
            Poll::Ready(result) => result,
            Poll::Pending => self.limited(operation, work, self.share_of_hold(2), calls).boxed().await,
        }
    }

    /// A part of the time for which both claim and message are held, a second at least.
    fn share_of_hold(&self, parts: u32) -> Duration {
        let held = self.config.lease.min(self.receiver.visibility_timeout());
        (held / parts).max(Duration::from_secs(1))
    }

    async fn limited<T: Send>(
        &self,
        operation: &'static str,
        work: &WorkItem,
        limit: Duration,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.clock.within(limit, call).await.unwrap_or_else(|| {
            let message = format!("no answer within {} ms", limit.as_millis());
            Err(Error::new(ErrorKind::Timeout, message).during(operation).about(work.execution_id.to_string()))
        })
    }

    async fn call_target(&self, this: &Try<'_>) -> Called {
        // Both making the future and polling it are the invoker's own code, whose faults must not harm other executions.
        let mut call =
            pin!(AssertUnwindSafe(async { self.invoker.invoke(self.invocation(this)?).await }).catch_unwind());
        // What is there at once needs nobody to keep its claim, which takes several times the room.
        let called = match poll!(&mut call) {
            Poll::Ready(called) => called,
            Poll::Pending => match select(call, self.keep(this).boxed()).await {
                Either::Left((called, _)) => called,
                Either::Right((lost, _)) => return lost,
            },
        };
        Called::Answered(called.unwrap_or_else(|panic| {
            let message = format!("the target's code panicked: {}", text_of(&*panic));
            Err(Error::new(ErrorKind::Failed, message))
        }))
    }

    /// What to call, and with what, if it is let in. Asked once it is claimed, so that history tells of what was refused.
    fn invocation(&self, this: &Try<'_>) -> Result<Invocation> {
        let WorkItem { process, execution_id, scheduled_time, .. } = this.work;
        let target = self.config.policy.admit(process)?;
        let placeholders = Placeholders {
            execution_id: *execution_id,
            scheduled_time: *scheduled_time,
            process_id: &process.id,
            schedule_id: &process.schedule_id,
            attempt: this.attempt,
        };
        let payload = payload(process, &placeholders)?;
        Ok(Invocation {
            target,
            payload,
            process: process.clone(),
            execution_id: *execution_id,
            scheduled_time: *scheduled_time,
            attempt: this.attempt,
        })
    }

    /// Keeps claim and message while the target is at work. Ends when the call must be given up.
    async fn keep(&self, this: &Try<'_>) -> Called {
        let limit = self.config.call_limit;
        match self.clock.within(limit, self.hold_on(this)).await {
            Some(lost) => Called::Overtaken(lost),
            None => {
                let message = format!("the target has not answered within {} s", limit.as_secs());
                Called::Answered(Err(Error::new(ErrorKind::Timeout, message)))
            }
        }
    }

    /// Renews claim and visibility at each beat. Ends, in an error, when the claim is lost.
    async fn hold_on(&self, this: &Try<'_>) -> Error {
        let work = this.work;
        let beat = self.share_of_hold(3);
        let mut next = later(self.clock.now(), beat);
        loop {
            self.clock.sleep_until(next).await;
            next = later(self.clock.now(), beat);
            // Side by side, so that the one is kept also where the other does not answer.
            let renewed = self.limited("renew", work, beat, self.renew(this));
            let visibility = self.receiver.visibility_timeout();
            let hidden = self.receiver.change_visibility(&this.delivery.receipt, visibility);
            let hidden = self.limited("change visibility", work, beat, hidden);
            let (renewed, hidden) = join(renewed, hidden).await;
            match renewed {
                Err(error) if error.kind() == ErrorKind::Lost => return error,
                Err(error) => {
                    tracing::warn!(execution = %work.execution_id, error = format!("{error:#}"), "a claim could not be renewed");
                }
                Ok(()) => {}
            }
            if let Err(error) = hidden {
                tracing::warn!(execution = %work.execution_id, error = format!("{error:#}"), "a message could not be kept invisible");
            }
        }
    }

    async fn renew(&self, this: &Try<'_>) -> Result<()> {
        let Some(Held { history, owner }) = this.claim else {
            return Ok(());
        };
        history.renew(this.work.execution_id, owner, later(self.clock.now(), self.config.lease)).await
    }

    async fn settle(&self, this: &Try<'_>, result: Result<()>) -> Result<Verdict> {
        let Try { delivery, work, attempt, .. } = *this;
        match plan::end(work, result, attempt, delivery.redriven, || self.clock.now(), &self.config) {
            End::Succeeded => {
                self.record(this, ExecutionState::Succeeded, None).await;
                self.acknowledge(delivery).await?;
                Ok(Verdict::Succeeded)
            }
            End::Retry(error, delay) => {
                self.record(this, ExecutionState::Failed, Some(&error)).await;
                self.receiver.change_visibility(&delivery.receipt, delay).await?;
                Ok(Verdict::Retrying { failure: Failure::from(&error), at: later(self.clock.now(), delay) })
            }
            End::Dead(error) => self.bury(this, &error).boxed().await,
        }
    }

    /// The dead letter first: an execution that is recorded as dead is not tried again, and its message must not be lost with it.
    async fn bury(&self, this: &Try<'_>, error: &Error) -> Result<Verdict> {
        let reason = DeadLetterReason::of_work(Failure::from(error), this.work, this.attempt);
        let verdict = self.dead_letter(this.delivery, &reason).await?;
        self.record(this, ExecutionState::Dead, Some(error)).await;
        Ok(verdict)
    }

    pub(super) async fn dead_letter(&self, delivery: &Delivery, reason: &DeadLetterReason) -> Result<Verdict> {
        self.receiver.dead_letter(delivery, reason).await?;
        tracing::warn!(message = %delivery.message_id, reason = %reason.failure.text, "a message lies with the dead letters");
        Ok(Verdict::Dead(reason.failure.clone()))
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<()> {
        let answers = self.receiver.acknowledge(std::slice::from_ref(&delivery.receipt)).await?;
        answers.into_iter().collect()
    }

    /// Recording never fails running: what cannot be recorded is logged and counted.
    async fn record(&self, this: &Try<'_>, state: ExecutionState, error: Option<&Error>) {
        let Some(Held { history, owner }) = this.claim else {
            return;
        };
        let outcome =
            Outcome::new(this.work.execution_id, owner, state, self.clock.now()).with_failure(error.map(Failure::from));
        if let Err(error) = self.insist("record", this.work, || history.record(&outcome)).await {
            self.counters.unrecorded.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(execution = %this.work.execution_id, %state, error = format!("{error:#}"), "an outcome could not be recorded");
        }
    }
}

/// What a panic said.
pub(super) fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or_default()
}
