//! Backups of a state directory: a directory of the same form, made while control serves.
//!
//! A restored store begins a new incarnation, so that agents that were told more than it knows
//! take none of its generations for an older one of theirs.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::ca::{CaError, read_pair};
use crate::disk;
use crate::state::{State, StateError, StatePlace, new_incarnation};
use crate::store::{Database, Sealer, Store, StoreError};

/// What of the CA is copied: the certificate and the key that belongs to it, wherever that lies while
/// another CA is put in place. Control's own certificate is made anew.
const CA_KEY: &str = "ca.key.pem";
const CA_CERTIFICATE: &str = "ca.pem";
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

impl From<CaError> for BackupError {
    fn from(error: CaError) -> Self {
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
    let pair = read_pair(from)?;
    let directory = to.join(CA_DIRECTORY);
    make_directory(&directory)?;
    write_private(&mut pair.key_pem.as_bytes(), &directory.join(CA_KEY))?;
    let certificate = directory.join(CA_CERTIFICATE);
    write_private(&mut pair.certificate_pem.as_bytes(), &certificate)?;
    sync(&directory)?;
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
    write_private(&mut source, to)
}

fn write_private(from: &mut impl io::Read, to: &Path) -> Result<(), BackupError> {
    let mut copied = || -> io::Result<()> {
        let mut target = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(to)?;
        io::copy(from, &mut target)?;
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
mod tests;
