//! What a pair of locations keeps on disk: a journal while a copy is not at its end, the identity
//! of the source's root, and the list of items that the last copy did not do.

use std::fs::File;
use std::path::{Path, PathBuf};

use datasync_model::{ErrorCode, ExecutionSpec, Failure};

use crate::endpoints::place;
use crate::executions::{failure_list_path, plan_path};
use crate::state::{
    self, EXECUTIONS, FAILURES, HISTORY, StateError, make_private_directory, remove_directory,
    remove_file,
};

/// The directory of a pair, for one process at a time.
#[derive(Debug)]
pub(super) struct PairDirectory {
    root: PathBuf,
    execution: String,
    /// Held for its lock only.
    _lock: File,
}

impl PairDirectory {
    /// Makes what is missing (directories 0700) and takes the lock.
    pub(super) fn open(state_dir: &Path, spec: &ExecutionSpec) -> Result<Self, Failure> {
        let root = state_dir.join(spec.execution.task().id());
        make_private_directory(&root).map_err(local)?;
        let lock = state::lock(&root).map_err(|error| {
            if error.is_locked() {
                in_use(spec)
            } else {
                local(error)
            }
        })?;
        for name in [EXECUTIONS, HISTORY, FAILURES] {
            make_private_directory(&root.join(name)).map_err(local)?;
        }
        Ok(Self {
            root,
            execution: spec.execution.id().to_owned(),
            _lock: lock,
        })
    }

    /// Where the engine keeps its journal.
    pub(super) fn execution(&self) -> PathBuf {
        self.root.join(EXECUTIONS).join(&self.execution)
    }

    pub(super) fn history(&self) -> PathBuf {
        self.root.join(HISTORY)
    }

    pub(super) fn failures(&self) -> PathBuf {
        self.root.join(FAILURES)
    }

    /// Whether a copy with these options was interrupted.
    pub(super) fn has_journal(&self) -> bool {
        self.execution().join("journal").exists()
    }

    /// Interrupted copies of the pair with other options.
    pub(super) fn others(&self) -> Vec<PathBuf> {
        let executions = self.root.join(EXECUTIONS);
        let entries = match std::fs::read_dir(&executions) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(%error, directory = %executions.display(), "cannot be listed");
                return Vec::new();
            }
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let own = self.execution();
        paths
            .filter(|path| *path != own && path.join("journal").exists())
            .collect()
    }

    /// Readies the directory for the engine: a copy that begins has no list of failures yet.
    pub(super) fn begin(&self) -> Result<(), Failure> {
        if self.has_journal() {
            return Ok(());
        }
        remove_file(&self.list()).map_err(local)?;
        make_private_directory(&self.execution()).map_err(local)
    }

    /// Forgets the copy: it came to its end.
    pub(super) fn end(&self) {
        if let Err(error) = remove_directory(&self.execution()) {
            tracing::warn!(%error, "the journal of a copy that ended stays; it is looked at again");
        }
    }

    /// The list of items that were not done, if there are any.
    pub(super) fn failure_list(&self) -> Option<PathBuf> {
        let list = self.list();
        let is_empty = std::fs::metadata(&list).is_ok_and(|found| found.len() == 0);
        if is_empty && let Err(error) = remove_file(&list) {
            tracing::warn!(%error, "an empty list of failures stays");
        }
        (!is_empty && list.exists()).then_some(list)
    }

    /// The list of what would be done, of a dry run.
    pub(super) fn plan_list(&self) -> Option<PathBuf> {
        let list = plan_path(&self.failures(), &self.execution);
        list.exists().then_some(list)
    }

    fn list(&self) -> PathBuf {
        failure_list_path(&self.failures(), &self.execution)
    }
}

fn local(error: StateError) -> Failure {
    Failure::new(ErrorCode::LocalStateFault, error.to_string())
}

fn in_use(spec: &ExecutionSpec) -> Failure {
    Failure::new(
        ErrorCode::LocalStateFault,
        format!(
            "another copy from {} to {} is running; wait for its end",
            place(&spec.source),
            place(&spec.destination)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::{CopyFlags, CopyRequest};
    use super::*;

    fn spec(state_dir: &Path, exclude: &[&str]) -> ExecutionSpec {
        let flags = CopyFlags {
            source: "nfs://nas/export".to_owned(),
            destination: "s3://bucket".to_owned(),
            exclude: exclude.iter().map(|text| (*text).to_owned()).collect(),
            state_dir: Some(state_dir.display().to_string()),
            ..CopyFlags::default()
        };
        CopyRequest::new(&flags, []).unwrap().spec
    }

    #[test]
    fn a_pair_is_copied_by_one_process_at_a_time() {
        let scratch = tempfile::tempdir().unwrap();
        let first = spec(scratch.path(), &[]);
        let held = PairDirectory::open(scratch.path(), &first).unwrap();
        let second = spec(scratch.path(), &["*.tmp"]);
        let refused = PairDirectory::open(scratch.path(), &second).unwrap_err();
        assert_eq!(
            refused.detail,
            "another copy from nfs://nas/export/ to s3://bucket/ is running; wait for its end"
        );
        drop(held);
        PairDirectory::open(scratch.path(), &second).unwrap();
    }

    #[test]
    fn a_journal_stays_until_the_end_and_a_list_until_the_next_beginning() {
        let scratch = tempfile::tempdir().unwrap();
        let spec_here = spec(scratch.path(), &[]);
        let pair = PairDirectory::open(scratch.path(), &spec_here).unwrap();
        pair.begin().unwrap();
        assert!(!pair.has_journal());
        std::fs::write(pair.execution().join("journal"), "x").unwrap();
        std::fs::write(pair.list(), "{}\n").unwrap();
        pair.begin().unwrap();
        assert!(pair.has_journal());
        assert_eq!(pair.failure_list(), Some(pair.list()));
        drop(pair);
        let other = PairDirectory::open(scratch.path(), &spec(scratch.path(), &["/x"])).unwrap();
        assert_eq!(other.others().len(), 1);
        drop(other);
        let pair = PairDirectory::open(scratch.path(), &spec_here).unwrap();
        pair.end();
        assert!(!pair.execution().exists());
        assert!(pair.others().is_empty());
        pair.begin().unwrap();
        assert_eq!(pair.failure_list(), None);
        std::fs::write(pair.list(), "").unwrap();
        assert_eq!(pair.failure_list(), None);
        assert!(!pair.list().exists());
    }
}
