//! Destinations that are trees of files, held against the plain model of what they should hold.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::memory::{
    Action, Fault, MemoryDestination, MemorySource, MemoryTreeDestination, Operation, Tree,
    differences, expected,
};
use datasync_endpoint::{Attributes, EntryKind, ErrorKind, Key, Timestamp};
use datasync_model::{ErrorCode, ExecutionReport, PosixPermissions, PreserveDeletedFiles, Scope};
use datasync_transfer::{Interrupted, run};
use tokio::time::timeout;

use crate::world::{KIB, World, bytes};

const KEPT: &str = "kept";
const SEEDS: u64 = 60;
const CHANGES: u64 = 12;
/// Runs until nothing is in the way any more: what changed its kind is deleted by one run and written by
/// the next, one level deeper each time.
const RUNS_MAX: usize = 6;

/// An execution from a tree to a tree.
struct Pair {
    world: World,
    to: Arc<MemoryTreeDestination>,
}

impl Pair {
    fn new(from: Tree, to: Tree) -> Self {
        let source = MemorySource::new(from).with_page(3);
        let mut world = World::of(source, MemoryDestination::new());
        world.options().preserve_deleted_files = PreserveDeletedFiles::Remove;
        // Files above 1 KiB go in parts.
        let to = MemoryTreeDestination::new(to).with_abilities(|abilities| {
            abilities.put_max = KIB;
        });
        Self {
            world,
            to: Arc::new(to),
        }
    }

    async fn run_in(&self, directory: &Path) -> Result<ExecutionReport, Interrupted> {
        let (controls, _handles) = self.world.controls();
        let running = run(
            &self.world.spec,
            self.world.source.clone(),
            self.to.clone(),
            directory,
            self.world.settings.clone(),
            controls,
        );
        let hung = Duration::from_secs(3600);
        timeout(hung, Box::pin(running))
            .await
            .expect("the run hangs")
    }

    async fn run(&self) -> ExecutionReport {
        self.run_in(&self.world.directory()).await.unwrap()
    }

    /// Every call takes a while, so that time passes.
    fn slow_down(&self) {
        let slow = |operation| Fault::new(operation, Action::Delay(Duration::from_millis(7)));
        for operation in [Operation::ReadDir, Operation::Read, Operation::Lookup] {
            self.world.source.script().add(slow(operation));
        }
        self.to.files().script().add(slow(Operation::ReadDir));
        for operation in [
            Operation::Put,
            Operation::CreateUpload,
            Operation::UploadPart,
            Operation::CompleteUpload,
            Operation::SetMetadata,
            Operation::ReadBack,
            Operation::Delete,
        ] {
            self.to.script().add(slow(operation));
        }
    }

    /// Runs that are killed after these times, and then to the end.
    async fn run_killed(&self, kills: &[Duration]) -> ExecutionReport {
        let directory = self.world.directory();
        for kill in kills {
            if let Ok(ended) = timeout(*kill, self.run_in(&directory)).await {
                return ended.unwrap();
            }
        }
        self.run_in(&directory).await.unwrap()
    }

    /// What `link` and `file` are at the destination.
    fn kinds(&self) -> [EntryKind; 2] {
        let found = self.to.files().snapshot();
        ["link", "file"].map(|path| found.get(path).unwrap().attributes.kind)
    }

    fn differences(&self) -> Vec<String> {
        let spec = &self.world.spec;
        let scope = Scope::new(spec.includes.clone(), spec.excludes.clone());
        let wanted = expected(&self.world.source.snapshot(), &spec.options, &scope, true);
        differences(&wanted, &self.to.snapshot())
    }

    fn assert_exact(&self, what: &str) {
        assert_eq!(self.differences(), Vec::<String>::new(), "{what}");
        assert_eq!(self.to.open_upload_keys(), Vec::<Key>::new(), "{what}");
    }
}

fn a_tree() -> Tree {
    let mut tree = Tree::new()
        .file(KEPT, "x")
        .file("a/one", bytes(1, 100))
        .file("a/large", bytes(2, 3 * KIB))
        .file("a/b/two", "")
        .dir("a/empty")
        .symlink("a/link", "../nowhere");
    for (number, path) in (1..).zip(["a", "a/b", "a/one", "a/link", "a/empty", ""]) {
        tree.set(path, |attributes| {
            attributes.mtime = Timestamp {
                seconds: 1_000_000 * number,
                nanoseconds: 7,
            };
            attributes.mode = 0o700 + u32::try_from(number).unwrap();
        });
    }
    tree
}

#[tokio::test(start_paused = true)]
async fn a_tree_arrives_with_the_times_of_its_directories_and_stays() {
    let pair = Pair::new(a_tree(), Tree::new().file("stranger/below", "goes"));
    let report = pair.run().await;
    assert_eq!(report.result.failure, None, "{report:?}");
    pair.assert_exact("first");
    let report = pair.run().await;
    assert_eq!(report.result.failure, None, "{report:?}");
    assert_eq!(report.counters.transferred, 0, "{report:?}");
    pair.assert_exact("second");
    // A directory that is written into, and does not change itself.
    let before = pair.to.snapshot()[&Key::from_listing("a/".to_owned())].clone();
    pair.world
        .source
        .edit(|tree| tree.write("a/one", "another"));
    pair.run().await;
    pair.assert_exact("third");
    let after = &pair.to.snapshot()[&Key::from_listing("a/".to_owned())];
    assert_eq!(after.metadata, before.metadata);
}

#[tokio::test(start_paused = true)]
async fn links_are_links_where_permissions_are_not_kept() {
    let target = "as long as this";
    let from = Tree::new().symlink("link", target).file("file", target);
    let mut pair = Pair::new(from, Tree::new());
    pair.world.options().posix_permissions = PosixPermissions::None;
    pair.run().await;
    assert_eq!(pair.kinds(), [EntryKind::Symlink, EntryKind::File]);
    // Swapped by somebody, with the times that they had.
    pair.to.files().edit(|tree| {
        let mtime = |path| tree.get(path).unwrap().attributes.mtime;
        let (of_link, of_file) = (mtime("link"), mtime("file"));
        tree.add("link", EntryKind::File, target);
        tree.add("file", EntryKind::Symlink, target);
        tree.set("link", |attributes| attributes.mtime = of_link);
        tree.set("file", |attributes| attributes.mtime = of_file);
    });
    let report = pair.run().await;
    assert_eq!(report.result.failure, None, "{report:?}");
    assert_eq!(pair.kinds(), [EntryKind::Symlink, EntryKind::File]);
}

#[tokio::test(start_paused = true)]
async fn a_destination_within_the_source_is_met() {
    let from = Tree::new().file("own", "1").file("inner/side/one", "2");
    let to = Tree::new().file("stranger", "3");
    let pair = Pair::new(from, to);
    let is_root = |attributes: &mut Attributes, root: Attributes| {
        attributes.file_id = root.file_id;
        (attributes.mtime, attributes.ctime) = (root.mtime, root.ctime);
    };
    // Nothing is written into it, so that it stays what the source shows of it.
    for operation in [Operation::Put, Operation::SetMetadata, Operation::Delete] {
        let refused = Action::Fail(ErrorKind::PermissionDenied);
        pair.to.script().add(Fault::new(operation, refused));
    }
    let root = pair.to.files().snapshot().get("").unwrap().attributes;
    pair.world.source.edit(|tree| {
        tree.set("inner/side", |attributes| is_root(attributes, root));
    });
    let report = pair.run().await;
    let failure = report.result.failure.unwrap();
    assert_eq!(failure.code, ErrorCode::InvalidConfiguration, "{failure}");
    assert!(failure.detail.contains("/inner/side"), "{failure}");
    assert_eq!(
        pair.to.files().snapshot().get("stranger").unwrap().content,
        "3"
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_within_the_destination_is_met_and_nothing_is_deleted() {
    let from = Tree::new().file("one", "2");
    let to = Tree::new().file("inner/one", "2").file("own", "1");
    let pair = Pair::new(from, to);
    let root = pair.world.source.snapshot().get("").unwrap().attributes;
    pair.to.files().edit(|tree| {
        tree.set("inner", |attributes| {
            attributes.file_id = root.file_id;
            (attributes.mtime, attributes.ctime) = (root.mtime, root.ctime);
        });
    });
    let report = pair.run().await;
    let failure = report.result.failure.unwrap();
    assert_eq!(failure.code, ErrorCode::InvalidConfiguration, "{failure}");
    assert_eq!(report.counters.deleted, 0);
    let found = pair.to.files().snapshot();
    assert!(found.get("own").is_some() && found.get("inner/one").is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_of_another_kind_there_fails_by_name_and_goes_by_a_run_that_removes() {
    let from = Tree::new()
        .file("a", "a file")
        .file("b/below", "1")
        .file(KEPT, "x");
    let to = Tree::new().file("a/below", "2").file("b", "a file");
    let pair = Pair::new(from, to);
    let report = pair.run().await;
    assert!(report.result.failure.is_some(), "{report:?}");
    for _ in 0..2 {
        pair.run().await;
    }
    pair.assert_exact("at last");
}

/// Small numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn path(&mut self) -> String {
        let depth = 1 + self.below(3);
        let names: Vec<&str> = (0..depth)
            .map(|_| ["a", "b", "a-b", "c"][usize::try_from(self.below(4)).unwrap()])
            .collect();
        names.join("/")
    }

    /// Changes a tree by any means.
    fn change(&mut self, tree: &mut Tree) {
        let (path, length) = (self.path(), self.below(3 * KIB));
        let found = tree.get(&path).map(|inode| inode.attributes.kind);
        match self.below(8) {
            0 | 1 => tree.add(&path, EntryKind::File, bytes(length, length)),
            2 if found == Some(EntryKind::File) => tree.write(&path, bytes(length + 1, length)),
            3 => tree.add_dir(&path),
            4 => tree.add(&path, EntryKind::Symlink, format!("to-{length}")),
            5 => tree.remove(&path),
            6 if found.is_some() => tree.rename(&path, self.path()),
            _ if found.is_some() => tree.set(&path, |attributes| {
                attributes.mode = 0o600 + u32::try_from(length % 64).unwrap();
                attributes.uid = u32::try_from(length).unwrap();
                attributes.mtime.seconds = i64::try_from(length).unwrap();
            }),
            _ => tree.add(&path, EntryKind::File, bytes(length + 2, length)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_changes_and_whenever_it_is_killed_the_tree_is_the_same_at_the_end() {
    for seed in 1..=SEEDS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let pair = Pair::new(Tree::new().file(KEPT, "x"), Tree::new());
        pair.slow_down();
        for round in 0..4 {
            pair.world.source.edit(|tree| {
                (0..CHANGES).for_each(|_| random.change(tree));
            });
            if round > 0 {
                // Somebody else is at the destination, too.
                let strange = random.below(4);
                pair.to.files().edit(|tree| {
                    (0..strange).for_each(|_| random.change(tree));
                });
            }
            let kills: Vec<Duration> = (0..random.below(4))
                .map(|_| Duration::from_millis(1 + random.below(250)))
                .collect();
            let mut report = pair.run_killed(&kills).await;
            for _ in 1..RUNS_MAX {
                if report.result.failure.is_none() {
                    break;
                }
                report = pair.run().await;
            }
            let what = format!("seed {seed}, round {round}, kills {kills:?}");
            assert_eq!(report.result.failure, None, "{what}");
            pair.assert_exact(&what);
        }
    }
}
