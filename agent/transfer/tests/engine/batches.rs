//! Deletes in batches: requests, refusals of single objects, lost answers, interruptions.

use std::time::Duration;

use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_endpoint::{EntryKind, ErrorKind, Key};
use datasync_model::{ErrorCode, PreserveDeletedFiles, VerifyMode};

use crate::world::World;

/// `gone` files of `all` are missing at the source, after a first run that copied all.
async fn with_missing(all: u32, gone: u32) -> World {
    let mut tree = Tree::new();
    for number in 0..all {
        tree.add(format!("f{number:05}"), EntryKind::File, "x");
    }
    let mut world = World::of(MemorySource::new(tree), MemoryDestination::new());
    world.options().verify_mode = VerifyMode::None;
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world.run_well().await;
    world.source.edit(|tree| {
        for number in 0..gone {
            tree.remove(format!("f{number:05}"));
        }
    });
    world.source.script().forget_calls();
    world.destination.script().forget_calls();
    world
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_deletes_take_ten_requests_and_one_look_at_the_source_each() {
    let world = with_missing(20_001, 10_000).await;
    let run = world.run_well().await;
    assert_eq!(run.report.counters.deleted, 10_000);
    assert_eq!(world.destination.snapshot().len(), 10_002);
    let script = world.destination.script();
    assert_eq!(script.count(Operation::DeleteBatch), 10);
    assert_eq!(world.source.script().count(Operation::Lookup), 10_000);
}

#[tokio::test(start_paused = true)]
async fn what_the_store_refuses_of_a_batch_is_named_one_by_one() {
    let world = with_missing(50, 20).await;
    let refused = Action::Fail(ErrorKind::PermissionDenied);
    let retained = |key: &str| key == "f00011" || key == "f00003";
    world.at_destination(Fault::new(Operation::Delete, refused).when(retained));
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    let failed =
        ["/f00003", "/f00011"].map(|path| format!("{path} failed DestinationPermissionDenied"));
    assert_eq!(run.failures(), failed);
    let counters = run.report.counters;
    assert_eq!((counters.deleted, counters.delete_failed), (18, 2));
    let left = world.destination.snapshot();
    assert_eq!(left.len(), 33);
    assert!(left.contains_key(&Key::from_listing("f00003".to_owned())));
    assert_eq!(world.destination.script().count(Operation::DeleteBatch), 1);
}

#[tokio::test(start_paused = true)]
async fn only_what_failed_for_a_while_is_tried_again() {
    let world = with_missing(50, 20).await;
    let busy = Fault::new(Operation::Delete, Action::Fail(ErrorKind::Busy));
    world.at_destination(busy.at("f00007").times(2));
    let run = world.run_well().await;
    assert_eq!(run.report.counters.deleted, 20);
    let script = world.destination.script();
    assert_eq!(script.count(Operation::DeleteBatch), 3);
    assert_eq!(script.count_at(Operation::Delete, "f00007"), 3);
    assert_eq!(script.count(Operation::Delete), 22);
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_answer_is_lost_is_asked_for_again_and_counted_once() {
    let world = with_missing(50, 20).await;
    let lost = Fault::new(
        Operation::DeleteBatch,
        Action::LoseReply(ErrorKind::Timeout),
    );
    world.at_destination(lost.times(1));
    let run = world.run_well().await;
    let counters = run.report.counters;
    assert_eq!((counters.deleted, counters.delete_failed), (20, 0));
    assert_eq!(world.destination.script().count(Operation::DeleteBatch), 2);
}

/// The answer is lost, and before the second try somebody writes one of the objects anew.
#[tokio::test(start_paused = true)]
async fn an_object_that_comes_back_after_a_lost_answer_is_kept() {
    let world = with_missing(50, 20).await;
    let lost = Fault::new(
        Operation::DeleteBatch,
        Action::LoseReply(ErrorKind::Timeout),
    );
    world.at_destination(lost.times(1));
    let late = Action::Delay(Duration::from_secs(9));
    let second = Fault::new(Operation::DeleteBatch, late);
    world.at_destination(second.after(1).times(1));
    let writing = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.destination.edit(|objects| {
            let mut new = objects.values().next_back().unwrap().clone();
            new.etag = "\"new\"".to_owned();
            objects.insert(Key::from_listing("f00004".to_owned()), new);
        });
    };
    let (run, ()) = tokio::join!(world.run(), writing);
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed), "{}", run.detail());
    assert_eq!(run.failures(), ["/f00004 failed DestinationFault"]);
    assert!(world.object("f00004").is_some());
    assert_eq!(run.report.counters.deleted, 19);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_between_batches_goes_on_behind_the_last_one() {
    let world = with_missing(12_000, 5_500).await;
    let directory = world.directory();
    for first in ["f03000", "f04000", "f05000"] {
        world.at_destination(Fault::new(Operation::DeleteBatch, Action::Hang).at(first));
    }
    let first = world.run_for(&directory, Duration::from_secs(60)).await;
    assert!(first.is_none());
    assert_eq!(world.destination.snapshot().len(), 12_001 - 3_000);
    world.destination.script().clear();
    world.destination.script().forget_calls();
    let second = world.run_for(&directory, Duration::from_secs(3_000)).await;
    let report = second.unwrap();
    assert_eq!(report.result.failure, None);
    let counters = report.counters;
    assert_eq!((counters.to_delete, counters.deleted), (5_500, 5_500));
    assert_eq!(world.destination.snapshot().len(), 12_001 - 5_500);
    assert_eq!(world.destination.script().count(Operation::DeleteBatch), 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_before_a_cancel_is_counted() {
    let world = with_missing(5_000, 2_300).await;
    world.at_destination(Fault::new(Operation::DeleteBatch, Action::Hang).at("f02000"));
    let directory = world.directory();
    let (controls, handles) = world.controls();
    let cancelling = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        handles.cancel.cancel();
    };
    let (report, ()) = tokio::join!(world.run_in(&directory, controls), cancelling);
    let report = report.unwrap();
    assert_eq!(report.result.failure.unwrap().code, ErrorCode::Cancelled);
    assert_eq!(world.destination.snapshot().len(), 5_001 - 2_000);
    assert_eq!(report.counters.deleted, 2_000);
}

/// What a broken batch did not get to is not passed over by those after it.
#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_in_a_batch_that_broke() {
    let world = with_missing(6_000, 2_500).await;
    let batch = |action, first| Fault::new(Operation::DeleteBatch, action).at(first);
    let away = Action::Fail(ErrorKind::Unreachable);
    world.at_source(Fault::new(Operation::Lookup, away).at("/f00010"));
    world.at_destination(batch(Action::Delay(Duration::from_secs(900)), "f01000"));
    world.at_destination(batch(Action::Hang, "f02000"));
    let directory = world.directory();
    let stopped = world.run_for(&directory, Duration::from_secs(1_500)).await;
    assert_eq!(stopped, None);
    assert_eq!(world.destination.snapshot().len(), 6_001 - 1_010);
    world.source.script().clear();
    world.destination.script().clear();
    let run = world.resume(directory).await;
    assert_eq!(run.failures(), ["/f00010 failed SourceUnreachable"]);
    assert_eq!(world.destination.snapshot().len(), 6_001 - 2_499);
}
