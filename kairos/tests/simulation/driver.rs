//! Runs tasks on a manual clock, one poll at a time, in an order drawn by chance: the same seed gives the same run.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use jiff::Timestamp;
use kairos::clock::{Clock as _, ManualClock};

use crate::climate::Dice;

pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Adds tasks to the ones that run.
#[derive(Clone, Default)]
pub(crate) struct Spawner(Rc<RefCell<Vec<Task>>>);

impl Spawner {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.borrow_mut().push(Box::pin(task));
    }
}

pub(crate) struct Driver {
    clock: ManualClock,
    dice: Dice,
    spawner: Spawner,
    tasks: Vec<(Task, Arc<Flag>)>,
    pub(crate) polls: u64,
}

/// More polls than this are a run that makes no progress.
const MOST_POLLS: u64 = 3_000_000;

impl Driver {
    pub(crate) fn new(clock: ManualClock, dice: Dice) -> Self {
        Self { clock, dice, spawner: Spawner::default(), tasks: Vec::new(), polls: 0 }
    }

    pub(crate) fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Runs until `end`; `between` is called before each step.
    pub(crate) fn run_until(&mut self, end: Timestamp, mut between: impl FnMut()) {
        loop {
            self.tasks.extend(self.spawner.0.borrow_mut().drain(..).map(|task| (task, Arc::new(Flag::raised()))));
            let woken: Vec<_> = (0..self.tasks.len()).filter(|index| self.tasks[*index].1.is_raised()).collect();
            if woken.is_empty() {
                match self.clock.next_timer().filter(|timer| *timer <= end) {
                    Some(timer) => self.clock.advance_to(timer),
                    None => break self.clock.advance_to(end),
                }
                continue;
            }
            between();
            let chosen = woken[self.dice.below(woken.len())];
            self.poll(chosen);
        }
    }

    /// Drops every task where it stands.
    pub(crate) fn stop(&mut self) {
        self.tasks.clear();
        self.spawner.0.borrow_mut().clear();
    }

    fn poll(&mut self, index: usize) {
        self.polls += 1;
        assert!(self.polls < MOST_POLLS, "no progress at {}", self.clock.now());
        let (task, flag) = &mut self.tasks[index];
        flag.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(flag.clone());
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            drop(self.tasks.swap_remove(index));
        }
    }
}

struct Flag(AtomicBool);

impl Flag {
    fn raised() -> Self {
        Self(AtomicBool::new(true))
    }

    fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The future's output, or `None` if it dies first: at its poll of this number.
pub(crate) async fn mortal<F: Future>(polls: Option<usize>, future: F) -> Option<F::Output> {
    let Some(mut left) = polls else { return Some(future.await) };
    let mut future = Box::pin(future);
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        let polled = future.as_mut().poll(context);
        if polled.is_pending() && left == 0 {
            // It dies right here, not when something wakes it.
            context.waker().wake_by_ref();
        }
        polled.map(Some)
    })
    .await
}
