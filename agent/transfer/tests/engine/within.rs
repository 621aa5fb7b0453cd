//! Objects that the destination's store copies by itself.

use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::memory::{Action, Fault, MemorySource, Operation, Tree};
use datasync_endpoint::{ErrorKind, Integrity};
use datasync_model::{ErrorCode, VerifyMode};
use tokio::time::sleep;

use crate::world::{KIB, World, bytes, key, store};

/// A source in the store of the destination, whose single requests end at 1 KiB.
fn world() -> World {
    let tree = Tree::new()
        .file("large", bytes(1, 2 * KIB))
        .file("small", bytes(2, 100));
    let source = Arc::new(MemorySource::new(tree).in_the_store());
    let store = store(Integrity::Crc64).with_originals(source.clone());
    let mut world = World::of(MemorySource::new(Tree::new()), store);
    world.source = source;
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    world
}

/// READs, copies, puts and uploads so far.
fn counts(world: &World) -> [usize; 4] {
    let at = |operation| world.destination.script().count(operation);
    [
        world.source.script().count(Operation::Read),
        at(Operation::Copy),
        at(Operation::Put),
        at(Operation::CreateUpload),
    ]
}

#[tokio::test(start_paused = true)]
async fn content_of_any_size_does_not_pass_through_the_agent() {
    let world = world();
    world.run_well().await;
    let [reads, copies, _, uploads] = counts(&world);
    assert_eq!([reads, copies, uploads], [0, 2, 0]);
    assert_eq!(world.destination.script().count(Operation::CopyPart), 1);
    assert_eq!(world.destination.script().count(Operation::OpenUploads), 0);
}

#[tokio::test(start_paused = true)]
async fn the_upload_of_a_copy_that_a_kill_left_open_is_aborted() {
    let world = world();
    world.at_destination(Fault::new(Operation::CopyPart, Action::Hang));
    let directory = world.directory();
    world.kill_after(&directory, Duration::from_secs(1)).await;
    assert_eq!(world.destination.open_upload_keys(), [key("large")]);
    let run = world.resume(directory).await;
    assert_eq!(run.code(), None, "{}", run.detail());
    world.assert_exact();
    assert_eq!(counts(&world)[0], 0);
}

#[tokio::test(start_paused = true)]
async fn the_upload_of_a_copy_that_is_cancelled_is_aborted() {
    let world = world();
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
async fn what_the_store_does_not_copy_is_read_and_written_and_leaves_no_upload() {
    for kind in [
        ErrorKind::NotSupported,
        ErrorKind::ChecksumRefused,
        ErrorKind::Timeout,
    ] {
        let world = world();
        world.at_destination(Fault::new(Operation::CopyPart, Action::Fail(kind)));
        world.run_well().await;
        let [reads, _, _, uploads] = counts(&world);
        assert!(reads > 0 && uploads == 1, "{kind:?}: {reads} {uploads}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_original_that_changes_meanwhile_is_copied_as_it_is_then() {
    let world = world();
    world.at_destination(
        Fault::new(Operation::CopyPart, Action::Delay(Duration::from_secs(1))).times(1),
    );
    let changing = async {
        sleep(Duration::from_millis(500)).await;
        world
            .source
            .edit(|tree| tree.write("large", bytes(9, 3 * KIB)));
    };
    tokio::join!(world.run_well(), changing);
    assert_eq!(counts(&world)[0], 0);
}
