//! DescribeTaskExecution: what the agent last reported.

mod counters;

use datasync_model::{ExecutionResult, TaskMode};
use serde_json::{Value, json};

use super::super::agents::seconds;
use super::super::call::Call;
use super::super::error::ApiError;
use super::super::tasks::{excludes, includes};
use super::find;
use crate::records::Execution;

pub(in crate::api) async fn describe(call: &Call<'_>) -> Result<Value, ApiError> {
    let arn = super::target(call)?;
    call.read(move |tx| Ok(shown(&find(tx, &arn)?.record)))
        .await
}

fn shown(execution: &Execution) -> Value {
    let spec = &execution.spec;
    let mut options = spec.options.clone();
    options.bytes_per_second = execution.bytes_per_second;
    let mut answer = json!({
        "TaskExecutionArn": execution.arn(),
        "Status": execution.status,
        "TaskMode": spec.task_mode,
        "Options": options,
        "Includes": includes(&spec.includes),
        "Excludes": excludes(&spec.excludes),
        "StartTime": seconds(execution.requested_at_ms),
    });
    if let Some(members) = answer.as_object_mut() {
        if let Some(launched) = execution.launched_at_ms {
            members.insert("LaunchTime".to_owned(), seconds(launched));
        }
        if let Some(ended) = execution.ended_at_ms {
            members.insert("EndTime".to_owned(), seconds(ended));
        }
        if let Some(manifest) = &execution.manifest {
            members.insert("ManifestConfig".to_owned(), json!(manifest));
        }
        members.append(&mut counters::shown(execution));
        let result = execution.report.as_ref().map(|report| &report.result);
        let shown = result_of(result.cloned().unwrap_or_default(), spec.task_mode);
        members.insert("Result".to_owned(), shown);
    }
    answer
}

/// ENHANCED mode has no phases one after the other, so their durations are zero.
fn result_of(result: ExecutionResult, mode: TaskMode) -> Value {
    let phase = |ms: u64| match mode {
        TaskMode::Basic => ms,
        TaskMode::Enhanced => 0,
    };
    let mut shown = json!({
        "PrepareDuration": phase(result.prepare_duration_ms),
        "PrepareStatus": result.prepare_status,
        "TransferDuration": phase(result.transfer_duration_ms),
        "TransferStatus": result.transfer_status,
        "VerifyDuration": phase(result.verify_duration_ms),
        "VerifyStatus": result.verify_status,
        "TotalDuration": result.total_duration_ms,
    });
    if let (Some(failure), Some(members)) = (result.failure, shown.as_object_mut()) {
        members.insert("ErrorCode".to_owned(), failure.code.as_str().into());
        members.insert("ErrorDetail".to_owned(), failure.detail.into());
    }
    shown
}
