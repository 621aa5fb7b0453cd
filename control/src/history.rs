//! The history of executions is kept for a time (AWS: 30 days). The last execution of a task
//! stays as long as its task: DescribeTask names it.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::logs;
use crate::records::{DeletedTask, Execution, Task};
use crate::store::{PlaceInTime, Record, Store, StoreError, Transaction};

/// How often executions are looked for that have grown old.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How often deleted tasks are looked for that have executions left.
const TICK: Duration = Duration::from_secs(10);
/// Rows that are looked at in one commit, so that others need not wait long.
const BATCH: usize = 200;

/// Prunes at once and then from time to time, until `shutdown`.
pub(crate) async fn keep_pruned(store: Store, kept: Duration, shutdown: CancellationToken) {
    let mut due = Instant::now();
    loop {
        let mut pruned = prune_deleted(&store).await;
        if due <= Instant::now() {
            due = Instant::now() + INTERVAL;
            let old = prune(&store, kept, Timestamp::now()).await;
            pruned = pruned.and_then(|deleted| Ok(deleted + old?));
        }
        match pruned {
            Ok(0) => {}
            Ok(pruned) => tracing::info!(
                pruned,
                event = "history.pruned",
                "old executions are forgotten"
            ),
            Err(error) => tracing::error!(%error, "old executions cannot be pruned; trying later"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// Deletes executions that ended longer ago than `kept`; says how many.
///
/// # Errors
/// [`StoreError`] of the store; batches before the one that failed are done.
pub(crate) async fn prune(
    store: &Store,
    kept: Duration,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let kept_ms = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    let oldest_ms = now.as_millisecond().saturating_sub(kept_ms);
    let mut pruned = 0;
    let mut after = None;
    loop {
        let from: Option<PlaceInTime> = after;
        let batch = store.commit(move |rows| prune_batch(rows, from.as_ref(), oldest_ms));
        let deleted;
        (deleted, after) = batch.await?;
        pruned += deleted;
        if after.is_none() {
            return Ok(pruned);
        }
    }
}

/// How many were deleted, and where the next batch begins.
fn prune_batch(
    rows: &Transaction<'_>,
    after: Option<&PlaceInTime>,
    oldest_ms: i64,
) -> Result<(u64, Option<PlaceInTime>), StoreError> {
    let (batch, broken) = rows.ended_executions(after, oldest_ms, BATCH)?;
    let batch: Vec<Execution> = batch.into_iter().map(|row| row.record).collect();
    let places = batch
        .iter()
        .filter_map(|row| Some((row.ended_at_ms?, row.id())));
    let of_broken = broken.iter();
    let of_broken = of_broken.filter_map(|row| Some((row.number("/ended_at_ms")?, row.id.clone())));
    let is_full = batch.len() + broken.len() == BATCH;
    let next = places.chain(of_broken).max().filter(|_| is_full);
    let tasks: BTreeSet<String> = batch.iter().filter_map(Execution::parent).collect();
    let (tasks, unreadable) = rows.several::<Task>(&Vec::from_iter(tasks))?;
    let named: BTreeSet<String> = tasks
        .iter()
        .filter_map(|task| task.record.last_execution.as_ref())
        .map(|last| last.id().to_owned())
        .collect();
    let is_kept = |execution: &Execution| {
        let task = execution.arn().task().id();
        named.contains(execution.arn().id()) || unreadable.iter().any(|row| row.id == task)
    };
    let old = batch.iter().filter(|execution| !is_kept(execution));
    let old: Vec<String> = old.map(Record::id).collect();
    Ok((forget(rows, &old)?, next))
}

/// Deletes the executions of deleted tasks; says how many.
///
/// # Errors
/// [`StoreError`] of the store; batches before the one that failed are done.
pub(crate) async fn prune_deleted(store: &Store) -> Result<u64, StoreError> {
    let mut pruned = 0;
    loop {
        let waiting = store.read(|rows| rows.list::<DeletedTask>(None, 1)).await?;
        let Some(task) = waiting.into_iter().next() else {
            return Ok(pruned);
        };
        let batch = store.commit(move |rows| {
            let id = task.record.id();
            let (deleted, is_done) = forget_some_of(rows, &id)?;
            if is_done && rows.get::<DeletedTask>(&id)?.is_some() {
                rows.delete::<DeletedTask>(&id, task.version)?;
            }
            Ok::<_, StoreError>(deleted)
        });
        pruned += batch.await?;
    }
}

/// Deletes the executions of a task that is being deleted: as many as one commit may, the others
/// later.
///
/// # Errors
/// [`StoreError`] of the store.
pub(crate) fn forget_task(rows: &Transaction<'_>, task: &Task) -> Result<(), StoreError> {
    let (_, is_done) = forget_some_of(rows, task.arn.id())?;
    if is_done {
        return Ok(());
    }
    let arn = task.arn.clone();
    rows.insert(&DeletedTask { arn })
}

/// How many, and whether those were all.
fn forget_some_of(rows: &Transaction<'_>, task: &str) -> Result<(u64, bool), StoreError> {
    let (some, unreadable) = rows.sorted_children::<Execution>(task, None, BATCH)?;
    let some = some.iter().map(|row| row.record.id());
    let some: Vec<String> = some
        .chain(unreadable.into_iter().map(|row| row.id))
        .collect();
    Ok((forget(rows, &some)?, some.len() < BATCH))
}

/// Deletes ended executions, with all that is kept of them.
fn forget(rows: &Transaction<'_>, executions: &[String]) -> Result<u64, StoreError> {
    logs::forget(rows, executions)?;
    rows.delete_several::<Execution>(executions)
}
