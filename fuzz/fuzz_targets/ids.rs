//! Ids, and what they are made of.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kairos_fuzz::ids(&String::from_utf8_lossy(bytes)));
