//! What `run` and `serve` share: processes of a file on the real clock, from their registration to the end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kairos::clock::{Clock as _, SystemClock, between};
use kairos::executor::{Handled, Verdict};
use kairos::{Process, Scheduler};
use kairos_memory::{Embedded, MemoryQueue, Running, ShutdownReport};

use super::{Result, file, tasks};
use crate::signal::stop_signal;

/// A whole Kairos in memory, at work.
pub(super) struct Session {
    running: Running,
    registered: usize,
    grace: Duration,
}

impl Session {
    /// Registers what a file holds and begins, telling of each execution as it happens. What is under way at the end has `grace`.
    pub(super) async fn begin(file: Option<&Path>, grace: Duration) -> Result<Self> {
        let registrations = file.map(file::read).transpose()?.unwrap_or_default();
        let kairos = Embedded::builder()
            .with_tasks(tasks::built_in(Arc::new(SystemClock)))
            .with_worker(MemoryQueue::worker_config().with_grace(grace))
            .with_recorded_calls(0)
            .on_handled(|handled| println!("{}", line(handled)))
            .build();
        let processes = match file {
            Some(file) => file::register(file, kairos.scheduler(), &registrations).await?,
            None => Vec::new(),
        };
        let running = kairos.start().await?;
        for process in &processes {
            println!("{}", welcome(process, running.scheduler()).await?);
        }
        Ok(Self { running, registered: processes.len(), grace })
    }

    /// How many processes the file held.
    pub(super) fn registered(&self) -> usize {
        self.registered
    }

    /// What is at work.
    pub(super) fn kairos(&self) -> &Embedded {
        &self.running
    }

    /// Ends once `others` have, or at once when asked again.
    pub(super) async fn end(self, others: impl Future<Output = ()>) -> Result<()> {
        println!("stopping: what is under way has {} s to end; Ctrl-C again ends at once", self.grace.as_secs());
        let orderly = async {
            others.await;
            self.running.shutdown().await
        };
        tokio::select! {
            report = orderly => println!("{}", farewell(&report)),
            interrupted = stop_signal() => {
                interrupted?;
                println!("ended at once; what was under way was not waited for");
            }
        }
        Ok(())
    }
}

/// When a process fires first.
async fn welcome(process: &Process, scheduler: &Scheduler) -> Result<String> {
    let preview = scheduler.preview(&process.id, 1).await?;
    let next = match preview.fires.first() {
        Some(_) if !preview.enabled => "is disabled".into(),
        Some(fire) => format!("fires next at {}", fire.at),
        None => "never fires again".into(),
    };
    Ok(format!("{} {next}", process.name))
}

fn line(handled: &Handled) -> String {
    let now = SystemClock.now();
    let what = match &handled.work {
        Some(work) => {
            let late = between(work.scheduled_time, now).as_secs_f64();
            format!("{} (scheduled {}, {late:.3} s ago)", work.process.name, work.scheduled_time)
        }
        None => format!("message {}", handled.message_id),
    };
    let verdict = match &handled.verdict {
        Verdict::Succeeded => "run".into(),
        Verdict::Retrying { failure, at } => format!("failed, comes back at {at:.0}: {}", failure.text),
        Verdict::Dead(failure) => format!("dead: {}", failure.text),
        Verdict::Undecided(failure) => format!("undecided, comes back: {}", failure.text),
        Verdict::Skipped => "skipped: too late".into(),
        Verdict::Duplicate => "had run already".into(),
        other => format!("{other:?}"),
    };
    format!("{now:.3}  {what}: {verdict}")
}

fn farewell(report: &ShutdownReport) -> String {
    let mut text = format!(
        "ended: {} deliveries handled; {} executions were under way, of which {} did not end in time; {} messages are left",
        report.handled,
        report.in_flight,
        report.unfinished.len(),
        report.queued
    );
    for delivery in &report.unfinished {
        let name =
            delivery.body.work(delivery.message_id.as_str(), delivery.sent_at).map(|work| work.process.name.clone());
        text.push_str(&format!("\n  unfinished: {}", name.unwrap_or_else(|_| delivery.message_id.to_string())));
    }
    text
}
