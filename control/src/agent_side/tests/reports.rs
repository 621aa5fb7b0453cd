//! Task reports that an agent signed, on their way to control's signature.

use datasync_model::{AgentArn, Digest, ReportStatement, TaskExecutionArn};
use datasync_proto::agent_message::Message as Up;
use datasync_proto::control_message::Message as Down;
use datasync_proto::{ReportCountersigned, ReportSigned};
use jiff::Timestamp;
use rcgen::{PublicKeyData, SigningKey};

use super::work::{add_execution, add_task, runs};
use super::world::{Attached, Control, Machine};
use crate::ca::key_id;
use crate::reports::{SigningError, rotated};
use crate::state::State;

fn statement(execution: &TaskExecutionArn) -> ReportStatement {
    ReportStatement {
        execution: execution.clone(),
        objects: 2,
        entries: 3,
        root: Digest::of(b"root"),
    }
}

pub(super) fn signed(
    machine: &Machine,
    agent: &AgentArn,
    execution: &TaskExecutionArn,
) -> ReportSigned {
    let statement = statement(execution);
    let key = key_id(&machine.key.subject_public_key_info());
    let text = statement.signed_by_agent(agent, &key);
    ReportSigned {
        execution_arn: execution.to_string(),
        objects: statement.objects,
        entries: statement.entries,
        root: statement.root.as_bytes().to_vec(),
        signature: machine.key.sign(text.as_bytes()).unwrap(),
    }
}

async fn answer(attached: &mut Attached, signed: ReportSigned) -> ReportCountersigned {
    attached.send(Up::ReportSigned(signed)).await;
    loop {
        if let Some(Down::ReportCountersigned(answer)) = attached.next().await.unwrap() {
            return answer;
        }
    }
}

#[tokio::test]
async fn only_reports_of_executions_that_the_agent_has_are_countersigned() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, agent) = control.activated().await;
    let task = add_task(&control).await;
    let execution = add_execution(&control, &task, 1).await;
    let other = add_execution(&control, &task, 2).await;
    let mut attached = machine.attach("boot").await.unwrap();
    attached.desired(|desired| runs(desired, &execution)).await;

    let message = signed(&machine, &agent, &execution);
    let first = answer(&mut attached, message.clone()).await;
    assert_eq!(first.error_detail, "");
    assert_eq!(first.agent_signature, message.signature);
    assert!(!first.signature.is_empty() && !first.signed_at.is_empty());
    let again = answer(&mut attached, message.clone()).await;
    assert_eq!(again.key_id, first.key_id, "one key for all");

    let strange = answer(&mut attached, signed(&machine, &agent, &other)).await;
    assert!(strange.error_detail.contains("not told"), "{strange:?}");
    assert!(strange.signature.is_empty());
    let forged = ReportSigned {
        entries: 4,
        ..message
    };
    let forged = answer(&mut attached, forged).await;
    assert!(forged.error_detail.contains("signature"), "{forged:?}");
    control.stop().await;
}

#[tokio::test]
async fn a_control_that_cannot_use_its_key_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, agent) = control.activated().await;
    let task = add_task(&control).await;
    let execution = add_execution(&control, &task, 1).await;
    let mut attached = machine.attach("boot").await.unwrap();
    attached.desired(|desired| runs(desired, &execution)).await;

    // As after a restore without the sealing key.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = State::open(elsewhere.path(), Timestamp::now()).unwrap();
    let sealer = other.sealer.clone();
    let commit = control
        .store
        .commit(move |rows| rotated(rows, &sealer, Timestamp::now()));
    let made: Result<String, SigningError> = commit.await;
    made.unwrap();
    let answer = answer(&mut attached, signed(&machine, &agent, &execution)).await;
    let detail = &answer.error_detail;
    assert!(detail.contains("cannot sign"), "{detail}");
    assert!(detail.contains("another sealing.key"), "{detail}");
    assert!(answer.signature.is_empty());
    control.stop().await;
}
