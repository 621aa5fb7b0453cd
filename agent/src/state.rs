//! The state directory: one agent at a time, every file written whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
pub(crate) const IDENTITY: &str = "identity";
pub(crate) const EXECUTIONS: &str = "executions";
/// What is remembered from one execution of a pair of locations to the next.
pub(crate) const HISTORY: &str = "history";
/// Lists of the items that were not done, one file for each execution; they outlive it.
pub(crate) const FAILURES: &str = "failures";
/// Logs of executions that control has not kept to their end.
pub(crate) const LOGS: &str = "logs";

/// A failed access to the state directory.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}{}", .path.display(), advice(.source))]
pub struct StateError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl StateError {
    pub(crate) fn new(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            operation,
            path: path.to_owned(),
            source,
        }
    }

    /// Whether another process holds the lock.
    pub(crate) fn is_locked(&self) -> bool {
        self.source.kind() == ErrorKind::WouldBlock
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; free space on that file system, or choose another state_dir"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; the user that runs the agent must be able to write there"
        }
        ErrorKind::WouldBlock => {
            "; another agent uses this state directory: give each agent a state_dir of its own"
        }
        _ => "",
    }
}

/// A state directory that this process has to itself until the value is dropped.
#[derive(Debug)]
pub(crate) struct StateDir {
    root: PathBuf,
    /// Held for its lock only.
    _lock: File,
}

impl StateDir {
    /// Makes what is missing (directories 0700) and takes the lock.
    pub(crate) fn open(root: &Path) -> Result<Self, StateError> {
        make_private_directory(root)?;
        let lock = lock(root)?;
        for name in [IDENTITY, EXECUTIONS, HISTORY, FAILURES, LOGS] {
            make_private_directory(&root.join(name))?;
        }
        Ok(Self {
            root: root.to_owned(),
            _lock: lock,
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

/// Takes the lock of the directory at `root`; it is held until the file is dropped.
pub(crate) fn lock(root: &Path) -> Result<File, StateError> {
    let path = root.join(LOCK);
    let lock = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| StateError::new("open", &path, e))?;
    take_lock(&lock).map_err(|e| StateError::new("lock", &path, e))?;
    Ok(lock)
}

/// A health check holds a shared lock for an instant, hence the second and third try.
fn take_lock(lock: &File) -> io::Result<()> {
    for _ in 0..2 {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            result => return result.map_err(io::Error::from),
        }
    }
    lock.try_lock().map_err(io::Error::from)
}

/// Whether some process holds the lock of the state directory at `root`.
pub(crate) fn is_locked(root: &Path) -> Result<bool, StateError> {
    let path = root.join(LOCK);
    let lock = File::open(&path).map_err(|e| StateError::new("open", &path, e))?;
    match lock.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(StateError::new("lock", &path, e)),
    }
}

/// Makes a directory (and its parents) with mode 0700, or sets the mode of one that exists.
pub(crate) fn make_private_directory(path: &Path) -> Result<(), StateError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)))
        .map_err(|e| StateError::new("make directory", path, e))
}

/// Replaces the file at `path` (mode 0600) so that a crash leaves the old content or the new.
///
/// Blocks for two fsyncs: for small files that change rarely. A link in the place of the new file is
/// not followed: the console, which is root, writes where the agent's user may.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> Result<(), StateError> {
    let temporary = path.with_extension("new");
    let result = write_and_rename(&temporary, path, content);
    if result.is_err() {
        // The first error is the one to report; a left-over is overwritten by the next write.
        fs::remove_file(&temporary).ok();
    }
    result.map_err(|e| StateError::new("write", path, e))
}

fn write_and_rename(temporary: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    // Left by a crash, or put there by somebody else: a new file is what this one is.
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Reads a whole file; `None` if it does not exist.
pub(crate) fn read_optional(path: &Path) -> Result<Option<String>, StateError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StateError::new("read", path, e)),
    }
}

/// Removes a file durably; it is no error if there is none.
pub(crate) fn remove_file(path: &Path) -> Result<(), StateError> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path).map_err(|e| StateError::new("remove", path, e)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(StateError::new("remove", path, e)),
    }
}

/// Removes a directory with everything in it; it is no error if there is none.
pub(crate) fn remove_directory(path: &Path) -> Result<(), StateError> {
    match fs::remove_dir_all(path) {
        Ok(()) => sync_parent(path).map_err(|e| StateError::new("remove", path, e)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(StateError::new("remove", path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_state_directory_is_private_and_not_shared() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("state");
        let first = StateDir::open(&root).unwrap();
        assert_eq!(mode(&root), 0o700);
        assert_eq!(mode(&first.path(IDENTITY)), 0o700);
        assert!(is_locked(&root).unwrap());
        let refused = StateDir::open(&root).unwrap_err().to_string();
        assert!(refused.contains("another agent uses"), "{refused}");
        drop(first);
        assert!(!is_locked(&root).unwrap());
        StateDir::open(&root).unwrap();
    }

    #[test]
    fn files_are_replaced_whole_and_stay_private() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a.json");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(read_optional(&path).unwrap().as_deref(), Some("two"));
        assert_eq!(mode(&path), 0o600);
        let left: Vec<_> = fs::read_dir(scratch.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
        let other = scratch.path().join("other");
        fs::write(&other, "untouched").unwrap();
        std::os::unix::fs::symlink(&other, path.with_extension("new")).unwrap();
        write_atomically(&path, b"three").unwrap();
        assert_eq!(read_optional(&path).unwrap().as_deref(), Some("three"));
        assert_eq!(read_optional(&other).unwrap().as_deref(), Some("untouched"));
        remove_file(&path).unwrap();
        remove_file(&path).unwrap();
        assert_eq!(read_optional(&path).unwrap(), None);
    }

    #[test]
    fn a_full_disk_is_named_with_what_to_do() {
        let error = StateError::new(
            "write",
            Path::new("/state/x"),
            io::Error::from(ErrorKind::StorageFull),
        );
        let text = error.to_string();
        assert!(text.starts_with("cannot write /state/x: "), "{text}");
        assert!(text.contains("free space"), "{text}");
    }
}
