//! Two replicas of control on one PostgreSQL database.

use std::collections::BTreeMap;
use std::time::Duration;

use datasync_model::{AgentStatus, ExecutionStatus, TaskExecutionArn};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::work::{add_execution, add_task, change, execution, report, runs, until};
use super::world::{Control, Machine};
use crate::config::Config;
use crate::state::StatePlace;
use crate::store::Database;
use crate::store::test_server::{Server, settings};

const KEY: [u8; 32] = [7; 32];

pub(super) struct Replicas {
    url: String,
    directory: TempDir,
    // Dropped last.
    _server: Server,
}

impl Replicas {
    pub(super) fn new() -> Self {
        let server = Server::start();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("key"), KEY).unwrap();
        Self {
            url: server.new_database(),
            directory,
            _server: server,
        }
    }

    pub(super) async fn start(&self, name: &str) -> Control {
        let change = |config: &mut Config| config.offline_after = Duration::from_secs(5);
        self.start_with(name, change).await
    }

    /// Where a command works on the same rows.
    pub(super) fn place(&self) -> StatePlace {
        let mut config = Config::new(self.directory.path().join("commands")).unwrap();
        config.database = Database::Postgres(Box::new(settings(&self.url)));
        config.sealing_key_file = Some(self.directory.path().join("key"));
        config.state_place()
    }

    pub(super) async fn start_with(&self, name: &str, change: impl FnOnce(&mut Config)) -> Control {
        let change = |config: &mut Config| {
            change(config);
            config.database = Database::Postgres(Box::new(settings(&self.url)));
            config.sealing_key_file = Some(self.directory.path().join("key"));
        };
        Box::pin(Control::with(&self.directory.path().join(name), change)).await
    }
}

/// The same machine, connecting to another replica.
pub(super) fn at(machine: &Machine, control: &Control) -> Machine {
    Machine {
        address: control.address,
        key: rcgen::KeyPair::from_pem(&machine.key.serialize_pem()).unwrap(),
        trust: machine.trust.clone(),
        certificate: machine.certificate.clone(),
        local: None,
        abilities: machine.abilities.clone(),
    }
}

#[tokio::test]
async fn an_agent_that_moves_stays_online_and_leaves_its_old_session_behind() {
    let replicas = Replicas::new();
    let (a, b) = (replicas.start("a").await, replicas.start("b").await);
    let (machine, agent) = a.activated().await;
    let mut before = machine.attach("boot").await.unwrap();
    b.until_status(&agent, AgentStatus::Online).await;
    let after = at(&machine, &b).attach("boot").await.unwrap();
    let status = before.end().await;
    assert!(status.message().contains("newer session"), "{status}");
    // Longer than a lease: what the first replica knew of it counts no more.
    for _ in 0..26 {
        after.heartbeat(AgentStatus::Online).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(a.status(&agent).await, Some(AgentStatus::Online));
    }
    after.heartbeat(AgentStatus::Offline).await;
    a.until_status(&agent, AgentStatus::Offline).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn of_two_machines_on_two_replicas_the_newest_wins_and_the_other_stays_out() {
    let replicas = Replicas::new();
    let (a, b) = (replicas.start("a").await, replicas.start("b").await);
    let (machine, agent) = a.activated().await;
    let mut first = machine.attach("one").await.unwrap();
    let clone = at(&machine, &b).attach("two").await.unwrap();
    let status = first.end().await;
    assert_eq!(status.code(), Code::Aborted);
    assert!(status.message().contains("another machine"), "{status}");
    for control in [&a, &b] {
        clone.heartbeat(AgentStatus::Online).await;
        let Err(status) = at(&machine, control).attach("one").await else {
            panic!("the machine that lost is let in");
        };
        assert_eq!(status.code(), Code::Aborted, "{status}");
    }
    b.until_status(&agent, AgentStatus::Online).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn the_agents_of_a_replica_that_is_gone_go_offline_and_a_cancel_reaches_them_elsewhere() {
    let replicas = Replicas::new();
    let (a, b) = (replicas.start("a").await, replicas.start("b").await);
    let (machine, agent) = a.activated().await;
    let task = add_task(&b).await;
    let first = add_execution(&b, &task, 1).await;
    let mut attached = machine.attach("boot").await.unwrap();
    attached.desired(|desired| runs(desired, &first)).await;
    a.stop().await;
    assert_eq!(b.status(&agent).await, Some(AgentStatus::Online));
    b.until_status(&agent, AgentStatus::Offline).await;
    let row = execution(&b, &first).await;
    assert_eq!(row.status, ExecutionStatus::Launching, "it may be working");
    let mut attached = at(&machine, &b).attach("boot").await.unwrap();
    attached.desired(|desired| runs(desired, &first)).await;
    change(&b, &first, |row| row.status = ExecutionStatus::Cancelling).await;
    let cancels = |desired: &datasync_proto::DesiredState| {
        desired.executions.iter().any(|wanted| wanted.cancel)
    };
    attached.desired(cancels).await;
    attached
        .send(report(&first, ExecutionStatus::Error, 0))
        .await;
    until(&b, &first, |row| row.status == ExecutionStatus::Error).await;
    b.stop().await;
}

#[tokio::test]
async fn an_agent_that_no_replica_hears_of_does_not_hold_up_a_cancel() {
    let replicas = Replicas::new();
    let (a, b) = (replicas.start("a").await, replicas.start("b").await);
    let (machine, _) = a.activated().await;
    let task = add_task(&a).await;
    let first = add_execution(&a, &task, 1).await;
    let mut attached = machine.attach("boot").await.unwrap();
    attached.desired(|desired| runs(desired, &first)).await;
    change(&b, &first, |row| row.status = ExecutionStatus::Cancelling).await;
    // Its own replica hears of it, so that the other one does not end it.
    for _ in 0..34 {
        attached.heartbeat(AgentStatus::Online).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let row = execution(&b, &first).await;
    assert_eq!(row.status, ExecutionStatus::Cancelling);
    a.stop().await;
    drop(attached);
    let row = until(&b, &first, |row| row.status == ExecutionStatus::Error).await;
    let detail = row.report.unwrap().result.failure.unwrap().detail;
    assert!(detail.contains("could not be reached"), "{detail}");
    b.stop().await;
}

/// Runs whatever the agent is told, until `stop`; says what it was told to run.
async fn work(machine: Machine, stop: CancellationToken) -> Vec<TaskExecutionArn> {
    let mut attached = machine.attach("boot").await.unwrap();
    let mut told = Vec::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return told,
            () = tokio::time::sleep(Duration::from_millis(300)) => {
                attached.heartbeat(AgentStatus::Online).await;
            }
            message = attached.next() => {
                let Some(datasync_proto::control_message::Message::Desired(desired)) =
                    message.unwrap()
                else {
                    continue;
                };
                assert!(desired.executions.len() <= 1, "one at a time");
                for wanted in &desired.executions {
                    let spec = wanted.spec().unwrap();
                    if told.last() != Some(&spec.execution) {
                        told.push(spec.execution.clone());
                    }
                    attached.send(report(&spec.execution, ExecutionStatus::Success, 1)).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn every_execution_is_launched_once_whoever_plans() {
    const EXECUTIONS: u64 = 12;
    let replicas = Replicas::new();
    let (a, b) = (replicas.start("a").await, replicas.start("b").await);
    let stop = CancellationToken::new();
    let mut agents = JoinSet::new();
    let mut arns = BTreeMap::new();
    for control in [&a, &b, &a, &b] {
        let (machine, agent) = control.activated().await;
        arns.insert(agent.to_string(), agent);
        agents.spawn(work(machine, stop.clone()));
    }
    for agent in arns.values() {
        a.until_status(agent, AgentStatus::Online).await;
    }
    let task = add_task(&a).await;
    let mut executions = Vec::new();
    for number in 0..EXECUTIONS {
        let control = if number % 2 == 0 { &a } else { &b };
        executions.push(add_execution(control, &task, number + 1).await);
    }
    for arn in &executions {
        until(&b, arn, |row| row.status == ExecutionStatus::Success).await;
    }
    stop.cancel();
    let mut told: Vec<String> = Vec::new();
    for one in agents.join_all().await {
        told.extend(one.iter().map(ToString::to_string));
    }
    told.sort();
    let mut expected: Vec<String> = executions.iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(told, expected);
    a.stop().await;
    b.stop().await;
}
