//! The few things that an update does to the disk, one step after the other, so that tests can end
//! the process before each of them.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
#[cfg(test)]
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::state::{self, StateError};

/// The disk. In tests it fails for good after a number of steps, as if the process had been killed.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    left: Option<Arc<AtomicUsize>>,
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Growing {
    disk: Disk,
    path: PathBuf,
    file: File,
}

fn told(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    move |error| StateError::new(operation, path, error)
}

impl Disk {
    #[cfg(test)]
    pub(super) fn failing_after(steps: usize) -> Self {
        Self {
            left: Some(Arc::new(AtomicUsize::new(steps))),
        }
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "tests need it")]
    fn step(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn step(&self) -> io::Result<()> {
        let Some(left) = &self.left else {
            return Ok(());
        };
        let one_less = |left: usize| left.checked_sub(1);
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .map(|_| ())
            .map_err(|_| io::Error::other("the process was killed here"))
    }

    /// Makes a private directory, with its parents.
    pub(super) fn make_directory(&self, path: &Path) -> Result<(), StateError> {
        self.step().map_err(told("make directory", path))?;
        state::make_private_directory(path)
    }

    /// Removes a directory with everything in it; it is no error if there is none.
    pub(super) fn remove_directory(&self, path: &Path) -> Result<(), StateError> {
        self.step().map_err(told("remove", path))?;
        // A half removed one must not pass for a whole one: what is verified goes first.
        state::remove_file(&path.join(super::bundle::HEADER))?;
        self.step().map_err(told("remove", path))?;
        state::remove_directory(path)
    }

    /// Begins a file anew.
    pub(super) fn create(&self, path: &Path, mode: u32) -> Result<Growing, StateError> {
        let open = || {
            self.step()?;
            let file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(mode)
                .open(path)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            Ok(file)
        };
        Ok(Growing {
            disk: self.clone(),
            path: path.to_owned(),
            file: open().map_err(told("write", path))?,
        })
    }

    /// Gives a file or directory another name; what has that name is replaced if it is a file.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), StateError> {
        let rename = || {
            self.step()?;
            fs::rename(from, to)
        };
        rename().map_err(told("write", to))?;
        match to.parent() {
            Some(parent) => self.sync_directory(parent),
            None => Ok(()),
        }
    }

    /// Makes names in a directory durable.
    pub(super) fn sync_directory(&self, path: &Path) -> Result<(), StateError> {
        let sync = || {
            self.step()?;
            File::open(path)?.sync_all()
        };
        sync().map_err(told("write", path))
    }

    /// Replaces a private file whole, durably.
    pub(super) fn replace(&self, path: &Path, content: &[u8]) -> Result<(), StateError> {
        let temporary = path.with_extension("new");
        let mut file = self.create(&temporary, 0o600)?;
        file.append(content)?;
        file.finish()?;
        self.rename(&temporary, path)
    }
}

impl Growing {
    /// In two steps, so that a file that ends in the middle is among what tests see.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        let (one, other) = bytes.split_at(bytes.len() / 2);
        for part in [one, other] {
            let written = self.disk.step().and_then(|()| self.file.write_all(part));
            written.map_err(told("write", &self.path))?;
        }
        Ok(())
    }

    /// Makes its content durable.
    pub(super) fn finish(self) -> Result<(), StateError> {
        let synced = self.disk.step().and_then(|()| self.file.sync_all());
        synced.map_err(told("write", &self.path))
    }
}
