//! Expressions, and when they fire.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kairos_fuzz::expressions(&String::from_utf8_lossy(bytes)));
