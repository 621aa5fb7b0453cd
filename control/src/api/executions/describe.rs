//! DescribeTaskExecution: what the agent last reported.

mod counters;

use datasync_model::{ErrorCode, ExecutionResult, Failure, PhaseStatus, ReportResult, TaskMode};
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
        if let Some(config) = &execution.report_config {
            members.insert("TaskReportConfig".to_owned(), json!(config));
            members.insert("ReportResult".to_owned(), report_result(execution));
        }
        members.append(&mut counters::shown(execution));
        let result = execution.report.as_ref().map(|report| &report.result);
        let shown = result_of(result.cloned().unwrap_or_default(), spec.task_mode);
        members.insert("Result".to_owned(), shown);
    }
    answer
}

/// PENDING until the agent says how the report ended.
fn report_result(execution: &Execution) -> Value {
    let report = execution.report.as_ref();
    let result = report.and_then(|report| report.result.report.clone());
    let result = result.unwrap_or_else(|| match execution.is_live() {
        true => ReportResult {
            status: PhaseStatus::Pending,
            failure: None,
        },
        false => ReportResult {
            status: PhaseStatus::Error,
            failure: Some(Failure::new(
                ErrorCode::TaskReportNotGenerated,
                "Execution error occurred prior to generating any Task Reports",
            )),
        },
    });
    let mut shown = json!({"Status": result.status});
    if let (Some(failure), Some(members)) = (result.failure, shown.as_object_mut()) {
        members.insert("ErrorCode".to_owned(), failure.code.as_str().into());
        members.insert("ErrorDetail".to_owned(), failure.detail.into());
    }
    shown
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
