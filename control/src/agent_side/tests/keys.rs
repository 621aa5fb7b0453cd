//! Which keys reach an execution that runs while its location or its role changes.

use std::sync::Arc;

use datasync_model::{ExecutionStatus, StorageClass, TaskExecutionArn};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::roles::{ROLE, answer_keys};
use super::work::{add_execution, add_task, add_task_to, change, report, runs, until};
use super::world::{Attached, Control, PATIENCE};
use crate::config::{Role, RoleKind};
use crate::records::{Location, LocationDetails, ObjectStorageDetails, S3Details, Task};

const OTHER_ROLE: &str = "arn:aws:iam::000000000000:role/other";

async fn change_store(
    control: &Control,
    task: &Task,
    change: impl FnOnce(&mut ObjectStorageDetails, &str) + Send + 'static,
) {
    let (arn, sealer) = (task.destination.clone(), control.state.sealer.clone());
    control
        .store
        .commit(move |rows| {
            let mut row = rows.get::<Location>(arn.id())?.unwrap();
            let LocationDetails::ObjectStorage(store) = &mut row.record.details else {
                panic!("the destination is object storage");
            };
            store.secret_key = Some(Location::seal_secret(&sealer, &arn, "NEWSECRET").unwrap());
            change(store, "NEW");
            rows.update(&row)
        })
        .await
        .unwrap();
}

/// An execution that the agent has begun.
async fn begun(control: &Control, attached: &mut Attached, task: &Task) -> TaskExecutionArn {
    let arn = add_execution(control, task, 1).await;
    attached.desired(|desired| runs(desired, &arn)).await;
    let transferring = ExecutionStatus::Transferring;
    attached.send(report(&arn, transferring, 1)).await;
    until(control, &arn, |row| row.status == transferring).await;
    arn
}

#[tokio::test]
async fn rotated_keys_reach_a_running_execution() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, _) = control.activated().await;
    let mut attached = machine.attach("boot").await.unwrap();
    let task = add_task(&control).await;
    begun(&control, &mut attached, &task).await;
    change_store(&control, &task, |store, key| {
        store.access_key = Some(key.to_owned());
        // Another prefix is for later executions: the keys are for the same store.
        store.prefix = "later/".to_owned();
    })
    .await;
    let keys = attached.next_credentials().await;
    assert_eq!(keys.access_key_id, "NEW");
    assert_eq!(keys.secret_access_key, "NEWSECRET");
    control.stop().await;
}

#[tokio::test]
async fn keys_of_another_store_never_reach_a_running_execution() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, _) = control.activated().await;
    let mut attached = machine.attach("boot").await.unwrap();
    let task = add_task(&control).await;
    let arn = begun(&control, &mut attached, &task).await;
    change_store(&control, &task, |store, key| {
        store.access_key = Some(key.to_owned());
        store.server_hostname = "elsewhere.example".to_owned();
    })
    .await;
    let refused = attached.next_credentials().await;
    assert_eq!(refused.access_key_id, "");
    assert_eq!(refused.secret_access_key, "");
    let detail = refused.error_detail;
    assert!(detail.contains("changed to another store"), "{detail}");
    // The specification is what it was, and the location is not tried beside it.
    change(&control, &arn, |row| {
        row.rate = datasync_model::Rate::try_from(65_536).unwrap();
    })
    .await;
    let is_slower = |rate: i64| rate == 65_536;
    let told = attached
        .desired(|desired| {
            desired
                .executions
                .iter()
                .any(|e| is_slower(e.bytes_per_second))
        })
        .await;
    let spec = told.executions[0].spec().unwrap();
    let datasync_model::Location::S3(s3) = spec.destination else {
        panic!("the destination is a store");
    };
    assert_eq!(s3.endpoint.as_deref(), Some("https://store.example"));
    assert!(told.probes.iter().all(|probe| !probe.as_destination));
    control.stop().await;
}

/// An STS that answers once and then never again.
async fn sts_that_stalls(listener: TcpListener, stalled: Arc<Notify>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    answer_keys(&mut stream, 1, jiff::SignedDuration::from_hours(1)).await;
    let mut kept = Vec::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_ne!(stream.read_u8().await.unwrap(), 0);
        kept.push(stream);
        stalled.notify_one();
    }
}

#[tokio::test]
async fn a_cancel_does_not_wait_for_sts() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (mut servers, stalled) = (JoinSet::new(), Arc::new(Notify::new()));
    servers.spawn(sts_that_stalls(listener, stalled.clone()));
    let control = Control::with(directory.path(), |config| {
        config.roles = vec![Role {
            arn: "*".to_owned(),
            kind: RoleKind::AssumeRole {
                external_id: None,
                sts_endpoint: Some(endpoint),
                endpoint: None,
            },
        }];
    })
    .await;
    let (machine, _) = control.activated().await;
    let mut attached = machine.attach("boot").await.unwrap();
    let task = add_task_to(
        &control,
        LocationDetails::S3(S3Details {
            bucket_arn: "arn:aws:s3:::bucket".to_owned(),
            prefix: String::new(),
            storage_class: StorageClass::Standard,
            role_arn: ROLE.to_owned(),
            agents: Vec::new(),
            region: None,
        }),
    )
    .await;
    let arn = add_execution(&control, &task, 1).await;
    attached.desired(|desired| runs(desired, &arn)).await;
    // Another role of the same store: its keys are not at hand.
    let location = task.destination.clone();
    control
        .store
        .commit(move |rows| {
            let mut row = rows.get::<Location>(location.id())?.unwrap();
            let LocationDetails::S3(s3) = &mut row.record.details else {
                panic!("the destination is S3");
            };
            s3.role_arn = OTHER_ROLE.to_owned();
            rows.update(&row)
        })
        .await
        .unwrap();
    tokio::time::timeout(PATIENCE, stalled.notified())
        .await
        .expect("STS is asked again");
    // It comes back before it has said anything of the execution, which it would forget if that
    // were not in the first desired state.
    let mut attached = machine.attach("boot").await.unwrap();
    let first = attached.desired(|_| true).await;
    assert!(runs(&first, &arn));
    change(&control, &arn, |row| {
        row.status = ExecutionStatus::Cancelling;
    })
    .await;
    attached
        .desired(|desired| desired.executions.iter().any(|wanted| wanted.cancel))
        .await;
    assert_eq!(attached.credentials.len(), 0, "STS has not answered");
    servers.shutdown().await;
    control.stop().await;
}
