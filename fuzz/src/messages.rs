//! Bodies of queue messages.

use jiff::Timestamp;
use kairos::{Body, ErrorKind};

use crate::refusal::check_error;

/// A body asks for an execution, and asks for the same one when it is written and read again; or it is malformed.
pub fn messages(text: &str) {
    let body = Body::from_json(text);
    assert_eq!(body.to_json(), text);
    let work = match body.work("message", Timestamp::UNIX_EPOCH) {
        Ok(work) => work,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Malformed);
            return check_error(&error, |_| None);
        }
    };
    let written = Body::from(work.clone());
    let text = written.to_json().into_owned();
    // Under another id, at another time: nothing of what was read is still left to these.
    let again = Body::from_json(text.as_str()).work("another", Timestamp::MAX);
    let again = again.unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(again, work);
    assert_eq!(Body::from(again).to_json(), text);
    assert_eq!(written, Body::from_json(text));
}
