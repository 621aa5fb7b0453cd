//! Executions with hard links that are killed: as in [`crate::sweep`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::EntryKind;
use datasync_endpoint::memory::{Action, Fault, MemorySource, Operation, Tree};
use datasync_model::{OverwriteMode, PreserveDeletedFiles, TransferMode, VerifyMode};
use tokio::time::sleep;

use super::trees::{Trees, link};
use super::{break_link, source};
use crate::sweep::copy_files;
use crate::world::{KIB, Run, bytes, cut_journal, journal_kinds};

fn change(tree: &mut Tree) {
    tree.write("d/one", "another second file");
    link(tree, "a", "d/new");
    tree.set("e/x", |now| now.mode = 0o600);
    break_link(tree, "b");
    tree.remove("single");
    tree.add("large", EntryKind::File, bytes(3, 2 * KIB + 7));
    link(tree, "large", "d/large");
    link(tree, "large", "y/large");
}

/// Two file systems after a first run, with everything changed since then.
async fn changed(overwrite: OverwriteMode, transfer: TransferMode) -> Trees {
    let mut trees = Trees::new(source());
    trees.run_well().await;
    trees.world.source.edit(change);
    let options = trees.world.options();
    options.verify_mode = VerifyMode::OnlyFilesTransferred;
    options.overwrite_mode = overwrite;
    options.transfer_mode = transfer;
    if transfer == TransferMode::Changed {
        options.preserve_deleted_files = PreserveDeletedFiles::Remove;
    }
    trees
}

/// The same once more, in which calls take their time.
fn forked(from: &Trees) -> Trees {
    let source = MemorySource::new(from.world.source.snapshot());
    let mut trees = Trees::new(Tree::new());
    trees.world.source = Arc::new(source.with_page(2).with_read_max(200));
    trees.destination = Arc::new(from.destination.fork());
    trees.world.spec = from.world.spec.clone();
    let history = |trees: &Trees| trees.world.state.path().join("history");
    copy_files(&history(from), &history(&trees));
    for operation in [Operation::ReadDir, Operation::Read, Operation::Lookup] {
        trees.at_source(delay(operation, 7));
    }
    for operation in [
        Operation::Stat,
        Operation::Put,
        Operation::Link,
        Operation::CreateUpload,
        Operation::UploadPart,
        Operation::CompleteUpload,
        Operation::SetMetadata,
        Operation::Delete,
    ] {
        trees.at_destination(delay(operation, 31));
    }
    trees
}

fn delay(operation: Operation, ms: u64) -> Fault {
    Fault::new(operation, Action::Delay(Duration::from_millis(ms)))
}

async fn kill_at(trees: &Trees, directory: &Path, records: usize) {
    let (controls, _handles) = trees.world.controls();
    let reached = async {
        while journal_kinds(directory).len() < records {
            sleep(Duration::from_millis(3)).await;
        }
    };
    tokio::select! {
        biased;
        () = reached => {}
        _ = trees.run_in(directory, controls) => {}
    }
}

/// What has to be the same however often the run was interrupted.
fn assert_same(trees: &Trees, run: &Run, wanted: (&Trees, &Run), when: &str) {
    let (other, reference) = wanted;
    let (found, wanted) = (
        trees.destination.files().snapshot(),
        other.destination.files().snapshot(),
    );
    assert_eq!(trees.seen(&found), other.seen(&wanted), "{when}");
    assert_eq!(trees.files(&found), other.files(&wanted), "{when}");
    assert_eq!(trees.destination.open_upload_keys(), [], "{when}");
    assert_eq!(
        run.report.result.failure,
        None,
        "{when}: {:?}",
        run.failures()
    );
    let counted = |run: &Run| {
        let counters = run.report.counters;
        let done = counters.transferred + counters.unchanged + counters.skipped;
        (counters.discovered, done, counters.failed)
    };
    assert_eq!(counted(run), counted(reference), "{when}");
}

async fn sweep(overwrite: OverwriteMode, transfer: TransferMode) {
    let start = changed(overwrite, transfer).await;
    let end = forked(&start);
    let reference = end.run().await;
    assert_eq!(reference.report.result.failure, None);
    if overwrite == OverwriteMode::Always {
        if transfer == TransferMode::Changed {
            end.assert_exact();
        }
        let wanted = end.files(&end.world.source.snapshot());
        let found = end.files(&end.destination.files().snapshot());
        assert!(found.is_superset(&wanted), "{found:?} {wanted:?}");
    }
    let kinds = journal_kinds(&reference.directory);
    assert!(kinds.iter().any(|kind| kind == "m"), "{kinds:?}");
    for records in 1..kinds.len() {
        let trees = forked(&start);
        let directory = trees.world.directory();
        kill_at(&trees, &directory, records).await;
        let resumed = trees.resume(directory).await;
        let when = format!("killed at {records}");
        assert_same(&trees, &resumed, (&end, &reference), &when);

        let trees = forked(&end);
        let directory = trees.world.directory();
        copy_files(&reference.directory, &directory);
        cut_journal(&directory, records);
        let resumed = trees.resume(directory).await;
        let when = format!("cut at {records}");
        assert_same(&trees, &resumed, (&end, &reference), &when);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_gives_names_and_deletes() {
    sweep(OverwriteMode::Always, TransferMode::Changed).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_overwrites_no_name() {
    sweep(OverwriteMode::Never, TransferMode::Changed).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_writes_everything_anew() {
    sweep(OverwriteMode::Always, TransferMode::All).await;
}
