//! tokio-cron-scheduler, which runs on the real clock only: jobs of every second, for some seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kairos::clock::{ClockExt as _, SystemClock};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::measure::Cost;
use crate::table::{Table, number};

/// It looks at every job twice a second: more of them would take all of a core.
const JOBS: [usize; 2] = [1_000, 5_000];
const SECONDS: u64 = 5;

pub(super) fn run() {
    let header = ["tokio-cron-scheduler, CPU ns each", "bytes", "register", "fire", "cancel half"];
    let mut table = Table::new(&header);
    for jobs in JOBS {
        match measure(jobs) {
            Ok([register, fire, cancel]) => {
                let times = [register, fire, cancel].map(|cost| number(cost.nanos_each()));
                table.row(&format!("{jobs} jobs"), std::iter::once(number(register.bytes_each())).chain(times));
            }
            Err(error) => table.row(&format!("{jobs} jobs: {error}"), []),
        }
    }
    table.print();
}

fn measure(jobs: usize) -> Result<[Cost; 3], JobSchedulerError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|_| JobSchedulerError::CantInit)?;
    let fired = Arc::new(AtomicUsize::new(0));
    let (mut register, mut fire, mut cancel) = (Cost::default(), Cost::default(), Cost::default());
    let register_all = |scheduler: &JobScheduler| {
        runtime.block_on(async {
            let mut ids = Vec::new();
            for _ in 0..jobs {
                let fired = Arc::clone(&fired);
                let job = Job::new("* * * * * *", move |_, _| {
                    fired.fetch_add(1, Ordering::Relaxed);
                })?;
                ids.push(scheduler.add(job).await?);
            }
            Ok::<_, JobSchedulerError>(ids)
        })
    };
    let counted = runtime.block_on(JobScheduler::new_with_channel_size(4 * jobs))?;
    register.count(jobs, || register_all(&counted))?;
    let mut scheduler = runtime.block_on(JobScheduler::new_with_channel_size(4 * jobs))?;
    let ids = register.time(jobs, || register_all(&scheduler))?;
    fire.time(0, || {
        runtime.block_on(async {
            scheduler.start().await?;
            SystemClock.sleep(Duration::from_secs(SECONDS)).await;
            Ok::<_, JobSchedulerError>(())
        })
    })?;
    fire.timed = fired.load(Ordering::Relaxed);
    cancel.time(jobs / 2, || {
        runtime.block_on(async {
            for id in ids.iter().step_by(2) {
                scheduler.remove(id).await?;
            }
            Ok::<_, JobSchedulerError>(())
        })
    })?;
    runtime.block_on(scheduler.shutdown())?;
    Ok([register, fire, cancel])
}
