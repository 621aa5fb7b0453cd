//! What the simulation (`tests/sim`) found, each as a test of its own.

use std::time::Duration;

use datasync_endpoint::memory::{Action, Fault, MemorySource, Operation, Tree};
use datasync_endpoint::{Destination, ErrorKind, Integrity};
use datasync_model::{
    ErrorCode, Includes, Mtime, OverwriteMode, PreserveDeletedFiles, TransferMode, VerifyMode,
};

use crate::world::{KIB, World, bytes, key, store};

#[tokio::test(start_paused = true)]
async fn a_handle_that_goes_stale_during_the_end_check_is_looked_up_again() {
    let mut world = World::new(Tree::new().file("file", "content").symlink("link", "to"));
    world.run_well().await;
    world.options().verify_mode = VerifyMode::PointInTimeConsistent;
    world.settings.catalog_file = None;
    for operation in [Operation::Read, Operation::ReadLink] {
        let stale = Fault::new(operation, Action::Fail(ErrorKind::Stale));
        world.at_source(stale.times(2));
    }
    let run = world.run_well().await;
    assert_eq!(run.report.counters.verified, 3);
    assert_eq!(
        world.source.script().count_at(Operation::Lookup, "/file"),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn a_protected_directory_that_cannot_be_read_is_listed_as_failed() {
    let mut world = World::new(Tree::new().file("d/file", "content"));
    world.run_well().await;
    world.options().overwrite_mode = OverwriteMode::Never;
    // The directory's own object is skipped long before.
    let slow = Fault::new(Operation::ReadDir, Action::Delay(Duration::from_secs(1)));
    world.at_source(slow.at("/d"));
    let denied = Fault::new(
        Operation::ReadDir,
        Action::Fail(ErrorKind::PermissionDenied),
    );
    world.at_source(denied.at("/d"));
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    let failures = run.failures();
    assert!(
        failures.contains(&"/d failed SourcePermissionDenied".to_owned()),
        "{failures:?}"
    );
    assert!(
        run.detail().contains("/d (SourcePermissionDenied"),
        "{}",
        run.detail()
    );
}

/// It may be the directory that leads to what is included.
#[tokio::test(start_paused = true)]
async fn an_entry_on_the_way_to_the_scope_that_cannot_be_looked_at_is_a_failure() {
    let mut world = World::new(Tree::new().file("a/b/file", "content").file("keep", "x"));
    world.spec.includes = Includes::parse("/a/b|/keep").unwrap();
    let denied = Fault::new(Operation::Entry, Action::Fail(ErrorKind::PermissionDenied));
    world.at_source(denied.at("/a"));
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    assert_eq!(run.failures(), ["/a failed SourcePermissionDenied"]);
}

#[tokio::test(start_paused = true)]
async fn a_link_is_unchanged_without_mtime_although_its_object_has_one() {
    let mut world = World::new(Tree::new().symlink("link", "to"));
    world.run_well().await;
    world.options().mtime = Mtime::None;
    world.settings.catalog_file = None;
    let run = world.run().await;
    assert_eq!(run.report.counters.transferred, 0);
    assert_eq!(run.report.counters.unchanged, 2);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_could_not_be_deleted_has_failed_and_is_no_mismatch_too() {
    let mut world = World::new(Tree::new().file("gone", "content").file("keep", "x"));
    world.run_well().await;
    world.source.edit(|tree| tree.remove("gone"));
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world.options().verify_mode = VerifyMode::PointInTimeConsistent;
    let denied = Fault::new(Operation::Delete, Action::Fail(ErrorKind::PermissionDenied));
    world.at_destination(denied);
    let run = world.run().await;
    let counters = run.report.counters;
    assert_eq!((counters.delete_failed, counters.mismatched), (1, 0));
    assert_eq!(run.failures(), ["/gone failed DestinationPermissionDenied"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_to_be_deleted_is_counted_after_a_stop_in_the_end_check() {
    let mut world = World::new(Tree::new().file("gone", "content").file("keep", "x"));
    world.run_well().await;
    world.source.edit(|tree| {
        tree.remove("gone");
        tree.write("keep", "y");
    });
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world.options().verify_mode = VerifyMode::PointInTimeConsistent;
    // The first READ of the file is the copy's.
    let slow = Fault::new(Operation::Read, Action::Delay(Duration::from_secs(60)));
    world.at_source(slow.after(1));
    let directory = world.stop_half_way().await;
    let run = world.resume(directory).await;
    let counters = run.report.counters;
    assert_eq!((counters.to_delete, counters.deleted), (1, 1));
}

/// The object of the earlier execution has the content that this one sends.
#[tokio::test(start_paused = true)]
async fn an_upload_whose_completion_was_refused_is_aborted_although_the_object_is_right() {
    let tree = Tree::new().file("large", bytes(1, 2 * KIB));
    let mut world = World::of(MemorySource::new(tree), store(Integrity::Crc64));
    world.run_well().await;
    world.options().transfer_mode = TransferMode::All;
    let gone = Action::Fail(ErrorKind::NotFound);
    world.at_destination(Fault::new(Operation::CompleteUpload, gone).times(9));
    let run = world.run_well().await;
    assert_eq!(run.report.counters.failed, 0);
    let open = world.destination.open_uploads(&key("large")).await.unwrap();
    assert!(open.is_empty(), "{open:?}");
}

/// An error of the whole store would end the execution without a word about the object.
#[tokio::test(start_paused = true)]
async fn an_object_that_was_deleted_since_it_is_not_proven_is_named() {
    let tree = Tree::new().file("keep", "x");
    let mut world = World::of(MemorySource::new(tree), store(Integrity::ReadBack));
    world.run_well().await;
    world.options().transfer_mode = TransferMode::All;
    let gone = Action::Fail(ErrorKind::ContainerNotFound);
    world.at_destination(Fault::new(Operation::ReadBack, gone).times(9));
    let run = world.run().await;
    assert!(
        world
            .destination
            .stat(&key("keep"))
            .await
            .unwrap()
            .is_none()
    );
    let named = run.failures();
    assert!(
        named.contains(&"/keep failed BucketNotFound".into()),
        "{named:?}"
    );
}
