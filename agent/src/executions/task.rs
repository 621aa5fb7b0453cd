//! The task of one execution: its turn, its work, its end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use datasync_model::{BytesPerSecond, ErrorCode, ExecutionReport, ExecutionSpec, Failure, Rate};
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::folder::Folder;
use super::progress_log::ProgressLog;
use super::{Assignment, Ended, Turn, Work, failed, launching, rate};
use crate::telemetry::{Account, Tally};

/// How long after its cancel an execution tries to reach the store to abort uploads of an earlier
/// run. The aborts take at most 5 s more: together less than 10 s.
const CLEAN_UP_PATIENCE: Duration = Duration::from_secs(4);

/// What goes on to the work.
pub(super) struct Handed {
    pub(super) spec: Arc<ExecutionSpec>,
    pub(super) leased: bool,
    pub(super) cancel: CancellationToken,
    pub(super) stop: CancellationToken,
    pub(super) released: CancellationToken,
    pub(super) rate: watch::Receiver<Rate>,
}

pub(super) struct Task {
    pub(super) work: Work,
    pub(super) slots: Arc<Semaphore>,
    pub(super) folder: Folder,
    /// What control sees: terminal only once the report is on disk.
    pub(super) seen: watch::Sender<ExecutionReport>,
    /// Rung at the end.
    pub(super) ended: Arc<Notify>,
    /// Where it is counted what is done.
    pub(super) tally: Tally,
    pub(super) assignment: Handed,
}

/// Runs one execution to its end, or until it is stopped.
pub(super) async fn run(task: Task) {
    let execution = task.assignment.spec.execution.clone();
    let id = execution.id().to_owned();
    let mut account = task.tally.open(&id, task.folder.has_journal());
    let ended = work(&task, &mut account).await;
    if task.assignment.released.is_cancelled() {
        // Control is told nothing of it: whoever waits for its end removes it.
        let elsewhere = Failure::new(ErrorCode::AgentUnavailable, "given to another agent");
        task.seen.send_replace(failed(execution, elsewhere));
        task.ended.notify_one();
        return;
    }
    let Some(ended) = ended else {
        tracing::info!(
            task_execution_id = id,
            event = "execution.stopped",
            "execution stopped; it goes on later"
        );
        return;
    };
    account.close(&ended);
    let telemetry = &ended.telemetry;
    tracing::info!(
        task_execution_id = id,
        source = %telemetry.source_requests,
        destination = %telemetry.destination_requests,
        "requests of the execution"
    );
    if let Some(plan) = &telemetry.plan {
        let counters = &ended.counters;
        tracing::info!(
            task_execution_id = id,
            to_transfer = counters.to_transfer,
            bytes_to_transfer = counters.bytes_to_transfer,
            to_delete = counters.to_delete,
            withheld = plan.withheld.as_ref().map(tracing::field::display),
            "a dry run: nothing was written"
        );
    }
    match &ended.result.failure {
        None => {
            tracing::info!(task_execution_id = id, status = %ended.status, event = "execution.ended", "execution ended")
        }
        Some(failure) => {
            tracing::warn!(task_execution_id = id, status = %ended.status, %failure, event = "execution.ended", "execution ended");
        }
    }
    if let Err(error) = task.folder.write_report(&ended) {
        // Control still learns the end; after a restart the engine finds it in its journal.
        tracing::error!(task_execution_id = id, %error, "cannot keep the report of an execution");
    }
    task.seen.send_replace(ended);
    task.ended.notify_one();
}

fn limit_now(handed: &Handed) -> BytesPerSecond {
    let order = *handed.rate.borrow();
    order.limit_at(&handed.spec, Timestamp::now()).0
}

async fn work(task: &Task, account: &mut Account) -> Ended {
    let handed = &task.assignment;
    let execution = &handed.spec.execution;
    let slot = tokio::select! {
        biased;
        // It only leaves its uploads to others.
        () = handed.released.cancelled() => None,
        () = handed.stop.cancelled() => return None,
        () = handed.cancel.cancelled() => {
            if !task.folder.has_journal() {
                let detail = "the execution was cancelled before its turn came";
                let failure = Failure::new(ErrorCode::Cancelled, detail);
                return Some(failed(execution.clone(), failure));
            }
            // It only cleans up, and needs no slot for that.
            None
        }
        slot = Arc::clone(&task.slots).acquire_owned() => slot.ok(),
    };
    let turn = Turn::new(slot);
    let (reports, mut progress) = watch::channel(launching(execution.clone()));
    let give_up = CancellationToken::new();
    let (limit, limits) = watch::channel(limit_now(handed));
    account.limited_by(limits.clone());
    let assignment = Assignment {
        spec: Arc::clone(&handed.spec),
        directory: task.folder.path().to_owned(),
        cancel: handed.cancel.clone(),
        give_up: give_up.clone(),
        stop: handed.stop.clone(),
        released: handed.released.clone(),
        leased: handed.leased,
        rate: limits,
        reports,
        turn: turn.clone(),
    };
    // A task of its own, so that a panic ends this execution and nothing else.
    let mut working = JoinSet::new();
    working.spawn((task.work)(assignment));
    let mut progress_log = ProgressLog::default();
    let mut patience = pin!(async {
        handed.cancel.cancelled().await;
        tokio::time::sleep(CLEAN_UP_PATIENCE).await;
    });
    let mut limiting = pin!(rate::follow(
        &handed.spec,
        handed.rate.clone(),
        limit,
        Timestamp::now
    ));
    let ended = loop {
        tokio::select! {
            ended = working.join_next() => break ended,
            () = &mut limiting => {}
            () = &mut patience, if !give_up.is_cancelled() => give_up.cancel(),
            Ok(()) = progress.changed() => {
                let report = progress.borrow_and_update().clone();
                progress_log.tell(&report, Instant::now());
                account.observe(&report);
                if !report.status.is_terminal() {
                    task.seen.send_replace(report);
                }
            }
        }
    };
    turn.give_up();
    end_of(task, ended)
}

/// What the end of the work means.
fn end_of(task: &Task, joined: Option<Result<Ended, JoinError>>) -> Ended {
    match joined {
        Some(Ok(ended)) => ended,
        Some(Err(error)) if error.is_panic() => {
            let id = task.assignment.spec.execution.id();
            tracing::error!(task_execution_id = id, %error, "an execution panicked");
            Some(ended_by_defect(task.seen.borrow().clone()))
        }
        Some(Err(_)) | None => None,
    }
}

/// `report` with its end: the counters are what they were.
fn ended_by_defect(mut report: ExecutionReport) -> ExecutionReport {
    let detail = "the execution ended by a defect of the agent; see its log".to_owned();
    let failure = Failure::new(ErrorCode::Internal, detail);
    let end = failed(report.execution.clone(), failure);
    report.status = end.status;
    report.result.failure = end.result.failure;
    report
}
