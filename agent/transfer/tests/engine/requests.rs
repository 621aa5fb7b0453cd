//! What an execution costs in requests.

use datasync_endpoint::EntryKind;
use datasync_endpoint::memory::{MemoryDestination, MemorySource, Tree};
use datasync_model::{RequestCounts, VerifyMode};

use crate::world::{KIB, Run, World, bytes};

const FILES: u64 = 2_500;

fn counts(counts: &[(&str, u64)]) -> RequestCounts {
    counts.iter().copied().collect()
}

/// `count` small files in one directory, of sizes around and at zero.
fn small_files(count: u64) -> MemorySource {
    let mut tree = Tree::new();
    for number in 0..count {
        let size = number % 7 * KIB;
        tree.add(
            format!("d/{number:05}"),
            EntryKind::File,
            bytes(number, size),
        );
    }
    MemorySource::new(tree).with_page(1000)
}

fn of_source(run: &Run) -> &RequestCounts {
    &run.report.telemetry.source_requests
}

fn of_destination(run: &Run) -> &RequestCounts {
    &run.report.telemetry.destination_requests
}

#[tokio::test(start_paused = true)]
async fn a_small_file_costs_one_read_and_one_put_and_nothing_else() {
    let mut world = World::of(small_files(FILES), MemoryDestination::new());
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    let run = world.run_well().await;
    // The root is asked for by the engine, the walk and the delete stage, whatever is below it.
    let source = counts(&[("ROOT", 3), ("READDIR", 1 + 3), ("READ", FILES)]);
    assert_eq!(of_source(&run), &source);
    let directories = 2;
    let destination = counts(&[("LIST", 1), ("PUT", FILES + directories)]);
    assert_eq!(of_destination(&run), &destination);
}

#[tokio::test(start_paused = true)]
async fn a_tree_that_did_not_change_costs_a_listing_for_each_thousand_objects() {
    for (mode, listings) in [
        (VerifyMode::OnlyFilesTransferred, 1),
        (VerifyMode::PointInTimeConsistent, 2),
    ] {
        let mut world = World::of(small_files(FILES), MemoryDestination::new());
        world.options().verify_mode = mode;
        world.run_well().await;
        world.source.script().forget_calls();
        world.destination.script().forget_calls();
        let run = world.run_well().await;
        let pages = (FILES + 2).div_ceil(1000);
        assert_eq!(of_destination(&run), &counts(&[("LIST", listings * pages)]));
        assert_eq!(of_source(&run).of("READ"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn reports_of_a_running_execution_tell_its_requests() {
    use datasync_endpoint::memory::{Action, Fault, Operation};
    use std::time::Duration;

    let mut world = World::of(small_files(10), MemoryDestination::new());
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    let slow = Action::Delay(Duration::from_secs(1));
    world.at_destination(Fault::new(Operation::Put, slow));
    let (controls, handles) = world.controls();
    let directory = world.directory();
    let running = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        handles.reports.borrow().telemetry.clone()
    };
    let (ended, telemetry) = tokio::join!(world.run_in(&directory, controls), running);
    assert_eq!(telemetry.source_requests.of("READ"), 10);
    assert_eq!(telemetry.destination_requests.of("PUT"), 12);
    assert_eq!(ended.unwrap().telemetry.source_requests.of("READ"), 10);
}
