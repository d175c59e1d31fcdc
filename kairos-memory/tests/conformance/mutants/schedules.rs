//! Schedulers with one flaw each.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use kairos::backend::{ScheduleBackend, Trigger, TriggerKey};
use kairos::clock::{Clock as _, ManualClock};
use kairos::conformance::{self, Passage, ScheduleHarness, Sight};
use kairos::page::{Page, PageRequest};
use kairos::{Error, ErrorKind, Result, TriggerInput};

use super::assert_found;
use crate::harness::{Timed, clock};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    UnknownIsAnError,
    ForgetsDescriptions,
    NamesAllAlike,
    RefusesToCreateAgain,
    ComparesDescriptions,
    Overwrites,
    KeepsWhatWasThere,
    NamesNoField,
    RefusesToDeleteAgain,
    MixesUpGroups,
    TakesAnything,
    EndsAfterTheFirstPage,
    TakesAnyCursor,
    NeverFires,
    FiresEarly,
    NamesAnotherOccurrence,
    NamesNoOccurrence,
    FiresOnlyOneOfAnInstant,
    FiresWhatWasDeleted,
    SkipsOccurrences,
    FiresTwiceAsOften,
    IgnoresZones,
    IgnoresTheEnd,
    NamesTheTimeInTheWindow,
    StopsWhenCreatedAgain,
    GivesUpAtOnce,
    LosesDeadLetters,
}

const FOUND_BY: [(Flaw, &str); 27] = [
    (Flaw::UnknownIsAnError, "an_unknown_trigger_is_none"),
    (Flaw::ForgetsDescriptions, "a_trigger_comes_back_as_it_was_created"),
    (Flaw::NamesAllAlike, "creating_names_the_trigger"),
    (Flaw::RefusesToCreateAgain, "creating_names_the_trigger"),
    (Flaw::ComparesDescriptions, "another_description_is_no_other_definition"),
    (Flaw::Overwrites, "another_specification_is_a_conflict"),
    (Flaw::KeepsWhatWasThere, "another_specification_is_a_conflict"),
    (Flaw::NamesNoField, "another_specification_is_a_conflict"),
    (Flaw::RefusesToDeleteAgain, "deleting_again_succeeds"),
    (Flaw::MixesUpGroups, "a_name_is_one_within_its_group"),
    (Flaw::TakesAnything, "what_never_fires_is_refused_by_field"),
    (Flaw::EndsAfterTheFirstPage, "a_listing_gives_every_trigger_once"),
    (Flaw::TakesAnyCursor, "text_that_is_no_cursor_is_refused"),
    (Flaw::NeverFires, "a_trigger_fires_when_it_is_due"),
    (Flaw::FiresEarly, "a_trigger_fires_when_it_is_due"),
    (Flaw::NamesAnotherOccurrence, "a_firing_names_its_occurrence"),
    (Flaw::NamesNoOccurrence, "a_firing_names_its_occurrence"),
    (Flaw::FiresOnlyOneOfAnInstant, "triggers_of_one_instant_all_fire"),
    (Flaw::FiresWhatWasDeleted, "a_deleted_trigger_does_not_fire"),
    (Flaw::SkipsOccurrences, "every_occurrence_fires"),
    (Flaw::FiresTwiceAsOften, "every_occurrence_fires"),
    (Flaw::IgnoresZones, "occurrences_are_those_of_the_time_zone"),
    (Flaw::IgnoresTheEnd, "there_is_no_occurrence_outside_the_dates"),
    (Flaw::NamesTheTimeInTheWindow, "a_window_moves_no_occurrence"),
    (Flaw::StopsWhenCreatedAgain, "creating_again_neither_stops_nor_moves_it"),
    (Flaw::GivesUpAtOnce, "a_refused_firing_comes_again"),
    (Flaw::LosesDeadLetters, "a_firing_that_is_refused_for_ever_is_a_dead_letter"),
];

#[tokio::test]
async fn every_flaw_of_a_scheduler_is_found() {
    for (flaw, case) in FOUND_BY {
        let clock = clock();
        let timed = Timed::new(clock.clone());
        let flawed = Flawed { timed, created: Mutex::default(), flaw, clock };
        let mutant = Mutant { flawed, refuses: AtomicBool::new(false), lost: Mutex::default() };
        assert_found(&flaw, case, conformance::schedules(&mutant)).await;
    }
}

/// The triggers, as the backend shows them.
struct Flawed {
    timed: Timed<ManualClock>,
    /// What was created, as it was asked for, and how often.
    created: Mutex<BTreeMap<TriggerKey, (Trigger, usize)>>,
    flaw: Flaw,
    clock: ManualClock,
}

impl std::fmt::Debug for Flawed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.flaw.fmt(f)
    }
}

/// The same with eyes on what fires.
struct Mutant {
    flawed: Flawed,
    refuses: AtomicBool,
    lost: Mutex<Vec<TriggerInput>>,
}

impl Flawed {
    fn asked_for(&self, key: &TriggerKey) -> Option<(Trigger, usize)> {
        self.created.lock().unwrap().get(key).cloned()
    }

    /// What the inner backend is given to keep.
    fn inner(&self, trigger: &Trigger) -> Trigger {
        let mut inner = trigger.clone();
        match self.flaw {
            Flaw::IgnoresZones if trigger.specification.timetable(Timestamp::UNIX_EPOCH).is_ok() => {
                inner.specification.time_zone = None;
            }
            Flaw::IgnoresTheEnd => inner.specification.end = None,
            Flaw::ForgetsDescriptions => inner.description = None,
            Flaw::TakesAnything if inner.specification.timetable(Timestamp::UNIX_EPOCH).is_err() => {
                inner.specification = kairos::Specification::new("rate(365 days)");
            }
            _ => {}
        }
        inner
    }

    /// Whether a trigger is only hidden when it is deleted: one that fires once.
    fn is_hidden(&self, key: &TriggerKey) -> bool {
        self.asked_for(key).is_some_and(|(trigger, _)| trigger.specification.expression.starts_with("at("))
    }

    /// The trigger as it was asked for, although the inner backend keeps another one.
    fn shown(&self, trigger: Trigger) -> Trigger {
        match self.flaw {
            Flaw::IgnoresZones | Flaw::IgnoresTheEnd => {
                self.asked_for(&trigger.key()).map_or(trigger, |(asked, _)| asked)
            }
            _ => trigger,
        }
    }
}

#[async_trait]
impl ScheduleBackend for Flawed {
    async fn create(&self, trigger: &Trigger) -> Result<String> {
        let schedules = &self.timed.schedules;
        let key = trigger.key();
        let before = self.asked_for(&key);
        let conflict = || Err(Error::new(ErrorKind::Conflict, "there is one"));
        match (self.flaw, &before) {
            (Flaw::RefusesToCreateAgain, Some(_)) => return conflict(),
            (Flaw::ComparesDescriptions, Some((before, _))) if before != trigger => return conflict(),
            (Flaw::Overwrites, Some(_)) => schedules.delete(&key).await?,
            (Flaw::MixesUpGroups, _) => {
                let other = |one: &TriggerKey| one.schedule_id == key.schedule_id && one.group != key.group;
                if self.created.lock().unwrap().keys().any(other) {
                    return conflict();
                }
            }
            // What the inner backend does not know to differ.
            (Flaw::IgnoresZones | Flaw::IgnoresTheEnd, Some((before, _)))
                if before.specification != trigger.specification =>
            {
                let field = if before.specification.end == trigger.specification.end { "zonaHoraria" } else { "fin" };
                if self.inner(before).specification == self.inner(trigger).specification {
                    return conflict()
                        .map_err(|error: Error| error.with_faults(vec![kairos::Fault::new(field, "differs")]));
                }
            }
            _ => {}
        }
        let result = schedules.create(&self.inner(trigger)).await;
        let name = match (self.flaw, result) {
            (Flaw::KeepsWhatWasThere, Err(error)) if error.kind() == ErrorKind::Conflict => "kept".into(),
            (Flaw::NamesNoField, Err(error)) => return Err(Error::new(error.kind(), "something differs")),
            (_, result) => result?,
        };
        let count = before.map_or(0, |(_, count)| count) + 1;
        self.created.lock().unwrap().insert(key, (trigger.clone(), count));
        Ok(if self.flaw == Flaw::NamesAllAlike { "trigger".into() } else { name })
    }

    async fn delete(&self, key: &TriggerKey) -> Result<()> {
        match self.flaw {
            Flaw::FiresWhatWasDeleted if self.is_hidden(key) => drop(self.created.lock().unwrap().remove(key)),
            Flaw::RefusesToDeleteAgain if self.created.lock().unwrap().remove(key).is_none() => {
                return Err(Error::new(ErrorKind::NotFound, "there is none"));
            }
            _ => {
                self.created.lock().unwrap().remove(key);
                self.timed.schedules.delete(key).await?;
            }
        }
        Ok(())
    }

    async fn get(&self, key: &TriggerKey) -> Result<Option<Trigger>> {
        let found = match self.flaw {
            Flaw::FiresWhatWasDeleted => self.asked_for(key).map(|(trigger, _)| trigger),
            _ => self.timed.schedules.get(key).await?,
        };
        match found {
            None if self.flaw == Flaw::UnknownIsAnError => Err(Error::new(ErrorKind::NotFound, "there is none")),
            found => Ok(found.map(|trigger| self.shown(trigger))),
        }
    }

    async fn list(&self, page: &PageRequest) -> Result<Page<Trigger>> {
        let found = self.timed.schedules.list(page).await;
        if found.is_err() && self.flaw == Flaw::TakesAnyCursor {
            return Ok(Page::last(Vec::new()));
        }
        let mut found = found?;
        found.items = found.items.into_iter().map(|trigger| self.shown(trigger)).collect();
        match self.flaw {
            Flaw::EndsAfterTheFirstPage => found.next = None,
            Flaw::FiresWhatWasDeleted => found.items.retain(|trigger| self.asked_for(&trigger.key()).is_some()),
            _ => {}
        }
        Ok(found)
    }
}

#[async_trait]
impl ScheduleHarness for Mutant {
    fn backend(&self) -> &dyn ScheduleBackend {
        &self.flawed
    }

    fn time(&self) -> &dyn Passage {
        &self.flawed.clock
    }

    fn sight(&self) -> Sight {
        Sight::Occurrences
    }

    async fn fired(&self) -> Vec<TriggerInput> {
        let mut fired = self.flawed.timed.fired().await;
        let created: Vec<_> = self.flawed.created.lock().unwrap().values().cloned().collect();
        match self.flawed.flaw {
            Flaw::NeverFires => fired.clear(),
            Flaw::FiresEarly => {
                let now = self.flawed.clock.now();
                fired.extend(created.iter().map(|(trigger, _)| TriggerInput::new(trigger.schedule_id.clone(), now)));
            }
            Flaw::NamesAnotherOccurrence => fired.iter_mut().for_each(|input| {
                input.scheduled_time = input.scheduled_time.map(|at| at + SignedDuration::from_secs(1));
            }),
            Flaw::NamesNoOccurrence => fired.iter_mut().for_each(|input| input.scheduled_time = None),
            Flaw::FiresOnlyOneOfAnInstant => fired.dedup_by_key(|input| input.scheduled_time),
            Flaw::SkipsOccurrences => {
                fired.retain(|input| input.scheduled_time.is_some_and(|at| at.as_second() % 180 != 0));
            }
            Flaw::FiresTwiceAsOften => {
                let between = |input: &TriggerInput| {
                    let at =
                        input.scheduled_time.filter(|at| at.as_second() % 60 == 0)? - SignedDuration::from_secs(30);
                    Some(TriggerInput::new(input.schedule_id.clone(), at))
                };
                fired = fired.iter().flat_map(|input| between(input).into_iter().chain([input.clone()])).collect();
            }
            Flaw::NamesTheTimeInTheWindow => {
                for input in &mut fired {
                    let one = created.iter().find(|(trigger, _)| trigger.schedule_id == input.schedule_id);
                    if one.is_some_and(|(trigger, _)| trigger.specification.window_minutes.is_some()) {
                        input.scheduled_time = input.scheduled_time.map(|at| at + SignedDuration::from_mins(1));
                    }
                }
            }
            Flaw::StopsWhenCreatedAgain => fired.retain(|input| {
                created.iter().all(|(trigger, count)| trigger.schedule_id != input.schedule_id || *count < 2)
            }),
            Flaw::GivesUpAtOnce => {
                let mut lost = self.lost.lock().unwrap();
                fired.retain(|input| !lost.contains(input));
                if self.refuses.load(Ordering::Relaxed) {
                    lost.append(&mut fired);
                }
            }
            _ => {}
        }
        fired
    }

    async fn refuse(&self, refuse: bool) -> bool {
        self.refuses.store(refuse, Ordering::Relaxed);
        self.flawed.flaw == Flaw::GivesUpAtOnce || self.flawed.timed.refuse(refuse).await
    }

    async fn dead_letters(&self) -> Option<Vec<TriggerInput>> {
        let letters = self.flawed.timed.dead_letters().await;
        letters.map(|letters| if self.flawed.flaw == Flaw::LosesDeadLetters { Vec::new() } else { letters })
    }

    fn group(&self) -> Option<String> {
        self.flawed.timed.group()
    }
}
