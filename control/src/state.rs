//! What lives in the state directory: rows, the key that seals secrets, the CA.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::ca::{Authority, CaError};
use crate::store::{SealError, Sealer, Store, StoreError};

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error("state directory {}: {source}", path.display())]
    Directory {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("state directory {}: another datasync-control serves from it", path.display())]
    Busy { path: PathBuf },
    #[error("the system's random source failed: {0}")]
    Random(String),
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// An open state directory.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) authority: Arc<Authority>,
}

impl State {
    /// Opens `directory`, making it at the first start. Blocks on the disk.
    ///
    /// # Errors
    /// [`StateError`] with the file.
    pub(crate) fn open(directory: &Path, now: Timestamp) -> Result<Self, StateError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(directory_error(directory))?;
        Ok(Self {
            store: Store::open(directory, &new_incarnation()?)?,
            sealer: Arc::new(Sealer::open(directory)?),
            authority: Arc::new(Authority::open(directory, now)?),
        })
    }
}

/// A random name for an incarnation of the store.
///
/// # Errors
/// [`StateError::Random`].
pub(crate) fn new_incarnation() -> Result<String, StateError> {
    let mut incarnation = [0u8; 16];
    getrandom::fill(&mut incarnation).map_err(|e| StateError::Random(e.to_string()))?;
    Ok(hex::encode(incarnation))
}

fn directory_error(path: &Path) -> impl FnOnce(std::io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Directory { path, source }
}

/// Makes sure that one process serves from a state directory. Held until dropped; the system
/// lets go of it when the process dies.
#[derive(Debug)]
pub(crate) struct ServeLock {
    _file: File,
}

impl ServeLock {
    /// # Errors
    /// [`StateError::Busy`] while another process serves.
    pub(crate) fn take(directory: &Path) -> Result<Self, StateError> {
        let path = directory.join("serve.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(directory_error(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StateError::Busy {
                path: directory.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(directory_error(&path)(source)),
        }
    }
}
