//! Slots, found by the hash of what is in them.

use std::hash::{BuildHasher as _, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::slab::Slab;

/// The slots of a [`Slab`] by their keys, which are kept there and nowhere else.
#[derive(Debug)]
pub(crate) struct Index {
    slots: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self { slots: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }

    /// The slot of a key: of those with its hash, the one of which `is_it` holds.
    pub(crate) fn find(&self, key: impl Hash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.slots.find(self.hasher.hash_one(key), |slot| is_it(*slot)).copied()
    }

    /// Adds a slot whose key has none yet, the last of the slab to be added. `key` tells that of any slot by what is in it.
    pub(crate) fn insert<'a, T, K: Hash>(&mut self, slot: u32, slab: &'a Slab<T>, key: impl Fn(u32, &'a T) -> K) {
        let Self { slots, hasher } = self;
        let hash = |slot, value| hasher.hash_one(key(slot, value));
        let hash_of = |slot: &u32| slab.get(*slot).map_or(0, |value| hash(*slot, value));
        if slots.len() < slots.capacity() {
            slots.insert_unique(hash_of(&slot), slot, hash_of);
            return;
        }
        // It grows as the slots lie in memory, the new one among them. By itself it would grow as they lie in it, which is in no order, and wait
        // for each.
        let mut grown = HashTable::with_capacity(2 * slots.capacity());
        for (slot, value) in slab.slots_from(0) {
            if let Some(value) = value {
                grown.insert_unique(hash(slot, value), slot, hash_of);
            }
        }
        *slots = grown;
    }

    /// Takes out the slot of a key, found as by [`find`](Self::find).
    pub(crate) fn remove(&mut self, key: impl Hash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let entry = self.slots.find_entry(self.hasher.hash_one(key), |slot| is_it(*slot)).ok()?;
        Some(entry.remove().0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::hash::Hasher;

    use proptest::prelude::*;

    use super::*;

    /// A key that many share their hash with.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Key(u8);

    impl Hash for Key {
        fn hash<H: Hasher>(&self, state: &mut H) {
            (self.0 % 16).hash(state);
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_a_sorted_map_would(steps in prop::collection::vec((any::<bool>(), any::<u8>()), 1..600)) {
            let (mut slab, mut index, mut model) = (Slab::new(), Index::new(), BTreeMap::new());
            for (adds, key) in steps {
                let key = Key(key);
                let found = index.find(key, |slot| slab.get(slot) == Some(&key));
                prop_assert_eq!(found, model.get(&key).copied());
                match found {
                    None if adds => {
                        let slot = slab.insert(key);
                        index.insert(slot, &slab, |_, key| *key);
                        model.insert(key, slot);
                    }
                    Some(slot) if !adds => {
                        prop_assert_eq!(index.remove(key, |other| other == slot), model.remove(&key));
                        slab.remove(slot);
                    }
                    _ => {}
                }
            }
            for (key, slot) in model {
                prop_assert_eq!(index.find(key, |slot| slab.get(slot) == Some(&key)), Some(slot));
            }
        }
    }
}
