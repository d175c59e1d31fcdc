//! Placeholders in parameters.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kairos_fuzz::placeholders(&String::from_utf8_lossy(bytes)));
