use std::collections::BTreeSet;
use std::time::Duration;

use datasync_endpoint::memory::{Action, Fault, MemorySource, Operation, Tree};
use datasync_model::{Excludes, Includes};
use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;
use crate::disk::Disk;
use crate::paged;
use crate::retry::RetryLimits;

const MIB: usize = 1 << 20;

fn walk_of(source: &Arc<MemorySource>, memory_bytes: usize, streams: usize) -> Walk<MemorySource> {
    Walk {
        source: source.clone(),
        scope: Arc::new(Scope::default()),
        attempts: Arc::new(Attempts::new(RetryLimits::default(), 0)),
        resume_after: None,
        has_root: true,
        key_max: 1024,
        spill: Spill {
            directory: std::env::temp_dir(),
            disk: Disk::unbounded(),
            keeps_names: false,
        },
        kept: None,
        memory_bytes,
        streams,
    }
}

/// Everything that a walk meets, in words.
async fn met(walk: Walk<MemorySource>) -> Vec<String> {
    let (out, mut walked) = paged::channel(1);
    let mut task = JoinSet::new();
    task.spawn(walk.run(out));
    let mut met = Vec::new();
    loop {
        met.push(match walked.next().await.unwrap() {
            Walked::End => return met,
            Walked::Entry(entry) => entry.key.to_string(),
            Walked::Unread { directory, error } => format!("unread {}: {error}", directory.key),
            Walked::Unknown { key, error, .. } => format!("unknown {key}: {error}"),
            Walked::Broken(error) => panic!("{error}"),
        });
    }
}

/// `count` directories with ten files each, in directories of a hundred.
fn wide(count: u32) -> Tree {
    let mut tree = Tree::new();
    for directory in 0..count {
        for file in 0..10 {
            let path = format!("{:02}/{directory:04}/{file}", directory / 100);
            tree.add(path, EntryKind::File, "");
        }
    }
    tree
}

fn slow(tree: Tree, delay: Duration) -> Arc<MemorySource> {
    let source = Arc::new(MemorySource::new(tree));
    let delay = Action::Delay(delay);
    source.script().add(Fault::new(Operation::ReadDir, delay));
    source
}

#[tokio::test]
async fn directories_that_are_no_items_are_walked_and_not_met() {
    let tree = || {
        Tree::new()
            .file("a/b/c", "content")
            .file("a/d", "content")
            .file("e", "content")
    };
    let source = Arc::new(MemorySource::new(tree()).with_bare_directories());
    assert_eq!(met(walk_of(&source, MIB, 4)).await, ["a/b/c", "a/d", "e"]);
    let source = Arc::new(MemorySource::new(tree()));
    let all = ["", "a/", "a/b/", "a/b/c", "a/d", "e"];
    assert_eq!(met(walk_of(&source, MIB, 4)).await, all);
}

async fn time_of(walk: Walk<MemorySource>) -> Duration {
    let began = Instant::now();
    let met = met(walk).await;
    assert!(met.len() > 11_000, "{}", met.len());
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_slow_directories_are_waited_for_together() {
    let delay = Duration::from_millis(10);
    let source = slow(wide(1_000), delay);
    let serial = time_of(walk_of(&source, 64 * MIB, 0)).await;
    assert_eq!(serial, delay * 1_011);
    for streams in [4, 16, STREAMS] {
        let took = time_of(walk_of(&source, 64 * MIB, streams)).await;
        let least = serial / u32::try_from(streams).unwrap();
        assert!(took <= least * 3 / 2, "{streams}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_the_least_memory_target_sixteen_directories_are_read_at_once() {
    let source = slow(wide(1_000), Duration::from_millis(10));
    let serial = time_of(walk_of(&source, 8 * MIB, 0)).await;
    let took = time_of(walk_of(&source, 8 * MIB, STREAMS)).await;
    assert!(took <= serial / 16 * 3 / 2, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn directories_that_are_too_large_to_be_held_go_on_when_their_turn_comes() {
    let mut tree = Tree::new();
    for directory in 0..40 {
        for file in 0..400 {
            tree.add(format!("{directory}/{file}"), EntryKind::File, "");
        }
    }
    let source = slow(tree, Duration::from_millis(1));
    let serial = met(walk_of(&source, 0, 0)).await;
    for memory in [0, MIB, 2 * MIB, 8 * MIB] {
        source.script().forget_calls();
        assert_eq!(met(walk_of(&source, memory, STREAMS)).await, serial);
        let calls = source.script().count(Operation::ReadDir);
        assert_eq!(calls, 1 + 40 * 4, "no page is read twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_whose_turn_it_is_goes_on_while_later_ones_hold_the_pool() {
    let mut tree = Tree::new();
    for directory in 0..30 {
        for file in 0..3_000 {
            tree.add(format!("{directory:02}/{file}"), EntryKind::File, "");
        }
    }
    let source = Arc::new(MemorySource::new(tree).with_page(1_000));
    // The first one answers last.
    let late = Fault::new(Operation::ReadDir, Action::Delay(Duration::from_secs(60)));
    source.script().add(late.at("/00"));
    let walk = walk_of(&source, 2 * MIB, STREAMS);
    assert_eq!(met(walk).await.len(), 1 + 30 * 3_001);
}

#[tokio::test(start_paused = true)]
async fn what_is_excluded_is_not_opened_ahead_of_its_turn_either() {
    let source = slow(wide(300), Duration::from_millis(1));
    let excludes = Excludes::parse("/01|*/0007|/02/02*").unwrap();
    let scope = Arc::new(Scope::new(Includes::default(), excludes));
    let walk = Walk {
        scope: scope.clone(),
        ..walk_of(&source, 8 * MIB, STREAMS)
    };
    met(walk).await;
    let opened = opened(&source);
    assert_eq!(opened.len(), 1 + 1 + 99 + 1);
    for target in opened.iter().filter(|target| *target != "/") {
        assert!(scope.contains(target.as_bytes()), "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_contains_itself_is_told_and_not_entered() {
    for above in ["", "a", "a/b"] {
        let mut tree = Tree::new().file("a/b/file", "1").file("z", "2");
        tree.hard_link(above, "a/b/again");
        let source = Arc::new(MemorySource::new(tree));
        let met = met(walk_of(&source, 8 * MIB, STREAMS)).await;
        let keys = ["", "a/", "a/b/", "a/b/again/"].map(str::to_owned);
        assert_eq!(met[..4], keys, "{above}");
        assert!(met[4].starts_with("unread a/b/again/: "), "{met:?}");
        assert!(met[4].contains("is one of those that contain it"));
        assert_eq!(met[5..], ["a/b/file", "z"]);
    }
}

#[tokio::test(start_paused = true)]
async fn directories_with_the_number_of_another_one_are_walked_where_they_are_not_within_it() {
    let mut tree = Tree::new()
        .file("a/1", "1")
        .file("b/2", "2")
        .file("c/d/3", "3");
    for path in ["a", "b", "c/d"] {
        tree.set(path, |attributes| attributes.file_id = 4711);
    }
    let source = Arc::new(MemorySource::new(tree));
    let met = met(walk_of(&source, 8 * MIB, STREAMS)).await;
    assert_eq!(met, ["", "a/", "a/1", "b/", "b/2", "c/", "c/d/", "c/d/3"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_file_system_may_use_the_numbers_of_the_first() {
    let mut tree = Tree::new().file("a/b/1", "1");
    let number = tree.get("a").unwrap().attributes.file_id;
    tree.set("a/b", |attributes| {
        attributes.file_id = number;
        attributes.fsid = 8;
    });
    let source = Arc::new(MemorySource::new(tree));
    let met = met(walk_of(&source, 8 * MIB, STREAMS)).await;
    assert_eq!(met, ["", "a/", "a/b/", "a/b/1"]);
}

#[tokio::test(start_paused = true)]
async fn a_tree_of_five_hundred_levels_is_walked_and_one_without_end_ends() {
    for (levels, is_told) in [(500, false), (3_000, true)] {
        let path = vec!["d"; levels].join("/");
        let source = Arc::new(MemorySource::new(
            Tree::new().file(format!("{path}/f"), "1"),
        ));
        let met = met(walk_of(&source, 8 * MIB, STREAMS)).await;
        let last = met.last().unwrap();
        assert_eq!(last.starts_with("unknown"), is_told, "{last}");
        // A key of 1,024 bytes has 512 names of one letter.
        assert_eq!(met.len(), if is_told { 514 } else { 502 });
    }
}

fn opened(source: &MemorySource) -> BTreeSet<String> {
    let calls = source.script().calls().into_iter();
    let reads = calls.filter(|call| call.operation == Operation::ReadDir);
    reads.map(|call| call.target).collect()
}

#[tokio::test(start_paused = true)]
async fn a_resumed_walk_reads_no_directory_that_it_has_passed() {
    let source = slow(wide(300), Duration::from_millis(1));
    let all = met(walk_of(&source, 8 * MIB, STREAMS)).await;
    source.script().forget_calls();
    let walk = Walk {
        resume_after: Some(Key::from_listing("01/0150/5".to_owned())),
        ..walk_of(&source, 8 * MIB, STREAMS)
    };
    let position = all.iter().position(|met| met == "01/0150/5").unwrap();
    assert_eq!(met(walk).await, all[position + 1..]);
    assert_eq!(opened(&source).len(), 1 + 1 + 50 + 1 + 100);
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_nobody_listens_to_ends() {
    let source = slow(wide(300), Duration::from_millis(1));
    let (out, walked) = paged::channel(1);
    drop(walked);
    walk_of(&source, 8 * MIB, STREAMS).run(out).await;
    assert!(source.script().count(Operation::ReadDir) < 100);
}

/// What happens to the directory of a path.
#[derive(Debug, Clone)]
enum Mishap {
    Late(u64),
    Fails(ErrorKind, u64),
    FailsLater(ErrorKind, u64),
    EntryFails,
}

impl Mishap {
    fn fault(&self) -> Fault {
        let dir = |action| Fault::new(Operation::ReadDir, action);
        match self {
            Self::Late(ms) => dir(Action::Delay(Duration::from_millis(*ms))),
            Self::Fails(kind, times) => dir(Action::Fail(*kind)).times(*times),
            Self::FailsLater(kind, calls) => dir(Action::Fail(*kind)).after(*calls),
            Self::EntryFails => {
                Fault::new(Operation::Entry, Action::Fail(ErrorKind::PermissionDenied))
            }
        }
    }
}

fn mishap() -> impl Strategy<Value = Mishap> {
    let kind = prop_oneof![
        Just(ErrorKind::PermissionDenied),
        Just(ErrorKind::BadCookie),
        Just(ErrorKind::Stale),
        Just(ErrorKind::Timeout),
    ];
    prop_oneof![
        3 => (0u64..100).prop_map(Mishap::Late),
        1 => (kind.clone(), 1u64..5).prop_map(|(kind, times)| Mishap::Fails(kind, times)),
        1 => (kind, 0u64..3).prop_map(|(kind, calls)| Mishap::FailsLater(kind, calls)),
        1 => Just(Mishap::EntryFails),
    ]
}

fn path() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof![
        "[ab]",
        Just("a-".to_owned()),
        Just("a.b".to_owned()),
        Just("é".to_owned())
    ];
    proptest::collection::vec(name, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn whatever_is_read_ahead_the_walk_meets_the_same_in_the_same_order(
        paths in proptest::collection::vec(path(), 1..120),
        mishaps in proptest::collection::vec((path(), mishap()), 0..12),
        memory in prop_oneof![Just(0usize), Just(600 << 10), Just(MIB), Just(8 * MIB)],
        streams in 1usize..40,
        page in 1usize..8,
    ) {
        let mut tree = Tree::new();
        for path in &paths {
            let mut file = path.join("/");
            file.push_str("/file");
            tree.add(file, EntryKind::File, "");
        }
        let run = |memory, streams| {
            let source = Arc::new(MemorySource::new(tree.clone()).with_page(page));
            for (path, mishap) in &mishaps {
                source.script().add(mishap.fault().at(&format!("/{}", path.join("/"))));
            }
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all().start_paused(true).build().unwrap();
            runtime.block_on(met(walk_of(&source, memory, streams)))
        };
        let serial = run(8 * MIB, 0);
        let keys: Vec<_> = serial.iter().filter(|met| !met.starts_with("un")).collect();
        prop_assert!(keys.is_sorted_by(|a, b| a < b), "{:?}", keys);
        prop_assert_eq!(run(memory, streams), serial);
    }
}
