//! Logs of executions (`LogLevel`): lines that agents send are kept in rows, each once, as long as the
//! execution is.

mod part;
mod read;

use datasync_model::{AgentArn, LOG_BYTES_MAX, LOG_LINES_MAX, LogLine};

pub(crate) use part::Part;
pub(crate) use read::{About, about, next};

use crate::records::{Execution, ExecutionLog, LogChunk, LogSource};
use crate::store::{StoreError, Transaction, Versioned};

/// Logs of agents that are told apart for one execution: each agent that takes it over begins one.
const SOURCES_MAX: usize = 16;

/// Keeps what is new in `part`, which `agent` sent. The number of the next line that is wanted of
/// this log.
///
/// # Errors
/// [`StoreError`] of the store; nothing is kept then.
pub(crate) fn keep(
    rows: &Transaction<'_>,
    agent: &AgentArn,
    part: Part,
) -> Result<u64, StoreError> {
    let end = part.end();
    let id = part.execution.id().to_owned();
    let execution = rows.get::<Execution>(&id)?.map(|row| row.record);
    let execution = execution.filter(|execution| *execution.arn() == part.execution);
    let Some(execution) = execution.filter(|execution| execution.was_given_to(agent)) else {
        tracing::debug!(%agent, execution = %part.execution, "a log of an execution that is not the agent's");
        return Ok(end);
    };
    let known = rows.get::<ExecutionLog>(&id)?;
    let version = known.as_ref().map(|row| row.version);
    let mut log = known.map_or_else(
        || ExecutionLog::new(part.execution.clone()),
        |row| row.record,
    );
    let before = log.clone();
    let (next, lines) = take(&mut log, agent, part);
    if !lines.is_empty() {
        rows.insert(&LogChunk {
            execution: id,
            number: log.chunks,
            lines,
        })?;
        log.chunks += 1;
        crate::cloudwatch::note(rows, &execution)?;
    }
    match version {
        None => rows.insert(&log)?,
        Some(version) if log != before => rows.update(&Versioned {
            version,
            record: log,
        })?,
        Some(_) => {}
    }
    Ok(next)
}

/// Counts `part` of `agent` in `log`: the next line that is wanted of its source, and the lines to be
/// kept.
fn take(log: &mut ExecutionLog, agent: &AgentArn, part: Part) -> (u64, Vec<LogLine>) {
    let position = log.sources.iter().position(|source| {
        source.log_id == part.log_id && source.agent.as_ref().is_none_or(|known| known == agent)
    });
    let position = position.unwrap_or_else(|| {
        log.sources.push(LogSource {
            log_id: part.log_id.clone(),
            agent: Some(agent.clone()),
            next: 0,
        });
        log.sources
            .drain(..log.sources.len().saturating_sub(SOURCES_MAX));
        log.sources.len() - 1
    });
    let next = log.sources.get(position).map_or(0, |source| source.next);
    let Some(known) = next.checked_sub(part.first) else {
        // Something is missing in between: this store was restored.
        return (next, Vec::new());
    };
    let end = part.end().max(next);
    let news = part
        .lines
        .into_iter()
        .skip(usize::try_from(known).unwrap_or(usize::MAX));
    let mut kept = Vec::new();
    for line in news {
        if log.lines < LOG_LINES_MAX && log.bytes + line.size() <= LOG_BYTES_MAX {
            log.lines += 1;
            log.bytes += line.size();
            kept.push(line);
        } else {
            log.left_out += 1;
        }
    }
    if let Some(source) = log.sources.get_mut(position) {
        source.next = end;
        source.agent = Some(agent.clone());
    }
    (end, kept)
}

/// Forgets the logs of the executions with these ids.
///
/// # Errors
/// [`StoreError`] of the store.
pub(crate) fn forget(rows: &Transaction<'_>, executions: &[String]) -> Result<(), StoreError> {
    if rows.delete_several::<ExecutionLog>(executions)? == 0 {
        return Ok(());
    }
    for execution in executions {
        rows.delete_children::<LogChunk>(execution)?;
    }
    crate::cloudwatch::forget(rows, executions)
}

#[cfg(test)]
mod tests;
