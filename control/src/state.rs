//! Control's state: rows, the key that seals secrets, the CA.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::ca::{Authorities, AuthoritiesError, Authority, CaError};
use crate::disk;
use crate::records::SharedAuthority;
use crate::store::{Database, SealError, Sealer, Store, StoreError, Transaction};

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

/// Where control's state is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePlace {
    /// Its directory, for one replica alone.
    pub directory: PathBuf,
    /// The rows, which replicas share if they are on a server.
    pub database: Database,
    /// The key that seals secrets, if it is not in the directory.
    pub sealing_key_file: Option<PathBuf>,
}

impl From<&Path> for StatePlace {
    /// Everything in one directory.
    fn from(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            database: Database::Sqlite,
            sealing_key_file: None,
        }
    }
}

impl From<&PathBuf> for StatePlace {
    fn from(directory: &PathBuf) -> Self {
        directory.as_path().into()
    }
}

impl StatePlace {
    fn make_sealer(&self) -> Result<Sealer, SealError> {
        match &self.sealing_key_file {
            Some(path) => Sealer::open_existing(path),
            None => Sealer::open(&self.directory),
        }
    }

    fn existing_sealer(&self) -> Result<Sealer, SealError> {
        match &self.sealing_key_file {
            Some(path) => Sealer::open_existing(path),
            None => Sealer::open_existing(&Sealer::default_path(&self.directory)),
        }
    }
}

/// An open state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) authority: Arc<Authority>,
}

impl State {
    /// Opens `place`, making it at the first start. Blocks on the disk, on the database, and on
    /// another process that opens it.
    ///
    /// # Errors
    /// [`StateError`] with the file.
    pub(crate) fn open(place: impl Into<StatePlace>, now: Timestamp) -> Result<Self, StateError> {
        let place = place.into();
        let directory = &place.directory;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(file_error(directory))?;
        let _alone = open_alone(directory)?;
        let incarnation = new_incarnation()?;
        let (store, (sealer, authority)) = match &place.database {
            Database::Sqlite => {
                let store = Store::open(directory, &incarnation)?;
                let sealer = place.make_sealer()?;
                (store, (sealer, Authority::open(directory, now)?))
            }
            Database::Postgres(settings) => {
                let place = place.clone();
                let shared = move |rows: &Transaction<'_>| shared_secrets(rows, &place, now);
                Store::connect(settings, &incarnation, shared)?
            }
        };
        Ok(Self {
            store,
            sealer: Arc::new(sealer),
            authority: Arc::new(authority),
        })
    }
}

impl State {
    /// The CAs of the state, also while one takes the place of another.
    ///
    /// # Errors
    /// [`AuthoritiesError`].
    pub(crate) async fn authorities(
        &self,
        now: Timestamp,
    ) -> Result<Arc<Authorities>, AuthoritiesError> {
        let (store, sealer) = (self.store.clone(), self.sealer.clone());
        Authorities::load(store, sealer, self.authority.clone(), now).await
    }
}

/// Replicas have one CA: the first one makes it and puts it into the database, sealed; the others
/// bring the sealing key and take it from there.
fn shared_secrets(
    rows: &Transaction<'_>,
    place: &StatePlace,
    now: Timestamp,
) -> Result<(Sealer, Authority), StateError> {
    let directory = &place.directory;
    if let Some(row) = rows.get::<SharedAuthority>(SharedAuthority::ID)? {
        let sealer = place.existing_sealer()?;
        let key = row.record.open_key(&sealer)?;
        let authority = Authority::adopt(directory, &key, &row.record, now)?;
        return Ok((sealer, authority));
    }
    let sealer = place.make_sealer()?;
    let authority = Authority::open(directory, now)?;
    let key = Authority::key_pem(directory)?;
    rows.insert(&SharedAuthority::new(&sealer, &key, authority.pem())?)?;
    Ok((sealer, authority))
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
    use std::collections::BTreeSet;
    use std::sync::Barrier;

    use super::*;
    use crate::store::Place;
    use crate::store::test_server::{Server, settings};

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

    fn replica(directory: &Path, url: &str) -> StatePlace {
        StatePlace {
            database: Database::Postgres(Box::new(settings(url))),
            ..directory.into()
        }
    }

    fn open_replica(place: &StatePlace) -> Result<State, StateError> {
        State::open(place.clone(), Timestamp::now())
    }

    #[test]
    fn replicas_share_the_authority_and_must_bring_the_sealing_key() {
        let server = Server::start();
        let url = server.new_database();
        let directories: [_; 4] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        let [first, second, keyless, other] = directories.each_ref().map(|d| d.path());
        let made = open_replica(&replica(first, &url)).unwrap();
        let error = open_replica(&replica(keyless, &url))
            .unwrap_err()
            .to_string();
        assert!(error.contains("sealing.key is missing: copy it"), "{error}");
        // By a file anywhere.
        let key = first.join("sealing.key");
        let place = StatePlace {
            sealing_key_file: Some(key.clone()),
            ..replica(second, &url)
        };
        let shared = open_replica(&place).unwrap();
        assert_eq!(shared.authority.fingerprint(), made.authority.fingerprint());
        let sealed = made.sealer.seal(PLACE, "secret").unwrap();
        assert!(shared.sealer.open_secret(PLACE, &sealed).is_ok());
        assert!(!second.join("sealing.key").exists());
        // Or in its place.
        std::fs::copy(&key, keyless.join("sealing.key")).unwrap();
        open_replica(&replica(keyless, &url)).unwrap();
        open_replica(&replica(keyless, &url)).unwrap();
        // Another control's directory is not made over.
        let foreign = State::open(other, Timestamp::now()).unwrap();
        let error = open_replica(&replica(other, &url)).unwrap_err().to_string();
        assert!(error.contains("another sealing.key"), "{error}");
        let place = StatePlace {
            sealing_key_file: Some(key),
            ..replica(other, &url)
        };
        let error = open_replica(&place).unwrap_err().to_string();
        assert!(error.contains("not the CA of the database"), "{error}");
        let again = State::open(other, Timestamp::now()).unwrap();
        assert_eq!(
            again.authority.fingerprint(),
            foreign.authority.fingerprint()
        );
    }

    #[test]
    fn replicas_that_start_at_once_make_one_authority() {
        let server = Server::start();
        let url = server.new_database();
        let all = tempfile::tempdir().unwrap();
        let key = all.path().join("key");
        std::fs::write(&key, [7; 32]).unwrap();
        let start = Barrier::new(4);
        let open = |number: usize| {
            start.wait();
            let place = StatePlace {
                sealing_key_file: Some(key.clone()),
                ..replica(&all.path().join(number.to_string()), &url)
            };
            open_replica(&place).unwrap().authority.fingerprint()
        };
        let open = &open;
        let opened: BTreeSet<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || open(n))).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(opened.len(), 1);
    }
}
