//! Records that are cut, stretched, repeated, slow, or something else altogether.

use std::time::{Duration, Instant};

use datasync_endpoint::{ErrorKind, Source};
use datasync_nfs::NfsSource;

use super::victim::{Operation, assert_recovered, mounted};
use crate::memory::memory_peak;
use crate::server::{Act, TIMEOUT, VERSIONS, config, record, server};

/// How much more than before a call may have been reserved, however much was announced.
const MEMORY_MAX: u64 = 512 << 20;

#[tokio::test]
async fn a_listing_that_is_cut_anywhere_is_an_error() {
    for version in VERSIONS {
        let (server, source) = mounted(version).await;
        let mut cut = 0;
        loop {
            server.spoil(move |_, mut record| {
                record.truncate(cut);
                Act::send_and_close(record)
            });
            // The session's calls are short: beyond their length they are whole.
            match Operation::ReadDir.run(&source).await {
                Ok(()) => break,
                Err(error) => assert_eq!(error.kind, ErrorKind::Unreachable, "{error}"),
            }
            cut += 1;
        }
        assert!(cut > 300, "{cut} bytes");
        server.be_honest();
        assert_recovered(&source).await;
    }
}

#[tokio::test]
async fn a_record_that_ends_early_is_an_error() {
    for version in VERSIONS {
        let (server, source) = mounted(version).await;
        let mut length = 0;
        loop {
            server.spoil(move |_, record_| {
                let body = &record_[4..];
                Act::send(record(&body[..length.min(body.len())]))
            });
            match Operation::ReadDir.run(&source).await {
                Ok(()) => break,
                Err(error) => {
                    let kinds = [ErrorKind::Protocol, ErrorKind::ServerFault];
                    assert!(kinds.contains(&error.kind), "{length}: {error}");
                }
            }
            length += 4;
        }
        assert!(length > 300, "{length} bytes");
        server.be_honest();
        assert_recovered(&source).await;
    }
}

/// What every operation comes to while the server does one thing.
async fn all_fail(source: &NfsSource, expected: &[ErrorKind]) {
    for &operation in Operation::of(source.version()) {
        let error = operation.run(source).await.unwrap_err();
        assert!(expected.contains(&error.kind), "{operation:?}: {error}");
    }
}

#[tokio::test]
async fn announced_gigabytes_are_not_taken() {
    for version in VERSIONS {
        let (server, source) = mounted(version).await;
        let before = memory_peak();
        for mark in [u32::MAX, 0x7fff_ffff, 0x8040_2000, 0x7fff_0000] {
            server.spoil(move |_, mut record| {
                record[..4].copy_from_slice(&mark.to_be_bytes());
                Act::send(record)
            });
            all_fail(&source, &[ErrorKind::ServerFault]).await;
        }
        // As large as a reply may be, and never sent.
        server.spoil(|_, mut record| {
            record[..4].copy_from_slice(&0x8040_0000u32.to_be_bytes());
            Act::send(record)
        });
        all_fail(&source, &[ErrorKind::Timeout]).await;
        assert!(memory_peak() < before + MEMORY_MAX);
        server.be_honest();
        assert_recovered(&source).await;
    }
}

#[tokio::test]
async fn what_is_no_answer_of_ours_is_refused() {
    for version in VERSIONS {
        let (server, source) = mounted(version).await;
        let refused = [ErrorKind::ServerFault];
        // Somebody else's.
        server.spoil(|_, mut record| {
            record[4] ^= 0x80;
            Act::send(record)
        });
        all_fail(&source, &refused).await;
        // A call.
        server.spoil(|_, mut record| {
            record[8..12].fill(0);
            Act::send(record)
        });
        all_fail(&source, &refused).await;
        // Something else altogether.
        for words in ["HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail ready\r\n"] {
            server.spoil(move |_, _| Act::send(words.as_bytes().to_vec()));
            all_fail(&source, &refused).await;
        }
        server.spoil(|_, _| Act::send(vec![0x15, 3, 3, 0, 2, 2, 70]));
        all_fail(&source, &[ErrorKind::NotSupported]).await;
        // The one answer to each call, and once more: the next call finds a connection of no use.
        server.spoil(|_, record| Act::send(record.repeat(2)));
        for &operation in Operation::of(version) {
            if let Err(error) = operation.run(&source).await {
                assert_eq!(error.kind, ErrorKind::ServerFault, "{error}");
            }
        }
        server.be_honest();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_recovered(&source).await;
    }
}

#[tokio::test]
async fn a_server_that_trickles_is_given_up_in_time() {
    for version in VERSIONS {
        let (server, source) = mounted(version).await;
        server.spoil(|_, record| Act {
            pieces: record.into_iter().map(|byte| vec![byte]).collect(),
            pause: Duration::from_millis(20),
            ..Act::default()
        });
        let begun = Instant::now();
        let error = Operation::ReadDir.run(&source).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
        assert!(begun.elapsed() < TIMEOUT * 10);
        // And one that sends empty fragments for ever.
        server.spoil(|_, _| Act::send(vec![0; 1 << 20]));
        all_fail(&source, &[ErrorKind::ServerFault]).await;
        server.spoil(|_, _| Act::default());
        let error = Operation::Read.run(&source).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
        server.be_honest();
        assert_recovered(&source).await;
    }
}

#[tokio::test]
async fn a_mount_that_is_cut_anywhere_is_an_error() {
    for version in VERSIONS {
        let server = server(version).await;
        for cut in (0..80).step_by(3) {
            server.spoil(move |_, mut record| {
                record.truncate(cut.min(record.len() - 1));
                Act::send_and_close(record)
            });
            let error = NfsSource::mount(config(&server, version))
                .await
                .unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
        }
        server.be_honest();
        let source = NfsSource::mount(config(&server, version)).await.unwrap();
        assert!(source.root().await.is_ok());
    }
}
