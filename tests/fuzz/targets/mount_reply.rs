#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| datasync_nfs::fuzzing::mount_reply(data));
