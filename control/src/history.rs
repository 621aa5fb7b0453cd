//! The history of executions is kept for a time (AWS: 30 days). The last execution of a task
//! stays as long as its task: DescribeTask names it.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::records::{Execution, Task};
use crate::store::{Store, StoreError, Transaction};

/// How often old executions are looked for.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Rows that are looked at in one commit, so that others need not wait long.
const BATCH: usize = 500;

/// Prunes at once and then from time to time, until `shutdown`.
pub(crate) async fn keep_pruned(store: Store, kept: Duration, shutdown: CancellationToken) {
    loop {
        match prune(&store, kept, Timestamp::now()).await {
            Ok(0) => {}
            Ok(pruned) => tracing::info!(pruned, "old executions are forgotten"),
            Err(error) => tracing::error!(%error, "old executions cannot be pruned; trying later"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
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
    let mut after = (i64::MIN, String::new());
    loop {
        let from = after;
        let batch = store.commit(move |rows| prune_batch(rows, &from, oldest_ms));
        let (deleted, next) = batch.await?;
        pruned += deleted;
        match next {
            Some(next) => after = next,
            None => return Ok(pruned),
        }
    }
}

/// The end and the id of an execution.
type Place = (i64, String);

/// How many were deleted, and where the next batch begins.
fn prune_batch(
    rows: &Transaction<'_>,
    (from_ms, id): &Place,
    oldest_ms: i64,
) -> Result<(u64, Option<Place>), StoreError> {
    let batch = rows.ended_executions((*from_ms, id), oldest_ms, BATCH)?;
    let is_full = batch.len() == BATCH;
    let (mut deleted, mut last) = (0, None);
    for row in batch {
        let arn = row.record.arn();
        last = row
            .record
            .ended_at_ms
            .map(|ended| (ended, arn.id().to_owned()));
        let task = rows.get::<Task>(arn.task().id())?;
        if task.is_some_and(|task| task.record.last_execution.as_ref() == Some(arn)) {
            continue;
        }
        rows.delete::<Execution>(arn.id(), row.version)?;
        deleted += 1;
    }
    Ok((deleted, last.filter(|_| is_full)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::fixture;

    const DAY_MS: i64 = 24 * 60 * 60 * 1000;

    fn execution(number: u64, ended_at_ms: Option<i64>) -> Execution {
        Execution {
            ended_at_ms,
            ..fixture::execution_row(1, number)
        }
    }

    #[tokio::test]
    async fn only_old_ended_executions_go_and_the_last_one_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), "test").unwrap();
        let now = Timestamp::from_millisecond(100 * DAY_MS).unwrap();
        let rows = [
            execution(1, Some(9 * DAY_MS)),
            execution(2, Some(10 * DAY_MS - 1)),
            execution(3, Some(10 * DAY_MS)),
            execution(4, None),
            execution(5, Some(DAY_MS)),
        ];
        let task = fixture::task_row(1, Some(rows[4].arn().clone()));
        let inserted = store.commit(move |tx| {
            tx.insert(&task)?;
            rows.iter().try_for_each(|row| tx.insert(row))
        });
        Box::pin(inserted).await.unwrap();
        let kept = Duration::from_secs(90 * 24 * 60 * 60);
        assert_eq!(prune(&store, kept, now).await.unwrap(), 2);
        assert_eq!(prune(&store, kept, now).await.unwrap(), 0);
        let left = store
            .read(|tx| tx.list::<Execution>(None, 10))
            .await
            .unwrap();
        let mut left: Vec<_> = left.iter().map(|row| row.record.ended_at_ms).collect();
        left.sort_unstable();
        assert_eq!(left, [None, Some(DAY_MS), Some(10 * DAY_MS)]);
    }
}
