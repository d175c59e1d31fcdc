//! What errors say is written to logs, headers and message attributes: it is one line there, whatever it quotes.

use kairos::backend::DeadLetterReason;
use kairos::executor::Verdict;
use kairos::{Error, ErrorKind, Failure, Fault, ProcessId};
use serde_json::json;

use crate::support::*;

/// One of each: ends of line to some reader, what turns text around, what XML and HTTP do not carry.
const HOSTILE: &str = "x\r\nSet-Cookie: a=b\n\n<html>\u{0}\u{8}\t\u{1b}[2J\u{7f}\u{85}\u{9c}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{fffe}\u{ffff}";

#[test]
fn an_error_is_one_line_wherever_hostile_text_stands_in_it() {
    let fault = || Fault { field: "nombre", message: HOSTILE.into(), at: Some(3) };
    for error in [
        Error::new(ErrorKind::Failed, HOSTILE),
        Error::new(ErrorKind::Failed, "m").about(HOSTILE),
        Error::new(ErrorKind::Failed, "m").with_source(HOSTILE),
        Error::new(ErrorKind::Failed, "m")
            .with_source(std::io::Error::other(Error::new(ErrorKind::Failed, "n").with_source(HOSTILE))),
        Error::invalid(vec![Fault::new("nombre", HOSTILE), fault()]),
        Error::new(ErrorKind::Conflict, "m").with_faults(vec![fault()]),
    ] {
        assert_line(&error.to_string());
        let failure = Failure::from(&error);
        assert_line(&failure.text);
        assert!(failure.text.len() <= Failure::MAX_TEXT);
    }
    assert_line(&fault().to_string());
}

#[test]
fn an_error_of_a_name_is_one_bounded_line_by_itself() {
    for prefix in
        ["", "kairos:task:", "https://", "https://example.com/", "arn:aws:lambda:us-east-1:123456789012:", "arn:aws:"]
    {
        for text in [HOSTILE, &"x".repeat(1_000_000), "\u{202e}", &"\n".repeat(1_000)] {
            let name = format!("{prefix}{text}");
            // What is plain may be a sound endpoint, but for its length.
            assert_line(&kairos::Target::parse(&name).unwrap_err().to_string());
            if let Err(error) = kairos::Arn::parse(&name) {
                assert_line(&error.to_string());
            }
        }
    }
}

#[test]
fn what_is_escaped_can_still_be_told() {
    let error = Error::new(ErrorKind::Failed, "función «ñ»: a\nb\tc\u{202e}d");
    assert_eq!(error.to_string(), r"función «ñ»: a\nb\tc\u{202e}d");
}

#[tokio::test]
async fn a_dead_letter_says_what_it_was_about_in_one_bounded_line_each() {
    let world = World::new();
    for (index, target) in
        [HOSTILE.to_string(), "x".repeat(1_000_000), format!("kairos:task:{HOSTILE}")].into_iter().enumerate()
    {
        let name = format!("p{index}");
        let changes =
            json!({"ArnProceso": target, "Nombre": name, "IdProceso": ProcessId::of(&name), "IdEjecucion": null});
        world.refuses(text(&changes)).await;
        let DeadLetterReason { target, process_id, failure, .. } = world.queue.dead_letters().pop().unwrap().reason;
        assert_line(&target.unwrap());
        assert_eq!(process_id, Some(ProcessId::of(&name)));
        assert!(failure.text.len() <= Failure::MAX_TEXT);
    }
    // Whoever writes a target that fails writes what it says.
    for name in ["a", "b"] {
        let target = format!("arn:aws:sqs:us-east-1:123456789012:{name}");
        world.targets.respond(target.as_str(), |_| Err(Error::new(ErrorKind::Rejected, HOSTILE).with_source(HOSTILE)));
        let changes =
            json!({"ArnProceso": target, "Nombre": name, "IdProceso": ProcessId::of(name), "IdEjecucion": null});
        let Verdict::Dead(failure) = world.execute_text(&message(&changes).to_string()).await else {
            panic!("it is rejected")
        };
        assert_line(&failure.text);
    }
}

#[tokio::test]
async fn what_a_panic_says_is_one_line() {
    let world = World::new();
    let verdict = world.execute_text(&message(&json!({"ArnProceso": "kairos:task:panic"})).to_string()).await;
    let Verdict::Retrying { failure, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(failure.text, r"the target's code panicked: a\nb\u{202e}");
}

#[tokio::test]
async fn what_a_conflict_shows_of_both_definitions_is_one_line() {
    let world = World::new();
    world
        .scheduler
        .register(&lambda("a").with_description(HOSTILE.replace(['\u{fffe}', '\u{ffff}'], "")))
        .await
        .unwrap();
    let error = world.scheduler.register(&lambda("a").with_description("\u{202e}")).await.unwrap_err();
    assert_eq!((error.kind(), &faults(&error)[..]), (ErrorKind::Conflict, &["descripcion"][..]));
}
