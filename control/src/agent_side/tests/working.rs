use std::time::Duration;

use datasync_model::{AgentArn, AgentStatus, ExecutionStatus, Rate, TaskStatus};
use datasync_proto::agent_message::Message as Up;
use datasync_proto::{DesiredState, LocationProbed};
use tonic::Code;

use super::work::{SECRET, add_execution, add_task, change, execution, report, runs, until};
use super::world::Control;
use crate::records::Task;

#[tokio::test]
async fn agents_are_online_while_they_are_heard_of() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::with(directory.path(), |config| {
        config.offline_after = Duration::from_secs(2);
    })
    .await;
    let (machine, agent) = control.activated().await;
    assert_eq!(control.status(&agent).await, None);
    let mut attached = machine.attach("boot").await.unwrap();
    control.until_status(&agent, AgentStatus::Online).await;
    attached.heartbeat(AgentStatus::Offline).await;
    control.until_status(&agent, AgentStatus::Offline).await;
    attached.heartbeat(AgentStatus::Online).await;
    control.until_status(&agent, AgentStatus::Online).await;
    // Silence, with the connection open.
    control.until_status(&agent, AgentStatus::Offline).await;
    assert_eq!(attached.end().await.code(), Code::DeadlineExceeded);
    control.stop().await;
}

#[tokio::test]
async fn after_a_restart_nobody_is_online_before_it_is_heard_of() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (mut machine, agent) = control.activated().await;
    let mut attached = machine.attach("boot").await.unwrap();
    control.until_status(&agent, AgentStatus::Online).await;
    control.stop().await;
    assert_eq!(attached.end().await.code(), Code::Unavailable);
    let control = Control::start(directory.path()).await;
    assert_eq!(control.status(&agent).await, Some(AgentStatus::Offline));
    machine.address = control.address;
    let attached = machine.attach("boot").await.unwrap();
    control.until_status(&agent, AgentStatus::Online).await;
    drop(attached);
    control.stop().await;
}

#[tokio::test]
async fn of_two_machines_with_one_identity_the_newest_wins() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, agent) = control.activated().await;
    let mut first = machine.attach("one").await.unwrap();
    let mut second = machine.attach("one").await.unwrap();
    let status = first.end().await;
    assert!(status.message().contains("newer session"), "{status}");
    let clone = machine.attach("two").await.unwrap();
    let status = second.end().await;
    assert_eq!(status.code(), Code::Aborted);
    assert!(status.message().contains("another machine"), "{status}");
    control.until_status(&agent, AgentStatus::Online).await;
    drop(clone);
    control.stop().await;
}

async fn task_status(control: &Control, task: &Task) -> TaskStatus {
    let id = task.arn.id().to_owned();
    let row = control.store.read(move |rows| rows.get::<Task>(&id));
    row.await.unwrap().unwrap().record.readiness.status()
}

#[tokio::test]
async fn a_task_is_tried_by_an_agent_that_got_credentials_first() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, _) = control.activated().await;
    let mut attached = machine.attach("boot").await.unwrap();
    let task = add_task(&control).await;
    let desired = attached.desired(|desired| desired.probes.len() == 2).await;
    let credentials = attached.credentials.last().unwrap();
    assert_eq!(credentials.location_arn, task.destination.to_string());
    assert_eq!(credentials.secret_access_key, SECRET);
    assert_eq!(credentials.expires_at_seconds, 0);
    let sides: Vec<bool> = desired.probes.iter().map(|p| p.as_destination).collect();
    assert_eq!(sides, [false, true]);
    for probe in &desired.probes {
        let probed = LocationProbed::new(probe.probe_id.clone(), Ok(()));
        attached.send(Up::Probed(probed)).await;
    }
    attached.desired(|desired| desired.probes.is_empty()).await;
    assert_eq!(task_status(&control, &task).await, TaskStatus::Available);
    control.stop().await;
}

#[tokio::test]
async fn an_execution_goes_through_its_life_and_leaves_the_agent() {
    use ExecutionStatus::{Preparing, Success, Transferring};
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (mut machine, agent) = control.activated().await;
    let task = add_task(&control).await;
    let arn = add_execution(&control, &task, 1).await;
    assert_eq!(
        execution(&control, &arn).await.status,
        ExecutionStatus::Queued
    );
    let mut attached = machine.attach("boot").await.unwrap();
    let launched = attached.desired(|desired| runs(desired, &arn)).await;
    let row = execution(&control, &arn).await;
    assert_eq!(row.status, ExecutionStatus::Launching);
    assert_eq!(row.agent, Some(agent));
    attached.send(report(&arn, Preparing, 0)).await;
    attached.send(report(&arn, Transferring, 1)).await;
    until(&control, &arn, |row| row.status == Transferring).await;
    change(&control, &arn, |row| {
        row.rate = Rate::try_from(65_536).unwrap();
    })
    .await;
    let slower = attached
        .desired(|desired| {
            desired
                .executions
                .iter()
                .any(|e| e.bytes_per_second == 65_536)
        })
        .await;
    let generation = |desired: &DesiredState| desired.generation.as_ref().unwrap().generation;
    assert!(generation(&slower) > generation(&launched));
    control.stop().await;

    let control = Control::start(directory.path()).await;
    machine.address = control.address;
    let mut attached = machine.attach("boot").await.unwrap();
    let again = attached.desired(|desired| runs(desired, &arn)).await;
    assert_eq!(
        again.generation.as_ref().unwrap().incarnation,
        slower.generation.as_ref().unwrap().incarnation
    );
    assert!(generation(&again) >= generation(&slower));
    attached.send(report(&arn, Preparing, 2)).await;
    let row = until(&control, &arn, |row| {
        row.report
            .as_ref()
            .is_some_and(|r| r.counters.transferred == 2)
    })
    .await;
    assert_eq!(row.status, Transferring, "a restart does not go back");
    attached.send(report(&arn, Success, 3)).await;
    attached.desired(|desired| !runs(desired, &arn)).await;
    let row = execution(&control, &arn).await;
    assert_eq!(row.status, Success);
    assert!(row.ended_at_ms.is_some());
    control.stop().await;
}

#[tokio::test]
async fn a_cancelled_execution_ends_in_error_and_the_next_one_starts() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, agent) = control.activated().await;
    let task = add_task(&control).await;
    let first = add_execution(&control, &task, 1).await;
    let mut attached = machine.attach("boot").await.unwrap();
    attached.desired(|desired| runs(desired, &first)).await;
    let second = add_execution(&control, &task, 2).await;
    change(&control, &first, |row| {
        row.status = ExecutionStatus::Cancelling;
    })
    .await;
    attached
        .desired(|desired| desired.executions.iter().any(|wanted| wanted.cancel))
        .await;
    attached
        .send(report(&first, ExecutionStatus::Error, 0))
        .await;
    attached.desired(|desired| runs(desired, &second)).await;
    let row = execution(&control, &first).await;
    assert_eq!(row.status, ExecutionStatus::Error);
    // Whoever deletes an agent ends what it ran.
    control.delete_agent(&agent).await;
    let row = until(&control, &second, |row| {
        row.status == ExecutionStatus::Error
    })
    .await;
    let detail = row.report.unwrap().result.failure.unwrap().detail;
    assert!(detail.contains("was deleted"), "{detail}");
    control.stop().await;
}

#[tokio::test]
async fn reports_about_other_agents_executions_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, _) = control.activated().await;
    let task = add_task(&control).await;
    let arn = add_execution(&control, &task, 1).await;
    let mut owner = machine.attach("boot").await.unwrap();
    owner.desired(|desired| runs(desired, &arn)).await;
    let (other, other_arn) = control.activated().await;
    let mut attached = other.attach("boot").await.unwrap();
    control.until_status(&other_arn, AgentStatus::Online).await;
    attached
        .send(report(&arn, ExecutionStatus::Success, 9))
        .await;
    attached.heartbeat(AgentStatus::Offline).await;
    // Messages are handled in order: once this shows, the report was handled.
    until_offline(&control, &mut attached, &other_arn).await;
    assert_eq!(
        execution(&control, &arn).await.status,
        ExecutionStatus::Launching
    );
    control.stop().await;
}

async fn until_offline(control: &Control, attached: &mut super::world::Attached, agent: &AgentArn) {
    while !matches!(
        attached.next().await.unwrap(),
        Some(datasync_proto::control_message::Message::HeartbeatAck(_))
    ) {}
    control.until_status(agent, AgentStatus::Offline).await;
}
