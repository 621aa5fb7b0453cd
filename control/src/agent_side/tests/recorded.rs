//! What agents of every release said is understood. What this control says is recorded where that is
//! wished for.

#[path = "../../../../proto/tests/recorded/store.rs"]
mod store;

use datasync_model::{Ability, AgentStatus, ErrorCode, ExecutionStatus, LogLevel};
use datasync_proto::agent_message::Message as Up;
use datasync_proto::control_message::Message as Down;
use datasync_proto::{AgentMessage, ControlMessage, LogLine, LogLines, Renew};

use super::reports::signed;
use super::work::{add_execution, add_task, change, runs, until};
use super::world::{Attached, Control};
use crate::logs;
use store::{Said, record, releases, said};

/// Reads on until control has said something of each of these kinds.
async fn until_heard(attached: &mut Attached, kinds: &[&str]) {
    let has = |attached: &Attached, kind| attached.heard.iter().any(|said| said.kind() == kind);
    while !kinds.iter().all(|kind| has(attached, *kind)) {
        attached.next().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn control_says_every_kind_of_message() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (mut machine, agent) = control.activated().await;
    machine.abilities = Ability::ALL.iter().map(ToString::to_string).collect();
    let task = add_task(&control).await;
    let execution = add_execution(&control, &task, 1).await;
    let logged = |row: &mut crate::records::Execution| {
        row.spec.options.log_level = LogLevel::Transfer;
    };
    change(&control, &execution, logged).await;
    let mut attached = machine.attach("boot").await.unwrap();
    attached
        .desired(|desired| runs(desired, &execution) && desired.probes.len() == 2)
        .await;
    attached.heartbeat_at(AgentStatus::Online, 7_000).await;
    let line = LogLine {
        at_milliseconds: 1,
        severity: "INFO".to_owned(),
        text: "a line".to_owned(),
    };
    let lines = LogLines {
        execution_arn: execution.to_string(),
        log_id: "log".to_owned(),
        first: 0,
        lines: vec![line],
    };
    attached.send(Up::Log(lines)).await;
    let signed = signed(&machine, &agent, &execution);
    attached.send(Up::ReportSigned(signed)).await;
    let kinds = [
        "credentials",
        "heartbeat_ack",
        "log_kept",
        "report_countersigned",
    ];
    until_heard(&mut attached, &kinds).await;
    control.delete_agent(&agent).await;
    until_heard(&mut attached, &["deactivate"]).await;
    // It takes a rotation of the CA, and says nothing more than that.
    attached.heard.push(ControlMessage {
        message: Some(Down::Renew(Renew {})),
    });
    until_heard(&mut attached, ControlMessage::KINDS).await;
    record(attached.heard);
    control.stop().await;
}

async fn hear_all(release: &str) {
    let mut said = said::<AgentMessage>(release);
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (mut machine, agent) = control.activated().await;
    let task = add_task(&control).await;
    let execution = add_execution(&control, &task, 1).await;
    let Some(Up::Hello(hello)) = said.remove("hello").unwrap().message else {
        panic!("it is a hello");
    };
    machine.abilities = hello.abilities;
    let mut attached = machine.attach(&hello.boot_nonce).await.unwrap();
    attached.desired(|desired| runs(desired, &execution)).await;
    for message in said.into_values() {
        attached.send(message.message.unwrap()).await;
    }
    let ended = |row: &crate::records::Execution| row.status == ExecutionStatus::Error;
    let row = until(&control, &execution, ended).await;
    let failure = row.report.unwrap().result.failure.unwrap();
    assert_eq!(failure.code, ErrorCode::Cancelled, "{release}");
    let answers = ["heartbeat_ack", "log_kept", "report_countersigned"];
    until_heard(&mut attached, &answers).await;
    let log = logs::next(&control.store, execution.id(), None).await;
    let (_, lines) = log.unwrap().unwrap();
    assert!(!lines.is_empty(), "{release}");
    assert_eq!(control.status(&agent).await, Some(AgentStatus::Online));
    control.stop().await;
}

#[tokio::test]
async fn what_agents_of_every_release_said_is_understood() {
    for release in releases() {
        Box::pin(hear_all(&release)).await;
    }
}
