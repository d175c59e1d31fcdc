//! Executing: once per occurrence, one bad message harms no other, recording never fails running.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use kairos::backend::*;
use kairos::clock::{Clock as _, ClockExt as _};
use kairos::executor::{Executor, ExecutorConfig, Verdict};
use kairos::{
    Error, ErrorKind, Execution, ExecutionId, ExecutionState, Origin, Owner, Policy, ProcessId, Registration, Result,
    Tasks, WorkItem,
};
use kairos_memory::MemoryHistory;

use crate::support::*;

const DUE: &str = "2026-01-01T00:00:00Z";

/// What the tasks of these tests were called with.
type Calls = Arc<Mutex<Vec<Invocation>>>;

pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) history: Arc<MemoryHistory>,
    calls: Calls,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { world: World::new(), history: Arc::new(MemoryHistory::new()), calls: Calls::default() }
    }

    /// `ok`; `never`: refused for good; `later`: fails at the first two tries; `slow`: takes ten minutes; `panic`.
    fn tasks(&self) -> Tasks {
        let record = |calls: &Calls, invocation: &Invocation| calls.lock().unwrap().push(invocation.clone());
        let calls = || self.calls.clone();
        let clock = self.world.clock.clone();
        let (ok, never, later, slow, panic) = (calls(), calls(), calls(), calls(), calls());
        Tasks::new()
            .with("ok", move |invocation| {
                record(&ok, &invocation);
                async { Ok(()) }
            })
            .with("never", move |invocation| {
                record(&never, &invocation);
                async { Err(Error::new(ErrorKind::Denied, "not you")) }
            })
            .with("later", move |invocation| {
                record(&later, &invocation);
                let calls = later.lock().unwrap().iter().filter(|call| call.process == invocation.process).count();
                async move { if calls < 3 { Err(Error::new(ErrorKind::Throttled, "busy")) } else { Ok(()) } }
            })
            .with("slow", move |invocation| {
                record(&slow, &invocation);
                let clock = clock.clone();
                async move {
                    clock.sleep(Duration::from_secs(600)).await;
                    Ok(())
                }
            })
            .with("panic", move |invocation| {
                record(&panic, &invocation);
                async { panic!("a bug") }
            })
    }

    pub(crate) fn executor(&self) -> Executor {
        self.executor_without_history().with_history(self.history.clone())
    }

    pub(crate) fn executor_without_history(&self) -> Executor {
        Executor::new(self.world.queue.clone(), Arc::new(self.tasks()), self.world.shared_clock())
            .with_chance(self.world.chance())
    }

    pub(crate) fn work(&self, task: &str) -> WorkItem {
        self.work_of(Registration::new(task, "rate(1 day)", format!("kairos:task:{task}")))
    }

    pub(crate) fn work_of(&self, registration: Registration) -> WorkItem {
        let Registration { name, role, target, parameters, max_attempts, max_age_seconds, .. } = registration;
        let json = serde_json::json!({
            "IdProceso": ProcessId::of(&name), "IdCalendarizacion": "calendarizacion-x",
            "Nombre": name, "ArnRol": role, "ArnProceso": target,
            "Parametros": parameters, "Habilitado": true, "FechaCreacion": DUE,
            "MaximoIntentos": max_attempts, "EdadMaximaSegundos": max_age_seconds,
        });
        let process = serde_json::from_value(json).unwrap();
        WorkItem::of_occurrence(Arc::new(process), at(DUE), Origin::Schedule)
    }

    pub(crate) async fn send(&self, work: &WorkItem) {
        self.world.queue.send(&[Message::new(work.clone())]).await.unwrap().remove(0).unwrap();
    }

    /// Receives and executes what is visible now, once.
    pub(crate) async fn round(&self, executor: &Executor) -> Vec<Verdict> {
        let deliveries = self.world.receive_all().await;
        let report = drive(&self.world.clock, executor.execute(deliveries)).await;
        report.handled.into_iter().map(|handled| handled.verdict).collect()
    }

    /// Rounds, moving the clock to the next visible message, until the queue is empty.
    pub(crate) async fn rounds(&self, executor: &Executor) -> Vec<Verdict> {
        let mut all = Vec::new();
        for _ in 0..100 {
            all.extend(self.round(executor).await);
            if self.world.queue.is_empty() {
                return all;
            }
            self.world.clock.advance(MINUTE);
        }
        panic!("the queue never becomes empty: {all:?}");
    }

    pub(crate) async fn recorded(&self, id: ExecutionId) -> Execution {
        self.history.get(id).await.unwrap().unwrap()
    }

    pub(crate) fn call_count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

#[tokio::test]
async fn the_target_gets_its_parameters_with_the_placeholders_filled_in() {
    let bench = Bench::new();
    let parameters =
        r#"{ "id":"<kairos.execution-id>", "n":<kairos.attempt>, "t":"<kairos.scheduled-time>", "x":"ñ<otra>" }"#;
    let work = bench.work_of(Registration::new("a", "rate(1 day)", "kairos:task:ok").with_parameters(parameters));
    bench.send(&work).await;
    assert_eq!(bench.round(&bench.executor()).await, [Verdict::Succeeded]);
    let call = bench.calls.lock().unwrap()[0].clone();
    let expected = format!(r#"{{ "id":"{}", "n":1, "t":"{DUE}", "x":"ñ<otra>" }}"#, work.execution_id);
    assert_eq!(call.payload.as_deref(), Some(&*expected));
    assert_eq!((call.execution_id, call.scheduled_time), (work.execution_id, at(DUE)));
    let execution = bench.recorded(work.execution_id).await;
    assert_eq!((execution.state, execution.attempts), (ExecutionState::Succeeded, 1));
    assert!(bench.world.queue.is_empty());
}

#[tokio::test]
async fn duplicates_of_an_occurrence_call_the_target_once() {
    let bench = Bench::new();
    let (work, executor) = (bench.work("ok"), bench.executor());
    for _ in 0..5 {
        bench.send(&work).await;
    }
    let verdicts = bench.rounds(&executor).await;
    assert_eq!(bench.call_count(), 1);
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Succeeded).count(), 1);
    bench.send(&work).await;
    assert_eq!(bench.round(&executor).await, [Verdict::Duplicate]);
    assert_eq!(bench.call_count(), 1);
    assert!(executor.counts().duplicates >= 1);
}

#[tokio::test]
async fn a_delivery_that_meets_a_live_claim_comes_back_when_that_has_ended() {
    let bench = Bench::new();
    let (work, executor) = (bench.work("slow"), bench.executor());
    bench.send(&work).await;
    bench.send(&work).await;
    let mut deliveries = bench.world.receive_all().await;
    let second = deliveries.pop().unwrap();
    let mut first = Box::pin(executor.execute(deliveries));
    assert!(futures_util::poll!(&mut first).is_pending());
    let handled = executor.handle(&second).await;
    let lease = ExecutorConfig::default().lease;
    let until = kairos::clock::later(at(DUE), lease);
    assert_eq!(handled.verdict, Verdict::Waiting { until });
    // The first keeps its claim alive for ten minutes, however often the second comes back.
    let report = drive(&bench.world.clock, first).await;
    assert_eq!(report.handled[0].verdict, Verdict::Succeeded);
    assert_eq!(bench.world.clock.now(), kairos::clock::later(at(DUE), Duration::from_secs(600)));
    assert_eq!(bench.rounds(&executor).await, [Verdict::Duplicate]);
    assert_eq!(bench.call_count(), 1);
}

#[tokio::test]
async fn an_executor_that_crashed_is_followed_by_another_once_its_claim_has_ended() {
    let bench = Bench::new();
    let work = bench.work("slow");
    bench.send(&work).await;
    let deliveries = bench.world.receive_all().await;
    let crashed = bench.executor();
    let mut call = Box::pin(crashed.execute(deliveries));
    assert!(futures_util::poll!(&mut call).is_pending());
    drop(call);
    let verdicts = bench.rounds(&bench.executor()).await;
    assert!(
        matches!(verdicts[..], [Verdict::Waiting { .. }, Verdict::Succeeded] | [Verdict::Succeeded]),
        "{verdicts:?}"
    );
    assert_eq!(bench.recorded(work.execution_id).await.attempts, 2);
}

#[tokio::test]
async fn what_crashes_its_executor_each_time_ends_with_the_dead_letters() {
    let bench = Bench::new();
    let work = bench.work("slow");
    bench.send(&work).await;
    for _ in 0..ExecutorConfig::default().max_attempts {
        bench.world.clock.advance(ExecutorConfig::default().lease);
        let deliveries = bench.world.receive_all().await;
        let crashed = bench.executor();
        let mut call = Box::pin(crashed.execute(deliveries));
        assert!(futures_util::poll!(&mut call).is_pending());
    }
    bench.world.clock.advance(ExecutorConfig::default().lease);
    let verdicts = bench.round(&bench.executor()).await;
    assert!(
        matches!(&verdicts[..], [Verdict::Dead(failure)] if failure.text.contains("the last try never came back")),
        "{verdicts:?}"
    );
    assert_eq!(bench.recorded(work.execution_id).await.state, ExecutionState::Dead);
}

#[tokio::test]
async fn a_failure_that_may_pass_comes_back_with_backoff() {
    let bench = Bench::new();
    let work = bench.work("later");
    bench.send(&work).await;
    let executor = bench.executor();
    let verdicts = bench.rounds(&executor).await;
    assert_eq!(verdicts.len(), 3);
    let Verdict::Retrying { failure, at: back } = &verdicts[0] else { panic!("{verdicts:?}") };
    assert_eq!((failure.kind.as_str(), failure.text.as_str()), ("throttled", "busy"));
    let delay = kairos::clock::between(at(DUE), *back);
    assert!(Duration::from_millis(2_500) <= delay && delay <= Duration::from_secs(5), "{delay:?}");
    let execution = bench.recorded(work.execution_id).await;
    assert_eq!((execution.state, execution.attempts, execution.error), (ExecutionState::Succeeded, 3, None));
}

#[tokio::test]
async fn a_failure_that_will_not_pass_goes_to_the_dead_letters_at_once_with_its_reason() {
    let bench = Bench::new();
    let work = bench.work("never");
    bench.send(&work).await;
    let verdicts = bench.round(&bench.executor()).await;
    assert!(matches!(&verdicts[..], [Verdict::Dead(_)]));
    let letters = bench.world.queue.dead_letters();
    assert_eq!(letters.len(), 1);
    let reason = &letters[0].reason;
    assert_eq!((reason.failure.kind.as_str(), reason.failure.text.as_str()), ("denied", "not you"));
    assert_eq!(reason.execution_id, Some(work.execution_id));
    assert_eq!(reason.target.as_deref(), Some("kairos:task:never"));
    assert_eq!((reason.attempts, bench.call_count()), (1, 1));
    assert_eq!(bench.recorded(work.execution_id).await.state, ExecutionState::Dead);
    assert!(bench.world.queue.is_empty());
}

#[tokio::test]
async fn limits_on_tries_and_age_are_the_process_s_own() {
    let bench = Bench::new();
    let limited = |task: &str, attempts: u32| {
        let registration = Registration::new(task, "rate(1 day)", format!("kairos:task:{task}"));
        bench.work_of(registration.with_max_attempts(attempts).with_max_age_seconds(600u64))
    };
    let work = limited("later", 2);
    bench.send(&work).await;
    let verdicts = bench.rounds(&bench.executor()).await;
    assert!(matches!(&verdicts[..], [Verdict::Retrying { .. }, Verdict::Dead(_)]), "{verdicts:?}");

    bench.world.clock.advance(Duration::from_secs(600));
    let late = limited("ok", 9);
    bench.send(&late).await;
    assert_eq!(bench.round(&bench.executor()).await, [Verdict::Skipped]);
    let execution = bench.recorded(late.execution_id).await;
    assert_eq!(execution.state, ExecutionState::Skipped);
    assert!(execution.error.unwrap().text.contains("its limit is 600 s"));
    assert!(bench.world.queue.dead_letters().len() == 1 && bench.world.queue.is_empty());
}

#[tokio::test]
async fn a_redriven_dead_letter_is_tried_anew_and_a_mere_duplicate_is_not() {
    let bench = Bench::new();
    let work = bench.work_of(Registration::new("later", "rate(1 day)", "kairos:task:later").with_max_attempts(1u32));
    bench.send(&work).await;
    let executor = bench.executor();
    assert!(matches!(bench.round(&executor).await[..], [Verdict::Dead(_)]));
    bench.send(&work).await;
    assert_eq!(bench.round(&executor).await, [Verdict::Duplicate]);
    assert_eq!(bench.call_count(), 1);
    assert_eq!(bench.world.queue.redrive(10).await.unwrap(), 1);
    assert!(matches!(bench.round(&executor).await[..], [Verdict::Dead(_)]));
    assert_eq!(bench.call_count(), 2);
    assert_eq!(bench.recorded(work.execution_id).await.attempts, 1, "attempts count from 1 again");
}

#[tokio::test]
async fn one_bad_message_never_harms_another() {
    let bench = Bench::new();
    for task in ["ok", "never", "panic"] {
        bench.send(&bench.work(task)).await;
    }
    for text in ["", "{}", "[1]", "\u{0}", r#"{"IdProceso":"x"}"#] {
        bench.world.queue.inject(text);
    }
    bench.send(&bench.work("unknown")).await;
    let deliveries = bench.world.receive_all().await;
    let count = deliveries.len();
    let executor = bench.executor();
    let report = drive(&bench.world.clock, executor.execute(deliveries)).await;
    assert_eq!((count, report.handled.len()), (9, 9));
    assert_eq!(report.to_return().count(), 1, "the panic comes back");
    let counts = executor.counts();
    assert_eq!((counts.succeeded, counts.retrying, counts.dead), (1, 1, 7));
    let kinds: Vec<_> =
        bench.world.queue.dead_letters().iter().map(|letter| letter.reason.failure.kind.clone()).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "malformed").count(), 5);
}

#[tokio::test]
async fn what_must_not_be_let_in_is_refused_again_at_execution() {
    let bench = Bench::new();
    let config = ExecutorConfig::default().with_policy(Policy::default().with_role_prefix("kairos-"));
    let executor = bench.executor().with_config(config);
    let lambda = "arn:aws:lambda:us-east-1:123456789012:function:f";
    let smuggled = Registration::new("a", "rate(1 day)", lambda).with_role("arn:aws:iam::123456789012:role/admin");
    bench.send(&bench.work_of(smuggled)).await;
    bench.send(&bench.work_of(Registration::new("b", "rate(1 day)", "arn:aws:s3:::cubo"))).await;
    let verdicts = bench.round(&executor).await;
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Dead(_))), "{verdicts:?}");
    let letters = bench.world.queue.dead_letters();
    assert!(letters[0].reason.failure.text.contains("must begin with 'kairos-'"), "{letters:?}");
}

#[tokio::test]
async fn messages_of_the_older_dispatcher_run_once_each() {
    let bench = Bench::new();
    let executor = bench.executor();
    let process = serde_json::to_string(&*bench.work("ok").process).unwrap();
    bench.world.queue.inject(process.as_str());
    bench.world.queue.inject(process.as_str());
    assert_eq!(bench.round(&executor).await, [Verdict::Succeeded, Verdict::Succeeded]);
    assert_eq!(bench.call_count(), 2);
}

#[tokio::test]
async fn without_history_every_delivery_runs() {
    let bench = Bench::new();
    let executor = bench.executor_without_history();
    let work = bench.work("ok");
    bench.send(&work).await;
    bench.send(&work).await;
    assert_eq!(bench.round(&executor).await, [Verdict::Succeeded, Verdict::Succeeded]);
    bench.send(&bench.work("later")).await;
    assert_eq!(bench.rounds(&executor).await.len(), 3, "deliveries count as tries");
}

#[tokio::test]
async fn a_target_that_never_answers_is_given_up() {
    let bench = Bench::new();
    let limit = Duration::from_secs(100);
    let executor = bench.executor().with_config(ExecutorConfig::default().with_call_limit(limit).with_max_attempts(1));
    bench.send(&bench.work("slow")).await;
    let verdicts = bench.round(&executor).await;
    assert!(matches!(&verdicts[..], [Verdict::Dead(failure)] if failure.text.contains("within 100 s")), "{verdicts:?}");
}

/// Every call of history goes wrong in turn.
#[tokio::test]
async fn a_fault_of_history_never_makes_a_target_run_twice_or_not_at_all() {
    for task in ["ok", "later", "never", "slow"] {
        for what in [What::Fail(ErrorKind::Unavailable), What::LoseAnswer, What::Fail(ErrorKind::Denied)] {
            for index in 0.. {
                let bench = Bench::new();
                let faults = Faults::at(index, what);
                let history = Arc::new(Faulty { inner: bench.history.clone(), faults: faults.clone() });
                let executor = bench.executor_without_history().with_history(history);
                bench.send(&bench.work(task)).await;
                bench.rounds(&executor).await;
                let case = format!("{task}, {what:?} at {index}: {:?}", faults.calls.lock().unwrap());
                // A claim that was refused for good is for a person to look at, and to redrive.
                let refused = bench.world.queue.dead_letters();
                if refused.iter().any(|letter| letter.reason.failure.text.contains("it could not be claimed")) {
                    assert_eq!(what, What::Fail(ErrorKind::Denied), "{case}");
                    assert_eq!(bench.world.queue.redrive(1).await.unwrap(), 1);
                    bench.rounds(&executor).await;
                }
                let expected = if task == "later" { 3 } else { 1 };
                assert_eq!(bench.call_count(), expected, "{case}");
                if !faults.happened() {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn an_outcome_that_cannot_be_recorded_is_counted() {
    let bench = Bench::new();
    #[derive(Debug)]
    struct Forgetful(Arc<MemoryHistory>);

    #[async_trait::async_trait]
    impl History for Forgetful {
        async fn claim(&self, claim: &Claim) -> Result<Claimed> {
            self.0.claim(claim).await
        }
        async fn renew(&self, id: ExecutionId, owner: Owner, until: jiff::Timestamp) -> Result<()> {
            self.0.renew(id, owner, until).await
        }
        async fn record(&self, _: &Outcome) -> Result<()> {
            Err(Error::new(ErrorKind::Unavailable, "down"))
        }
        async fn get(&self, id: ExecutionId) -> Result<Option<Execution>> {
            self.0.get(id).await
        }
        async fn list(
            &self,
            filter: &ExecutionFilter,
            page: &kairos::page::PageRequest,
        ) -> Result<kairos::page::Page<Execution>> {
            self.0.list(filter, page).await
        }
    }

    let executor = bench.executor_without_history().with_history(Arc::new(Forgetful(bench.history.clone())));
    bench.send(&bench.work("ok")).await;
    assert_eq!(bench.round(&executor).await, [Verdict::Succeeded]);
    assert_eq!((executor.counts().unrecorded, bench.call_count()), (1, 1));
    assert!(bench.world.queue.is_empty());
}
