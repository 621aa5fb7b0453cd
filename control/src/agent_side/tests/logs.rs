//! Logs of executions come over the session and are kept; machines that meet are told as a warning.

use std::time::Duration;

use datasync_proto::agent_message::Message as Up;
use datasync_proto::control_message::Message as Down;
use datasync_proto::{LogKept, LogLine, LogLines};

use super::work::{add_execution, add_task, runs};
use super::world::{Attached, Control, PATIENCE};
use crate::logs;
use crate::records::{Event, WarningKind};

fn part(execution: &str, first: u64, texts: &[&str]) -> LogLines {
    let line = |text: &&str| LogLine {
        at_milliseconds: 1,
        severity: "INFO".to_owned(),
        text: (*text).to_owned(),
    };
    LogLines {
        execution_arn: execution.to_owned(),
        log_id: "log".to_owned(),
        first,
        lines: texts.iter().map(line).collect(),
    }
}

async fn kept(attached: &mut Attached, part: LogLines) -> LogKept {
    attached.send(Up::Log(part)).await;
    loop {
        if let Some(Down::LogKept(kept)) = attached.next().await.unwrap() {
            return kept;
        }
    }
}

#[tokio::test]
async fn lines_are_kept_once_and_outlive_what_is_no_log() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, _) = control.activated().await;
    let task = add_task(&control).await;
    let arn = add_execution(&control, &task, 1).await;
    let mut attached = machine.attach("boot").await.unwrap();
    attached.desired(|desired| runs(desired, &arn)).await;
    let execution = arn.to_string();
    let first = kept(&mut attached, part(&execution, 0, &["a", "b"])).await;
    assert_eq!((first.log_id.as_str(), first.next), ("log", 2));
    // Nobody answers nonsense, and the session goes on.
    attached.send(Up::Log(part("nonsense", 0, &["x"]))).await;
    let again = kept(&mut attached, part(&execution, 1, &["b", "c"])).await;
    assert_eq!(again.next, 3);
    let (_, lines) = logs::next(&control.store, arn.id(), None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(lines.len(), 2);
    let (_, lines) = logs::next(&control.store, arn.id(), Some(0))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((lines.len(), lines[0].text.as_str()), (1, "c"));
    let about = logs::about(&control.store, &arn).await.unwrap().unwrap();
    assert_eq!(about.left_out, 0);
    control.stop().await;
}

#[tokio::test]
async fn a_machine_that_comes_back_after_its_clone_is_told_as_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, agent) = control.activated().await;
    let _first = machine.attach("original").await.unwrap();
    let _clone = machine.attach("clone").await.unwrap();
    let refused = machine.attach("original").await.err().unwrap();
    assert_eq!(refused.code(), tonic::Code::Aborted);
    let warned = async {
        loop {
            let events = control
                .store
                .read(|rows| rows.list::<Event>(None, 100))
                .await;
            let events: Result<_, crate::store::StoreError> = events;
            let mut events = events.unwrap().into_iter().map(|row| row.record);
            if let Some(event) = events.find(|event| event.warning.is_some()) {
                return event;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let event = tokio::time::timeout(PATIENCE, warned).await.unwrap();
    assert_eq!(event.subject.id(), agent.id());
    assert_eq!(event.state, "RAISED");
    assert_eq!(event.warning.unwrap().kind, WarningKind::CloneDetected);
    control.stop().await;
}
