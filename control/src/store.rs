//! Control's rows: id, version, parent and a versioned JSON body, in SQLite.
//!
//! A commit is all or nothing and durable (`synchronous=FULL`) before it returns. Rows are the
//! truth; [`Store::changes`] only wakes those who wait for them.

mod rows;
mod schema;
mod seal;
mod transaction;
mod worker;

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

pub(crate) use rows::Unreadable;
pub(crate) use seal::{Place, SealError, Sealed, Sealer};
pub(crate) use transaction::{Record, Transaction, Versioned};
use worker::{Mode, Worker};

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
    /// SQLite or the disk.
    #[error("the store {path} failed while {doing}: {source}{}", disk::database_advice(.source))]
    Database {
        /// The database.
        path: String,
        /// What was being done.
        doing: &'static str,
        /// SQLite's own words.
        source: rusqlite::Error,
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
    fn database(sql: &Connection, doing: &'static str) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let path = sql.path().unwrap_or_default().to_owned();
        move |source| Self::Database {
            path: path.clone(),
            doing,
            source,
        }
    }
}

/// The handle to the rows. Clones share one database; the last one to go closes it.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    writer: Arc<Worker>,
    reader: Arc<Worker>,
    changes: watch::Receiver<u64>,
}

impl Store {
    /// Opens or creates the database in `state_dir`, and brings its schema up to date.
    ///
    /// Blocks on the disk: call it before serving. `incarnation` is used if the store is new.
    ///
    /// # Errors
    /// [`StoreError`] with the file or the statement that failed.
    pub(crate) fn open(state_dir: &Path, incarnation: &str) -> Result<Self, StoreError> {
        let path = state_dir.join(DATABASE_FILE);
        schema::create_private(&path)?;
        let mut connection = schema::connect(&path)?;
        schema::migrate(&mut connection, incarnation)?;
        let generation = transaction::generation(&connection)?.number;
        let (sender, changes) = watch::channel(generation);
        Ok(Self {
            writer: Arc::new(Worker::start(connection, Mode::Write(sender))?),
            reader: Arc::new(Worker::start(schema::connect(&path)?, Mode::Read)?),
            changes,
        })
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
        run(&self.reader, f).await
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
        run(&self.writer, f).await
    }

    /// Rises after every commit of this process. Rows are the truth; this only wakes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
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
mod tests;
