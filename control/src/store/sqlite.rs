//! Rows in a SQLite file.

mod schema;
mod statements;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::StoreError;
pub(super) use schema::migrate;
pub(super) use statements::STATEMENTS;

/// How long to wait for another process, such as `access-key create`, to finish its commit.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Statements that stay prepared: more than there are.
const STATEMENTS_MAX: usize = 64;

/// Makes the file with mode 0600 before SQLite does; its companions inherit the mode.
pub(super) fn create_private(path: &Path) -> Result<(), StoreError> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|source| StoreError::File {
            path: path.display().to_string(),
            source,
        })
}

fn failed(place: String, doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    let failed = StoreError::database(place, doing);
    move |error| failed(error.into())
}

pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let failed = failed(path.display().to_string(), "opening the database");
    let connection = Connection::open(path).map_err(&failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(&failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA trusted_schema = OFF;",
        )
        .map_err(failed)?;
    Ok(connection)
}

pub(super) fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    create_private(to)?;
    let failed = failed(to.display().to_string(), "copying the rows");
    let text = to.to_string_lossy();
    connect(from)?
        .execute("VACUUM INTO ?1", [&*text])
        .map_err(failed)?;
    std::fs::File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(|source| StoreError::File {
            path: to.display().to_string(),
            source,
        })
}
