//! What controls of every release said is understood. What this agent says is recorded where that is
//! wished for.

#[path = "../../../proto/tests/recorded/store.rs"]
mod store;

#[path = "../../../proto/tests/recorded/calls.rs"]
mod calls;

use std::collections::BTreeMap;

use datasync_model::ErrorCode;
use datasync_proto::agent_message::Message as FromAgent;
use datasync_proto::control_message::Message as ToAgent;
use datasync_proto::{AgentMessage, ControlMessage, DesiredState, Renew, ReportSigned};

use crate::agent::Agent;
use crate::control::FakeControl;
use crate::updates::{Signer, wish};
use store::{PRESENT, Said, is_recording, record, releases, said};

fn desired(said: &BTreeMap<String, ControlMessage>) -> DesiredState {
    match said["desired"].message.clone() {
        Some(ToAgent::Desired(desired)) => desired,
        other => panic!("{other:?}"),
    }
}

/// How the only execution of `desired` ended.
fn end(received: &[FromAgent], desired: &DesiredState) -> Option<ErrorCode> {
    let wanted = desired.executions[0].spec().unwrap().execution;
    received.iter().find_map(|message| match message {
        FromAgent::Execution(observed) => {
            assert_eq!(observed.epoch, desired.executions[0].epoch);
            let report = observed.report().unwrap();
            assert_eq!(report.execution, wanted);
            report.result.failure.map(|failure| failure.code)
        }
        _ => None,
    })
}

/// What cannot be had here is made up: an agent signs once its report is written.
async fn record_all(control: &FakeControl, desired: &DesiredState) {
    for kind in AgentMessage::KINDS {
        if *kind != "report_signed" {
            let is_it = |message: &FromAgent| {
                let message = Some(message.clone());
                AgentMessage { message }.kind() == *kind
            };
            let came = |all: &[FromAgent]| all.iter().any(is_it).then_some(());
            control.until(kind, came).await;
        }
    }
    let signed = FromAgent::ReportSigned(ReportSigned {
        execution_arn: desired.executions[0].spec().unwrap().execution.to_string(),
        objects: 2,
        entries: 3,
        root: vec![7; 32],
        signature: vec![8; 70],
    });
    let all = control.until("all", |all| Some(all.to_vec())).await;
    let all = all.into_iter().chain([signed]);
    record(all.map(|message| AgentMessage {
        message: Some(message),
    }));
}

async fn hear_all(release: &str) {
    let mut said = said::<ControlMessage>(release);
    let desired = desired(&said);
    let control = FakeControl::start().await;
    let mut agent = Agent::start(&control);
    agent.activate(&control).await;
    control.until_sessions(1).await;
    let (renew, deactivate) = (said.remove("renew"), said.remove("deactivate"));
    for message in said.into_values() {
        control.say(message.message.unwrap()).await;
    }
    let generation = desired.generation.clone().unwrap();
    control
        .until("it is taken", |all| {
            let applied = FromAgent::Applied(generation.clone());
            all.contains(&applied).then_some(())
        })
        .await;
    let mut cancelled = desired.clone();
    cancelled.executions[0].cancel = true;
    control.say(ToAgent::Desired(cancelled)).await;
    let code = control.until("its end", |all| end(all, &desired)).await;
    assert_eq!(code, ErrorCode::Cancelled, "{release}");
    if is_recording() && release == PRESENT {
        record_all(&control, &desired).await;
    }
    assert_eq!(control.sessions(), 1, "{release}");
    if let Some(renew) = renew {
        control.say(renew.message.unwrap()).await;
        control.until_sessions(2).await;
        assert_eq!(control.renewals(), 1, "{release}");
    }
    control.say(deactivate.unwrap().message.unwrap()).await;
    agent.activation_address().await;
    agent.stop().await;
}

#[tokio::test]
async fn what_controls_of_every_release_said_is_understood() {
    for release in releases() {
        Box::pin(hear_all(&release)).await;
    }
}

#[tokio::test]
async fn an_agent_makes_every_call() {
    let key = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE";
    let control = FakeControl::start().await;
    control.issue_key(key);
    let mut claiming = Agent::start_with(&control, &[("activation_key", key.to_owned())]);
    control.until_claimed(key).await;
    claiming.stop().await;
    let signer = Signer::new();
    let mut agent = Agent::start_with(&control, &signer.settings());
    agent.activate(&control).await;
    control.until_sessions(1).await;
    control.say(ToAgent::Renew(Renew {})).await;
    control.until_sessions(2).await;
    control.desire_release(1, Some(wish("wish"))).await;
    for call in calls::REQUESTS {
        calls::record(call, "request", &control.until_asked(call).await);
    }
    agent.stop().await;
}
