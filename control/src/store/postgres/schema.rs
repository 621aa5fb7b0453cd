//! The table as on SQLite, and how older databases are brought forward.

use tokio_postgres::Client;

use super::expressions::*;
use crate::store::meta::META_KIND;
use crate::store::{Cause, StoreError};

/// Append here; never change a line that was released. The index is the schema version.
const MIGRATIONS: &[&str] = &[
    concat!(
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
    ),
    concat!(
        "DROP INDEX records_due_tasks;
     CREATE INDEX records_due_tasks ON records (",
        due_at!(),
        ", id) WHERE kind = 'task' AND ",
        due_at!(),
        " IS NOT NULL;
     CREATE INDEX records_launched_executions ON records (id)
         WHERE kind = 'execution' AND ",
        ended_at!(),
        " IS NULL AND ",
        status!(),
        " IS DISTINCT FROM 'QUEUED';
     CREATE INDEX records_queued_executions ON records (",
        requested_at_ms!(),
        ", id) WHERE kind = 'execution' AND ",
        status!(),
        " = 'QUEUED';
     CREATE INDEX records_live_of_task ON records (parent, ",
        is_queued!(),
        ", ",
        requested_at_ms!(),
        ", id) WHERE kind = 'execution' AND ",
        ended_at!(),
        " IS NULL;
     CREATE INDEX records_tasks_by_readiness ON records (",
        readiness!(),
        ", id) WHERE kind = 'task';
     CREATE INDEX records_tasks_by_source ON records (",
        source!(),
        ", id) WHERE kind = 'task';
     CREATE INDEX records_tasks_by_destination ON records (",
        destination!(),
        ", id) WHERE kind = 'task';
     INSERT INTO records (kind, id, version, parent, body)
         SELECT DISTINCT 'location-agent', location || '/' || agent, 1, agent,
             jsonb_build_object('format', 1, 'record',
                 jsonb_build_object('location', arn, 'agent', agent_arn))::text
         FROM (SELECT records.id AS location, body.json #>> '{record,arn}' AS arn,
                 agents.arn AS agent_arn, substring(agents.arn from ':agent/(.*)') AS agent
             FROM records, LATERAL (SELECT ",
        body!(),
        " AS json) AS body, LATERAL jsonb_array_elements_text(
                 CASE jsonb_typeof(body.json #> '{record,details,agents}') WHEN 'array'
                     THEN body.json #> '{record,details,agents}' ELSE '[]' END) AS agents (arn)
             WHERE kind = 'location') AS named;"
    ),
    concat!(
        "CREATE INDEX records_agents_by_key ON records (",
        key_fingerprint!(),
        ", id) WHERE kind = 'agent';"
    ),
];

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
