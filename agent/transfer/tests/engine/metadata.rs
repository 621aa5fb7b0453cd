//! New metadata for objects whose content stays.

use std::time::Duration;

use datasync_endpoint::memory::{Action, Fault, MemorySource, Operation, Tree};
use datasync_endpoint::{ErrorKind, Integrity};
use datasync_model::{ErrorCode, VerifyMode};
use tokio::time::sleep;

use crate::world::{INTEGRITIES, KIB, SHA256, World, bytes, key, store};

/// The metadata of both files is to be replaced; that of `large` takes an upload.
async fn world(integrity: Integrity) -> World {
    let tree = Tree::new()
        .file("file", "content")
        .file("large", bytes(1, 2 * KIB));
    let mut world = World::of(MemorySource::new(tree), store(integrity));
    world.options().verify_mode = VerifyMode::None;
    world.run_well().await;
    world.source.edit(|tree| {
        for path in ["file", "large"] {
            tree.set(path, |attributes| attributes.uid = 7);
        }
    });
    world.destination.script().forget_calls();
    world
}

fn counts(world: &World) -> [usize; 3] {
    let operations = [
        Operation::SetMetadata,
        Operation::Put,
        Operation::CreateUpload,
    ];
    operations.map(|operation| world.destination.script().count(operation))
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_proven_is_not_written_again() {
    for (integrity, unvouched, read_back) in [
        (Integrity::Crc64, false, 0),
        (Integrity::Md5, false, 0),
        (SHA256, false, 0),
        (Integrity::Crc64, true, 2),
        (SHA256, true, 2),
        (Integrity::Md5, true, 2),
        (Integrity::ReadBack, false, 2),
    ] {
        let world = world(integrity).await;
        if unvouched {
            world.at_destination(Fault::new(Operation::SetMetadata, Action::Unvouched));
        }
        world.run_well().await;
        assert_eq!(counts(&world), [2, 0, 0], "{integrity:?}");
        let script = world.destination.script();
        assert_eq!(
            script.count(Operation::ReadBack),
            read_back,
            "{integrity:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_was_damaged_is_written_anew() {
    for integrity in INTEGRITIES {
        let world = world(integrity).await;
        for action in [Action::Unvouched, Action::FlipStored] {
            world.at_destination(Fault::new(Operation::SetMetadata, action));
        }
        world.run_well().await;
        assert_eq!(counts(&world), [2, 1, 1], "{integrity:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_archived_object_is_written_anew_in_its_class() {
    let world = world(Integrity::Crc64).await;
    world.destination.edit(|objects| {
        for stored in objects.values_mut() {
            stored.storage_class = "GLACIER".to_owned();
        }
    });
    // As stores refuse to copy what is not restored.
    let refuse = Action::Fail(ErrorKind::NotSupported);
    world.at_destination(Fault::new(Operation::SetMetadata, refuse).times(2));
    world.run_well().await;
    assert_eq!(counts(&world), [2, 1, 1]);
    for name in ["file", "large"] {
        let class = &world.destination.snapshot()[&key(name)].storage_class;
        assert_eq!(class, "GLACIER");
    }
}

#[tokio::test(start_paused = true)]
async fn the_upload_of_a_copy_that_a_crash_left_open_is_aborted() {
    let world = world(Integrity::Crc64).await;
    world.at_destination(Fault::new(Operation::CopyPart, Action::Hang));
    let directory = world.stop_half_way().await;
    assert_eq!(world.destination.open_upload_keys(), [key("large")]);
    let run = world.resume(directory).await;
    assert_eq!(run.code(), None);
    world.assert_exact();
}

#[tokio::test(start_paused = true)]
async fn the_upload_of_a_copy_that_is_cancelled_is_aborted() {
    let world = world(Integrity::Crc64).await;
    world.at_destination(Fault::new(Operation::CopyPart, Action::Hang));
    let directory = world.directory();
    let (controls, handles) = world.controls();
    let cancelling = async {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(world.destination.open_upload_keys(), [key("large")]);
        handles.cancel.cancel();
    };
    let (report, ()) = tokio::join!(world.run_in(&directory, controls), cancelling);
    let failure = report.unwrap().result.failure.unwrap();
    assert_eq!(failure.code, ErrorCode::Cancelled);
    assert_eq!(world.destination.open_upload_keys(), []);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_fails_leaves_no_upload_even_if_the_store_could_not_abort_it() {
    for kind in [ErrorKind::PermissionDenied, ErrorKind::Timeout] {
        let world = world(Integrity::Crc64).await;
        world.at_destination(Fault::new(Operation::CopyPart, Action::Fail(kind)));
        let refuse = Action::Fail(ErrorKind::PermissionDenied);
        world.at_destination(Fault::new(Operation::AbortUpload, refuse).times(1));
        world.run_well().await;
    }
}
