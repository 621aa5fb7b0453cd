//! Reports of executions, read so that one of another version still says what it can.
//!
//! Unknown members are passed over, absent ones have their defaults. A status that is not known
//! counts as LAUNCHING, which moves no execution forward; a phase as PENDING; a code as
//! [`ErrorCode::Internal`](datasync_model::ErrorCode::Internal), named in the detail; telemetry
//! that cannot be read as none.

use datasync_model::{
    Counters, ExecutionReport, ExecutionResult, ExecutionStatus, PhaseStatus, ReportResult,
    TaskExecutionArn,
};
use serde::Deserialize;

use crate::convert::failure;

#[derive(Deserialize)]
struct Loose {
    execution: TaskExecutionArn,
    #[serde(default)]
    status: String,
    #[serde(default)]
    counters: Counters,
    #[serde(default)]
    result: LooseResult,
    #[serde(default)]
    telemetry: serde_json::Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LooseResult {
    prepare_status: String,
    prepare_duration_ms: u64,
    transfer_status: String,
    transfer_duration_ms: u64,
    verify_status: String,
    verify_duration_ms: u64,
    total_duration_ms: u64,
    failure: Option<LooseFailure>,
    report: Option<LooseReportResult>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LooseReportResult {
    status: String,
    failure: Option<LooseFailure>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LooseFailure {
    code: String,
    detail: String,
}

pub(crate) fn read(json: &str) -> Result<ExecutionReport, serde_json::Error> {
    let loose: Loose = serde_json::from_str(json)?;
    let phase = |word: &str| word.parse().unwrap_or(PhaseStatus::Pending);
    let result = loose.result;
    Ok(ExecutionReport {
        execution: loose.execution,
        status: loose.status.parse().unwrap_or(ExecutionStatus::Launching),
        counters: loose.counters,
        result: ExecutionResult {
            prepare_status: phase(&result.prepare_status),
            prepare_duration_ms: result.prepare_duration_ms,
            transfer_status: phase(&result.transfer_status),
            transfer_duration_ms: result.transfer_duration_ms,
            verify_status: phase(&result.verify_status),
            verify_duration_ms: result.verify_duration_ms,
            total_duration_ms: result.total_duration_ms,
            failure: result.failure.map(|f| failure(&f.code, &f.detail)),
            report: result.report.map(|report| ReportResult {
                status: phase(&report.status),
                failure: report.failure.map(|f| failure(&f.code, &f.detail)),
            }),
        },
        telemetry: serde_json::from_value(loose.telemetry).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use datasync_model::{ErrorCode, Failure, Telemetry};

    use super::*;

    const EXECUTION: &str = "arn:aws:datasync:us-east-1:123456789012:\
                             task/task-0123456789abcdef0/execution/exec-0123456789abcdef0";

    #[test]
    fn a_report_of_this_version_is_read_as_it_was_written() {
        let report = ExecutionReport {
            execution: EXECUTION.parse().unwrap(),
            status: ExecutionStatus::Error,
            counters: Counters {
                transferred: 3,
                ..Counters::default()
            },
            result: ExecutionResult {
                prepare_status: PhaseStatus::Success,
                prepare_duration_ms: 1,
                transfer_status: PhaseStatus::Error,
                transfer_duration_ms: 2,
                verify_status: PhaseStatus::Pending,
                verify_duration_ms: 3,
                total_duration_ms: 4,
                failure: Some(Failure::new(ErrorCode::ItemsFailed, "two")),
                report: Some(ReportResult {
                    status: PhaseStatus::Error,
                    failure: Some(Failure::new(ErrorCode::TaskReportUploadFailed, "no bucket")),
                }),
            },
            telemetry: Telemetry {
                source_requests: [("READ", 3)].into_iter().collect(),
                ..Telemetry::default()
            },
        };
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(read(&json).unwrap(), report);
    }

    #[test]
    fn a_report_of_a_newer_version_says_what_it_can() {
        let json = serde_json::json!({
            "execution": EXECUTION,
            "status": "ERROR",
            "counters": {"transferred": 3, "teleported": 4},
            "result": {
                "prepare_status": "SUCCESS",
                "transfer_status": "PARTIAL",
                "failure": {"code": "StoreOnFire", "detail": "call 112", "severity": 9},
            },
            "mood": "bad",
            "telemetry": {"source_requests": "many"},
        });
        let report = read(&json.to_string()).unwrap();
        assert_eq!(report.status, ExecutionStatus::Error);
        assert_eq!(report.counters.transferred, 3);
        assert_eq!(report.result.transfer_status, PhaseStatus::Pending);
        let failure = report.result.failure.unwrap();
        assert_eq!(failure.code, ErrorCode::Internal);
        assert_eq!(failure.detail, "StoreOnFire: call 112");
        let unknown = serde_json::json!({"execution": EXECUTION, "status": "DREAMING"});
        let report = read(&unknown.to_string()).unwrap();
        assert_eq!(report.status, ExecutionStatus::Launching);
        assert!(read("{}").is_err() && read("no JSON").is_err());
    }
}
