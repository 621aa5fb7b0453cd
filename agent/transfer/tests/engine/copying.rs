//! Whole trees, and second runs that move nothing.

use datasync_endpoint::memory::{MemoryDestination, MemorySource, Operation, Tree};
use datasync_endpoint::{EntryKind, Integrity};
use datasync_model::{
    Atime, ErrorCode, Excludes, Gid, Includes, Mtime, OverwriteMode, PosixPermissions,
    TransferMode, Uid, VerifyMode,
};

use crate::world::{KIB, MIB, World, bytes};

/// Names of every odd kind, in one directory and around it.
pub(crate) fn odd_tree() -> Tree {
    let long = [b'n'; 255];
    let names: [&[u8]; 22] = [
        b"a",
        b"a-b",
        b"a.txt",
        b"sp ace",
        b" ",
        "né".as_bytes(),
        "ne\u{301}".as_bytes(),
        b"new\nline",
        b"\r",
        b"\x01",
        "\u{fffe}".as_bytes(),
        b"100%",
        b"a+b",
        b"a#b",
        b"a&b",
        b"back\\slash",
        b"\xff",
        b"a\x80b",
        "\u{10f7ff}".as_bytes(),
        b"...",
        &long,
        b"~",
    ];
    let mut tree = Tree::new();
    for (number, name) in (1..).zip(names) {
        tree.add(name, EntryKind::File, bytes(number, number * 37));
        let mut below = b"dir \xfe\n/".to_vec();
        below.extend_from_slice(name);
        tree.add(below, EntryKind::File, bytes(100 + number, number));
    }
    tree.add_dir("a.d");
    tree.add("b/inside", EntryKind::File, "x");
    tree.add("b-c", EntryKind::File, "y");
    tree.add("b.txt", EntryKind::File, "z");
    tree.add_dir("b0/empty");
    tree.add("link", EntryKind::Symlink, "b/inside");
    tree.add("dangling", EntryKind::Symlink, b"no\xffwhere".as_slice());
    tree.add("fifo", EntryKind::Fifo, "");
    tree.add("socket", EntryKind::Socket, "");
    tree.add("device", EntryKind::BlockDevice, "");
    tree.add("empty", EntryKind::File, "");
    tree.add("one", EntryKind::File, "1");
    tree.hard_link("one", "b/one-again");
    tree
}

#[tokio::test(start_paused = true)]
async fn a_tree_of_odd_names_is_copied_exactly_and_only_once() {
    let source = MemorySource::new(odd_tree())
        .with_page(3)
        .with_read_max(100);
    let world = World::of(source, MemoryDestination::new().with_page(4));
    let first = world.run_well().await;
    assert_eq!(first.report.counters.skipped, 3);
    assert_eq!(
        first.failures(),
        ["/device", "/fifo", "/socket"].map(|path| format!("{path} skipped NotSupported"))
    );
    let objects = world.destination.snapshot();
    let second = world.run_well().await;
    assert_eq!(world.destination.snapshot(), objects);
    let counters = second.report.counters;
    assert_eq!(
        (
            counters.transferred,
            counters.to_transfer,
            counters.bytes_transferred
        ),
        (0, 0, 0)
    );
    assert_eq!(counters.unchanged, objects.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn every_size_around_a_part_is_copied() {
    let mut tree = Tree::new();
    for size in [
        0,
        1,
        8 * MIB - 1,
        8 * MIB,
        8 * MIB + 1,
        16 * MIB,
        20 * MIB + 7,
    ] {
        tree.add(format!("file-{size}"), EntryKind::File, bytes(size, size));
    }
    let source = MemorySource::new(tree).with_read_max(1 << 20);
    let world = World::of(source, MemoryDestination::new());
    let run = world.run_well().await;
    assert_eq!(run.report.counters.transferred, 8);
    assert_eq!(
        world.destination.script().count(Operation::CompleteUpload),
        3
    );
    assert_eq!(world.run_well().await.report.counters.transferred, 0);
}

#[tokio::test(start_paused = true)]
async fn short_reads_and_replies_without_attributes_make_no_difference() {
    let tree = Tree::new()
        .file("big", bytes(1, 9 * MIB))
        .file("small", bytes(2, 300 * KIB));
    let source = MemorySource::new(tree)
        .with_read_max(64 << 10)
        .with_short_reads(10_000)
        .without_attributes_after_read();
    World::of(source, MemoryDestination::new()).run_well().await;
}

#[tokio::test(start_paused = true)]
async fn thousands_of_files_are_copied_and_then_listed_without_a_transfer() {
    let mut tree = Tree::new();
    for number in 0..3_000u64 {
        tree.add(
            format!("d{}/f{number}", number % 7),
            EntryKind::File,
            bytes(number, 20),
        );
    }
    let world = World::new(tree);
    world.run_well().await;
    assert_eq!(world.run_well().await.report.counters.transferred, 0);
    assert!(world.writes().values().all(|count| *count == 1));
}

#[tokio::test(start_paused = true)]
async fn a_location_without_a_root_object_gets_none() {
    let destination =
        MemoryDestination::new().with_abilities(|abilities| abilities.has_root = false);
    let world = World::of(MemorySource::new(odd_tree()), destination);
    world.run_well().await;
    assert!(world.object("").is_none());
}

#[tokio::test(start_paused = true)]
async fn every_verify_mode_counts_what_it_verified() {
    for (mode, verified) in [
        (VerifyMode::PointInTimeConsistent, 4),
        (VerifyMode::OnlyFilesTransferred, 4),
        (VerifyMode::None, 0),
    ] {
        let mut world = World::new(Tree::new().file("d/a", "1").symlink("l", "d/a"));
        world.options().verify_mode = mode;
        let first = world.run_well().await;
        assert_eq!(first.report.counters.verified, verified, "{mode}");
        let second = world.run_well().await.report.counters;
        let again = if mode == VerifyMode::PointInTimeConsistent {
            4
        } else {
            0
        };
        assert_eq!((second.verified, second.transferred), (again, 0), "{mode}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_metadata_a_second_run_still_moves_nothing() {
    let mut world = World::new(odd_tree());
    let options = world.options();
    (options.atime, options.mtime) = (Atime::None, Mtime::None);
    (options.uid, options.gid) = (Uid::None, Gid::None);
    options.posix_permissions = PosixPermissions::None;
    world.run_well().await;
    assert_eq!(world.run_well().await.report.counters.transferred, 0);
}

#[tokio::test(start_paused = true)]
async fn transfer_mode_all_writes_everything_again() {
    let mut world = World::new(Tree::new().file("a", "1").file("d/b", "2"));
    world.options().transfer_mode = TransferMode::All;
    for mode in [VerifyMode::None, VerifyMode::PointInTimeConsistent] {
        world.options().verify_mode = mode;
        assert_eq!(world.run_well().await.report.counters.transferred, 4);
    }
    assert_eq!(world.writes()["a"], 2);
}

#[tokio::test(start_paused = true)]
async fn overwrite_mode_never_leaves_what_is_there() {
    let mut world = World::new(Tree::new().file("a", "old").file("b", bytes(1, 9 * MIB)));
    world.options().overwrite_mode = OverwriteMode::Never;
    world.options().verify_mode = VerifyMode::OnlyFilesTransferred;
    world.run_well().await;
    world.source.edit(|tree| {
        tree.write("a", "new!");
        tree.write("b", bytes(2, 9 * MIB));
        tree.add("c", EntryKind::File, "more");
    });
    let before = world.destination.snapshot();
    let run = world.run().await;
    assert_eq!(run.code(), None);
    assert_eq!(
        (run.report.counters.transferred, run.report.counters.skipped),
        (1, 3)
    );
    let after = world.destination.snapshot();
    assert!(before.iter().all(|(key, stored)| after[key] == *stored));
    assert_eq!(&world.object("c").unwrap().content[..], b"more");
}

#[tokio::test(start_paused = true)]
async fn excluded_paths_are_never_opened_and_included_ones_are_all() {
    let tree = Tree::new()
        .file("keep/a", "1")
        .file("keep/secret/b", "2")
        .file("other/c", "3")
        .file(".snapshot/x", "4")
        .file("keep/d.tmp", "5");
    let mut world = World::new(tree);
    world.spec.includes = Includes::parse("/keep").unwrap();
    world.spec.excludes = Excludes::parse("*/secret|*.tmp").unwrap();
    world.run_well().await;
    let keys: Vec<_> = world.writes().into_keys().collect();
    assert_eq!(keys, ["keep/", "keep/a"]);
    let forbidden = ["/keep/secret", "/other", "/.snapshot", "/keep/d.tmp"];
    for call in world.source.script().calls() {
        assert!(
            !forbidden.iter().any(|path| call.target.starts_with(path)),
            "{call:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_above_the_stores_limit_fails_by_name_and_the_rest_is_copied() {
    let destination =
        MemoryDestination::new().with_abilities(|abilities| abilities.object_max = 10);
    let tree = Tree::new().file("small", "1").file("large", bytes(1, 11));
    let mut world = World::of(MemorySource::new(tree), destination);
    world.options().verify_mode = VerifyMode::None;
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    assert_eq!(run.failures(), ["/large failed ObjectTooLarge"]);
    assert!(world.object("small").is_some());
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_too_long_fail_by_name() {
    let deep = vec!["d".repeat(200); 6].join("/");
    let world = World::new(Tree::new().file(format!("{deep}/f"), "1").file("ok", "2"));
    let run = world.run().await;
    assert_eq!(run.code(), Some(ErrorCode::ItemsFailed));
    assert!(
        run.failures()
            .iter()
            .all(|line| line.ends_with(" failed KeyNotAllowed")),
        "{run:?}"
    );
    assert!(world.object("ok").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_proves_nothing_is_read_back() {
    let destination =
        MemoryDestination::new().with_abilities(|a| a.integrity = Integrity::ReadBack);
    let tree = Tree::new().file("a", "1").file("b", bytes(1, 9 * MIB));
    let world = World::of(MemorySource::new(tree), destination);
    world.run_well().await;
    assert!(
        world
            .destination
            .script()
            .count_at(Operation::ReadBack, "a")
            >= 1
    );
    assert!(
        world
            .destination
            .script()
            .count_at(Operation::ReadBack, "b")
            >= 1
    );
}
