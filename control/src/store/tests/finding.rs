//! Lists find what they say and nothing else, on both databases.

use datasync_model::{ExecutionStatus, Failure, TaskStatus};

use super::bed::{Bed, contract};
use crate::fleet::fixture;
use crate::records::{Agent, Execution, Readiness, Tags, Task, TaskSchedule};
use crate::store::{Record, Store, StoreError, Transaction, UseOf};

contract! {
    what_is_live_and_what_is_due_is_found,
    the_queue_is_in_the_order_of_its_times,
    a_tasks_live_executions_begin_with_what_runs,
    tasks_are_found_by_readiness_and_by_location,
    several_records_are_found_by_their_ids,
    agents_are_found_by_their_keys,
}

fn live(number: u64, status: ExecutionStatus, requested_at_ms: i64) -> Execution {
    Execution {
        status,
        requested_at_ms,
        ..fixture::execution_row(1, number)
    }
}

async fn put<R: Record>(store: &Store, rows: Vec<R>) {
    let made = store.commit(move |tx| rows.iter().try_for_each(|row| tx.insert(row)));
    Box::pin(made).await.unwrap();
}

async fn ids<R: Record>(
    store: &Store,
    list: impl FnOnce(&Transaction<'_>) -> Result<Vec<crate::store::Versioned<R>>, StoreError>
    + Send
    + 'static,
) -> Vec<String> {
    let rows = store.read(list).await.unwrap();
    rows.iter().map(|row| row.record.id()).collect()
}

fn of<R: Record>(rows: &[R], numbers: &[usize]) -> Vec<String> {
    numbers.iter().map(|number| rows[*number].id()).collect()
}

async fn what_is_live_and_what_is_due_is_found(bed: &Bed<'_>) {
    let store = bed.open();
    let execution = |number, ended_at_ms| Execution {
        ended_at_ms,
        ..fixture::execution_row(1, number)
    };
    // NUL and what looks like one: an agent's texts are kept as they are.
    let mut odd = execution(2, None);
    odd.tags
        .insert("a\0b\\u0000".to_owned(), "\\\\u0000\0".to_owned());
    let rows = [execution(3, None), odd.clone(), execution(1, Some(7))];
    let task = |number, due_at_ms: Option<i64>| {
        let mut task = fixture::task_row(number, None);
        task.schedule = due_at_ms.map(|due| {
            let mut schedule = TaskSchedule::new("rate(1 hour)".to_owned(), true, fixture::at(0));
            schedule.due_at_ms = Some(due);
            schedule
        });
        task
    };
    let tasks = [
        task(1, Some(300)),
        task(2, Some(100)),
        task(3, None),
        task(4, Some(301)),
    ];
    let made = store.commit(move |tx| {
        rows.iter().try_for_each(|row| tx.insert(row))?;
        tasks.iter().try_for_each(|row| tx.insert(row))
    });
    Box::pin(made).await.unwrap();
    let live = |after: Option<String>, limit| {
        let page = store.read(move |tx| tx.live_executions(after.as_deref(), limit));
        async move {
            let (rows, unreadable) = page.await.unwrap();
            assert_eq!(unreadable, []);
            rows.into_iter().map(|row| row.record).collect::<Vec<_>>()
        }
    };
    assert_eq!(live(None, 9).await, [odd.clone(), execution(3, None)]);
    assert_eq!(live(None, 1).await, [odd.clone()]);
    assert_eq!(live(Some(odd.id()), 9).await, [execution(3, None)]);
    let due = |limit| store.read(move |tx| tx.due_tasks(300, limit));
    let arn = |number| task(number, None).arn;
    assert_eq!(due(9).await.unwrap(), [arn(2), arn(1)]);
    assert_eq!(due(1).await.unwrap(), [arn(2)]);
    let after = (100, arn(2).id().to_owned());
    let planned = store.read(move |tx| tx.planned_tasks(Some(&after), i64::MAX, 9));
    let planned: Vec<_> = planned.await.unwrap().0;
    let planned: Vec<_> = planned.into_iter().map(|row| row.record.arn).collect();
    assert_eq!(planned, [arn(1), arn(4)]);
    let ended = |(from_ms, id): (i64, &str), before_ms, limit| {
        let after = (from_ms, id.to_owned());
        store.read(move |tx| {
            let (rows, _) = tx.ended_executions(Some(&after), before_ms, limit)?;
            let ids = rows.iter().map(|row| row.record.arn().id().to_owned());
            Ok::<_, StoreError>(ids.collect::<Vec<_>>())
        })
    };
    let old = execution(1, None).arn().id().to_owned();
    assert_eq!(ended((i64::MIN, ""), 8, 9).await.unwrap(), [old.as_str()]);
    assert_eq!(ended((7, ""), 8, 9).await.unwrap(), [old]);
    assert_eq!(ended((7, "~"), 8, 9).await.unwrap().len(), 0);
    assert_eq!(ended((i64::MIN, ""), 7, 9).await.unwrap().len(), 0);
    let children = store.read(move |tx| {
        tx.list_children::<Execution>(&Execution::parent(&execution(1, None)).unwrap(), None, 9)
    });
    assert_eq!(children.await.unwrap().len(), 3);
    let tasks = store.read(|tx| tx.list::<Task>(None, usize::MAX)).await;
    assert_eq!(tasks.unwrap().len(), 4);
}

async fn the_queue_is_in_the_order_of_its_times(bed: &Bed<'_>) {
    use ExecutionStatus::{Cancelling, Queued, Transferring};
    let store = bed.open();
    let mut ended = live(6, ExecutionStatus::Error, 1);
    ended.ended_at_ms = Some(2);
    let rows = vec![
        live(1, Queued, 30),
        live(2, Queued, 10),
        live(3, Queued, 10),
        live(4, Transferring, 5),
        live(5, Cancelling, 40),
        ended,
    ];
    put(&store, rows.clone()).await;
    let queue = async |after: Option<usize>, limit| {
        let place = |row: &Execution| (row.requested_at_ms, row.id());
        let after = after.map(|number| place(&rows[number]));
        ids(&store, move |tx| {
            Ok(tx.queued_executions(after.as_ref(), limit)?.0)
        })
        .await
    };
    assert_eq!(queue(None, 9).await, of(&rows, &[1, 2, 0]));
    assert_eq!(queue(None, 2).await, of(&rows, &[1, 2]));
    assert_eq!(queue(Some(1), 9).await, of(&rows, &[2, 0]));
    assert_eq!(queue(Some(0), 9).await.len(), 0);
    let counted = store.read(|tx| Ok((tx.queue_length()?, tx.count::<Execution>()?)));
    let counted: Result<_, StoreError> = counted.await;
    assert_eq!(counted.unwrap(), (3, 6));
    let launched = ids(&store, |tx| Ok(tx.launched_executions()?.0)).await;
    assert_eq!(launched, of(&rows, &[3, 4]));
    // A status of a later release: it may run.
    bed.sql(
        r#"UPDATE records SET body = replace(body, '"QUEUED"', '"DREAMING"')
           WHERE kind = 'execution' AND body LIKE '%"requested_at_ms":30,%'"#,
    );
    let (_, unreadable) = store.read(|tx| tx.launched_executions()).await.unwrap();
    assert_eq!(unreadable.len(), 1);
    assert_eq!(unreadable[0].id, rows[0].id());
    assert_eq!(unreadable[0].number("/requested_at_ms"), Some(30));
}

async fn a_tasks_live_executions_begin_with_what_runs(bed: &Bed<'_>) {
    use ExecutionStatus::{Queued, Verifying};
    let store = bed.open();
    let mut ended = live(4, ExecutionStatus::Success, 1);
    ended.ended_at_ms = Some(2);
    let other = fixture::execution_row(2, 5);
    let rows = vec![
        live(1, Queued, 20),
        live(2, Queued, 10),
        // By the clock of another replica.
        live(3, Verifying, 30),
        ended,
        other,
    ];
    put(&store, rows.clone()).await;
    let task = rows[0].parent().unwrap();
    let (of_task, first) = (task.clone(), task.clone());
    let found = ids(&store, move |tx| tx.live_of_task(&of_task, 9)).await;
    assert_eq!(found, of(&rows, &[2, 1, 0]));
    let found = ids(&store, move |tx| tx.live_of_task(&task, 1)).await;
    assert_eq!(found, of(&rows, &[2]));
    let several = [
        first.clone(),
        rows[4].parent().unwrap(),
        "task-0".to_owned(),
    ];
    let mut found = ids(&store, move |tx| tx.live_of_tasks(&several)).await;
    found.sort_unstable();
    assert_eq!(found, of(&rows, &[0, 1, 2, 4]));
    let first = store.read(move |tx| tx.first_of_task(&first)).await;
    assert_eq!(first.unwrap(), Some(rows[2].id()));
    let none = store.read(|tx| tx.first_of_task("task-0")).await;
    assert_eq!(none.unwrap(), None);
}

async fn tasks_are_found_by_readiness_and_by_location(bed: &Bed<'_>) {
    let store = bed.open();
    let failure = Failure::new(datasync_model::ErrorCode::SourceFault, "no");
    let states = [
        Readiness::Creating,
        Readiness::Available,
        Readiness::Unavailable { failure },
        Readiness::Creating,
    ];
    let mut rows: Vec<Task> = (1..)
        .zip(states)
        .map(|(number, readiness)| Task {
            readiness,
            ..fixture::task_row(number, None)
        })
        .collect();
    let (source, destination) = (rows[0].source.clone(), rows[0].destination.clone());
    // Another way round.
    (rows[3].source, rows[3].destination) = (destination.clone(), source.clone());
    put(&store, rows.clone()).await;
    let found = async |status, after: Option<usize>, limit| {
        let after = after.map(|number| rows[number].id());
        ids(&store, move |tx| {
            Ok(tx.tasks_by_readiness(status, after.as_deref(), limit)?.0)
        })
        .await
    };
    assert_eq!(
        found(TaskStatus::Creating, None, 9).await,
        of(&rows, &[0, 3])
    );
    assert_eq!(found(TaskStatus::Creating, None, 1).await, of(&rows, &[0]));
    assert_eq!(
        found(TaskStatus::Creating, Some(0), 9).await,
        of(&rows, &[3])
    );
    assert_eq!(found(TaskStatus::Available, None, 9).await, of(&rows, &[1]));
    assert_eq!(
        found(TaskStatus::Unavailable, None, 9).await,
        of(&rows, &[2])
    );
    let using = async |use_of, after: Option<usize>| {
        let (source, after) = (source.to_string(), after.map(|number| rows[number].id()));
        ids(&store, move |tx| {
            tx.tasks_of_location(&source, use_of, after.as_deref(), 9)
        })
        .await
    };
    assert_eq!(using(UseOf::Source, None).await, of(&rows, &[0, 1, 2]));
    assert_eq!(using(UseOf::Source, Some(1)).await, of(&rows, &[2]));
    assert_eq!(using(UseOf::Destination, None).await, of(&rows, &[3]));
}

async fn several_records_are_found_by_their_ids(bed: &Bed<'_>) {
    let store = bed.open();
    let rows: Vec<Task> = (0..1_100).map(|n| fixture::task_row(n, None)).collect();
    put(&store, rows.clone()).await;
    let wanted: Vec<String> = rows.iter().step_by(2).map(Task::id).collect();
    let asked = [
        wanted.clone(),
        vec!["task-0".to_owned(), "'; --".to_owned()],
    ]
    .concat();
    let mut found = ids(&store, move |tx| Ok(tx.several::<Task>(&asked)?.0)).await;
    found.sort_unstable();
    let mut wanted = wanted;
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    let none = ids(&store, |tx| Ok(tx.several::<Execution>(&[])?.0)).await;
    assert_eq!(none.len(), 0);
}

async fn agents_are_found_by_their_keys(bed: &Bed<'_>) {
    let store = bed.open();
    let agent = |number: u8, key: Option<&str>| Agent {
        arn: fixture::agent(number),
        name: Some("key-2".to_owned()),
        created_at_ms: 0,
        public_key_fingerprint: key.map(str::to_owned),
        tags: Tags::new(),
    };
    put(
        &store,
        vec![
            agent(1, Some("key-1")),
            agent(2, Some("key-2")),
            agent(3, None),
        ],
    )
    .await;
    // What another agent's row looks like is nobody's business.
    bed.sql("UPDATE records SET body = '{}' WHERE kind = 'agent' AND body LIKE '%\"key-1\"%'");
    let by_key = |key: &'static str| store.read(move |tx| tx.agent_by_key(key));
    let found = by_key("key-2").await.unwrap().unwrap();
    assert_eq!(found.record.arn, fixture::agent(2));
    for nobody in ["key-3", ""] {
        assert_eq!(by_key(nobody).await.unwrap(), None, "{nobody}");
    }
}
