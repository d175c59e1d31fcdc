//! Backends and a clock that give a call the answers of a script, and stop it at the first request that the script does not answer.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use kairos::backend::*;
use kairos::clock::Clock;
use kairos::page::{Page, PageRequest};
use kairos::{Error, Process, ProcessId, Result, Schedule, ScheduleId};
use kairos_memory::{MemoryQueue, MemoryStore};

use crate::mistakes::Mistake;
use crate::request::{Answer, Request};

/// One call's way to everything outside it.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    mistake: Option<Mistake>,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug)]
struct Script {
    now: Timestamp,
    /// The answers that are left, the last one first, each with the time at which it is given.
    answers: Vec<(Answer, Timestamp)>,
    unanswered: Option<Request>,
}

impl Gate {
    /// A script that begins at `now`, with its answers from the last to the first.
    pub(crate) fn new(mistake: Option<Mistake>, now: Timestamp, answers: Vec<(Answer, Timestamp)>) -> Self {
        Self { mistake, script: Arc::new(Mutex::new(Script { now, answers, unanswered: None })) }
    }

    /// Where the script left the call standing.
    pub(crate) fn unanswered(&self) -> Option<Request> {
        self.script.lock().unwrap().unanswered.take()
    }

    async fn ask(&self, request: Request) -> Result<Answer> {
        let mut request = Some(request);
        let answer = poll_fn(|_| {
            let mut script = self.script.lock().unwrap();
            let Some((answer, at)) = script.answers.pop() else {
                script.unanswered = request.take().or(script.unanswered.take());
                return Poll::Pending;
            };
            script.now = at;
            Poll::Ready(answer)
        });
        match answer.await {
            Answer::Failed(kind) => Err(Error::new(kind, "the backend fails")),
            answer => Ok(answer),
        }
    }
}

impl Clock for Gate {
    fn now(&self) -> Timestamp {
        self.script.lock().unwrap().now
    }

    /// Every pause is configured to be none at all, so that this is one of the moments at which others go on.
    /// Everything else that waits for time is a limit, and never reached.
    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        let gate = self.clone();
        Box::pin(async move {
            if instant > gate.now() {
                std::future::pending::<()>().await;
            }
            drop(gate.ask(Request::Pause).await);
        })
    }
}

/// The answer to a request, which is of this kind: a call that asks otherwise than before is no function of its answers.
macro_rules! ask {
    ($gate:expr, $request:expr, $kind:path) => {
        match $gate.ask($request).await? {
            $kind(value) => Ok::<_, Error>(value),
            other => panic!("{other:?} answers another request"),
        }
    };
}

#[async_trait]
impl Store for Gate {
    async fn process(&self, id: &ProcessId) -> Result<Option<Arc<Process>>> {
        ask!(self, Request::Process(id.clone()), Answer::Process)
    }

    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        ask!(self, Request::Schedule(id.clone()), Answer::Schedule)
    }

    async fn list_processes(&self, filter: &ProcessFilter, page: &PageRequest) -> Result<Page<Arc<Process>>> {
        ask!(self, Request::ListProcesses(filter.clone(), page.clone()), Answer::Processes)
    }

    async fn list_schedules(&self, page: &PageRequest) -> Result<Page<Schedule>> {
        ask!(self, Request::ListSchedules(page.clone()), Answer::Schedules)
    }

    async fn commit(&self, transaction: &Transaction) -> Result<()> {
        if self.mistake == Some(Mistake::CountOutsideTheTransaction) && !transaction.processes.is_empty() {
            let (mut first, mut second) = (transaction.clone(), transaction.clone());
            first.schedules.clear();
            second.processes.clear();
            self.ask(Request::Commit(first)).await?;
            return self.ask(Request::Commit(second)).await.map(drop);
        }
        self.ask(Request::Commit(transaction.clone())).await.map(drop)
    }

    fn capabilities(&self) -> StoreCapabilities {
        MemoryStore::new().capabilities()
    }
}

#[async_trait]
impl ScheduleBackend for Gate {
    async fn create(&self, trigger: &Trigger) -> Result<String> {
        ask!(self, Request::CreateTrigger(trigger.clone()), Answer::Created)
    }

    async fn delete(&self, key: &TriggerKey) -> Result<()> {
        self.ask(Request::DeleteTrigger(key.clone())).await.map(drop)
    }

    async fn get(&self, key: &TriggerKey) -> Result<Option<Trigger>> {
        ask!(self, Request::Trigger(key.clone()), Answer::Trigger)
    }

    async fn list(&self, page: &PageRequest) -> Result<Page<Trigger>> {
        ask!(self, Request::ListTriggers(page.clone()), Answer::Triggers)
    }
}

#[async_trait]
impl Queue for Gate {
    async fn send(&self, batch: &[Message]) -> Result<Vec<Result<()>>> {
        let sent = ask!(self, Request::Send(batch.to_vec()), Answer::Sent)?;
        let result = |kind: Option<_>| kind.map_or(Ok(()), |kind| Err(Error::new(kind, "the queue fails")));
        Ok(sent.into_iter().map(result).collect())
    }

    fn limits(&self) -> QueueLimits {
        MemoryQueue::new(Arc::new(self.clone())).limits()
    }
}
