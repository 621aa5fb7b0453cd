#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| datasync_model::fuzzing::schedule(data));
