//! Targets that answer as they are told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::Arc;

use common::{clock, now, process, secs};
use kairos::backend::{Invocation, Invoker};
use kairos::clock::Clock as _;
use kairos::{ErrorKind, ExecutionId, Result, Target, TargetKind, Tasks};
use kairos_memory::{Answer, Call, MemoryInvoker};

const VENTAS: &str = "arn:aws:lambda:us-east-1:123456789012:function:ventas";
const AVISOS: &str = "arn:aws:sns:us-east-1:123456789012:avisos";

fn invocation(target: &str, key: &str) -> Invocation {
    let process = process("a", "calendarizacion-x", true);
    let id = ExecutionId::of_request(&process.id, key);
    Invocation::new(Target::parse(target).unwrap(), process, id, common::at(common::START))
}

fn invoke(invoker: &dyn Invoker, target: &str, key: &str) -> Result<(), ErrorKind> {
    now(invoker.invoke(invocation(target, key))).map_err(|error| error.kind())
}

#[test]
fn every_kind_but_tasks_is_taken_and_recorded() {
    let (clock, shared) = clock();
    let invoker = MemoryInvoker::new(shared);
    clock.advance(secs(5));
    for (target, kind) in [
        (VENTAS, TargetKind::Lambda),
        ("arn:aws:states:us-east-1:123456789012:stateMachine:cierre", TargetKind::StepFunctions),
        (AVISOS, TargetKind::Sns),
        ("arn:aws:sqs:us-east-1:123456789012:pedidos", TargetKind::Sqs),
        ("arn:aws:ecs:us-east-1:123456789012:cluster/lotes", TargetKind::Ecs),
        ("arn:aws:events:us-east-1:123456789012:event-bus/default", TargetKind::EventBus),
        ("arn:aws:kinesis:us-east-1:123456789012:stream/clics", TargetKind::Kinesis),
        ("arn:aws:firehose:us-east-1:123456789012:deliverystream/clics", TargetKind::Firehose),
        ("https://example.com/hook", TargetKind::Https),
    ] {
        assert_eq!(invoke(&invoker, target, target), Ok(()));
        let Call { kind: called, invocation: recorded, at, answer, .. } = invoker.calls().pop().unwrap();
        assert_eq!((called, recorded, at, answer), (kind, invocation(target, target), clock.now(), Answer::Taken));
        assert!(invoker.capabilities().kinds.contains(&kind));
    }
    assert_eq!(invoke(&invoker, "kairos:task:a", "x"), Err(ErrorKind::Unsupported));
    assert_eq!(invoker.total().taken, 9);
    let tasks = Tasks::new().with("a", |_| async { Ok(()) }).with_others(Arc::new(invoker));
    assert_eq!((invoke(&tasks, "kairos:task:a", "x"), invoke(&tasks, VENTAS, "y")), (Ok(()), Ok(())));
}

#[test]
fn targets_fail_as_they_are_told() {
    let (_, shared) = clock();
    let invoker = MemoryInvoker::new(shared);
    invoker.fail_always("*", ErrorKind::Timeout);
    invoker.fail_times("arn:aws:lambda:*", 2, ErrorKind::Throttled);
    invoker.respond("arn:*:sns:*avisos", |invocation| match invocation.attempt {
        1 => Err(kairos::Error::new(ErrorKind::Rejected, "not the first")),
        _ => Ok(()),
    });
    let answers = ["1", "1", "1", "2"].map(|key| invoke(&invoker, VENTAS, key));
    assert_eq!(answers, [Err(ErrorKind::Throttled), Err(ErrorKind::Throttled), Ok(()), Ok(())]);
    assert_eq!(invoke(&invoker, AVISOS, "3"), Err(ErrorKind::Rejected));
    assert_eq!(now(invoker.invoke(invocation(AVISOS, "3").with_attempt(2))).map_err(|error| error.kind()), Ok(()));
    assert_eq!(invoke(&invoker, "https://example.com/", "4"), Err(ErrorKind::Timeout));
    // What was taken stays taken.
    invoker.fail_always(VENTAS, ErrorKind::Denied);
    assert_eq!((invoke(&invoker, VENTAS, "1"), invoke(&invoker, VENTAS, "5")), (Ok(()), Err(ErrorKind::Denied)));
    let counts = invoker.counts(VENTAS);
    assert_eq!((counts.taken, counts.duplicates, counts.failed), (2, 1, 3));
    assert_eq!(invoker.counts("https://example.com/").failed, 1);
    assert_eq!(invoker.counts("https://example.org/"), kairos_memory::Counts::default());
}

#[test]
fn patterns_fit_from_end_to_end() {
    let (_, shared) = clock();
    let fits = |pattern: &str| {
        let invoker = MemoryInvoker::new(shared.clone());
        invoker.fail_always(pattern, ErrorKind::Failed);
        invoke(&invoker, VENTAS, "x").is_err()
    };
    for pattern in
        [VENTAS, "*", "**", "arn:*", "*ventas", "arn:*lambda*ventas", "*:lambda:*", "*ventas*", "arn*arn*ventas"]
    {
        assert_eq!(fits(pattern), pattern != "arn*arn*ventas", "{pattern}");
    }
    for pattern in ["", "arn:", "ventas", "*venta", "rn:*", "*ventas*ventas", "arn:aws:lambda:*lambda*"] {
        assert!(!fits(pattern), "{pattern}");
    }
}

#[test]
fn recording_is_bounded_and_counting_is_not() {
    let (_, shared) = clock();
    let silent = MemoryInvoker::new(shared.clone()).with_recording(0);
    let bounded = MemoryInvoker::new(shared).with_recording(2).with_idempotency(3);
    for key in ["a", "b", "c", "d", "b", "a"] {
        invoke(&silent, VENTAS, key).unwrap();
        invoke(&bounded, VENTAS, key).unwrap();
    }
    assert_eq!((silent.calls().len(), silent.counts(VENTAS).taken, silent.counts(VENTAS).duplicates), (0, 4, 2));
    let answers: Vec<_> = bounded.calls().iter().map(|call| call.answer).collect();
    assert_eq!(answers, [Answer::Duplicate, Answer::Taken], "the oldest is forgotten first");
    assert_eq!(bounded.total().taken, 5);
}

#[test]
fn of_two_calls_at_once_one_is_a_duplicate() {
    let (_, shared) = clock();
    let invoker = MemoryInvoker::new(shared);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for key in 0..200 {
                    invoke(&invoker, VENTAS, &key.to_string()).unwrap();
                }
            });
        }
    });
    assert_eq!((invoker.total().taken, invoker.total().duplicates), (200, 600));
}
