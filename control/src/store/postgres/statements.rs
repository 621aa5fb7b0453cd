//! What is asked of PostgreSQL.

use super::expressions::*;
use crate::store::statements::Statements;

macro_rules! select {
    ($($rest:expr),+ $(,)?) => {
        concat!("SELECT id, version, body FROM records WHERE ", $($rest),+)
    };
}

pub(in crate::store) const STATEMENTS: Statements = Statements {
    several: select!(
        "kind = ?1 AND id = ANY (ARRAY(SELECT jsonb_array_elements_text(?2::text::jsonb)))"
    ),
    delete_several: "DELETE FROM records
         WHERE kind = ?1 AND id = ANY (ARRAY(SELECT jsonb_array_elements_text(?2::text::jsonb)))",
    children: select!("kind = ?1 AND parent = ?2 AND id > ?3 ORDER BY id LIMIT ?4"),
    live_executions: select!(
        "kind = 'execution' AND ",
        ended_at!(),
        " IS NULL AND id > ?1 ORDER BY id LIMIT ?2"
    ),
    launched_executions: select!(
        "kind = 'execution' AND ",
        ended_at!(),
        " IS NULL AND ",
        status!(),
        " IS DISTINCT FROM 'QUEUED' ORDER BY id"
    ),
    queued_executions: select!(
        "kind = 'execution' AND ",
        status!(),
        " = 'QUEUED' AND ",
        requested_at_ms!(),
        " >= ?1 AND (",
        requested_at_ms!(),
        " > ?1 OR id > ?2) ORDER BY ",
        requested_at_ms!(),
        ", id LIMIT ?3"
    ),
    queue_length: concat!(
        "SELECT '' AS id, count(*) AS version, '' AS body FROM records WHERE kind = 'execution' AND ",
        status!(),
        " = 'QUEUED'"
    ),
    live_of_task: select!(
        "kind = 'execution' AND ",
        ended_at!(),
        " IS NULL AND parent = ?1 ORDER BY ",
        is_queued!(),
        ", ",
        requested_at_ms!(),
        ", id LIMIT ?2"
    ),
    // Ordered by its index, or the planner may go through everything that is live.
    live_of_tasks: select!(
        "kind = 'execution' AND ",
        ended_at!(),
        " IS NULL AND parent = ANY (ARRAY(SELECT jsonb_array_elements_text(?1::text::jsonb)))
             ORDER BY parent, ",
        is_queued!(),
        ", ",
        requested_at_ms!(),
        ", id LIMIT ?2"
    ),
    ended_executions: select!(
        "kind = 'execution' AND ",
        ended_at_ms!(),
        " >= ?1 AND (",
        ended_at_ms!(),
        " > ?1 OR id > ?2) AND ",
        ended_at_ms!(),
        " < ?3 ORDER BY ",
        ended_at_ms!(),
        ", id LIMIT ?4"
    ),
    planned_tasks: select!(
        "kind = 'task' AND ",
        due_at!(),
        " >= ?1 AND (",
        due_at!(),
        " > ?1 OR id > ?2) AND ",
        due_at!(),
        " <= ?3 ORDER BY ",
        due_at!(),
        ", id LIMIT ?4"
    ),
    tasks_by_readiness: select!(
        "kind = 'task' AND ",
        readiness!(),
        " = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
    ),
    tasks_by_source: select!(
        "kind = 'task' AND ",
        source!(),
        " = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
    ),
    tasks_by_destination: select!(
        "kind = 'task' AND ",
        destination!(),
        " = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
    ),
    agents_by_key: select!(
        "kind = 'agent' AND ",
        key_fingerprint!(),
        " = ?1 ORDER BY id LIMIT ?2"
    ),
};
