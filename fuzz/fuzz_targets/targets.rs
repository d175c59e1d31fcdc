//! Targets, their ARNs, and roles.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kairos_fuzz::targets(&String::from_utf8_lossy(bytes)));
