//! Servers that are restarted between WRITE and COMMIT (RFC 1813 §3.3.7 and §3.3.21, RFC 8881 §18.3 and
//! §18.32), and those whose grace period goes on: what was not committed is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use datasync_endpoint::{Effect, ErrorKind};
use datasync_model::NfsVersion;

use super::changes::{Change, Trial};
use super::victim::Writer;
use crate::server::{Disk, VERSIONS, Verb, status};

/// WRITEs of a content, which are followed by a COMMIT.
const WRITES: usize = 5;
/// Trials of an item, as the engine makes them.
const TRIALS_MAX: usize = 20;

/// Lets `happen` happen before the WRITE or COMMIT of this number, and never again.
fn before(writer: &Writer, number: usize, happen: fn(&mut Disk)) {
    let done = AtomicUsize::new(0);
    writer.server.disk().before = Some(Box::new(move |disk, verb| {
        let counts = matches!(verb, Verb::Write | Verb::Commit);
        if counts && done.fetch_add(1, Ordering::Relaxed) == number {
            happen(disk);
        }
        0
    }));
}

/// Until it succeeds, as the engine does it where the server asks to wait; gives the trials.
async fn run_until_done(writer: &Writer, trial: &Trial) -> usize {
    for tried in 1..=TRIALS_MAX {
        match trial.run(&writer.destination).await {
            Ok(()) => return tried,
            Err(error) => assert_eq!(error.kind, ErrorKind::Busy, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{:?} is never done", trial.change);
}

#[tokio::test]
async fn what_a_restart_takes_away_is_sent_again() {
    for version in VERSIONS {
        let writer = Writer::open(version).await;
        for change in Change::COMMITTED {
            for number in 0..=WRITES {
                let trial = writer.prepare(change).await;
                before(&writer, number, Disk::restart);
                let tried = run_until_done(&writer, &trial).await;
                // Only its reader can give a stream again; and before the first WRITE nothing is lost.
                let most = if change == Change::Stream && number > 0 {
                    2
                } else {
                    1
                };
                assert!(tried <= most, "{change:?} {number}: {tried}");
                writer.server.disk().restart();
                let is_kept = trial.is_kept(&writer.server.disk());
                assert!(is_kept, "{version} {change:?}, before {number}");
                assert!(writer.reads_back(&trial).await);
            }
        }
        writer.assert_recovered().await;
    }
}

#[tokio::test]
async fn restarts_that_come_again_and_again_end_the_item_and_not_the_truth() {
    for version in VERSIONS {
        let writer = Writer::open(version).await;
        for verb in [Verb::Write, Verb::Commit] {
            for change in Change::COMMITTED {
                let trial = writer.prepare(change).await;
                writer.server.disk().before = Some(Box::new(move |disk, done| {
                    if done == verb {
                        disk.restart();
                    }
                    0
                }));
                let error = trial.run(&writer.destination).await.unwrap_err();
                assert_eq!(error.kind, ErrorKind::Busy, "{error}");
                assert!(trial.is_absent(&writer.server.disk()));
            }
        }
        writer.assert_recovered().await;
    }
}

#[tokio::test]
async fn a_loss_that_no_verifier_tells_of_is_found() {
    for version in VERSIONS {
        let writer = Writer::open(version).await;
        for change in Change::COMMITTED {
            for number in 1..=WRITES {
                let trial = writer.prepare(change).await;
                before(&writer, number, Disk::lose);
                // By its length at once, or by its content when it is read back.
                let ended = trial.run(&writer.destination).await;
                let is_found = ended.is_err() || !writer.reads_back(&trial).await;
                assert!(is_found, "{version} {change:?}, before {number}");
            }
        }
        writer.assert_recovered().await;
    }
}

/// A record of parts whose server answers UNSTABLE to the FILE_SYNC that it was asked for, and forgets it.
#[tokio::test]
async fn a_server_that_is_asked_for_stable_storage_and_has_none_is_committed_to() {
    for version in VERSIONS {
        let writer = Writer::open(version).await;
        writer.server.disk().manners.is_lazy = true;
        for change in [Change::Small, Change::File, Change::Parts, Change::Stream] {
            for number in 0..WRITES + 4 {
                let trial = writer.prepare(change).await;
                before(&writer, number, Disk::restart);
                run_until_done(&writer, &trial).await;
                writer.server.disk().restart();
                let is_kept = trial.is_kept(&writer.server.disk());
                assert!(is_kept, "{version} {change:?}, before {number}");
            }
        }
        writer.server.disk().manners.is_lazy = false;
        writer.assert_recovered().await;
    }
}

#[tokio::test]
async fn a_grace_period_is_waited_for() {
    const REFUSED: usize = 7;
    for version in VERSIONS {
        let busy = match version {
            // NFS3ERR_JUKEBOX
            NfsVersion::Nfs3 => 10_008,
            _ => status::GRACE,
        };
        let writer = Writer::open(version).await;
        for verb in [
            Verb::MakeFile,
            Verb::MakeOther,
            Verb::Write,
            Verb::Commit,
            Verb::SetAttributes,
            Verb::Rename,
            Verb::Link,
            Verb::Look,
        ] {
            for change in Change::ALL {
                let trial = writer.prepare(change).await;
                let refusals = Arc::new(AtomicUsize::new(0));
                let counted = Arc::clone(&refusals);
                writer.server.disk().before = Some(Box::new(move |_, done| {
                    let is_refused =
                        done == verb && counted.fetch_add(1, Ordering::Relaxed) < REFUSED;
                    if is_refused { busy } else { 0 }
                }));
                let tried = run_until_done(&writer, &trial).await;
                assert!(trial.is_kept(&writer.server.disk()), "{change:?} {verb:?}");
                let refused = refusals.load(Ordering::Relaxed);
                assert!(refused == 0 || tried > 1, "{change:?} {verb:?}");
                writer.server.disk().before = None;
            }
        }
        writer.assert_recovered().await;
    }
}

/// What the server refused to do has not been done.
#[tokio::test]
async fn a_refusal_of_a_grace_period_has_no_effect() {
    for version in &VERSIONS[1..] {
        let writer = Writer::open(*version).await;
        let trial = writer.prepare(Change::File).await;
        writer.server.disk().before = Some(Box::new(|_, done| {
            if done == Verb::MakeFile {
                status::GRACE
            } else {
                0
            }
        }));
        let error = trial.run(&writer.destination).await.unwrap_err();
        assert_eq!(error.effect, Effect::None, "{error}");
        assert!(trial.is_absent(&writer.server.disk()));
        writer.assert_recovered().await;
    }
}
