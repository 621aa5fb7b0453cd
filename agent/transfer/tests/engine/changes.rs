//! Changes between runs, and files that change while they are read.

use datasync_endpoint::EntryKind;
use datasync_endpoint::memory::{Action, Fault, MemoryDestination, MemorySource, Operation, Tree};
use datasync_model::{ErrorCode, PreserveDeletedFiles, VerifyMode};

use crate::world::{KIB, MIB, World, bytes};

/// After the first run, `change` happens, and the second run writes exactly `written`.
async fn is_seen(change: impl FnOnce(&mut Tree), written: &[&str]) {
    let tree = Tree::new()
        .file("file", "content")
        .file("dir/inside", "more")
        .symlink("link", "file")
        .file("same", "stays");
    let mut world = World::new(tree);
    world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
    world.run_well().await;
    let before = world.destination.snapshot();
    world.source.edit(change);
    world.run_well().await;
    let after = world.destination.snapshot();
    let changed = after
        .iter()
        .filter(|(key, stored)| before.get(key) != Some(stored));
    let changed: Vec<_> = changed.map(|(key, _)| key.as_str().to_owned()).collect();
    assert_eq!(changed, written);
    let third = world.run_well().await;
    assert_eq!(third.report.counters.transferred, 0);
}

#[tokio::test(start_paused = true)]
async fn a_modified_file_is_seen() {
    is_seen(|tree| tree.write("file", "other content"), &["file"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_the_same_size_is_seen() {
    is_seen(|tree| tree.write("file", "CONTENT"), &["file"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_puts_the_mtime_back_is_seen() {
    is_seen(
        |tree| tree.write_and_put_mtime_back("file", "CONTENT"),
        &["file"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_mode_or_owner_is_seen() {
    is_seen(
        |tree| tree.set("file", |attributes| attributes.mode = 0o4700),
        &["file"],
    )
    .await;
    is_seen(
        |tree| tree.set("dir", |attributes| attributes.mode = 0o700),
        &["dir/"],
    )
    .await;
    is_seen(
        |tree| tree.set("file", |attributes| attributes.uid = 0),
        &["file"],
    )
    .await;
    is_seen(
        |tree| tree.set("link", |attributes| attributes.gid = 5),
        &["link"],
    )
    .await;
    is_seen(|tree| tree.set("", |attributes| attributes.gid = 5), &[""]).await;
}

#[tokio::test(start_paused = true)]
async fn a_touched_file_is_seen() {
    is_seen(
        |tree| tree.set("file", |attributes| attributes.mtime.seconds -= 5),
        &["file"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_file_is_seen() {
    is_seen(|tree| tree.remove("file"), &[""]).await;
    is_seen(|tree| tree.remove("dir"), &[""]).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_becomes_a_directory_is_seen() {
    is_seen(
        |tree| tree.add("file/below", EntryKind::File, "x"),
        &["", "file/", "file/below"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_becomes_a_file_is_seen() {
    is_seen(|tree| tree.add("dir", EntryKind::File, "x"), &["", "dir"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_becomes_a_link_of_the_same_length_is_seen() {
    is_seen(
        |tree| tree.add("file", EntryKind::Symlink, "coNtent"),
        &["", "file"],
    )
    .await;
    is_seen(
        |tree| tree.add("link", EntryKind::Symlink, "elif"),
        &["", "link"],
    )
    .await;
}

fn while_read(size: u64, call: u64, times: u64) -> World {
    let tree = Tree::new()
        .file("file", bytes(1, size))
        .file("other", "stays");
    let source = MemorySource::new(tree).with_read_max(64 << 10);
    let seed = std::sync::atomic::AtomicU64::new(2);
    let change = Action::change(move |tree| {
        let seed = seed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        tree.write_and_put_mtime_back("file", bytes(seed, size));
    });
    let fault = Fault::new(Operation::Read, change)
        .at("/file")
        .after(call)
        .times(times);
    source.script().add(fault);
    World::of(source, MemoryDestination::new())
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_once_while_it_is_read_is_read_again() {
    for size in [40 * KIB, 300 * KIB, 9 * MIB] {
        let reads = size.div_ceil(64 * KIB);
        for call in [0, reads / 2, reads - 1] {
            let world = while_read(size, call, 1);
            world.run_well().await;
            assert_eq!(world.writes()["file"], 1, "size {size}, READ {call}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_after_the_last_read_is_seen_before_the_file_is_stored() {
    for size in [300 * KIB, 9 * MIB] {
        let tree = Tree::new().file("file", bytes(1, size));
        let source = MemorySource::new(tree).without_attributes_after_read();
        let world = World::of(source, MemoryDestination::new());
        let change = Action::change(move |tree| {
            tree.write_and_put_mtime_back("file", bytes(9, size));
        });
        // The large file is asked for its attributes once more before its first READ.
        let before = u64::from(size > 8 * MIB);
        let fault = Fault::new(Operation::Attributes, change)
            .after(before)
            .times(1);
        world.at_source(fault);
        world.run_well().await;
        assert_eq!(world.writes()["file"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_keeps_changing_is_reported_and_never_stored() {
    for (size, call) in [(40 * KIB, 0), (300 * KIB, 2), (9 * MIB, 70)] {
        let mut world = while_read(size, call, u64::MAX);
        world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
        let run = world.run().await;
        assert_eq!(run.code(), Some(ErrorCode::ItemsFailed), "{size}");
        assert!(
            run.detail().contains("/file (SourceChanged"),
            "{}",
            run.detail()
        );
        assert_eq!(world.object("file"), None);
        assert!(world.object("other").is_some());
        assert_eq!(world.destination.open_upload_keys(), Vec::new());
        assert_eq!(run.report.counters.failed, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_keeps_changing_keeps_the_object_of_the_run_before() {
    let mut world = World::new(Tree::new().file("file", "old"));
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    world.run_well().await;
    world.source.edit(|tree| tree.write("file", "new"));
    let change = Action::change(|tree| tree.write_and_put_mtime_back("file", "now"));
    world.at_source(Fault::new(Operation::Read, change).at("/file"));
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    assert_eq!(&world.object("file").unwrap().content[..], b"old");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_vanishes_or_turns_into_a_directory_while_it_is_read_fails_alone() {
    let vanish: fn(&mut Tree) = |tree| tree.remove("file");
    let replace: fn(&mut Tree) = |tree| tree.add_dir("file");
    for change in [vanish, replace] {
        let mut world = World::new(Tree::new().file("file", "1").file("other", "2"));
        world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
        let fault = Fault::new(Operation::Read, Action::change(change))
            .at("/file")
            .times(1);
        world.at_source(fault);
        let run = world.run().await;
        assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
        assert_eq!(run.failures()[0], "/file failed SourceVanished");
        assert!(world.object("other").is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_replaced_under_its_name_is_looked_up_again() {
    let mut world = World::new(Tree::new().file("file", "1"));
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    let change = Action::change(|tree| tree.add("file", EntryKind::File, "replaced"));
    world.at_source(Fault::new(Operation::Read, change).at("/file").times(1));
    let run = world.run().await;
    assert_eq!(run.code(), None, "{}", run.detail());
    assert_eq!(&world.object("file").unwrap().content[..], b"replaced");
}

#[tokio::test(start_paused = true)]
async fn a_size_that_is_a_lie_is_named() {
    let mut world = World::new(Tree::new().file("file", "1234").file("other", "2"));
    world.options().verify_mode = VerifyMode::None;
    world
        .source
        .edit(|tree| tree.set("file", |attributes| attributes.size = 5));
    let run = world.run().await;
    assert_eq!(run.failures(), ["/file failed SourceSizeMismatch"]);
    assert_eq!(world.object("file"), None);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_goes_on_after_its_size_is_named() {
    for without_attributes in [false, true] {
        for size in [3, 9 * MIB] {
            let tree = Tree::new()
                .file("file", bytes(1, size + 1))
                .file("other", "2");
            let mut source = MemorySource::new(tree).with_read_max(1 << 20);
            if without_attributes {
                source = source.without_attributes_after_read();
            }
            let mut world = World::of(source, MemoryDestination::new());
            world.options().verify_mode = VerifyMode::None;
            world
                .source
                .edit(|tree| tree.set("file", |attributes| attributes.size = size));
            let run = world.run().await;
            assert_eq!(run.failures(), ["/file failed SourceSizeMismatch"]);
            let what = format!("announces {size} bytes but delivers more");
            assert!(run.detail().contains(&what), "{}", run.detail());
            assert_eq!(world.object("file"), None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_grows_behind_its_last_read_has_changed() {
    let mut world = World::new(Tree::new().file("file", "123"));
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    let grow = Action::change(|tree| tree.write("file", "12345"));
    world.at_source(Fault::new(Operation::Read, grow).at("/file").times(1));
    world.run_well().await;
    assert_eq!(&world.object("file").unwrap().content[..], b"12345");
}
