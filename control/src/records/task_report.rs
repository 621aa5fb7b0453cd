//! `TaskReportConfig`, as it was given: DescribeTask answers the same members.

use datasync_model::{ObjectVersionIds, ReportKind, ReportLevel, ReportOutputType};
use serde::{Deserialize, Serialize};

/// The report that a task asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TaskReportConfig {
    pub(crate) destination: ReportDestination,
    /// Absent means STANDARD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) output_type: Option<ReportOutputType>,
    /// Absent means `ERRORS_ONLY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) report_level: Option<ReportLevel>,
    /// Absent means INCLUDE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) object_version_ids: Option<ObjectVersionIds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) overrides: Option<ReportOverrides>,
}

/// Where the report goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReportDestination {
    #[serde(rename = "S3")]
    pub(crate) s3: ReportBucket,
}

/// A bucket, and a prefix in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReportBucket {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subdirectory: Option<String>,
    #[serde(rename = "S3BucketArn")]
    pub(crate) s3_bucket_arn: String,
    pub(crate) bucket_access_role_arn: String,
}

/// Levels of single kinds of entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReportOverrides {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) transferred: Option<ReportOverride>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) verified: Option<ReportOverride>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) deleted: Option<ReportOverride>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<ReportOverride>,
}

/// A level; an empty one changes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReportOverride {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) report_level: Option<ReportLevel>,
}

impl TaskReportConfig {
    /// Which items have an entry of this kind.
    pub(crate) fn level(&self, kind: ReportKind) -> ReportLevel {
        let overrides = self.overrides.as_ref();
        let own = overrides.and_then(|overrides| match kind {
            ReportKind::Transferred => overrides.transferred,
            ReportKind::Verified => overrides.verified,
            ReportKind::Deleted => overrides.deleted,
            ReportKind::Skipped => overrides.skipped,
        });
        own.and_then(|own| own.report_level)
            .or(self.report_level)
            .unwrap_or(ReportLevel::ErrorsOnly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_counts_before_the_reports_own_level() {
        let config: TaskReportConfig = serde_json::from_value(serde_json::json!({
            "Destination": {"S3": {"S3BucketArn": "b", "BucketAccessRoleArn": "r"}},
            "ReportLevel": "SUCCESSES_AND_ERRORS",
            "Overrides": {"Skipped": {"ReportLevel": "ERRORS_ONLY"}, "Deleted": {}},
        }))
        .unwrap();
        let level = |kind| config.level(kind);
        assert_eq!(level(ReportKind::Skipped), ReportLevel::ErrorsOnly);
        assert_eq!(level(ReportKind::Deleted), ReportLevel::SuccessesAndErrors);
        let plain = TaskReportConfig {
            report_level: None,
            overrides: None,
            ..config
        };
        assert_eq!(plain.level(ReportKind::Verified), ReportLevel::ErrorsOnly);
    }
}
