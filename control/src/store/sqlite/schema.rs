//! The table, and how older files are brought forward.

use rusqlite::Connection;

use super::failed;
use crate::store::StoreError;
use crate::store::meta::META_KIND;

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
    // With rows as large as these a table without row ids takes twice the room, and deep searches.
    "CREATE TABLE records_by_row (
         kind TEXT NOT NULL,
         id TEXT NOT NULL,
         version INTEGER NOT NULL,
         parent TEXT,
         body TEXT NOT NULL,
         PRIMARY KEY (kind, id)
     ) STRICT;
     INSERT INTO records_by_row SELECT * FROM records ORDER BY kind, id;
     DROP TABLE records;
     ALTER TABLE records_by_row RENAME TO records;
     CREATE INDEX records_by_parent ON records (kind, parent, id);
     CREATE INDEX records_live_executions ON records (id)
         WHERE kind = 'execution' AND json_extract(body, '$.record.ended_at_ms') IS NULL;
     CREATE INDEX records_due_tasks
         ON records (kind, json_extract(body, '$.record.schedule.due_at_ms'), id)
         WHERE kind = 'task' AND json_extract(body, '$.record.schedule.due_at_ms') IS NOT NULL;
     CREATE INDEX records_ended_executions
         ON records (json_extract(body, '$.record.ended_at_ms'), id)
         WHERE kind = 'execution' AND json_extract(body, '$.record.ended_at_ms') IS NOT NULL;
     CREATE INDEX records_launched_executions ON records (id)
         WHERE kind = 'execution' AND json_extract(body, '$.record.ended_at_ms') IS NULL
             AND json_extract(body, '$.record.status') IS NOT 'QUEUED';
     CREATE INDEX records_queued_executions
         ON records (json_extract(body, '$.record.requested_at_ms'), id)
         WHERE kind = 'execution' AND json_extract(body, '$.record.status') = 'QUEUED';
     CREATE INDEX records_live_of_task
         ON records (parent, json_extract(body, '$.record.status') IS 'QUEUED',
             json_extract(body, '$.record.requested_at_ms'), id)
         WHERE kind = 'execution' AND json_extract(body, '$.record.ended_at_ms') IS NULL;
     CREATE INDEX records_tasks_by_readiness
         ON records (json_extract(body, '$.record.readiness.status'), id) WHERE kind = 'task';
     CREATE INDEX records_tasks_by_source
         ON records (json_extract(body, '$.record.source'), id) WHERE kind = 'task';
     CREATE INDEX records_tasks_by_destination
         ON records (json_extract(body, '$.record.destination'), id) WHERE kind = 'task';
     INSERT INTO records (kind, id, version, parent, body)
         SELECT DISTINCT 'location-agent', location || '/' || agent, 1, agent,
             json_object('format', 1, 'record', json_object('location', arn, 'agent', agent_arn))
         FROM (SELECT records.id AS location, json_extract(body, '$.record.arn') AS arn,
                 agents.value AS agent_arn,
                 substr(agents.value, instr(agents.value, ':agent/') + 7) AS agent
             FROM records, json_each(CASE WHEN json_valid(body) THEN body ELSE '{}' END,
                 '$.record.details.agents') AS agents
             WHERE kind = 'location');",
    // A row that is no JSON must stop nothing.
    "CREATE INDEX records_agents_by_key
         ON records (CASE WHEN json_valid(body)
             THEN json_extract(body, '$.record.public_key_fingerprint') END, id)
         WHERE kind = 'agent';",
];

pub(in crate::store) fn migrate(
    connection: &mut Connection,
    incarnation: &str,
) -> Result<(), StoreError> {
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
