//! Whether an execution may be queued.

use datasync_model::{ExecutionSpec, ExecutionStatus, TaskQueueing};

use super::super::Settings;
use super::super::error::ApiError;
use crate::records::{Agent, Eligible, Execution, ManifestConfig};
use crate::store::{StoreError, Transaction};

/// Executions of one task that may wait (DataSync quotas).
const QUEUED_MAX: usize = 50;
/// What waits, and what runs.
const LIVE_MAX: usize = QUEUED_MAX + 1;

/// May this execution wait, if it has to?
pub(super) fn check(
    tx: &Transaction<'_>,
    spec: &ExecutionSpec,
    (manifest, eligible): (Option<&ManifestConfig>, &Eligible),
    settings: &Settings,
) -> Result<(), ApiError> {
    let task = spec.execution.task();
    let live = tx.live_of_task(task.id(), LIVE_MAX)?;
    let own: Vec<&Execution> = live.iter().map(|row| &row.record).collect();
    let queueing = spec.options.task_queueing == TaskQueueing::Enabled;
    if let Some(other) = own.first().filter(|_| !queueing) {
        return Err(ApiError::invalid(format!(
            "Sync task {task} already has execution {} ({}), and TaskQueueing is DISABLED.",
            other.arn(),
            other.status
        )));
    }
    let same = own.iter().find(|execution| {
        execution.spec.includes == spec.includes
            && execution.spec.excludes == spec.excludes
            && execution.manifest.as_ref() == manifest
    });
    if let Some(same) = same {
        return Err(ApiError::invalid(format!(
            "Sync task {task} already has execution {} ({}) with the same filters and manifest.",
            same.arn(),
            same.status
        )));
    }
    let queued = |e: &&&Execution| e.status == ExecutionStatus::Queued;
    if own.iter().filter(queued).count() >= QUEUED_MAX {
        return Err(ApiError::invalid(format!(
            "Sync task {task} already has {QUEUED_MAX} queued executions."
        )));
    }
    if !queueing && all_busy(tx, eligible, settings)? {
        return Err(ApiError::invalid(format!(
            "Every agent that may run sync task {task} is busy, and TaskQueueing is DISABLED."
        )));
    }
    Ok(())
}

fn all_busy(
    tx: &Transaction<'_>,
    eligible: &Eligible,
    settings: &Settings,
) -> Result<bool, StoreError> {
    let slots = settings.executions_per_agent.get() as usize;
    let (launched, _) = tx.launched_executions()?;
    let mut after: Option<String> = None;
    loop {
        let agents = tx.list::<Agent>(after.as_deref(), 100)?;
        let free = agents.iter().any(|agent| {
            let arn = &agent.record.arn;
            let running = launched
                .iter()
                .filter(|row| row.record.agent.as_ref() == Some(arn))
                .count();
            eligible.contains(arn) && running < slots
        });
        if free {
            return Ok(false);
        }
        match agents.last() {
            Some(last) if agents.len() == 100 => after = Some(last.record.arn.id().to_owned()),
            _ => return Ok(true),
        }
    }
}
