//! Queue message bodies.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kairos_fuzz::messages(&String::from_utf8_lossy(bytes)));
