//! The end of an execution as the engine left it, kept before its task report is written: a report
//! that is written again after a restart is the same.

use datasync_model::ExecutionReport;
use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Concluded {
    pub(super) report: ExecutionReport,
    /// In milliseconds since 1970.
    pub(super) ended_at_ms: i64,
}

impl Concluded {
    /// The end to be told; `cancelled` if a cancel came before it was.
    pub(super) fn report_if(&self, cancelled: bool) -> ExecutionReport {
        let report = self.report.clone();
        if cancelled {
            report.cancelled()
        } else {
            report
        }
    }
}
