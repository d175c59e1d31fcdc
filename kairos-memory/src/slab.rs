//! Values under small numbers, which are given out again once they are free.

mod saved;

/// Ends a chain of slots.
pub(crate) const NIL: u32 = u32::MAX;

/// A vector with holes: a value keeps its slot while it is there.
///
/// Four bytes name a value, so that links and indexes take half of what pointers would, and no value is allocated alone.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    entries: Vec<Entry<T>>,
    /// The hole to be filled first, or [`NIL`].
    free: u32,
    len: usize,
}

#[derive(Debug)]
enum Entry<T> {
    Full(T),
    Hole { next: u32 },
}

impl<T> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), free: NIL, len: 0 }
    }

    /// Puts a value in the hole made last, or at the end.
    #[allow(clippy::expect_used, reason = "so many values as have no number fit into no machine's memory")]
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if self.free == NIL {
            let slot = u32::try_from(self.entries.len()).ok().filter(|slot| *slot != NIL);
            self.entries.push(Entry::Full(value));
            return slot.expect("fewer than 2^32 - 1 values");
        }
        let slot = self.free;
        let entry = std::mem::replace(&mut self.entries[slot as usize], Entry::Full(value));
        if let Entry::Hole { next } = entry {
            self.free = next;
        }
        slot
    }

    /// Takes the value out of a slot.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let entry = self.entries.get_mut(slot as usize).filter(|entry| matches!(entry, Entry::Full(_)))?;
        match std::mem::replace(entry, Entry::Hole { next: self.free }) {
            Entry::Full(value) => {
                self.free = slot;
                self.len -= 1;
                Some(value)
            }
            Entry::Hole { .. } => None,
        }
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        match self.entries.get(slot as usize)? {
            Entry::Full(value) => Some(value),
            Entry::Hole { .. } => None,
        }
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        match self.entries.get_mut(slot as usize)? {
            Entry::Full(value) => Some(value),
            Entry::Hole { .. } => None,
        }
    }

    /// How many values there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Every slot from one on, with its value if it has one.
    pub(crate) fn slots_from(&self, from: u32) -> impl Iterator<Item = (u32, Option<&T>)> {
        // The entries first: past the last of them, there is no number to count on to.
        self.entries.get(from as usize..).unwrap_or_default().iter().zip(from..).map(|(entry, slot)| match entry {
            Entry::Full(value) => (slot, Some(value)),
            Entry::Hole { .. } => (slot, None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_keeps_its_slot_and_holes_are_filled_first() {
        let mut slab = Slab::new();
        let slots: Vec<u32> = ["a", "b", "c"].map(|value| slab.insert(value)).into();
        assert_eq!(slots, [0, 1, 2]);
        assert_eq!((slab.remove(0), slab.remove(0), slab.remove(9)), (Some("a"), None, None));
        assert_eq!(slab.remove(2), Some("c"));
        assert_eq!((slab.insert("d"), slab.insert("e"), slab.insert("f")), (2, 0, 3));
        assert_eq!((slab.get(1), slab.get(2), slab.get(4), slab.len()), (Some(&"b"), Some(&"d"), None, 4));
        slab.remove(2);
        let seen: Vec<_> = slab.slots_from(1).map(|(slot, value)| (slot, value.copied())).collect();
        assert_eq!(seen, [(1, Some("b")), (2, None), (3, Some("f"))]);
        assert_eq!(slab.slots_from(9).count(), 0);
        assert_eq!(slab.slots_from(u32::MAX).count(), 0);
    }
}
