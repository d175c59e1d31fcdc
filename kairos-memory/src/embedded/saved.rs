//! A whole Kairos, written out and read back.

use jiff::Timestamp;
use kairos::Result;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Embedded;
use crate::saved::Version;
use crate::{SavedHistory, SavedQueue, SavedSchedules, SavedStore};

/// The state of an [`Embedded`], to be written out with serde and [restored](Embedded::restore).
///
/// It is one moment of its processes and schedule records, its triggers, its queue and its history:
/// `{"Version":1,"Hora":"…","Azar":"…","Almacen":{…},"Disparadores":{…},"Cola":{…},"Historia":{…}}`, in which rows and messages have
/// the formats that they have in tables and on queues, and times are as in RFC 3339.
///
/// How it is put together (tasks, policy, retention and so on), the counts of the executor and the recorded calls of
/// [targets](Embedded::targets) are not part of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    #[serde(rename = "Version")]
    version: Version,
    #[serde(rename = "Hora")]
    at: Timestamp,
    /// Drawn for it, so that whoever reads it back draws no identifier that it holds already.
    #[serde(rename = "Azar")]
    drawn: Uuid,
    #[serde(rename = "Almacen")]
    store: SavedStore,
    #[serde(rename = "Disparadores")]
    schedules: SavedSchedules,
    #[serde(rename = "Cola")]
    queue: SavedQueue,
    #[serde(rename = "Historia")]
    history: SavedHistory,
}

impl Saved {
    /// When it was saved, by the clock of what was.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

impl Embedded {
    /// The state as it is now: at rest after [`Running::shutdown`](super::Running::shutdown), or at any moment in between.
    ///
    /// Everything waits while it is copied, which takes time in proportion to it; writing it out as text disturbs nobody. Of what is
    /// under way at that moment, as much is saved as is left after a crash: an occurrence that is being dispatched is dispatched again,
    /// which repeats no execution; an execution that is being tried comes back once its claim has ended; a call of the scheduler is finished
    /// by the next one that needs the same schedule, or by `reconcile`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kairos::Registration;
    /// use kairos::clock::ManualClock;
    /// use kairos_memory::{Embedded, Saved};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = || Embedded::builder().with_task("informe", |_| async { Ok(()) });
    /// let hour = Duration::from_secs(60 * 60);
    ///
    /// let mut kairos = builder().simulate(ManualClock::at("2026-01-01T00:00:00Z".parse()?));
    /// kairos.scheduler().register(&Registration::new("informe", "rate(20 minutes)", "kairos:task:informe")).await?;
    /// kairos.advance(hour).await;
    /// assert_eq!(kairos.executor().counts().succeeded, 3);
    /// let text = serde_json::to_string(&kairos.save())?;
    /// drop(kairos);
    ///
    /// // An hour later the program starts again: what came due meanwhile is made up for, and what ran does not run again.
    /// let mut kairos = builder().simulate(ManualClock::at("2026-01-01T02:00:00Z".parse()?));
    /// kairos.restore(serde_json::from_str::<Saved>(&text)?)?;
    /// kairos.advance(hour).await;
    /// assert_eq!(kairos.executor().counts().succeeded, 6);
    /// assert_eq!(kairos.history().len(), 9);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn save(&self) -> Saved {
        let parts = &*self.parts;
        // All locks at once, so that nothing is on its way from one to the other. Whoever else holds two of them locks in this order.
        let taken = parts.taken.lock();
        let (store, (mut schedules, (queue, history))) =
            parts.store.save_and(|| parts.schedules.save_and(|| parts.queue.save_and(|| parts.history.save())));
        schedules.take_back(taken.iter().cloned());
        drop(taken);
        Saved { version: Version, at: parts.clock.now(), drawn: parts.chance.uuid(), store, schedules, queue, history }
    }

    /// Replaces the state by one that was saved, before [`start`](Self::start) or before a simulation is first
    /// [advanced](crate::Simulation::advance).
    ///
    /// What came due since then is due now, as far as it is [caught up on](crate::MemorySchedules::with_catch_up). On a clock that is behind that
    /// of the [save](Saved::at), all goes on as if the clock had been set back.
    ///
    /// # Errors
    /// [`Malformed`](kairos::ErrorKind::Malformed), naming the row, for what no Kairos saves: ids that are there twice, expressions that cannot be read,
    /// rows without their place. Then nothing has changed.
    pub fn restore(&self, saved: Saved) -> Result<()> {
        let parts = &*self.parts;
        let Saved { version: Version, at: _, drawn, store, schedules, queue, history } = saved;
        let mut taken = parts.taken.lock();
        parts.store.restore_and(store, || {
            parts.schedules.restore_and(schedules, || parts.queue.restore_and(queue, || parts.history.restore(history)))
        })?;
        taken.clear();
        parts.chance.mix(drawn);
        Ok(())
    }
}
