//! What executes, and who looks after it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use kairos::backend::{
    Claim, DeadLetterReason, ExecutionFilter, History as _, Message, Outcome, Queue as _, Receiver as _,
};
use kairos::clock::{Clock as _, SystemClock, later};
use kairos::executor::{ExecutorConfig, Verdict};
use kairos::page::PageRequest;
use kairos::{Error, ErrorKind, ExecutionState, Executor, Failure, Hold, Origin, Owner, Process, ProcessId, WorkItem};
use kairos_aws::{AwsInvoker, DynamoHistory, SessionConfig};
use serde_json::json;

use super::account::{EXTERNAL_ID, Site};
use super::{Outcomes, Part, prove, told};
use crate::place::{ACCOUNT, WAIT};

pub(super) fn process(name: &str, role: &str, target: &str) -> Process {
    serde_json::from_value(json!({
        "IdProceso": ProcessId::of(name), "IdCalendarizacion": "calendarizacion-x", "Nombre": name, "ArnRol": role,
        "ArnProceso": target, "Parametros": "{}", "Habilitado": true, "FechaCreacion": "2026-01-01T00:00:00Z",
    }))
    .unwrap()
}

/// What the executor of an installation calls targets with.
pub(super) fn invoker(sdk: &SdkConfig) -> AwsInvoker {
    let sessions = SessionConfig::default().with_external_id(EXTERNAL_ID);
    AwsInvoker::new(sdk, Arc::new(SystemClock)).with_sessions(sessions).unwrap()
}

fn history(site: &Site, sdk: &SdkConfig) -> DynamoHistory {
    DynamoHistory::new(&aws_sdk_dynamodb::Client::new(sdk), &site.config.tables().unwrap())
}

fn due(process: Process) -> WorkItem {
    WorkItem::of_occurrence(Arc::new(process), "2026-01-01T09:00:00Z".parse().unwrap(), Origin::Schedule)
}

/// One execution that runs, one that goes to the dead letters, and one that another executor is at work on.
struct Executing {
    runs: WorkItem,
    at_target: String,
    /// Those that have not come to their end yet.
    open: Mutex<BTreeSet<&'static str>>,
    worked: Mutex<bool>,
}

impl Executing {
    fn has_ended(name: &str, verdict: &Verdict) -> bool {
        match name {
            "run" => matches!(verdict, Verdict::Succeeded | Verdict::Duplicate),
            "bury" => matches!(verdict, Verdict::Dead(failure) if failure.kind == "unsupported"),
            _ => matches!(verdict, Verdict::Waiting { .. }),
        }
    }
}

#[async_trait]
impl Part for Executing {
    const POLICY: &'static str = "executor";

    fn role() -> &'static str {
        "ejecutor"
    }

    async fn prepare(site: &Site) -> Self {
        let trust = site.document("process.trust");
        let role = site.role("proceso-x", &trust, Some(&site.policy("process"))).await;
        let target = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{}", site.name("TargetQueue"));
        let [runs, dies, waits] = [("run", &*target), ("bury", "kairos:task:nada"), ("wait", &target)]
            .map(|(name, target)| due(process(name, &role, target)));
        let now = SystemClock.now();
        let other = Hold { owner: Owner::from_u128(1), until: later(now, Duration::from_secs(3_600)) };
        history(site, &site.root).claim(&Claim::new(waits.clone(), other, now)).await.unwrap();
        let messages = [runs.clone(), dies, waits].map(Message::new);
        for sent in site.config.queue(&site.root).unwrap().send(&messages).await.unwrap() {
            sent.unwrap();
        }
        let at_target = site.make_queue("TargetQueue").await;
        let open = Mutex::new(BTreeSet::from(["run", "bury", "wait"]));
        Self { runs, at_target, open, worked: Mutex::new(false) }
    }

    async fn work(&self, site: &Site, role: &str) -> Outcomes {
        let sdk = site.acting_as(role).await;
        let queue = site.config.queue(&sdk).unwrap().with_visibility_timeout(Duration::from_secs(2));
        let mut config = ExecutorConfig::default();
        config.lease = Duration::from_secs(3);
        let executor = Executor::new(Arc::new(queue.clone()), Arc::new(invoker(&sdk)), Arc::new(SystemClock))
            .with_history(Arc::new(history(site, &sdk)))
            .with_config(config);
        let is_again = std::mem::replace(&mut *self.worked.lock().unwrap(), true);
        if is_again {
            site.config.queue(&site.root).unwrap().redrive(10).await.unwrap();
        }

        let mut outcomes = Outcomes::from(["run", "bury", "wait"].map(|name| (name, Ok(()))));
        let mut pending = self.open.lock().unwrap().clone();
        for _ in 0..30 {
            if pending.is_empty() {
                break;
            }
            let deliveries = match queue.receive(10, Duration::from_secs(1)).await {
                Ok(deliveries) => deliveries,
                Err(error) => {
                    outcomes.extend(pending.iter().map(|name| (*name, Err(Failure::from(&error)))));
                    return outcomes;
                }
            };
            for handled in executor.execute(deliveries).await.handled {
                let name = handled.work.unwrap().process.name.clone();
                let Some(name) = pending.iter().copied().find(|pending| *pending == name) else { continue };
                let outcome = match handled.verdict {
                    verdict if Self::has_ended(name, &verdict) => {
                        self.open.lock().unwrap().remove(name);
                        Ok(())
                    }
                    Verdict::Dead(failure) | Verdict::Undecided(failure) => Err(failure),
                    // Until the claim of the try before it has ended.
                    Verdict::Waiting { .. } if is_again => continue,
                    verdict => panic!("{name}: {verdict:?}"),
                };
                pending.remove(name);
                outcomes.insert(name, outcome);
            }
        }
        assert!(pending.is_empty(), "what has become of {pending:?}?");
        outcomes
    }

    async fn settled(&self, site: &Site) {
        assert_eq!(site.held(&self.at_target).await, 1, "once, whatever was denied");
        let run = history(site, &site.root).get(self.runs.execution_id).await.unwrap().unwrap();
        assert_eq!(run.state, ExecutionState::Succeeded);
        let letters = site.held(site.config.dead_letter_queue_url.as_deref().unwrap()).await;
        assert!(letters >= 1);
    }
}

#[tokio::test]
async fn executing_takes_what_its_policy_allows_and_nothing_less() {
    prove::<Executing>(&[
        ("Queue", "sqs:ReceiveMessage", &["run", "bury", "wait"]),
        ("Queue", "sqs:DeleteMessage", &["run", "bury"]),
        ("Queue", "sqs:ChangeMessageVisibility", &["bury", "wait"]),
        ("DeadLetters", "sqs:SendMessage", &["bury"]),
        // What cannot be claimed must not run, and goes to the dead letters with that reason.
        ("Executions", "dynamodb:UpdateItem", &["run", "bury", "wait"]),
        ("RolesOfProcesses", "sts:AssumeRole", &["run"]),
    ])
    .await;
}

/// Somebody who looks at executions, and puts dead letters back.
struct Operating(WorkItem);

#[async_trait]
impl Part for Operating {
    const POLICY: &'static str = "operator";

    async fn prepare(site: &Site) -> Self {
        let (queue, history) = (site.config.queue(&site.root).unwrap(), history(site, &site.root));
        let work = due(process("ventas", "arn:aws:iam::123456789012:role/x", "kairos:task:nada"));
        let now = SystemClock.now();
        let hold = Hold { owner: Owner::from_u128(2), until: later(now, Duration::from_secs(60)) };
        history.claim(&Claim::new(work.clone(), hold, now)).await.unwrap();
        let failure = Failure::from(&Error::new(ErrorKind::Rejected, "roto"));
        let dead = Outcome::new(work.execution_id, Owner::from_u128(2), ExecutionState::Dead, now)
            .with_failure(failure.clone());
        history.record(&dead).await.unwrap();
        queue.send(&[Message::new(work.clone())]).await.unwrap().remove(0).unwrap();
        let delivery = queue.receive(1, WAIT).await.unwrap().remove(0);
        queue.dead_letter(&delivery, &DeadLetterReason::of_work(failure, &work, 1)).await.unwrap();
        Self(work)
    }

    async fn work(&self, site: &Site, role: &str) -> Outcomes {
        let sdk = site.acting_as(role).await;
        let (queue, history, page) = (site.config.queue(&sdk).unwrap(), history(site, &sdk), PageRequest::first(10));
        let of_process = ExecutionFilter::all().with_process(self.0.process.id.clone());
        let dead = ExecutionFilter::all().with_state(ExecutionState::Dead);
        Outcomes::from([
            ("read an execution", told(history.get(self.0.execution_id).await)),
            ("list those of a process", told(history.list(&of_process, &page).await)),
            ("list those of a state", told(history.list(&dead, &page).await)),
            ("list all", told(history.list(&ExecutionFilter::all(), &page).await)),
            ("redrive", told(queue.redrive(10).await)),
        ])
    }

    async fn settled(&self, site: &Site) {
        let queues = [&site.config.queue_url, &site.config.dead_letter_queue_url].map(|url| url.as_deref().unwrap());
        let held = [site.held(queues[0]).await, site.held(queues[1]).await];
        assert!(held[0] + held[1] >= 1, "{held:?}");
    }
}

#[tokio::test]
async fn operating_takes_what_its_policy_allows_and_nothing_less() {
    prove::<Operating>(&[
        ("Executions", "dynamodb:GetItem", &["read an execution"]),
        ("ExecutionsOfAProcess", "dynamodb:Query", &["list those of a process"]),
        ("ExecutionsByState", "dynamodb:Query", &["list those of a state", "list all"]),
        ("DeadLetters", "sqs:ReceiveMessage", &["redrive"]),
        ("DeadLetters", "sqs:DeleteMessage", &["redrive"]),
        ("Queue", "sqs:SendMessage", &["redrive"]),
    ])
    .await;
}
