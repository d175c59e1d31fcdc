//! What triggers send.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kairos_fuzz::triggers(&String::from_utf8_lossy(bytes)));
