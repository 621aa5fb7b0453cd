#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| datasync_transfer::fuzzing::manifest(data));
