#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| datasync_nfs::fuzzing::nfs4_reply(data));
