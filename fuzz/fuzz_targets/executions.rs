//! Messages on their way through an executor.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kairos_fuzz::executions(&String::from_utf8_lossy(bytes)));
