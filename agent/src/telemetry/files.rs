//! What the files of the state directory take.

use std::fs::{self, DirEntry};
use std::path::Path;

use crate::state::{EXECUTIONS, HISTORY, LOGS};

/// More files of a kind are not looked at.
const FILES_MAX: usize = 10_000;

/// Bytes by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) journals: u64,
    pub(super) catalogs: u64,
    pub(super) logs: u64,
}

impl Sizes {
    /// Looks at names and sizes below `root`. What cannot be looked at counts as nothing: it may
    /// just have gone.
    pub(super) fn look(root: &Path) -> Self {
        let journals = entries(&root.join(EXECUTIONS));
        let journals = journals.map(|execution| execution.path().join("journal"));
        let catalogs = entries(&root.join(HISTORY)).map(|entry| entry.path());
        let catalogs = catalogs.filter(|path| path.extension().is_some_and(|end| end == "catalog"));
        Self {
            journals: journals.map(|path| size(&path)).sum(),
            catalogs: catalogs.map(|path| size(&path)).sum(),
            logs: entries(&root.join(LOGS)).map(|e| size(&e.path())).sum(),
        }
    }
}

fn entries(directory: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.take(FILES_MAX)
}

/// Of a file, or of the files in a directory.
fn size(path: &Path) -> u64 {
    match fs::metadata(path) {
        Ok(facts) if facts.is_dir() => {
            let sizes = entries(path).filter_map(|entry| Some(entry.metadata().ok()?.len()));
            sizes.sum()
        }
        Ok(facts) => facts.len(),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_added_up() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        assert_eq!(Sizes::look(root), Sizes::default());
        let write = |path: &str, bytes: usize| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![0; bytes]).unwrap();
        };
        write("executions/exec-1/journal", 3);
        write("executions/exec-1/spec.json", 100);
        write("executions/exec-2/journal/a", 4);
        write("history/a_b.catalog", 10);
        write("history/a_b.json", 100);
        write("logs/exec-1.jsonl", 20);
        let sizes = Sizes {
            journals: 7,
            catalogs: 10,
            logs: 20,
        };
        assert_eq!(Sizes::look(root), sizes);
    }
}
