//! The table as on SQLite, and how older databases are brought forward.

use tokio_postgres::Client;

use crate::store::transaction::META_KIND;
use crate::store::{Cause, StoreError};

/// The body as PostgreSQL takes it apart: its JSON knows no NUL, which texts of agents may hold.
macro_rules! body {
    () => {
        r"replace(body, '\u0000', '\ufffd')::jsonb"
    };
}

macro_rules! ended_at {
    () => {
        concat!("(", body!(), " #>> '{record,ended_at_ms}')")
    };
}

macro_rules! ended_at_ms {
    () => {
        concat!("(", ended_at!(), "::bigint)")
    };
}

macro_rules! due_at {
    () => {
        concat!(
            "((",
            body!(),
            " #>> '{record,schedule,due_at_ms}')::bigint)"
        )
    };
}

pub(in crate::store) const CHILDREN: &str = "SELECT id, version, body FROM records
     WHERE kind = ?1 AND parent = ?2 AND id > ?3 ORDER BY id LIMIT ?4";

pub(in crate::store) const LIVE_EXECUTIONS: &str = concat!(
    "SELECT id, version, body FROM records WHERE kind = 'execution' AND ",
    ended_at!(),
    " IS NULL ORDER BY id"
);

pub(in crate::store) const DUE_TASKS: &str = concat!(
    "SELECT id, version, body FROM records WHERE kind = 'task' AND ",
    due_at!(),
    " <= ?1 ORDER BY ",
    due_at!(),
    " LIMIT ?2"
);

pub(in crate::store) const ENDED_EXECUTIONS: &str = concat!(
    "SELECT id, version, body FROM records WHERE kind = 'execution' AND ",
    ended_at_ms!(),
    " >= ?1 AND (",
    ended_at_ms!(),
    " > ?1 OR id > ?2) AND ",
    ended_at_ms!(),
    " < ?3 ORDER BY ",
    ended_at_ms!(),
    ", id LIMIT ?4"
);

/// Append here; never change a line that was released. The index is the schema version.
const MIGRATIONS: &[&str] = &[concat!(
    r#"CREATE TABLE records (
         kind text COLLATE "C" NOT NULL,
         id text COLLATE "C" NOT NULL,
         version bigint NOT NULL,
         parent text COLLATE "C",
         body text NOT NULL,
         PRIMARY KEY (kind, id)
     );
     CREATE INDEX records_by_parent ON records (kind, parent, id);
     CREATE INDEX records_live_executions ON records (id)
         WHERE kind = 'execution' AND "#,
    ended_at!(),
    " IS NULL;
     CREATE INDEX records_due_tasks ON records (",
    due_at!(),
    ") WHERE kind = 'task' AND ",
    due_at!(),
    " IS NOT NULL;
     CREATE INDEX records_ended_executions ON records (",
    ended_at_ms!(),
    ", id) WHERE kind = 'execution' AND ",
    ended_at_ms!(),
    " IS NOT NULL;"
)];

/// Replicas that start at the same time take turns. The number is ours alone.
const BEGIN: &str = "BEGIN;
     SET LOCAL statement_timeout = 0;
     SET LOCAL lock_timeout = 0;
     SELECT pg_advisory_xact_lock(4931604271880261843);
     CREATE TABLE IF NOT EXISTS datasync_schema (version bigint NOT NULL);";

/// Why the schema is not up to date.
#[derive(Debug)]
pub(super) enum MigrateError {
    Database(Cause),
    TooNew { found: i64, known: i64 },
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

impl MigrateError {
    pub(super) fn at(self, place: &str) -> StoreError {
        match self {
            Self::Database(cause) => {
                StoreError::database(place.to_owned(), "bringing the schema up to date")(cause)
            }
            Self::TooNew { found, known } => StoreError::TooNew { found, known },
        }
    }
}

/// The transaction stays open after an error: the connection is to be dropped then.
pub(super) async fn migrate(client: &Client, incarnation: &str) -> Result<(), MigrateError> {
    migrate_by(client, incarnation, MIGRATIONS).await
}

async fn migrate_by(
    client: &Client,
    incarnation: &str,
    migrations: &[&str],
) -> Result<(), MigrateError> {
    client.batch_execute(BEGIN).await?;
    let row = client
        .query_opt("SELECT version FROM datasync_schema", &[])
        .await?;
    let found: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(MigrateError::TooNew { found, known });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for statements in migrations.iter().skip(done) {
        client.batch_execute(statements).await?;
    }
    if found < known {
        client.batch_execute("DELETE FROM datasync_schema").await?;
        let insert = "INSERT INTO datasync_schema VALUES ($1)";
        client.execute(insert, &[&known]).await?;
    }
    let meta = "INSERT INTO records (kind, id, version, parent, body) VALUES ($1, $1, 1, NULL, $2)
         ON CONFLICT DO NOTHING";
    client.execute(meta, &[&META_KIND, &incarnation]).await?;
    Ok(client.batch_execute("COMMIT").await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_server::{Server, settings};

    /// A migration that is not ours.
    const NEXT: &str = "ALTER TABLE records ADD COLUMN later bigint NOT NULL DEFAULT 7";

    #[tokio::test]
    async fn a_database_of_any_older_schema_is_brought_forward_with_its_rows() {
        let server = Server::start();
        let future = [MIGRATIONS, &[NEXT]].concat();
        for done in 1..=MIGRATIONS.len() {
            let target = super::super::Target::new(&settings(&server.new_database())).unwrap();
            let link = target.connect(|| {}).await.unwrap();
            let client = &link.client;
            migrate_by(client, "one", &MIGRATIONS[..done])
                .await
                .unwrap();
            let row = "INSERT INTO records VALUES ('task', 'task-1', 3, NULL, '{\"format\":1}')";
            client.batch_execute(row).await.unwrap();
            migrate(client, "two").await.unwrap();
            migrate_by(client, "two", &future).await.unwrap();
            let found = "SELECT count(*), sum(later)::bigint, min(body), max(s.version)
                FROM records, datasync_schema s";
            let found = client.query_one(found, &[]).await.unwrap();
            let found: (i64, i64, String, i64) =
                (found.get(0), found.get(1), found.get(2), found.get(3));
            let newest = i64::try_from(future.len()).unwrap();
            assert_eq!(found, (2, 14, "one".to_owned(), newest));
            let older = migrate(client, "two").await;
            assert!(
                matches!(older, Err(MigrateError::TooNew { .. })),
                "{older:?}"
            );
        }
    }
}
