//! Dry runs: they say what a run then does, and change nothing.

use std::num::NonZeroU64;

use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_endpoint::{EntryKind, ErrorKind, Source as _};
use datasync_model::{
    ErrorCode, ExecutionStatus, OverwriteMode, PlannedRequests, PreserveDeletedFiles,
    RequestCounts, VerifyMode,
};
use datasync_transfer::{PLAN_FILE, PlannedItem};

use crate::world::{KIB, MIB, Run, World, bytes, rate};

const MUTATING: [Operation; 8] = [
    Operation::Put,
    Operation::CreateUpload,
    Operation::UploadPart,
    Operation::CompleteUpload,
    Operation::AbortUpload,
    Operation::SetMetadata,
    Operation::CopyPart,
    Operation::Delete,
];

/// Everything that an item can be, in a bucket that knows an earlier state of it.
async fn world() -> World {
    let mut tree = Tree::new();
    tree.add("same", EntryKind::File, bytes(1, 3 * KIB));
    tree.add("edited", EntryKind::File, bytes(2, 3 * KIB));
    tree.add("touched", EntryKind::File, bytes(3, 3 * KIB));
    tree.add("gone", EntryKind::File, bytes(4, KIB));
    tree.add("link", EntryKind::Symlink, "same");
    tree.add_dir("d");
    let source = MemorySource::new(tree);
    let mut world = World::of(source, MemoryDestination::new());
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    world.run_well().await;
    world.source.edit(|tree| {
        tree.write("edited", bytes(5, 5 * KIB));
        tree.set("touched", |attributes| attributes.mode = 0o600);
        tree.remove("gone");
        tree.add("d/new", EntryKind::File, bytes(6, 200 * KIB));
        tree.add("d/large", EntryKind::File, bytes(7, 20 * MIB + 1));
        tree.add("d/link", EntryKind::Symlink, "new");
        tree.add("d/empty", EntryKind::File, "");
        tree.add("d/fifo", EntryKind::Fifo, "");
    });
    forget_calls(&world);
    world
}

fn forget_calls(world: &World) {
    world.source.script().forget_calls();
    world.destination.script().forget_calls();
}

/// A dry run that may change nothing.
async fn dry_run(world: &mut World) -> Run {
    for operation in MUTATING {
        world.at_destination(Fault::new(
            operation,
            Action::Fail(ErrorKind::PermissionDenied),
        ));
    }
    let kept = kept(world);
    world.spec.extensions.dry_run = true;
    let run = world.run().await;
    world.spec.extensions.dry_run = false;
    for operation in MUTATING {
        let calls = world.destination.script().count(operation);
        assert_eq!(calls, 0, "{operation:?} in a dry run");
    }
    world.destination.script().clear();
    assert_eq!(self::kept(world), kept, "what is remembered has changed");
    run
}

/// What one execution leaves to the next.
fn kept(world: &World) -> Vec<(String, Vec<u8>)> {
    let directory = world.state.path().join("history");
    let Ok(files) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut kept: Vec<_> = files
        .map(|file| file.unwrap())
        .map(|file| {
            let name = file.file_name().into_string().unwrap();
            (name, std::fs::read(file.path()).unwrap())
        })
        .collect();
    kept.sort();
    kept
}

fn listed(run: &Run) -> Vec<String> {
    let text = std::fs::read_to_string(run.directory.join(PLAN_FILE)).unwrap();
    let mut lines: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<PlannedItem>(line).unwrap())
        .map(|item| format!("{} {:?} {}", item.path, item.action, item.bytes))
        .collect();
    lines.sort();
    lines
}

fn planned(run: &Run) -> PlannedRequests {
    run.report.telemetry.plan.as_ref().unwrap().requests
}

/// What a run made, of the kinds that are planned.
fn made(run: &Run, heads: u64) -> PlannedRequests {
    let telemetry = &run.report.telemetry;
    let (source, destination): (&RequestCounts, &RequestCounts) =
        (&telemetry.source_requests, &telemetry.destination_requests);
    assert_eq!(
        destination.of("CreateMultipartUpload"),
        destination.of("CompleteMultipartUpload")
    );
    PlannedRequests {
        read: source.of("READ"),
        readlink: source.of("READLINK"),
        getattr: source.of("GETATTR"),
        lookup: source.of("LOOKUP"),
        put_object: destination.of("PUT"),
        multipart_upload: destination.of("CreateMultipartUpload"),
        upload_part: destination.of("UploadPart"),
        copy_object: destination.of("CopyObject"),
        head_object: destination.of("HEAD") - heads,
        delete_object: destination.of("DELETE"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let mut world = world().await;
    let before = world.destination.snapshot();
    let run = dry_run(&mut world).await;
    assert_eq!(world.destination.snapshot(), before);
    let report = &run.report;
    assert_eq!(report.status, ExecutionStatus::Success, "{report:?}");
    let c = &report.counters;
    assert_eq!((c.transferred, c.bytes_transferred, c.deleted), (0, 0, 0));
    assert_eq!((c.to_delete, c.skipped, c.failed), (1, 1, 0));
    assert_eq!(c.discovered, c.unchanged + c.to_transfer + c.skipped);
    let plan = report.telemetry.plan.as_ref().unwrap();
    assert_eq!(plan.withheld, None);
    let large = 20 * MIB + 1;
    let lines = listed(&run);
    for line in [
        "/edited Transfer 5120",
        "/touched Metadata 0",
        "/gone Delete 1024",
        &format!("/d/large Transfer {large}"),
        "/d/link Transfer 0",
        "/d/fifo Skip 0",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line}: {lines:?}");
    }
    assert!(
        !lines.iter().any(|line| line.starts_with("/same ")),
        "{lines:?}"
    );
    assert_eq!(c.bytes_to_transfer, 5 * KIB + 200 * KIB + large);
}

#[tokio::test(start_paused = true)]
async fn the_run_after_it_does_what_was_said_with_the_requests_that_were_said() {
    for mode in [
        VerifyMode::OnlyFilesTransferred,
        VerifyMode::PointInTimeConsistent,
    ] {
        let mut world = world().await;
        assert_eq!(world.source.read_max(), 64 * 1024);
        world.options().verify_mode = mode;
        let dry = dry_run(&mut world).await;
        let heads = dry.report.telemetry.destination_requests.of("HEAD");
        forget_calls(&world);
        let run = world.run_well().await;
        let (said, done) = (dry.report.counters, run.report.counters);
        assert_eq!(done.transferred, said.to_transfer);
        assert_eq!(done.bytes_to_transfer, said.bytes_to_transfer);
        assert_eq!(done.deleted, said.to_delete);
        assert_eq!(
            (done.unchanged, done.skipped, done.discovered),
            (said.unchanged, said.skipped, said.discovered)
        );
        assert_eq!(made(&run, heads), planned(&dry), "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_catalog_the_store_is_asked_and_nothing_else_changes() {
    let mut world = world().await;
    let first = dry_run(&mut world).await;
    std::fs::remove_file(world.settings.catalog_file.as_ref().unwrap()).unwrap();
    let second = dry_run(&mut world).await;
    assert_eq!(second.report.counters, first.report.counters);
    assert_eq!(listed(&second), listed(&first));
}

#[tokio::test(start_paused = true)]
async fn a_limit_says_how_long_it_will_take() {
    let mut world = World::new(Tree::new().file("a", bytes(1, 4 * MIB)));
    world.options().bytes_per_second = rate(MIB);
    let run = dry_run(&mut world).await;
    let plan = run.report.telemetry.plan.unwrap();
    assert_eq!(plan.at_limit_ms, Some(4_000));
}

#[tokio::test(start_paused = true)]
async fn deletes_that_a_guard_would_hold_back_are_told() {
    let mut world = world().await;
    world.source.edit(Tree::clear);
    let run = dry_run(&mut world).await;
    let withheld = run.report.telemetry.plan.unwrap().withheld.unwrap();
    assert_eq!(withheld.code, ErrorCode::DeletesWithheld);
    assert!(
        withheld.detail.contains("the source is empty"),
        "{withheld}"
    );
    assert_eq!(run.report.status, ExecutionStatus::Success);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_looked_at_makes_the_plan_incomplete() {
    let mut world = world().await;
    let denied = Action::Fail(ErrorKind::PermissionDenied);
    world.at_source(Fault::new(Operation::ReadDir, denied).at("/d"));
    let run = dry_run(&mut world).await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    assert!(
        run.detail().starts_with("The plan is not complete: 1 "),
        "{}",
        run.detail()
    );
    assert_eq!(run.failures(), ["/d failed SourcePermissionDenied"]);
}

#[tokio::test(start_paused = true)]
async fn protected_objects_are_planned_to_be_skipped() {
    let mut world = world().await;
    world.options().overwrite_mode = OverwriteMode::Never;
    let run = dry_run(&mut world).await;
    assert!(listed(&run).contains(&"/edited Skip 0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_that_is_stopped_begins_anew() {
    let mut world = world().await;
    let slow = Action::Delay(std::time::Duration::from_secs(60));
    world.at_source(Fault::new(Operation::ReadDir, slow));
    world.spec.extensions.dry_run = true;
    let directory = world.stop_half_way().await;
    let run = world.resume(directory).await;
    let whole = dry_run(&mut world).await;
    assert_eq!(run.report.counters, whole.report.counters);
    assert_eq!(listed(&run), listed(&whole));
}

/// A hundred files that only the store can tell about.
async fn to_be_asked_about() -> World {
    let mut tree = Tree::new();
    for number in 0..100 {
        tree.add(format!("f{number:02}"), EntryKind::File, "x");
    }
    let mut world = World::of(MemorySource::new(tree), MemoryDestination::new());
    world.options().verify_mode = VerifyMode::None;
    world.run_well().await;
    world.settings.catalog_file = None;
    forget_calls(&world);
    world
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_broken_off_after_too_many_failures() {
    let mut world = to_be_asked_about().await;
    let denied = Action::Fail(ErrorKind::PermissionDenied);
    world.at_destination(Fault::new(Operation::Stat, denied));
    world.settings.failures_max = NonZeroU64::new(3);
    let run = dry_run(&mut world).await;
    assert_eq!(run.code(), Some(ErrorCode::TooManyFailures));
    assert_eq!(run.report.counters.failed, 3);
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_broken_off_where_nobody_answers() {
    let mut world = to_be_asked_about().await;
    let silent = Action::Fail(ErrorKind::Timeout);
    world.at_destination(Fault::new(Operation::Stat, silent));
    let run = dry_run(&mut world).await;
    assert_eq!(run.code(), Some(ErrorCode::DestinationUnreachable));
}
