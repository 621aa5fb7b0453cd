//! Hard links from one file system to another.

mod crashes;
mod scopes;
mod trees;

use datasync_endpoint::memory::{Action, Fault, Operation, Tree};
use datasync_endpoint::{EntryKind, ErrorKind};
use datasync_model::{ErrorCode, TransferMode, VerifyMode};

use trees::{Trees, link};

/// Three files with several names, one of them across directories, and one with a single name.
fn source() -> Tree {
    let mut tree = Tree::new()
        .file("a", "first")
        .file("d/one", "second file")
        .file("e/x", "third")
        .file("single", "alone");
    link(&mut tree, "a", "b");
    link(&mut tree, "d/one", "d/two");
    link(&mut tree, "d/one", "z/three");
    link(&mut tree, "e/x", "e/y");
    tree
}

/// A file of its own in the place of a name, with the same content and time.
fn break_link(tree: &mut Tree, path: &str) {
    let inode = tree.get(path).unwrap();
    let (content, was) = (inode.content.clone(), inode.attributes);
    tree.add(path, EntryKind::File, content);
    tree.set(path, |now| (now.mtime, now.mode) = (was.mtime, was.mode));
}

#[tokio::test(start_paused = true)]
async fn every_file_moves_once_and_has_all_of_its_names() {
    let trees = Trees::new(source());
    let run = trees.run_well().await;
    let content = "first".len() + "second file".len() + "third".len() + "alone".len();
    let counters = run.report.counters;
    assert_eq!(counters.bytes_written, content as u64);
    assert_eq!(counters.bytes_to_transfer, content as u64);
    // Eight names, three directories and the root.
    assert_eq!((counters.transferred, counters.discovered), (12, 12));
    assert_eq!(trees.calls(Operation::Link), 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_linked_stays_as_it_is() {
    let mut trees = Trees::new(source());
    trees.world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    trees.run_well().await;
    for remembered in [false, true] {
        trees.forget_calls();
        let run = trees.run_well().await;
        assert_eq!(run.report.counters.transferred, 0);
        assert_eq!(run.report.counters.unchanged, 12);
        let asked = trees.calls(Operation::Stat);
        assert!(!remembered || asked == 0, "{asked}");
        for operation in [Operation::Put, Operation::Link, Operation::SetMetadata] {
            assert_eq!(trees.calls(operation), 0, "{operation:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_further_name_costs_no_content_and_a_name_of_another_file_is_given_to_that() {
    let trees = Trees::new(source());
    trees.run_well().await;
    trees.world.source.edit(|tree| {
        link(tree, "a", "0-before-all-others");
        tree.remove("d/two");
        link(tree, "e/x", "d/two");
    });
    let run = trees.run_well().await;
    assert_eq!(run.report.counters.bytes_written, 0);
    // With the two directories whose times have changed.
    assert_eq!(run.report.counters.transferred, 4);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_broken_at_the_source_is_broken_at_the_destination() {
    let trees = Trees::new(source());
    trees.run_well().await;
    trees.world.source.edit(|tree| {
        break_link(tree, "b");
        break_link(tree, "z/three");
        break_link(tree, "e/x");
        break_link(tree, "e/y");
    });
    trees.run_well().await;
    trees.world.source.edit(|tree| {
        tree.write("b", "another");
        tree.set("z/three", |now| now.mode = 0o600);
    });
    trees.run_well().await;
}

#[tokio::test(start_paused = true)]
async fn without_memory_a_broken_link_is_broken_once_it_differs() {
    let mut trees = Trees::new(source());
    trees.world.settings.catalog_file = None;
    trees.run_well().await;
    trees.world.source.edit(|tree| {
        break_link(tree, "b");
        tree.set("b", |now| now.mode = 0o600);
        tree.set("d/one", |now| now.uid = 7);
    });
    trees.run_well().await;
}

#[tokio::test(start_paused = true)]
async fn new_metadata_is_set_once_for_all_names() {
    let trees = Trees::new(source());
    trees.run_well().await;
    trees.forget_calls();
    let edit = |tree: &mut Tree| tree.set("z/three", |now| now.mode = 0o640);
    trees.world.source.edit(edit);
    let run = trees.run_well().await;
    assert_eq!(run.report.counters.bytes_written, 0);
    assert_eq!(trees.calls(Operation::SetMetadata), 1);
    assert_eq!(trees.calls(Operation::Put), 0);
}

/// Names that are none of the task's business keep what they have.
#[tokio::test(start_paused = true)]
async fn a_file_with_names_of_others_is_not_changed_in_place() {
    let mut trees = Trees::new(source());
    trees.world.spec.excludes = trees::excluding("/kept");
    trees.run_well().await;
    trees.destination.files().edit(|tree| {
        for (name, kept) in [("single", "kept/single"), ("d/one", "kept/one")] {
            link(tree, name, kept);
        }
    });
    trees.run_well().await;
    let kept = |path: &str| {
        trees
            .destination
            .files()
            .snapshot()
            .get(path)
            .unwrap()
            .attributes
    };
    let (single, one) = (kept("kept/single"), kept("kept/one"));
    trees.world.source.edit(|tree| {
        tree.set("single", |now| now.mode = 0o600);
        tree.set("d/one", |now| now.mode = 0o600);
    });
    trees.run_well().await;
    for (path, before) in [("kept/single", single), ("kept/one", one)] {
        let now = kept(path);
        assert_eq!(
            (now.mode, now.nlink, now.file_id),
            (before.mode, 1, before.file_id)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn everything_is_written_anew_where_that_is_asked_for() {
    let mut trees = Trees::new(source());
    trees.run_well().await;
    trees.world.options().transfer_mode = TransferMode::All;
    trees.world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    let run = trees.run_well().await;
    assert_eq!(run.report.counters.transferred, 12);
    assert_eq!(run.report.counters.verified, 12);
    let content = "first".len() + "second file".len() + "third".len() + "alone".len();
    assert_eq!(run.report.counters.bytes_written, content as u64);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_hard_links_gets_a_file_for_each_name() {
    let mut trees = Trees::new(source());
    trees.has_links = false;
    trees.destination = std::sync::Arc::new(trees::file_system().without_hard_links());
    for transferred in [12, 0] {
        let run = trees.run_well().await;
        assert_eq!(run.report.counters.transferred, transferred);
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_written_costs_the_others_nothing() {
    let trees = Trees::new(source());
    let refuse = Action::Fail(ErrorKind::PermissionDenied);
    trees.at_destination(Fault::new(Operation::Put, refuse).at("d/one"));
    let run = trees.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    assert_eq!(
        run.failures(),
        ["/d/one failed DestinationPermissionDenied"]
    );
    let names = trees::names(&trees.destination.files().snapshot(), "d/two");
    assert_eq!(names, ["/d/two", "/z/three"]);
    trees.destination.script().clear();
    trees.run_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_by_a_directory_fails_alone() {
    let trees = Trees::new(source());
    trees.destination.files().edit(|tree| tree.add_dir("d/two"));
    let run = trees.run().await;
    assert_eq!(run.failures(), ["/d/two failed KeyNotAllowed"]);
    let names = trees::names(&trees.destination.files().snapshot(), "d/one");
    assert_eq!(names, ["/d/one", "/z/three"]);
}

/// What is read counts, not what the walk saw hours ago.
#[tokio::test(start_paused = true)]
async fn a_file_that_changes_meanwhile_is_copied_as_it_is_then() {
    let mut trees = Trees::new(source());
    // The root's own time changes too.
    trees.world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    let change = Action::change(|tree| {
        tree.write("a", "changed");
        tree.add("b", EntryKind::File, "no link any more");
    });
    trees.at_source(Fault::new(Operation::Read, change).at("/a").times(1));
    trees.run_well().await;
}

/// File ids that a server gives twice.
#[tokio::test(start_paused = true)]
async fn equal_file_ids_alone_make_no_links() {
    let mut tree = Tree::new()
        .file("a", "one")
        .file("b", "another one")
        .file("c", "one");
    for path in ["a", "b", "c"] {
        tree.set(path, |now| (now.file_id, now.nlink) = (77, 2));
    }
    let trees = Trees::new(tree);
    let run = trees.run().await;
    assert_eq!(run.report.result.failure, None, "{:?}", run.failures());
    let found = trees.destination.files().snapshot();
    for (path, content) in [("a", "one"), ("b", "another one"), ("c", "one")] {
        assert_eq!(found.get(path).unwrap().content, content, "{path}");
        assert_eq!(found.get(path).unwrap().attributes.nlink, 1, "{path}");
    }
}
