//! Executions that transfer what a manifest lists.

use std::path::{Path, PathBuf};
use std::time::Duration;

use datasync_endpoint::EntryKind;
use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_model::{ErrorCode, Location, Manifest, VerifyMode};
use datasync_transfer::ManifestIntake;

use crate::world::{World, bytes, key};

const DIRECTORIES: u64 = 50;
const FILES: u64 = 100;

fn name(directory: u64, file: u64) -> String {
    format!("d{directory:02}/f{file:02}")
}

fn tree() -> Tree {
    let mut tree = Tree::new();
    for directory in 0..DIRECTORIES {
        for file in 0..FILES {
            let content = bytes(directory * FILES + file, 10);
            tree.add(name(directory, file), EntryKind::File, content);
        }
    }
    tree
}

/// A world whose executions have a manifest.
fn world() -> World {
    let mut world = World::of(
        MemorySource::new(tree()).with_page(1000),
        MemoryDestination::new(),
    );
    let Location::S3(store) = world.spec.destination.clone() else {
        panic!("the world writes to S3");
    };
    world.spec.extensions.manifest = Some(Manifest {
        store,
        role_arn: "arn:aws:iam::123456789012:role/manifest".to_owned(),
        key: "list.csv".to_owned(),
        version_id: None,
    });
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    world
}

async fn take(directory: &Path, lines: &[String]) {
    let mut intake = ManifestIntake::begin(directory, 0, 1 << 20, None).unwrap();
    intake.push(lines.join("\n").as_bytes()).await.unwrap();
    assert_eq!(intake.finish().await.unwrap(), lines.len() as u64);
}

async fn listing(world: &World, lines: &[String]) -> PathBuf {
    let directory = world.directory();
    take(&directory, lines).await;
    directory
}

fn keys(world: &World) -> Vec<String> {
    let objects = world.destination.snapshot();
    objects.keys().map(ToString::to_string).collect()
}

fn calls(world: &World) -> (usize, usize, usize) {
    let source = world.source.script();
    (
        source.count(Operation::ReadDir),
        source.count(Operation::Lookup),
        world.destination.script().count(Operation::List),
    )
}

#[tokio::test(start_paused = true)]
async fn what_is_listed_is_looked_up_and_no_directory_is_read() {
    let world = world();
    let lines: Vec<_> = (0..FILES).rev().map(|file| name(7, file)).collect();
    let run = world.resume(listing(&world, &lines).await).await;
    assert_eq!(run.report.result.failure, None);
    assert_eq!(run.report.counters.discovered, FILES);
    assert_eq!(keys(&world).len() as u64, FILES);
    assert_eq!(keys(&world).first().map(String::as_str), Some("d07/f00"));
    let (pages, lookups, _) = calls(&world);
    // The way to the directory once for each slice of 64.
    assert_eq!((pages, lookups as u64), (0, FILES + 2));
}

#[tokio::test(start_paused = true)]
async fn of_the_destination_only_what_is_listed_is_listed() {
    let mut world = world();
    let manifest = world.spec.extensions.manifest.take();
    world.run_well().await;
    world.spec.extensions.manifest = manifest;
    world.destination.script().forget_calls();
    // Five thousand objects: far apart, and all in one page.
    let far: Vec<_> = (0..3).map(|number| name(number * 20, 5)).collect();
    let run = world.resume(listing(&world, &far).await).await;
    assert_eq!(run.report.counters.unchanged, 3);
    assert_eq!(calls(&world).2, 3);
    world.destination.script().forget_calls();
    let near: Vec<_> = (0..FILES).map(|file| name(7, file)).collect();
    let run = world.resume(listing(&world, &near).await).await;
    assert_eq!(run.report.counters.unchanged, FILES);
    assert_eq!(calls(&world).2, 1);
    // What is remembered of all others is not forgotten.
    world.spec.extensions.manifest = None;
    world.destination.script().forget_calls();
    let run = world.run_well().await;
    assert_eq!(run.report.counters.transferred, 0);
    assert_eq!(world.destination.script().count(Operation::Stat), 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_transferred_is_reported_once_each() {
    let mut world = world();
    world.options().verify_mode = VerifyMode::PointInTimeConsistent;
    let lines = [
        "absent",
        "d00",
        "d01/",
        "d02/f00",
        "d03/f00/below",
        ".snapshot/x",
    ];
    let lines = lines.map(str::to_owned);
    let run = world.resume(listing(&world, &lines).await).await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    assert_eq!(keys(&world), ["d02/f00"]);
    let counters = run.report.counters;
    assert_eq!((counters.failed, counters.verified), (5, 1), "{counters:?}");
    assert_eq!(counters.mismatched, 0, "{counters:?}");
    assert_eq!(
        run.failures(),
        [
            "/.snapshot/x failed NotSupported",
            "/absent failed SourceVanished",
            "/d00 failed NotSupported",
            "/d01 failed NotSupported",
            "/d03/f00/below failed SourceVanished",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_killed_goes_on_where_it_was() {
    let world = world();
    let slow = Action::Delay(Duration::from_millis(300));
    world.at_destination(Fault::new(Operation::Put, slow));
    let mut lines: Vec<_> = (0..DIRECTORIES)
        .flat_map(|directory| (0..FILES).step_by(3).map(move |file| name(directory, file)))
        .collect();
    lines.push("absent".to_owned());
    let directory = listing(&world, &lines).await;
    world.kill_after(&directory, Duration::from_secs(1)).await;
    let before = keys(&world).len();
    assert!(before > 0 && before < lines.len(), "{before}");
    let run = world.resume(directory).await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    let counters = run.report.counters;
    let count = lines.len() as u64;
    assert_eq!((counters.discovered, counters.failed), (count, 1));
    assert_eq!(keys(&world).len() as u64, count - 1);
    assert!(world.object("d00/f01").is_none());
    assert!(world.destination.snapshot().contains_key(&key("d00/f03")));
}
