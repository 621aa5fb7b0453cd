#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| datasync_control::fuzzing::page_token(data));
