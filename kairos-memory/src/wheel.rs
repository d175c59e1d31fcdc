//! A hierarchical timing wheel: setting, cancelling and popping a timer costs the same among ten as among ten million.
//!
//! After Varghese and Lauck, *Hashed and Hierarchical Timing Wheels* (1987), scheme 7, with two differences. A timer's level
//! is that of the highest digit in which its tick differs from the wheel's own, so that time can jump by a millennium
//! without being stepped through. And a slot knows its earliest timer, so that the wheel moves from timer to timer
//! and nothing at all happens at ticks that have none.

mod saved;

use jiff::Timestamp;

use crate::slab::NIL;

/// Bits of a tick that one level distinguishes: a level's occupancy fits in one word.
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
/// Nine levels of six bits are 54 bits; all of [`Timestamp`]'s range takes 50.
const LEVELS: usize = 9;
/// The last tick there is; later ones are brought down to it.
const LAST: u64 = (1 << 54) - 1;

/// The tick of an instant: whole milliseconds, rounded down, since [`Timestamp::MIN`]. It is what time it is.
pub(crate) fn tick(instant: Timestamp) -> u64 {
    let millis = match instant.subsec_nanosecond() {
        // Nearly all that is due is, and a division takes as long as all the rest.
        0 => instant.as_second() * 1_000,
        nanos => instant.as_second() * 1_000 + i64::from(nanos.div_euclid(1_000_000)),
    };
    (millis - Timestamp::MIN.as_second() * 1_000).unsigned_abs()
}

/// The tick at which something that is due at an instant comes due: never early, less than a millisecond late, and exact
/// for whole milliseconds. Rounded down, a wait of less than a tick would be none, and who waits would be back at once for ever.
pub(crate) fn due_tick(due: Timestamp) -> u64 {
    let nanos = due.subsec_nanosecond();
    tick(due) + u64::from(nanos != 0 && nanos.rem_euclid(1_000_000) != 0)
}

/// The instant at which a tick begins.
pub(crate) fn instant(tick: u64) -> Timestamp {
    i64::try_from(tick)
        .ok()
        .and_then(|tick| Timestamp::from_millisecond(Timestamp::MIN.as_second() * 1_000 + tick).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Timers, each named by a small number that its owner chooses: the slot of what it is for.
///
/// They take 16 bytes each and no allocation of their own. Numbers should be dense, as the table goes up to the largest.
///
/// To pop a timer and to set it anew is inlined: a tenth of what firing costs went into calling them.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// No timer is set before this tick, and it is never ahead of the latest time that was asked about.
    hand: u64,
    /// A bit for each list that is not empty.
    occupied: [u64; LEVELS],
    lists: Box<[[List; SLOTS]; LEVELS]>,
    timers: Vec<Timer>,
}

/// A chain of timers, in the order in which they were set.
#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
    /// No timer in the list is due before this tick. Exact, unless the earliest was cancelled.
    earliest: u64,
    /// No timer in the list is due after this tick.
    latest: u64,
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    /// [`IDLE`] if it is not set.
    due: u64,
    previous: u32,
    next: u32,
}

const IDLE: u64 = u64::MAX;

impl List {
    const EMPTY: Self = Self { first: NIL, last: NIL, earliest: u64::MAX, latest: 0 };
}

impl Timer {
    const IDLE: Self = Self { due: IDLE, previous: NIL, next: NIL };
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self { hand: 0, occupied: [0; LEVELS], lists: Box::new([[List::EMPTY; SLOTS]; LEVELS]), timers: Vec::new() }
    }

    /// Sets a timer, or sets it anew. A tick that the wheel has passed already is due at once, after what was due before.
    #[inline(always)]
    pub(crate) fn set(&mut self, number: u32, due: u64) {
        self.cancel(number);
        let index = number as usize;
        if index >= self.timers.len() {
            self.timers.resize(index + 1, Timer::IDLE);
        }
        self.timers[index].due = due.clamp(self.hand, LAST);
        self.append(number, number);
    }

    /// Cancels a timer; nothing happens to one that is not set.
    pub(crate) fn cancel(&mut self, number: u32) {
        if let Some(due) = self.due(number) {
            let (level, slot) = self.place(due);
            self.unlink(number, level, slot);
        }
    }

    /// When a timer is due, if it is set.
    pub(crate) fn due(&self, number: u32) -> Option<u64> {
        self.timers.get(number as usize).map(|timer| timer.due).filter(|due| *due != IDLE)
    }

    /// A tick at or before the earliest timer: that of the earliest timer itself, unless an earlier one was cancelled.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let (level, slot) = self.first_list()?;
        Some(self.lists[level][slot].earliest)
    }

    /// Takes the earliest timer that is due at or before `now`; of those due at the same tick, the one set first.
    ///
    /// A timer goes down at least one level at a time, so each is moved less often than there are levels; where all of a list are of one
    /// tick, as those of one minute are, the list goes all the way as it is, however long.
    #[inline(always)]
    pub(crate) fn pop(&mut self, now: u64) -> Option<u32> {
        loop {
            let (level, slot) = self.first_list()?;
            let list = self.lists[level][slot];
            if list.earliest > now {
                return None;
            }
            // Nothing is due before it, and everything below this level is empty: the hand may go right there.
            self.hand = list.earliest;
            if level == 0 {
                return Some(self.take_first(slot));
            }
            self.descend(level, slot);
        }
    }

    /// Takes the first timer out of a list of level 0, which has one. [`unlink`](Self::unlink) of a timer that has none before it, in half the steps.
    fn take_first(&mut self, slot: usize) -> u32 {
        let list = &mut self.lists[0][slot];
        let number = list.first;
        let timer = &mut self.timers[number as usize];
        timer.due = IDLE;
        let next = timer.next;
        if next == NIL {
            *list = List::EMPTY;
            self.occupied[0] &= !(1 << slot);
        } else {
            list.first = next;
            self.timers[next as usize].previous = NIL;
        }
        number
    }

    /// Moves the timers of a list, the earliest of which the hand is at, to lower levels.
    fn descend(&mut self, level: usize, slot: usize) {
        let list = std::mem::replace(&mut self.lists[level][slot], List::EMPTY);
        self.occupied[level] &= !(1 << slot);
        if list.earliest == list.latest {
            // The hand is there: that is a list of level 0, and as nothing was below, it is empty.
            let (level, slot) = self.place(list.earliest);
            self.lists[level][slot] = list;
            self.occupied[level] |= 1 << slot;
            return;
        }
        // In order, so that timers of one tick stay in the order in which they were set; and those that follow upon each other together.
        let mut first = list.first;
        while first != NIL {
            let Timer { due, mut next, .. } = self.timers[first as usize];
            let mut last = first;
            while next != NIL && self.timers[next as usize].due == due {
                (last, next) = (next, self.timers[next as usize].next);
            }
            self.append(first, last);
            first = next;
        }
    }

    /// Goes on at an earlier time, each timer being set to what becomes of its tick; that must keep their order.
    ///
    /// Looks at every timer: it is for clocks that are set back, which is rare.
    pub(crate) fn set_back(&mut self, now: u64, due: impl Fn(u64) -> u64) {
        let hand = self.hand.min(now);
        let mut timers = Vec::new();
        // As a timer is popped, the hand shows its tick.
        while let Some(number) = self.pop(LAST) {
            timers.push((number, self.hand));
        }
        self.hand = hand;
        for (number, before) in timers {
            self.set(number, due(before));
        }
    }

    /// Where the earliest timers are: whatever differs from the hand in a higher digit only is due later.
    fn first_list(&self) -> Option<(usize, usize)> {
        let level = self.occupied.iter().position(|occupied| *occupied != 0)?;
        Some((level, self.occupied[level].trailing_zeros() as usize))
    }

    /// The list of a tick, which depends on nothing but the tick and the hand.
    #[allow(clippy::cast_possible_truncation, reason = "of a tick, the six bits of one digit are wanted")]
    fn place(&self, due: u64) -> (usize, usize) {
        let level = ((due ^ self.hand) | 1).ilog2() / BITS;
        (level as usize, (due >> (level * BITS)) as usize % SLOTS)
    }

    /// Appends timers of one tick, linked with each other, to its list.
    #[inline(always)]
    fn append(&mut self, first: u32, last: u32) {
        let due = self.timers[first as usize].due;
        let (level, slot) = self.place(due);
        let list = &mut self.lists[level][slot];
        let previous = std::mem::replace(&mut list.last, last);
        (list.earliest, list.latest) = (list.earliest.min(due), list.latest.max(due));
        match previous {
            NIL => list.first = first,
            previous => self.timers[previous as usize].next = first,
        }
        self.timers[first as usize].previous = previous;
        self.timers[last as usize].next = NIL;
        self.occupied[level] |= 1 << slot;
    }

    /// Takes a timer out of the list that it is in.
    fn unlink(&mut self, number: u32, level: usize, slot: usize) {
        let Timer { previous, next, .. } = std::mem::replace(&mut self.timers[number as usize], Timer::IDLE);
        match previous {
            NIL => self.lists[level][slot].first = next,
            previous => self.timers[previous as usize].next = next,
        }
        match next {
            NIL => self.lists[level][slot].last = previous,
            next => self.timers[next as usize].previous = previous,
        }
        if self.lists[level][slot].first == NIL {
            self.lists[level][slot] = List::EMPTY;
            self.occupied[level] &= !(1 << slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// The same by a sorted map: due tick and order of setting, and for each number its key.
    #[derive(Default)]
    struct Model {
        queue: BTreeMap<(u64, u64), u32>,
        keys: BTreeMap<u32, (u64, u64)>,
        order: u64,
    }

    impl Model {
        fn set(&mut self, number: u32, due: u64) {
            self.cancel(number);
            self.order += 1;
            let key = (due, self.order);
            self.queue.insert(key, number);
            self.keys.insert(number, key);
        }

        fn cancel(&mut self, number: u32) {
            if let Some(key) = self.keys.remove(&number) {
                self.queue.remove(&key);
            }
        }

        fn set_back(&mut self, by: u64, hand: u64) {
            for (order, (key, number)) in (1..).zip(std::mem::take(&mut self.queue)) {
                self.order = order;
                let key = (key.0.saturating_sub(by).max(hand), order);
                self.queue.insert(key, number);
                self.keys.insert(number, key);
            }
        }

        fn pop(&mut self, now: u64) -> Option<u32> {
            let (key, number) = self.queue.first_key_value().map(|(key, number)| (*key, *number))?;
            (key.0 <= now).then(|| {
                self.cancel(number);
                number
            })
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u32, u64),
        SetInThePast(u32, u64),
        Cancel(u32),
        Pop(usize),
        Advance(u64),
        /// The clock is set back, and every timer with it if so told.
        SetBack(u64, bool),
    }

    /// Near and far apart alike, so that every level is used.
    fn span() -> impl Strategy<Value = u64> {
        (0..54u32, any::<u64>()).prop_map(|(bits, random)| random & ((1 << bits) - 1))
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..200u32, span()).prop_map(|(number, after)| Step::Set(number, after)),
            1 => (0..200u32, span()).prop_map(|(number, before)| Step::SetInThePast(number, before)),
            1 => (0..200u32).prop_map(Step::Cancel),
            3 => (1..20usize).prop_map(Step::Pop),
            2 => span().prop_map(Step::Advance),
            1 => (span(), any::<bool>()).prop_map(|(by, with_timers)| Step::SetBack(by, with_timers)),
        ]
    }

    proptest! {
        #[test]
        fn it_pops_what_a_sorted_map_would(steps in prop::collection::vec(step(), 1..400)) {
            let (mut wheel, mut model) = (Wheel::new(), Model::default());
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Set(number, after) => {
                        let due = u64::min(now + after, LAST);
                        wheel.set(number, due);
                        model.set(number, due);
                    }
                    Step::SetInThePast(number, before) => {
                        let due = now.saturating_sub(before);
                        wheel.set(number, due);
                        // How far the wheel has passed is its own affair, as long as it is not beyond the time now.
                        prop_assert!(wheel.hand <= now);
                        model.set(number, due.max(wheel.hand));
                    }
                    Step::Cancel(number) => {
                        wheel.cancel(number);
                        model.cancel(number);
                    }
                    Step::Pop(count) => for _ in 0..count {
                        prop_assert_eq!(wheel.pop(now), model.pop(now));
                    },
                    Step::Advance(by) => now = u64::min(now + by, LAST),
                    Step::SetBack(by, with_timers) => {
                        let by = u64::min(by, now);
                        let moved = if with_timers { by } else { 0 };
                        now -= by;
                        wheel.set_back(now, |due| due.saturating_sub(moved));
                        // Those that were due already stay in order, whatever is left of their ticks.
                        model.set_back(moved, wheel.hand);
                    }
                }
                let earliest = model.queue.first_key_value().map(|((due, _), _)| *due);
                prop_assert!(wheel.next_due() <= earliest && wheel.next_due().is_some() == earliest.is_some());
                for number in 0..200 {
                    prop_assert_eq!(wheel.due(number), model.keys.get(&number).map(|key| key.0));
                }
            }
            while let Some(number) = model.pop(LAST) {
                prop_assert_eq!(wheel.pop(LAST), Some(number));
            }
            prop_assert_eq!(wheel.pop(LAST), None);
            prop_assert_eq!(wheel.next_due(), None);
        }

        #[test]
        fn without_cancelling_the_next_due_tick_is_exact(spans in prop::collection::vec(span(), 1..100)) {
            let mut wheel = Wheel::new();
            for (number, due) in (0..).zip(&spans) {
                wheel.set(number, *due);
            }
            let mut sorted = spans;
            sorted.sort_unstable();
            for due in sorted {
                prop_assert_eq!(wheel.next_due(), Some(due));
                prop_assert_eq!(wheel.pop(due.saturating_sub(1)).is_some(), due == 0);
                if due != 0 {
                    prop_assert!(wheel.pop(due).is_some());
                }
            }
        }
    }

    #[test]
    fn waking_at_what_it_says_is_next_ends_even_if_that_was_cancelled() {
        let mut wheel = Wheel::new();
        let (earlier, later) = (1 << 40, (1 << 40) + (1 << 39));
        wheel.set(0, earlier);
        wheel.set(1, later);
        wheel.cancel(0);
        let mut wakes = 0;
        while let Some(now) = wheel.next_due() {
            wakes += 1;
            if wheel.pop(now).is_some() {
                assert_eq!(now, later);
            }
        }
        assert!(wakes <= 2, "{wakes}");
    }

    #[test]
    fn timers_of_one_tick_stay_in_order_whatever_is_cancelled_or_set_among_them() {
        let mut wheel = Wheel::new();
        let due = 1 << 40;
        (0..100).for_each(|number| wheel.set(number, due));
        wheel.set(100, due + 1);
        (0..100).filter(|number| number % 3 == 0).for_each(|number| wheel.cancel(number));
        wheel.set(3, due);
        let expected: Vec<u32> = (0..100).filter(|number| number % 3 != 0).chain([3]).collect();
        assert_eq!(wheel.pop(due), Some(expected[0]));
        wheel.set(0, due);
        let popped: Vec<u32> = std::iter::from_fn(|| wheel.pop(due)).collect();
        assert_eq!(popped, [&expected[1..], &[0]].concat());
        assert_eq!((wheel.pop(due + 1), wheel.pop(LAST)), (Some(100), None));
    }

    #[test]
    fn ticks_are_whole_milliseconds_of_the_whole_range() {
        assert_eq!(tick(Timestamp::MIN), 0);
        assert!(tick(Timestamp::MAX) < LAST);
        for text in ["1969-12-31T23:59:59.9989Z", "2026-01-01T00:00:00.001999999Z", "-009999-01-02T01:59:59Z"] {
            let at: Timestamp = text.parse().unwrap();
            let floor = instant(tick(at));
            assert!(floor <= at && at.as_nanosecond() - floor.as_nanosecond() < 1_000_000, "{text}");
            assert_eq!((tick(floor), due_tick(floor)), (tick(at), tick(at)));
            assert_eq!(due_tick(at), tick(at) + u64::from(floor != at), "{text}");
        }
        assert_eq!(instant(LAST), Timestamp::MAX);
    }
}
