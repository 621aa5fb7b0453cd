#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| datasync_s3::fuzzing::s3_listing(data));
