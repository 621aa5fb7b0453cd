//! Each word of each reply in turn is something else: every length, type, status, count and flag.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datasync_endpoint::Source;
use datasync_nfs::NfsSource;

use super::victim::{Operation, assert_recovered, is_blamed, mounted};
use crate::memory::memory_peak;
use crate::server::{Act, VERSIONS, config, server};

const MEMORY_MAX: u64 = 512 << 20;
const VALUES: [u32; 5] = [0, 1, 0x0100_0000, 0x7fff_ffff, u32::MAX];
/// Mark, xid, and what says that it is a reply: see `records`.
const HEAD: usize = 12;

/// Puts `value` at word `place` of every record, and notes the longest one.
fn put(place: usize, value: u32, longest: &Arc<AtomicUsize>) -> impl Fn(Vec<u8>) -> Act + use<> {
    let longest = Arc::clone(longest);
    move |mut record| {
        longest.fetch_max(record.len(), Ordering::Relaxed);
        if let Some(word) = record.get_mut(place..place + 4) {
            word.copy_from_slice(&value.to_be_bytes());
        }
        Act::send(record)
    }
}

#[tokio::test]
async fn no_word_of_a_reply_does_harm() {
    let before = memory_peak();
    for version in VERSIONS {
        let (server, source) = mounted(version).await;
        for &operation in Operation::of(version) {
            let longest = Arc::new(AtomicUsize::new(HEAD + 4));
            let mut place = HEAD;
            while place < longest.load(Ordering::Relaxed) {
                for value in VALUES {
                    let put = put(place, value, &longest);
                    server.spoil(move |_, record| put(record));
                    // It may be sound, or say what a sound server could say.
                    drop(operation.run(&source).await);
                }
                place += 4;
            }
            assert!(longest.load(Ordering::Relaxed) > 60);
            server.be_honest();
            assert_recovered(&source).await;
        }
    }
    assert!(memory_peak() < before + MEMORY_MAX);
}

#[tokio::test]
async fn no_word_of_a_mount_does_harm() {
    let before = memory_peak();
    for version in VERSIONS {
        let server = server(version).await;
        for place in (HEAD..220).step_by(4) {
            for value in VALUES {
                let put = put(place, value, &Arc::default());
                server.spoil(move |_, record| put(record));
                if let Ok(source) = NfsSource::mount(config(&server, version)).await {
                    assert!((4 << 10..=64 << 10).contains(&source.read_max()));
                }
            }
        }
    }
    assert!(memory_peak() < before + MEMORY_MAX);
}

#[tokio::test]
async fn a_status_that_nobody_knows_is_told_as_it_is() {
    for version in VERSIONS {
        let (server, source) = mounted(version).await;
        server.spoil(|_, mut record| {
            // Behind the head of the reply: the status of version 3, of a COMPOUND in version 4.
            record.truncate(28);
            record.extend(77_777u32.to_be_bytes());
            record.extend([0; 8]);
            let mark = u32::try_from(record.len() - 4).unwrap() | 1 << 31;
            record[..4].copy_from_slice(&mark.to_be_bytes());
            Act::send(record)
        });
        for &operation in Operation::of(version) {
            let error = operation.run(&source).await.unwrap_err();
            assert!(is_blamed(error.kind), "{error}");
            assert!(error.detail.contains("77777"), "{error}");
        }
        server.be_honest();
        assert_recovered(&source).await;
    }
}
