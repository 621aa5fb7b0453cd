//! What lives in the state directory: rows, the key that seals secrets, the CA.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::ca::{Authority, CaError};
use crate::disk;
use crate::store::{SealError, Sealer, Store, StoreError};

/// How long to wait for another process that opens the same directory.
const OPENING_MAX: Duration = Duration::from_secs(30);
const OPENING_PAUSE: Duration = Duration::from_millis(10);
const ID_CHARACTERS: usize = 32;

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error("cannot use {}: {source}{}", path.display(), disk::advice(.source))]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("state directory {}: another datasync-control serves from it: stop that one, or choose another \
         state_dir", path.display())]
    Busy { path: PathBuf },
    #[error("state directory {}: another datasync-control has been opening it for a while", path.display())]
    Opening { path: PathBuf },
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
    /// Opens `directory`, making it at the first start. Blocks on the disk, and on another process
    /// that opens it.
    ///
    /// # Errors
    /// [`StateError`] with the file.
    pub(crate) fn open(directory: &Path, now: Timestamp) -> Result<Self, StateError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(file_error(directory))?;
        let _alone = open_alone(directory)?;
        Ok(Self {
            store: Store::open(directory, &new_incarnation()?)?,
            sealer: Arc::new(Sealer::open(directory)?),
            authority: Arc::new(Authority::open(directory, now)?),
        })
    }
}

/// Two processes that find the directory empty must not each make a sealing key and a CA. Held
/// until dropped.
fn open_alone(directory: &Path) -> Result<File, StateError> {
    let path = directory.join("open.lock");
    let file = lock_file(&path)?;
    let until = Instant::now() + OPENING_MAX;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(OPENING_PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::Opening {
                    path: directory.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(file_error(&path)(source)),
        }
    }
}

fn lock_file(path: &Path) -> Result<File, StateError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(file_error(path))
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

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::File { path, source }
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
        let file = lock_file(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StateError::Busy {
                path: directory.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(file_error(&path)(source)),
        }
    }
}

/// What tells this control from others on the same rows: the same at each start.
///
/// # Errors
/// [`StateError::File`], [`StateError::Random`].
pub(crate) fn control_id(directory: &Path) -> Result<String, StateError> {
    let path = directory.join("control.id");
    match std::fs::read_to_string(&path) {
        Ok(id) if id.len() == ID_CHARACTERS => return Ok(id),
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(file_error(&path)(source));
        }
        // A crash may have left a part of it.
        _ => {}
    }
    let id = new_incarnation()?;
    let mut file = lock_file(&path)?;
    file.set_len(0)
        .and_then(|()| file.write_all(id.as_bytes()))
        .and_then(|()| file.sync_all())
        .map_err(file_error(&path))?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::store::Place;

    const PLACE: Place<'static> = Place {
        kind: "access-key",
        id: "AKID",
        field: "secret",
    };

    #[test]
    fn whoever_opens_an_empty_directory_at_once_gets_the_same_keys() {
        for _ in 0..10 {
            let directory = tempfile::tempdir().unwrap();
            let start = Barrier::new(8);
            let open = || {
                start.wait();
                let state = State::open(directory.path(), Timestamp::now()).unwrap();
                let sealed = state.sealer.seal(PLACE, "secret").unwrap();
                (state.authority.fingerprint(), sealed)
            };
            let opened: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            let state = State::open(directory.path(), Timestamp::now()).unwrap();
            for (fingerprint, sealed) in opened {
                assert_eq!(fingerprint, state.authority.fingerprint());
                assert!(state.sealer.open_secret(PLACE, &sealed).is_ok());
            }
        }
    }
}
