//! The crash sweep: a run is cut after each record of its journal, goes on, and is as it would have
//! been.
//!
//! Killed: the journal ends with record n, and the destination is as it was then. Power cut: the
//! destination is as it was at the end, and the journal has lost all but n records.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use datasync_endpoint::memory::{Action, Fault, MemorySource, Operation, Tree};
use datasync_endpoint::{Crc64, ErrorKind, Integrity, Key, PosixMetadata};
use datasync_model::{
    Counters, ErrorCode, OverwriteMode, PreserveDeletedFiles, TransferMode, VerifyMode,
};
use tokio::time::sleep;

use crate::reports::{ask_for_all, assert_told, roots};
use crate::world::{
    KIB, Run, SHA256, World, bytes, cut_journal, journal_kinds, store_of_small_parts,
};

/// What is varied.
#[derive(Clone, Copy)]
struct Variant {
    integrity: Integrity,
    verify: VerifyMode,
    overwrite: OverwriteMode,
    transfer: TransferMode,
    /// Parts are read while they are sent.
    streams: bool,
    /// A report tells everything.
    reports: bool,
}

const PLAIN: Variant = Variant {
    integrity: Integrity::Crc64,
    verify: VerifyMode::PointInTimeConsistent,
    overwrite: OverwriteMode::Always,
    transfer: TransferMode::Changed,
    streams: false,
    reports: false,
};

fn before() -> Tree {
    Tree::new()
        .file("a", "1")
        .file("chmod", "2")
        .file("d/gone", "3")
        .file("d/large", bytes(1, 2 * KIB))
        .file("e/gone", "4")
        .symlink("z", "a")
}

fn change(tree: &mut Tree) {
    tree.set("chmod", |attributes| attributes.mode = 0o600);
    tree.remove("d/gone");
    tree.remove("e");
    tree.write("d/large", bytes(2, 3 * KIB + 5));
    for (name, content) in [
        ("unreadable", bytes(5, 5)),
        ("d/new", bytes(3, 300)),
        ("m/new-large", bytes(4, 2 * KIB + 1)),
    ] {
        tree.add(name, datasync_endpoint::EntryKind::File, content);
    }
    tree.add("z", datasync_endpoint::EntryKind::Symlink, "d/new");
}

/// A world after its first run, with everything changed since then.
async fn changed_world(variant: Variant) -> World {
    let destination = store_of_small_parts(variant.integrity).with_page(3);
    let mut world = World::of(source(before()), destination);
    world.options().verify_mode = VerifyMode::None;
    world.run_well().await;
    world.source.edit(change);
    let options = world.options();
    options.verify_mode = variant.verify;
    options.overwrite_mode = variant.overwrite;
    options.transfer_mode = variant.transfer;
    options.preserve_deleted_files = PreserveDeletedFiles::Remove;
    if variant.reports {
        ask_for_all(&mut world);
    }
    if variant.streams {
        world.settings.memory_target_bytes = 7 * KIB;
    }
    world
}

fn source(tree: Tree) -> MemorySource {
    MemorySource::new(tree).with_page(2).with_read_max(200)
}

/// The same world once more, in which calls take their time and a file cannot be read.
fn forked(from: &World) -> World {
    let source = source(from.source.snapshot());
    let mut world = World::of(source, from.destination.fork());
    world.spec = from.spec.clone();
    world.settings.memory_target_bytes = from.settings.memory_target_bytes;
    copy_files(
        &from.state.path().join("history"),
        &world.state.path().join("history"),
    );
    let refuse = Action::Fail(ErrorKind::PermissionDenied);
    world.at_source(Fault::new(Operation::Read, refuse).at("/unreadable"));
    for operation in [Operation::ReadDir, Operation::Read, Operation::Lookup] {
        world.at_source(delay(operation, 7));
    }
    for operation in [
        Operation::Stat,
        Operation::Put,
        Operation::CreateUpload,
        Operation::UploadPart,
        Operation::CompleteUpload,
        Operation::SetMetadata,
        Operation::Delete,
    ] {
        world.at_destination(delay(operation, 31));
    }
    world
}

pub(crate) fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn delay(operation: Operation, ms: u64) -> Fault {
    Fault::new(operation, Action::Delay(Duration::from_millis(ms)))
}

/// What has to be the same however often the run was interrupted.
#[derive(Debug, Clone, PartialEq)]
struct Fixed {
    /// Size, checksum and metadata.
    objects: BTreeMap<Key, (usize, Crc64, PosixMetadata)>,
    uploads: Vec<Key>,
    code: Option<ErrorCode>,
    failed: Vec<String>,
    counted: [u64; 5],
    /// Planned and done; unless deletes may have been done that the journal does not know of.
    deletes: Option<(u64, u64)>,
}

fn fixed(world: &World, run: &Run) -> Fixed {
    let objects = world.destination.snapshot().into_iter();
    let of_failed = |line: &String| line.contains(" failed ") || line.contains(" mismatched ");
    let c: Counters = run.report.counters;
    Fixed {
        objects: objects
            .map(|(key, stored)| {
                let atime = None;
                let metadata = stored.metadata;
                let metadata = PosixMetadata { atime, ..metadata };
                let content = stored.content;
                (key, (content.len(), Crc64::of(&content), metadata))
            })
            .collect(),
        uploads: world.destination.open_upload_keys(),
        code: run.code(),
        failed: run.failures().into_iter().filter(of_failed).collect(),
        counted: [
            c.discovered,
            c.transferred + c.unchanged + c.skipped,
            c.failed,
            c.mismatched,
            c.directories_discovered,
        ],
        deletes: Some((c.to_delete, c.deleted)),
    }
}

/// Of the objects, only those are shown that differ.
fn assert_same(mut found: Fixed, wanted: &Fixed, when: &str) {
    let mut wanted = wanted.clone();
    let same = |key: &Key| found.objects.get(key) == wanted.objects.get(key);
    let same: Vec<Key> = wanted
        .objects
        .keys()
        .filter(|key| same(key))
        .cloned()
        .collect();
    for key in &same {
        found.objects.remove(key);
        wanted.objects.remove(key);
    }
    assert_eq!(found, wanted, "{when}");
}

/// Runs until the journal has `records` records, and is killed.
async fn kill_at(world: &World, directory: &Path, records: usize) {
    let (controls, _handles) = world.controls();
    let reached = async {
        while journal_kinds(directory).len() < records {
            sleep(Duration::from_millis(3)).await;
        }
    };
    let running = world.run_in(directory, controls);
    tokio::select! {
        biased;
        () = reached => {}
        _ = running => {}
    }
}

async fn sweep(variant: Variant) {
    let start = changed_world(variant).await;
    let end = forked(&start);
    let reference = end.run().await;
    let wanted = fixed(&end, &reference);
    assert_eq!(wanted.failed.len(), 1, "{:?}", wanted.failed);
    assert_eq!(wanted.uploads, []);
    let kinds = journal_kinds(&reference.directory);
    let end_of_item = if variant.reports { "t" } else { "f" };
    for kind in ["h", end_of_item, "i", "u", "k", "x", "g"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind} {kinds:?}");
    }
    for records in 1..kinds.len() {
        let world = forked(&start);
        let directory = world.directory();
        kill_at(&world, &directory, records).await;
        let resumed = world.resume(directory).await;
        let found = fixed(&world, &resumed);
        let when = format!("killed at {records}");
        assert_same(found, &wanted, &when);
        if variant.reports {
            assert_told(&resumed, &when).await;
            // Killed once more when all was done: what is signed does not change.
            let anew = variant.verify == VerifyMode::PointInTimeConsistent;
            let told = roots(&resumed, anew).await;
            let again = world.resume(resumed.directory).await;
            assert_eq!(roots(&again, anew).await, told, "{when}");
        }

        let world = forked(&end);
        let directory = world.directory();
        copy_files(&reference.directory, &directory);
        cut_journal(&directory, records);
        let resumed = world.resume(directory).await;
        let deletes = wanted.deletes;
        let found = fixed(&world, &resumed);
        let when = format!("cut at {records}");
        assert_same(Fixed { deletes, ..found }, &wanted, &when);
        if variant.reports {
            assert_told(&resumed, &when).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_verifies_everything() {
    sweep(PLAIN).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_verifies_what_it_transfers() {
    sweep(Variant {
        verify: VerifyMode::OnlyFilesTransferred,
        integrity: Integrity::Md5,
        ..PLAIN
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_proven_by_sha256() {
    sweep(Variant {
        integrity: SHA256,
        reports: true,
        ..PLAIN
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_reports_what_it_transfers() {
    sweep(Variant {
        verify: VerifyMode::OnlyFilesTransferred,
        reports: true,
        ..PLAIN
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_reports_and_verifies_everything() {
    sweep(Variant {
        reports: true,
        ..PLAIN
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_verifies_nothing_at_a_store_that_proves_nothing() {
    sweep(Variant {
        verify: VerifyMode::None,
        integrity: Integrity::ReadBack,
        ..PLAIN
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_overwrites_nothing() {
    sweep(Variant {
        verify: VerifyMode::OnlyFilesTransferred,
        overwrite: OverwriteMode::Never,
        ..PLAIN
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_writes_everything_and_reads_parts_while_they_are_sent() {
    sweep(Variant {
        verify: VerifyMode::None,
        transfer: TransferMode::All,
        streams: true,
        ..PLAIN
    })
    .await;
}
