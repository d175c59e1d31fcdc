//! How the worker is doing, for whoever restarts it or sends it work: `GET /live` and `GET /ready` answer 200, or 503 and what is
//! wrong, a line each.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use jiff::Timestamp;
use kairos::ExecutionId;
use kairos::backend::History;
use kairos::clock::{Clock, ClockExt as _, between};
use kairos::shutdown::Shutdown;
use parking_lot::Mutex;

/// How long a loop may show no sign of life: a wait for messages, a call that hangs, and the backoff after it, twice.
const LONGEST_SILENCE: Duration = Duration::from_secs(180);
/// How long the tables may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The signs of life of one loop.
#[derive(Debug)]
pub struct Pulse {
    name: &'static str,
    clock: Arc<dyn Clock>,
    state: Mutex<Signs>,
}

#[derive(Clone, Copy, Debug)]
struct Signs {
    last: Timestamp,
    /// Whether the queue answered last time; `None` if it was not asked yet.
    reached: Option<bool>,
}

impl Pulse {
    /// Alive, as it has just been made.
    #[must_use]
    pub fn new(name: &'static str, clock: Arc<dyn Clock>) -> Self {
        let state = Mutex::new(Signs { last: clock.now(), reached: None });
        Self { name, clock, state }
    }

    /// The loop goes on.
    pub fn beat(&self) {
        self.change(|_| {});
    }

    /// The loop has asked its queue, and got an answer or none.
    pub fn reached(&self, reached: bool) {
        self.change(|signs| signs.reached = Some(reached));
    }

    /// Whether the queue has been asked.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.signs().reached.is_some()
    }

    fn change(&self, change: impl FnOnce(&mut Signs)) {
        let mut signs = self.state.lock();
        signs.last = self.clock.now();
        change(&mut signs);
    }

    fn signs(&self) -> Signs {
        *self.state.lock()
    }
}

/// Whether the worker lives, and whether it can work.
#[derive(Clone, Debug)]
pub struct Health {
    pulses: Vec<Arc<Pulse>>,
    tables: Arc<dyn History>,
    clock: Arc<dyn Clock>,
    stopping: Option<Shutdown>,
}

impl Health {
    /// Of a worker with these loops, over these tables.
    #[must_use]
    pub fn new(pulses: Vec<Arc<Pulse>>, tables: Arc<dyn History>, clock: Arc<dyn Clock>) -> Self {
        Self { pulses, tables, clock, stopping: None }
    }

    /// The same, not ready any more once the end has been asked for.
    #[must_use]
    pub fn until(mut self, stopping: Shutdown) -> Self {
        self.stopping = Some(stopping);
        self
    }

    /// What does not live any more: loops without a sign of life for three minutes. Restarting helps.
    #[must_use]
    pub fn dead(&self) -> Vec<String> {
        let now = self.clock.now();
        let is_silent = |pulse: &&Arc<Pulse>| between(pulse.signs().last, now) > LONGEST_SILENCE;
        let silent = self.pulses.iter().filter(is_silent);
        silent.map(|pulse| format!("{}: no sign of life since {}", pulse.name, pulse.signs().last)).collect()
    }

    /// What keeps it from working: queues and tables that do not answer. Restarting does not help.
    pub async fn unready(&self) -> Vec<String> {
        let unreached = self.pulses.iter().filter(|pulse| pulse.signs().reached != Some(true));
        let mut unready: Vec<_> = unreached.map(|pulse| format!("{}: not reached", pulse.name)).collect();
        unready
            .extend(self.stopping.as_ref().filter(|stopping| stopping.is_requested()).map(|_| "it is stopping".into()));
        let nobody = ExecutionId::of_request(&"".into(), "");
        match self.clock.within(PATIENCE, self.tables.get(nobody)).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => unready.push(format!("tables: {}", error.kind())),
            None => unready.push("tables: no answer".into()),
        }
        unready
    }

    /// Answers at a port until the end is asked for and requests under way are answered.
    ///
    /// # Errors
    /// If connections cannot be accepted.
    pub async fn serve(self, listener: tokio::net::TcpListener, mut end: Shutdown) -> std::io::Result<()> {
        let router = Router::new()
            .route("/live", get(|State(health): State<Self>| async move { answer(&health.dead()) }))
            .route("/ready", get(|State(health): State<Self>| async move { answer(&health.unready().await) }))
            .with_state(self);
        axum::serve(listener, router).with_graceful_shutdown(async move { end.requested().await }).await
    }
}

fn answer(problems: &[String]) -> (StatusCode, String) {
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, problems.join("\n"))
}
