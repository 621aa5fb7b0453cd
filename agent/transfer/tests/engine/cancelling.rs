//! CancelTaskExecution: quiet soon, terminal soon, nothing left open unless it is named.

use std::time::Duration;

use datasync_endpoint::EntryKind;
use datasync_endpoint::memory::{Action, Fault, Operation, Tree};
use datasync_model::{ErrorCode, ExecutionReport, ExecutionStatus, Failure};
use datasync_transfer::with_open_uploads;
use tokio::time::{Instant, sleep};

use crate::world::{MIB, World, bytes, rate};

fn tree() -> Tree {
    let mut tree = Tree::new().file("large", bytes(1, 40 * MIB));
    for number in 0..300 {
        tree.add(
            format!("small/{number}"),
            EntryKind::File,
            bytes(number, 1000),
        );
    }
    tree
}

/// Cancels after `wait`; gives the report and how long the end took.
async fn cancel_after(world: &World, wait: Duration) -> (ExecutionReport, Instant, Duration) {
    let directory = world.directory();
    let (controls, handles) = world.controls();
    let cancelling = async {
        sleep(wait).await;
        handles.cancel.cancel();
        Instant::now()
    };
    let (report, cancelled) = tokio::join!(world.run_in(&directory, controls), cancelling);
    (report.unwrap(), cancelled, cancelled.elapsed())
}

fn assert_quiet(world: &World, cancelled: Instant) {
    let source = world.source.script().calls();
    let destination = world.destination.script().calls();
    for call in source.into_iter().chain(destination) {
        let aborts = [Operation::AbortUpload, Operation::OpenUploads].contains(&call.operation);
        let late = call.at.saturating_duration_since(cancelled);
        assert!(
            aborts || late < Duration::from_secs(1),
            "{call:?} came {late:?} after the cancel"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_ends_at_once_and_aborts_its_uploads() {
    for wait in [0, 5, 50, 200, 1_000, 2_500] {
        let world = World::new(tree());
        for operation in [
            Operation::Put,
            Operation::UploadPart,
            Operation::CreateUpload,
        ] {
            let slow = Action::Delay(Duration::from_millis(700));
            world.at_destination(Fault::new(operation, slow));
        }
        let (report, cancelled, took) = cancel_after(&world, Duration::from_millis(wait)).await;
        assert_eq!(report.status, ExecutionStatus::Error);
        assert_eq!(
            report.result.failure.unwrap().code,
            ErrorCode::Cancelled,
            "after {wait} ms"
        );
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_eq!(
            world.destination.open_upload_keys(),
            Vec::new(),
            "after {wait} ms"
        );
        assert_quiet(&world, cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_hold_up_the_end_and_what_is_owed_is_named() {
    let world = World::new(tree());
    for operation in [
        Operation::Put,
        Operation::UploadPart,
        Operation::AbortUpload,
    ] {
        world.at_destination(Fault::new(operation, Action::Hang));
    }
    let (report, cancelled, took) = cancel_after(&world, Duration::from_secs(5)).await;
    assert!(took <= Duration::from_secs(10), "{took:?}");
    let failure = report.result.failure.unwrap();
    assert_eq!(failure.code, ErrorCode::Cancelled);
    assert!(
        failure.detail.contains("still open at the store: large"),
        "{failure}"
    );
    assert_quiet(&world, cancelled);
    // Nothing goes on in the background either.
    sleep(Duration::from_secs(60)).await;
    assert_quiet(&world, cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_does_not_hold_up_the_end() {
    for operation in [Operation::Root, Operation::ReadDir, Operation::Read] {
        let world = World::new(tree());
        world.at_source(Fault::new(operation, Action::Hang));
        let (report, cancelled, took) = cancel_after(&world, Duration::from_secs(3)).await;
        assert_eq!(report.result.failure.unwrap().code, ErrorCode::Cancelled);
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_quiet(&world, cancelled);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_whose_creation_was_not_answered_is_found_and_aborted() {
    let world = World::new(tree());
    // Created at the store, and the answer takes too long.
    let lose = Action::LoseReply(datasync_endpoint::ErrorKind::Timeout);
    world.at_destination(Fault::new(Operation::CreateUpload, lose));
    let (report, _, _) = cancel_after(&world, Duration::from_millis(300)).await;
    assert_eq!(report.result.failure.unwrap().code, ErrorCode::Cancelled);
    assert_eq!(world.destination.open_upload_keys(), Vec::new());
}

#[tokio::test(start_paused = true)]
async fn a_slow_rate_does_not_hold_up_the_end() {
    let mut world = World::new(tree());
    world.options().bytes_per_second = rate(64 << 10);
    let (_, cancelled, took) = cancel_after(&world, Duration::from_secs(7)).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_quiet(&world, cancelled);
    let last = world.destination.transits().last().unwrap().at;
    assert!(last <= cancelled + Duration::from_secs(1));
    assert_eq!(world.destination.open_upload_keys(), Vec::new());
}

#[tokio::test(start_paused = true)]
async fn the_journal_of_an_execution_that_cannot_go_on_names_its_open_uploads() {
    let world = World::new(tree());
    let slow = Action::Delay(Duration::from_secs(5));
    world.at_destination(Fault::new(Operation::UploadPart, slow));
    let directory = world.stop_half_way().await;
    assert_eq!(world.destination.open_upload_keys().len(), 1);
    let failure = Failure::new(ErrorCode::Cancelled, "cancelled");
    let owed = world.settings.owed_aborts_file.as_deref();
    let failure = with_open_uploads(failure, &directory, owed).await;
    assert_eq!(failure.code, ErrorCode::Cancelled);
    assert!(failure.detail.ends_with("at the store: large"), "{failure}");
    world.resume(directory.clone()).await;
    let failure = Failure::new(ErrorCode::Cancelled, "cancelled");
    let failure = with_open_uploads(failure, &directory, owed).await;
    assert_eq!(failure.detail, "cancelled");
}
