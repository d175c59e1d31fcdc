//! What triggers send to the dispatcher.

use std::sync::Arc;

use jiff::Timestamp;
use kairos::clock::ManualClock;
use kairos::dispatcher::DispatchRequest;
use kairos::{Dispatcher, ErrorKind, TriggerInput};
use kairos_memory::{MemoryQueue, MemoryStore};

use crate::driving::at_once;
use crate::ids::may_be_id;
use crate::refusal::check_error;
use crate::stored::check_round_trip;

/// An input is read, written and read again as the same, and dispatches nothing where there is no such schedule; or it is malformed.
pub fn triggers(text: &str) {
    let input = match TriggerInput::from_json(text) {
        Ok(input) => input,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Malformed);
            return check_error(&error, |_| None);
        }
    };
    check_round_trip(&input);
    assert!(may_be_id(input.schedule_id.as_str()), "{input:?}");

    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let queue = Arc::new(MemoryQueue::new(clock.clone()));
    let dispatcher = Dispatcher::new(Arc::new(MemoryStore::new()), queue.clone(), clock);
    let has_cursor = input.cursor.is_some();
    match at_once(dispatcher.dispatch(&DispatchRequest::of_trigger(input, Timestamp::UNIX_EPOCH))) {
        Ok(_) => {}
        Err(error) => {
            assert!(has_cursor && error.kind() == ErrorKind::Malformed, "{error}");
            check_error(&error, |_| None);
        }
    }
    assert!(queue.is_empty());
}
