use datasync_model::{ExecutionReport, Failure, NfsVersion, StorageClass};
use tempfile::TempDir;

use super::*;
use crate::config::Config;
use crate::fleet::fixture;
use crate::records::{
    Location, LocationDetails, NfsDetails, ObjectStorageDetails, Protocol, Readiness, Tags,
};

struct World {
    store: Store,
    settings: Arc<Settings>,
    task: TaskArn,
    _directory: TempDir,
}

fn at(text: &str) -> Timestamp {
    format!("2026-11-26T{text}Z").parse().unwrap()
}

fn locations(task: &Task) -> [Location; 2] {
    let nfs = NfsDetails {
        server_hostname: "nfs.example".to_owned(),
        subdirectory: "/export/".to_owned(),
        version: NfsVersion::Automatic,
        agents: Vec::new(),
    };
    let store = ObjectStorageDetails {
        server_hostname: "store.example".to_owned(),
        server_port: 443,
        protocol: Protocol::Https,
        bucket: "bucket".to_owned(),
        prefix: String::new(),
        access_key: None,
        secret_key: None,
        agents: Vec::new(),
        server_certificate: None,
    };
    let row = |arn: &datasync_model::LocationArn, details| Location {
        arn: arn.clone(),
        created_at_ms: 0,
        tags: Tags::new(),
        details,
    };
    [
        row(&task.source, LocationDetails::Nfs(nfs)),
        row(&task.destination, LocationDetails::ObjectStorage(store)),
    ]
}

impl World {
    /// A task that starts hourly from 10:00 on, its first start being at 11:00.
    async fn hourly() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), "incarnation").unwrap();
        let settings = Settings::of(&Config::new(directory.path()).unwrap());
        let mut task = fixture::task_row(1, None);
        task.readiness = Readiness::Available;
        task.options = datasync_model::Options::defaults(
            task.mode,
            datasync_model::Pair {
                object_to_object: false,
                storage_class: None::<StorageClass>,
            },
        );
        let schedule = TaskSchedule::new("rate(1 hour)".to_owned(), true, at("10:00:00"));
        task.schedule = Some(schedule);
        let (arn, locations) = (task.arn.clone(), locations(&task));
        let world = Self {
            store,
            settings: Arc::new(settings),
            task: arn,
            _directory: directory,
        };
        world
            .commit(move |tx| {
                tx.insert(&task)?;
                locations.iter().try_for_each(|row| tx.insert(row))
            })
            .await;
        world
    }

    async fn commit(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<(), StoreError> + Send + 'static,
    ) {
        self.store.commit(f).await.unwrap();
    }

    async fn edit(&self, f: impl FnOnce(&mut Task) + Send + 'static) {
        let id = self.task.id().to_owned();
        self.commit(move |tx| {
            let mut row = tx.get::<Task>(&id)?.unwrap();
            f(&mut row.record);
            tx.update(&row)
        })
        .await;
    }

    async fn schedule(&self) -> TaskSchedule {
        let id = self.task.id().to_owned();
        let row: Result<_, StoreError> = self.store.read(move |tx| tx.get::<Task>(&id)).await;
        row.unwrap().unwrap().record.schedule.unwrap()
    }

    async fn look(&self, now: &str) {
        start_due(&self.store, &self.settings, at(now))
            .await
            .unwrap();
    }

    /// The planned starts of all executions, in their order.
    async fn started(&self) -> Vec<Timestamp> {
        let id = self.task.id().to_owned();
        let rows: Result<_, StoreError> = self
            .store
            .read(move |tx| tx.list_children::<Execution>(&id, None, 1000))
            .await;
        let rows = rows.unwrap();
        let mut starts: Vec<_> = rows
            .iter()
            .map(|row| row.record.scheduled_for_ms.unwrap())
            .map(|ms| Timestamp::from_millisecond(ms).unwrap())
            .collect();
        starts.sort();
        starts
    }

    /// Ends every execution.
    async fn end_all(&self, failure: Option<Failure>) {
        let id = self.task.id().to_owned();
        self.commit(move |tx| {
            for mut row in tx.list_children::<Execution>(&id, None, 1000)? {
                let execution = &mut row.record;
                if execution.ended_at_ms.is_some() {
                    continue;
                }
                execution.status = match failure {
                    Some(_) => ExecutionStatus::Error,
                    None => ExecutionStatus::Success,
                };
                execution.ended_at_ms = Some(1);
                execution.report = Some(ExecutionReport {
                    execution: execution.arn().clone(),
                    status: execution.status,
                    counters: Default::default(),
                    result: datasync_model::ExecutionResult {
                        failure: failure.clone(),
                        ..Default::default()
                    },
                });
                tx.update(&row)?;
            }
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_task_starts_at_its_time_and_once() {
    let world = World::hourly().await;
    world.look("10:59:59").await;
    assert_eq!(world.started().await, []);
    world.look("11:00:00").await;
    world.look("11:00:01").await;
    assert_eq!(world.started().await, [at("11:00:00")]);
    world.end_all(None).await;
    world.look("11:59:59").await;
    world.look("12:00:01").await;
    assert_eq!(world.started().await, [at("11:00:00"), at("12:00:00")]);
}

#[tokio::test]
async fn two_who_look_at_once_start_once() {
    let world = World::hourly().await;
    let looks = (0..8).map(|_| start_due(&world.store, &world.settings, at("11:00:00")));
    for look in futures::future::join_all(looks).await {
        look.unwrap();
    }
    assert_eq!(world.started().await, [at("11:00:00")]);
}

#[tokio::test]
async fn of_starts_that_were_missed_one_is_made_up_for() {
    let world = World::hourly().await;
    world.look("17:20:00").await;
    assert_eq!(world.started().await, [at("11:00:00")]);
    world.end_all(None).await;
    world.look("17:59:59").await;
    world.look("18:00:00").await;
    assert_eq!(world.started().await, [at("11:00:00"), at("18:00:00")]);
}

#[tokio::test]
async fn a_start_waits_for_the_task_to_be_available() {
    let world = World::hourly().await;
    let away = Failure::new(ErrorCode::AgentUnavailable, "the agent is offline");
    world
        .edit(|task| task.readiness = Readiness::Unavailable { failure: away })
        .await;
    world.look("11:00:00").await;
    world.look("11:10:00").await;
    assert_eq!(world.started().await, []);
    world
        .edit(|task| task.readiness = Readiness::Available)
        .await;
    world.look("11:10:01").await;
    assert_eq!(world.started().await, [], "it is tried every 15 s");
    world.look("11:10:15").await;
    assert_eq!(world.started().await, [at("11:00:00")]);
    assert_eq!(
        world.schedule().await.planned_at_ms,
        Some(at("12:00:00").as_millisecond())
    );
}

#[tokio::test]
async fn a_start_waits_for_the_end_of_the_execution_before() {
    let world = World::hourly().await;
    world.look("11:00:00").await;
    world.look("12:00:00").await;
    world.look("12:30:00").await;
    assert_eq!(world.started().await, [at("11:00:00")]);
    world.end_all(None).await;
    world.look("12:30:15").await;
    assert_eq!(world.started().await, [at("11:00:00"), at("12:00:00")]);
}

#[tokio::test]
async fn a_schedule_that_is_off_starts_nothing() {
    let world = World::hourly().await;
    world
        .edit(|task| {
            let schedule = task.schedule.as_ref().unwrap();
            let off = schedule.updated(schedule.expression.clone(), Some(false), at("10:30:00"));
            task.schedule = Some(off);
        })
        .await;
    world.look("23:00:00").await;
    assert_eq!(world.started().await, []);
}

#[tokio::test]
async fn a_task_that_only_fails_is_switched_off_and_says_why() {
    let world = World::hourly().await;
    let failure = Failure::new(ErrorCode::SourceFault, "nfs.example does not answer");
    let first = at("11:00:00");
    for hour in 0..FAILURES_MAX {
        let now = first + Duration::from_secs(u64::from(hour) * 3600);
        start_due(&world.store, &world.settings, now).await.unwrap();
        world.end_all(Some(failure.clone())).await;
    }
    let count = world.started().await.len();
    assert_eq!(count, FAILURES_MAX as usize);
    assert_eq!(world.schedule().await.disabled, None);
    let now = first + Duration::from_secs(u64::from(FAILURES_MAX) * 3600);
    start_due(&world.store, &world.settings, now).await.unwrap();
    assert_eq!(world.started().await.len(), count);
    let disabled = world.schedule().await.disabled.unwrap();
    assert_eq!(disabled.by, DisabledBy::Service);
    assert!(
        disabled.reason.contains("20 times in a row"),
        "{disabled:?}"
    );
    assert!(disabled.reason.contains("does not answer"), "{disabled:?}");
}

#[tokio::test]
async fn items_that_were_left_out_switch_nothing_off() {
    let world = World::hourly().await;
    let failure = Failure::new(ErrorCode::ItemsFailed, "1 of 10 items");
    for hour in 0..2 * FAILURES_MAX {
        let now = at("11:00:00") + Duration::from_secs(u64::from(hour) * 3600);
        start_due(&world.store, &world.settings, now).await.unwrap();
        world.end_all(Some(failure.clone())).await;
    }
    assert_eq!(world.started().await.len(), 2 * FAILURES_MAX as usize);
}
