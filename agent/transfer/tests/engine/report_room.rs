//! Reports that find no room on the agent's own disk.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_model::{ErrorCode, PhaseStatus, PreserveDeletedFiles, VerifyMode};

use crate::reports::ask_for_all;
use crate::world::{MIB, Run, World};

/// What an execution may take in these tests.
const ALLOWED: u64 = 80 * MIB;
/// A report leaves so much of it to the rest.
const LEFT_TO_OTHERS: u64 = 8 * MIB;

fn world(verify: VerifyMode) -> World {
    let mut tree = Tree::new();
    for number in 0..40 {
        let name = format!("d/{number:02}");
        tree.add(name, datasync_endpoint::EntryKind::File, "content");
    }
    let mut world = World::of(MemorySource::new(tree), MemoryDestination::new());
    world.settings.state_disk_max_bytes = Some(ALLOWED);
    world.options().verify_mode = verify;
    ask_for_all(&mut world);
    world
}

/// Leaves room for so many bytes of entries. The file has no blocks, and counts by its length.
fn fill(directory: &Path, room: u64) {
    let file = File::create(directory.join("filler")).unwrap();
    file.set_len(ALLOWED - LEFT_TO_OTHERS - room).unwrap();
}

fn assert_given_up(run: &Run) {
    let result = &run.report.result;
    assert_eq!(result.failure, None);
    let report = result.report.as_ref().unwrap();
    assert_eq!(report.status, PhaseStatus::Error);
    let failure = report.failure.as_ref().unwrap();
    assert_eq!(failure.code, ErrorCode::TaskReportUploadFailed);
    assert!(failure.detail.contains("no room"), "{failure}");
    for file in ["report", "report-verified"] {
        assert!(!run.directory.join(file).exists(), "{file} takes room");
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_that_finds_no_room_is_given_up_and_the_transfer_goes_on() {
    let world = world(VerifyMode::OnlyFilesTransferred);
    let directory = world.directory();
    fill(&directory, 4_000);
    let run = world.resume(directory).await;
    assert_given_up(&run);
    assert_eq!(run.report.counters.verified, 42);
    world.assert_exact();
    let again = world.resume(run.directory).await;
    assert_given_up(&again);
}

#[tokio::test(start_paused = true)]
async fn entries_of_the_end_check_may_be_those_that_find_none() {
    let world = world(VerifyMode::PointInTimeConsistent);
    let directory = world.directory();
    fill(&directory, 22_000);
    let run = world.resume(directory).await;
    assert_given_up(&run);
    assert_eq!(run.report.counters.verified, 42);
    world.assert_exact();
}

#[tokio::test(start_paused = true)]
async fn a_resumed_execution_takes_the_room_of_its_report_if_it_has_too_little() {
    let world = world(VerifyMode::OnlyFilesTransferred);
    let slow = Action::Delay(Duration::from_millis(400));
    let late = |key: &str| key.ends_with("9");
    world.at_destination(Fault::new(Operation::Put, slow).when(late));
    let directory = world.directory();
    let time = Duration::from_millis(200);
    let unfinished = world.run_for(&directory, time).await;
    assert_eq!(unfinished, None);
    assert!(directory.join("report").exists());
    let file = File::create(directory.join("filler")).unwrap();
    file.set_len(ALLOWED - LEFT_TO_OTHERS / 2).unwrap();
    let run = world.resume(directory).await;
    assert_given_up(&run);
    world.assert_exact();
}

#[tokio::test(start_paused = true)]
async fn deletes_go_on_without_their_report() {
    let mut world = world(VerifyMode::None);
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world.run_well().await;
    world.source.edit(|tree| {
        for number in 0..30 {
            tree.remove(format!("d/{number:02}"));
        }
    });
    let directory = world.directory();
    fill(&directory, 500);
    let run = world.resume(directory).await;
    assert_given_up(&run);
    assert_eq!(run.report.counters.deleted, 30);
    world.assert_exact();
}
