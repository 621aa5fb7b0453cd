//! What comes first after a restart.

use std::path::Path;
use std::time::Duration;

use crc_fast::{CrcAlgorithm, checksum};
use datasync_endpoint::EntryKind;
use datasync_endpoint::memory::{Action, Fault, MemorySource, Operation, Tree};
use datasync_model::{ErrorCode, VerifyMode};
use datasync_transfer::Interrupted;
use serde_json::json;

use crate::world::{MIB, World, bytes};

const PENDING: u64 = 10_000;

fn name(number: u64) -> String {
    format!("d/{number:05}")
}

/// A journal of items that left the merge, and no more.
fn write_journal(directory: &Path, keys: &[String]) {
    let mut journal = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        let record = json!({"h": {"n": number, "key": key}}).to_string();
        let crc = checksum(CrcAlgorithm::Crc32Iscsi, record.as_bytes()) as u32;
        journal.extend_from_slice(&(record.len() as u32).to_le_bytes());
        journal.extend_from_slice(&crc.to_le_bytes());
        journal.extend_from_slice(record.as_bytes());
    }
    std::fs::write(directory.join("journal"), journal).unwrap();
}

/// Neither the listings nor what others left open hold the items up.
fn slow_world(tree: Tree) -> World {
    let mut world = World::of(MemorySource::new(tree), Default::default());
    world.options().verify_mode = VerifyMode::None;
    slow_listings(&world);
    world
}

fn slow_listings(world: &World) {
    let minute = Duration::from_secs(60);
    for operation in [
        Operation::List,
        Operation::AbortUpload,
        Operation::OpenUploads,
    ] {
        world.at_destination(Fault::new(operation, Action::Delay(minute)));
    }
    let fault = |operation, wait| Fault::new(operation, Action::Delay(wait));
    world.at_source(fault(Operation::ReadDir, minute));
    world.at_source(fault(Operation::Lookup, Duration::from_millis(5)));
    world.at_destination(fault(Operation::Put, Duration::from_millis(50)));
}

fn first_calls(world: &World, operation: Operation) -> usize {
    world.destination.script().count(operation)
}

#[tokio::test(start_paused = true)]
async fn items_in_flight_go_on_within_two_seconds_and_before_any_listing() {
    let mut tree = Tree::new();
    for number in 0..PENDING {
        tree.add(name(number), EntryKind::File, "content");
    }
    let world = slow_world(tree);
    let directory = world.directory();
    let directories = [String::new(), "d/".to_owned()];
    let keys: Vec<_> = directories
        .into_iter()
        .chain((0..PENDING).map(name))
        .collect();
    write_journal(&directory, &keys);
    let ended = world.run_for(&directory, Duration::from_secs(2)).await;
    assert_eq!(ended, None);
    let puts = first_calls(&world, Operation::Put);
    assert!(puts > 1_000, "{puts}");
    assert_eq!(first_calls(&world, Operation::List), 0);
    assert_eq!(world.source.script().count(Operation::ReadDir), 0);
    world.source.script().clear();
    world.destination.script().clear();
    let run = world.resume(directory).await;
    assert_eq!(run.code(), None, "{}", run.detail());
    world.assert_exact();
    let counters = run.report.counters;
    assert_eq!(
        (counters.discovered, counters.transferred),
        (10_002, 10_002)
    );
}

/// `/dev/full` answers every write as a full disk does.
#[tokio::test(start_paused = true)]
async fn a_full_disk_pauses_the_execution_before_anything_is_done() {
    let world = World::new(Tree::new().file("file", "content"));
    let directory = world.directory();
    let next = directory.join("journal.next");
    std::os::unix::fs::symlink("/dev/full", &next).unwrap();
    let (controls, _handles) = world.controls();
    let Err(Interrupted::LocalState(failure)) = world.run_in(&directory, controls).await else {
        panic!("nothing can be journalled");
    };
    assert_eq!(failure.code, ErrorCode::LocalStateFault);
    assert!(failure.detail.contains("No space left"), "{failure}");
    assert_eq!(world.destination.script().calls(), []);
    std::fs::remove_file(next).unwrap();
    let run = world.resume(directory).await;
    assert_eq!(run.code(), None, "{}", run.detail());
    world.assert_exact();
}

/// However many smaller items wait.
#[tokio::test(start_paused = true)]
async fn a_large_file_goes_on_first() {
    let mut tree = Tree::new().file("z/large", bytes(1, 10 * MIB));
    for number in 0..200 {
        tree.add(name(number), EntryKind::File, "content");
    }
    let world = World::new(tree);
    let directory = world.directory();
    let hang = |operation| Fault::new(operation, Action::Hang);
    world.at_destination(hang(Operation::UploadPart).after(1));
    world.at_destination(hang(Operation::Put).after(150));
    world.kill_after(&directory, Duration::from_secs(1)).await;
    slow_listings(&world);
    let ended = world.run_for(&directory, Duration::from_secs(1)).await;
    assert_eq!(ended, None);
    let calls = world.destination.script().calls();
    let first = |operation| calls.iter().position(|call| call.operation == operation);
    let part = first(Operation::UploadPart).unwrap();
    let before = calls.iter().take(part);
    let puts = before.filter(|call| call.operation == Operation::Put);
    let before = puts.count();
    assert!(before < 50, "{before} smaller ones came first");
    assert!(first(Operation::List).is_none_or(|list| part < list));
    assert!(world.object("z/large").is_some());
}
