//! `PreserveDeletedFiles=REMOVE` and everything that holds deletes back.

use std::num::NonZeroU64;
use std::time::Duration;

use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_endpoint::{EntryKind, ErrorKind, Key};
use datasync_model::{ErrorCode, Excludes, Includes, PreserveDeletedFiles, VerifyMode};

use datasync_model::DeleteShareMax;
use tokio::time::Instant;

use crate::world::World;

fn removing(tree: Tree) -> World {
    let mut world = World::of(
        MemorySource::new(tree),
        MemoryDestination::new().with_page(3),
    );
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world
}

fn tree() -> Tree {
    Tree::new()
        .file("a", "1")
        .file("d/b", "2")
        .file("d/e/c", "3")
        .file("gone", "4")
        .file("z", "5")
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_deleted_and_only_that() {
    let world = removing(tree());
    world.run_well().await;
    world.source.edit(|tree| {
        tree.remove("gone");
        tree.remove("d/e");
    });
    let run = world.run_well().await;
    assert_eq!(
        (run.report.counters.to_delete, run.report.counters.deleted),
        (3, 3)
    );
    let keys: Vec<_> = world.destination.snapshot().into_keys().collect();
    let keys: Vec<_> = keys.iter().map(Key::as_str).collect();
    assert_eq!(keys, ["", "a", "d/", "d/b", "z"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_of_a_directory_that_is_no_item_is_deleted() {
    let world = removing(tree());
    world.run_well().await;
    let objects = world.destination.snapshot();
    let mut world = World::of(
        MemorySource::new(tree()).with_bare_directories(),
        MemoryDestination::new(),
    );
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world.destination.edit(|stored| *stored = objects);
    let run = world.run().await;
    assert_eq!(run.report.result.failure, None);
    assert_eq!(run.report.counters.deleted, 2);
    let keys: Vec<_> = world.destination.snapshot().into_keys().collect();
    let keys: Vec<_> = keys.iter().map(Key::as_str).collect();
    assert_eq!(keys, ["", "a", "d/b", "d/e/c", "gone", "z"]);
}

/// The parts that ENHANCED mode shows as folders.
#[tokio::test(start_paused = true)]
async fn directories_are_counted_apart_too() {
    let world = removing(tree());
    let first = world.run_well().await.report.counters;
    assert_eq!((first.transferred, first.directories_transferred), (8, 3));
    assert_eq!(first.directories_discovered, 3);
    assert_eq!((first.verified, first.directories_verified), (8, 3));
    world.source.edit(|tree| {
        tree.remove("gone");
        tree.remove("d/e");
    });
    let second = world.run_well().await.report.counters;
    assert_eq!((second.directories_to_delete, second.to_delete), (1, 3));
    assert_eq!((second.directories_deleted, second.deleted), (1, 3));
    let fault = Fault::new(
        Operation::ReadDir,
        Action::Fail(ErrorKind::PermissionDenied),
    );
    world.at_source(fault.at("/d"));
    world.source.edit(|tree| tree.remove("z"));
    let fault = Fault::new(Operation::Delete, Action::Fail(ErrorKind::PermissionDenied));
    world.at_destination(fault.at("z"));
    let third = world.run().await.report.counters;
    assert_eq!((third.failed, third.directories_failed), (2, 1));
    assert_eq!((third.directories_unlisted, third.delete_failed), (1, 1));
    assert_eq!(third.directories_delete_failed, 0);
}

#[tokio::test(start_paused = true)]
async fn without_remove_nothing_is_deleted() {
    let mut world = removing(tree());
    world.run_well().await;
    world.options().preserve_deleted_files = PreserveDeletedFiles::Preserve;
    world.source.edit(|tree| tree.remove("gone"));
    let run = world.run().await;
    assert_eq!(run.code(), None);
    assert!(world.object("gone").is_some());
    assert_eq!(world.destination.script().count(Operation::Delete), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_below_an_unreadable_directory_is_deleted() {
    for kind in [ErrorKind::PermissionDenied, ErrorKind::ServerFault] {
        let world = removing(tree());
        world.run_well().await;
        world.source.edit(|tree| {
            tree.remove("gone");
            tree.remove("d/b");
        });
        world.at_source(Fault::new(Operation::ReadDir, Action::Fail(kind)).at("/d"));
        let run = world.run().await;
        assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
        assert!(run.detail().contains("/d ("), "{}", run.detail());
        assert!(world.object("gone").is_none());
        for key in ["d/", "d/b", "d/e/", "d/e/c"] {
            assert!(world.object(key).is_some(), "{key} was deleted");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_breaks_off_half_way_loses_nothing() {
    let mut wide = Tree::new().file("gone", "1");
    for number in 0..20 {
        wide.add(format!("d/{number}"), EntryKind::File, "x");
    }
    let source = MemorySource::new(wide).with_page(6);
    let mut world = World::of(source, MemoryDestination::new());
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world.run_well().await;
    let before = world.destination.snapshot().len();
    let fault = Fault::new(
        Operation::ReadDir,
        Action::Fail(ErrorKind::PermissionDenied),
    );
    world.at_source(fault.at("/d").after(2));
    world.source.edit(|tree| tree.remove("gone"));
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    assert_eq!(world.destination.snapshot().len(), before - 1);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_root_deletes_nothing() {
    let world = removing(tree());
    world.run_well().await;
    let before = world.destination.snapshot();
    let fault = Fault::new(
        Operation::ReadDir,
        Action::Fail(ErrorKind::PermissionDenied),
    );
    world.at_source(fault.at("/"));
    let run = world.run().await;
    assert!(run.code().is_some());
    assert_eq!(world.destination.snapshot(), before);
}

#[tokio::test(start_paused = true)]
async fn an_entry_without_attributes_keeps_its_object_and_what_is_below() {
    let world = removing(tree());
    world.run_well().await;
    let fault = Fault::new(Operation::Entry, Action::Fail(ErrorKind::ServerFault));
    world.at_source(fault.when(|path| path == "/d" || path == "/z"));
    world.source.edit(|tree| tree.remove("gone"));
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    let lines = ["/d", "/z"].map(|path| format!("{path} failed SourceFault"));
    assert_eq!(run.failures(), lines);
    for key in ["d/", "d/b", "d/e/c", "z"] {
        assert!(world.object(key).is_some(), "{key} was deleted");
    }
    assert!(world.object("gone").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_emptied_source_deletes_nothing() {
    let world = removing(tree());
    world.run_well().await;
    let before: Vec<_> = world.destination.snapshot().into_keys().collect();
    world.source.edit(Tree::clear);
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::DeletesWithheld));
    assert!(run.detail().contains("empty"), "{}", run.detail());
    assert_eq!(
        world.destination.snapshot().into_keys().collect::<Vec<_>>(),
        before
    );
    assert_eq!(run.report.counters.deleted, 0);
}

#[tokio::test(start_paused = true)]
async fn another_root_deletes_nothing() {
    let world = removing(tree());
    world.run_well().await;
    world.source.edit(|tree| {
        tree.replace_root();
        tree.remove("gone");
    });
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::DeletesWithheld));
    assert!(run.detail().contains("root"), "{}", run.detail());
    assert!(world.object("gone").is_some());
}

#[tokio::test(start_paused = true)]
async fn too_large_a_share_is_withheld() {
    let mut many = Tree::new();
    for number in 0..2_100 {
        many.add(format!("f{number:04}"), EntryKind::File, "");
    }
    let mut world = World::new(many);
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world.options().verify_mode = VerifyMode::None;
    world.run_well().await;
    let remove = |from: u32, to: u32| {
        world.source.edit(|tree| {
            for number in from..to {
                tree.remove(format!("f{number:04}"));
            }
        });
    };
    remove(0, 1_000);
    assert_eq!(world.run_well().await.report.counters.deleted, 1_000);
    remove(1_000, 1_500);
    assert_eq!(world.run_well().await.report.counters.deleted, 500);
    world.source.edit(|tree| {
        for number in 0..2_000 {
            tree.add(format!("g{number:04}"), EntryKind::File, "");
        }
    });
    world.run_well().await;
    world.source.edit(|tree| {
        for number in 0..1_500 {
            tree.remove(format!("g{number:04}"));
        }
    });
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::DeletesWithheld));
    assert!(run.detail().contains("50 %"), "{}", run.detail());
    assert_eq!(run.report.counters.deleted, 0);
    world.spec.extensions.delete_share_max = "57".parse().unwrap();
    let run = world.run().await;
    assert!(run.detail().contains("57 %"), "{}", run.detail());
    world.spec.extensions.delete_share_max = "58".parse().unwrap();
    assert_eq!(world.run_well().await.report.counters.deleted, 1_500);
}

#[tokio::test(start_paused = true)]
async fn objects_outside_the_filters_are_never_deleted() {
    let mut world = removing(tree().file("x/y", "6"));
    world.run_well().await;
    let before = world.destination.snapshot();
    world.source.script().forget_calls();
    world.spec.excludes = Excludes::parse("/d/e|/gone").unwrap();
    world.spec.includes = Includes::parse("/a|/d|/gone").unwrap();
    world.source.edit(|tree| {
        tree.remove("d");
        tree.remove("gone");
        tree.remove("x");
    });
    world.run().await;
    let kept: Vec<_> = world.destination.snapshot().into_keys().collect();
    let gone: Vec<_> = before.keys().filter(|key| !kept.contains(key)).collect();
    let gone: Vec<_> = gone.into_iter().map(Key::as_str).collect();
    assert_eq!(gone, ["d/", "d/b"]);
    for call in world.source.script().calls() {
        assert!(!call.target.starts_with("/d/e/"), "{call:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_of_no_path_are_left_alone() {
    let world = removing(tree());
    world.run_well().await;
    let strange = ["d//b", "x/../y", "./a", "/a", "a\u{10f7c3}\u{10f7a9}"];
    world.destination.edit(|objects| {
        let copy = objects[&Key::from_listing("a".to_owned())].clone();
        for key in strange {
            objects.insert(Key::from_listing(key.to_owned()), copy.clone());
        }
    });
    let run = world.run().await;
    assert_eq!(run.code(), None, "{}", run.detail());
    for key in strange {
        assert!(world.object(key).is_some(), "{key:?} was deleted");
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_the_listing_skipped_is_looked_up_before_its_object_goes() {
    let world = removing(tree());
    world.run_well().await;
    // Away while the directory is read, back before the deletes.
    world.source.edit(|tree| tree.remove("gone"));
    let back = Action::change(|tree| tree.add("gone", EntryKind::File, "back"));
    world.at_source(Fault::new(Operation::ReadDir, back).at("/d/e").times(1));
    let mut before_verification = world;
    before_verification.options().verify_mode = VerifyMode::None;
    let run = before_verification.run().await;
    assert_eq!(run.code(), None, "{}", run.detail());
    assert!(before_verification.object("gone").is_some());
    assert_eq!(run.report.counters.deleted, 0);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_replaced_meanwhile_is_not_deleted() {
    let world = removing(tree());
    world.run_well().await;
    world.source.edit(|tree| tree.remove("gone"));
    let fault = Fault::new(Operation::Delete, Action::Fail(ErrorKind::Precondition)).at("gone");
    world.at_destination(fault);
    let run = world.run().await;
    assert!(world.object("gone").is_some());
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed), "{}", run.detail());
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_fails_deletes_nothing() {
    let world = removing(tree());
    world.run_well().await;
    world.source.edit(|tree| tree.remove("gone"));
    let fault = Fault::new(Operation::Lookup, Action::Fail(ErrorKind::PermissionDenied));
    world.at_source(fault.at("/gone"));
    let run = world.run().await;
    assert!(world.object("gone").is_some());
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed), "{}", run.detail());
}

/// Ten objects to delete, of which the store refuses two as if it were gone.
#[tokio::test(start_paused = true)]
async fn what_was_deleted_before_the_store_was_gone_is_counted_and_journalled() {
    let mut many = Tree::new().file("keep", "1");
    for number in 0..10 {
        many.add(format!("gone{number}"), EntryKind::File, "x");
    }
    let mut world = removing(many);
    world.run_well().await;
    world.options().verify_mode = VerifyMode::None;
    world.source.edit(|tree| {
        for number in 0..10 {
            tree.remove(format!("gone{number}"));
        }
    });
    let gone = Fault::new(Operation::Delete, Action::Fail(ErrorKind::Unreachable));
    world.at_destination(gone.when(|key| key == "gone3" || key == "gone6"));
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::DestinationUnreachable));
    let left = world.destination.snapshot().len();
    assert_eq!(
        left, 4,
        "the root, what is kept, and two that could not be deleted"
    );
    let counters = run.report.counters;
    assert_eq!((counters.deleted, counters.delete_failed), (8, 2));
    let failed = ["/gone3", "/gone6"].map(|path| format!("{path} failed DestinationUnreachable"));
    assert_eq!(run.failures(), failed);
    // The journal knows it too.
    world.destination.script().clear();
    let again = world.resume(run.directory).await.report.counters;
    assert_eq!((again.deleted, again.delete_failed), (8, 2));
}

/// So many objects that are all to be deleted.
async fn all_gone(count: u64) -> World {
    let mut many = Tree::new().file("keep", "1");
    for number in 0..count {
        many.add(format!("gone{number:04}"), EntryKind::File, "x");
    }
    let mut world = World::new(many);
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world.options().verify_mode = VerifyMode::None;
    world.run_well().await;
    world.source.edit(|tree| {
        for number in 0..count {
            tree.remove(format!("gone{number:04}"));
        }
    });
    world.spec.extensions.delete_share_max = DeleteShareMax::try_from(100).unwrap();
    world
}

#[tokio::test(start_paused = true)]
async fn too_many_deletes_that_fail_end_the_execution() {
    let mut world = all_gone(5_000).await;
    let refused = Action::Fail(ErrorKind::PermissionDenied);
    world.at_destination(Fault::new(Operation::Delete, refused));
    world.settings.failures_max = NonZeroU64::new(3);
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::TooManyFailures));
    let counters = run.report.counters;
    assert_eq!((counters.deleted, counters.failed), (0, 3_000));
    assert_eq!(
        world.destination.script().count(Operation::DeleteBatch),
        3,
        "those that were under way"
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_that_falls_silent_ends_the_deletes() {
    let world = all_gone(400).await;
    let silent = Action::Fail(ErrorKind::Timeout);
    world.at_source(Fault::new(Operation::Lookup, silent));
    let started = Instant::now();
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::SourceUnreachable));
    assert!(started.elapsed() < Duration::from_secs(900));
    assert_eq!(run.report.counters.deleted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_answered_is_one_silence_and_not_that_of_each_object() {
    let world = all_gone(400).await;
    let silent = Action::Fail(ErrorKind::Timeout);
    world.at_destination(Fault::new(Operation::Delete, silent));
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    assert_eq!(run.report.counters.failed, 400);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_falls_silent_ends_the_deletes() {
    let world = all_gone(9_000).await;
    let silent = Action::Fail(ErrorKind::Timeout);
    world.at_destination(Fault::new(Operation::Delete, silent));
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::DestinationUnreachable));
    assert_eq!(run.report.counters.deleted, 0);
}
