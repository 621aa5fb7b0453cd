//! Rows in a SQLite file: the table, and how older files are brought forward.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::StoreError;
use super::transaction::META_KIND;

// Without statistics SQLite takes the primary key for as good as any index, and would read every
// record of the kind.

pub(super) const CHILDREN: &str = "SELECT id, version, body FROM records
     INDEXED BY records_by_parent
     WHERE kind = ?1 AND parent = ?2 AND id > ?3 ORDER BY id LIMIT ?4";

pub(super) const LIVE_EXECUTIONS: &str = "SELECT id, version, body FROM records
     INDEXED BY records_live_executions
     WHERE kind = 'execution' AND json_extract(body, '$.record.ended_at_ms') IS NULL
     ORDER BY id";

pub(super) const DUE_TASKS: &str = "SELECT id, version, body FROM records
     INDEXED BY records_due_tasks
     WHERE kind = 'task' AND json_extract(body, '$.record.schedule.due_at_ms') <= ?1
     ORDER BY json_extract(body, '$.record.schedule.due_at_ms') LIMIT ?2";

pub(super) const ENDED_EXECUTIONS: &str = "SELECT id, version, body FROM records
     INDEXED BY records_ended_executions
     WHERE kind = 'execution' AND json_extract(body, '$.record.ended_at_ms') >= ?1
         AND (json_extract(body, '$.record.ended_at_ms') > ?1 OR id > ?2)
         AND json_extract(body, '$.record.ended_at_ms') < ?3
     ORDER BY json_extract(body, '$.record.ended_at_ms'), id LIMIT ?4";

/// How long to wait for another process, such as `access-key create`, to finish its commit.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Append here; never change a line that was released. The index is the schema version.
const MIGRATIONS: &[&str] = &[
    "CREATE TABLE records (
         kind TEXT NOT NULL,
         id TEXT NOT NULL,
         version INTEGER NOT NULL,
         parent TEXT,
         body TEXT NOT NULL,
         PRIMARY KEY (kind, id)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX records_by_parent ON records (kind, parent, id);
     CREATE INDEX records_live_executions ON records (id)
         WHERE kind = 'execution' AND json_extract(body, '$.record.ended_at_ms') IS NULL;",
    "CREATE INDEX records_due_tasks
         ON records (kind, json_extract(body, '$.record.schedule.due_at_ms'))
         WHERE kind = 'task' AND json_extract(body, '$.record.schedule.due_at_ms') IS NOT NULL;",
    "CREATE INDEX records_ended_executions
         ON records (json_extract(body, '$.record.ended_at_ms'), id)
         WHERE kind = 'execution' AND json_extract(body, '$.record.ended_at_ms') IS NOT NULL;",
];

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

pub(super) fn failed(place: String, doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    let failed = StoreError::database(place, doing);
    move |error| failed(error.into())
}

pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let failed = failed(path.display().to_string(), "opening the database");
    let connection = Connection::open(path).map_err(&failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(&failed)?;
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

pub(super) fn migrate(connection: &mut Connection, incarnation: &str) -> Result<(), StoreError> {
    let place = connection.path().unwrap_or_default().to_owned();
    let failed = failed(place, "bringing the schema up to date");
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(&failed)?;
    let found: i64 = transaction
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(&failed)?;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for statements in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(statements).map_err(&failed)?;
    }
    transaction
        .pragma_update(None, "user_version", known)
        .map_err(&failed)?;
    transaction
        .execute(
            "INSERT OR IGNORE INTO records (kind, id, version, parent, body) VALUES (?1, ?1, 1, NULL, ?2)",
            (META_KIND, incarnation),
        )
        .map_err(&failed)?;
    transaction.commit().map_err(&failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_any_older_schema_is_brought_forward_with_its_rows() {
        let newest = i64::try_from(MIGRATIONS.len()).unwrap();
        for (done, version) in (1..MIGRATIONS.len()).zip(1_i64..) {
            let mut file = Connection::open_in_memory().unwrap();
            for statements in &MIGRATIONS[..done] {
                file.execute_batch(statements).unwrap();
            }
            file.pragma_update(None, "user_version", version).unwrap();
            let row = "INSERT INTO records VALUES ('task', 'task-1', 3, NULL, '{\"format\":1}')";
            file.execute_batch(row).unwrap();
            migrate(&mut file, "incarnation").unwrap();
            let (rows, found): (i64, i64) = file
                .query_row(
                    "SELECT count(*), (SELECT user_version FROM pragma_user_version) FROM records",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .unwrap();
            assert_eq!((rows, found), (2, newest), "the row and the store's own");
        }
    }
}
