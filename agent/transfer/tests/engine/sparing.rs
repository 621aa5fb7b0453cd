//! What the servers bear: small and large files at the same time, servers that refuse or fail.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use datasync_endpoint::EntryKind;
use datasync_endpoint::memory::{
    Action, BodySpan, Fault, MemoryDestination, MemorySource, Operation, Tree,
};
use datasync_model::VerifyMode;
use datasync_transfer::Interrupted;
use tokio::time::Instant;

use crate::world::{self, MIB, World, bytes};

fn delay(operation: Operation, milliseconds: u64) -> Fault {
    Fault::new(
        operation,
        Action::Delay(Duration::from_millis(milliseconds)),
    )
}

fn small_files(tree: &mut Tree, count: u64) {
    for number in 0..count {
        let name = format!("small/{:03}/{number}", number / 1000);
        tree.add(name, EntryKind::File, bytes(number, 16));
    }
}

fn world(tree: Tree) -> World {
    let source = MemorySource::new(tree).with_read_max(1 << 20);
    let mut world = World::of(source, MemoryDestination::new());
    world.options().verify_mode = VerifyMode::None;
    world
}

#[tokio::test(start_paused = true)]
async fn small_files_are_not_slowed_by_the_latency_of_the_servers() {
    let mut tree = Tree::new();
    small_files(&mut tree, 20_000);
    let world = world(tree);
    for operation in [Operation::Read, Operation::ReadDir, Operation::Lookup] {
        world.at_source(delay(operation, 2));
    }
    world.at_destination(delay(Operation::Put, 1));
    let started = Instant::now();
    world.run_well().await;
    let took = started.elapsed();
    assert!(took < Duration::from_millis(2500), "{took:?}");
    assert_eq!(world.source.script().count(Operation::Read), 20_000);
}

async fn time_of(files: u64, size: u64) -> Duration {
    let mut tree = Tree::new();
    for number in 0..files {
        tree.add(format!("f{number}"), EntryKind::File, bytes(number, size));
    }
    let mut world = world(tree);
    world.settings.memory_target_bytes = 256 * MIB;
    world.at_source(delay(Operation::Read, 4));
    world.at_destination(delay(Operation::UploadPart, 100));
    let started = Instant::now();
    world.run_well().await;
    started.elapsed()
}

#[tokio::test(start_paused = true)]
async fn one_large_file_is_as_fast_as_four() {
    let one = time_of(1, 192 * MIB).await;
    let four = time_of(4, 48 * MIB).await;
    assert!(one <= four.mul_f64(1.1), "{one:?} alone, {four:?} as four");
}

/// Small files and a large one, together or apart; when the last small body and the last part were
/// at the store.
async fn ends(small: u64, large: u64, per_second: Option<u64>) -> (Duration, Duration) {
    let mut tree = Tree::new();
    small_files(&mut tree, small);
    if large > 0 {
        tree.add("large", EntryKind::File, bytes(1, large));
    }
    let mut world = world(tree);
    if let Some(per_second) = per_second {
        world.options().bytes_per_second = world::rate(per_second);
    }
    for operation in [Operation::Put, Operation::UploadPart] {
        world.at_destination(delay(operation, 50));
    }
    let started = Instant::now();
    let run = world.run_well().await;
    assert!(most_pending(&run.directory) <= 520);
    let (parts, puts): (Vec<_>, Vec<_>) = world
        .destination
        .bodies()
        .into_iter()
        .partition(|body| body.bytes > MIB);
    let last = |bodies: Vec<BodySpan>| {
        let closed = bodies.iter().map(|body| body.closed - started);
        closed.max().unwrap_or_default()
    };
    (last(puts), last(parts))
}

/// The most items that the journal held as not final at any moment.
fn most_pending(directory: &Path) -> usize {
    let bytes = std::fs::read(directory.join("journal")).unwrap();
    let (mut at, mut pending, mut most) = (0, HashSet::new(), 0);
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        let record: serde_json::Value =
            serde_json::from_slice(&bytes[at + 8..at + 8 + length]).unwrap();
        if let Some(handed) = record.get("h") {
            pending.insert(handed["n"].as_u64());
        } else if let Some(ended) = record.get("f") {
            pending.remove(&ended["n"].as_u64());
        }
        most = most.max(pending.len());
        at += 8 + length;
    }
    most
}

/// Each goes at two thirds of the pace that it has alone, at least.
#[tokio::test(start_paused = true)]
async fn a_large_file_and_small_ones_do_not_hold_each_other_up() {
    for rate in [None, Some(8 * MIB)] {
        let (small_alone, _) = ends(3000, 0, rate).await;
        let (_, large_alone) = ends(0, 96 * MIB, rate).await;
        let (small, large) = ends(3000, 96 * MIB, rate).await;
        assert!(
            small <= small_alone.mul_f64(1.5),
            "{small:?} for {small_alone:?}, {rate:?}"
        );
        assert!(
            large <= large_alone.mul_f64(1.5),
            "{large:?} for {large_alone:?}, {rate:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_in_which_nothing_moves_says_what_it_waits_for_and_goes_on_from_its_journal() {
    let mut tree = Tree::new();
    small_files(&mut tree, 500);
    let mut world = world(tree);
    world.settings.stalled_after = Some(Duration::from_secs(900));
    world.at_destination(Fault::new(Operation::Put, Action::Hang).after(400));
    let directory = world.directory();
    let (controls, _handles) = world.controls();
    let started = Instant::now();
    let stalled = world.run_in(&directory, controls).await.unwrap_err();
    let Interrupted::Stalled(failure) = stalled else {
        panic!("{stalled}");
    };
    let took = started.elapsed();
    assert!(took < Duration::from_secs(1000), "{took:?}");
    for expected in ["900 s", "Scan", "PutObject at the destination for 9"] {
        assert!(failure.detail.contains(expected), "{failure}");
    }
    world.destination.script().clear();
    let run = world.resume(directory).await;
    assert_eq!(run.report.result.failure, None);
    world.assert_exact();
}

#[tokio::test(start_paused = true)]
async fn a_low_rate_is_no_stall() {
    let mut world = world(Tree::new().file("f", bytes(1, 40)));
    world.settings.stalled_after = Some(Duration::from_secs(8));
    world.options().bytes_per_second = world::rate(1);
    world.run_well().await;
}
