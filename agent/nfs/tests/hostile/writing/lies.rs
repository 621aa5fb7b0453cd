//! Answers that are sound in form and cannot be true, or say no to one thing again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datasync_endpoint::ErrorKind;
use datasync_model::NfsVersion;

use super::changes::Change;
use super::victim::Writer;
use crate::server::{Act, Disk, VERSIONS, Verb, server};

/// Sendings of a content that its server forgets.
const SENDINGS_MAX: usize = 3;
/// WRITEs of a sending.
const WRITES: usize = 5;
/// More than any item makes that its server says no to.
const CALLS_MAX: usize = 100;

/// Counts what is done of `verb`, and lets `also` happen before each of them.
fn count(
    writer: &Writer,
    verb: Verb,
    also: impl Fn(&mut Disk) -> u32 + Send + 'static,
) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    writer.server.disk().before = Some(Box::new(move |disk, done| {
        if done != verb {
            return 0;
        }
        counted.fetch_add(1, Ordering::Relaxed);
        also(disk)
    }));
    count
}

/// What the change comes to; one that fails has left nothing under its name.
async fn failed(writer: &Writer, change: Change) -> ErrorKind {
    let trial = writer.prepare(change).await;
    let error = trial.run(&writer.destination).await.unwrap_err();
    assert!(
        trial.is_absent(&writer.server.disk()),
        "{change:?}: {error}"
    );
    error.kind
}

#[tokio::test]
async fn a_number_of_bytes_that_no_write_can_have_taken_is_an_error() {
    for version in VERSIONS {
        let writer = Writer::open(version).await;
        let told: [fn(u32) -> u32; 5] = [
            |_| 0,
            |count| count + 1,
            |count| count * 2,
            |_| 0x7fff_ffff,
            |_| u32::MAX,
        ];
        for tells in told {
            for change in Change::COMMITTED {
                writer.server.disk().manners.tells = tells;
                let kind = failed(&writer, change).await;
                assert_eq!(kind, ErrorKind::Protocol, "{change:?}");
                writer.server.disk().manners.tells = |count| count;
            }
        }
        writer.assert_recovered().await;
    }
}

#[tokio::test]
async fn a_server_that_takes_little_each_time_gets_all_of_it() {
    for version in VERSIONS {
        let writer = Writer::open(version).await;
        for (change, takes) in [
            (Change::Small, 1),
            (Change::File, 19),
            (Change::File, 999),
            (Change::Parts, 19),
            (Change::Stream, 999),
        ] {
            writer.server.disk().manners.takes = takes;
            let trial = writer.prepare(change).await;
            trial.run(&writer.destination).await.unwrap();
            assert!(trial.is_kept(&writer.server.disk()), "{change:?}");
        }
        writer.server.disk().manners.takes = usize::MAX;
        writer.assert_recovered().await;
    }
}

#[tokio::test]
async fn a_session_of_few_operations_gets_files_call_by_call() {
    for version in [NfsVersion::Nfs4_1, NfsVersion::Nfs4_2] {
        for operations_max in [6, 8] {
            let server = server(version).await;
            server.disk().manners.operations_max = operations_max;
            let writer = Writer::open_on(server, version).await;
            let renames = count(&writer, Verb::Rename, |_| 0);
            for change in Change::ALL {
                let trial = writer.prepare(change).await;
                trial.run(&writer.destination).await.unwrap();
                assert!(trial.is_kept(&writer.server.disk()), "{change:?}");
            }
            assert!(renames.load(Ordering::Relaxed) >= 5);
        }
    }
}

#[tokio::test]
async fn a_verifier_that_is_always_another_one_is_given_up() {
    for version in VERSIONS {
        for verb in [Verb::Write, Verb::Commit] {
            let writer = Writer::open(version).await;
            for change in Change::COMMITTED {
                let writes = count(&writer, verb, |disk| {
                    disk.verifier += 1;
                    0
                });
                let kind = failed(&writer, change).await;
                assert_eq!(kind, ErrorKind::Busy, "{change:?}");
                let sendings = match (change, verb) {
                    // Only its reader can give a stream again.
                    (Change::Stream, _) => 1,
                    _ => SENDINGS_MAX,
                };
                let of_one = if verb == Verb::Write { WRITES } else { 1 };
                assert_eq!(
                    writes.load(Ordering::Relaxed),
                    sendings * of_one,
                    "{change:?}"
                );
                writer.server.disk().before = None;
            }
            writer.assert_recovered().await;
        }
    }
}

#[tokio::test]
async fn a_server_that_always_says_no_is_told_of() {
    // Both versions have these, and the last two no version.
    const STATUSES: [u32; 10] = [1, 2, 17, 28, 66, 70, 10_004, 10_008, 77_777, 0xffff_ffff];
    const VERBS: [Verb; 8] = [
        Verb::SetAttributes,
        Verb::Write,
        Verb::Commit,
        Verb::MakeFile,
        Verb::MakeOther,
        Verb::Remove,
        Verb::Rename,
        Verb::Link,
    ];
    for version in VERSIONS {
        let writer = Writer::open(version).await;
        for verb in VERBS {
            for change in Change::ALL {
                for status in STATUSES {
                    if refused(&writer, change, verb, status).await == 0 {
                        break;
                    }
                }
            }
        }
        writer.assert_recovered().await;
    }
}

/// Gives how often the server said no.
async fn refused(writer: &Writer, change: Change, verb: Verb, status: u32) -> usize {
    let trial = writer.prepare(change).await;
    let refused = count(writer, verb, move |_| status);
    let ended = trial.run(&writer.destination).await;
    writer.server.disk().before = None;
    let refused = refused.load(Ordering::Relaxed);
    let said = format!("{change:?}, {verb:?} {status}: {ended:?}");
    assert!(refused < CALLS_MAX, "{said}");
    // What is not needed may fail; what is gone already need not be removed.
    let is_gone = change == Change::Delete && status == 2;
    let is_true = trial.is_kept(&writer.server.disk());
    assert!(ended.is_err() || is_true || is_gone, "{said}");
    refused
}

#[tokio::test]
async fn a_result_of_another_operation_is_an_error() {
    // OPEN, WRITE, COMMIT, CREATE, SETATTR, RENAME, LINK, REMOVE, SAVEFH, PUTFH, GETFH, CLOSE.
    const OPERATIONS: [u32; 12] = [18, 38, 5, 6, 34, 29, 11, 28, 32, 22, 10, 4];
    for version in &VERSIONS[1..] {
        let writer = Writer::open(*version).await;
        for operation in OPERATIONS {
            for change in Change::ALL {
                let trial = writer.prepare(change).await;
                writer.server.disk().manners.misnames = Some(operation);
                let ended = trial.run(&writer.destination).await;
                writer.server.disk().manners.misnames = None;
                let said = format!("{change:?}, {operation}: {ended:?}");
                match ended {
                    Ok(()) => assert!(trial.is_kept(&writer.server.disk()), "{said}"),
                    Err(error) => assert_eq!(error.kind, ErrorKind::Protocol, "{said}"),
                }
            }
        }
        writer.assert_recovered().await;
    }
}

#[tokio::test]
async fn damage_that_the_server_does_not_know_of_is_found_by_reading_back() {
    for version in VERSIONS {
        let writer = Writer::open(version).await;
        for change in [Change::Small, Change::File, Change::Parts, Change::Stream] {
            let trial = writer.prepare(change).await;
            trial.run(&writer.destination).await.unwrap();
            assert!(writer.reads_back(&trial).await, "{change:?}");
            writer.server.disk().damage(&trial.path);
            assert!(!writer.reads_back(&trial).await, "{change:?}");
        }
        writer.assert_recovered().await;
    }
}

#[tokio::test]
async fn a_file_that_is_said_to_be_endless_is_read_to_its_end() {
    for version in VERSIONS {
        let writer = Writer::open(version).await;
        let trial = writer.prepare(Change::File).await;
        trial.run(&writer.destination).await.unwrap();
        let length = trial.change.content().len() as u64;
        // Wherever the size is told but beside what is read, it is another one.
        writer.server.spoil(move |call, mut record| {
            if call.verbs.contains(&Verb::Read) {
                return Act::send(record);
            }
            let told = length.to_be_bytes();
            while let Some(at) = record.windows(8).position(|bytes| bytes == told) {
                record[at..at + 8].copy_from_slice(&(u64::MAX >> 1).to_be_bytes());
            }
            Act::send(record)
        });
        assert!(writer.reads_back(&trial).await);
        writer.assert_recovered().await;
    }
}
