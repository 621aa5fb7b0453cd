//! What an agent reports of an execution.

use serde::{Deserialize, Serialize};

use crate::word::words;
use crate::{Counters, ErrorCode, ExecutionStatus, Failure, TaskExecutionArn, Telemetry};

words! {
    /// `PrepareStatus`, `TransferStatus`, `VerifyStatus`.
    PhaseStatus { Pending = "PENDING", Success = "SUCCESS", Error = "ERROR" }
}

/// `TaskExecutionResultDetail`: phases, their durations in milliseconds, and the error if any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionResult {
    /// Reading and comparing both sides.
    pub prepare_status: PhaseStatus,
    /// Duration of the prepare phase in milliseconds.
    pub prepare_duration_ms: u64,
    /// Moving data and metadata.
    pub transfer_status: PhaseStatus,
    /// Duration of the transfer phase in milliseconds.
    pub transfer_duration_ms: u64,
    /// The end check.
    pub verify_status: PhaseStatus,
    /// Duration of the verify phase in milliseconds.
    pub verify_duration_ms: u64,
    /// From launch to end in milliseconds.
    pub total_duration_ms: u64,
    /// Why the execution ended in ERROR.
    pub failure: Option<Failure>,
    /// What became of the task report; absent while it is not written, and where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportResult>,
}

/// `ReportResult`: whether a complete task report is at its bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportResult {
    /// SUCCESS or ERROR; it is PENDING as long as there is no result.
    pub status: PhaseStatus,
    /// Why it is not complete.
    pub failure: Option<Failure>,
}

impl Default for ExecutionResult {
    fn default() -> Self {
        Self {
            prepare_status: PhaseStatus::Pending,
            prepare_duration_ms: 0,
            transfer_status: PhaseStatus::Pending,
            transfer_duration_ms: 0,
            verify_status: PhaseStatus::Pending,
            verify_duration_ms: 0,
            total_duration_ms: 0,
            failure: None,
            report: None,
        }
    }
}

impl ReportResult {
    /// All of it is at the bucket.
    #[must_use]
    pub fn success() -> Self {
        Self {
            status: PhaseStatus::Success,
            failure: None,
        }
    }

    /// It is not complete.
    #[must_use]
    pub fn error(failure: Failure) -> Self {
        Self {
            status: PhaseStatus::Error,
            failure: Some(failure),
        }
    }
}

/// The observed state of one execution. Later reports replace earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionReport {
    /// Which execution.
    pub execution: TaskExecutionArn,
    /// Where it stands. Terminal states are reported until control forgets the execution.
    pub status: ExecutionStatus,
    /// Counters so far.
    pub counters: Counters,
    /// Phases so far.
    pub result: ExecutionResult,
    /// What the API does not show.
    #[serde(default)]
    pub telemetry: Telemetry,
}

impl ExecutionReport {
    /// The same where a cancel came before the end was told: what succeeded ends in ERROR, as the
    /// caller of CancelTaskExecution was promised.
    #[must_use]
    pub fn cancelled(mut self) -> Self {
        if self.status == ExecutionStatus::Success {
            self.status = ExecutionStatus::Error;
            self.result.failure = Some(Failure::new(
                ErrorCode::Cancelled,
                "cancelled when everything had been transferred already: the destination is complete",
            ));
        }
        self
    }
}
