//! Invokers with one flaw each.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kairos::backend::{Invocation, Invoker, InvokerCapabilities};
use kairos::{Error, ErrorKind, ExecutionId, Result, TargetKind, Tasks, conformance};
use kairos_memory::MemoryInvoker;

use super::assert_found;
use crate::harness::{Targets, UNUSED, clock};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    HidesAKind,
    AnswersWithoutCalling,
    CallsTwice,
    RefusesLateTries,
    ChangesPayloads,
    RefusesToRepeat,
    ForgetsTheKey,
    FailsWhenBusy,
    StaysBusyWhenDropped,
    TakesAnyKind,
    RetriesUnknownTasks,
    RetriesMissingTargets,
    TakesMissingTargets,
    ForgetsItsTasks,
}

const FOUND_BY: [(Flaw, &str); 14] = [
    (Flaw::HidesAKind, "every_sample_is_covered"),
    (Flaw::AnswersWithoutCalling, "every_sample_is_taken"),
    (Flaw::CallsTwice, "every_sample_is_taken"),
    (Flaw::RefusesLateTries, "every_try_is_taken"),
    (Flaw::ChangesPayloads, "a_payload_arrives_as_it_is"),
    (Flaw::RefusesToRepeat, "a_repeated_call_succeeds"),
    (Flaw::ForgetsTheKey, "an_idempotent_target_takes_an_execution_once"),
    (Flaw::FailsWhenBusy, "concurrent_calls_are_all_taken"),
    (Flaw::StaysBusyWhenDropped, "a_dropped_call_harms_no_later_one"),
    (Flaw::TakesAnyKind, "a_kind_that_is_not_covered_is_unsupported"),
    (Flaw::RetriesUnknownTasks, "a_task_that_is_not_registered_is_refused"),
    (Flaw::RetriesMissingTargets, "a_missing_target_is_refused_for_good"),
    (Flaw::TakesMissingTargets, "a_missing_target_is_refused_for_good"),
    (Flaw::ForgetsItsTasks, "capabilities_stay"),
];

#[tokio::test]
async fn every_flaw_of_an_invoker_is_found() {
    for (flaw, case) in FOUND_BY {
        let mut memory = MemoryInvoker::new(Arc::new(clock()));
        if matches!(flaw, Flaw::CallsTwice | Flaw::ForgetsTheKey) {
            memory = memory.with_idempotency(0);
        }
        let memory = Arc::new(memory);
        let inner = Tasks::new().with("saludo", |_| async { Ok(()) }).with_others(memory.clone());
        let mutant = Mutant { inner, flaw, seen: Mutex::default(), busy: AtomicBool::new(false) };
        let targets = Targets::new(memory).behind(Arc::new(mutant));
        assert_found(&flaw, case, conformance::invoker(&targets)).await;
    }
}

#[derive(Debug)]
struct Mutant {
    inner: Tasks,
    flaw: Flaw,
    seen: Mutex<BTreeSet<ExecutionId>>,
    busy: AtomicBool,
}

#[async_trait]
impl Invoker for Mutant {
    async fn invoke(&self, invocation: Invocation) -> Result<()> {
        let is_new = self.seen.lock().unwrap().insert(invocation.execution_id);
        let error = |kind| Err(Error::new(kind, "the flaw"));
        let mut invocation = invocation.clone();
        match self.flaw {
            Flaw::AnswersWithoutCalling => return Ok(()),
            Flaw::CallsTwice => self.inner.invoke(invocation.clone()).await?,
            Flaw::RefusesLateTries if invocation.attempt > 100 => return error(ErrorKind::Rejected),
            Flaw::ChangesPayloads => invocation.payload = invocation.payload.map(|text| text.replace(' ', "").into()),
            Flaw::RefusesToRepeat if !is_new => return error(ErrorKind::Conflict),
            Flaw::FailsWhenBusy | Flaw::StaysBusyWhenDropped => {
                // Waits its turn, or does not; but a call that is dropped never gives it on.
                let mut patience = if self.flaw == Flaw::FailsWhenBusy { 0 } else { 1_000 };
                while self.busy.swap(true, Ordering::Relaxed) {
                    if patience == 0 {
                        return error(ErrorKind::Busy);
                    }
                    patience -= 1;
                    tokio::task::yield_now().await;
                }
                tokio::task::yield_now().await;
                let result = self.inner.invoke(invocation.clone()).await;
                self.busy.store(false, Ordering::Relaxed);
                return result;
            }
            Flaw::TakesAnyKind if invocation.target.kind() == UNUSED => return Ok(()),
            _ => {}
        }
        if !self.capabilities().kinds.contains(&invocation.target.kind()) {
            return error(ErrorKind::Unsupported);
        }
        match (self.flaw, self.inner.invoke(invocation.clone()).await) {
            (Flaw::RetriesUnknownTasks, Err(_)) if invocation.target.task().is_some() => error(ErrorKind::Unavailable),
            (Flaw::RetriesMissingTargets, Err(_)) if invocation.target.kind() == TargetKind::Lambda => {
                error(ErrorKind::Timeout)
            }
            (Flaw::TakesMissingTargets, Err(_)) if invocation.target.task().is_none() => Ok(()),
            (_, result) => result,
        }
    }

    fn capabilities(&self) -> InvokerCapabilities {
        let mut capabilities = self.inner.capabilities();
        match self.flaw {
            Flaw::HidesAKind => drop(capabilities.kinds.remove(&TargetKind::Sns)),
            Flaw::TakesAnyKind => drop(capabilities.kinds.remove(&UNUSED)),
            Flaw::ForgetsItsTasks => drop(capabilities.kinds.remove(&TargetKind::Task)),
            _ => {}
        }
        capabilities
    }
}
