//! Tasks that start by themselves.
//!
//! A start is planned in the task's row and moved on in the transaction that makes the execution,
//! so that no start happens twice, whoever looks. One that is missed, since control was away or
//! the task could not be started, is made up for as soon as it can be; of several, only one.

use std::sync::Arc;
use std::time::Duration;

use datasync_model::{ErrorCode, ExecutionStatus, TaskArn, TaskExecutionArn, UniqueId};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::{Settings, start_scheduled};
use crate::records::{DisabledBy, Execution, FAILURES_MAX, Task, TaskSchedule};
use crate::store::{PlaceInTime, Store, StoreError, Transaction};

/// How often starts that are due are looked for.
const TICK: Duration = Duration::from_secs(1);
/// A start that is refused is tried again after this time.
const RETRY: Duration = Duration::from_secs(15);
/// How often plans are compared with the clock: it may have run ahead when they were made.
const STRAIGHTEN: Duration = Duration::from_secs(3600);
/// Starts of one look; the rest follows in the next.
const BATCH: usize = 100;
/// Plans that are compared with the clock at a time.
const LOOKED_THROUGH: usize = 500;

/// Starts what is due until `shutdown`.
pub(crate) async fn keep_starting(
    store: Store,
    settings: Arc<Settings>,
    shutdown: CancellationToken,
) {
    let mut straighten_at = Instant::now();
    loop {
        if straighten_at <= Instant::now() {
            straighten_at = Instant::now() + STRAIGHTEN;
            if let Err(error) = straighten(&store, Timestamp::now()).await {
                tracing::error!(%error, "schedules cannot be looked through; trying later");
            }
        }
        if let Err(error) = start_due(&store, &settings, Timestamp::now()).await {
            tracing::error!(%error, "scheduled tasks cannot be started; trying again");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// Plans anew what a clock that ran ahead had planned.
///
/// # Errors
/// [`StoreError`]
pub(crate) async fn straighten(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let from: Option<PlaceInTime> = after;
        let read = store.read(move |tx| ahead(tx, from.as_ref(), now));
        let found: Vec<TaskArn>;
        (found, after) = read.await?;
        for task in found {
            store
                .commit(move |tx| straighten_one(tx, &task, now))
                .await?;
        }
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Some of the tasks, of which those that are planned too far ahead are named, and where to go on.
fn ahead(
    tx: &Transaction<'_>,
    after: Option<&PlaceInTime>,
    now: Timestamp,
) -> Result<(Vec<TaskArn>, Option<PlaceInTime>), StoreError> {
    let (tasks, unreadable) = tx.planned_tasks(after, i64::MAX, LOOKED_THROUGH)?;
    let is_full = tasks.len() + unreadable.len() == LOOKED_THROUGH;
    let due = |task: &Task| task.schedule.as_ref()?.due_at_ms;
    let places = tasks.iter().map(|row| &row.record);
    let places = places.filter_map(|task| Some((due(task)?, task.arn.id().to_owned())));
    let broken = unreadable.iter();
    let broken =
        broken.filter_map(|row| Some((row.number("/schedule/due_at_ms")?, row.id.clone())));
    let next = places.chain(broken).max().filter(|_| is_full);
    let is_ahead = |task: &Task| {
        let schedule = task.schedule.clone();
        schedule.is_some_and(|mut schedule| schedule.straighten(now))
    };
    let tasks = tasks.into_iter().map(|row| row.record);
    let ahead = tasks.filter(is_ahead).map(|task| task.arn).collect();
    Ok((ahead, next))
}

fn straighten_one(tx: &Transaction<'_>, task: &TaskArn, now: Timestamp) -> Result<(), StoreError> {
    let Some(mut row) = tx.get::<Task>(task.id())? else {
        return Ok(());
    };
    let schedule = row.record.schedule.as_mut();
    if schedule.is_some_and(|schedule| schedule.straighten(now)) {
        tx.update(&row)?;
    }
    Ok(())
}

/// Why one start was neither made nor put off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Failed(String),
    #[error("the system's random source failed: {0}")]
    Random(#[from] getrandom::Error),
}

/// Starts the tasks that are due at `now`.
///
/// # Errors
/// [`StoreError`] of the list; a start that fails stops no other.
pub(crate) async fn start_due(
    store: &Store,
    settings: &Arc<Settings>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let due = store
        .read(move |tx| tx.due_tasks(now.as_millisecond(), BATCH))
        .await?;
    for task in due {
        if let Err(error) = start(store, settings.clone(), task.clone(), now).await {
            tracing::error!(%task, %error, "a scheduled start failed; trying again");
        }
    }
    Ok(())
}

async fn start(
    store: &Store,
    settings: Arc<Settings>,
    task: TaskArn,
    now: Timestamp,
) -> Result<(), StartError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)?;
    let execution = TaskExecutionArn::new(&task, UniqueId::from_random(random));
    store
        .commit(move |tx| start_in(tx, &settings, &execution, now))
        .await
}

fn start_in(
    tx: &Transaction<'_>,
    settings: &Settings,
    execution: &TaskExecutionArn,
    now: Timestamp,
) -> Result<(), StartError> {
    let Some(mut row) = tx.get::<Task>(execution.task().id())? else {
        return Ok(());
    };
    let last = row.record.last_execution.clone();
    let Some(schedule) = &mut row.record.schedule else {
        return Ok(());
    };
    let (Some(planned_ms), Some(due_ms)) = (schedule.planned_at_ms, schedule.due_at_ms) else {
        return Ok(());
    };
    if due_ms > now.as_millisecond() {
        return Ok(());
    }
    if count_last(tx, last.as_ref(), schedule, now)? {
        tracing::warn!(task = %execution.task(), event = "schedule.disabled", "the schedule is switched off");
        return Ok(tx.update(&row)?);
    }
    match start_scheduled(tx, settings, execution, (planned_ms, now.as_millisecond())) {
        Ok(()) => {
            schedule.plan_after(now);
            tracing::info!(%execution, event = "execution.scheduled", "started by its schedule");
            // The start has changed the rest of the row.
            let Some(mut started) = tx.get::<Task>(execution.task().id())? else {
                return Ok(());
            };
            started.record.schedule = row.record.schedule;
            Ok(tx.update(&started)?)
        }
        Err(error) if error.is_refusal() => {
            if schedule.put_off(now, RETRY) {
                tracing::warn!(task = %execution.task(), %error, event = "schedule.delayed", "a scheduled start must wait");
            }
            Ok(tx.update(&row)?)
        }
        Err(error) => Err(StartError::Failed(error.to_string())),
    }
}

/// Counts how the last execution ended, if it was a scheduled one; whether the schedule was
/// switched off for it.
fn count_last(
    tx: &Transaction<'_>,
    last: Option<&TaskExecutionArn>,
    schedule: &mut TaskSchedule,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(last) = last else { return Ok(false) };
    let Some(Execution {
        status,
        report,
        scheduled_for_ms: Some(planned_ms),
        ..
    }) = tx.get::<Execution>(last.id())?.map(|row| row.record)
    else {
        return Ok(false);
    };
    if !status.is_terminal() {
        return Ok(false);
    }
    let failure = report.and_then(|report| report.result.failure);
    let broke_off =
        failure.filter(|failure| status == ExecutionStatus::Error && broke_off(failure.code));
    let is_off = schedule.count(planned_ms, broke_off.as_ref().map(|failure| failure.code));
    if let Some(failure) = broke_off.filter(|_| is_off) {
        let reason = format!("The task failed {FAILURES_MAX} times in a row: {failure}");
        schedule.disable(DisabledBy::Service, reason, now);
    }
    Ok(is_off)
}

/// Whether an execution that ended like this did not get through: one that left single items out
/// did.
fn broke_off(code: ErrorCode) -> bool {
    let is_end = matches!(code, ErrorCode::UploadsOpen | ErrorCode::Cancelled);
    !is_end && !code.leaves_items_out()
}

#[cfg(test)]
mod tests;
