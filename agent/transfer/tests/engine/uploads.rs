//! Multipart uploads: ours are aborted, those of others never.

use std::time::Duration;

use datasync_endpoint::memory::{Action, EPOCH, Fault, MemorySource, Operation, Tree};
use datasync_endpoint::{
    Crc64, Destination, ErrorKind, Integrity, Payload, Timestamp, Unpaced, UploadId,
};
use datasync_model::{ErrorCode, Failure};
use datasync_transfer::{let_go, with_open_uploads};
use tokio::time::sleep;

use crate::world::{KIB, World, bytes, key, store};

fn tree() -> Tree {
    Tree::new().file("large", bytes(1, 2 * KIB))
}

fn world() -> World {
    World::of(MemorySource::new(tree()), store(Integrity::Crc64))
}

/// An upload of `large` that somebody else began so long after our start.
fn foreign(world: &World, seconds: i64) -> UploadId {
    let initiated = Timestamp {
        seconds: EPOCH + seconds,
        nanoseconds: 0,
    };
    world
        .destination
        .add_foreign_upload(&key("large"), initiated)
}

fn lose_the_creation(world: &World) {
    let lost = Action::LoseReply(ErrorKind::Timeout);
    world.at_destination(Fault::new(Operation::CreateUpload, lost).times(1));
}

#[tokio::test(start_paused = true)]
async fn uploads_of_others_are_never_aborted() {
    let world = world();
    foreign(&world, -1_000_000);
    foreign(&world, 3_600);
    let with_a_part = foreign(&world, 0);
    let payload = Payload {
        chunks: vec!["1".into()],
        length: 1,
        crc64: Crc64::of(b"1"),
        pace: std::sync::Arc::new(Unpaced),
    };
    let large = key("large");
    world
        .destination
        .upload_part(&large, &with_a_part, 1, payload)
        .await
        .unwrap();
    let other = Timestamp {
        seconds: EPOCH,
        nanoseconds: 0,
    };
    world
        .destination
        .add_foreign_upload(&key("large.txt"), other);
    lose_the_creation(&world);
    let run = world.run().await;
    assert_eq!(run.code(), None, "{}", run.detail());
    let mut open = world.destination.open_upload_keys();
    open.sort();
    let large = key("large");
    assert_eq!(
        open,
        [large.clone(), large.clone(), large, key("large.txt")]
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_uploads_while_every_creation_is_answered() {
    let world = world();
    world.run_well().await;
    for operation in [Operation::OpenUploads, Operation::ListParts] {
        assert_eq!(world.destination.script().count(operation), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn of_uploads_that_cannot_be_told_apart_none_is_aborted_and_ours_is_named() {
    let world = world();
    foreign(&world, 5);
    lose_the_creation(&world);
    let run = world.run().await;
    assert_eq!(run.failures(), ["/large failed DestinationFault"]);
    for part in ["cannot be told apart", "still open at the store: large"] {
        assert!(run.detail().contains(part), "{}", run.detail());
    }
    assert_eq!(world.destination.open_upload_keys().len(), 2);
    assert_eq!(world.destination.script().count(Operation::AbortUpload), 0);
}

#[tokio::test(start_paused = true)]
async fn once_the_upload_of_somebody_else_is_completed_ours_is_known() {
    let world = world();
    let theirs = foreign(&world, 5);
    lose_the_creation(&world);
    let completing = async {
        sleep(Duration::from_millis(500)).await;
        world
            .destination
            .abort_upload(&key("large"), &theirs)
            .await
            .unwrap();
    };
    tokio::join!(world.run_well(), completing);
}

#[tokio::test(start_paused = true)]
async fn an_upload_whose_abort_failed_is_aborted_before_the_next_try() {
    let source = MemorySource::new(tree()).with_read_max(100);
    let change = Action::change(|tree| tree.write("large", bytes(5, 2 * KIB)));
    source.script().add(
        Fault::new(Operation::Read, change)
            .at("/large")
            .after(4)
            .times(1),
    );
    let world = World::of(source, store(Integrity::Crc64));
    let refuse = Fault::new(
        Operation::AbortUpload,
        Action::Fail(ErrorKind::PermissionDenied),
    );
    world.at_destination(refuse.times(1));
    world.run_well().await;
}

fn abort_refused() -> Fault {
    Fault::new(
        Operation::AbortUpload,
        Action::Fail(ErrorKind::PermissionDenied),
    )
}

/// An execution fails and leaves an upload that the store does not abort; then nothing is broken.
async fn owe_an_abort(world: &World) {
    world.at_destination(Fault::new(
        Operation::UploadPart,
        Action::Fail(ErrorKind::PermissionDenied),
    ));
    world.at_destination(abort_refused());
    world.run().await;
    world.destination.script().clear();
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_aborted_is_aborted_by_the_next_execution() {
    let world = world();
    world.at_destination(Fault::new(
        Operation::UploadPart,
        Action::Fail(ErrorKind::PermissionDenied),
    ));
    world.at_destination(abort_refused());
    let run = world.run().await;
    let told = "1 multipart uploads could not be aborted and are still open at the store: large";
    assert!(run.detail().contains(told), "{}", run.detail());
    let again = world.run().await;
    assert!(
        again.detail().contains("still open at the store: large"),
        "{}",
        again.detail()
    );
    assert_eq!(world.destination.open_upload_keys().len(), 2);
    world.destination.script().clear();
    world.run_well().await;
    world.destination.script().forget_calls();
    world.run_well().await;
    let aborts = world.destination.script().count(Operation::AbortUpload);
    assert_eq!(aborts, 0, "what is gone is not owed any more");
}

#[tokio::test(start_paused = true)]
async fn an_upload_of_an_earlier_execution_is_not_taken_for_one_whose_creation_was_not_answered() {
    let world = world();
    owe_an_abort(&world).await;
    // The earlier one cannot be aborted yet when this execution begins its own.
    world.at_destination(abort_refused().times(1));
    lose_the_creation(&world);
    world.run_well().await;
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_aborted_at_the_beginning_is_aborted_at_the_end() {
    let world = world();
    owe_an_abort(&world).await;
    // The first five seconds, as a breaker that is open would do.
    let slow = Action::Delay(Duration::from_secs(6));
    world.at_destination(Fault::new(Operation::AbortUpload, slow).times(1));
    world.run_well().await;
}

#[tokio::test(start_paused = true)]
async fn an_execution_that_was_given_up_leaves_its_uploads_to_the_next() {
    let world = world();
    let slow = Action::Delay(Duration::from_secs(5));
    world.at_destination(Fault::new(Operation::UploadPart, slow));
    let directory = world.stop_half_way().await;
    assert_eq!(world.destination.open_upload_keys().len(), 1);
    let owed = world.settings.owed_aborts_file.as_deref();
    let failure = Failure::new(ErrorCode::Cancelled, "cancelled");
    with_open_uploads(failure, &directory, owed).await;
    world.run_well().await;
}

/// The execution was half way and is another agent's from now on.
async fn let_go_half_way(world: &World) {
    let directory = world.stop_half_way().await;
    let owed = world.settings.owed_aborts_file.clone().unwrap();
    let failure = Failure::new(ErrorCode::AgentUnavailable, "given to another agent");
    let left = let_go(failure, &directory, &owed).await;
    let told = "still open at the store: large";
    assert!(left.detail.contains(told), "{}", left.detail);
}

#[tokio::test(start_paused = true)]
async fn of_an_execution_that_was_let_go_known_uploads_are_aborted_by_the_next() {
    let world = world();
    let slow = Action::Delay(Duration::from_secs(5));
    world.at_destination(Fault::new(Operation::UploadPart, slow));
    let_go_half_way(&world).await;
    assert_eq!(world.destination.open_upload_keys().len(), 1);
    world.run_well().await;
}

#[tokio::test(start_paused = true)]
async fn of_an_execution_that_was_let_go_no_upload_of_the_other_agent_is_aborted() {
    let world = world();
    // Nobody knows whether it was begun when the execution moved.
    world.at_destination(Fault::new(Operation::CreateUpload, Action::Hang));
    let_go_half_way(&world).await;
    let theirs = foreign(&world, 5);
    let run = world.run().await;
    assert_eq!(run.code(), None, "{}", run.detail());
    let aborts = world.destination.script().count(Operation::AbortUpload);
    assert_eq!(aborts, 0);
    let large = key("large");
    assert_eq!(world.destination.parts(&large, &theirs).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_nobody_answered_is_looked_for_by_the_next_execution() {
    let world = world();
    lose_the_creation(&world);
    world.at_destination(Fault::new(
        Operation::OpenUploads,
        Action::Fail(ErrorKind::PermissionDenied),
    ));
    let run = world.run().await;
    assert!(
        run.detail().contains("still open at the store: large"),
        "{}",
        run.detail()
    );
    world.destination.script().clear();
    world.run_well().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_survives_a_restart_and_does_not_hold_up_a_run() {
    let world = world();
    owe_an_abort(&world).await;
    world.at_destination(Fault::new(Operation::AbortUpload, Action::Hang));
    world.at_destination(Fault::new(Operation::List, Action::Hang));
    let directory = world.directory();
    let stopped = world.run_for(&directory, Duration::from_secs(3)).await;
    assert_eq!(stopped, None);
    world.destination.script().clear();
    world.at_destination(Fault::new(Operation::AbortUpload, Action::Hang));
    let run = world.resume(directory).await;
    assert_eq!(run.code(), None, "{}", run.detail());
    assert_eq!(world.destination.open_upload_keys().len(), 1);
    world.destination.script().clear();
    world.run_well().await;
}
