//! The summary of a report: totals, times and settings, by the names of DescribeTaskExecution.

use datasync_model::{
    Counters, ErrorCode, ExecutionReport, ExecutionSpec, ExecutionStatus, Location, TaskMode,
};
use serde_json::{Map, Value, json};

/// The summary of an execution that ended at `now_ms` (since 1970).
pub(super) fn summary(spec: &ExecutionSpec, report: &ExecutionReport, now_ms: i64) -> Value {
    let (execution, result) = (&spec.execution, &report.result);
    let total_ms = i64::try_from(result.total_duration_ms).unwrap_or(i64::MAX);
    let failure = result.failure.as_ref();
    let outcome = match (report.status, failure.map(|failure| failure.code)) {
        (ExecutionStatus::Success, _) => "COMPLETED",
        (_, Some(ErrorCode::Cancelled)) => "CANCELLED",
        _ => "ERROR",
    };
    let mut summary = json!({
        "TaskExecutionId": execution.id(),
        "TaskId": execution.task().id(),
        "TaskExecutionArn": execution,
        "AccountId": execution.task().home().account,
        "SourceLocationArn": spec.source.arn(),
        "SourceLocationUri": uri(&spec.source),
        "DestinationLocationArn": spec.destination.arn(),
        "DestinationLocationUri": uri(&spec.destination),
        "TaskMode": spec.task_mode,
        "Status": report.status,
        "Outcome": outcome,
        "StartTime": time(now_ms.saturating_sub(total_ms)),
        "EndTime": time(now_ms),
        "TotalDuration": result.total_duration_ms,
        "PrepareDuration": result.prepare_duration_ms,
        "TransferDuration": result.transfer_duration_ms,
        "VerifyDuration": result.verify_duration_ms,
        "Options": spec.options,
        "Includes": filter(spec.includes.as_str()),
        "Excludes": filter(spec.excludes.as_str()),
    });
    if let Some(members) = summary.as_object_mut() {
        members.append(&mut totals(&report.counters, spec.task_mode));
        if let Some(failure) = failure {
            members.insert("ErrorCode".to_owned(), failure.code.as_str().into());
            members.insert("ErrorDetail".to_owned(), failure.detail.as_str().into());
        }
        if let Some(manifest) = &spec.extensions.manifest {
            let place = format!("s3://{}/{}", manifest.store.bucket, manifest.key);
            members.insert("Manifest".to_owned(), place.into());
        }
    }
    summary
}

/// In BASIC mode directories count as files; in ENHANCED mode they are told apart.
fn totals(counters: &Counters, mode: TaskMode) -> Map<String, Value> {
    let c = counters;
    let counts = [
        ("Transferred", c.transferred, c.directories_transferred),
        ("Skipped", c.skipped, c.directories_skipped),
        ("Verified", c.verified, c.directories_verified),
        ("Deleted", c.deleted, c.directories_deleted),
        ("Failed", c.failed, c.directories_failed),
        ("Mismatched", c.mismatched, c.directories_mismatched),
    ];
    let mut totals = Map::new();
    for (word, all, directories) in counts {
        let files = match mode {
            TaskMode::Basic => all,
            TaskMode::Enhanced => {
                totals.insert(format!("Folders{word}"), directories.into());
                all.saturating_sub(directories)
            }
        };
        totals.insert(format!("Files{word}"), files.into());
    }
    totals.insert("BytesWritten".to_owned(), c.bytes_written.into());
    totals.insert("BytesTransferred".to_owned(), c.bytes_transferred.into());
    totals
}

fn filter(value: &str) -> Value {
    if value.is_empty() {
        json!([])
    } else {
        json!([{"FilterType": "SIMPLE_PATTERN", "Value": value}])
    }
}

fn uri(location: &Location) -> String {
    match location {
        Location::Nfs(nfs) => format!("nfs://{}{}", nfs.server_hostname, nfs.subdirectory),
        Location::Efs(efs) => efs.uri(),
        Location::S3(s3) => format!("s3://{}/{}", s3.bucket, s3.prefix),
    }
}

/// RFC 3339 in UTC.
fn time(ms: i64) -> Value {
    jiff::Timestamp::from_millisecond(ms).map_or(Value::Null, |at| at.to_string().into())
}
