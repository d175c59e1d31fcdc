//! A dispatcher beside a bare loop of batch sends.

use std::time::Duration;

use kairos::clock::{Clock as _, SystemClock, later, whole_second};
use kairos::dispatcher::DispatchRequest;
use tokio::runtime::Runtime;

use super::distance::{DISTANCE, away_from};
use super::place::Place;
use super::turns::{Turns, WARM_UP};
use super::{Outcome, bare};

const PROCESSES: usize = 5_000;
const ROUNDS: u64 = 7;
const SENDS: &str = "bare batch sends";

pub(super) fn run(runtime: &Runtime, place: &Place, tables: &str, services: &str) -> Outcome<()> {
    compare(runtime, place, &format!("{PROCESSES} messages"))?;
    let far = runtime.block_on(place.through(&away_from(tables)?, &away_from(services)?));
    compare(runtime, &far, &format!("{PROCESSES} messages, servers {DISTANCE:?} away"))
}

fn compare(runtime: &Runtime, place: &Place, title: &str) -> Outcome<()> {
    let schedule = runtime.block_on(place.seed(PROCESSES))?;
    let processes = runtime.block_on(place.processes(&schedule))?;
    let url = runtime.block_on(place.make_queue("dispatched"))?;
    let dispatcher = place.dispatcher(&url);
    let start = whole_second(SystemClock.now());
    let mut turns = Turns::new(PROCESSES);
    for round in 0..WARM_UP + ROUNDS {
        let occurrence = later(start, Duration::from_secs(round));
        let dispatch = async {
            let dispatched = dispatcher.dispatch(&DispatchRequest::new(schedule.clone(), occurrence)).await?;
            if dispatched.queued == PROCESSES { Ok(()) } else { Err(format!("{dispatched:?}").into()) }
        };
        turns.take(runtime, "dispatcher", dispatch)?;
        runtime.block_on(place.empty(&url))?;

        let batches = bare::batches(&processes, occurrence)?;
        turns.take(runtime, SENDS, bare::send(place, &url, batches.clone()))?;
        runtime.block_on(place.empty(&url))?;

        let query_and_send = async {
            let found = bare::query(place, &schedule).await?;
            if found == PROCESSES {
                bare::send(place, &url, batches).await
            } else {
                Err(format!("{found} found").into())
            }
        };
        turns.take(runtime, "bare queries, then bare batch sends", query_and_send)?;
        runtime.block_on(place.empty(&url))?;
    }
    turns.print(title, SENDS);
    Ok(())
}
