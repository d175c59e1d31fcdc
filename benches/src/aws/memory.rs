//! What a dispatcher holds at most.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use kairos::clock::{Clock as _, SystemClock};
use kairos::dispatcher::DispatchRequest;
use tokio::runtime::Runtime;

use super::Outcome;
use super::place::Place;
use crate::allocator::{counted, held};
use crate::measure::Parallel;
use crate::table::{Table, number};

const COUNTS: [usize; 3] = [1_000, 10_000, 100_000];
/// How often what is allocated is looked at: there is no moment at which it is known to be most.
const LOOK: Duration = Duration::from_micros(100);

pub(super) fn run(runtime: &Runtime, place: &Place) -> Outcome<()> {
    let mut table = Table::new(&["processes of one schedule", "kB of heap at most", "each second"]);
    let url = runtime.block_on(place.make_queue("many"))?;
    let dispatcher = place.dispatcher(&url);
    for count in COUNTS {
        let schedule = runtime.block_on(place.seed(count))?;
        let request = DispatchRequest::new(schedule, SystemClock.now());
        let mut dispatched = Ok(Default::default());
        let mut peak = 0;
        let cost = Parallel::of(|| {
            (peak, _) = counted(|| peak_of(|| dispatched = runtime.block_on(dispatcher.dispatch(&request))));
        });
        let queued = dispatched?.queued;
        if queued != count {
            return Err(format!("{queued} of {count} were queued").into());
        }
        #[allow(clippy::cast_precision_loss, reason = "shown to three digits")]
        let cells = [peak as f64 / 1e3, count as f64 / cost.wall.as_secs_f64()];
        table.row(&count.to_string(), cells.map(number));
        runtime.block_on(place.empty(&url))?;
    }
    table.print();
    Ok(())
}

/// How many bytes were allocated at most, above what was before.
fn peak_of(work: impl FnOnce()) -> isize {
    let (before, is_done) = (held(), AtomicBool::new(false));
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut peak = before;
            while !is_done.load(Ordering::Relaxed) {
                peak = peak.max(held());
                thread::park_timeout(LOOK);
            }
            peak
        });
        work();
        is_done.store(true, Ordering::Relaxed);
        looking.thread().unpark();
        looking.join().unwrap_or(before) - before
    })
}
