//! A worker beside a bare loop of calls.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use kairos::clock::{Clock as _, SystemClock, later, whole_second};
use kairos::executor::{Worker, WorkerConfig};
use kairos::shutdown::shutdown;
use kairos::{ExecutionId, Executor};
use tokio::runtime::Runtime;

use super::Outcome;
use super::bare::{self, Call, Item};
use super::place::Place;
use super::turns::{Turns, WARM_UP};

const EXECUTIONS: usize = 2_000;
const ROUNDS: u64 = 3;
/// How many loops there are on the bare sides, each of which has received ten messages, and how many executions the worker has under way.
const LOOPS: usize = 6;
const AT_ONCE: usize = 60;
const CALLS: &str = "bare calls";

pub(super) fn run(runtime: &Runtime, place: &Place) -> Outcome<()> {
    let schedule = runtime.block_on(place.seed(EXECUTIONS))?;
    let processes = runtime.block_on(place.processes(&schedule))?;
    // A queue for each: a receipt that a worker has given up at its end takes from no other.
    let urls = ["claimed", "unclaimed", "bare", "written"].map(|what| runtime.block_on(place.make_queue(what)));
    let [claimed, unclaimed, bare, written] = urls;
    let (claimed, unclaimed, bare, written) = (claimed?, unclaimed?, bare?, written?);
    let claiming = place.executor(&claimed, true);
    let plain = place.executor(&unclaimed, false);
    let start = whole_second(SystemClock.now());
    let mut turns = Turns::new(EXECUTIONS);
    for round in 0..WARM_UP + ROUNDS {
        let occurrence = later(start, Duration::from_secs(round));
        let batches = bare::batches(&processes, occurrence)?;
        for url in [&claimed, &unclaimed, &bare, &written] {
            runtime.block_on(bare::send(place, url, batches.clone()))?;
        }
        let calls = processes.iter().map(|process| Call::of(process, occurrence)).collect::<Outcome<Vec<_>>>()?;

        turns.take(runtime, "worker, claimed and recorded", work(&claiming, EXECUTIONS))?;
        let row = runtime.block_on(row(place, ExecutionId::of_occurrence(&processes[0].id, occurrence)))?;
        let execute = bare::execute(place, &written, calls.clone(), LOOPS, Some(&row));
        turns.take(runtime, "bare receipts, calls, deletions, and two writes", execute)?;
        turns.take(runtime, "worker, without history", work(&plain, EXECUTIONS))?;
        let execute = bare::execute(place, &bare, calls.clone(), LOOPS, None);
        turns.take(runtime, "bare receipts, calls and deletions", execute)?;
        turns.take(runtime, CALLS, bare::invoke(place, calls, AT_ONCE))?;
        runtime.block_on(place.empty(&place.target_url))?;
    }
    turns.print(&format!("{EXECUTIONS} executions"), CALLS);
    Ok(())
}

/// Executes what is on the queue, until so many are done with.
pub(super) async fn work(executor: &Arc<Executor>, count: usize) -> Outcome<()> {
    let before = executor.counts().succeeded;
    let (end, ended) = shutdown();
    let mut left = count;
    let on_handled = |_: &_| {
        left -= 1;
        if left == 0 {
            end.request();
        }
    };
    let config = WorkerConfig::default().with_concurrency(AT_ONCE).with_wait(Duration::from_secs(1));
    Worker::new(executor.clone(), config).run_with(ended, on_handled).await;
    let counts = executor.counts();
    if counts.succeeded - before == count as u64 { Ok(()) } else { Err(format!("{counts:?}").into()) }
}

/// What history keeps of an execution.
async fn row(place: &Place, id: ExecutionId) -> Outcome<Item> {
    let request = place.dynamodb.get_item().table_name(&place.tables.executions);
    let found = request.key("IdEjecucion", AttributeValue::S(id.to_string())).consistent_read(true).send().await?;
    Ok(found.item.ok_or("an execution was not recorded")?)
}
