//! Targets in memory: every call is taken, counted and recorded, and answers as a test wants it to.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use kairos::backend::{Invocation, Invoker, InvokerCapabilities};
use kairos::clock::Clock;
use kairos::{ErrorKind, ExecutionId, Result, TargetKind};
use parking_lot::Mutex;

use crate::error;

/// The kinds of target that are called; tasks are run by [`kairos::Tasks`], which can hand all others to this.
const KINDS: [TargetKind; 9] = [
    TargetKind::Lambda,
    TargetKind::StepFunctions,
    TargetKind::Sns,
    TargetKind::Sqs,
    TargetKind::Ecs,
    TargetKind::EventBus,
    TargetKind::Kinesis,
    TargetKind::Firehose,
    TargetKind::Https,
];

/// An [`Invoker`] that calls nothing, and says what it would have called.
///
/// All targets are idempotent: a call under an execution id that a target has taken already is a success and a
/// [`Duplicate`](Answer::Duplicate). The newest 100 000 calls are recorded and the newest 1 000 000 execution ids remembered;
/// both can be changed, so that a simulation of millions stays small. Calls are always counted, per target.
///
/// ```
/// use std::sync::Arc;
/// use kairos::backend::{Invocation, Invoker};
/// use kairos::clock::ManualClock;
/// use kairos::{ErrorKind, ExecutionId, Process, Target};
/// use kairos_memory::{Answer, MemoryInvoker};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let now = "2026-01-01T09:00:00Z".parse()?;
/// let invoker = MemoryInvoker::new(Arc::new(ManualClock::at(now)));
/// invoker.fail_times("arn:aws:lambda:*:ventas", 1, ErrorKind::Throttled);
///
/// let arn = "arn:aws:lambda:us-east-1:123456789012:function:ventas";
/// let process: Process = serde_json::from_str(
///     r#"{"IdProceso":"proceso-YQ..","IdCalendarizacion":"calendarizacion-x","Nombre":"a","ArnProceso":"kairos:task:a",
///         "Parametros":null,"Habilitado":true,"FechaCreacion":"2026-01-01T00:00:00Z"}"#,
/// )?;
/// let id = ExecutionId::of_occurrence(&process.id, now);
/// let invocation = Invocation::new(Target::parse(arn)?, process.into(), id, now);
/// assert_eq!(invoker.invoke(invocation.clone()).await.unwrap_err().kind(), ErrorKind::Throttled);
/// invoker.invoke(invocation.clone()).await?;
/// invoker.invoke(invocation.clone()).await?;
///
/// let answers: Vec<_> = invoker.calls().into_iter().map(|call| call.answer).collect();
/// assert_eq!(answers, [Answer::Failed(ErrorKind::Throttled), Answer::Taken, Answer::Duplicate]);
/// assert_eq!(invoker.counts(arn).taken, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryInvoker {
    clock: Arc<dyn Clock>,
    recorded: usize,
    remembered: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    calls: VecDeque<Call>,
    counts: BTreeMap<Box<str>, Counts>,
    taken: HashSet<ExecutionId>,
    /// The same in order, to forget the oldest first.
    oldest_first: VecDeque<ExecutionId>,
}

#[derive(Clone)]
struct Rule {
    pattern: Box<str>,
    answer: Arc<Script>,
}

type Script = dyn Fn(&Invocation) -> Result<()> + Send + Sync;

/// A call of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// What kind of target was called.
    pub kind: TargetKind,
    /// What it was called with.
    pub invocation: Invocation,
    /// When.
    pub at: Timestamp,
    /// What it answered.
    pub answer: Answer,
}

/// What a target answered to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// It took the call.
    Taken,
    /// It had taken a call of this execution already, and did nothing.
    Duplicate,
    /// It took nothing.
    Failed(ErrorKind),
}

/// How many calls a target had, by what it answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Calls that it took.
    pub taken: u64,
    /// Calls of executions that it had taken already.
    pub duplicates: u64,
    /// Calls that failed.
    pub failed: u64,
}

impl MemoryInvoker {
    /// Targets that take every call, at this clock's time.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, recorded: 100_000, remembered: 1_000_000, state: Mutex::default() }
    }

    /// The same, recording the newest `most` calls; none for 0. They are counted all the same.
    #[must_use]
    pub fn with_recording(mut self, most: usize) -> Self {
        self.recorded = most;
        self
    }

    /// The same, recognising the newest `most` executions that were taken when they come again; none for 0.
    #[must_use]
    pub fn with_idempotency(mut self, most: usize) -> Self {
        self.remembered = most;
        self
    }

    /// Lets a function answer for the targets whose name fits a pattern, in which `*` stands for any text.
    ///
    /// The pattern given last goes first. The function is not asked about executions that were taken already.
    pub fn respond(
        &self,
        pattern: impl Into<Box<str>>,
        answer: impl Fn(&Invocation) -> Result<()> + Send + Sync + 'static,
    ) {
        let rule = Rule { pattern: pattern.into(), answer: Arc::new(answer) };
        self.state.lock().rules.push(rule);
    }

    /// Lets the targets of a pattern fail `times` times, all together, and take every call after that.
    pub fn fail_times(&self, pattern: impl Into<Box<str>>, times: u32, kind: ErrorKind) {
        let left = AtomicU32::new(times);
        self.respond(pattern, move |_| {
            match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
                Ok(_) => Err(error::scripted(kind)),
                Err(_) => Ok(()),
            }
        });
    }

    /// Lets the targets of a pattern fail always: with [`ErrorKind::Timeout`] as those that never answer.
    pub fn fail_always(&self, pattern: impl Into<Box<str>>, kind: ErrorKind) {
        self.respond(pattern, move |_| Err(error::scripted(kind)));
    }

    /// The recorded calls, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.iter().cloned().collect()
    }

    /// How many calls a target had, by its whole name.
    #[must_use]
    pub fn counts(&self, target: &str) -> Counts {
        self.state.lock().counts.get(target).copied().unwrap_or_default()
    }

    /// How many calls all targets had.
    #[must_use]
    pub fn total(&self) -> Counts {
        let add = |sum: Counts, counts: &Counts| Counts {
            taken: sum.taken + counts.taken,
            duplicates: sum.duplicates + counts.duplicates,
            failed: sum.failed + counts.failed,
        };
        self.state.lock().counts.values().fold(Counts::default(), add)
    }

    /// What a target answers, which is decided outside the lock: the function may call targets itself.
    fn answer(&self, invocation: &Invocation) -> Result<()> {
        let rule = {
            let state = self.state.lock();
            if state.taken.contains(&invocation.execution_id) {
                return Ok(());
            }
            state.rules.iter().rev().find(|rule| fits(&rule.pattern, invocation.target.as_str())).cloned()
        };
        rule.map_or(Ok(()), |rule| (rule.answer)(invocation))
    }
}

impl State {
    /// Whether an execution is new. Of two calls at once, one is.
    fn take(&mut self, id: ExecutionId, remembered: usize) -> bool {
        if remembered == 0 {
            return true;
        }
        let is_new = self.taken.insert(id);
        if is_new {
            self.oldest_first.push_back(id);
            if self.oldest_first.len() > remembered
                && let Some(oldest) = self.oldest_first.pop_front()
            {
                self.taken.remove(&oldest);
            }
        }
        is_new
    }

    fn count(&mut self, target: &str, answer: Answer) {
        if !self.counts.contains_key(target) {
            self.counts.insert(target.into(), Counts::default());
        }
        if let Some(counts) = self.counts.get_mut(target) {
            match answer {
                Answer::Taken => counts.taken += 1,
                Answer::Duplicate => counts.duplicates += 1,
                Answer::Failed(_) => counts.failed += 1,
            }
        }
    }

    fn record(&mut self, call: Call, most: usize) {
        if most == 0 {
            return;
        }
        if self.calls.len() >= most {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }
}

/// Whether a name fits a pattern: its parts between stars come one after another, the first and the last at the ends.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match name.split_once(part) {
            Some((_, after)) => name = after,
            None => return false,
        }
    }
    name.ends_with(last)
}

impl fmt::Debug for MemoryInvoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryInvoker")
            .field("total", &self.total())
            .field("recorded", &self.recorded)
            .field("remembered", &self.remembered)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Invoker for MemoryInvoker {
    async fn invoke(&self, invocation: Invocation) -> Result<()> {
        let kind = invocation.target.kind();
        if !KINDS.contains(&kind) {
            return Err(error::unsupported_target(kind));
        }
        let result = self.answer(&invocation);
        let at = self.clock.now();
        let mut state = self.state.lock();
        let answer = match &result {
            Err(error) => Answer::Failed(error.kind()),
            Ok(()) if state.take(invocation.execution_id, self.remembered) => Answer::Taken,
            Ok(()) => Answer::Duplicate,
        };
        state.count(invocation.target.as_str(), answer);
        state.record(Call { kind, invocation, at, answer }, self.recorded);
        result
    }

    fn capabilities(&self) -> InvokerCapabilities {
        InvokerCapabilities::new(KINDS)
    }
}
