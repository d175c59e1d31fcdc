//! Tasks: async Rust functions of the embedding program, run as the target `kairos:task:NAME`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::{Future, ready};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::backend::{Invocation, Invoker, InvokerCapabilities, ProcessFilter, Store};
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::page::PageRequest;
use crate::target::{Target, TargetKind};

type Task = Arc<dyn Fn(Invocation) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// An [`Invoker`] of registered async functions, which hands every other target to the invoker behind it.
///
/// A task that ends in an error comes back later if the error [is retryable](Error::is_retryable), and goes to the dead letters if not.
/// The executor takes one that panics for failed: it comes back.
///
/// ```
/// use kairos::{Error, ErrorKind, Tasks};
///
/// let tasks = Tasks::new()
///     .with("informe", |invocation| async move {
///         println!("{} is due since {}", invocation.process.name, invocation.scheduled_time);
///         Ok(())
///     })
///     .with("pedidos", |_| async { Err(Error::new(ErrorKind::Failed, "the shop is closed; try again")) });
/// ```
#[derive(Clone, Default)]
pub struct Tasks {
    tasks: BTreeMap<String, Task>,
    others: Option<Arc<dyn Invoker>>,
}

impl Tasks {
    /// No task yet, and no invoker behind.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same and a task under a name: 1 to 128 letters, digits, `-`, `_` and `.`. A name that is taken gets the new function.
    #[must_use]
    pub fn with<F, Fut>(mut self, name: impl Into<String>, task: F) -> Self
    where
        F: Fn(Invocation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.tasks.insert(name.into(), Arc::new(move |invocation| task(invocation).boxed()));
        self
    }

    /// The same, handing every other target to `invoker`.
    #[must_use]
    pub fn with_others(mut self, invoker: Arc<dyn Invoker>) -> Self {
        self.others = Some(invoker);
        self
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("tasks", &self.tasks.keys()).field("others", &self.others).finish()
    }
}

impl Tasks {
    fn find(&self, name: &str) -> Result<&Task> {
        let unknown = || Error::new(ErrorKind::NotFound, format!("no task is registered under the name '{name}'"));
        self.tasks.get(name).ok_or_else(unknown)
    }
}

impl Invoker for Tasks {
    // As `async_trait` would have it, but without a second box around that of the task.
    fn invoke<'own, 'call>(&'own self, invocation: Invocation) -> BoxFuture<'call, Result<()>>
    where
        'own: 'call,
    {
        match (invocation.target.task().map(|name| self.find(name)), &self.others) {
            (Some(Ok(task)), _) => task(invocation),
            (Some(Err(unknown)), _) => ready(Err(unknown)).boxed(),
            (None, Some(others)) => others.invoke(invocation),
            (None, None) => {
                let message = format!("this executor runs tasks only, not {} targets", invocation.target.kind());
                ready(Err(Error::new(ErrorKind::Unsupported, message))).boxed()
            }
        }
    }

    fn capabilities(&self) -> InvokerCapabilities {
        let mut capabilities = self.others.as_ref().map(|others| others.capabilities()).unwrap_or_default();
        capabilities.kinds.insert(TargetKind::Task);
        capabilities.tasks.extend(self.tasks.keys().cloned());
        capabilities
    }
}

/// Checks that an invoker covers the target of every stored process: what a worker does before it starts.
///
/// # Errors
/// [`Unsupported`](ErrorKind::Unsupported), with a fault of `arnProceso` for each target that it does not cover; at most 100 are named.
/// Any error of the store.
pub async fn check_targets(store: &dyn Store, invoker: &dyn Invoker) -> Result<()> {
    const MOST: usize = 100;
    let capabilities = invoker.capabilities();
    let mut uncovered = BTreeSet::new();
    let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
    loop {
        let processes = store.list_processes(&ProcessFilter::default(), &page).await?;
        for process in processes.items {
            let covered = Target::parse(&process.target).is_ok_and(|target| capabilities.covers(&target));
            if !covered && uncovered.len() < MOST {
                uncovered.insert(format!("'{}' of process '{}' is not covered", process.target, process.name));
            }
        }
        match processes.next {
            Some(cursor) => page = page.with_cursor(cursor),
            None => break,
        }
    }
    if uncovered.is_empty() {
        return Ok(());
    }
    let faults = uncovered.into_iter().map(|message| Fault::new("arnProceso", message)).collect();
    let known: Vec<_> = capabilities.tasks.iter().map(String::as_str).collect();
    Err(Error::new(
        ErrorKind::Unsupported,
        format!("stored processes have targets that this executor cannot call (its tasks: {})", known.join(", ")),
    )
    .with_faults(faults))
}
