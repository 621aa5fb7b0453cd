//! Where the lists of items that were not done are kept, and for how long.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Lists of this many executions are kept, the newest.
const KEPT_MAX: usize = 100;

/// The list of an execution.
pub(crate) fn path(directory: &Path, execution_id: &str) -> PathBuf {
    directory.join(format!("{execution_id}.jsonl"))
}

/// The list of what a dry run would do. It is kept and removed with the others.
pub(crate) fn plan_path(directory: &Path, execution_id: &str) -> PathBuf {
    directory.join(format!("{execution_id}.plan.jsonl"))
}

/// Removes all but the newest lists. What cannot be removed is logged and tried again next time.
pub(super) fn prune(directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    let mut lists: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        })
        .collect();
    lists.sort();
    let surplus = lists.len().saturating_sub(KEPT_MAX);
    for (_, list) in lists.into_iter().take(surplus) {
        if let Err(error) = std::fs::remove_file(&list) {
            tracing::warn!(%error, list = %list.display(), "an old list of failures stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_lists_stay() {
        let directory = tempfile::tempdir().unwrap();
        for index in 0..KEPT_MAX + 2 {
            let list = path(directory.path(), &format!("exec-{index:03}"));
            std::fs::write(&list, "{}\n").unwrap();
            let age = std::time::Duration::from_secs(index as u64);
            let file = std::fs::File::options().write(true).open(&list).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + age).unwrap();
        }
        prune(directory.path());
        let left = |index: usize| path(directory.path(), &format!("exec-{index:03}")).exists();
        assert_eq!(
            (left(0), left(1), left(2), left(KEPT_MAX + 1)),
            (false, false, true, true)
        );
    }
}
