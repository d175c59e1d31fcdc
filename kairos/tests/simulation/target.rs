//! Targets with a record of their own: what they did, whether or not anybody heard of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use kairos::backend::{History as _, Invocation, Invoker, InvokerCapabilities};
use kairos::clock::{ClockExt as _, ManualClock};
use kairos::executor::ExecutorConfig;
use kairos::{Error, ErrorKind, ExecutionState, Result, TargetKind};
use kairos_memory::MemoryHistory;

use crate::climate::Dice;
use crate::journal::Journal;
use crate::network::{Caller, Network, Service};

/// How a target behaves, by its name.
pub(crate) const BEHAVIOURS: [&str; 6] = ["steady", "steady", "flaky", "slow", "broken", "silent"];

/// The targets as one worker reaches them.
#[derive(Debug)]
pub(crate) struct Targets {
    pub(crate) worker: Caller,
    pub(crate) network: Arc<Network>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) history: Arc<MemoryHistory>,
    pub(crate) clock: ManualClock,
    pub(crate) dice: Dice,
}

pub(crate) fn arn(behaviour: &str) -> String {
    format!("arn:aws:lambda:us-east-1:123456789012:function:{behaviour}")
}

pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/kairos-sim";

impl Targets {
    /// Nobody calls a target without a claim that history knows of, nor more often than its process allows.
    fn check(&self, invocation: &Invocation) {
        let most = invocation.process.max_attempts.unwrap_or(ExecutorConfig::default().max_attempts);
        if invocation.attempt > most {
            self.journal.wrong(format!("{invocation:?} is called too often"));
        }
        let execution = self.history.get(invocation.execution_id).now_or_never().unwrap().unwrap();
        let is_claimed = execution.as_ref().is_some_and(|execution| {
            execution.state == ExecutionState::Running && execution.attempts == invocation.attempt
        });
        if !is_claimed {
            self.journal.wrong(format!("{invocation:?} is called, and history holds {execution:?}"));
        }
    }

    async fn act(&self, invocation: &Invocation) -> Result<()> {
        let behaviour = invocation.target.as_str().rsplit(':').next().unwrap_or_default();
        match behaviour {
            "flaky" if self.dice.happens(0.4) => {
                let kinds = [ErrorKind::Throttled, ErrorKind::Failed, ErrorKind::Unavailable];
                return Err(Error::new(*self.dice.one_of(&kinds), "not this time"));
            }
            "slow" => self.clock.sleep(self.dice.between(Duration::from_secs(1), Duration::from_secs(80))).await,
            "broken" => return Err(Error::new(ErrorKind::Rejected, "never")),
            "silent" if self.dice.happens(0.3) => std::future::pending().await,
            _ => {}
        }
        self.journal.taken(invocation.execution_id, self.worker);
        Ok(())
    }
}

#[async_trait]
impl Invoker for Targets {
    async fn invoke(&self, invocation: Invocation) -> Result<()> {
        self.check(&invocation);
        self.network.carry(self.worker, Service::Target, self.act(&invocation)).await?;
        self.journal.answered(invocation.execution_id, self.worker);
        Ok(())
    }

    fn capabilities(&self) -> InvokerCapabilities {
        InvokerCapabilities::new([TargetKind::Lambda])
    }
}
