//! Targets and roles of other accounts, and targets that nobody calls.

use kairos::backend::InvokerCapabilities;
use kairos::{ErrorKind, Policy, Registration, TargetKind};
use serde_json::json;

use crate::support::*;

/// The faults of a registration, which are the ones of the execution, and the kind of error that the latter ends in.
fn both_ends(policy: &Policy, target: &str, role: &str) -> (Vec<&'static str>, Option<ErrorKind>) {
    let mut registration = Registration::new("ventas", "rate(1 day)", target).with_parameters("{}");
    registration.role = (!role.is_empty()).then(|| role.into());
    let registered = policy.check(&registration);
    let executed = policy.admit(&process(&json!({"ArnProceso": target, "ArnRol": role})));
    let found = registered.as_ref().map_or_else(faults, |()| Vec::new());
    if let Err(executed) = &executed {
        let first = faults(executed);
        assert!(first.len() == 1 && found.contains(&first[0]), "{target} {role}: {found:?} but {first:?}");
    }
    assert_eq!(registered.is_ok(), executed.is_ok(), "{target} {role}");
    (found, executed.err().map(|error| error.kind()))
}

#[test]
fn only_the_accounts_that_are_listed_are_let_in() {
    let policy = Policy::default().with_accounts(["123456789012", "210987654321"]);
    let ours = "arn:aws:sqs:us-east-1:123456789012:pedidos";
    let theirs = "arn:aws:sqs:us-east-1:999999999999:pedidos";
    let foreign_role = "arn:aws:iam::999999999999:role/kairos-ventas";
    let denied = Some(ErrorKind::Denied);
    let invalid = Some(ErrorKind::Invalid);
    for (target, role, fields, kind) in [
        (ours, ROLE, vec![], None),
        ("arn:aws-cn:sns:cn-north-1:210987654321:avisos", ROLE, vec![], None),
        (theirs, ROLE, vec!["arnProceso"], denied),
        (ours, foreign_role, vec!["arnRol"], denied),
        (theirs, foreign_role, vec!["arnProceso", "arnRol"], denied),
        // An account of the service's own, or none, is none that could be listed.
        ("arn:aws:sqs:us-east-1:aws:pedidos", ROLE, vec!["arnProceso"], invalid),
        ("arn:aws:sqs:us-east-1::pedidos", ROLE, vec!["arnProceso"], invalid),
        ("arn:aws:states:::lambda:invoke", ROLE, vec!["arnProceso"], invalid),
        (ours, "arn:aws:iam::aws:role/kairos-ventas", vec!["arnRol"], denied),
        (ours, "arn:aws:iam:::role/kairos-ventas", vec!["arnRol"], denied),
        // Tasks and endpoints are of no account; a role they name is of one.
        ("kairos:task:informe", "", vec![], None),
        ("https://example.com/", "", vec![], None),
        ("kairos:task:informe", foreign_role, vec!["arnRol"], denied),
        // An account that is named elsewhere is not the one that is called.
        ("arn:aws:lambda:us-east-1:999999999999:function:123456789012", ROLE, vec!["arnProceso"], denied),
    ] {
        assert_eq!(both_ends(&policy, target, role), (fields, kind), "{target} {role}");
        if kind == denied && role == ROLE {
            assert_eq!(both_ends(&Policy::default(), target, role), (vec![], None), "all accounts, if none is listed");
        }
    }
    let error = policy.check(&lambda("a").with_role(foreign_role)).unwrap_err();
    let told = "arnRol: is of account 999999999999, which is not let in; those that are: 123456789012, 210987654321";
    assert!(error.to_string().ends_with(told), "{error}");
}

#[test]
fn a_list_of_what_is_no_account_lets_nothing_in() {
    for listed in [vec![], vec![""], vec!["aws"], vec!["*"], vec!["1234-5678-9012"], vec![" 123456789012"]] {
        let policy = Policy::default().with_accounts(listed.clone());
        let (fields, kind) = both_ends(&policy, LAMBDA, ROLE);
        assert_eq!((fields, kind), (vec!["arnProceso", "arnRol"], Some(ErrorKind::Denied)), "{listed:?}");
        assert_eq!(both_ends(&policy, "arn:aws:sqs:us-east-1:aws:q", ROLE).1, Some(ErrorKind::Invalid));
        assert_eq!(both_ends(&policy, "arn:aws:sqs:us-east-1::q", ROLE).1, Some(ErrorKind::Invalid));
    }
}

#[tokio::test]
async fn a_message_for_another_account_lies_with_the_dead_letters() {
    let world = World::with_policy(Policy::default().with_accounts(["123456789012"]));
    let theirs = json!({"ArnProceso": "arn:aws:lambda:us-east-1:999999999999:function:ventas"});
    let failure = world.refuses(text(&theirs)).await;
    assert_eq!(failure.kind, "denied");
    assert!(failure.text.contains("arnProceso: is of account 999999999999"), "{}", failure.text);
}

#[tokio::test]
async fn a_message_for_a_target_that_nobody_calls_lies_with_the_dead_letters() {
    let mut targets = InvokerCapabilities::new([TargetKind::Task, TargetKind::Sqs]);
    targets.tasks.insert("informe".into());
    let policy = Policy::default().with_targets(targets);
    for (target, known) in [(LAMBDA, "sqs, kairos:task"), ("kairos:task:otra", "informe")] {
        let (fields, kind) = both_ends(&policy, target, ROLE);
        assert_eq!((&fields[..], kind), (&["arnProceso"][..], Some(ErrorKind::Unsupported)));
        let world = World::with_policy(policy.clone());
        let failure = world.refuses(text(&json!({"ArnProceso": target}))).await;
        assert_eq!(failure.kind, "unsupported");
        assert!(failure.text.contains(known), "{}", failure.text);
    }
}
