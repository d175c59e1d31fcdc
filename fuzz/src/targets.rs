//! Names of targets and roles.

use kairos::{Arn, ArnError, Policy, Registration, Target, TargetError, TargetKind};

use crate::refusal::{breaks_line, check_error, check_line, check_place, disguises_line};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:f";
const ACCOUNT: &str = "123456789012";

/// A name is taken apart and is the same when put together again, or refused in a line that points into it.
pub fn targets(text: &str) {
    arn(text);
    target(text);
    task(text);
    role(text);
}

fn arn(text: &str) {
    match Arn::parse(text) {
        Ok(arn) => {
            assert!(arn.as_str() == text && arn.to_string() == text && Arn::parse(text) == Ok(arn.clone()));
            assert!(text.len() <= Arn::MAX_LEN);
            check_line(text);
            let parts = [arn.partition(), arn.service(), arn.region(), arn.account(), arn.resource()];
            assert_eq!(format!("arn:{}", parts.join(":")), text);
        }
        Err(error) => arn_refused(text, &error),
    }
}

fn arn_refused(text: &str, error: &ArnError) {
    check_line(&error.to_string());
    if let ArnError::Blank { at } = error {
        check_place(text, *at);
        assert!(text[*at..].starts_with(|c: char| c.is_whitespace() || breaks_line(c) || disguises_line(c)));
    }
}

fn target(text: &str) {
    match Target::parse(text) {
        Ok(target) => {
            assert!(target.as_str() == text && target.to_string() == text && Target::parse(text) == Ok(target.clone()));
            check_line(text);
            assert_eq!(target.task().is_some(), target.kind() == TargetKind::Task);
            assert_eq!(target.arn().is_some(), target.kind().needs_role());
            if let Some(arn) = target.arn() {
                check_parts(arn);
            }
        }
        Err(error) => {
            check_line(&error.to_string());
            if let TargetError::Arn(error) = &error {
                arn_refused(text, error);
            }
        }
    }
}

/// What becomes part of a URL means nothing there.
fn check_parts(arn: &Arn) {
    let is_host = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    assert!(is_host(arn.partition()) && is_host(arn.region()) && !arn.region().is_empty(), "{arn}");
    assert!(arn.account().len() == 12 && arn.account().bytes().all(|b| b.is_ascii_digit()), "{arn}");
    assert!(!arn.resource().contains(['?', '#', '%', '\\', '&']), "{arn}");
    if arn.service() != "states" {
        assert!(arn.resource().split(['/', ':']).all(|part| part.bytes().any(|b| b != b'.')), "{arn}");
    }
}

fn task(name: &str) {
    match Target::for_task(name) {
        Ok(target) => assert_eq!(target.task(), Some(name)),
        Err(error) => check_line(&error.to_string()),
    }
}

/// A role that is let in is let in by a prefix of itself, and by no other.
fn role(text: &str) {
    let registration = Registration::new("a", "rate(1 day)", FUNCTION).with_role(text);
    if let Err(error) = Policy::default().check(&registration) {
        return check_error(&error, |_| None);
    }
    let (_, name) = text.split_once(":role/").unwrap_or_else(|| panic!("{text:?} is no role"));
    for prefix in [text, name, ""] {
        assert_eq!(Policy::default().with_role_prefix(prefix).check(&registration).map_err(|e| e.to_string()), Ok(()));
    }
    let other = Policy::default().with_role_prefix(format!("{name}-")).check(&registration);
    check_error(&other.expect_err("the name is shorter than the prefix"), |_| None);
    account(text, &registration);
}

/// A role is let in by the account that it names, and by no other.
fn account(role: &str, registration: &Registration) {
    let arn = Arn::parse(role).unwrap_or_else(|error| panic!("{role}: {error}"));
    let both = Policy::default().with_accounts([ACCOUNT, arn.account()]).check(registration);
    assert_eq!(both.map_err(|error| error.to_string()), Ok(()));
    let one = Policy::default().with_accounts([ACCOUNT]).check(registration);
    assert_eq!(one.is_ok(), arn.account() == ACCOUNT, "{role}");
    if let Err(error) = one {
        check_error(&error, |_| None);
        assert!(error.faults().iter().all(|fault| fault.field == "arnRol"), "{error}");
    }
}
