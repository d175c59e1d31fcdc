//! The reconciler: finds and repairs what failed calls have left behind. A schedule calls it, about once an hour.

use std::sync::Arc;

use kairos::clock::between;
use kairos::scheduler::{ReconcileMode, ReconcileReport, Repair};
use kairos::{Result, Scheduler};
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::{Value, json};

use super::dispatch::told;
use super::{Installation, SetupError};

/// Reconciles, and says what was found: every finding in a line of its own. `{"Simulacro":true}` changes nothing; anything else repairs.
///
/// # Errors
/// Whatever the backends answer while everything is listed. What cannot be repaired now is in the answer; the next run tries again.
pub async fn reconcile(scheduler: &Scheduler, event: &Value) -> Result<ReconcileReport> {
    let mode = if event["Simulacro"] == true { ReconcileMode::DryRun } else { ReconcileMode::Repair };
    let report = scheduler.reconcile(mode).await?;
    for finding in &report.findings {
        let (schedule, problem, repair) =
            (&finding.schedule_id, finding.problem.to_string(), finding.repair.to_string());
        if matches!(finding.repair, Repair::Failed(_)) {
            tracing::error!(%schedule, problem, repair, "found");
        } else {
            tracing::warn!(%schedule, problem, repair, "found");
        }
    }
    Ok(report)
}

/// The report as the function answers it.
#[must_use]
pub fn answer(report: &ReconcileReport) -> Value {
    let (processes, schedules, triggers) = report.examined;
    let findings: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    json!({"Procesos": processes, "Calendarizaciones": schedules, "Disparadores": triggers, "Hallazgos": findings})
}

/// The function `reconciler`.
#[derive(Clone, Debug)]
pub struct ReconcilerFunction {
    installation: Installation,
    scheduler: Scheduler,
}

impl ReconcilerFunction {
    /// Over the tables and the triggers of an installation.
    ///
    /// # Errors
    /// If a name that it needs is not configured.
    pub fn new(installation: Installation) -> Result<Arc<Self>, SetupError> {
        let scheduler = installation.config.scheduler(&installation.sdk)?;
        Ok(Arc::new(Self { installation, scheduler }))
    }

    /// One invocation.
    ///
    /// # Errors
    /// As [`reconcile`].
    pub async fn handle(self: Arc<Self>, event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
        let clock = &self.installation.clock;
        let began = clock.now();
        let report = reconcile(&self.scheduler, &event.payload).await;
        let report = report.inspect_err(|error| tracing::error!(error = format!("{error:#}"), "not reconciled"));
        let report = report.map_err(|error| told(&error))?;
        let unrepaired = report.findings.iter().filter(|finding| matches!(finding.repair, Repair::Failed(_))).count();
        let mut metrics = self.installation.metrics();
        metrics.count("Found", report.findings.len() as u64);
        metrics.count("Unrepaired", unrepaired as u64);
        metrics.duration("BatchDuration", between(began, clock.now()));
        metrics.property("requestId", event.context.request_id.as_str());
        metrics.emit(began);
        Ok(answer(&report))
    }
}
