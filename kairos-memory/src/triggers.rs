//! Triggers, packed: a million of them, all different, take some 200 bytes each.

mod saved;

use std::hash::BuildHasher as _;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashTable};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use kairos::backend::{Trigger, TriggerKey};
use kairos::clock::earlier;
use kairos::{Expression, ScheduleId, Specification, Timetable, TriggerInput, limits};

use crate::listing::fingerprint;
use crate::schedules::Missed;
use crate::slab::Slab;
use crate::wheel::{Wheel, due_tick, instant, tick};

/// Triggers by key, each with its next occurrence and a timer for it.
#[derive(Debug)]
pub(crate) struct Triggers {
    packed: Slab<Packed>,
    /// Slots, by the hash of the key, which is in the slot.
    by_key: HashTable<u32>,
    hasher: DefaultHashBuilder,
    timers: Wheel,
    /// Each zone once. The first stands for "none given".
    zones: Vec<TimeZone>,
}

/// What is kept of a trigger. What few triggers have is apart.
#[derive(Debug)]
struct Packed {
    /// The schedule's id and, right behind it, the expression as it was written: one allocation instead of two.
    text: Box<str>,
    id_length: u8,
    zone: u16,
    expression: Expression,
    /// The nominal time of the next occurrence; means nothing without a timer.
    next: Timestamp,
    extra: Option<Box<Extra>>,
}

const _: () = assert!(size_of::<Packed>() <= 112, "there may be millions");

#[derive(Debug, Default)]
struct Extra {
    group: Option<Box<str>>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    window_minutes: Option<u32>,
    description: Option<Box<str>>,
    /// How the zone's name was written, where that is not how the database writes it.
    zone_name: Option<Box<str>>,
}

/// What became of a trigger that was due.
#[derive(Debug)]
pub(crate) enum Fired {
    /// It fires.
    Due(TriggerInput),
    /// It has to wait, and is looked at again a minute later.
    HeldBack,
    /// It came too late for some occurrences. The first that is not too late is next.
    Missed(Missed),
}

/// How long a trigger that has to wait is left alone.
const HELD_BACK: Duration = Duration::from_secs(60);
/// How many missed occurrences are counted one by one.
const COUNTED: usize = 10_000;

impl Packed {
    fn id(&self) -> &str {
        &self.text[..usize::from(self.id_length)]
    }

    /// What names it: the id within its group.
    fn name(&self) -> (&str, Option<&str>) {
        (self.id(), self.extra.as_ref().and_then(|extra| extra.group.as_deref()))
    }

    /// When the trigger fires for an occurrence: then, or some milliseconds later within its window. How many depends on
    /// the id alone, so that triggers of one time are spread, and each keeps its distance from one occurrence to the next.
    fn due(&self, occurrence: Timestamp) -> u64 {
        due_tick(occurrence) + self.delay()
    }

    fn delay(&self) -> u64 {
        let window = self.extra.as_ref().and_then(|extra| extra.window_minutes).unwrap_or(0);
        match u64::from(window) * 60_000 {
            0 => 0,
            millis => fingerprint(self.id().as_bytes()) % millis,
        }
    }
}

impl Triggers {
    pub(crate) fn new() -> Self {
        Self {
            packed: Slab::new(),
            by_key: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            timers: Wheel::new(),
            zones: vec![TimeZone::UTC],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.packed.len()
    }

    /// The slot of a trigger.
    pub(crate) fn find(&self, key: &TriggerKey) -> Option<u32> {
        let name = (key.schedule_id.as_str(), key.group.as_deref());
        let same = |slot: &u32| self.packed.get(*slot).is_some_and(|packed| packed.name() == name);
        self.by_key.find(self.hasher.hash_one(name), same).copied()
    }

    /// Adds a trigger that is not there yet and has been checked, with a timer for its next occurrence if it has one.
    pub(crate) fn insert(&mut self, trigger: &Trigger, timetable: &Timetable, next: Option<Timestamp>) {
        const { assert!(limits::TRIGGER_NAME <= u8::MAX as usize) };
        let id_length = u8::try_from(trigger.schedule_id.as_str().len()).unwrap_or_default();
        let specification = &trigger.specification;
        let packed = Packed {
            text: [trigger.schedule_id.as_str(), &specification.expression].concat().into(),
            id_length,
            zone: self.zone(specification, timetable.zone()),
            expression: *timetable.expression(),
            next: next.unwrap_or_default(),
            extra: extra(trigger, timetable.zone()),
        };
        let hash = self.hasher.hash_one(packed.name());
        let slot = self.packed.insert(packed);
        let Self { packed, by_key, hasher, .. } = self;
        by_key.insert_unique(hash, slot, |slot| packed.get(*slot).map_or(0, |packed| hasher.hash_one(packed.name())));
        self.set_timer(slot, next);
    }

    /// Removes a trigger and its timer.
    pub(crate) fn remove(&mut self, key: &TriggerKey) {
        let name = (key.schedule_id.as_str(), key.group.as_deref());
        let same = |slot: &u32| self.packed.get(*slot).is_some_and(|packed| packed.name() == name);
        if let Ok(entry) = self.by_key.find_entry(self.hasher.hash_one(name), same) {
            let (slot, _) = entry.remove();
            self.timers.cancel(slot);
            self.packed.remove(slot);
        }
    }

    /// The trigger in a slot, as it was added.
    pub(crate) fn get(&self, slot: u32) -> Option<Trigger> {
        self.packed.get(slot).map(|packed| self.unpack(packed))
    }

    /// All slots after one, or from the first one on.
    pub(crate) fn after(&self, slot: Option<u32>) -> impl Iterator<Item = (u32, Option<Trigger>)> {
        let from = slot.map_or(0, |slot| slot.saturating_add(1));
        self.packed.slots_from(from).map(|(slot, packed)| (slot, packed.map(|packed| self.unpack(packed))))
    }

    /// A time before which nothing is due; nearly always that at which something is.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.timers.next_due().map(instant)
    }

    /// Sees to the trigger whose occurrence has been due for longest, if one is due, and sets its timer anew.
    ///
    /// The next occurrence follows upon the nominal time of this one, not upon the time now: however late it is asked,
    /// every occurrence comes out, but those that were due longer ago than `catch_up`.
    pub(crate) fn fire(
        &mut self,
        now: Timestamp,
        until: Timestamp,
        catch_up: Duration,
        is_held_back: impl Fn(&str) -> bool,
    ) -> Option<Fired> {
        let slot = self.timers.pop(tick(until))?;
        let packed = self.packed.get(slot)?;
        let oldest = tick(now).saturating_sub(millis(catch_up)).saturating_sub(packed.delay());
        let timetable = self.timetable(packed);
        let occurrence = packed.next;
        if tick(occurrence) < oldest {
            let oldest = instant(oldest);
            let missed = missed(packed, &timetable, oldest);
            let following = timetable.next_after(earlier(oldest, Duration::from_nanos(1)));
            self.set_timer(slot, following);
            return Some(Fired::Missed(missed));
        }
        if is_held_back(packed.id()) {
            self.timers.set(slot, tick(now) + millis(HELD_BACK));
            return Some(Fired::HeldBack);
        }
        let input = TriggerInput::new(ScheduleId::from(packed.id()), occurrence);
        let following = timetable.next_after(occurrence);
        self.set_timer(slot, following);
        Some(Fired::Due(input))
    }

    /// Goes on at an earlier time, as the clock was set back. Occurrences stay when they are: one that has fired does not fire again.
    pub(crate) fn set_back(&mut self, now: Timestamp) {
        self.timers.set_back(tick(now), |due| due);
    }

    fn set_timer(&mut self, slot: u32, occurrence: Option<Timestamp>) {
        if let (Some(packed), Some(occurrence)) = (self.packed.get_mut(slot), occurrence) {
            packed.next = occurrence;
            self.timers.set(slot, packed.due(occurrence));
        }
    }

    /// A rate that has no start may as well count from its last occurrence as from its first.
    fn timetable(&self, packed: &Packed) -> Timetable {
        let timetable = Timetable::new(packed.expression, self.zones[usize::from(packed.zone)].clone());
        let bounds = packed.extra.as_ref().map_or((None, None), |extra| (extra.start, extra.end));
        timetable.with_anchor(packed.next).with_start(bounds.0).with_end(bounds.1)
    }

    #[allow(clippy::expect_used, reason = "there are some 600 zones, each of which is here once")]
    fn zone(&mut self, specification: &Specification, zone: &TimeZone) -> u16 {
        if specification.time_zone.is_none() {
            return 0;
        }
        let known = self.zones.iter().skip(1).position(|known| known.iana_name() == zone.iana_name());
        let index = known.map_or(self.zones.len(), |position| position + 1);
        if index == self.zones.len() {
            self.zones.push(zone.clone());
        }
        u16::try_from(index).expect("fewer zones than 65536")
    }

    fn unpack(&self, packed: &Packed) -> Trigger {
        let mut specification = Specification::new(&packed.text[usize::from(packed.id_length)..]);
        if packed.zone != 0 {
            specification.time_zone = self.zones[usize::from(packed.zone)].iana_name().map(str::to_owned);
        }
        let mut description = None;
        if let Some(extra) = &packed.extra {
            let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
            specification.group = text(&extra.group);
            specification.start = extra.start;
            specification.end = extra.end;
            specification.window_minutes = extra.window_minutes;
            specification.time_zone = text(&extra.zone_name).or(specification.time_zone);
            description = text(&extra.description);
        }
        Trigger::new(ScheduleId::from(packed.id()), specification).with_description(description)
    }
}

/// The occurrences from the next one on and before `oldest`. Stepping through them would take as long as they were many.
fn missed(packed: &Packed, timetable: &Timetable, oldest: Timestamp) -> Missed {
    let first = packed.next;
    let last = timetable.previous_before(oldest).unwrap_or(first);
    let (count, is_exact) = match timetable.expression() {
        Expression::Rate(rate) => {
            let periods = (last.as_second() - first.as_second()) / rate.period().as_secs();
            (periods.unsigned_abs() + 1, true)
        }
        _ => {
            let after = timetable.after(first).take_while(|occurrence| *occurrence <= last);
            let count = 1 + after.take(COUNTED).count();
            (count.min(COUNTED) as u64, count <= COUNTED)
        }
    };
    Missed::new(ScheduleId::from(packed.id()), count, is_exact, first, last)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What only some triggers have; nothing for a bare expression in any zone.
fn extra(trigger: &Trigger, zone: &TimeZone) -> Option<Box<Extra>> {
    let Specification { time_zone, start, end, window_minutes, group, .. } = &trigger.specification;
    let zone_name = time_zone.as_deref().filter(|name| zone.iana_name() != Some(name));
    let any = group.is_some() || start.is_some() || end.is_some() || window_minutes.is_some();
    (any || trigger.description.is_some() || zone_name.is_some()).then(|| {
        Box::new(Extra {
            group: group.as_deref().map(Into::into),
            start: *start,
            end: *end,
            window_minutes: *window_minutes,
            description: trigger.description.as_deref().map(Into::into),
            zone_name: zone_name.map(Into::into),
        })
    })
}
