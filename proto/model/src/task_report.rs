//! Task reports: what an execution did, as JSON objects in a bucket.

use serde::{Deserialize, Serialize};

use crate::S3Location;
use crate::word::words;

words! {
    /// `TaskReportConfig.OutputType`.
    ReportOutputType {
        /// Totals alone.
        SummaryOnly = "SUMMARY_ONLY",
        /// Totals, and entries of single items.
        Standard = "STANDARD",
    }
}

words! {
    /// Which items have an entry.
    ReportLevel {
        /// Those that something went wrong with.
        ErrorsOnly = "ERRORS_ONLY",
        /// All.
        SuccessesAndErrors = "SUCCESSES_AND_ERRORS",
    }
}

words! {
    /// `TaskReportConfig.ObjectVersionIds`.
    ObjectVersionIds {
        /// Entries of transferred items tell the object's new version.
        Include = "INCLUDE",
        /// They do not.
        None = "NONE",
    }
}

words! {
    /// The detailed reports, by the name of their array.
    ReportKind {
        /// Items that were written, or should have been.
        Transferred = "Transferred",
        /// Items that the end check looked at.
        Verified = "Verified",
        /// Items that were left out on purpose.
        Skipped = "Skipped",
        /// Objects that were deleted, or should have been.
        Deleted = "Deleted",
    }
}

/// The report of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReport {
    /// The bucket, without a prefix. Its ARN is that of no location: credentials for the bucket
    /// travel under it.
    pub store: S3Location,
    /// The role whose credentials write it.
    pub role_arn: String,
    /// What every key begins with: empty, or ends with `/`.
    pub prefix: String,
    /// Summary alone, or entries too.
    pub output: ReportOutputType,
    /// Which transferred items have an entry.
    pub transferred: ReportLevel,
    /// Which verified items have an entry.
    pub verified: ReportLevel,
    /// Which items that were left out have an entry.
    pub skipped: ReportLevel,
    /// Which deleted objects have an entry.
    pub deleted: ReportLevel,
    /// Whether entries tell object versions.
    pub version_ids: ObjectVersionIds,
}

impl TaskReport {
    /// Whether an item has an entry of this kind.
    #[must_use]
    pub fn wants(&self, kind: ReportKind, is_success: bool) -> bool {
        let level = match kind {
            ReportKind::Transferred => self.transferred,
            ReportKind::Verified => self.verified,
            ReportKind::Skipped => self.skipped,
            ReportKind::Deleted => self.deleted,
        };
        self.output == ReportOutputType::Standard
            && (!is_success || level == ReportLevel::SuccessesAndErrors)
    }
}
