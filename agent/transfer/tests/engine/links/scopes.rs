//! Hard links, and what a task leaves out or may not do.

use datasync_endpoint::memory::{Operation, Tree};
use datasync_model::{Atime, Mtime, OverwriteMode, PreserveDeletedFiles};

use super::source;
use super::trees::{Trees, excluding, link, names};

#[tokio::test(start_paused = true)]
async fn the_names_in_scope_are_those_of_the_file() {
    let mut trees = Trees::new(source());
    trees.world.spec.excludes = excluding("/d/one|/a");
    let run = trees.run().await;
    assert_eq!(run.report.result.failure, None, "{:?}", run.failures());
    let found = trees.destination.files().snapshot();
    assert_eq!(names(&found, "d/two"), ["/d/two", "/z/three"]);
    assert_eq!(names(&found, "b"), ["/b"]);
    assert!(found.get("d/one").is_none());
    // Later they are in scope too.
    trees.world.spec.excludes = Default::default();
    let run = trees.run_well().await;
    assert_eq!(run.report.counters.bytes_written, 0);
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_overwritten_keeps_its_files_and_gets_further_names() {
    let mut trees = Trees::new(source());
    trees.run_well().await;
    trees.destination.files().edit(|tree| {
        tree.remove("d/two");
        tree.remove("b");
        tree.write("a", "somebody else's");
    });
    trees.world.options().overwrite_mode = OverwriteMode::Never;
    let run = trees.run().await;
    let found = trees.destination.files().snapshot();
    assert_eq!(names(&found, "d/one"), ["/d/one", "/d/two", "/z/three"]);
    assert_eq!(found.get("a").unwrap().content, "somebody else's");
    assert_eq!(
        found.get("b").unwrap().content,
        "first",
        "a file of its own"
    );
    assert_eq!(run.report.counters.transferred, 2);
    assert_eq!(run.report.counters.bytes_written, "first".len() as u64);
}

#[tokio::test(start_paused = true)]
async fn without_times_somebody_s_file_of_the_same_size_gets_no_names() {
    let mut trees = Trees::new(source());
    trees.run_well().await;
    trees.destination.files().edit(|tree| {
        let mtime = tree.get("a").unwrap().attributes.mtime;
        tree.remove("b");
        tree.write("a", "FIRST");
        tree.set("a", |attributes| attributes.mtime = mtime);
    });
    trees.world.options().overwrite_mode = OverwriteMode::Never;
    trees.world.options().mtime = Mtime::None;
    trees.world.options().atime = Atime::None;
    trees.run().await;
    let found = trees.destination.files().snapshot();
    assert_eq!(found.get("a").unwrap().content, "FIRST");
    assert_eq!(found.get("b").unwrap().content, "first");
}

#[tokio::test(start_paused = true)]
async fn names_that_are_gone_are_deleted_whatever_became_of_the_others() {
    let mut trees = Trees::new(source());
    trees.world.source.edit(|tree| link(tree, "a", "more"));
    trees.run_well().await;
    trees.world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    trees.world.source.edit(|tree| {
        tree.remove("b");
        tree.remove("more");
        tree.remove("e");
        link(tree, "a", "new");
    });
    let run = trees.run_well().await;
    assert_eq!(
        run.report.counters.deleted, 5,
        "two names of a, and e with two"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_counts_each_content_once() {
    let mut trees = Trees::new(source());
    trees.world.spec.extensions.dry_run = true;
    let counters = trees.run().await.report.counters;
    let content = "first".len() + "second file".len() + "third".len() + "alone".len();
    assert_eq!(counters.bytes_to_transfer, content as u64);
    assert_eq!((counters.discovered, counters.to_transfer), (12, 12));
    assert_eq!(trees.calls(Operation::Link), 0);
    trees.world.spec.extensions.dry_run = false;
    trees.run_well().await;
    trees.world.source.edit(|tree| link(tree, "a", "new"));
    trees.run_well().await;
    trees.world.source.edit(|tree| link(tree, "a", "newer"));
    trees.world.spec.extensions.dry_run = true;
    let counters = trees.run().await.report.counters;
    assert_eq!(counters.bytes_to_transfer, 0);
    assert!(counters.to_transfer >= 1, "{counters:?}");
}

/// More names than the memory holds, of one file and of many.
#[tokio::test(start_paused = true)]
async fn any_number_of_names_is_sorted_on_disk() {
    let mut tree = Tree::new().file("all", "of one");
    for number in 0..1500 {
        link(&mut tree, "all", &format!("names/{number}"));
        let (file, other) = (format!("pairs/{number}"), format!("others/{number}"));
        tree.add(
            &file,
            datasync_endpoint::EntryKind::File,
            format!("{number}"),
        );
        link(&mut tree, &file, &other);
    }
    let mut trees = Trees::new(tree);
    // An eighth of it is for sorting: a few dozen names.
    trees.world.settings.memory_target_bytes = 64 << 10;
    let run = trees.run_well().await;
    assert_eq!(
        trees.calls(Operation::Put),
        1501 + 4,
        "files and directories"
    );
    assert_eq!(run.report.counters.failed, 0);
    trees.forget_calls();
    trees.run_well().await;
    assert_eq!(
        trees.calls(Operation::Put) + trees.calls(Operation::Link),
        0
    );
}
