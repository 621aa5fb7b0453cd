//! Agents that are gone, came twice, or know more than the store.

use std::time::Duration;

use datasync_model::{AgentStatus, ErrorCode, ExecutionStatus};
use datasync_proto::{DesiredState, Generation};
use tonic::Code;

use super::work::{add_execution, add_task, change, execution, report, runs, until};
use super::world::{Control, PATIENCE};
use crate::fleet::fixture;
use crate::records::{Location, LocationDetails, Task};

#[tokio::test]
async fn a_cancel_ends_the_execution_of_an_agent_that_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::with(directory.path(), |config| {
        config.offline_after = Duration::from_secs(2);
    })
    .await;
    let (machine, agent) = control.activated().await;
    let task = add_task(&control).await;
    let arn = add_execution(&control, &task, 1).await;
    let mut attached = machine.attach("boot").await.unwrap();
    attached.desired(|desired| runs(desired, &arn)).await;
    let transferring = ExecutionStatus::Transferring;
    attached.send(report(&arn, transferring, 5)).await;
    until(&control, &arn, |row| row.status == transferring).await;
    drop(attached);
    control.until_status(&agent, AgentStatus::Offline).await;
    change(&control, &arn, |row| {
        row.status = ExecutionStatus::Cancelling;
    })
    .await;
    let ended = until(&control, &arn, |row| row.status == ExecutionStatus::Error).await;
    assert!(ended.ended_at_ms.is_some());
    let last = ended.report.clone().unwrap();
    assert_eq!(last.counters.transferred, 5, "what was reported is kept");
    let failure = last.result.failure.unwrap();
    assert_eq!(failure.code, ErrorCode::Cancelled);
    assert!(failure.detail.contains(&agent.to_string()), "{failure}");

    // It comes back: it is told to forget, and what it says changes nothing.
    let mut attached = machine.attach("boot").await.unwrap();
    attached.desired(|desired| !runs(desired, &arn)).await;
    let success = ExecutionStatus::Success;
    attached.send(report(&arn, success, 9)).await;
    attached.heartbeat(AgentStatus::Offline).await;
    control.until_status(&agent, AgentStatus::Offline).await;
    assert_eq!(execution(&control, &arn).await, ended);
    control.stop().await;
}

#[tokio::test]
async fn a_cancel_waits_for_an_agent_that_may_return() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, agent) = control.activated().await;
    let task = add_task(&control).await;
    let arn = add_execution(&control, &task, 1).await;
    let mut attached = machine.attach("boot").await.unwrap();
    attached.desired(|desired| runs(desired, &arn)).await;
    // A clean stop, as for an upgrade.
    attached.heartbeat(AgentStatus::Offline).await;
    control.until_status(&agent, AgentStatus::Offline).await;
    change(&control, &arn, |row| {
        row.status = ExecutionStatus::Cancelling;
    })
    .await;
    drop(attached);
    let mut attached = machine.attach("later").await.unwrap();
    attached
        .desired(|desired| {
            assert!(runs(desired, &arn), "it has not ended");
            desired.executions[0].cancel
        })
        .await;
    control.stop().await;
}

#[tokio::test]
async fn a_restored_store_begins_a_new_incarnation() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, _) = control.activated().await;
    let (other, _) = control.activated().await;
    let mut bystander = other.attach("boot").await.unwrap();
    let before = bystander.desired(|_| true).await.generation.unwrap();
    let ahead = Generation {
        generation: before.generation + 1_000,
        ..before.clone()
    };
    let mut attached = machine.attach_applied("boot", Some(ahead)).await.unwrap();
    let incarnation = |told: &DesiredState| told.generation.clone().unwrap().incarnation;
    let is_new = |told: &DesiredState| incarnation(told) != before.incarnation;
    let renewed = attached.desired(is_new).await.generation.unwrap();
    // Every agent learns of it.
    let told = bystander.desired(is_new).await;
    assert_eq!(incarnation(&told), renewed.incarnation);
    // Who is behind, or of another incarnation, changes nothing.
    for applied in [before.clone(), renewed.clone()] {
        let mut attached = machine.attach_applied("boot", Some(applied)).await.unwrap();
        let again = attached.desired(|_| true).await.generation.unwrap();
        assert_eq!(again.incarnation, renewed.incarnation);
    }
    control.stop().await;
}

#[tokio::test]
async fn a_store_that_goes_back_in_time_under_control_begins_a_new_incarnation() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let file = rusqlite::Connection::open(directory.path().join("control.sqlite3")).unwrap();
    let set = |generation: i64| {
        let sql = "UPDATE records SET version = ?1 WHERE kind = 'meta'";
        assert_eq!(file.execute(sql, [generation]).unwrap(), 1);
    };
    set(10_000);
    let (machine, _) = control.activated().await;
    let mut attached = machine.attach("boot").await.unwrap();
    let before = attached.desired(|_| true).await.generation.unwrap();
    // As a database whose standby was behind when it took over.
    set(9_000);
    let is_new =
        |told: &DesiredState| told.generation.as_ref().unwrap().incarnation != before.incarnation;
    let renewed = attached.desired(is_new).await.generation.unwrap();
    // Orders reach agents, which take a number as low as these only because of that.
    assert!(renewed.generation < before.generation);
    let task = add_task(&control).await;
    let arn = add_execution(&control, &task, 1).await;
    let told = attached.desired(|desired| runs(desired, &arn)).await;
    assert_eq!(told.generation.unwrap().incarnation, renewed.incarnation);
    control.stop().await;
}

#[tokio::test]
async fn a_machine_that_lost_does_not_come_back_while_the_winner_lives() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, agent) = control.activated().await;
    let mut original = machine.attach("one").await.unwrap();
    let mut clone = machine.attach("two").await.unwrap();
    assert_eq!(original.end().await.code(), Code::Aborted);
    let Err(refused) = machine.attach("one").await else {
        panic!("a machine that lost came back");
    };
    assert_eq!(refused.code(), Code::Aborted, "{refused}");
    // The winner is undisturbed, reconnects and may stop; then the other is let in again.
    clone.heartbeat(AgentStatus::Online).await;
    clone = machine.attach("two").await.unwrap();
    clone.heartbeat(AgentStatus::Offline).await;
    control.until_status(&agent, AgentStatus::Offline).await;
    drop(clone);
    let attached = machine.attach_patiently("one").await;
    attached.heartbeat(AgentStatus::Online).await;
    control.until_status(&agent, AgentStatus::Online).await;
    control.stop().await;
}

#[tokio::test]
async fn a_task_whose_locations_lost_their_common_agents_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (_, agent) = control.activated().await;
    let task = add_task(&control).await;
    let rows_of = task.clone();
    control
        .store
        .commit(move |rows| {
            let mut source = rows.get::<Location>(rows_of.source.id())?.unwrap();
            let mut destination = rows.get::<Location>(rows_of.destination.id())?.unwrap();
            let (LocationDetails::Nfs(nfs), LocationDetails::ObjectStorage(store)) =
                (&mut source.record.details, &mut destination.record.details)
            else {
                panic!("not from NFS to object storage");
            };
            nfs.agents = vec![agent];
            store.agents = vec![fixture::agent(9)];
            rows.update(&source)?;
            rows.update(&destination)
        })
        .await
        .unwrap();
    let mut changes = control.store.changes();
    let failure = async {
        loop {
            let id = task.arn.id().to_owned();
            let row = control.store.read(move |rows| rows.get::<Task>(&id)).await;
            if let Some(failure) = row.unwrap().unwrap().record.readiness.failure() {
                return failure.clone();
            }
            changes.changed().await.unwrap();
        }
    };
    let failure = tokio::time::timeout(PATIENCE, failure).await.unwrap();
    assert_eq!(failure.code, ErrorCode::AgentUnavailable);
    assert!(failure.detail.contains("none in common"), "{failure:?}");
    control.stop().await;
}
