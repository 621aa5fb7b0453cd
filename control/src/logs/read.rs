//! Reading the log of an execution, from first to last, a row of lines at a time.

use datasync_model::{Ability, LogLevel, LogLine, TaskExecutionArn};

use crate::records::{AgentPresence, Execution, ExecutionLog, LogChunk, LogShipment};
use crate::store::{Store, StoreError, Transaction};

/// What is known of a log besides its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) level: LogLevel,
    /// Lines that came and found no room here.
    pub(crate) left_out: u64,
    /// Where it goes besides, and why it does not get there.
    pub(crate) group_arn: Option<String>,
    pub(crate) failure: Option<String>,
    /// Whether the agent that runs it keeps logs; `None` while it has none.
    pub(crate) agent_is_able: Option<bool>,
}

/// `None` if there is no such execution.
///
/// # Errors
/// [`StoreError`] of the store.
pub(crate) async fn about(
    store: &Store,
    arn: &TaskExecutionArn,
) -> Result<Option<About>, StoreError> {
    let arn = arn.clone();
    let look = move |rows: &Transaction<'_>| {
        let execution = rows.get::<Execution>(arn.id())?.map(|row| row.record);
        let Some(execution) = execution.filter(|execution| *execution.arn() == arn) else {
            return Ok(None);
        };
        let log = rows.get::<ExecutionLog>(arn.id())?;
        let shipment = rows.get::<LogShipment>(arn.id())?;
        let agent = execution.agent.as_ref();
        let presence = agent.map(|agent| rows.get::<AgentPresence>(agent.id()));
        let presence = presence.transpose()?.flatten();
        let is_able = |abilities: &[String]| abilities.iter().any(|a| a == Ability::Logs.as_str());
        Ok(Some(About {
            level: execution.spec.options.log_level,
            left_out: log.map_or(0, |row| row.record.left_out),
            group_arn: execution.log_group_arn,
            failure: shipment.and_then(|row| row.record.failure),
            agent_is_able: presence.map(|row| is_able(&row.record.abilities)),
        }))
    };
    store.read(look).await
}

/// The lines of the execution with this id after the row of lines `after`, and that row's successor;
/// `None` at the end.
///
/// # Errors
/// [`StoreError`] of the store.
pub(crate) async fn next(
    store: &Store,
    execution_id: &str,
    after: Option<u64>,
) -> Result<Option<(u64, Vec<LogLine>)>, StoreError> {
    let id = execution_id.to_owned();
    let look = move |rows: &Transaction<'_>| {
        let after = after.map(|after| LogChunk::id_of(&id, after));
        let chunks = rows.list_children::<LogChunk>(&id, after.as_deref(), 1)?;
        let chunk = chunks.into_iter().next();
        Ok(chunk.map(|chunk| (chunk.record.number, chunk.record.lines)))
    };
    store.read(look).await
}
