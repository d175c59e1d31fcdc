//! Triggers, packed: a million of them, all different, take some 180 bytes each.

mod saved;

use std::ops::ControlFlow;
use std::time::Duration;

use hashbrown::HashMap;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use kairos::backend::{Trigger, TriggerKey};
use kairos::clock::earlier;
use kairos::timetable::{Bounds, WallClock};
use kairos::{Expression, ScheduleId, Specification, Timetable};

use crate::index::Index;
use crate::listing::fingerprint;
use crate::schedules::Missed;
use crate::slab::Slab;
use crate::wheel::{Wheel, due_tick, instant, tick};

/// Triggers by key, each with its next occurrence and a timer for it.
#[derive(Debug)]
pub(crate) struct Triggers {
    packed: Slab<Packed>,
    by_key: Index,
    timers: Wheel,
    zones: Vec<Zone>,
    /// What few triggers have, by slot.
    extras: HashMap<u32, Extra>,
}

/// A zone, once.
#[derive(Debug)]
struct Zone {
    clock: WallClock,
    /// Whether it is named, or is what it is where none is.
    is_named: bool,
}

/// What is kept of a trigger. What few triggers have is apart.
#[derive(Debug)]
struct Packed {
    /// In place, as nearly all are: handing on what fires allocates nothing and reads nothing that lies elsewhere.
    id: ScheduleId,
    expression: Expression,
    /// The nominal time of the next occurrence, in seconds and nanoseconds; means nothing without a timer.
    seconds: i64,
    nanoseconds: i32,
    zone: u16,
    extra: HasExtra,
}

const _: () = assert!(size_of::<Packed>() <= 144, "there may be millions");

/// Whether there is something [extra](Triggers::extras) of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HasExtra {
    No,
    /// Nothing that firing it asks for, which so need not look for it.
    Words,
    /// Also when it may fire.
    Times,
}

#[derive(Debug, Default, PartialEq)]
struct Extra {
    group: Option<Box<str>>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    window_minutes: Option<u32>,
    description: Option<Box<str>>,
    /// The expression as it was written, where the id does not tell it.
    written: Option<Box<str>>,
    /// How the zone's name was written, where that is not how the database writes it.
    zone_name: Option<Box<str>>,
}

/// An id within its group, if it has one.
type Name<'a> = (&'a str, Option<&'a str>);

/// What became of a trigger that was due.
#[derive(Debug)]
pub(crate) enum Fired<'a> {
    /// It fires for this occurrence.
    Due(&'a ScheduleId, Timestamp),
    /// It came too late for some occurrences. The first that is not too late is next.
    Missed(Missed),
}

/// How long a trigger that has to wait is left alone.
const HELD_BACK: Duration = Duration::from_secs(60);
/// How many missed occurrences are counted one by one.
const COUNTED: usize = 10_000;

impl Extra {
    fn has_times(&self) -> bool {
        let Self { start, end, window_minutes, .. } = self;
        start.is_some() || end.is_some() || window_minutes.is_some()
    }
}

impl Packed {
    fn next(&self) -> Timestamp {
        // It is made of one.
        Timestamp::new(self.seconds, self.nanoseconds).unwrap_or_default()
    }

    fn set_next(&mut self, next: Timestamp) {
        (self.seconds, self.nanoseconds) = (next.as_second(), next.subsec_nanosecond());
    }

    fn name<'a>(&'a self, slot: u32, extras: &'a HashMap<u32, Extra>) -> Name<'a> {
        let group = || extras.get(&slot)?.group.as_deref();
        (self.id.as_str(), if self.extra == HasExtra::No { None } else { group() })
    }

    /// What there is extra of it, if that has anything to say about when it fires.
    fn times<'a>(&self, slot: u32, extras: &'a HashMap<u32, Extra>) -> Option<&'a Extra> {
        if self.extra == HasExtra::Times { extras.get(&slot) } else { None }
    }

    /// How many milliseconds after its occurrence it fires, within its window. That depends on the id alone, so that triggers of one
    /// time are spread, and each keeps its distance from one occurrence to the next.
    fn delay(&self, times: Option<&Extra>) -> u64 {
        let window = times.and_then(|times| times.window_minutes).unwrap_or(0);
        match u64::from(window) * 60_000 {
            0 => 0,
            millis => fingerprint(self.id.as_str().as_bytes()) % millis,
        }
    }
}

impl Triggers {
    pub(crate) fn new() -> Self {
        Self {
            packed: Slab::new(),
            by_key: Index::new(),
            timers: Wheel::new(),
            zones: Vec::new(),
            extras: HashMap::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.packed.len()
    }

    /// The slot of a trigger.
    pub(crate) fn find(&self, key: &TriggerKey) -> Option<u32> {
        let name = name(key);
        self.by_key.find(name, is_named(name, &self.packed, &self.extras))
    }

    fn extra(&self, slot: u32, packed: &Packed) -> Option<&Extra> {
        if packed.extra == HasExtra::No { None } else { self.extras.get(&slot) }
    }

    /// Adds a trigger that is not there yet and has been checked, with a timer for its next occurrence if it has one.
    pub(crate) fn insert(&mut self, trigger: &Trigger, timetable: &Timetable, next: Option<Timestamp>) {
        let extra = extra(trigger, timetable.zone());
        let packed = Packed {
            id: trigger.schedule_id.clone(),
            expression: *timetable.expression(),
            seconds: 0,
            nanoseconds: 0,
            zone: self.zone(&trigger.specification, timetable),
            extra: match &extra {
                None => HasExtra::No,
                Some(extra) if extra.has_times() => HasExtra::Times,
                Some(_) => HasExtra::Words,
            },
        };
        let slot = self.packed.insert(packed);
        self.extras.extend(extra.map(|extra| (slot, extra)));
        let Self { packed, by_key, extras, .. } = self;
        by_key.insert(slot, packed, |slot, packed| packed.name(slot, extras));
        self.set_timer(slot, next);
    }

    /// Removes a trigger and its timer.
    pub(crate) fn remove(&mut self, key: &TriggerKey) {
        let Self { packed, by_key, extras, .. } = self;
        let name = name(key);
        if let Some(slot) = by_key.remove(name, is_named(name, packed, extras)) {
            self.timers.cancel(slot);
            self.packed.remove(slot);
            self.extras.remove(&slot);
        }
    }

    /// The trigger in a slot, as it was added.
    pub(crate) fn get(&self, slot: u32) -> Option<Trigger> {
        self.packed.get(slot).map(|packed| self.unpack(slot, packed))
    }

    /// All slots after one, or from the first one on.
    pub(crate) fn after(&self, slot: Option<u32>) -> impl Iterator<Item = (u32, Option<Trigger>)> {
        let from = slot.map_or(0, |slot| slot.saturating_add(1));
        self.packed.slots_from(from).map(|(slot, packed)| (slot, packed.map(|packed| self.unpack(slot, packed))))
    }

    /// A time before which nothing is due; nearly always that at which something is.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.timers.next_due().map(instant)
    }

    /// Sees to the triggers that are due at `until`, the one whose occurrence has been due for longest first, and sets the timer of each anew, until
    /// `sink` has enough. What is held back is left alone, and looked at again a minute later.
    ///
    /// The next occurrence follows upon the nominal time of this one, not upon the time now: however late it is asked,
    /// every occurrence comes out, but those that were due longer ago than `catch_up`.
    pub(crate) fn fire(
        &mut self,
        now: Timestamp,
        until: Timestamp,
        catch_up: Duration,
        is_held_back: impl Fn(&str) -> bool,
        mut sink: impl FnMut(Fired<'_>) -> ControlFlow<()>,
    ) {
        let (now, until) = (tick(now), tick(until));
        let oldest = now.saturating_sub(millis(catch_up));
        while let Some(slot) = self.timers.pop(until) {
            let Self { packed, timers, extras, zones, .. } = self;
            let Some(packed) = packed.get_mut(slot) else { continue };
            let times = packed.times(slot, extras);
            let delay = packed.delay(times);
            let clock = &mut zones[usize::from(packed.zone)].clock;
            let occurrence = packed.next();
            let bounds = bounds(occurrence, times);
            let oldest = oldest.saturating_sub(delay);
            let (mut last, mut missed) = (occurrence, None);
            if tick(occurrence) < oldest {
                let oldest = instant(oldest);
                last = earlier(oldest, Duration::from_nanos(1));
                missed =
                    Some(missed_before(oldest, &packed.id, occurrence, &clock.timetable(packed.expression, bounds)));
            } else if is_held_back(packed.id.as_str()) {
                timers.set(slot, now + millis(HELD_BACK));
                continue;
            }
            if let Some(following) = clock.next_after(&packed.expression, &bounds, last) {
                packed.set_next(following);
                timers.set(slot, due_tick(following) + delay);
            }
            let fired = missed.map_or(Fired::Due(&packed.id, occurrence), Fired::Missed);
            if sink(fired).is_break() {
                return;
            }
        }
    }

    /// Goes on at an earlier time, as the clock was set back. Occurrences stay when they are: one that has fired does not fire again.
    pub(crate) fn set_back(&mut self, now: Timestamp) {
        self.timers.set_back(tick(now), |due| due);
    }

    fn set_timer(&mut self, slot: u32, occurrence: Option<Timestamp>) {
        if let (Some(packed), Some(occurrence)) = (self.packed.get_mut(slot), occurrence) {
            packed.set_next(occurrence);
            let times = packed.times(slot, &self.extras);
            self.timers.set(slot, due_tick(occurrence) + packed.delay(times));
        }
    }

    #[allow(clippy::expect_used, reason = "there are some 600 zones, each of which is here once")]
    fn zone(&mut self, specification: &Specification, timetable: &Timetable) -> u16 {
        let is_named = specification.time_zone.is_some();
        let name = timetable.zone().iana_name();
        let is_same = |known: &Zone| known.is_named == is_named && known.clock.zone().iana_name() == name;
        let index = self.zones.iter().position(is_same).unwrap_or_else(|| {
            self.zones.push(Zone { clock: WallClock::new(timetable.zone().clone()), is_named });
            self.zones.len() - 1
        });
        u16::try_from(index).expect("fewer zones than 65536")
    }

    fn unpack(&self, slot: u32, packed: &Packed) -> Trigger {
        let extra = self.extra(slot, packed);
        let text =
            |text: fn(&Extra) -> &Option<Box<str>>| extra.and_then(|extra| text(extra).as_deref().map(str::to_owned));
        let written = text(|extra| &extra.written).or_else(|| packed.id.expression()).unwrap_or_default();
        let mut specification = Specification::new(written);
        let zone = &self.zones[usize::from(packed.zone)];
        if zone.is_named {
            let name = zone.clock.zone().iana_name().map(str::to_owned);
            specification.time_zone = text(|extra| &extra.zone_name).or(name);
        }
        specification.group = text(|extra| &extra.group);
        specification.start = extra.and_then(|extra| extra.start);
        specification.end = extra.and_then(|extra| extra.end);
        specification.window_minutes = extra.and_then(|extra| extra.window_minutes);
        Trigger::new(packed.id.clone(), specification).with_description(text(|extra| &extra.description))
    }
}

fn name(key: &TriggerKey) -> Name<'_> {
    (key.schedule_id.as_str(), key.group.as_deref())
}

/// Whether the trigger in a slot bears a name.
fn is_named<'a>(
    name: Name<'a>,
    packed: &'a Slab<Packed>,
    extras: &'a HashMap<u32, Extra>,
) -> impl Fn(u32) -> bool + 'a {
    move |slot| packed.get(slot).is_some_and(|packed| packed.name(slot, extras) == name)
}

/// From when to when a trigger fires whose occurrence this is. A rate that has no start may as well count from here as from its first.
fn bounds(occurrence: Timestamp, times: Option<&Extra>) -> Bounds {
    let (start, end) = times.map_or((None, None), |times| (times.start, times.end));
    Bounds { anchor: occurrence, start, end }
}

/// The occurrences from the next one on and before `oldest`. Stepping through them would take as long as they were many.
fn missed_before(oldest: Timestamp, id: &ScheduleId, first: Timestamp, timetable: &Timetable) -> Missed {
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
    Missed::new(id.clone(), count, is_exact, first, last)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What only some triggers have; nothing for a bare expression in any zone.
fn extra(trigger: &Trigger, zone: &TimeZone) -> Option<Extra> {
    let Specification { expression, time_zone, start, end, window_minutes, group, .. } = &trigger.specification;
    let is_told = trigger.schedule_id.is_of(expression);
    let zone_name = time_zone.as_deref().filter(|name| zone.iana_name() != Some(name));
    let extra = Extra {
        group: group.as_deref().map(Into::into),
        start: *start,
        end: *end,
        window_minutes: *window_minutes,
        description: trigger.description.as_deref().map(Into::into),
        written: (!is_told).then(|| expression.as_str().into()),
        zone_name: zone_name.map(Into::into),
    };
    (extra != Extra::default()).then_some(extra)
}
