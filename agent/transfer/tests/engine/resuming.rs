//! A run that is stopped anywhere, and goes on from its directory.

use std::collections::BTreeMap;
use std::time::Duration;

use datasync_endpoint::EntryKind;
use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_model::{ExecutionReport, PreserveDeletedFiles, VerifyMode};

use crate::world::{MIB, World, assert_consistent, bytes};

fn tree() -> Tree {
    let mut tree = Tree::new()
        .file("large", bytes(1, 18 * MIB))
        .file("m/large", bytes(2, 9 * MIB));
    for number in 0..150 {
        tree.add(
            format!("d{}/{number}", number % 5),
            EntryKind::File,
            bytes(number, 500),
        );
    }
    tree.add("link", EntryKind::Symlink, "large");
    tree.add("fifo", EntryKind::Fifo, "");
    tree
}

/// Every call takes time, so that a stop may come anywhere.
fn slow_world(tree: Tree) -> World {
    let source = MemorySource::new(tree).with_page(9).with_read_max(1 << 20);
    let mut world = World::of(source, MemoryDestination::new().with_page(20));
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    let slow = |operation, time| Fault::new(operation, Action::Delay(Duration::from_millis(time)));
    for operation in [
        Operation::ReadDir,
        Operation::Read,
        Operation::Attributes,
        Operation::Lookup,
    ] {
        world.at_source(slow(operation, 7));
    }
    for operation in [
        Operation::List,
        Operation::Stat,
        Operation::Put,
        Operation::CreateUpload,
        Operation::UploadPart,
        Operation::CompleteUpload,
        Operation::AbortUpload,
        Operation::DeleteBatch,
    ] {
        world.at_destination(slow(operation, 31));
    }
    world
}

/// Runs in slices of `time` to the end.
async fn run_in_slices(world: &World, time: Duration) -> ExecutionReport {
    let directory = world.directory();
    for _ in 0..1_000 {
        if let Some(report) = world.run_for(&directory, time).await {
            return report;
        }
    }
    panic!("the execution makes no progress in slices of {time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_once_anywhere_completes_exactly() {
    for wait in [
        0, 1, 3, 8, 20, 40, 60, 90, 130, 200, 300, 400, 500, 650, 800, 1_000, 1_300,
    ] {
        let world = slow_world(tree());
        let directory = world.directory();
        let first = world.run_for(&directory, Duration::from_millis(wait)).await;
        let report = match first {
            Some(report) => report,
            None => world
                .run_for(&directory, Duration::from_secs(3_000))
                .await
                .unwrap(),
        };
        assert_eq!(report.result.failure, None, "after {wait} ms");
        assert_consistent(&report);
        world.assert_exact();
        let twice: BTreeMap<_, _> = world
            .writes()
            .into_iter()
            .filter(|(_, count)| *count > 1)
            .collect();
        assert_eq!(twice, BTreeMap::new(), "after {wait} ms");
        let wanted = world.destination.snapshot().len() as u64;
        assert_eq!(report.counters.discovered, wanted + 1, "after {wait} ms");
        assert_eq!(report.counters.verified, wanted, "after {wait} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_again_and_again_completes_exactly() {
    for slice in [700, 1_100] {
        let mut world = slow_world(tree());
        world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
        let report = run_in_slices(&world, Duration::from_millis(slice)).await;
        assert_eq!(report.result.failure, None);
        assert_consistent(&report);
        world.assert_exact();
    }
}

#[tokio::test(start_paused = true)]
async fn deletes_that_are_interrupted_are_completed() {
    let world = slow_world(tree());
    world.run_well().await;
    world.source.edit(|tree| {
        for number in 0..100 {
            tree.remove(format!("d{}/{number}", number % 5));
        }
        tree.remove("m");
        tree.write("d1/101", "changed");
    });
    let report = run_in_slices(&world, Duration::from_millis(900)).await;
    assert_eq!(report.result.failure, None);
    assert_consistent(&report);
    assert_eq!(
        (report.counters.to_delete, report.counters.deleted),
        (102, 102)
    );
    world.assert_exact();
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changes_between_stop_and_start_is_copied_as_it_is_then() {
    let world = slow_world(tree());
    let directory = world.directory();
    let first = world.run_for(&directory, Duration::from_millis(100)).await;
    assert!(first.is_none());
    world.source.edit(|tree| {
        tree.write("large", bytes(9, 17 * MIB));
        tree.add("zz/new", EntryKind::File, "new");
    });
    let report = world
        .run_for(&directory, Duration::from_secs(3_000))
        .await
        .unwrap();
    assert_eq!(world.object("zz/new").unwrap().content.len(), 3);
    assert_consistent(&report);
    assert_eq!(world.destination.open_upload_keys(), Vec::new());
    world.run_well().await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_could_not_be_aborted_at_the_start_is_aborted_later() {
    let (world, directory) = stopped_with_an_open_upload().await;
    let refuse = Action::Fail(datasync_endpoint::ErrorKind::PermissionDenied);
    world.at_destination(Fault::new(Operation::AbortUpload, refuse).times(2));
    let report = world
        .run_for(&directory, Duration::from_secs(3_000))
        .await
        .unwrap();
    assert_consistent(&report);
    assert_eq!(world.destination.open_upload_keys(), Vec::new());
    world.run_well().await;
}

async fn stopped_with_an_open_upload() -> (World, std::path::PathBuf) {
    for wait in (20..400).step_by(20) {
        let world = slow_world(tree());
        let directory = world.directory();
        let ended = world.run_for(&directory, Duration::from_millis(wait)).await;
        if ended.is_none() && !world.destination.open_upload_keys().is_empty() {
            return (world, directory);
        }
    }
    panic!("no upload was open at any stop");
}
