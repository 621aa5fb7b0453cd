//! What one round of the driver writes, row by row, each after a look at the row as it is now.

use datasync_model::{
    AgentArn, AgentStatus, ExecutionEvent, ExecutionReport, ExecutionStatus, Telemetry, Tenure,
};
use jiff::Timestamp;

use super::{PresenceChange, Seen};
use crate::fleet::abandoned::{Abandoned, Loss};
use crate::fleet::inbox::Reported;
use crate::fleet::observed::{result_after, status_after};
use crate::fleet::probes::Verdict;
use crate::records::{Agent, AgentPresence, Execution, Readiness, Task};
use crate::scheduler::{Launch, Left, is_movable};
use crate::store::{StoreError, Transaction, Versioned};

pub(super) fn write_presence(
    rows: &Transaction<'_>,
    change: &PresenceChange,
) -> Result<(), StoreError> {
    let id = change.agent.id();
    if rows.get::<Agent>(id)?.is_none() {
        return Ok(());
    }
    let row = rows.get::<AgentPresence>(id)?;
    if row
        .as_ref()
        .is_some_and(|row| !is_as_seen(&row.record, change))
    {
        return Ok(());
    }
    match (row, &change.heard) {
        (Some(mut row), heard) => {
            row.record.reported = change.status;
            if let Some(heard) = heard {
                let facts = &heard.facts;
                row.record.last_contact_ms = heard.at.as_millisecond();
                row.record.lease_ms = heard.lease_ms;
                row.record.version.clone_from(&facts.version);
                row.record.boot_nonce.clone_from(&facts.boot_nonce);
                row.record.abilities.clone_from(&facts.abilities);
                row.record.host.clone_from(&facts.host);
                row.record.certificate = facts.certificate;
            }
            rows.update(&row)
        }
        (None, Some(heard)) => rows.insert(&AgentPresence {
            arn: change.agent.clone(),
            reported: change.status,
            last_contact_ms: heard.at.as_millisecond(),
            version: heard.facts.version.clone(),
            boot_nonce: heard.facts.boot_nonce.clone(),
            abilities: heard.facts.abilities.clone(),
            host: heard.facts.host.clone(),
            replica: change.seen.replica.clone(),
            lease_ms: heard.lease_ms,
            losers: Vec::new(),
            certificate: heard.facts.certificate,
            clone_seen_ms: None,
        }),
        (None, None) => Ok(()),
    }
}

/// Whoever was heard of is this replica's as long as no other has claimed it; silence counts only
/// if it lasts.
fn is_as_seen(row: &AgentPresence, change: &PresenceChange) -> bool {
    row.replica == change.seen.replica
        && (change.heard.is_some() || last_contact(row) == change.seen.last_contact)
}

fn last_contact(row: &AgentPresence) -> Option<Timestamp> {
    Timestamp::from_millisecond(row.last_contact_ms).ok()
}

/// Whether nothing was heard of `agent` since it was `seen`, on whatever replica.
fn is_still_silent(
    rows: &Transaction<'_>,
    agent: &AgentArn,
    seen: &Seen,
) -> Result<bool, StoreError> {
    let row = rows.get::<AgentPresence>(agent.id())?;
    let now = row.map_or_else(Seen::default, |row| Seen {
        last_contact: last_contact(&row.record),
        replica: row.record.replica,
    });
    Ok(now == *seen)
}

/// A clone that is refused again and again is written this often.
const CLONE_INTERVAL_MS: i64 = 60_000;

fn is_clone_news(row: &AgentPresence, now_ms: i64) -> bool {
    let age_ms = row.clone_seen_ms.map(|seen| now_ms.saturating_sub(seen));
    age_ms.is_none_or(|age_ms| age_ms >= CLONE_INTERVAL_MS)
}

/// Says in the agent's row that another machine with its identity was refused. The machine that won
/// may have come so lately that the row is not written yet.
pub(super) fn write_clone(
    rows: &Transaction<'_>,
    agent: &AgentArn,
    now_ms: i64,
) -> Result<(), StoreError> {
    match rows.get::<AgentPresence>(agent.id())? {
        Some(row) if !is_clone_news(&row.record, now_ms) => Ok(()),
        Some(mut row) => {
            row.record.clone_seen_ms = Some(now_ms);
            rows.update(&row)
        }
        None if rows.get::<Agent>(agent.id())?.is_none() => Ok(()),
        None => rows.insert(&AgentPresence {
            arn: agent.clone(),
            reported: AgentStatus::Offline,
            last_contact_ms: now_ms,
            version: String::new(),
            boot_nonce: String::new(),
            abilities: Vec::new(),
            host: None,
            replica: String::new(),
            lease_ms: 0,
            losers: Vec::new(),
            certificate: None,
            clone_seen_ms: Some(now_ms),
        }),
    }
}

pub(super) fn write_verdict(rows: &Transaction<'_>, verdict: Verdict) -> Result<(), StoreError> {
    let Some(mut row) = rows.get::<Task>(verdict.task.id())? else {
        return Ok(());
    };
    tracing::info!(task = %verdict.task, result = ?verdict.result, event = "task.tried", "task was tried");
    let unable = &mut row.record.unable;
    for agent in verdict.unable {
        if !unable.contains(&agent) {
            unable.push(agent);
        }
    }
    unable.retain(|agent| Some(agent) != verdict.able.as_ref());
    row.record.readiness = Readiness::of(verdict.result);
    rows.update(&row)
}

pub(super) fn write_report(
    rows: &Transaction<'_>,
    reported: &Reported,
    now: Timestamp,
) -> Result<(), StoreError> {
    let report = &reported.report;
    let Some(mut row) = rows.get::<Execution>(report.execution.id())? else {
        return Ok(());
    };
    let execution = &mut row.record;
    let tenure = Tenure {
        epoch: reported.epoch,
        leased: false,
    };
    if execution.agent.as_ref() != Some(&reported.agent)
        || *execution.arn() != report.execution
        || !tenure.is_of(execution.tenure)
    {
        return Ok(());
    }
    let Some(status) = status_after(execution.status, report.status) else {
        return Ok(());
    };
    if status != execution.status {
        tracing::info!(execution = %report.execution, from = %execution.status, to = %status,
            event = "execution.changed",
            "execution moved");
    }
    execution.status = status;
    execution.report = Some(ExecutionReport {
        execution: report.execution.clone(),
        status,
        counters: report.counters,
        result: result_after(status, report),
        telemetry: Telemetry::default(),
    });
    if status.is_terminal() {
        let telemetry = &report.telemetry;
        tracing::info!(execution = %report.execution, %status,
            source_requests = telemetry.source_requests.total(),
            destination_requests = telemetry.destination_requests.total(), event = "execution.ended", "execution ended");
        execution.ended_at_ms = Some(now.as_millisecond());
    }
    rows.update(&row)
}

pub(super) fn end_abandoned(
    rows: &Transaction<'_>,
    abandoned: &Abandoned,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(mut row) = rows.get::<Execution>(abandoned.execution.id())? else {
        return Ok(());
    };
    let execution = &mut row.record;
    let Ok(status) = execution.status.apply(ExecutionEvent::Fail) else {
        return Ok(());
    };
    let holds = match &abandoned.why {
        Loss::Deleted => rows.get::<Agent>(abandoned.agent.id())?.is_none(),
        Loss::Unreachable { seen, .. } => {
            execution.status == ExecutionStatus::Cancelling
                && is_still_silent(rows, &abandoned.agent, seen)?
        }
    };
    if !holds || execution.agent.as_ref() != Some(&abandoned.agent) {
        return Ok(());
    }
    let before = execution.report.take();
    let (counters, result) = before.map(|r| (r.counters, r.result)).unwrap_or_default();
    let result = abandoned.result(result);
    tracing::warn!(execution = %abandoned.execution, failure = ?result.failure,
        event = "execution.abandoned",
        "an execution ends without its agent");
    execution.status = status;
    execution.ended_at_ms = Some(now.as_millisecond());
    execution.report = Some(ExecutionReport {
        execution: abandoned.execution.clone(),
        status,
        counters,
        result,
        telemetry: Telemetry::default(),
    });
    rows.update(&row)
}

/// Whether the execution is launched by this.
pub(super) fn write_launch(
    rows: &Transaction<'_>,
    launch: &Launch,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(mut row) = rows.get::<Execution>(launch.execution.id())? else {
        return Ok(false);
    };
    // Deleted since the plan was made: another agent may run it.
    if rows.get::<Agent>(launch.agent.id())?.is_none() {
        return Ok(false);
    }
    if let Some(from) = &launch.from {
        return write_move(rows, row, launch, from);
    }
    if row.record.status != ExecutionStatus::Queued {
        return Ok(false);
    }
    let Ok(status) = row.record.status.apply(ExecutionEvent::Launch) else {
        return Ok(false);
    };
    tracing::info!(execution = %launch.execution, agent = %launch.agent, event = "execution.launched", "execution is launched");
    row.record.status = status;
    row.record.agent = Some(launch.agent.clone());
    row.record.tenure = launch.tenure;
    row.record.launched_at_ms = Some(now.as_millisecond());
    rows.update(&row)?;
    Ok(true)
}

/// Gives an execution to another agent, unless the one that has it was heard of meanwhile. Its
/// status stays: it never goes back.
fn write_move(
    rows: &Transaction<'_>,
    mut row: Versioned<Execution>,
    launch: &Launch,
    from: &Left,
) -> Result<bool, StoreError> {
    let execution = &mut row.record;
    let is_as_planned = execution.agent.as_ref() == Some(&from.agent)
        && execution.tenure.next(launch.tenure.leased) == launch.tenure
        && is_movable(execution.status, execution.tenure)
        && is_still_silent(rows, &from.agent, &from.seen)?;
    if !is_as_planned {
        return Ok(false);
    }
    tracing::warn!(execution = %launch.execution, from = %from.agent, to = %launch.agent,
        epoch = launch.tenure.epoch, event = "execution.moved", "its agent is gone: an execution moves to another one");
    execution.move_to(launch.agent.clone(), launch.tenure);
    rows.update(&row)?;
    Ok(true)
}

#[cfg(test)]
mod tests;
