//! What goes over the wire, what becomes of each answer, and how often roles are assumed; without a server.

mod checks;
mod errors;
mod queues;
mod requests;
mod roles;
mod wire;

use std::sync::Arc;

use kairos::backend::Invocation;
use kairos::clock::ManualClock;
use kairos::{ExecutionId, Process, ProcessId, Target};
use serde_json::json;

use super::{AwsInvoker, SessionConfig};
use wire::Wire;

const ROLE: &str = "arn:aws:iam::123456789012:role/kairos-ventas";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:ventas";
const MACHINE: &str = "arn:aws:states:us-east-1:123456789012:stateMachine:cierre";
const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:avisos";
const QUEUE: &str = "arn:aws:sqs:us-east-1:123456789012:pedidos";
const CLUSTER: &str = "arn:aws:ecs:us-east-1:123456789012:cluster/lotes";
const BUS: &str = "arn:aws:events:us-east-1:123456789012:event-bus/ventas";

const TASK: &str =
    r#"{"taskDefinition":"cierre:7","overrides":{"containerOverrides":[{"name":"app","command":["día"]}]}}"#;

fn clock() -> ManualClock {
    ManualClock::at("2026-01-01T09:00:05Z".parse().unwrap())
}

fn process(target: &str) -> Process {
    let parameters = if target == CLUSTER { TASK } else { "{\"día\":1}" };
    serde_json::from_value(json!({
        "IdProceso": ProcessId::of("ventas"), "IdCalendarizacion": "calendarizacion-x", "Nombre": "ventas",
        "ArnRol": ROLE, "ArnProceso": target, "Parametros": parameters,
        "Habilitado": true, "FechaCreacion": "2026-01-01T00:00:00Z",
    }))
    .unwrap()
}

fn invocation_of(process: Process) -> Invocation {
    let due = "2026-01-01T09:00:00Z".parse().unwrap();
    let id = ExecutionId::of_occurrence(&process.id, due);
    Invocation::new(Target::parse(&process.target).unwrap(), Arc::new(process), id, due)
}

fn invocation(target: &str) -> Invocation {
    invocation_of(process(target))
}

fn invoker(wire: &Wire, clock: &ManualClock) -> AwsInvoker {
    AwsInvoker::new(&wire.config(), Arc::new(clock.clone()))
}
