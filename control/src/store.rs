//! Control's rows: id, version, parent and a versioned JSON body, in SQLite or PostgreSQL.
//!
//! A commit is all or nothing and durable before it returns. Rows are the truth;
//! [`Store::changes`] only wakes those who wait for them.

mod cause;
mod connection;
mod counts;
mod lists;
mod meta;
mod postgres;
mod rows;
mod seal;
mod sql;
mod sqlite;
mod statements;
mod times;
mod transaction;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{oneshot, watch};

pub(crate) use cause::Cause;
use connection::Connection;
pub(crate) use lists::{PlaceInTime, UseOf};
pub use postgres::Postgres;
pub(crate) use rows::{Sorted, Unreadable, whole};
pub(crate) use seal::{
    KeyFile, NoStep, Place, SealError, Sealed, Sealer, keys_written_at, new_key, read_keys,
    write_keys,
};
pub(crate) use times::Times;
pub(crate) use transaction::{Record, Transaction, Versioned};
use worker::{Changes, Mode, Worker};

use crate::disk;

/// The database inside the state directory.
const DATABASE_FILE: &str = "control.sqlite3";

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Another writer was faster: read again and decide again.
    #[error("{kind} {id} was changed or made by somebody else at the same time")]
    Conflict {
        /// The record's kind.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// A row that cannot be read as its record.
    #[error("{kind} {id} cannot be read from the store: {reason}")]
    Broken {
        /// The record's kind.
        kind: &'static str,
        /// Its id.
        id: String,
        /// What does not fit.
        reason: String,
    },
    /// The database, its disk, or the way to it.
    #[error("the store {place} failed while {doing}: {cause}{}", disk::database_advice(.cause))]
    Database {
        /// The file, or the server and its database.
        place: String,
        /// What was being done.
        doing: &'static str,
        /// The database's own words.
        cause: Cause,
    },
    /// The database comes from a newer release.
    #[error(
        "the store has schema version {found}, this release knows up to {known}: \
         run the release that wrote it, or a newer one"
    )]
    TooNew {
        /// In the file.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A file that cannot be made or read.
    #[error("cannot use {path}: {source}{}", disk::advice(.source))]
    File {
        /// Which one.
        path: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// The store's threads cannot be started.
    #[error("cannot start the store's threads: {0}")]
    Thread(std::io::Error),
    /// The store's thread has ended.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    fn database(place: String, doing: &'static str) -> impl Fn(Cause) -> Self {
        move |cause| Self::Database {
            place: place.clone(),
            doing,
            cause,
        }
    }
}

/// Where the rows are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file in the state directory.
    Sqlite,
    /// A server, which several replicas of control may share.
    Postgres(Box<Postgres>),
}

/// The handle to the rows. Clones share one database; the last one to go closes it.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    writer: Arc<Worker>,
    reader: Arc<Worker>,
    changes: watch::Receiver<u64>,
    times: Arc<Times>,
    _listener: Option<Arc<postgres::Listener>>,
}

impl Store {
    /// Opens or creates the database in `state_dir`, and brings its schema up to date.
    ///
    /// Blocks on the disk: call it before serving. `incarnation` is used if the store is new.
    ///
    /// # Errors
    /// [`StoreError`] with the file or the statement that failed.
    pub(crate) fn open(state_dir: &Path, incarnation: &str) -> Result<Self, StoreError> {
        let path = Self::file(state_dir);
        let incarnation = incarnation.to_owned();
        let (file, read_file) = (path.clone(), path);
        let (writer, changes) = Worker::start(move || {
            sqlite::create_private(&file)?;
            let mut connection = sqlite::connect(&file)?;
            sqlite::migrate(&mut connection, &incarnation)?;
            writing(Connection::Sqlite(connection))
        })?;
        let (reader, ()) = Worker::start(move || {
            let connection = sqlite::connect(&read_file)?;
            Ok::<_, StoreError>((Connection::Sqlite(connection), Mode::Read, ()))
        })?;
        Ok(Self {
            writer: Arc::new(writer),
            reader: Arc::new(reader),
            changes: changes.subscribe(),
            times: Arc::default(),
            _listener: None,
        })
    }

    /// The database's file in `state_dir`.
    pub(crate) fn file(state_dir: &Path) -> PathBuf {
        state_dir.join(DATABASE_FILE)
    }

    /// Copies the rows in the file `from` as of one moment to the new file `to`, and syncs it.
    ///
    /// # Errors
    /// [`StoreError`] with the file or the statement that failed.
    pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
        sqlite::copy(from, to)
    }

    /// Like [`Self::open`], on a server; `prepare` is its first transaction, which no other
    /// process's writes interrupt.
    ///
    /// # Errors
    /// [`StoreError`] with the server's words, or what `prepare` returns.
    pub(crate) fn connect<T, E>(
        settings: &Postgres,
        incarnation: &str,
        prepare: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<(Self, T), E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let target = Arc::new(postgres::Target::new(settings)?);
        let incarnation = incarnation.to_owned();
        let (write, read) = (target.clone(), target.clone());
        let (writer, (changes, prepared)) = Worker::start(move || {
            let session = postgres::Session::open(write, Some(&incarnation))?;
            let connection = Connection::Postgres(Box::new(session));
            let (mut connection, mode, changes) = writing(connection)?;
            let prepared = worker::perform(&mut connection, &mode, prepare)?;
            Ok::<_, E>((connection, mode, (changes, prepared)))
        })?;
        let (reader, ()) = Worker::start(move || {
            let session = postgres::Session::open(read, None)?;
            let connection = Connection::Postgres(Box::new(session));
            Ok::<_, StoreError>((connection, Mode::Read, ()))
        })?;
        let store = Self {
            writer: Arc::new(writer),
            reader: Arc::new(reader),
            changes: changes.subscribe(),
            times: Arc::default(),
            _listener: Some(Arc::new(postgres::Listener::start(target, changes)?)),
        };
        Ok((store, prepared))
    }

    /// Runs `f` on one consistent state of the rows.
    ///
    /// # Errors
    /// What `f` returns, or the store's own.
    pub(crate) async fn read<T, E>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.times.read.during(run(&self.reader, f)).await
    }

    /// Runs `f` alone and commits what it changed; nothing is changed if it returns an error.
    ///
    /// The commit takes place even if the returned future is dropped before it resolves.
    ///
    /// # Errors
    /// What `f` returns, or the store's own. After [`StoreError::Database`] of the commit itself
    /// the outcome is unknown.
    pub(crate) async fn commit<T, E>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.times.written.during(run(&self.writer, f)).await
    }

    /// How long callers have waited.
    pub(crate) fn times(&self) -> &Times {
        &self.times
    }

    /// Differs after every commit of this process and, on a server, of others. Rows are the truth;
    /// this only wakes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

/// What a worker writes by: the connection, and the generation that it starts from.
fn writing(mut connection: Connection) -> Result<(Connection, Mode, Changes), StoreError> {
    let generation = {
        let open = connection.begin(connection::Access::Read)?;
        meta::generation(open.sql())?.number
    };
    let changes = Changes::new(generation);
    Ok((connection, Mode::Write(changes.clone()), changes))
}

async fn run<T, E>(
    worker: &Worker,
    f: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let job = worker::job(f, answer);
    worker.submit(job).await?;
    answered.await.map_err(|_| StoreError::Closed)?
}

#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
pub(crate) mod tests;
