//! What is asked of SQLite.

use crate::store::statements::Statements;

// Without statistics SQLite takes the primary key for as good as any index, and would read every
// record of the kind: indexes are named.

pub(in crate::store) const STATEMENTS: Statements = Statements {
    several: "SELECT id, version, body FROM records
         WHERE kind = ?1 AND id IN (SELECT value FROM json_each(?2))",
    delete_several: "DELETE FROM records
         WHERE kind = ?1 AND id IN (SELECT value FROM json_each(?2))",
    children: "SELECT id, version, body FROM records
         INDEXED BY records_by_parent
         WHERE kind = ?1 AND parent = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
    live_executions: "SELECT id, version, body FROM records
         INDEXED BY records_live_executions
         WHERE kind = 'execution' AND json_extract(body, '$.record.ended_at_ms') IS NULL
             AND id > ?1
         ORDER BY id LIMIT ?2",
    launched_executions: "SELECT id, version, body FROM records
         INDEXED BY records_launched_executions
         WHERE kind = 'execution' AND json_extract(body, '$.record.ended_at_ms') IS NULL
             AND json_extract(body, '$.record.status') IS NOT 'QUEUED'
         ORDER BY id",
    queued_executions: "SELECT id, version, body FROM records
         INDEXED BY records_queued_executions
         WHERE kind = 'execution' AND json_extract(body, '$.record.status') = 'QUEUED'
             AND json_extract(body, '$.record.requested_at_ms') >= ?1
             AND (json_extract(body, '$.record.requested_at_ms') > ?1 OR id > ?2)
         ORDER BY json_extract(body, '$.record.requested_at_ms'), id LIMIT ?3",
    queue_length: "SELECT '' AS id, count(*) AS version, '' AS body FROM records
         INDEXED BY records_queued_executions
         WHERE kind = 'execution' AND json_extract(body, '$.record.status') = 'QUEUED'",
    live_of_task: "SELECT id, version, body FROM records
         INDEXED BY records_live_of_task
         WHERE kind = 'execution' AND json_extract(body, '$.record.ended_at_ms') IS NULL
             AND parent = ?1
         ORDER BY json_extract(body, '$.record.status') IS 'QUEUED',
             json_extract(body, '$.record.requested_at_ms'), id LIMIT ?2",
    live_of_tasks: "SELECT id, version, body FROM records
         INDEXED BY records_live_of_task
         WHERE kind = 'execution' AND json_extract(body, '$.record.ended_at_ms') IS NULL
             AND parent IN (SELECT value FROM json_each(?1)) LIMIT ?2",
    ended_executions: "SELECT id, version, body FROM records
         INDEXED BY records_ended_executions
         WHERE kind = 'execution' AND json_extract(body, '$.record.ended_at_ms') >= ?1
             AND (json_extract(body, '$.record.ended_at_ms') > ?1 OR id > ?2)
             AND json_extract(body, '$.record.ended_at_ms') < ?3
         ORDER BY json_extract(body, '$.record.ended_at_ms'), id LIMIT ?4",
    planned_tasks: "SELECT id, version, body FROM records
         INDEXED BY records_due_tasks
         WHERE kind = 'task' AND json_extract(body, '$.record.schedule.due_at_ms') >= ?1
             AND (json_extract(body, '$.record.schedule.due_at_ms') > ?1 OR id > ?2)
             AND json_extract(body, '$.record.schedule.due_at_ms') <= ?3
         ORDER BY json_extract(body, '$.record.schedule.due_at_ms'), id LIMIT ?4",
    tasks_by_readiness: "SELECT id, version, body FROM records
         INDEXED BY records_tasks_by_readiness
         WHERE kind = 'task' AND json_extract(body, '$.record.readiness.status') = ?1
             AND id > ?2
         ORDER BY id LIMIT ?3",
    tasks_by_source: "SELECT id, version, body FROM records
         INDEXED BY records_tasks_by_source
         WHERE kind = 'task' AND json_extract(body, '$.record.source') = ?1 AND id > ?2
         ORDER BY id LIMIT ?3",
    tasks_by_destination: "SELECT id, version, body FROM records
         INDEXED BY records_tasks_by_destination
         WHERE kind = 'task' AND json_extract(body, '$.record.destination') = ?1 AND id > ?2
         ORDER BY id LIMIT ?3",
    agents_by_key: "SELECT id, version, body FROM records
         INDEXED BY records_agents_by_key
         WHERE kind = 'agent' AND CASE WHEN json_valid(body)
             THEN json_extract(body, '$.record.public_key_fingerprint') END = ?1
         ORDER BY id LIMIT ?2",
};
