//! Timers, in the order in which setting them anew gives the same wheel.

use super::{LEVELS, NIL, SLOTS, Wheel};

impl Wheel {
    /// All timers with their ticks, in the order in which they come due; those of one tick in the order in which they were set.
    pub(crate) fn in_order(&self) -> Vec<(u32, u64)> {
        let mut timers = Vec::new();
        for (level, slot) in (0..LEVELS).flat_map(|level| (0..SLOTS).map(move |slot| (level, slot))) {
            let mut number = self.lists[level][slot].first;
            while number != NIL {
                let timer = self.timers[number as usize];
                timers.push((number, timer.due));
                number = timer.next;
            }
        }
        // Timers of one tick are in one list, in their order, which a stable sort keeps.
        timers.sort_by_key(|(_, due)| *due);
        timers
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_order_in_which_they_are_popped(
            steps in prop::collection::vec((0u32..60, prop_oneof![0u64..5, 0u64..100_000, 0u64..1 << 40], 0usize..3), 1..200)
        ) {
            let mut wheel = Wheel::new();
            let mut now = 0;
            for (number, after, pops) in steps {
                wheel.set(number, now + after);
                for _ in 0..pops {
                    now += after / 2;
                    wheel.pop(now);
                }
                let order = wheel.in_order();
                prop_assert_eq!(wheel.in_order().first().map(|(_, due)| *due) >= wheel.next_due(), true);
                let mut again = Wheel::new();
                for (number, due) in &order {
                    again.set(*number, *due);
                }
                prop_assert_eq!(again.in_order(), order);
            }
            let order = wheel.in_order();
            let popped: Vec<_> = std::iter::from_fn(|| wheel.pop(u64::MAX)).collect();
            prop_assert_eq!(order.into_iter().map(|(number, _)| number).collect::<Vec<_>>(), popped);
        }
    }
}
