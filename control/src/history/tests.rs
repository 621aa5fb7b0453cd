use super::*;
use crate::fleet::fixture;
use crate::store::tests::bed::{Bed, contract};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

contract! {
    only_old_ended_executions_go_and_the_last_one_stays,
    more_than_a_batch_goes_by_batches,
    a_deleted_tasks_executions_go_by_batches,
}

fn execution(task: u64, number: u64, ended_at_ms: Option<i64>) -> Execution {
    Execution {
        ended_at_ms,
        ..fixture::execution_row(task, number)
    }
}

async fn filled(bed: &Bed<'_>, tasks: Vec<Task>, executions: Vec<Execution>) -> Store {
    let store = bed.open();
    let inserted = store.commit(move |tx| {
        tasks.iter().try_for_each(|row| tx.insert(row))?;
        executions.iter().try_for_each(|row| tx.insert(row))
    });
    Box::pin(inserted).await.unwrap();
    store
}

async fn left(store: &Store) -> Vec<Option<i64>> {
    let rows = store.read(|tx| tx.list::<Execution>(None, 10_000)).await;
    let mut left: Vec<_> = rows
        .unwrap()
        .iter()
        .map(|row| row.record.ended_at_ms)
        .collect();
    left.sort_unstable();
    left
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(100 * DAY_MS).unwrap()
}

async fn only_old_ended_executions_go_and_the_last_one_stays(bed: &Bed<'_>) {
    let rows = vec![
        execution(1, 1, Some(9 * DAY_MS)),
        execution(1, 2, Some(10 * DAY_MS - 1)),
        execution(1, 3, Some(10 * DAY_MS)),
        execution(1, 4, None),
        execution(1, 5, Some(DAY_MS)),
        // Its task is gone, from before such executions went with it.
        execution(2, 6, Some(2 * DAY_MS)),
    ];
    let task = fixture::task_row(1, Some(rows[4].arn().clone()));
    let store = filled(bed, vec![task], rows).await;
    assert_eq!(prune(&store, KEPT, now()).await.unwrap(), 3);
    assert_eq!(prune(&store, KEPT, now()).await.unwrap(), 0);
    assert_eq!(left(&store).await, [None, Some(DAY_MS), Some(10 * DAY_MS)]);
}

async fn more_than_a_batch_goes_by_batches(bed: &Bed<'_>) {
    let count = 2 * BATCH as u64 + 10;
    // Many at one moment; the last one of each fifth task stays.
    let rows: Vec<_> = (0..count)
        .map(|n| execution(n, n, Some(DAY_MS + n as i64 / 300)))
        .collect();
    let tasks = rows.iter().step_by(5).zip(0_u64..);
    let tasks = tasks.map(|(row, n)| fixture::task_row(5 * n, Some(row.arn().clone())));
    let tasks: Vec<Task> = tasks.collect();
    let kept = tasks.len();
    let store = filled(bed, tasks, rows).await;
    let before = store.read(|tx| tx.generation()).await.unwrap().number;
    let pruned = prune(&store, KEPT, now()).await.unwrap();
    assert_eq!(pruned as usize, count as usize - kept);
    assert_eq!(left(&store).await.len(), kept);
    let after = store.read(|tx| tx.generation()).await.unwrap().number;
    assert_eq!(after - before, 3, "three commits");
}

async fn a_deleted_tasks_executions_go_by_batches(bed: &Bed<'_>) {
    let count = 2 * BATCH as u64 + 10;
    let mut rows: Vec<_> = (0..count).map(|n| execution(1, n, Some(DAY_MS))).collect();
    rows.push(execution(2, count, Some(7)));
    let task = fixture::task_row(1, None);
    let store = filled(bed, vec![task.clone()], rows).await;
    let deleted = store.commit(move |tx| forget_task(tx, &task));
    Box::pin(deleted).await.unwrap();
    assert_eq!(left(&store).await.len(), count as usize - BATCH + 1);
    let waiting = || store.read(|tx| tx.list::<DeletedTask>(None, 9));
    assert_eq!(waiting().await.unwrap().len(), 1);
    let pruned = prune_deleted(&store).await.unwrap();
    assert_eq!(pruned as usize, count as usize - BATCH);
    assert_eq!(left(&store).await, [Some(7)]);
    assert_eq!(waiting().await.unwrap().len(), 0);
    assert_eq!(prune_deleted(&store).await.unwrap(), 0);
}
