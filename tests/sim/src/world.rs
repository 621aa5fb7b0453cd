//! The two ends, the agent's state directory, and what an execution is made of.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datasync_endpoint::memory::{
    Action, EPOCH, Fault, MemoryDestination, MemorySource, Operation, Tree,
};
use datasync_endpoint::{Destination, EntryPath, ErrorKind, Key, Timestamp};
use datasync_model::{
    BytesPerSecond, Excludes, ExecutionSpec, Includes, Location, NfsLocation, NfsVersion, Options,
    S3Location, StorageClass, TaskMode,
};
use datasync_test_model::{Bucket, Trouble, path_of};
use datasync_transfer::Settings;
use tempfile::TempDir;

use crate::changes::{KEPT, nth};
use crate::faults::{AT_SOURCE, Planned, Trouble as FaultTrouble};
use crate::ledger::Ledger;
use crate::scenario::{CatalogFate, Ends, Execution, Refusal, Scenario};

/// What the engine may use, in bytes: so much that it holds every part, or so little that its largest small
/// files are read while they are sent.
const MEMORY_TARGETS: [u64; 2] = [64 << 20, 64 << 10];
/// The key on which somebody else has an upload open.
const FOREIGN_UPLOAD: &str = "b";

/// Everything that outlives a process.
pub(crate) struct World {
    pub(crate) source: Arc<MemorySource>,
    pub(crate) destination: Arc<MemoryDestination>,
    pub(crate) settings: Settings,
    pub(crate) foreign_uploads: Vec<Key>,
    ledger: Arc<Mutex<Ledger>>,
    tells_dates: bool,
    state: TempDir,
    executions: u64,
}

/// A directory in memory, where there is one: what is synced there costs nothing.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

impl World {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let ends = &scenario.ends;
        let tree = Tree::new().file(KEPT, "x");
        let destination = destination(ends);
        let mut foreign_uploads = Vec::new();
        if ends.foreign_upload {
            let key = Key::from_listing(FOREIGN_UPLOAD.to_owned());
            let long_ago = Timestamp {
                seconds: EPOCH - 86_400,
                nanoseconds: 0,
            };
            destination.add_foreign_upload(&key, long_ago);
            foreign_uploads.push(key);
        }
        let state = scratch();
        let kept = |name: &str| Some(state.path().join(name));
        let settings = Settings {
            memory_target_bytes: MEMORY_TARGETS[usize::from(ends.streams && !ends.large)],
            history_file: kept("root.json"),
            owed_aborts_file: kept("owed"),
            catalog_file: kept("catalog").filter(|_| ends.has_catalog),
            seed: scenario.seed,
            now_seconds: || EPOCH,
            ..Settings::default()
        };
        Self {
            source: Arc::new(source(ends, tree)),
            destination: Arc::new(destination),
            settings,
            foreign_uploads,
            ledger: Arc::default(),
            tells_dates: ends.tells_dates,
            state,
            executions: 0,
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory of a new execution.
    pub(crate) fn directory(&mut self) -> PathBuf {
        self.executions += 1;
        let directory = self
            .state
            .path()
            .join(format!("execution-{}", self.executions));
        std::fs::create_dir(&directory).unwrap();
        directory
    }

    /// Changes both sides, and the agent's catalog; whether the catalog can still be relied on.
    pub(crate) fn change(&self, execution: &Execution, number: u64) -> bool {
        self.source.edit(|tree| {
            execution
                .changes
                .iter()
                .for_each(|change| change.apply(tree));
            self.ledger().note(tree);
        });
        for (index, foreign) in (0..).zip(&execution.foreign) {
            foreign.apply(&self.destination, 100 * number + index);
        }
        self.ledger().note_foreign(&self.destination.snapshot());
        match (&self.settings.catalog_file, execution.catalog) {
            (None, _) => false,
            (Some(_), CatalogFate::Kept) => true,
            (Some(file), fate) => {
                let bytes = std::fs::read(file).unwrap_or_default();
                let at = match fate {
                    CatalogFate::Damaged(at) => at.checked_rem(bytes.len() as u64),
                    CatalogFate::Kept | CatalogFate::Lost => None,
                };
                match at.and_then(|at| usize::try_from(at).ok()) {
                    Some(at) => {
                        let mut bytes = bytes;
                        bytes[at] ^= 0x10;
                        std::fs::write(file, bytes).unwrap();
                    }
                    // It may not be there yet.
                    None => drop(std::fs::remove_file(file)),
                }
                false
            }
        }
    }

    /// Hands everything that is to go wrong to the two ends.
    pub(crate) fn arm(&self, execution: &Execution, trouble: &Trouble) {
        for (operation, ms) in &execution.latencies {
            let delay = Fault::new(*operation, Action::Delay(Duration::from_millis(*ms)));
            if AT_SOURCE.contains(operation) {
                self.source.script().add(delay);
            } else {
                self.destination.script().add(delay);
            }
        }
        refuse(trouble, &self.source, &self.destination);
        for planned in &execution.faults {
            self.arm_one(planned);
        }
    }

    fn arm_one(&self, planned: &Planned) {
        let FaultTrouble::Change(change) = planned.trouble.clone() else {
            return planned.arm(&self.source, &self.destination);
        };
        let ledger = Arc::clone(&self.ledger);
        let action = Action::change(move |tree| {
            change.apply(tree);
            ledger
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .note(tree);
        });
        let fault = Fault::new(planned.operation, action);
        self.source
            .script()
            .add(fault.after(planned.skip).times(planned.times));
    }

    /// Nothing is broken any more, and nobody remembers what was called.
    pub(crate) fn disarm(&self) {
        for script in [self.source.script(), self.destination.script()] {
            script.clear();
            script.forget_calls();
        }
    }

    /// What refuses in this execution, by name.
    pub(crate) fn trouble(&self, refusals: &[Refusal], bucket: &Bucket) -> Trouble {
        let tree = self.source.snapshot();
        let mut trouble = Trouble::default();
        for refusal in refusals {
            match *refusal {
                Refusal::Unlistable(n) => {
                    let path = nth(&tree, n, Some(datasync_endpoint::EntryKind::Directory));
                    trouble.unlistable.extend(path);
                }
                Refusal::Unknown(n) => trouble.unknown.extend(nth(&tree, n, None)),
                Refusal::Unreadable(n) => {
                    // A file with two names is asked for by its first one.
                    let path = nth(&tree, n, None);
                    let has_one_name =
                        |path: &Vec<u8>| tree.get(path).is_some_and(|i| i.attributes.nlink == 1);
                    trouble.unreadable.extend(path.filter(has_one_name));
                }
                Refusal::Unwritable(n) => {
                    let path = nth(&tree, n, None);
                    let is_directory = |path: &Vec<u8>| {
                        tree.get(path).is_some_and(|i| {
                            i.attributes.kind == datasync_endpoint::EntryKind::Directory
                        })
                    };
                    trouble.unwritable.extend(
                        path.map(|path| datasync_test_model::key_of(&path, is_directory(&path))),
                    );
                }
                Refusal::Undeletable(n) => {
                    let keys: Vec<_> = bucket.keys().filter(|key| path_of(key).is_some()).collect();
                    let index = n
                        .checked_rem(keys.len() as u64)
                        .and_then(|n| usize::try_from(n).ok());
                    trouble
                        .undeletable
                        .extend(index.map(|index| keys[index].clone()));
                }
            }
        }
        trouble
    }

    /// Whether the source's root is the one that the agent has accepted, if it has one.
    pub(crate) fn has_same_root(&self) -> bool {
        let file = self.settings.history_file.as_ref();
        let Some(text) = file.and_then(|file| std::fs::read(file).ok()) else {
            return true;
        };
        let accepted: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let tree = self.source.snapshot();
        let root = tree.get(b"/").map(|inode| inode.attributes.file_id);
        accepted["file_id"].as_u64() == root
    }

    /// Whether the agent remembers what it wrote.
    pub(crate) fn remembers(&self) -> bool {
        self.settings.catalog_file.is_some() && self.tells_dates
    }

    pub(crate) fn has_root(&self) -> bool {
        self.destination.abilities().has_root
    }
}

fn refuse(trouble: &Trouble, source: &MemorySource, destination: &MemoryDestination) {
    let denied = |operation, target: String| {
        Fault::new(operation, Action::Fail(ErrorKind::PermissionDenied)).at(&target)
    };
    let shown = |path: &Vec<u8>| {
        let names = path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty());
        names
            .fold(EntryPath::ROOT, |path, name| path.child(name))
            .to_string()
    };
    for (paths, operations) in [
        (&trouble.unlistable, &[Operation::ReadDir][..]),
        (&trouble.unknown, &[Operation::Entry]),
        (&trouble.unreadable, &[Operation::Read, Operation::ReadLink]),
    ] {
        for (path, operation) in paths
            .iter()
            .flat_map(|path| operations.iter().map(move |o| (path, o)))
        {
            source.script().add(denied(*operation, shown(path)));
        }
    }
    let writes = [
        Operation::Put,
        Operation::CreateUpload,
        Operation::SetMetadata,
    ];
    for (keys, operations) in [
        (&trouble.unwritable, &writes[..]),
        (&trouble.undeletable, &[Operation::Delete]),
    ] {
        for (key, operation) in keys
            .iter()
            .flat_map(|key| operations.iter().map(move |o| (key, o)))
        {
            destination
                .script()
                .add(denied(*operation, key.to_string()));
        }
    }
}

fn source(ends: &Ends, tree: Tree) -> MemorySource {
    let (read_max, reply_max) = if ends.large {
        (1 << 20, u32::MAX)
    } else {
        (100, ends.reply_max)
    };
    let source = MemorySource::new(tree)
        .with_page(ends.page)
        .with_read_max(read_max)
        .with_short_reads(reply_max);
    if ends.attributes_after_read {
        source
    } else {
        source.without_attributes_after_read()
    }
}

fn destination(ends: &Ends) -> MemoryDestination {
    let destination = MemoryDestination::new()
        .with_page(ends.page + 1)
        .with_abilities(|abilities| {
            abilities.integrity = ends.integrity;
            // About half of the files go out in parts.
            abilities.put_max = 120;
            abilities.parts_max = ends.parts_max;
            abilities.key_max = ends.key_max;
            abilities.has_root = ends.has_root;
        });
    if ends.tells_dates {
        destination
    } else {
        destination.without_dates()
    }
}

pub(crate) fn rate(limit: Option<u64>) -> BytesPerSecond {
    limit.map_or(BytesPerSecond::UNLIMITED, |limit| {
        BytesPerSecond::try_from(i64::try_from(limit).unwrap()).unwrap()
    })
}

/// The frozen spec of an execution.
pub(crate) fn spec(execution: &Execution) -> ExecutionSpec {
    let task = "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0";
    let location =
        |n| format!("arn:aws:datasync:us-east-1:123456789012:location/loc-0123456789abcdef{n}");
    ExecutionSpec {
        execution: format!("{task}/execution/exec-0123456789abcdef0")
            .parse()
            .unwrap(),
        task_mode: TaskMode::Basic,
        source: Location::Nfs(NfsLocation {
            arn: location(0).parse().unwrap(),
            server_hostname: "nas".to_owned(),
            subdirectory: "/export".to_owned(),
            version: NfsVersion::Automatic,
        }),
        destination: Location::S3(S3Location {
            arn: location(1).parse().unwrap(),
            bucket: "bucket".to_owned(),
            prefix: "prefix/".to_owned(),
            region: None,
            endpoint: None,
            server_certificate: None,
            storage_class: StorageClass::Standard,
        }),
        options: Options {
            bytes_per_second: rate(execution.rate),
            ..execution.options.clone()
        },
        includes: Includes::parse(execution.includes).unwrap(),
        excludes: Excludes::parse(execution.excludes).unwrap(),
        extensions: Default::default(),
    }
}
