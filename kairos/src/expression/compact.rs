//! The shortest readable way to write a set of values.

use std::fmt::Write as _;

use super::field::Field;

/// The longest list, in characters, that is better read than a shorter mixture of steps.
const READABLE: usize = 60;
/// The longest list that no mixture of steps is worth looking for.
const SHORT: usize = 12;

/// The values of one field, ascending.
pub(super) struct Values {
    field: Field,
    values: Vec<u16>,
}

/// Values that follow one another by a step, within the field or on past its end.
#[derive(Clone, Copy)]
struct Stride {
    from: u16,
    to: u16,
    step: u16,
    len: usize,
}

/// A set of places in a field, which are below 256.
#[derive(Clone, Copy, Default)]
struct Places([u64; 4]);

impl Places {
    fn insert(&mut self, place: usize) {
        self.0[place / 64] |= 1 << (place % 64);
    }

    fn has(&self, place: usize) -> bool {
        self.0[place / 64] >> (place % 64) & 1 == 1
    }

    fn remove(&mut self, other: &Places) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= !other);
    }

    fn count_in(&self, other: &Places) -> u32 {
        self.0.iter().zip(other.0).map(|(word, other)| (word & other).count_ones()).sum()
    }
}

impl Values {
    pub(super) fn new(field: Field, values: impl Iterator<Item = u16>) -> Values {
        Values { field, values: values.collect() }
    }

    pub(super) fn of_bits(field: Field, set: u64) -> Values {
        Values::new(field, (field.min()..=field.max()).filter(|value| set >> value & 1 == 1))
    }

    /// The text of the field.
    pub(super) fn text(&self) -> String {
        if self.values.len() == usize::from(self.field.count()) {
            return String::from("*");
        }
        let runs = self.list(&self.runs());
        // `MON-FRI/2` is shorter than `MON,WED,FRI`, but says less.
        if self.field == Field::DayOfWeek {
            return runs;
        }
        if let Some(stride) = self.stride() {
            let stride = self.list(&[stride]);
            return if stride.len() < runs.len() { stride } else { runs };
        }
        if runs.len() <= SHORT {
            return runs;
        }
        // A mixture of steps says less than a list and must be much shorter, unless the list is so long that nobody reads
        // it, and that the whole expression might not fit.
        let strides = self.list(&self.strides());
        let worth = if runs.len() > READABLE { 1 } else { 2 };
        if worth * strides.len() < runs.len() { strides } else { runs }
    }

    fn list(&self, strides: &[Stride]) -> String {
        let mut text = String::new();
        for stride in strides {
            if !text.is_empty() {
                text.push(',');
            }
            self.write(&mut text, *stride);
        }
        text
    }

    /// Consecutive values, each run as long as it goes.
    fn runs(&self) -> Vec<Stride> {
        let mut runs: Vec<Stride> = Vec::new();
        for &value in &self.values {
            match runs.last_mut() {
                Some(run) if run.to + 1 == value => {
                    run.to = value;
                    run.len += 1;
                }
                _ => runs.push(Stride { from: value, to: value, step: 1, len: 1 }),
            }
        }
        let wraps = matches!(self.field, Field::Hour | Field::DayOfWeek);
        if let [first, .., last] = &mut runs[..]
            && wraps
            && first.from == self.field.min()
            && last.to == self.field.max()
        {
            last.to = first.to;
            last.len += first.len;
            runs.remove(0);
        }
        runs
    }

    /// All values as one stride, if they lie alike.
    fn stride(&self) -> Option<Stride> {
        let (&from, &to) = (self.values.first()?, self.values.last()?);
        let len = self.values.len();
        let step = self.values.get(1)? - from;
        let alike = self.values.windows(2).all(|pair| pair[1] - pair[0] == step);
        (alike && len > 2).then_some(Stride { from, to, step, len })
    }

    /// A cover of the values by strides, ascending: again and again the stride that covers the most values not yet covered
    /// for its length in characters. Sets written with steps come out with these steps.
    fn strides(&self) -> Vec<Stride> {
        let max = self.field.max();
        let mut missing = Places::default();
        self.values.iter().for_each(|&value| missing.insert(self.place(value)));
        // From each value and in each step, as far as it goes.
        let mut candidates = Vec::new();
        for &from in &self.values {
            candidates.push(Stride { from, to: from, step: 1, len: 1 });
            for step in 1..=max - from {
                let values = (from..=max).step_by(usize::from(step));
                let len = values.take_while(|&value| missing.has(self.place(value))).count();
                let steps = u16::try_from(len).unwrap_or(u16::MAX) - 1;
                if steps > 0 {
                    candidates.push(Stride { from, to: from + steps * step, step, len });
                }
            }
        }
        let weigh = |stride| (stride, self.cost(stride), self.places(stride));
        let mut candidates: Vec<_> = candidates.into_iter().map(weigh).collect();
        let mut strides = Vec::new();
        loop {
            candidates.retain(|(_, _, places)| places.count_in(&missing) > 0);
            let best = candidates.iter().reduce(|best, other| {
                let worse = best.2.count_in(&missing) * other.1 < other.2.count_in(&missing) * best.1;
                if worse { other } else { best }
            });
            let Some((stride, _, places)) = best else { break };
            strides.push(*stride);
            missing.remove(places);
        }
        strides.sort_by_key(|stride| stride.from);
        strides
    }

    /// The place of a value in its field, from 0.
    fn place(&self, value: u16) -> usize {
        usize::from(value - self.field.min())
    }

    fn places(&self, stride: Stride) -> Places {
        let mut places = Places::default();
        let values = (stride.from..=stride.to).step_by(usize::from(stride.step));
        values.for_each(|value| places.insert(self.place(value)));
        places
    }

    /// How many characters a stride takes, with its comma.
    fn cost(&self, stride: Stride) -> u32 {
        let mut text = String::new();
        self.write(&mut text, stride);
        u32::try_from(text.len() + 1).unwrap_or(u32::MAX)
    }

    fn write(&self, text: &mut String, stride: Stride) {
        let Stride { from, to, step, len } = stride;
        let field = self.field;
        let words = field.words();
        // Writing to a string cannot fail.
        let _ = if step == 1 || len == 1 {
            let value = |value: u16| {
                let word = usize::from(value).checked_sub(1).and_then(|index| words.get(index));
                word.map_or_else(|| value.to_string(), |word| (*word).to_owned())
            };
            match len {
                1 => write!(text, "{}", value(from)),
                2 if words.is_empty() => write!(text, "{},{}", value(from), value(to)),
                _ => write!(text, "{}-{}", value(from), value(to)),
            }
        } else if to + step <= field.max() {
            write!(text, "{from}-{to}/{step}")
        } else if from == field.min() && step <= field.max_step() {
            write!(text, "*/{step}")
        } else {
            write!(text, "{from}/{step}")
        };
    }
}
