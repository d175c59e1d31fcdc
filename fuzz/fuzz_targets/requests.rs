//! Registrations and changes, from JSON to the backends.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kairos_fuzz::requests(&String::from_utf8_lossy(bytes)));
