//! A whole Kairos that is saved, ends, and is restored into a new one: as if it had gone on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use kairos::backend::{ExecutionFilter, History};
use kairos::clock::{ManualClock, later};
use kairos::page::PageRequest;
use kairos::{Error, ErrorKind, Execution, ExecutionState, ProcessId, Registration};
use kairos_memory::{DeadLetter, Embedded, EmbeddedBuilder, Saved, Simulation};
use serde_json::Value;

use super::common::{at, secs};

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

/// Tasks that succeed, that fail twice, and that never succeed.
fn builder() -> EmbeddedBuilder {
    Embedded::builder()
        .with_task("ok", |_| async { Ok(()) })
        .with_task("flaky", |invocation| async move {
            if invocation.attempt <= 2 { Err(Error::new(ErrorKind::Failed, "not yet")) } else { Ok(()) }
        })
        .with_task("broken", |_| async { Err(Error::new(ErrorKind::Rejected, "broken")) })
}

fn registrations() -> Vec<Registration> {
    let target = |index: usize| ["kairos:task:ok", "kairos:task:flaky", "kairos:task:broken"][index % 3];
    let expressions = [
        "rate(7 minutes)",
        "cron(0/10 * * * ? *)",
        "cron(30 1,2 * * ? *)",
        "at(2026-03-08T12:00:00)",
        "rate(5 hours)",
        "at(2020-01-01T00:00:00)",
    ];
    let plain = expressions.into_iter().enumerate().map(|(index, expression)| {
        Registration::new(format!("p{index}"), expression, target(index)).with_time_zone("America/New_York")
    });
    plain
        .chain([
            Registration::new("ventana", "rate(45 minutes)", "kairos:task:ok").with_window_minutes(30u32),
            Registration::new("fechas", "rate(25 minutes)", "kairos:task:flaky")
                .with_start(at("2026-03-07T10:11:12Z"))
                .with_end(at("2026-03-08T10:11:12Z")),
            // Two on one trigger.
            Registration::new("segundo", "rate(5 hours)", "kairos:task:ok").with_time_zone("America/New_York"),
        ])
        .collect()
}

/// A simulation that ends and begins again from text, or goes on.
struct World {
    kairos: Simulation,
    clock: ManualClock,
    restarts: bool,
}

impl World {
    fn new(restarts: bool) -> Self {
        let clock = ManualClock::at(at("2026-03-07T00:00:41.123456789Z"));
        Self { kairos: builder().simulate(clock.clone()), clock, restarts }
    }

    fn restart(&mut self) {
        if self.restarts {
            let text = serde_json::to_string(&self.kairos.save()).unwrap();
            // The old one is gone with all that it waits for before there is a new one.
            let clock = ManualClock::at(self.kairos.now());
            self.kairos = builder().simulate(clock.clone());
            self.clock = clock;
            self.kairos.restore(serde_json::from_str::<Saved>(&text).unwrap()).unwrap();
        }
    }

    async fn advance(&mut self, seconds: u64) {
        let end = later(self.kairos.now(), secs(seconds));
        while self.kairos.now() < end {
            self.restart();
            self.kairos.advance_to(later(self.kairos.now(), secs(9 * MINUTE + 17)).min(end)).await;
        }
        self.restart();
    }

    async fn outcome(self) -> (Vec<Execution>, Vec<DeadLetter>) {
        (executions(&self.kairos).await, self.kairos.queue().dead_letters())
    }
}

async fn executions(kairos: &Embedded) -> Vec<Execution> {
    let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
    let mut all = Vec::new();
    loop {
        let listed = kairos.history().list(&ExecutionFilter::all(), &page).await.unwrap();
        all.extend(listed.items);
        match listed.next {
            Some(cursor) => page = page.with_cursor(cursor),
            None => return all,
        }
    }
}

/// Lets each other task have one turn. (Tokio's own lets them have many.)
async fn turn() {
    let mut taken = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut taken, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Two days, through the change to daylight saving time, with calls of the scheduler in between.
async fn run(restarts: bool) -> (Vec<Execution>, Vec<DeadLetter>) {
    let mut world = World::new(restarts);
    for registration in registrations() {
        // What never fires is refused, and both worlds refuse the same.
        let _ = world.kairos.scheduler().register(&registration).await;
        world.restart();
    }
    world.advance(DAY / 2).await;
    world.kairos.scheduler().disable(&ProcessId::of("p0")).await.unwrap();
    world.advance(DAY / 4).await;
    world.kairos.scheduler().enable(&ProcessId::of("p0")).await.unwrap();
    world.kairos.scheduler().unregister(&ProcessId::of("p1")).await.unwrap();
    world.restart();
    world.kairos.scheduler().run_now(&ProcessId::of("p4"), Some("una vez")).await.unwrap();
    world.advance(DAY).await;
    world.kairos.scheduler().run_now(&ProcessId::of("p4"), Some("una vez")).await.unwrap();
    world.advance(DAY / 4).await;
    world.outcome().await
}

#[tokio::test]
async fn one_that_restarts_every_few_minutes_has_the_same_history() {
    let (through, restarted) = (run(false).await, run(true).await);
    assert!(through.0.len() > 500 && through.1.len() >= 3, "{} {}", through.0.len(), through.1.len());
    let states: BTreeSet<_> = through.0.iter().map(|execution| execution.state.as_str()).collect();
    assert_eq!(states, BTreeSet::from(["Exitosa", "Muerta"]));
    assert!(through.0.iter().any(|execution| execution.attempts == 3), "some were tried again");
    assert_eq!(through.0, restarted.0);
    assert_eq!(through.1, restarted.1);
}

/// A task of the real clock is at work when the state is saved; it is as after a crash: tried again once its claim has ended.
#[tokio::test]
async fn what_was_under_way_is_tried_again_and_once() {
    let clock = ManualClock::at(at("2026-01-01T00:00:00Z"));
    let mut kairos = Embedded::builder().with_task("lenta", |_| std::future::pending()).simulate(clock);
    let registration = Registration::new("a", "rate(1 hour)", "kairos:task:lenta");
    kairos.scheduler().register(&registration).await.unwrap();
    kairos.advance(secs(60 * MINUTE)).await;
    assert_eq!(executions(&kairos).await[0].state, ExecutionState::Running);
    let saved = kairos.save();

    let mut kairos = Embedded::builder().with_task("lenta", |_| async { Ok(()) }).simulate(ManualClock::at(saved.at()));
    kairos.restore(saved).unwrap();
    kairos.advance(secs(30 * MINUTE)).await;
    let found = executions(&kairos).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].state, found[0].attempts), (ExecutionState::Succeeded, 2));
    assert_eq!(kairos.executor().counts().succeeded, 1);
    assert!(kairos.queue().is_empty());
}

/// Saved at every moment in which an embedded Kairos makes up for a long sleep: whatever is under way just then is in the state.
#[tokio::test]
async fn no_moment_to_save_loses_an_occurrence() {
    const PROCESSES: usize = 60;
    let task = || Embedded::builder().with_task("ok", |_| async { Ok(()) }).with_catch_up(std::time::Duration::MAX);
    let mut before = task().simulate(ManualClock::at(at("2020-01-01T00:00:00Z")));
    for number in 0..PROCESSES {
        let registration =
            Registration::new(format!("p{number}"), format!("at(2020-01-02T00:{number:02}:00)"), "kairos:task:ok");
        before.scheduler().register(&registration).await.unwrap();
    }
    before.advance(secs(1)).await;

    let kairos = task().with_workers(1).build();
    kairos.restore(before.save()).unwrap();
    let running = kairos.start().await.unwrap();
    // A task like those that fire and work: it has its turn as often as they have.
    let saving = async move {
        let mut moments = Vec::new();
        while kairos.history().len() < PROCESSES || !kairos.queue().is_empty() {
            moments.push(kairos.save());
            turn().await;
        }
        moments
    };
    let moments = tokio::spawn(saving).await.unwrap();
    running.shutdown().await;

    let mut seen = BTreeSet::new();
    for saved in moments {
        let mut after = task().simulate(ManualClock::at(saved.at()));
        after.restore(saved).unwrap();
        seen.insert(after.history().len());
        after.advance(secs(60 * MINUTE)).await;
        assert_eq!((after.history().len(), after.queue().len()), (PROCESSES, 0));
        assert!(executions(&after).await.iter().all(|execution| execution.state.is_finished()));
    }
    assert!(seen.len() > 3, "some moments were in the middle: {seen:?}");
}

#[tokio::test]
async fn what_is_asked_for_now_is_not_taken_for_what_was_asked_for_before() {
    let mut kairos = builder().simulate(ManualClock::at(at("2026-01-01T00:00:00Z")));
    let id = ProcessId::of("a");
    let registration = Registration::new("a", "rate(1 day)", "kairos:task:ok");
    kairos.scheduler().register(&registration).await.unwrap();
    for runs in 1..=20 {
        let saved = kairos.save();
        kairos = builder().simulate(ManualClock::at(saved.at()));
        kairos.restore(saved).unwrap();
        // The first identifiers that each one draws.
        kairos.scheduler().run_now(&id, None).await.unwrap();
        kairos.advance(secs(1)).await;
        assert_eq!(kairos.history().len(), runs);
    }
}

#[tokio::test]
async fn a_state_on_the_real_clock_goes_on_after_a_shutdown() {
    let ran = Arc::new(AtomicBool::new(false));
    let start = || {
        let ran = ran.clone();
        Embedded::builder().with_task("ok", move |_| {
            let ran = ran.clone();
            async move {
                ran.store(true, Ordering::Relaxed);
                Ok(())
            }
        })
    };
    let running = start().build().start().await.unwrap();
    let registration = Registration::new("a", "rate(1 day)", "kairos:task:ok");
    let id = running.scheduler().register(&registration).await.unwrap().process.id.clone();
    let kairos = (*running).clone();
    running.shutdown().await;
    // Asked for when nobody is at work any more.
    kairos.scheduler().run_now(&id, None).await.unwrap();
    let text = serde_json::to_string(&kairos.save()).unwrap();
    drop(kairos);
    assert!(!ran.load(Ordering::Relaxed));

    let kairos = start().build();
    kairos.restore(serde_json::from_str(&text).unwrap()).unwrap();
    let running = kairos.start().await.unwrap();
    while !kairos.queue().is_empty() {
        tokio::task::yield_now().await;
    }
    running.shutdown().await;
    assert!(ran.load(Ordering::Relaxed));
    assert_eq!((kairos.history().len(), kairos.schedules().len()), (1, 1));
    assert_eq!(kairos.scheduler().register(&registration).await.unwrap().process.id, id);
}

/// What this version wrote, every later one must read; what cannot be said in it is another version.
#[test]
fn version_1_is_written_as_it_was_read() {
    let text = include_str!("version_1.json");
    let value: Value = serde_json::from_str(text).unwrap();
    // From text and from a value: some readers borrow from the one and cannot from the other.
    let saved: Saved = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::from_value::<Saved>(value.clone()).unwrap(), saved);
    assert_eq!(serde_json::to_value(&saved).unwrap(), value);

    let kairos = builder().simulate(ManualClock::at(saved.at()));
    kairos.restore(saved).unwrap();
    let mut written = serde_json::to_value(kairos.save()).unwrap();
    // Drawn anew each time.
    written["Azar"] = value["Azar"].clone();
    assert_eq!(written, value);
}
