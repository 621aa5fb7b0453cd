//! `OverwriteMode=NEVER`: what is ours is known as ours, what is somebody else's stays.

use datasync_endpoint::memory::{Action, EPOCH, Fault, MemorySource, Operation, Stored, Tree};
use datasync_endpoint::{
    Checksum, Crc64, ErrorKind, Integrity, ObjectChecksum, PosixMetadata, Timestamp,
};
use datasync_model::{ErrorCode, OverwriteMode};

use crate::world::{INTEGRITIES, KIB, World, bytes, key, store};

/// The write of each of two files.
const WRITES: [(Operation, &str); 2] = [
    (Operation::Put, "file"),
    (Operation::CompleteUpload, "large"),
];

fn world(integrity: Integrity) -> World {
    let tree = Tree::new()
        .file("file", "content")
        .file("large", bytes(1, 2 * KIB))
        .file("other", "fine");
    let mut world = World::of(MemorySource::new(tree), store(integrity));
    world.options().overwrite_mode = OverwriteMode::Never;
    world
}

/// An object that somebody else wrote.
fn foreign(content: impl Into<Vec<u8>>, metadata: PosixMetadata, integrity: Integrity) -> Stored {
    let content = content.into();
    let algorithm = integrity.algorithm();
    let checksum = algorithm.map(|algorithm| Checksum::of(algorithm, &content));
    Stored {
        crc64: (integrity == Integrity::Crc64).then(|| Crc64::of(&content)),
        checksum: checksum.map(ObjectChecksum::whole),
        content: content.into(),
        metadata,
        extended: None,
        etag: "\"foreign\"".to_owned(),
        storage_class: "STANDARD".to_owned(),
        last_modified: Timestamp {
            seconds: EPOCH,
            nanoseconds: 0,
        },
    }
}

/// Somebody else writes `stored` while the file is read.
fn somebody_writes(world: &World, path: &str, stored: &Stored) {
    let (destination, at, stored) = (world.destination.clone(), key(path), stored.clone());
    let write = Action::change(move |_| {
        destination.edit(|objects| objects.insert(at.clone(), stored.clone()));
    });
    let path = format!("/{path}");
    world.at_source(Fault::new(Operation::Read, write).at(&path).times(1));
}

#[tokio::test(start_paused = true)]
async fn an_object_of_ours_that_the_store_refuses_to_replace_counts_as_written() {
    for integrity in INTEGRITIES {
        for (operation, at) in WRITES {
            let world = world(integrity);
            let fault = |action| Fault::new(operation, action).at(at).times(1);
            world.at_destination(fault(Action::Fail(ErrorKind::Precondition)).after(1));
            world.at_destination(fault(Action::LoseReply(ErrorKind::Timeout)));
            let run = world.run_well().await;
            assert_eq!(run.failures(), [""; 0], "{integrity:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_in_the_way_that_is_gone_again_is_no_obstacle() {
    for (operation, at) in WRITES {
        let refuse = Fault::new(operation, Action::Fail(ErrorKind::Precondition)).at(at);
        let passing = world(Integrity::Crc64);
        passing.at_destination(refuse.clone().times(2));
        let run = passing.run_well().await;
        assert_eq!(run.failures(), [""; 0]);
        let lasting = world(Integrity::Crc64);
        lasting.at_destination(refuse);
        let run = lasting.run().await;
        assert_eq!(run.failures(), [format!("/{at} failed DestinationFault")]);
        assert_eq!(lasting.destination.script().count_at(operation, at), 3);
        assert_eq!(lasting.destination.open_upload_keys(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_with_another_writer_is_waited_for_and_then_the_upload_is_begun_anew() {
    for (operation, at) in WRITES {
        let world = world(Integrity::Crc64);
        let busy = Action::Fail(ErrorKind::Busy);
        world.at_destination(Fault::new(operation, busy).at(at).times(3));
        assert_eq!(world.run_well().await.failures(), [""; 0]);
    }
    // After a conflict S3 takes no part of the upload.
    let world = world(Integrity::Crc64);
    let conflict = |kind| Fault::new(Operation::CompleteUpload, Action::Fail(kind));
    world.at_destination(conflict(ErrorKind::NotFound).after(1).times(1));
    world.at_destination(conflict(ErrorKind::Busy).times(1));
    assert_eq!(world.run_well().await.failures(), [""; 0]);
    assert_eq!(world.destination.script().count(Operation::CreateUpload), 2);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_somebody_else_writes_meanwhile_stays() {
    for integrity in INTEGRITIES {
        for (_, at) in WRITES {
            let world = world(integrity);
            let theirs = foreign("theirs", PosixMetadata::default(), integrity);
            somebody_writes(&world, at, &theirs);
            let run = world.run().await;
            assert_eq!(run.code(), None, "{}", run.detail());
            assert_eq!(run.failures(), [format!("/{at} skipped NotSupported")]);
            assert_eq!(world.object(at), Some(theirs));
        }
    }
}

/// Where only reading back can tell, it may be our own object, damaged.
#[tokio::test(start_paused = true)]
async fn an_object_alike_but_for_its_content_is_never_taken_for_ours() {
    for integrity in INTEGRITIES {
        for (_, at) in WRITES {
            let before = world(integrity);
            before.run_well().await;
            let metadata = before.object(at).unwrap().metadata;
            let size = before.object(at).unwrap().content.len() as u64;
            let world = world(integrity);
            let theirs = foreign(bytes(7, size), metadata, integrity);
            somebody_writes(&world, at, &theirs);
            let run = world.run().await;
            let outcome = match integrity {
                Integrity::Crc64 | Integrity::Checksum(_) => "skipped NotSupported",
                Integrity::Md5 | Integrity::ReadBack => "failed ChecksumMismatch",
            };
            assert_eq!(run.failures(), [format!("/{at} {outcome}")]);
            assert_eq!(world.object(at), Some(theirs));
        }
    }
}

/// The file is written, but the process ends before it knows.
async fn stopped_after_the_write(
    world: &World,
    (operation, at): (Operation, &str),
) -> std::path::PathBuf {
    let lost = Action::LoseReply(ErrorKind::Timeout);
    world.at_destination(Fault::new(operation, lost).at(at));
    world.at_destination(Fault::new(Operation::Stat, Action::Hang).at(at));
    let directory = world.stop_half_way().await;
    assert!(world.object(at).is_some());
    directory
}

#[tokio::test(start_paused = true)]
async fn an_object_of_ours_counts_as_transferred_after_a_restart_and_is_not_written_again() {
    for mode in OverwriteMode::ALL {
        for integrity in INTEGRITIES {
            for write in WRITES {
                let mut world = world(integrity);
                world.options().overwrite_mode = *mode;
                let directory = stopped_after_the_write(&world, write).await;
                let run = world.resume(directory).await;
                world.assert_exact();
                assert_eq!(run.report.counters.transferred, 4, "{mode} {integrity:?}");
                assert_eq!(run.failures(), [""; 0], "{mode} {integrity:?}");
                let script = world.destination.script();
                assert_eq!(script.count_at(write.0, write.1), 0, "{mode} {integrity:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_damaged_before_a_restart_is_found() {
    for (mode, code) in [
        (OverwriteMode::Always, None),
        (OverwriteMode::Never, Some(ErrorCode::ItemsFailed)),
    ] {
        for (operation, at) in WRITES {
            let mut world = world(Integrity::ReadBack);
            world.options().overwrite_mode = mode;
            world.options().verify_mode = datasync_model::VerifyMode::None;
            world.at_destination(Fault::new(operation, Action::FlipStored).at(at).times(1));
            let directory = stopped_after_the_write(&world, (operation, at)).await;
            let run = world.resume(directory).await;
            assert_eq!(run.code(), code, "{mode} {at}");
            if code.is_some() {
                assert_eq!(run.failures(), [format!("/{at} failed ChecksumMismatch")]);
            } else {
                world.assert_exact();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_somebody_else_wrote_before_a_restart_stays() {
    for integrity in INTEGRITIES {
        for (operation, at) in WRITES {
            let world = world(integrity);
            world.at_destination(Fault::new(operation, Action::Hang).at(at));
            let directory = world.stop_half_way().await;
            let theirs = foreign("theirs", PosixMetadata::default(), integrity);
            world
                .destination
                .edit(|objects| objects.insert(key(at), theirs.clone()));
            let run = world.resume(directory).await;
            assert_eq!(run.code(), None);
            assert_eq!(run.failures(), [format!("/{at} skipped NotSupported")]);
            assert_eq!(world.object(at), Some(theirs));
            assert_eq!(world.destination.open_upload_keys(), []);
        }
    }
}
