use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use datasync_endpoint::memory::{EPOCH, MemoryDestination};
use datasync_endpoint::{ErrorKind, Fingerprint, ObjectHeader, PosixMetadata, Timestamp};
use tokio::task::JoinSet;

use super::*;
use crate::journal::replay;
use crate::retry::RetryLimits;

const HELD: Duration = Duration::from_secs(3600);

fn key() -> Key {
    Key::from_listing("key".to_owned())
}

fn begun() -> Begun {
    Begun {
        version: Fingerprint {
            size: 9,
            mtime: Timestamp::default(),
            ctime: Timestamp::default(),
            file_id: 1,
        },
        header: ObjectHeader {
            metadata: PosixMetadata::default(),
            storage_class: None,
            only_if_absent: false,
            properties: None,
            extended: None,
        },
        part: 5,
    }
}

/// A call that begins an upload after it was held for an hour, and whose answer is lost.
async fn unanswered(destination: &MemoryDestination) -> Result<UploadId, EndpointError> {
    let initiated = Timestamp {
        seconds: EPOCH + 3600,
        nanoseconds: 0,
    };
    destination.add_foreign_upload(&key(), initiated);
    let lost = EndpointError::new(ErrorKind::Timeout, "CreateMultipartUpload", "key", "lost");
    Err(lost.with_unknown_effect().held_for(HELD))
}

async fn opened(directory: &std::path::Path, tasks: &mut JoinSet<()>) -> Uploads {
    let list = tokio::fs::File::from_std(tempfile::tempfile().unwrap());
    let (journal, mut state) = Journal::open(directory, list, tasks).await.unwrap();
    Uploads::new(journal, &mut state)
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_after_a_long_wait_for_a_turn_is_ours_all_the_same() {
    let scratch = tempfile::tempdir().unwrap();
    let mut tasks = JoinSet::new();
    let uploads = opened(scratch.path(), &mut tasks).await;
    let attempts = Attempts::new(RetryLimits::default(), 1);
    let destination = Arc::new(MemoryDestination::new());
    let calls = AtomicU32::new(0);
    let call = || async {
        if calls.fetch_add(1, Ordering::Relaxed) == 0 {
            return unanswered(&destination).await;
        }
        destination.create_upload(&key(), &begun().header, 9).await
    };
    let intent = Intent {
        at_seconds: EPOCH,
        ..Intent::default()
    };
    let of = key();
    let announced = uploads.announced(&of, intent, &*destination, &attempts, call);
    let answered = announced.await.unwrap();
    let open = destination.open_uploads(&of).await.unwrap();
    let ids: Vec<_> = open.into_iter().map(|open| open.id).collect();
    assert_eq!(ids, [answered], "the other one is aborted");
}

#[tokio::test(start_paused = true)]
async fn a_later_execution_knows_of_the_wait() {
    let scratch = tempfile::tempdir().unwrap();
    let mut tasks = JoinSet::new();
    let uploads = opened(scratch.path(), &mut tasks).await;
    let once = RetryLimits {
        attempts_max: 1,
        ..RetryLimits::default()
    };
    let attempts = Attempts::new(once, 1);
    let destination = MemoryDestination::new();
    // Somebody else's, so that nothing is aborted for now.
    let theirs = Timestamp {
        seconds: EPOCH,
        nanoseconds: 0,
    };
    destination.add_foreign_upload(&key(), theirs);
    let intent = Intent {
        at_seconds: EPOCH,
        ..Intent::default()
    };
    let call = || unanswered(&destination);
    let of = key();
    let announced = uploads.announced(&of, intent, &destination, &attempts, call);
    assert!(announced.await.is_err());
    drop(uploads);
    tasks.join_all().await;
    let state = replay(scratch.path()).await.unwrap();
    let known = Intent {
        held_seconds: 3600,
        ..intent
    };
    assert_eq!(state.uploads[&of], Upload::Intended(known));
}
