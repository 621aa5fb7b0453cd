//! Uploads that are gone on with after the process was killed: only what is missing is sent.

use std::path::PathBuf;
use std::time::Duration;

use datasync_endpoint::memory::{Action, Fault, MemorySource, Operation, Tree};
use datasync_endpoint::{Crc64, Destination, ErrorKind, Integrity, Payload, Unpaced};
use datasync_model::{OverwriteMode, VerifyMode};
use tokio::time::sleep;

use crate::world::{
    INTEGRITIES, KIB, Run, SHA256, World, bytes, cut_journal, journal_kinds, key,
    store_of_small_parts,
};

/// Six parts.
const SIZE: u64 = 5 * KIB + 1;
const READ_MAX: u64 = 200;
const PARTS: usize = 6;
/// Parts that the store has when the process is killed.
const DONE: u64 = 2;

fn world(integrity: Integrity) -> World {
    let tree = Tree::new()
        .file("large", bytes(1, SIZE))
        .file("small", "fine");
    let source = MemorySource::new(tree).with_read_max(200);
    World::of(source, store_of_small_parts(integrity))
}

/// Killed when two parts are with the store and all others on their way.
async fn kill_in_the_middle(world: &World) -> PathBuf {
    let directory = world.directory();
    let hang = Fault::new(Operation::UploadPart, Action::Hang).after(DONE);
    world.at_destination(hang);
    world.kill_after(&directory, Duration::from_secs(1)).await;
    directory
}

async fn resume_well(world: &World, directory: PathBuf) -> Run {
    let run = world.resume(directory).await;
    assert_eq!(run.code(), None, "{}", run.detail());
    world.assert_exact();
    run
}

fn count(world: &World, operation: Operation) -> usize {
    world.destination.script().count(operation)
}

fn bytes_read(world: &World) -> u64 {
    let reads = world.source.script().count_at(Operation::Read, "/large");
    reads as u64 * READ_MAX
}

#[tokio::test(start_paused = true)]
async fn only_the_parts_in_flight_are_sent_again() {
    for integrity in INTEGRITIES {
        let mut world = world(integrity);
        world.options().verify_mode = VerifyMode::None;
        let directory = kill_in_the_middle(&world).await;
        let run = resume_well(&world, directory).await;
        assert_eq!(count(&world, Operation::UploadPart), PARTS - DONE as usize);
        assert_eq!(count(&world, Operation::CreateUpload), 0);
        assert_eq!(count(&world, Operation::AbortUpload), 0);
        assert!(bytes_read(&world) <= SIZE - DONE * KIB + PARTS as u64 * READ_MAX);
        let counters = run.report.counters;
        assert_eq!(
            (counters.transferred, counters.bytes_written),
            (3, SIZE + 4)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_gone_on_with_however_often_the_process_is_killed() {
    for integrity in INTEGRITIES {
        let world = world(integrity);
        let directory = world.directory();
        let mut sent = 0;
        for _ in 0..4 {
            let hang = Fault::new(Operation::UploadPart, Action::Hang).after(1);
            world.at_destination(hang);
            world.kill_after(&directory, Duration::from_secs(1)).await;
            sent += 1;
        }
        resume_well(&world, directory).await;
        assert_eq!(count(&world, Operation::UploadPart), PARTS - sent);
    }
}

#[tokio::test(start_paused = true)]
async fn parts_that_memory_is_not_to_hold_are_not_sent_again_either() {
    for integrity in INTEGRITIES {
        let mut world = world(integrity);
        world.options().verify_mode = VerifyMode::None;
        // A quarter of the half of it is less than a part.
        world.settings.memory_target_bytes = 7 * KIB;
        let directory = kill_in_the_middle(&world).await;
        resume_well(&world, directory).await;
        assert_eq!(count(&world, Operation::UploadPart), PARTS - DONE as usize);
        assert!(world.destination.held_max() < KIB, "whole parts were held");
    }
}

/// After a power cut the journal may know less than the store: where the store tells checksums,
/// the source is read again instead of being sent again.
#[tokio::test(start_paused = true)]
async fn parts_whose_receipts_were_lost_are_compared_or_sent_again() {
    for (integrity, sent) in [
        (Integrity::Crc64, PARTS - DONE as usize),
        (SHA256, PARTS - DONE as usize),
        (Integrity::Md5, PARTS),
        (Integrity::ReadBack, PARTS),
    ] {
        let world = world(integrity);
        let directory = kill_in_the_middle(&world).await;
        let kinds = journal_kinds(&directory);
        let first = kinds.iter().position(|kind| kind == "k");
        cut_journal(&directory, first.unwrap());
        resume_well(&world, directory).await;
        assert_eq!(count(&world, Operation::UploadPart), sent, "{integrity:?}");
        assert_eq!(count(&world, Operation::CreateUpload), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changed_meanwhile_is_begun_anew() {
    type Change = fn(&mut Tree);
    let changes: [Change; 4] = [
        |tree| tree.write("large", bytes(2, SIZE)),
        |tree| tree.write("large", bytes(1, SIZE + 1)),
        |tree| tree.write("large", "small now"),
        |tree| tree.set("large", |attributes| attributes.mode = 0o600),
    ];
    for change in changes {
        let world = world(Integrity::Crc64);
        let directory = kill_in_the_middle(&world).await;
        world.source.edit(change);
        resume_well(&world, directory).await;
        assert_eq!(count(&world, Operation::AbortUpload), 1);
        assert_eq!(count(&world, Operation::ListParts), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_while_its_rest_is_sent_is_begun_anew() {
    let world = world(Integrity::Crc64);
    let directory = kill_in_the_middle(&world).await;
    let change = Action::change(|tree| tree.write("large", bytes(2, SIZE)));
    world.at_source(
        Fault::new(Operation::Read, change)
            .at("/large")
            .after(2)
            .times(1),
    );
    resume_well(&world, directory).await;
    assert_eq!(count(&world, Operation::CreateUpload), 1);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_somebody_aborted_meanwhile_is_begun_anew() {
    let world = world(Integrity::Crc64);
    let directory = kill_in_the_middle(&world).await;
    let large = key("large");
    for open in world.destination.open_uploads(&large).await.unwrap() {
        world
            .destination
            .abort_upload(&large, &open.id)
            .await
            .unwrap();
    }
    world.destination.script().forget_calls();
    resume_well(&world, directory).await;
    assert_eq!(count(&world, Operation::CreateUpload), 1);
    assert_eq!(count(&world, Operation::UploadPart), PARTS);
}

/// Neither by its ETag nor by its checksum is it what the receipt is for.
#[tokio::test(start_paused = true)]
async fn a_part_that_is_another_now_is_sent_again() {
    for integrity in INTEGRITIES {
        let world = world(integrity);
        let directory = kill_in_the_middle(&world).await;
        let large = key("large");
        let open = world.destination.open_uploads(&large).await.unwrap();
        let other = bytes(7, KIB);
        let payload = Payload {
            crc64: Crc64::of(&other),
            length: other.len() as u64,
            chunks: vec![other.into()],
            pace: std::sync::Arc::new(Unpaced),
        };
        let replaced = world
            .destination
            .upload_part(&large, &open[0].id, 1, payload);
        replaced.await.unwrap();
        world.destination.script().forget_calls();
        resume_well(&world, directory).await;
        assert_eq!(count(&world, Operation::UploadPart), PARTS - 1);
    }
}

/// The object is there, the journal does not know: nothing is sent, and nothing read.
#[tokio::test(start_paused = true)]
async fn a_completion_that_was_not_noted_is_found() {
    for integrity in INTEGRITIES {
        let mut world = world(integrity);
        world.options().verify_mode = VerifyMode::None;
        let directory = world.directory();
        let lost = Action::LoseReply(ErrorKind::Timeout);
        world.at_destination(Fault::new(Operation::CompleteUpload, lost));
        world.at_destination(Fault::new(Operation::Stat, Action::Hang).at("large"));
        world.kill_after(&directory, Duration::from_secs(60)).await;
        assert!(world.object("large").is_some());
        let run = resume_well(&world, directory).await;
        assert_eq!(world.writes()["large"], 1);
        assert_eq!(count(&world, Operation::UploadPart), 0);
        assert_eq!(bytes_read(&world), 0);
        assert_eq!(run.report.counters.transferred, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_appeared_meanwhile_is_protected() {
    let mut world = world(Integrity::Crc64);
    world.options().overwrite_mode = OverwriteMode::Never;
    world.options().verify_mode = VerifyMode::None;
    let directory = kill_in_the_middle(&world).await;
    let theirs = world.object("small").unwrap();
    let stored = theirs.clone();
    world
        .destination
        .edit(|objects| objects.insert(key("large"), stored));
    let run = world.resume(directory).await;
    assert_eq!(run.failures(), ["/large skipped NotSupported"]);
    assert_eq!(world.object("large"), Some(theirs));
    assert_eq!(world.destination.open_upload_keys(), []);
}

/// A part that was on its way when the process died may reach the store after its parts were
/// listed: then they are not those that the completion names.
#[tokio::test(start_paused = true)]
async fn a_completion_that_is_refused_begins_the_upload_anew() {
    let world = world(Integrity::Crc64);
    let directory = kill_in_the_middle(&world).await;
    let refuse = Action::Fail(ErrorKind::Invalid);
    world.at_destination(Fault::new(Operation::CompleteUpload, refuse).times(1));
    resume_well(&world, directory).await;
    assert_eq!(count(&world, Operation::CreateUpload), 1);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_upload_that_cannot_be_aborted_is_aborted_in_the_end() {
    let world = world(Integrity::Crc64);
    let directory = kill_in_the_middle(&world).await;
    world.source.edit(|tree| tree.write("large", "small now"));
    let refuse = Action::Fail(ErrorKind::PermissionDenied);
    world.at_destination(Fault::new(Operation::AbortUpload, refuse).times(1));
    resume_well(&world, directory).await;
}

#[tokio::test(start_paused = true)]
async fn parts_that_were_there_already_make_no_rate() {
    for integrity in INTEGRITIES {
        let mut world = world(integrity);
        world.options().verify_mode = VerifyMode::None;
        let directory = world.directory();
        let hang = Fault::new(Operation::UploadPart, Action::Hang).after(PARTS as u64 - 1);
        world.at_destination(hang);
        world.kill_after(&directory, Duration::from_secs(1)).await;
        let slow = Action::Delay(Duration::from_secs(20));
        world.at_destination(Fault::new(Operation::UploadPart, slow));
        let (controls, handles) = world.controls();
        let looking = async {
            sleep(Duration::from_secs(5)).await;
            let seen = handles.reports.borrow().clone();
            assert!(
                seen.counters.bytes_written >= 4 * KIB,
                "{:?}",
                seen.counters
            );
            assert_eq!(seen.telemetry.bytes_per_second, 0);
            assert_eq!(seen.telemetry.time_left, None);
        };
        let (report, ()) = tokio::join!(world.run_in(&directory, controls), looking);
        let counters = report.unwrap().counters;
        assert_eq!(counters.bytes_written, SIZE + 4);
    }
}
