//! Stored items.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kairos_fuzz::stored(&String::from_utf8_lossy(bytes)));
