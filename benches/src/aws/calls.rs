//! The calls that arrive at the services, by operation.

use std::collections::BTreeSet;

use kairos::clock::{Clock as _, SystemClock, whole_second};
use kairos::dispatcher::DispatchRequest;
use tokio::runtime::Runtime;

use super::Outcome;
use super::counting::{Counting, Counts};
use super::execution::work;
use super::place::Place;
use crate::table::Table;

const EXECUTIONS: usize = 1_000;

pub(super) fn run(runtime: &Runtime, place: &Place, tables: &str, services: &str) -> Outcome<()> {
    runtime.block_on(async {
        let schedule = place.seed(EXECUTIONS).await?;
        let (tables, services) = (Counting::before(tables).await, Counting::before(services).await);
        let counted = place.through(&tables.endpoint, &services.endpoint).await;
        let counts = || tables.take().into_iter().chain(services.take()).collect::<Counts>();
        let mut columns = Vec::new();
        for has_history in [true, false] {
            let url = place.make_queue(if has_history { "counted" } else { "counted-too" }).await?;
            let request = DispatchRequest::new(schedule.clone(), whole_second(SystemClock.now()));
            let dispatched = counted.dispatcher(&url).dispatch(&request).await?;
            if dispatched.queued != EXECUTIONS {
                return Err(format!("{dispatched:?}").into());
            }
            let dispatching = counts();
            work(&counted.executor(&url, has_history), EXECUTIONS).await?;
            let executing = counts();
            columns.push(dispatching.into_iter().chain(executing).collect::<Counts>());
        }
        print(&columns);
        Ok(())
    })
}

fn print(columns: &[Counts]) {
    let mut table = Table::new(&[&format!("calls of {EXECUTIONS} executions"), "with history", "without"]);
    let operations: BTreeSet<&String> = columns.iter().flat_map(Counts::keys).collect();
    for operation in operations {
        let calls = columns.iter().map(|counts| counts.get(operation).copied().unwrap_or_default());
        table.row(operation, calls.map(|calls| calls.to_string()));
    }
    table.print();
}
