//! Places, written out and read back.

use super::{Entry, NIL, Slab};

impl<T> Slab<T> {
    /// The slots that are free, in the order in which they will be filled.
    pub(crate) fn holes(&self) -> Vec<u32> {
        let Self { entries, free, len: _ } = self;
        let next = |slot: &u32| match entries.get(*slot as usize) {
            Some(Entry::Hole { next }) => Some(*next),
            _ => None,
        };
        std::iter::successors(Some(*free), next).take_while(|slot| *slot != NIL).collect()
    }

    /// No values yet, and the slots in which values will be put, one after the other: every number below their count once.
    ///
    /// # Errors
    /// The index in `order` of a slot that is there twice, or is no such number.
    pub(crate) fn to_be_filled(order: &[u32]) -> Result<Self, usize> {
        let mut entries: Vec<_> = order.iter().map(|_| Entry::Hole { next: NIL }).collect();
        let mut seen = vec![false; order.len()];
        let mut free = NIL;
        for (index, slot) in order.iter().enumerate() {
            match seen.get_mut(*slot as usize) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(index),
            }
        }
        for slot in order.iter().rev() {
            entries[*slot as usize] = Entry::Hole { next: free };
            free = *slot;
        }
        Ok(Self { entries, free, len: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_holes_are_where_they_were() {
        let mut slab = Slab::new();
        for value in ["a", "b", "c", "d"] {
            slab.insert(value);
        }
        slab.remove(2);
        slab.remove(0);
        assert_eq!(slab.holes(), [0, 2]);
        let mut read = Slab::to_be_filled(&[3, 1, 0, 2]).unwrap();
        assert_eq!((read.insert("d"), read.insert("b"), read.len()), (3, 1, 2));
        assert_eq!(read.holes(), [0, 2]);
        assert_eq!((read.insert("e"), read.insert("f"), read.insert("g")), (0, 2, 4));
        assert_eq!(Slab::<()>::to_be_filled(&[]).unwrap().holes(), [0; 0]);
    }

    #[test]
    fn a_slot_that_is_there_twice_or_out_of_range_is_named() {
        for (order, index) in [(&[0, 1, 1][..], 2), (&[2, 0][..], 0), (&[NIL][..], 0)] {
            assert_eq!(Slab::<()>::to_be_filled(order).err(), Some(index), "{order:?}");
        }
    }
}
