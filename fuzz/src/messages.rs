//! Bodies of queue messages.

use jiff::Timestamp;
use kairos::{Body, ErrorKind, ExecutionId, Origin, ProcessId, WorkItem};
use serde::Deserialize;

use crate::ids::may_be_id;
use crate::input;
use crate::refusal::{breaks_line, check_error};

/// A body asks for an execution by ids that belong together, and asks for the same one when it is written and read again; or it is
/// malformed.
pub fn messages(text: &str) {
    let text = &*input::message(text);
    let body = Body::from_json(text);
    assert_eq!(body.to_json(), text);
    let work = match body.work("message", Timestamp::UNIX_EPOCH) {
        Ok(work) => work,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Malformed);
            return check_error(&error, |_| None);
        }
    };
    let is_older = is_older(text);
    check_ids(&work, is_older);
    let other = body.work("another", Timestamp::UNIX_EPOCH).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(other.execution_id != work.execution_id, is_older, "{text}");

    let written = Body::from(work.clone());
    let text = written.to_json().into_owned();
    assert_eq!(written, Body::from_json(text.as_str()));
    // Under another id, at another time: nothing of what was read is still left to these.
    for again in [&written, &Body::from_json(text.as_str())].map(|body| body.work("another", Timestamp::MAX)) {
        if is_older && work.origin != Origin::Manual {
            // Its id came from the message: in writing it is one that anybody could have made up.
            let error = again.expect_err(&text);
            assert!(error.kind() == ErrorKind::Malformed && error.faults()[0].field == "idEjecucion", "{error}");
            check_error(&error, |_| None);
        } else {
            let again = again.unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(again, work);
            assert_eq!(Body::from(again).to_json(), text);
        }
    }
}

/// What the older dispatcher does not write.
#[derive(Deserialize)]
struct Names {
    #[serde(rename = "FechaProgramada", default)]
    scheduled_time: Option<String>,
    #[serde(rename = "IdEjecucion", default)]
    execution_id: Option<String>,
}

/// Whether a body names neither time nor id.
fn is_older(text: &str) -> bool {
    let names: Names = serde_json::from_str(text).expect("it was read before");
    names.execution_id.is_none() && names.scheduled_time.is_none_or(|time| time.starts_with("<aws.scheduler."))
}

fn check_ids(work: &WorkItem, is_older: bool) {
    let process = &work.process;
    assert!(process.id == ProcessId::of(&process.name) && !process.name.contains(breaks_line), "{process:?}");
    assert!(may_be_id(process.id.as_str()) && may_be_id(process.schedule_id.as_str()), "{process:?}");
    let belongs = work.execution_id == ExecutionId::of_occurrence(&process.id, work.scheduled_time);
    assert!(belongs != is_older || work.origin == Origin::Manual, "{work:?}");
}
