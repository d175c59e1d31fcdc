//! The conformance suites on the in-memory backend, and on backends that each have one flaw, which the suites must find.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, also in the functions that they share")]

#[path = "conformance/harness.rs"]
mod harness;
#[path = "conformance/mutants/mod.rs"]
mod mutants;

use std::sync::Arc;
use std::time::Duration;

use harness::{Targets, Timed, clock};
use kairos::backend::{Invoker, QueueLimits};
use kairos::conformance::{self, Report};
use kairos::{Tasks, limits};
use kairos_memory::{MemoryHistory, MemoryInvoker, MemoryQueue, MemoryStore};

/// That nothing is passed over unnoticed.
fn assert_not_applicable(report: &Report, expected: &[&str]) {
    let cases: Vec<_> = report.not_applicable.iter().map(|(case, _)| *case).collect();
    assert_eq!(cases, expected, "{report}");
    assert!(!report.cases.is_empty(), "{report}");
}

#[tokio::test]
async fn the_store_conforms_also_the_second_time() {
    let store = MemoryStore::new();
    for _ in 0..2 {
        assert_not_applicable(&conformance::store(&store).await, &[]);
    }
}

#[tokio::test]
async fn the_triggers_conform_also_the_second_time() {
    let timed = Timed::new(clock());
    for _ in 0..2 {
        assert_not_applicable(&conformance::schedules(&timed).await, &[]);
    }
}

#[tokio::test]
async fn the_queue_conforms_also_the_second_time() {
    let clock = clock();
    let queue = MemoryQueue::new(Arc::new(clock.clone()));
    for _ in 0..2 {
        let report = conformance::queue(&queue, &queue, &clock).await;
        assert_not_applicable(&report, &["a_batch_of_too_many_bytes_is_refused", "a_batch_of_the_most_bytes_is_taken"]);
    }
}

/// The limits of the service that it stands for.
#[tokio::test]
async fn the_queue_conforms_with_small_batches() {
    let clock = clock();
    let queue = MemoryQueue::new(Arc::new(clock.clone()))
        .with_limits(QueueLimits::new(10).with_batch_bytes(limits::MESSAGE))
        .with_visibility_timeout(Duration::from_secs(2));
    assert_not_applicable(&conformance::queue(&queue, &queue, &clock).await, &[]);
}

#[tokio::test]
async fn the_history_conforms_also_the_second_time() {
    let (history, clock) = (MemoryHistory::new(), clock());
    for _ in 0..2 {
        assert_not_applicable(&conformance::history(&history, &clock).await, &[]);
    }
}

#[tokio::test]
async fn the_invoker_conforms_also_the_second_time() {
    let targets = Targets::new(Arc::new(MemoryInvoker::new(Arc::new(clock()))));
    for _ in 0..2 {
        assert_not_applicable(&conformance::invoker(&targets).await, &["a_task_that_is_not_registered_is_refused"]);
    }
}

#[tokio::test]
async fn tasks_before_other_targets_conform() {
    let memory = Arc::new(MemoryInvoker::new(Arc::new(clock())));
    let tasks: Arc<dyn Invoker> =
        Arc::new(Tasks::new().with("saludo", |_| async { Ok(()) }).with_others(memory.clone()));
    let targets = Targets::new(memory).behind(tasks);
    assert_not_applicable(&conformance::invoker(&targets).await, &["a_kind_that_is_not_covered_is_unsupported"]);
}
