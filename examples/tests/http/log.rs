//! What is logged in a test: on its own thread, as each test has a runtime of one thread.
//!
//! One subscriber for all tests, before the first of them logs. `tracing` finds out once for the whole program whether anybody wants a line; with a
//! subscriber for the thread of one test, the answer depends on whose thread comes to that line first.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

thread_local! {
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// To be called before anything is logged.
pub(crate) fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing_subscriber::fmt().with_writer(|| ThisThread).with_ansi(false).init());
}

/// What has been logged on this thread.
pub(crate) fn logged() -> String {
    LOGGED.with_borrow(|logged| String::from_utf8(logged.clone()).unwrap())
}

struct ThisThread;

impl Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
