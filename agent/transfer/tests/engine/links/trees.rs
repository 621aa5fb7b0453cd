//! Two file systems, and the executions between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use datasync_endpoint::memory::{Fault, Inode, MemoryTreeDestination, Operation, Tree};
use datasync_endpoint::{Attributes, EntryKind};
use datasync_model::{Excludes, ExecutionReport, VerifyMode};
use datasync_transfer::{Controls, Interrupted, run};
use tokio::time::timeout;

use crate::world::{KIB, Run, World, assert_consistent};

/// One more name, as a file system gives it: the inode was changed.
pub(crate) fn link(tree: &mut Tree, existing: &str, new: &str) {
    tree.hard_link(existing, new);
    tree.set(new, |_| {});
}

pub(crate) fn file_system() -> MemoryTreeDestination {
    MemoryTreeDestination::new(Tree::new()).with_abilities(|abilities| {
        abilities.put_max = KIB;
        (abilities.part_max, abilities.part_min) = (KIB, 1);
    })
}

pub(crate) fn excluding(pattern: &str) -> Excludes {
    Excludes::parse(pattern).unwrap()
}

/// The paths that lead to the same file as this one, in order.
pub(crate) fn names(tree: &Tree, path: &str) -> Vec<String> {
    let wanted = tree.get(path).unwrap().attributes.file_id;
    let entries = tree.entries().into_iter();
    let of_file = entries.filter(|(_, inode)| inode.attributes.file_id == wanted);
    let mut names: Vec<_> = of_file.map(|(path, _)| path.to_string()).collect();
    names.sort();
    names
}

/// Two file systems. The world's own destination is not used.
pub(crate) struct Trees {
    pub(crate) world: World,
    pub(crate) destination: Arc<MemoryTreeDestination>,
    /// Whether the destination has hard links.
    pub(crate) has_links: bool,
    /// What is out of the task's scope.
    pub(crate) left_out: &'static str,
}

/// What is compared of an entry.
type Seen = (EntryKind, Bytes, [u32; 3], Option<(i64, u32)>);

impl Trees {
    pub(crate) fn new(source: Tree) -> Self {
        let mut world = World::new(source);
        world.options().verify_mode = VerifyMode::PointInTimeConsistent;
        Self {
            world,
            destination: Arc::new(file_system()),
            has_links: true,
            left_out: "/kept",
        }
    }

    pub(crate) fn at_source(&self, fault: Fault) {
        self.world.at_source(fault);
    }

    pub(crate) fn at_destination(&self, fault: Fault) {
        self.destination.script().add(fault);
    }

    pub(crate) fn forget_calls(&self) {
        self.destination.script().forget_calls();
    }

    /// How often this was called at the destination.
    pub(crate) fn calls(&self, operation: Operation) -> usize {
        self.destination.script().count(operation)
    }

    pub(crate) async fn run_in(
        &self,
        directory: &Path,
        controls: Controls,
    ) -> Result<ExecutionReport, Interrupted> {
        let running = Box::pin(run(
            &self.world.spec,
            self.world.source.clone(),
            self.destination.clone(),
            directory,
            self.world.settings.clone(),
            controls,
        ));
        let ended = timeout(Duration::from_secs(3600), running).await;
        ended.expect("the run hangs")
    }

    pub(crate) async fn resume(&self, directory: PathBuf) -> Run {
        let (controls, _handles) = self.world.controls();
        let report = self.run_in(&directory, controls).await.unwrap();
        assert_consistent(&report);
        Run { report, directory }
    }

    pub(crate) async fn run(&self) -> Run {
        self.resume(self.world.directory()).await
    }

    /// Runs without a complaint; everything is as it should be afterwards.
    pub(crate) async fn run_well(&self) -> Run {
        let run = self.run().await;
        assert_eq!(run.report.result.failure, None, "{:?}", run.failures());
        self.assert_exact();
        run
    }

    pub(crate) fn assert_exact(&self) {
        let (source, copy) = (
            self.world.source.snapshot(),
            self.destination.files().snapshot(),
        );
        assert_eq!(self.seen(&copy), self.seen(&source));
        if self.has_links {
            assert_eq!(self.files(&copy), self.files(&source));
        }
        assert_eq!(self.destination.open_upload_keys(), []);
    }

    fn entries<'a>(&self, tree: &'a Tree) -> Vec<(String, &'a Inode)> {
        let entries = tree.entries().into_iter();
        entries
            .map(|(path, inode)| (path.to_string(), inode))
            .filter(|(path, _)| !path.starts_with(self.left_out))
            .collect()
    }

    pub(crate) fn seen(&self, tree: &Tree) -> BTreeMap<String, Seen> {
        let seen = |inode: &Inode| {
            let Attributes {
                kind,
                mode,
                uid,
                gid,
                mtime,
                ..
            } = inode.attributes;
            let is_directory = kind == EntryKind::Directory;
            let mtime = (!is_directory).then_some((mtime.seconds, mtime.nanoseconds));
            (kind, inode.content.clone(), [mode, uid, gid], mtime)
        };
        let entries = self.entries(tree).into_iter();
        entries.map(|(path, inode)| (path, seen(inode))).collect()
    }

    /// The names of each file.
    pub(crate) fn files(&self, tree: &Tree) -> BTreeSet<BTreeSet<String>> {
        let mut files: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        for (path, inode) in self.entries(tree) {
            if inode.attributes.kind == EntryKind::File {
                files
                    .entry(inode.attributes.file_id)
                    .or_default()
                    .insert(path);
            }
        }
        files.into_values().collect()
    }
}
