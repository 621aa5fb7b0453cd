//! Backups of a state directory: a directory of the same form, made while control serves.
//!
//! A restored store begins a new incarnation, so that agents that were told more than it knows
//! take none of its generations for an older one of theirs.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::disk;
use crate::state::{State, StateError, StatePlace, new_incarnation};
use crate::store::{Database, Sealer, Store, StoreError};

/// What of the CA is copied; control's own certificate is made anew.
const CA_FILES: [&str; 2] = ["ca/ca.key.pem", "ca/ca.pem"];
const CA_DIRECTORY: &str = "ca";
/// Below the state directory: what is not yet in its place.
const DRAFT: &str = "restoring";

/// Why there is no backup, or nothing is restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or directory.
    #[error("cannot use {}: {source}{}", path.display(), disk::advice(.source))]
    File {
        /// Which one.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Nothing is overwritten.
    #[error("{} exists already: {advice}", path.display())]
    Exists {
        /// What exists.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// Something is not there.
    #[error("{} is missing: {advice}", path.display())]
    Missing {
        /// What is missing.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// The rows are on a server.
    #[error(
        "the rows are in PostgreSQL: back them up with pg_dump, and keep the sealing key; after a \
         restore run `datasync-control incarnation renew` before control serves"
    )]
    OnServer,
    /// The state or the database.
    #[error("{0}")]
    State(String),
}

impl From<StateError> for BackupError {
    fn from(error: StateError) -> Self {
        Self::State(error.to_string())
    }
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::State(error.to_string())
    }
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { path, source }
}

/// Copies the state of `place` as of one moment to the new directory `to`. Control may serve
/// meanwhile. `to` appears once it is complete and on the disk.
///
/// A sealing key outside the state directory is not copied.
///
/// # Errors
/// [`BackupError`]; what was begun lies beside `to`, named `*.partial`.
pub fn back_up(place: &StatePlace, to: &Path) -> Result<(), BackupError> {
    if place.database != Database::Sqlite {
        return Err(BackupError::OnServer);
    }
    if to.exists() {
        return Err(BackupError::Exists {
            path: to.to_owned(),
            advice: "name a directory that does not exist",
        });
    }
    let from = &place.directory;
    let database = Store::file(from);
    if !database.exists() {
        return Err(BackupError::Missing {
            path: database,
            advice: "is this the state directory of control?",
        });
    }
    let mut draft = to.as_os_str().to_owned();
    draft.push(".partial");
    let draft = PathBuf::from(draft);
    remove(&draft)?;
    make_directory(&draft)?;
    Store::copy_file(&database, &Store::file(&draft))?;
    copy_secrets(place, from, &draft)?;
    sync(&draft)?;
    fs::rename(&draft, to).map_err(file_error(to))?;
    sync(
        to.parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new(".")),
    )
}

/// Makes the state directory of `place` from the backup `from`, with a new incarnation.
///
/// # Errors
/// [`BackupError`]; nothing that control would serve from is there then.
pub async fn restore(place: &StatePlace, from: &Path) -> Result<(), BackupError> {
    if place.database != Database::Sqlite {
        return Err(BackupError::OnServer);
    }
    let into = &place.directory;
    let database = Store::file(into);
    for path in [
        database.clone(),
        into.join(CA_DIRECTORY),
        Sealer::default_path(into),
    ] {
        if path.exists() {
            return Err(BackupError::Exists {
                path,
                advice: "restore into a new state directory, or move the old one away first",
            });
        }
    }
    let saved = Store::file(from);
    if !saved.exists() {
        return Err(BackupError::Missing {
            path: saved,
            advice: "name a directory that `datasync-control backup` made",
        });
    }
    make_directory(into)?;
    let draft = into.join(DRAFT);
    remove(&draft)?;
    make_directory(&draft)?;
    copy_private(&saved, &Store::file(&draft))?;
    renew_in(Store::open(&draft, &new_incarnation()?)?).await?;
    copy_secrets(place, from, into)?;
    sync(&draft)?;
    // Last: without its rows control does not take the directory for its own.
    fs::rename(Store::file(&draft), &database).map_err(file_error(&database))?;
    remove(&draft)?;
    sync(into)
}

/// Begins a new incarnation of the rows of `place`: after a restore, before control serves.
///
/// # Errors
/// [`BackupError::State`].
pub async fn renew_incarnation(place: StatePlace) -> Result<(), BackupError> {
    renew_in(State::open(place, jiff::Timestamp::now())?.store).await
}

async fn renew_in(store: Store) -> Result<(), BackupError> {
    let next = new_incarnation()?;
    store
        .commit(move |rows| rows.set_incarnation(&next))
        .await?;
    Ok(())
}

fn copy_secrets(place: &StatePlace, from: &Path, to: &Path) -> Result<(), BackupError> {
    make_directory(&to.join(CA_DIRECTORY))?;
    for file in CA_FILES {
        copy_private(&from.join(file), &to.join(file))?;
    }
    sync(&to.join(CA_DIRECTORY))?;
    match place.sealing_key_file {
        Some(_) => Ok(()),
        None => copy_private(&Sealer::default_path(from), &Sealer::default_path(to)),
    }
}

fn make_directory(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(file_error(path))
}

/// What an attempt that was cut off left behind.
fn remove(path: &Path) -> Result<(), BackupError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(path)(error)),
        _ => Ok(()),
    }
}

fn copy_private(from: &Path, to: &Path) -> Result<(), BackupError> {
    let mut source = File::open(from).map_err(file_error(from))?;
    let mut copied = || -> io::Result<()> {
        let mut target = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(to)?;
        io::copy(&mut source, &mut target)?;
        target.sync_all()
    };
    copied().map_err(file_error(to))
}

/// Makes the entries of a directory durable.
fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(file_error(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use jiff::Timestamp;

    use super::*;
    use crate::admin::{create_access_key, list_access_keys};
    use crate::records::Access;

    fn place(directory: &Path) -> StatePlace {
        directory.into()
    }

    #[tokio::test]
    async fn a_backup_taken_while_control_serves_is_the_state_in_a_new_incarnation() {
        let all = tempfile::tempdir().unwrap();
        let [live, saved, back] = ["live", "saved", "back"].map(|name| all.path().join(name));
        let serving = State::open(&live, Timestamp::now()).unwrap();
        let before = serving.store.read(|rows| rows.generation()).await;
        let before: Result<_, StoreError> = before;
        let kept = create_access_key(&live, Some("kept".to_owned()), Access::Full)
            .await
            .unwrap();
        back_up(&place(&live), &saved).unwrap();
        create_access_key(&live, Some("later".to_owned()), Access::Full)
            .await
            .unwrap();
        restore(&place(&back), &saved).await.unwrap();
        let keys = list_access_keys(&back).await.unwrap();
        let ids: Vec<_> = keys.iter().map(|key| key.access_key_id.as_str()).collect();
        assert_eq!(ids, [kept.access_key_id.as_str()]);
        let restored = State::open(&back, Timestamp::now()).unwrap();
        let own = restored.store.read(|rows| rows.generation()).await;
        let own: Result<_, StoreError> = own;
        assert_ne!(own.unwrap().incarnation, before.unwrap().incarnation);
        assert_eq!(
            restored.authority.fingerprint(),
            serving.authority.fingerprint()
        );
        for path in [&saved, &back] {
            for file in ["", "control.sqlite3", "sealing.key", "ca", "ca/ca.key.pem"] {
                let mode = fs::metadata(path.join(file)).unwrap().permissions().mode();
                assert_eq!(mode & 0o077, 0, "{file}");
            }
        }
        assert!(!back.join(DRAFT).exists());
    }

    #[tokio::test]
    async fn nothing_is_overwritten_and_what_is_missing_is_named() {
        let all = tempfile::tempdir().unwrap();
        let [live, saved, new] = ["live", "saved", "new"].map(|name| all.path().join(name));
        let error = back_up(&place(&live), &saved).unwrap_err().to_string();
        assert!(error.contains("control.sqlite3 is missing"), "{error}");
        drop(State::open(&live, Timestamp::now()).unwrap());
        // A backup that was cut off is in nobody's way.
        make_directory(&all.path().join("saved.partial")).unwrap();
        back_up(&place(&live), &saved).unwrap();
        let error = back_up(&place(&live), &saved).unwrap_err().to_string();
        assert!(error.contains("saved exists already"), "{error}");
        let error = restore(&place(&live), &saved)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("control.sqlite3 exists already"), "{error}");
        let error = restore(&place(&new), all.path()).await.unwrap_err();
        assert!(error.to_string().contains("backup` made"), "{error}");
        // Cut off before the rows were in their place: the next attempt says what is there.
        fs::remove_file(saved.join("ca/ca.pem")).unwrap();
        let error = restore(&place(&new), &saved).await.unwrap_err();
        assert!(error.to_string().contains("ca.pem"), "{error}");
        assert!(!Store::file(&new).exists());
    }
}
