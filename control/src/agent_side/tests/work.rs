//! Tasks and executions as rows, as the API would make them.

use datasync_model::{
    Counters, ExecutionReport, ExecutionResult, ExecutionStatus, LocationArn, NfsVersion, Rate,
    TaskExecutionArn, Telemetry, Tenure, UniqueId,
};
use datasync_proto::agent_message::Message as Up;
use datasync_proto::{DesiredState, ExecutionObserved};
use jiff::Timestamp;

use super::world::{Control, PATIENCE};
use crate::fleet::fixture;
use crate::records::{
    Eligible, Execution, Location, LocationDetails, NfsDetails, ObjectStorageDetails, Protocol,
    Readiness, Tags, Task,
};
use crate::store::StoreError;

pub(super) const SECRET: &str = "SECRETCANARY";

fn location(control: &Control, number: u64, details: LocationDetails) -> Location {
    let home = control_home(control);
    Location {
        arn: LocationArn::new(&home, UniqueId::from_random(number.to_be_bytes())),
        created_at_ms: 0,
        tags: Tags::new(),
        details,
    }
}

fn control_home(_: &Control) -> datasync_model::Home {
    crate::config::Config::new("/unused").unwrap().home
}

/// An NFS source, an object storage destination, and a task between them.
pub(super) async fn add_task(control: &Control) -> Task {
    let secret =
        Location::seal_secret(&control.state.sealer, &location_arn(control, 2), SECRET).unwrap();
    let store = LocationDetails::ObjectStorage(ObjectStorageDetails {
        server_hostname: "store.example".to_owned(),
        server_port: 443,
        protocol: Protocol::Https,
        bucket: "bucket".to_owned(),
        prefix: String::new(),
        access_key: Some("AKID".to_owned()),
        secret_key: Some(secret),
        agents: Vec::new(),
        server_certificate: None,
    });
    add_task_to(control, store).await
}

/// An NFS source, a destination, and a task between them.
pub(super) async fn add_task_to(control: &Control, destination: LocationDetails) -> Task {
    let source = location(
        control,
        1,
        LocationDetails::Nfs(NfsDetails {
            server_hostname: "nfs.example".to_owned(),
            subdirectory: "/export/".to_owned(),
            version: NfsVersion::Automatic,
            agents: Vec::new(),
        }),
    );
    let destination = location(control, 2, destination);
    let spec = fixture::execution(1, 1).spec;
    let task = Task {
        arn: spec.execution.task().clone(),
        name: None,
        created_at_ms: Timestamp::now().as_millisecond(),
        source: source.arn.clone(),
        destination: destination.arn.clone(),
        mode: spec.task_mode,
        options: spec.options,
        includes: spec.includes,
        excludes: spec.excludes,
        log_group_arn: None,
        readiness: Readiness::Creating,
        unable: Vec::new(),
        last_execution: None,
        schedule: None,
        manifest: None,
        report: None,
        tags: Tags::new(),
    };
    let row = task.clone();
    control
        .store
        .commit(move |rows| {
            rows.insert(&source)?;
            rows.insert(&destination)?;
            rows.insert(&row)
        })
        .await
        .unwrap();
    task
}

fn location_arn(control: &Control, number: u64) -> LocationArn {
    LocationArn::new(
        &control_home(control),
        UniqueId::from_random(number.to_be_bytes()),
    )
}

pub(super) async fn add_execution(control: &Control, task: &Task, number: u64) -> TaskExecutionArn {
    let mut spec = fixture::execution(1, number).spec;
    let rows_of = task.clone();
    let arn = spec.execution.clone();
    control
        .store
        .commit(move |rows| {
            let region = "us-east-1";
            let model = |arn: &LocationArn| {
                let row = rows.get::<Location>(arn.id())?.unwrap();
                let address = crate::records::StoreAddress::default();
                Ok::<_, StoreError>(row.record.to_model(&address, region))
            };
            spec.source = model(&rows_of.source)?;
            spec.destination = model(&rows_of.destination)?;
            rows.insert(&Execution {
                rate: Rate::of(&spec),
                spec,
                status: ExecutionStatus::Queued,
                agent: None,
                tenure: Tenure::default(),
                earlier_agents: Vec::new(),
                eligible: Eligible::Any,
                requested_at_ms: Timestamp::now().as_millisecond(),
                scheduled_for_ms: None,
                launched_at_ms: None,
                ended_at_ms: None,
                report: None,
                manifest: None,
                report_config: None,
                log_group_arn: None,
                tags: Tags::new(),
            })
        })
        .await
        .unwrap();
    arn
}

pub(super) async fn execution(control: &Control, arn: &TaskExecutionArn) -> Execution {
    let id = arn.id().to_owned();
    let row = control.store.read(move |rows| rows.get::<Execution>(&id));
    row.await.unwrap().unwrap().record
}

pub(super) async fn until(
    control: &Control,
    arn: &TaskExecutionArn,
    fits: impl Fn(&Execution) -> bool,
) -> Execution {
    let mut changes = control.store.changes();
    let wait = async {
        loop {
            let row = execution(control, arn).await;
            if fits(&row) {
                return row;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("the execution gets there")
}

pub(super) async fn change(
    control: &Control,
    arn: &TaskExecutionArn,
    change: impl FnOnce(&mut Execution) + Send + 'static,
) {
    let id = arn.id().to_owned();
    control
        .store
        .commit(move |rows| {
            let mut row = rows.get::<Execution>(&id)?.unwrap();
            change(&mut row.record);
            rows.update(&row)
        })
        .await
        .unwrap();
}

pub(super) fn report(arn: &TaskExecutionArn, status: ExecutionStatus, transferred: u64) -> Up {
    report_of(arn, 0, status, transferred)
}

/// A report of the tenure with this epoch.
pub(super) fn report_of(
    arn: &TaskExecutionArn,
    epoch: u64,
    status: ExecutionStatus,
    transferred: u64,
) -> Up {
    let report = ExecutionReport {
        execution: arn.clone(),
        status,
        counters: Counters {
            transferred,
            ..Counters::default()
        },
        result: ExecutionResult::default(),
        telemetry: Telemetry::default(),
    };
    Up::Execution(ExecutionObserved::new(&report, epoch))
}

pub(super) fn runs(desired: &DesiredState, arn: &TaskExecutionArn) -> bool {
    desired
        .executions
        .iter()
        .any(|wanted| wanted.spec().unwrap().execution == *arn)
}
