//! Values that many rows have in common, each kept once and named by a small number.

use std::hash::Hash;

use crate::index::Index;
use crate::slab::Slab;

/// Values by number, counted by how many rows have them: one that no row has any longer is forgotten.
#[derive(Debug)]
pub(crate) struct Interned<T> {
    values: Slab<(T, u32)>,
    numbers: Index,
    /// The number asked for last: rows of one value come together.
    last: u32,
}

impl<T: Clone + Eq + Hash> Interned<T> {
    pub(crate) fn new() -> Self {
        Self { values: Slab::new(), numbers: Index::new(), last: 0 }
    }

    /// The number of a value that some row has.
    pub(crate) fn find(&self, value: &T) -> Option<u32> {
        self.numbers.find(value, |number| self.get(number) == Some(value))
    }

    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.values.get(number).map(|(value, _)| value)
    }

    /// The number of a value that one more row has.
    pub(crate) fn acquire(&mut self, value: &T) -> u32 {
        if let Some((known, rows)) = self.values.get_mut(self.last)
            && known == value
        {
            *rows += 1;
            return self.last;
        }
        let number = self.find(value).unwrap_or_else(|| {
            let number = self.values.insert((value.clone(), 0));
            self.numbers.insert(number, &self.values, |_, (value, _)| value);
            number
        });
        if let Some((_, rows)) = self.values.get_mut(number) {
            *rows += 1;
        }
        self.last = number;
        number
    }

    /// One row less has the value of this number.
    pub(crate) fn release(&mut self, number: u32) {
        let Some((value, rows)) = self.values.get_mut(number) else { return };
        *rows -= 1;
        if *rows == 0 {
            self.numbers.remove(&*value, |other| other == number);
            self.values.remove(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_number_for_as_long_as_any_row_has_it() {
        let mut interned = Interned::new();
        let (a, b) = (interned.acquire(&"a"), interned.acquire(&"b"));
        assert_eq!((interned.acquire(&"a"), interned.find(&"b"), interned.get(a)), (a, Some(b), Some(&"a")));
        interned.release(a);
        assert_eq!(interned.find(&"a"), Some(a));
        interned.release(a);
        assert_eq!((interned.find(&"a"), interned.get(a), interned.get(b)), (None, None, Some(&"b")));
        assert_eq!(interned.acquire(&"c"), a, "numbers are given out again");
    }
}
