#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| datasync_control::fuzzing::api_input(data));
