//! Rows that cannot be read, and reports that are not quite understood.

use datasync_model::{AgentStatus, ErrorCode, ExecutionStatus, TaskExecutionArn};
use datasync_proto::ExecutionObserved;
use datasync_proto::agent_message::Message as Up;

use super::work::{add_execution, add_task, execution, report, runs, until};
use super::world::Control;
use crate::fleet::fixture;
use crate::records::Tags;

/// Changes the text of a row's body behind control's back.
fn damage(control: &std::path::Path, kind: &str, id: &str, from: &str, to: &str) {
    let sql = rusqlite::Connection::open(control.join("control.sqlite3")).unwrap();
    let changed = sql
        .execute(
            "UPDATE records SET body = replace(body, ?3, ?4)
             WHERE kind = ?1 AND id = ?2 AND instr(body, ?3) > 0",
            (kind, id, from, to),
        )
        .unwrap();
    assert_eq!(changed, 1, "{kind} {id} has {from}");
}

#[tokio::test]
async fn rows_that_cannot_be_read_stop_nothing_but_what_they_concern() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, agent) = control.activated().await;
    let task = add_task(&control).await;
    let mut attached = machine.attach("boot").await.unwrap();
    let arn = add_execution(&control, &task, 1).await;
    attached.desired(|desired| runs(desired, &arn)).await;

    // Another agent, another task and another execution: none of them can be read.
    let (_, broken) = control.activated().await;
    damage(directory.path(), "agent", broken.id(), "{", "[");
    let mut other = fixture::task_row(2, None);
    other.tags = Tags::from([("word".to_owned(), "x".to_owned())]);
    let id = other.arn.id().to_owned();
    control
        .store
        .commit(move |rows| rows.insert(&other))
        .await
        .unwrap();
    damage(directory.path(), "task", &id, "BASIC", "ACIDIC");
    let mut lost = fixture::execution_row(2, 7);
    lost.status = ExecutionStatus::Transferring;
    lost.agent = Some(broken.clone());
    let id = lost.arn().id().to_owned();
    control
        .store
        .commit(move |rows| rows.insert(&lost))
        .await
        .unwrap();
    damage(
        directory.path(),
        "execution",
        &id,
        "TRANSFERRING",
        "DREAMING",
    );

    // The others go on.
    attached
        .send(report(&arn, ExecutionStatus::Transferring, 1))
        .await;
    until(&control, &arn, |row| {
        row.status == ExecutionStatus::Transferring
    })
    .await;
    attached
        .send(report(&arn, ExecutionStatus::Success, 1))
        .await;
    attached.desired(|desired| !runs(desired, &arn)).await;
    assert_eq!(
        execution(&control, &arn).await.status,
        ExecutionStatus::Success
    );
    attached.heartbeat(AgentStatus::Offline).await;
    control.until_status(&agent, AgentStatus::Offline).await;
    control.stop().await;
}

#[tokio::test]
async fn an_agent_is_left_as_it_is_while_its_execution_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, _) = control.activated().await;
    let task = add_task(&control).await;
    let mut attached = machine.attach("boot").await.unwrap();
    let arn = add_execution(&control, &task, 1).await;
    attached.desired(|desired| runs(desired, &arn)).await;
    damage(
        directory.path(),
        "execution",
        arn.id(),
        "LAUNCHING",
        "DREAMING",
    );
    // Something else changes, so that the agents' desired states are made anew.
    let (other, _) = control.activated().await;
    let mut bystander = other.attach("boot").await.unwrap();
    bystander.desired(|_| true).await;
    damage(
        directory.path(),
        "execution",
        arn.id(),
        "DREAMING",
        "CANCELLING",
    );
    attached
        .desired(|desired| {
            assert!(runs(desired, &arn), "it is never forgotten");
            desired.executions[0].cancel
        })
        .await;
    control.stop().await;
}

fn newer(arn: &TaskExecutionArn) -> Up {
    let report = serde_json::json!({
        "execution": arn,
        "status": "ERROR",
        "counters": {"transferred": 3, "teleported": 4},
        "result": {"failure": {"code": "StoreOnFire", "detail": "x".repeat(100_000)}},
    });
    Up::Execution(ExecutionObserved {
        report_json: report.to_string(),
        epoch: 0,
    })
}

#[tokio::test]
async fn the_end_that_a_newer_agent_reports_counts_and_its_texts_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let control = Control::start(directory.path()).await;
    let (machine, _) = control.activated().await;
    let task = add_task(&control).await;
    let mut attached = machine.attach("boot").await.unwrap();
    let arn = add_execution(&control, &task, 1).await;
    attached.desired(|desired| runs(desired, &arn)).await;
    attached.send(newer(&arn)).await;
    let row = until(&control, &arn, |row| row.status == ExecutionStatus::Error).await;
    let report = row.report.unwrap();
    assert_eq!(report.counters.transferred, 3);
    let failure = report.result.failure.unwrap();
    assert_eq!(failure.code, ErrorCode::Internal);
    assert!(failure.detail.starts_with("StoreOnFire: xxx"));
    assert!(failure.detail.len() < 5_000, "{}", failure.detail.len());
    control.stop().await;
}
