//! Roles outside the prefix, through every door.

use kairos::scheduler::Backfill;
use kairos::{Changes, ErrorKind, Policy, ProcessId};
use serde_json::json;

use crate::support::*;

const ADMIN: &str = "arn:aws:iam::123456789012:role/admin";

fn guarded() -> World {
    World::with_policy(Policy::default().with_role_prefix("kairos-"))
}

#[tokio::test]
async fn every_door_is_guarded() {
    let world = guarded();
    let scheduler = &world.scheduler;
    scheduler.register(&lambda("ventas")).await.unwrap();
    let ventas = ProcessId::of("ventas");
    // Written by hand, or registered when everybody was let in.
    let row = process(&json!({"Nombre": "fila", "IdProceso": ProcessId::of("fila"), "ArnRol": ADMIN}));
    let row = world.write_row(row).await;
    let backfill = Backfill::new(at("2025-01-01T00:00:00Z")..=at(DUE));
    let changes = |text: &str| Changes::from_json(text).unwrap();
    let doors = [
        ("register", ErrorKind::Invalid, scheduler.register(&lambda("otro").with_role(ADMIN)).await.map(|_| ())),
        ("update", ErrorKind::Invalid, scheduler.update(&ventas, &lambda("ventas").with_role(ADMIN)).await.map(|_| ())),
        ("patch", ErrorKind::Invalid, {
            let role = format!(r#"{{"arnRol":"{ADMIN}"}}"#);
            scheduler.patch(&ventas, &changes(&role)).await.map(|_| ())
        }),
        ("patch of a row", ErrorKind::Invalid, {
            scheduler.patch(&row.id, &changes(r#"{"descripcion":"d"}"#)).await.map(|_| ())
        }),
        ("preview", ErrorKind::Invalid, scheduler.preview_registration(&lambda("x").with_role(ADMIN), 1).map(|_| ())),
        ("run now", ErrorKind::Denied, scheduler.run_now(&row.id, None).await.map(|_| ())),
        ("run now under a key", ErrorKind::Denied, scheduler.run_now(&row.id, Some("k")).await.map(|_| ())),
        ("backfill", ErrorKind::Denied, scheduler.backfill(&row.id, &backfill).await.map(|_| ())),
    ];
    for (door, kind, result) in doors {
        let error = result.expect_err(door);
        assert_eq!((error.kind(), &faults(&error)[..]), (kind, &["arnRol"][..]), "{door}: {error}");
        assert!(error.to_string().contains("a role must begin with 'kairos-'"), "{door}: {error}");
        assert!(world.queue.is_empty(), "{door}");
    }
    world.dispatch(&row.schedule_id).await;
    world.execute().await;
    let letters = world.queue.dead_letters();
    assert_eq!(letters[0].reason.process_id.as_ref(), Some(&row.id), "dispatched, and refused at execution");
    assert_eq!(letters[0].reason.failure.kind, "denied");
    let by_hand = json!({"ArnRol": ADMIN});
    for body in [text(&by_hand), value(&by_hand)] {
        world.history_forgets_nothing(body).await;
    }
}

impl World {
    /// What is denied is recorded as dead, under its reason.
    async fn history_forgets_nothing(&self, body: kairos::Body) {
        let work = body.work("m", at(DUE)).unwrap();
        if self.executions().await.iter().all(|execution| execution.id != work.execution_id) {
            let failure = self.refuses(body).await;
            assert_eq!(failure.kind, "denied");
            let executions = self.executions().await;
            let execution = executions.iter().find(|execution| execution.id == work.execution_id).unwrap();
            assert_eq!(execution.state, kairos::ExecutionState::Dead);
            assert_eq!(execution.error.as_ref(), Some(&failure));
        }
    }
}

#[tokio::test]
async fn a_prefix_cannot_be_slipped_by() {
    let whole = "arn:aws:iam::123456789012:role/kairos-";
    let doors = |role: &str| {
        ["kairos-", whole].map(|prefix| {
            let policy = Policy::default().with_role_prefix(prefix);
            let registered = policy.check(&lambda("ventas").with_role(role));
            let executed = policy.admit(&process(&json!({"ArnRol": role}))).map(|_| ());
            assert_eq!(registered.is_ok(), executed.is_ok(), "{role:?} with {prefix}: the same at both ends");
            if let (Err(registered), Err(executed)) = (&registered, &executed) {
                assert_eq!((registered.kind(), executed.kind()), (ErrorKind::Invalid, ErrorKind::Denied));
                assert_eq!((faults(registered), faults(executed)), (vec!["arnRol"], vec!["arnRol"]), "{role:?}");
            }
            registered.is_ok()
        })
    };
    for (role, let_in) in [
        ("arn:aws:iam::123456789012:role/kairos-ventas", [true, true]),
        ("arn:aws:iam::123456789012:role/kairos-ventas/ruta", [true, true]),
        // The whole name tells partitions and accounts apart; the name alone does not.
        ("arn:aws-cn:iam::123456789012:role/kairos-ventas", [true, false]),
        ("arn:aws:iam::999999999999:role/kairos-ventas", [true, false]),
        ("arn:aws:iam::123456789012:role/KAIROS-ventas", [false, false]),
        ("arn:aws:iam::123456789012:role/Kairos-ventas", [false, false]),
        ("ARN:AWS:IAM::123456789012:ROLE/kairos-ventas", [false, false]),
        ("arn:aws:iam::123456789012:role/ruta/kairos-ventas", [false, false]),
        ("arn:aws:iam::123456789012:role//kairos-ventas", [false, false]),
        ("arn:aws:iam::123456789012:role/./kairos-ventas", [false, false]),
        ("arn:aws:iam::123456789012:role/kairos-x/../admin", [false, false]),
        ("arn:aws:iam::123456789012:role/kairos-x/../../role/admin", [false, false]),
        ("arn:aws:iam::123456789012:role/kairos-%2e%2e%2fadmin", [false, false]),
        ("arn:aws:iam::123456789012:role%2fkairos-ventas", [false, false]),
        ("arn:aws:iam::123456789012:role/%6bairos-ventas", [false, false]),
        ("arn:aws:iam::123456789012:role/admin:role/kairos-ventas", [false, false]),
        ("arn:aws:iam::123456789012:role/admin#kairos-", [false, false]),
        ("arn:aws:iam::123456789012:role/kairos-ventas\n", [false, false]),
        ("arn:aws:iam::123456789012:role/kairos-ventas ", [false, false]),
        (" arn:aws:iam::123456789012:role/kairos-ventas", [false, false]),
        ("\narn:aws:iam::123456789012:role/kairos-ventas", [false, false]),
        ("arn:aws:iam::123456789012:role/kairos-\u{202e}nimda", [false, false]),
        ("arn:aws:iam::123456789012:role/\u{200b}kairos-ventas", [false, false]),
        ("arn:aws:iam::123456789012:role/ｋairos-ventas", [false, false]),
        ("arn:aws:iam::123456789012:role/kаiros-ventas", [false, false]),
        ("arn:aws:iam::123456789012:role/kairos-", [true, true]),
        ("arn:aws:iam::123456789012:role/", [false, false]),
        ("arn:aws:iam::123456789012:user/kairos-ventas", [false, false]),
        ("arn:aws:sts::123456789012:assumed-role/kairos-ventas/x", [false, false]),
        ("arn:aws:sts::123456789012:role/kairos-ventas", [false, false]),
        ("arn:aws:iam:us-east-1:123456789012:role/kairos-ventas", [false, false]),
        ("arn:aws:iam::aws:role/kairos-ventas", [false, false]),
        ("arn:aws:iam:::role/kairos-ventas", [false, false]),
        ("arn:aws:iam::１２３４５６７８９０１２:role/kairos-ventas", [false, false]),
        ("arn:awsome:iam::123456789012:role/kairos-ventas", [false, false]),
        ("arn:aws-cn.evil:iam::123456789012:role/kairos-ventas", [false, false]),
        ("kairos-ventas", [false, false]),
        (whole, [true, true]),
    ] {
        assert_eq!(doors(role), let_in, "{role:?}");
    }
}

#[tokio::test]
async fn a_service_is_never_called_without_a_role_and_a_task_s_role_is_checked_too() {
    let world = guarded();
    let missing = json!({"ArnRol": null});
    assert!(world.refuses(text(&missing)).await.text.contains("arnRol: is missing"));
    let empty = json!({"ArnRol": "", "Nombre": "b", "IdProceso": ProcessId::of("b"), "IdEjecucion": null});
    assert!(world.refuses(text(&empty)).await.text.contains("arnRol: is missing"));
    let task = json!({"ArnProceso": "kairos:task:panic", "ArnRol": ADMIN, "Nombre": "c", "IdProceso": ProcessId::of("c"), "IdEjecucion": null});
    assert_eq!(world.refuses(text(&task)).await.kind, "denied");
}
