//! What one round reads, of few rows and of very many.

use std::num::NonZeroU32;

use datasync_model::{ExecutionStatus, TaskStatus, UniqueId};

use super::snapshot;
use super::walk::{NEW_TASKS, QUEUE, TRIED_TASKS, Walk};
use super::*;
use crate::fleet::fixture;
use crate::records::{
    Eligible, Execution, Location, LocationDetails, NfsDetails, Readiness, Tags, Task,
};
use crate::store::Record;

/// More than two looks take of those that were tried.
const MANY: u64 = 2 * TRIED_TASKS as u64 + 50;

fn look() -> Look {
    Look {
        executions_per_agent: NonZeroU32::MIN,
        tried: Vec::new(),
        is_wide: true,
        walk: Walk::default(),
    }
}

async fn seen(store: &Store, look: Look) -> (Snapshot, Walk) {
    let surroundings = Surroundings {
        default_agents: Vec::new(),
        region: "us-east-1".to_owned(),
        roles: Vec::new(),
    };
    let read = store.read(move |rows| snapshot::read(rows, &surroundings, &look));
    read.await.unwrap()
}

async fn put<R: Record>(store: &Store, rows: Vec<R>) {
    let made = store.commit(move |tx| rows.iter().try_for_each(|row| tx.insert(row)));
    Box::pin(made).await.unwrap();
}

fn agent(number: u8) -> Agent {
    Agent {
        arn: fixture::agent(number),
        name: None,
        created_at_ms: 0,
        public_key_fingerprint: Some(number.to_string()),
        tags: Tags::new(),
    }
}

fn queued(task: u64, number: u64) -> Execution {
    Execution {
        requested_at_ms: i64::try_from(number).unwrap(),
        ..fixture::execution_row(task, number)
    }
}

fn numbers(snapshot: &Snapshot) -> Vec<i64> {
    let requested = snapshot.executions.iter().map(|e| e.requested);
    requested.map(|at| at.as_millisecond()).collect()
}

fn statuses(snapshot: &Snapshot) -> [usize; 3] {
    let count = |status| snapshot.tasks.iter().filter(|t| t.status == status).count();
    [
        count(TaskStatus::Creating),
        count(TaskStatus::Available),
        count(TaskStatus::Unavailable),
    ]
}

#[tokio::test]
async fn of_many_tasks_each_round_sees_some_and_some_time_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), "test").unwrap();
    let failure = datasync_model::Failure::new(datasync_model::ErrorCode::SourceFault, "no");
    for (first, readiness) in [
        (0, Readiness::Creating),
        (MANY, Readiness::Available),
        (2 * MANY, Readiness::Unavailable { failure }),
    ] {
        let tasks = (first..first + MANY).map(|number| Task {
            readiness: readiness.clone(),
            ..fixture::task_row(number, None)
        });
        put(&store, tasks.collect()).await;
    }
    let (few, _) = seen(
        &store,
        Look {
            is_wide: false,
            ..look()
        },
    )
    .await;
    assert_eq!(statuses(&few), [NEW_TASKS, 0, 0]);
    let available = fixture::task_row(2 * MANY - 1, None);
    let tried = Look {
        is_wide: false,
        tried: vec![available.id(), "task-0".to_owned()],
        ..look()
    };
    assert_eq!(statuses(&seen(&store, tried).await.0), [NEW_TASKS, 1, 0]);

    let mut all = std::collections::BTreeSet::new();
    let mut walk = Walk::default();
    for expected in [TRIED_TASKS, TRIED_TASKS, 50, TRIED_TASKS] {
        let (part, next) = seen(&store, Look { walk, ..look() }).await;
        assert_eq!(statuses(&part), [NEW_TASKS, expected, expected]);
        all.extend(part.tasks.iter().map(|task| task.arn.to_string()));
        walk = next;
    }
    assert_eq!(all.len(), 2 * MANY as usize + 4 * NEW_TASKS);
}

#[tokio::test]
async fn few_tasks_are_all_seen_each_round_with_their_locations() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), "test").unwrap();
    put(&store, vec![agent(0)]).await;
    let mut task = fixture::task_row(1, None);
    let home = fixture::agent(0).home().clone();
    let location = Location {
        arn: datasync_model::LocationArn::new(&home, UniqueId::from_random([9; 8])),
        created_at_ms: 0,
        tags: Tags::new(),
        details: LocationDetails::Nfs(NfsDetails {
            server_hostname: "nas".to_owned(),
            subdirectory: "/".to_owned(),
            version: datasync_model::NfsVersion::Automatic,
            agents: vec![fixture::agent(0)],
        }),
    };
    task.source = location.arn.clone();
    put(&store, vec![task, fixture::task_row(2, None)]).await;
    put(&store, vec![location]).await;
    for _ in 0..2 {
        let (all, next) = seen(&store, look()).await;
        assert_eq!((all.tasks.len(), &next), (2, &Walk::default()));
        // The destination does not exist, nor do the locations of the other.
        let failures = all.tasks.iter().map(|task| task.sides.clone().unwrap_err());
        let codes: Vec<_> = failures.map(|failure| failure.code).collect();
        assert_eq!(codes, [datasync_model::ErrorCode::InvalidConfiguration; 2]);
    }
}

#[tokio::test]
async fn the_queue_is_read_part_by_part_while_an_agent_has_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), "test").unwrap();
    let tasks = QUEUE as u64 + 20;
    put(&store, (0..tasks).map(|n| queued(n, n)).collect()).await;
    // The second of the first task: it is not its turn, wherever it is looked at.
    put(&store, vec![queued(0, tasks)]).await;
    let (nobody, next) = seen(&store, look()).await;
    assert_eq!((nobody.executions.len(), next.queue), (0, None));

    put(&store, vec![agent(0), agent(1)]).await;
    put(&store, vec![fixture::presence(0)]).await;
    let (first, next) = seen(&store, look()).await;
    let of_first: Vec<i64> = (0..QUEUE as i64).collect();
    assert_eq!(numbers(&first), of_first);
    let (rest, end) = seen(
        &store,
        Look {
            walk: next.clone(),
            ..look()
        },
    )
    .await;
    let of_rest: Vec<i64> = (QUEUE as i64..tasks as i64).collect();
    assert_eq!(numbers(&rest), of_rest);
    assert_eq!(end.queue, None);

    // The only agent that is online has its hands full.
    let busy = Execution {
        status: ExecutionStatus::Transferring,
        agent: Some(fixture::agent(0)),
        eligible: Eligible::Any,
        ..queued(tasks + 1, tasks + 1)
    };
    put(&store, vec![busy]).await;
    let (full, end) = seen(
        &store,
        Look {
            walk: next,
            ..look()
        },
    )
    .await;
    assert_eq!(numbers(&full), [tasks as i64 + 1]);
    assert_eq!(end.queue, None, "from the beginning, once there is room");
}
