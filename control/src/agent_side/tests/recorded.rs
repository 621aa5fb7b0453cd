//! What agents of every release said is understood. What this control says is recorded where that is
//! wished for.

#[path = "../../../../proto/tests/recorded/store.rs"]
mod store;

#[path = "../../../../proto/tests/recorded/calls.rs"]
mod calls;

use datasync_model::{Ability, AgentStatus, ErrorCode, ExecutionStatus, LogLevel};
use datasync_proto::agent_message::Message as Up;
use datasync_proto::control_message::Message as Down;
use datasync_proto::session_client::SessionClient;
use datasync_proto::{
    AgentMessage, AwaitActivationRequest, ClaimActivationKeyRequest, ControlMessage,
    FetchReleaseRequest, LogLine, LogLines, Message, ReleasePart, Renew, RenewCertificateRequest,
    RequestActivationKeyRequest,
};
use jiff::Timestamp;

use super::reports::signed;
use super::updates::bundle;
use super::work::{add_execution, add_task, change, runs, until};
use super::world::{Attached, Control, Machine};
use crate::enrollment::{Origin, issue};
use crate::logs;
use crate::releases::add_release;
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

/// The questions of an agent of that release, answered one after the other. What is a secret of the control
/// that it asked then, is one of this control. The answers are recorded where that is wished for.
async fn answer_all(release: &str) {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let stranger = Machine::new(&control);
    let mut client = stranger.enrollment().await;
    let asked: RequestActivationKeyRequest =
        calls::said(release, "request_activation_key", "request");
    let key = client.request_activation_key(asked).await.unwrap();
    let key = key.into_inner();
    calls::record("request_activation_key", "answer", &key.encode_to_vec());
    let agent = control.create_agent(&key.activation_key).await.unwrap();
    let mut asked: AwaitActivationRequest = calls::said(release, "await_activation", "request");
    asked.ticket = key.ticket;
    let told = client.await_activation(asked).await.unwrap().into_inner();
    calls::record("await_activation", "answer", &told.encode_to_vec());
    assert_eq!(told.activated.unwrap().agent_arn, agent.to_string());
    let asked: RenewCertificateRequest = calls::said(release, "renew_certificate", "request");
    let told = client.renew_certificate(asked).await.unwrap().into_inner();
    calls::record("renew_certificate", "answer", &told.encode_to_vec());
    assert!(!told.certificate_chain.is_empty());
    let origin = Origin::Operator { agent_name: None };
    let issued = issue(&control.store, origin, Timestamp::now()).await;
    let issued = issued.unwrap().key;
    let mut asked: ClaimActivationKeyRequest =
        calls::said(release, "claim_activation_key", "request");
    asked.activation_key = issued.reveal().to_owned();
    let told = client.claim_activation_key(asked).await.unwrap();
    let told = told.into_inner();
    calls::record("claim_activation_key", "answer", &told.encode_to_vec());
    assert!(!told.ticket.is_empty());
    control.stop().await;
}

#[tokio::test]
async fn what_agents_of_every_release_asked_is_answered() {
    for release in releases() {
        Box::pin(answer_all(&release)).await;
    }
}

#[tokio::test]
async fn agents_of_every_release_fetch_a_bundle() {
    for release in releases() {
        let directory = tempfile::tempdir().unwrap();
        let control = Control::start(directory.path()).await;
        let (path, whole) = bundle(directory.path());
        add_release(directory.path(), &path).await.unwrap();
        let (machine, _) = control.activated().await;
        let mut asked: FetchReleaseRequest = calls::said(&release, "fetch_release", "request");
        asked.version = "1.2.3".to_owned();
        let channel = machine.connect(true).await.unwrap();
        let parts = SessionClient::new(channel).fetch_release(asked).await;
        let first = parts.unwrap().into_inner().message().await.unwrap();
        let mut data = first.unwrap().data;
        assert!(whole.starts_with(&data), "{release}");
        data.truncate(100);
        let part = ReleasePart { data };
        calls::record("fetch_release", "answer", &part.encode_to_vec());
        control.stop().await;
    }
}
