//! How a program that embeds Kairos tests its own use of a backend: with the mocks of feature `mock`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use kairos::backend::{MockQueue, MockStore, QueueLimits};
use kairos::clock::SystemClock;
use kairos::dispatcher::{DispatchRequest, Dispatcher};
use kairos::page::Page;
use kairos::{Error, ErrorKind};

#[tokio::test]
async fn a_schedule_without_processes_sends_nothing() {
    let mut store = MockStore::new();
    store.expect_list_processes().once().returning(|_, _| Ok(Page::last(Vec::new())));
    let mut queue = MockQueue::new();
    queue.expect_limits().return_const(QueueLimits::new(10));
    queue.expect_send().never();
    let dispatcher = Dispatcher::new(Arc::new(store), Arc::new(queue), Arc::new(SystemClock));
    let request = DispatchRequest::new("calendarizacion-x".into(), jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(dispatcher.dispatch(&request).await.unwrap().queued, 0);
}

#[tokio::test]
async fn an_error_of_the_store_is_the_dispatcher_s() {
    let mut store = MockStore::new();
    store.expect_list_processes().once().returning(|_, _| Err(Error::new(ErrorKind::Denied, "not you")));
    let dispatcher = Dispatcher::new(Arc::new(store), Arc::new(MockQueue::new()), Arc::new(SystemClock));
    let request = DispatchRequest::new("calendarizacion-x".into(), jiff::Timestamp::UNIX_EPOCH);
    let error = dispatcher.dispatch(&request).await.unwrap_err();
    assert_eq!(error.to_string(), "dispatch calendarizacion-x: not you");
}
