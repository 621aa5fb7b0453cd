//! How a copy ended: for exit codes, for people, for programs.

use std::path::PathBuf;

use datasync_model::{
    BytesPerSecond, Counters, ExecutionReport, ExecutionResult, ExecutionSpec, ExecutionStatus,
    Location, Plan, RequestCounts,
};
use datasync_transfer::{ListedItem, first_listed};
use serde::Serialize;

use crate::endpoints::place;

/// The kinds of ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum CopyStatus {
    /// Everything is done.
    #[serde(rename = "SUCCESS")]
    Success,
    /// Everything was tried; some items were not done, or deletes were withheld.
    #[serde(rename = "INCOMPLETE")]
    Incomplete,
    /// It could not begin, or broke off.
    #[serde(rename = "ERROR")]
    Failed,
    /// Stopped on request.
    #[serde(rename = "INTERRUPTED")]
    Interrupted,
}

impl CopyStatus {
    /// The kind of end that a last report tells of.
    pub(super) fn of(report: &ExecutionReport) -> Self {
        match (report.status, &report.result.failure) {
            (ExecutionStatus::Success, None) => Self::Success,
            (_, Some(failure)) if failure.code.leaves_items_out() => Self::Incomplete,
            (_, Some(_) | None) => Self::Failed,
        }
    }

    /// The word of the JSON document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Incomplete => "INCOMPLETE",
            Self::Failed => "ERROR",
            Self::Interrupted => "INTERRUPTED",
        }
    }
}

/// What a copy has to tell at its end.
#[derive(Debug, Clone)]
pub struct CopyReport {
    /// How it ended.
    pub status: CopyStatus,
    pub(super) source: String,
    pub(super) destination: String,
    pub(super) endpoint_url: Option<String>,
    pub(super) report: ExecutionReport,
    /// It went on with one that was interrupted.
    pub(super) resumed: bool,
    /// What the same command goes on from.
    pub(super) journal: Option<PathBuf>,
    pub(super) failure_list: Option<PathBuf>,
    /// What a dry run would do.
    pub(super) plan_list: Option<PathBuf>,
    /// The rate that a plan reckons with.
    pub(super) bytes_per_second: BytesPerSecond,
    /// A plan reckons with the timetable, and with the rate for the rest.
    pub(super) has_timetable: bool,
    /// The first items on the list that failed or did not match.
    pub(super) first_failures: Vec<ListedItem>,
}

/// The members of the counters, all of them always.
#[derive(Serialize)]
struct Counts {
    discovered: u64,
    unchanged: u64,
    to_transfer: u64,
    transferred: u64,
    skipped: u64,
    failed: u64,
    verified: u64,
    mismatched: u64,
    to_delete: u64,
    deleted: u64,
    delete_failed: u64,
    bytes_to_transfer: u64,
    bytes_written: u64,
    bytes_transferred: u64,
}

impl From<&Counters> for Counts {
    fn from(counters: &Counters) -> Self {
        Self {
            discovered: counters.discovered,
            unchanged: counters.unchanged,
            to_transfer: counters.to_transfer,
            transferred: counters.transferred,
            skipped: counters.skipped,
            failed: counters.failed,
            verified: counters.verified,
            mismatched: counters.mismatched,
            to_delete: counters.to_delete,
            deleted: counters.deleted,
            delete_failed: counters.delete_failed,
            bytes_to_transfer: counters.bytes_to_transfer,
            bytes_written: counters.bytes_written,
            bytes_transferred: counters.bytes_transferred,
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    status: CopyStatus,
    source: &'a str,
    destination: &'a str,
    endpoint_url: Option<&'a str>,
    resumed: bool,
    resumable: bool,
    counters: Counts,
    requests: Requests<'a>,
    result: &'a ExecutionResult,
    failure_list: Option<String>,
    plan: Option<&'a Plan>,
    plan_list: Option<String>,
}

#[derive(Serialize)]
struct Requests<'a> {
    source: &'a RequestCounts,
    destination: &'a RequestCounts,
}

/// Of the JSON document; members may be added without a change of it.
const VERSION: u32 = 1;

impl CopyReport {
    pub(super) fn new(spec: &ExecutionSpec, status: CopyStatus, report: ExecutionReport) -> Self {
        let (destination, endpoint_url) = match &spec.destination {
            Location::S3(s3) => (
                format!("s3://{}/{}", s3.bucket, s3.prefix),
                s3.endpoint.clone(),
            ),
            other @ (Location::Nfs(_) | Location::Efs(_)) => (place(other), None),
        };
        Self {
            status,
            source: place(&spec.source),
            destination,
            endpoint_url,
            report,
            resumed: false,
            journal: None,
            failure_list: None,
            plan_list: None,
            bytes_per_second: spec.options.bytes_per_second,
            has_timetable: spec.extensions.bandwidth_timetable.is_some(),
            first_failures: Vec::new(),
        }
    }

    /// Reads up to `count` names from the list of failures.
    pub(super) async fn name_failures(&mut self, count: usize) {
        if let Some(list) = &self.failure_list {
            match first_listed(list, count).await {
                Ok(items) => self.first_failures = items,
                Err(error) => {
                    tracing::warn!(%error, list = %list.display(), "cannot read the list of failures");
                }
            }
        }
    }

    /// One JSON document on one line.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Document {
            version: VERSION,
            status: self.status,
            source: &self.source,
            destination: &self.destination,
            endpoint_url: self.endpoint_url.as_deref(),
            resumed: self.resumed,
            resumable: self.journal.is_some(),
            counters: Counts::from(&self.report.counters),
            requests: Requests {
                source: &self.report.telemetry.source_requests,
                destination: &self.report.telemetry.destination_requests,
            },
            result: &self.report.result,
            failure_list: self.failure_list.as_ref().map(|p| p.display().to_string()),
            plan: self.report.telemetry.plan.as_ref(),
            plan_list: self.plan_list.as_ref().map(|p| p.display().to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use datasync_model::{ErrorCode, Failure};

    use super::super::tests::spec;
    use super::*;
    use crate::executions::{failed, launching};

    #[test]
    fn the_kind_of_end_follows_from_the_last_report() {
        let execution = spec().execution;
        let ended = |code| CopyStatus::of(&failed(execution.clone(), Failure::new(code, "x")));
        for code in [
            ErrorCode::ItemsFailed,
            ErrorCode::ChecksumMismatch,
            ErrorCode::MetadataDiffers,
            ErrorCode::DeletesWithheld,
        ] {
            assert_eq!(ended(code), CopyStatus::Incomplete);
        }
        for code in [
            ErrorCode::SourceUnreachable,
            ErrorCode::BucketNotFound,
            ErrorCode::DestinationFault,
            ErrorCode::LocalStateFault,
        ] {
            assert_eq!(ended(code), CopyStatus::Failed);
        }
        let mut report = launching(execution);
        assert_eq!(CopyStatus::of(&report), CopyStatus::Failed);
        report.status = ExecutionStatus::Success;
        assert_eq!(CopyStatus::of(&report), CopyStatus::Success);
    }

    #[test]
    fn the_document_has_every_member_whatever_the_numbers() {
        let spec = spec();
        let report = launching(spec.execution.clone());
        let report = CopyReport::new(&spec, CopyStatus::Interrupted, report);
        let document: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        let members = |value: &serde_json::Value| -> Vec<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(
            members(&document),
            [
                "counters",
                "destination",
                "endpoint_url",
                "failure_list",
                "plan",
                "plan_list",
                "requests",
                "result",
                "resumable",
                "resumed",
                "source",
                "status",
                "version",
            ]
        );
        assert_eq!(members(&document["counters"]).len(), 14);
        assert_eq!(members(&document["result"]).len(), 8);
        assert_eq!(document["status"], "INTERRUPTED");
    }
}
