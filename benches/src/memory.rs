//! How long a read waits for memory: what others on the machine leave of its caches decides about much of what follows.

use std::hint::black_box;

use crate::measure::Cost;
use crate::table::number;

/// How many words of 4 bytes a line of a cache has.
const WORDS: u32 = 16;

/// A line of a cache, with the number of the one to be read after it.
type Line = [u32; WORDS as usize];

/// Prints what a read costs that cannot begin before the one before it has ended, in ever more memory.
pub(crate) fn run() {
    const SIZES: [(&str, u32); 6] = [
        ("16 kB", 16 << 10),
        ("256 kB", 256 << 10),
        ("2 MB", 2 << 20),
        ("8 MB", 8 << 20),
        ("32 MB", 32 << 20),
        ("128 MB", 128 << 20),
    ];
    let waits = SIZES.map(|(size, bytes)| format!("{} ns in {size}", number(wait(bytes))));
    println!("a read that waits for the one before it: {}\n", waits.join(", "));
}

fn wait(bytes: u32) -> f64 {
    const READS: u32 = 1_000_000;
    let count = bytes / 4 / WORDS;
    // A linear congruential generator with the multiplier and the increment of Numerical Recipes: of a power of two, it comes to each line once.
    let next = |line: u32| line.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) % count;
    let lines: Vec<Line> = (0..count).map(|line| [next(line); WORDS as usize]).collect();
    let read = |times: u32| black_box((0..times).fold(0, |line: u32, _| lines[line as usize][0]));
    read(count);
    let mut cost = Cost::default();
    cost.time(READS as usize, || read(READS));
    cost.nanos_each()
}
