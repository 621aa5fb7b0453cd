//! The file with the keys, held by one command from its first look to its last write.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::SealingKeyError;
use crate::store::{KeyFile, read_keys, write_keys};

/// The keys as they were read under the lock, which lasts until this is dropped.
pub(super) struct HeldKeys {
    path: PathBuf,
    keys: KeyFile,
    _lock: File,
}

impl HeldKeys {
    /// # Errors
    /// [`SealingKeyError::Busy`] while another process has them; the file's.
    pub(super) fn take(path: PathBuf) -> Result<Self, SealingKeyError> {
        let lock = lock_beside(&path)?;
        let keys = read_keys(&path)?;
        Ok(Self {
            path,
            keys,
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn keys(&self) -> &KeyFile {
        &self.keys
    }

    /// Writes `keys`, if the file still holds what was read.
    ///
    /// # Errors
    /// [`SealingKeyError::Replaced`], or the file's; then it is as it was.
    pub(super) fn replace(&mut self, keys: KeyFile) -> Result<(), SealingKeyError> {
        if read_keys(&self.path)? != self.keys {
            return Err(SealingKeyError::Replaced {
                path: self.path.clone(),
            });
        }
        write_keys(&self.path, &keys)?;
        self.keys = keys;
        Ok(())
    }
}

/// On a file of its own: the one with the keys is replaced as a whole.
fn lock_beside(key_file: &Path) -> Result<File, SealingKeyError> {
    let mut path = key_file.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let failed = |error: std::io::Error| {
        SealingKeyError::State(format!(
            "cannot use {}: {error}{}",
            path.display(),
            crate::disk::advice(&error)
        ))
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SealingKeyError::Busy { path }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
