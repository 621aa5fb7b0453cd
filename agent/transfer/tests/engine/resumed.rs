//! What may have become of the source, and of the journal, while no process was there.

use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_endpoint::{EntryKind, ErrorKind};
use datasync_model::{ErrorCode, PreserveDeletedFiles, VerifyMode};

use crate::world::{World, cut_journal};

type Change = fn(&mut Tree);

/// Stopped while `d/file` was on its way.
async fn stopped() -> (World, std::path::PathBuf) {
    let tree = Tree::new().file("d/file", "1").file("other", "2");
    let mut world = World::new(tree);
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    world.at_destination(Fault::new(Operation::Put, Action::Hang).at("d/file"));
    let directory = world.stop_half_way().await;
    (world, directory)
}

#[tokio::test(start_paused = true)]
async fn an_item_in_flight_that_is_gone_or_of_another_kind_is_named() {
    let changes: [(Change, &str); 5] = [
        (|tree| tree.remove("d/file"), "failed SourceVanished"),
        (|tree| tree.remove("d"), "failed SourceVanished"),
        (
            |tree| {
                tree.remove("d/file");
                tree.add_dir("d/file");
            },
            "failed SourceVanished",
        ),
        (
            |tree| {
                tree.remove("d");
                tree.add("d", EntryKind::File, "no directory");
            },
            "failed SourceVanished",
        ),
        (
            |tree| tree.add("d/file", EntryKind::Fifo, ""),
            "skipped NotSupported",
        ),
    ];
    for (change, outcome) in changes {
        let (world, directory) = stopped().await;
        world.source.edit(change);
        let run = world.resume(directory).await;
        assert_eq!(run.failures(), [format!("/d/file {outcome}")]);
        assert_eq!(world.object("d/file"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_in_flight_whose_directory_cannot_be_read_is_named() {
    let (world, directory) = stopped().await;
    let refuse = Action::Fail(ErrorKind::PermissionDenied);
    world.at_source(Fault::new(Operation::Lookup, refuse).at("/d"));
    let run = world.resume(directory).await;
    assert_eq!(run.failures(), ["/d/file failed SourcePermissionDenied"]);
}

#[tokio::test(start_paused = true)]
async fn an_item_in_flight_that_became_a_link_or_a_larger_file_is_copied_as_it_is() {
    let changes: [Change; 2] = [
        |tree| tree.add("d/file", EntryKind::Symlink, "../other"),
        |tree| tree.write("d/file", vec![1; 9 << 20]),
    ];
    for change in changes {
        let (world, directory) = stopped().await;
        world.source.edit(change);
        let run = world.resume(directory).await;
        assert_eq!(run.code(), None, "{}", run.detail());
        let found = world.object("d/file").unwrap();
        let wanted = world.source.snapshot();
        assert_eq!(found.content, wanted.get("d/file").unwrap().content);
    }
}

/// The second run of a task that deletes, stopped after the first page of its listing.
async fn stopped_in_the_listing() -> (World, std::path::PathBuf) {
    let mut tree = Tree::new();
    for number in 10..40 {
        tree.add(format!("f{number}"), EntryKind::File, "x");
    }
    let destination = MemoryDestination::new().with_page(5);
    let mut world = World::of(MemorySource::new(tree), destination);
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world.options().verify_mode = VerifyMode::None;
    world.run_well().await;
    world.settings.history_file = None;
    world.at_destination(Fault::new(Operation::List, Action::Hang).after(1));
    let directory = world.stop_half_way().await;
    (world, directory)
}

#[tokio::test(start_paused = true)]
async fn a_source_that_was_emptied_meanwhile_deletes_nothing() {
    let (world, directory) = stopped_in_the_listing().await;
    let before = world.destination.snapshot();
    world.source.edit(Tree::clear);
    let run = world.resume(directory).await;
    assert_eq!(run.code(), Some(ErrorCode::DeletesWithheld));
    assert!(run.detail().contains("empty"), "{}", run.detail());
    assert_eq!(world.destination.snapshot(), before);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_was_replaced_meanwhile_deletes_nothing() {
    let (world, directory) = stopped_in_the_listing().await;
    world.source.edit(|tree| {
        tree.replace_root();
        tree.remove("f30");
    });
    let run = world.resume(directory).await;
    assert_eq!(run.code(), Some(ErrorCode::DeletesWithheld));
    assert!(run.detail().contains("root"), "{}", run.detail());
    assert!(world.object("f30").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_has_nothing_new_behind_the_stop_still_deletes() {
    let (world, directory) = stopped_in_the_listing().await;
    world.source.edit(|tree| {
        for number in 15..40 {
            tree.remove(format!("f{number}"));
        }
    });
    let run = world.resume(directory).await;
    assert_eq!(run.code(), None, "{}", run.detail());
    assert_eq!(run.report.counters.deleted, 25);
}

/// A directory that cannot be read, an entry without attributes, a file that cannot be read: with
/// a journal of any length, each is counted and named once.
#[tokio::test(start_paused = true)]
async fn what_failed_before_a_power_cut_is_counted_and_named_once() {
    for records in 1..40 {
        let tree = Tree::new()
            .file("a-file", "1")
            .file("b-directory/x", "2")
            .file("c-entry", "3")
            .file("d/e", "4");
        let mut world = World::new(tree);
        world.options().verify_mode = VerifyMode::None;
        let break_source = || {
            for (operation, at) in [
                (Operation::Read, "/a-file"),
                (Operation::ReadDir, "/b-directory"),
                (Operation::Entry, "/c-entry"),
            ] {
                let refuse = Action::Fail(ErrorKind::PermissionDenied);
                world.at_source(Fault::new(operation, refuse).at(at));
            }
        };
        break_source();
        world.at_destination(Fault::new(Operation::Put, Action::Hang).at("d/e"));
        let directory = world.stop_half_way().await;
        break_source();
        cut_journal(&directory, records);
        let run = world.resume(directory).await;
        let failed = ["/a-file", "/b-directory", "/c-entry"]
            .map(|path| format!("{path} failed SourcePermissionDenied"));
        assert_eq!(run.failures(), failed, "{records}");
        assert_eq!(run.report.counters.failed, 3, "{records}");
        assert_eq!(run.code(), Some(ErrorCode::ItemsFailed), "{records}");
        assert!(world.object("d/e").is_some());
    }
}
