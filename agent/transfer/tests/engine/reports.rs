//! What a report tells of each item, also where the run was interrupted.

use std::collections::BTreeSet;
use std::path::Path;

use datasync_endpoint::EntryKind;
use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_endpoint::{Algorithm, Checksum, ErrorKind, Integrity, ObjectChecksum};
use datasync_model::{
    Digest, ErrorCode, Location, ObjectTree, ObjectVersionIds, PreserveDeletedFiles, ReportKind,
    ReportLevel, ReportOutputType, TaskMode, TaskReport, TransferMode, VerifyMode,
};
use datasync_transfer::ReportEntries;
use serde_json::Value;

use crate::world::{KIB, Run, SHA256, World, store};

/// A report of everything that the executions of a world do.
pub(crate) fn ask_for_all(world: &mut World) {
    let Location::S3(store) = world.spec.destination.clone() else {
        panic!("the world writes to S3");
    };
    let all = ReportLevel::SuccessesAndErrors;
    world.spec.extensions.report = Some(TaskReport {
        store,
        role_arn: "arn:aws:iam::123456789012:role/report".to_owned(),
        prefix: "reports/".to_owned(),
        output: ReportOutputType::Standard,
        transferred: all,
        verified: all,
        skipped: all,
        deleted: all,
        version_ids: ObjectVersionIds::Include,
    });
}

async fn entries(directory: &Path, kind: ReportKind) -> Vec<Value> {
    let mut entries = ReportEntries::of(directory, kind);
    let mut found = Vec::new();
    while let Some(json) = entries.next().await.unwrap() {
        found.push(serde_json::from_slice(&json).unwrap());
    }
    found
}

fn text<'a>(entry: &'a Value, member: &str) -> &'a str {
    entry[member].as_str().unwrap_or_default()
}

async fn paths(run: &Run, kind: ReportKind) -> Vec<String> {
    let entries = entries(&run.directory, kind).await;
    let mut paths: Vec<_> = entries
        .iter()
        .map(|entry| text(entry, "RelativePath").to_owned())
        .collect();
    paths.sort();
    paths
}

/// The report tells each item once, and as many as were counted.
pub(crate) async fn assert_told(run: &Run, when: &str) {
    let c = run.report.counters;
    for (kind, word, done, failed) in [
        (
            ReportKind::Transferred,
            "Transfer",
            c.transferred,
            c.failed - c.delete_failed,
        ),
        (ReportKind::Verified, "Verify", c.verified, c.mismatched),
        (ReportKind::Skipped, "Skip", c.skipped, 0),
        (ReportKind::Deleted, "Delete", c.deleted, c.delete_failed),
    ] {
        let entries = entries(&run.directory, kind).await;
        let of = |status: &str| {
            let member = format!("{word}Status");
            let found = entries
                .iter()
                .filter(|entry| text(entry, &member) == status);
            found.count() as u64
        };
        let counted = (of("SUCCESS"), of("FAILED"));
        assert_eq!(counted, (done, failed), "{when}: {kind}: {entries:#?}");
        let unique: BTreeSet<_> = entries.iter().map(|e| text(e, "RelativePath")).collect();
        assert_eq!(unique.len(), entries.len(), "{when}: {kind}: {entries:#?}");
    }
}

/// The root over the entries of each kind that a restart of the engine does not make anew, as it does
/// those of an end check.
pub(crate) async fn roots(run: &Run, is_checked_anew: bool) -> Vec<Digest> {
    let mut roots = Vec::new();
    let is_kept = |kind: &&ReportKind| !is_checked_anew || **kind != ReportKind::Verified;
    for kind in ReportKind::ALL.iter().filter(is_kept) {
        let mut entries = ReportEntries::of(&run.directory, *kind);
        let mut tree = ObjectTree::default();
        while let Some(json) = entries.next().await.unwrap() {
            tree.push(&json);
        }
        roots.push(tree.named("").root);
    }
    roots
}

fn tree() -> Tree {
    let mut tree = Tree::new()
        .file("a", "1")
        .file("d/b", "22")
        .symlink("l", "a");
    tree.add("p", EntryKind::Fifo, "");
    tree
}

fn world(integrity: Integrity) -> World {
    let mut world = World::of(MemorySource::new(tree()), store(integrity));
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    ask_for_all(&mut world);
    world
}

#[tokio::test(start_paused = true)]
async fn what_was_transferred_skipped_and_verified_is_told() {
    let world = world(Integrity::Crc64);
    let run = world.run_well().await;
    assert_told(&run, "first").await;
    let transferred = paths(&run, ReportKind::Transferred).await;
    assert_eq!(transferred, ["/", "/a", "/d", "/d/b", "/l"]);
    assert_eq!(paths(&run, ReportKind::Skipped).await, ["/p"]);
    let entries = entries(&run.directory, ReportKind::Transferred).await;
    let of = |path: &str| {
        let mut entries = entries.iter();
        entries
            .find(|entry| text(entry, "RelativePath") == path)
            .unwrap()
    };
    let b = of("/d/b");
    assert_eq!(b["SrcMetadata"]["ContentSize"], 2);
    assert_eq!(b["TransferType"], "CONTENT_AND_METADATA");
    assert_eq!(b["Overwrite"], "False");
    assert_eq!(text(b, "SrcHash").len(), 16);
    assert_eq!(b["SrcHash"], b["DstHash"]);
    assert_eq!(b["HashAlgorithm"], "CRC64NVME");
    assert!(text(b, "TransferTimestamp").ends_with('Z'), "{b}");
    let run = world.run_well().await;
    assert_eq!(paths(&run, ReportKind::Transferred).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_checksum_of_both_sides_is_told_only_where_the_store_told_one() {
    for (integrity, told) in [
        (Integrity::Crc64, true),
        (SHA256, true),
        (Integrity::ReadBack, true),
        (Integrity::Md5, false),
    ] {
        let run = world(integrity).run_well().await;
        for entry in entries(&run.directory, ReportKind::Verified).await {
            assert_eq!(entry["DstHash"].is_string(), told, "{integrity:?} {entry}");
            assert_eq!(entry["SrcHash"], entry["DstHash"]);
        }
        for entry in entries(&run.directory, ReportKind::Transferred).await {
            assert!(entry["SrcHash"].is_string(), "{integrity:?} {entry}");
            assert_eq!(entry["DstHash"].is_string(), told, "{integrity:?} {entry}");
        }
    }
}

/// By the receipt, by the end check, and by what an earlier one proved.
#[tokio::test(start_paused = true)]
async fn the_checksum_that_was_compared_is_told_with_its_algorithm() {
    let large = vec![7; 3 * KIB as usize];
    let tree = tree().file("large", large.clone());
    for mode in [
        VerifyMode::OnlyFilesTransferred,
        VerifyMode::PointInTimeConsistent,
    ] {
        let mut world = World::of(MemorySource::new(tree.clone()), store(SHA256));
        world.options().verify_mode = mode;
        ask_for_all(&mut world);
        let run = world.run_well().await;
        let entries = entries(&run.directory, ReportKind::Verified).await;
        let of_parts = [Checksum::of(Algorithm::Sha256, &large)];
        let of_parts = ObjectChecksum::of_parts(of_parts).unwrap();
        let of_whole = ObjectChecksum::whole(Checksum::of(Algorithm::Sha256, b"1"));
        for (path, hash) in [("/a", of_whole), ("/large", of_parts)] {
            let entry = entries
                .iter()
                .find(|entry| text(entry, "RelativePath") == path)
                .unwrap();
            assert_eq!(entry["HashAlgorithm"], "SHA256", "{mode} {entry}");
            assert_eq!(entry["SrcHash"], hash.to_string(), "{mode} {entry}");
            assert_eq!(entry["DstHash"], hash.to_string(), "{mode} {entry}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn names_of_members_follow_the_task_mode() {
    let mut world = world(Integrity::Crc64);
    world.spec.task_mode = TaskMode::Enhanced;
    let run = world.run_well().await;
    for entry in entries(&run.directory, ReportKind::Verified).await {
        assert!(entry["SourceMetadata"].is_object(), "{entry}");
        assert!(entry["DestinationMetadata"].is_object(), "{entry}");
        assert!(entry["SrcMetadata"].is_null(), "{entry}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_knows_what_is_overwritten_where_nothing_is_listed() {
    let mut world = world(Integrity::Crc64);
    world.options().transfer_mode = TransferMode::All;
    let run = world.run_well().await;
    for entry in entries(&run.directory, ReportKind::Transferred).await {
        assert!(entry["Overwrite"].is_null(), "{entry}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_errors_are_kept_where_only_errors_are_asked_for() {
    let mut world = world(Integrity::Crc64);
    let report = world.spec.extensions.report.as_mut().unwrap();
    for level in [
        &mut report.transferred,
        &mut report.verified,
        &mut report.skipped,
        &mut report.deleted,
    ] {
        *level = ReportLevel::ErrorsOnly;
    }
    let refuse = Action::Fail(ErrorKind::PermissionDenied);
    world.at_source(Fault::new(Operation::Read, refuse).at("/d/b"));
    let run = world.run().await;
    let transferred = entries(&run.directory, ReportKind::Transferred).await;
    assert_eq!(transferred.len(), 1);
    assert_eq!(transferred[0]["TransferStatus"], "FAILED");
    assert_eq!(transferred[0]["ErrorCode"], "SourcePermissionDenied");
    assert_eq!(transferred[0]["SrcMetadata"]["ContentSize"], 2);
    for kind in [
        ReportKind::Verified,
        ReportKind::Skipped,
        ReportKind::Deleted,
    ] {
        assert_eq!(entries(&run.directory, kind).await, [Value::Null; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_is_told_and_what_could_not_be() {
    let mut world = world(Integrity::Crc64);
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world.run_well().await;
    world.source.edit(|tree| {
        tree.remove("a");
        tree.remove("d/b");
        tree.add("new", EntryKind::File, "new");
    });
    let refuse = Action::Fail(ErrorKind::PermissionDenied);
    world.at_destination(Fault::new(Operation::Delete, refuse).at("a"));
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    assert_told(&run, "deletes").await;
    let deleted = entries(&run.directory, ReportKind::Deleted).await;
    let status = |path: &str| {
        let mut entries = deleted.iter();
        let entry = entries.find(|entry| text(entry, "RelativePath") == path);
        text(entry.unwrap(), "DeleteStatus").to_owned()
    };
    assert_eq!(
        (status("/a").as_str(), status("/d/b").as_str()),
        ("FAILED", "SUCCESS")
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_check_tells_what_differs() {
    let mut world = World::of(MemorySource::new(tree()), MemoryDestination::new());
    world.options().verify_mode = VerifyMode::PointInTimeConsistent;
    ask_for_all(&mut world);
    let run = world.run_well().await;
    assert_told(&run, "verified").await;
    let verified = entries(&run.directory, ReportKind::Verified).await;
    assert_eq!(verified.len() as u64, run.report.counters.verified);
    assert!(
        verified.iter().all(|entry| entry["DstHash"].is_string()),
        "{verified:#?}"
    );
    // Proven before: told again, from memory.
    let run = world.run_well().await;
    assert_told(&run, "proven").await;
    let proven = entries(&run.directory, ReportKind::Verified).await;
    assert!(
        proven.iter().all(|entry| entry["DstHash"].is_string()),
        "{proven:#?}"
    );
}
