//! Messages on their way through an executor.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kairos::backend::{History as _, Invocation, Invoker, InvokerCapabilities, Message, Queue as _, Receiver as _};
use kairos::chance::Chance;
use kairos::clock::{Clock, ClockExt as _, ManualClock};
use kairos::executor::{Executor, ExecutorConfig, Verdict};
use kairos::{Body, Error, ErrorKind, ExecutionState, MessageId, Policy, Result, TargetKind, WorkItem, limits};
use kairos_memory::{MemoryHistory, MemoryQueue};

use crate::driving::{at_once, drive};
use crate::input;
use crate::refusal::{check_error, check_failure};

/// The process that runs beside, and that nothing may harm.
const NEIGHBOUR: &str = r#"{"IdProceso":"proceso-dmVjaW5v","IdCalendarizacion":"calendarizacion-x","Nombre":"vecino",
    "ArnProceso":"kairos:task:vecino","Habilitado":true,"FechaCreacion":"2026-01-01T00:00:00Z",
    "FechaProgramada":"2026-01-01T00:00:00Z"}"#;
const TASKS: [&str; 2] = ["a", "vecino"];
/// Deliveries until a message has come to its end, at most: its tries, each perhaps waited for.
const MOST_ROUNDS: usize = 1_000;

/// Whatever a message says and however its target answers: it is executed, skipped as too late, or lies with the dead letters and says why,
/// without having been called if the policy does not let it in;
/// once redriven it comes to an end again; and the message beside it is executed once.
///
/// The first line tells the answers of the target, of which the last repeats: `o`k, `f`ailed, `d`enied, `p`anic, `s`low, `h`anging. In it,
/// `-` is an executor without history, and `!`, `$` and `#` are policies of roles, of accounts and of targets.
pub fn executions(text: &str) {
    let (answers, body) = text.split_once('\n').unwrap_or(("o", text));
    let body = &*input::message(body);
    let bench = Bench::new(answers);
    let id = bench.queue.inject(body);
    let sent = at_once(bench.queue.send(&[Message::new(bench.neighbour.clone())])).expect("a queue in memory");
    assert!(sent.iter().all(Result::is_ok));
    let work = Body::from_json(body).work(id.as_str(), bench.clock.now()).ok();
    if work.as_ref().is_some_and(|work| work.execution_id == bench.neighbour.execution_id) {
        // It says that it is the neighbour; one of the two is taken for the other.
        return;
    }

    let ends = bench.run();
    assert_eq!(ends.len(), 2);
    bench.check_end(&id, work.as_ref(), &ends[&id], 1);
    if bench.queue.dead_letters().is_empty() {
        return;
    }
    assert_eq!(at_once(bench.queue.redrive(2)).ok(), Some(1));
    let ends = bench.run();
    assert_eq!(ends.len(), 1);
    bench.check_end(&id, work.as_ref(), &ends[&id], 2);
}

struct Bench {
    clock: ManualClock,
    queue: Arc<MemoryQueue>,
    target: Arc<Target>,
    history: Option<Arc<MemoryHistory>>,
    policy: Policy,
    executor: Executor,
    neighbour: WorkItem,
}

impl Bench {
    fn new(answers: &str) -> Self {
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().expect("an instant"));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let queue = Arc::new(MemoryQueue::new(shared.clone()));
        let target = Arc::new(Target { answers: answers.into(), clock: clock.clone(), calls: Mutex::default() });
        let policy = policy(answers);
        let mut executor = Executor::new(queue.clone(), target.clone(), shared)
            .with_config(ExecutorConfig::default().with_policy(policy.clone()))
            .with_chance(Arc::new(Chance::from_seed(0)));
        let history = (!answers.contains('-')).then(|| Arc::new(MemoryHistory::new()));
        if let Some(history) = &history {
            executor = executor.with_history(history.clone());
        }
        let neighbour = Body::from_json(NEIGHBOUR).work("vecino", clock.now()).expect("a process");
        Self { clock, queue, target, history, policy, executor, neighbour }
    }

    /// Executes until the queue is empty, and gives the last verdict on each message.
    fn run(&self) -> BTreeMap<MessageId, Verdict> {
        let mut ends = BTreeMap::new();
        for _ in 0..MOST_ROUNDS {
            if self.queue.is_empty() {
                assert_eq!(self.queue.expired(), 0, "a message was lost");
                return ends;
            }
            let received = drive(&self.clock, self.queue.receive(10, Duration::from_secs(12 * 60 * 60)));
            let report = drive(&self.clock, self.executor.execute(received.expect("a queue in memory")));
            for handled in report.handled {
                let before = ends.insert(handled.message_id, handled.verdict);
                assert!(before.is_none_or(|before| before.comes_back()), "it came back after its end");
            }
        }
        panic!("no end after {MOST_ROUNDS} rounds");
    }

    /// The end of the message at its `run`-th run; and of its neighbour, at the first.
    fn check_end(&self, id: &MessageId, work: Option<&WorkItem>, end: &Verdict, run: usize) {
        let letters = self.queue.dead_letters();
        let calls = std::mem::take(&mut *self.target.calls.lock().expect("no call panics under the lock"));
        let (others, calls): (Vec<_>, Vec<_>) =
            calls.into_iter().partition(|call| call.invocation.execution_id == self.neighbour.execution_id);
        assert_eq!(others.len(), 2 - run, "the neighbour runs once");
        let taken = calls.iter().filter(|call| call.was_taken).count();
        match end {
            Verdict::Succeeded => assert!(letters.is_empty()),
            Verdict::Skipped => assert!(letters.is_empty() && calls.is_empty()),
            Verdict::Dead(failure) => {
                assert_eq!(letters.len(), 1);
                let letter = &letters[0];
                assert!(letter.message_id == *id && letter.reason.failure == *failure && taken == 0);
                assert_eq!(letter.reason.execution_id, work.map(|work| work.execution_id));
                check_failure(failure);
            }
            other => panic!("no end: {other:?}"),
        }
        let Some(work) = work else {
            return assert!(matches!(end, Verdict::Dead(failure) if failure.kind == ErrorKind::Malformed.as_str()));
        };
        assert_eq!(taken, usize::from(*end == Verdict::Succeeded));
        match self.policy.admit(&work.process) {
            Ok(_) => check_calls(work, &calls),
            Err(error) => check_refused(&error, end, &calls),
        }
        if let Some(history) = &self.history {
            let execution = at_once(history.get(work.execution_id)).ok().flatten().expect("what was claimed is kept");
            let state = match end {
                Verdict::Succeeded => ExecutionState::Succeeded,
                Verdict::Skipped => ExecutionState::Skipped,
                _ => ExecutionState::Dead,
            };
            assert_eq!(execution.state, state);
            execution.error.iter().for_each(check_failure);
        }
    }
}

/// A policy of each kind that the answers ask for; all let the neighbour in.
fn policy(answers: &str) -> Policy {
    let mut policy = Policy::default();
    if answers.contains('!') {
        policy = policy.with_role_prefix("kairos-");
    }
    if answers.contains('$') {
        policy = policy.with_accounts(["123456789012"]);
    }
    if answers.contains('#') {
        let mut targets = InvokerCapabilities::new([TargetKind::Task, TargetKind::Sqs]);
        targets.tasks.extend(TASKS.map(Into::into));
        policy = policy.with_targets(targets);
    }
    policy
}

/// What is not let in is not called, and its dead letter says why; unless it came too late anyway.
fn check_refused(error: &Error, end: &Verdict, calls: &[Call]) {
    check_error(error, |_| None);
    assert!(calls.is_empty(), "it was called: {error}");
    match end {
        Verdict::Skipped => {}
        Verdict::Dead(failure) => assert_eq!(failure.kind, error.kind().as_str(), "{failure:?}"),
        other => panic!("{other:?}: {error}"),
    }
}

/// Each try is counted, and hands over the parameters.
fn check_calls(work: &WorkItem, calls: &[Call]) {
    assert!(calls.len() <= usize::try_from(*limits::ATTEMPTS.end()).expect("185"));
    let (attempts, age) = (work.process.max_attempts, work.process.max_age_seconds);
    assert!(attempts.is_none_or(|attempts| limits::ATTEMPTS.contains(&attempts)), "{attempts:?}");
    assert!(age.is_none_or(|age| limits::AGE_SECONDS.contains(&age)), "{age:?}");
    for (call, attempt) in calls.iter().zip(1..) {
        let Invocation { target, payload, process, execution_id, scheduled_time, .. } = &call.invocation;
        assert!(
            *process == work.process && *execution_id == work.execution_id && *scheduled_time == work.scheduled_time
        );
        assert!(target.as_str() == &*process.target && call.invocation.attempt == attempt);
        match (payload, &process.parameters) {
            (Some(payload), Some(parameters)) => assert!(parameters.contains("<kairos.") || payload == parameters),
            (payload, parameters) => assert_eq!(payload, parameters),
        }
    }
}

/// A target that answers as it was told.
#[derive(Debug)]
struct Target {
    answers: String,
    clock: ManualClock,
    calls: Mutex<Vec<Call>>,
}

#[derive(Debug)]
struct Call {
    invocation: Invocation,
    was_taken: bool,
}

impl Target {
    /// Notes a call and says how to answer it.
    fn note(&self, invocation: Invocation) -> char {
        let mut answers = self.answers.chars().filter(|answer| "ofdpsh".contains(*answer));
        let mut calls = self.calls.lock().expect("no call panics under the lock");
        let before = calls.iter().filter(|call| call.invocation.execution_id == invocation.execution_id).count();
        let last = answers.clone().next_back().unwrap_or('o');
        let is_neighbour = invocation.target.as_str() == "kairos:task:vecino";
        let answer = if is_neighbour { 'o' } else { answers.nth(before).unwrap_or(last) };
        calls.push(Call { invocation, was_taken: matches!(answer, 'o' | 's') });
        answer
    }
}

#[async_trait]
impl Invoker for Target {
    async fn invoke(&self, invocation: Invocation) -> Result<()> {
        match self.note(invocation) {
            'f' => Err(Error::new(ErrorKind::Throttled, "busy")),
            'd' => Err(Error::new(ErrorKind::Denied, "not you")),
            // Not with a panic's hook, which ends the fuzzer.
            'p' => std::panic::resume_unwind(Box::new("a bug")),
            's' => {
                self.clock.sleep(Duration::from_secs(600)).await;
                Ok(())
            }
            'h' => {
                self.clock.sleep_until(Timestamp::MAX).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn capabilities(&self) -> InvokerCapabilities {
        InvokerCapabilities::default()
    }
}
