//! Values by number: equal ones have the same number, so that a situation is a handful of numbers.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Values, each once, by number and by key.
#[derive(Debug)]
pub(crate) struct Table<T, K = String> {
    values: Vec<T>,
    ids: Map<K, u32>,
}

impl<T, K> Default for Table<T, K> {
    fn default() -> Self {
        Self { values: Vec::new(), ids: Map::default() }
    }
}

impl<T, K: Eq + Hash> Table<T, K> {
    fn id_by(&mut self, key: K, value: T) -> u32 {
        let values = &mut self.values;
        *self.ids.entry(key).or_insert_with(|| {
            values.push(value);
            u32::try_from(values.len() - 1).unwrap()
        })
    }

    pub(crate) fn get(&self, id: u32) -> &T {
        &self.values[id as usize]
    }
}

impl<T: Debug> Table<T> {
    /// The number of a value. Values are equal if they are written the same.
    pub(crate) fn id(&mut self, value: T) -> u32 {
        self.id_by(format!("{value:?}"), value)
    }
}

impl<T: Copy + Eq + Hash> Table<T, T> {
    /// The number of a small value.
    pub(crate) fn id_of(&mut self, value: T) -> u32 {
        self.id_by(value, value)
    }
}

pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;
pub(crate) type Set<K> = HashSet<K, BuildHasherDefault<Quick>>;

/// A hasher for small numbers that nobody chooses with malice: most of the search is looking things up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quick(u64);

impl Quick {
    fn add(&mut self, number: u64) {
        // The multiplier of FxHash: odd, with its bits well spread.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut number = [0; 8];
            number[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(number));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.add(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.add(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    /// Which variant of an enum.
    fn write_isize(&mut self, number: isize) {
        self.add(number.unsigned_abs() as u64);
    }

    fn finish(&self) -> u64 {
        // Tables look at the lowest bits and the highest ones; products are best in the middle.
        self.0.rotate_left(26)
    }
}
