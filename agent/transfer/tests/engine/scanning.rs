//! What the scan waits for, and what does not wait for it.

use std::time::Duration;

use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_endpoint::{EntryKind, ErrorKind};

use datasync_model::{ErrorCode, Includes, PreserveDeletedFiles, VerifyMode};
use datasync_transfer::Interrupted;

use crate::world::{KIB, MIB, World};

fn two_directories() -> Tree {
    let mut tree = Tree::new();
    tree.add("a/1", EntryKind::File, "first");
    for number in 0..50 {
        tree.add(format!("b/{number}"), EntryKind::File, "later");
    }
    tree
}

#[tokio::test(start_paused = true)]
async fn the_first_file_is_on_its_way_before_the_second_directory_is_read_to_its_end() {
    let source = MemorySource::new(two_directories()).with_page(10);
    let world = World::of(source, MemoryDestination::new());
    let second = Action::Delay(Duration::from_secs(1));
    world.at_source(Fault::new(Operation::ReadDir, second).at("/b"));
    world.run_well().await;
    let puts = world.destination.script().calls();
    let first = puts.iter().find(|call| call.target == "a/1").unwrap();
    let reads = world.source.script().calls();
    let last = reads.iter().rfind(|call| call.target == "/b").unwrap();
    assert!(first.at < last.at);
}

#[tokio::test]
async fn an_execution_without_room_on_the_disk_says_how_much_it_needs_and_begins_once_there_is() {
    let mut world = World::new(two_directories());
    world.settings.state_disk_max_bytes = Some(10 * MIB);
    let directory = world.directory();
    let (controls, _handles) = world.controls();
    let halted = world.run_in(&directory, controls).await.unwrap_err();
    let Interrupted::LocalState(failure) = halted else {
        panic!("{halted}");
    };
    assert_eq!(failure.code, ErrorCode::LocalStateFault);
    for word in ["needs about 64 MiB", "may take 10 MiB", "state_disk_max"] {
        assert!(failure.detail.contains(word), "{failure}");
    }
    assert_eq!(world.source.script().calls(), []);
    world.settings.state_disk_max_bytes = Some(64 * MIB);
    let run = world.resume(directory).await;
    assert_eq!(run.report.result.failure, None);
    world.assert_exact();
}

#[tokio::test]
async fn an_execution_that_uses_up_its_room_pauses_and_goes_on_with_more() {
    let mut tree = two_directories();
    for number in 0..1_500 {
        tree.add(format!("gone/{number:04}"), EntryKind::File, "");
    }
    let mut world = World::new(tree);
    world.run_well().await;
    world.source.edit(|tree| {
        for number in 0..1_500 {
            tree.remove(format!("gone/{number:04}"));
        }
    });
    world.spec.extensions.delete_share_max = "100".parse().unwrap();
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    let directory = world.directory();
    // Begun, so that its need is not asked for again.
    assert_eq!(world.run_for(&directory, Duration::ZERO).await, None);
    world.settings.state_disk_max_bytes = Some(50 * KIB);
    let (controls, _handles) = world.controls();
    let halted = world.run_in(&directory, controls).await.unwrap_err();
    assert!(halted.to_string().contains("used up"), "{halted}");
    world.settings.state_disk_max_bytes = None;
    let run = world.resume(directory).await;
    assert_eq!(run.report.result.failure, None);
    assert_eq!(run.report.counters.deleted, 1_500);
    world.assert_exact();
}

#[tokio::test]
async fn without_room_for_a_new_catalog_the_old_one_stays_and_the_run_ends_well() {
    let mut world = World::new(two_directories());
    world.run_well().await;
    let file = world.settings.catalog_file.clone().unwrap();
    let before = std::fs::read(&file).unwrap();
    world
        .source
        .edit(|tree| tree.add("c", EntryKind::File, "new"));
    let directory = world.directory();
    assert_eq!(world.run_for(&directory, Duration::ZERO).await, None);
    world.settings.state_disk_max_bytes = Some(before.len() as u64);
    let run = world.resume(directory).await;
    assert_eq!(run.report.result.failure, None);
    assert_eq!(std::fs::read(&file).unwrap(), before);
    world.assert_exact();
}

/// Directories that are only on the way to what is included, and cannot be read.
#[tokio::test(start_paused = true)]
async fn directories_that_cannot_be_read_are_counted_once_whatever_restarts_there_are() {
    let mut tree = Tree::new();
    let mut includes = Vec::new();
    for number in 0..100 {
        tree.add(format!("in/{number:03}/file"), EntryKind::File, "");
        includes.push(format!("/in/{number:03}/file"));
    }
    let mut world = World::new(tree);
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    world.spec.includes = Includes::parse(&includes.join("|")).unwrap();
    let below = |path: &str| path.starts_with("/in/");
    let slow = Action::Delay(Duration::from_millis(400));
    let refused = Action::Fail(ErrorKind::PermissionDenied);
    let directory = world.directory();
    world.at_source(Fault::new(Operation::ReadDir, slow).when(below));
    world.at_source(Fault::new(Operation::ReadDir, refused).when(below));
    let mut runs = 0;
    let report = loop {
        runs += 1;
        if let Some(report) = world.run_for(&directory, Duration::from_secs(1)).await {
            break report;
        }
    };
    assert!(runs > 1);
    assert_eq!(report.counters.directories_unlisted, 100);
    assert_eq!(report.counters.failed, 100);
}
