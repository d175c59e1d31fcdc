//! The tasks that the local program runs itself, as `kairos:task:NAME`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kairos::clock::{Clock, ClockExt as _};
use kairos::{Error, ErrorKind, Tasks};

/// - `ok` succeeds;
/// - `fails` fails for good;
/// - `flaky` fails at the first try of each execution, and succeeds at the next;
/// - `slow` takes five seconds.
#[must_use]
pub fn built_in(clock: Arc<dyn Clock>) -> Tasks {
    Tasks::new()
        .with("ok", |_| async { Ok(()) })
        .with("fails", |_| async { Err(Error::new(ErrorKind::Rejected, "this task always fails")) })
        .with("flaky", |invocation| async move {
            match invocation.attempt {
                1 => Err(Error::new(ErrorKind::Failed, "this task fails at its first try")),
                _ => Ok(()),
            }
        })
        .with("slow", move |_| {
            let clock = clock.clone();
            async move {
                clock.sleep(Duration::from_secs(5)).await;
                Ok(())
            }
        })
}

/// The same, and a task that succeeds for each of the names that is not among them: a stand-in for code of other programs.
#[must_use]
pub fn with_stand_ins(clock: Arc<dyn Clock>, names: BTreeSet<String>) -> Tasks {
    let known = kairos::backend::Invoker::capabilities(&built_in(clock.clone())).tasks;
    names
        .into_iter()
        .filter(|name| !known.contains(name))
        .fold(built_in(clock), |tasks, name| tasks.with(name, |_| async { Ok(()) }))
}
