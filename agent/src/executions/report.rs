//! Writing an execution's task report to its bucket, once the engine has ended.
//!
//! A report that cannot be written fails no transfer: the execution's result says so beside.

mod keys;
mod page;
mod summary;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use datasync_endpoint::{EndpointError, ErrorKind};
use datasync_model::{
    ErrorCode, ExecutionReport, Failure, PhaseStatus, ReportKind, ReportResult, TaskReport,
};
use datasync_s3::S3Objects;
use datasync_transfer::ReportEntries;

use super::run::{ATTEMPTS_MAX, Runner};
use super::{Assignment, Ended};
use crate::backoff;
use page::Page;

/// What a report says that was not even begun, in AWS's words.
const NOTHING: &str = "Execution error occurred prior to generating any Task Reports";

/// How long a cancelled execution may take for its report.
const PATIENCE_AFTER_CANCEL: Duration = Duration::from_secs(30);

/// Why a report is not complete.
#[derive(Debug)]
enum Fault {
    Store(EndpointError),
    NoKeys(String),
    /// The agent's own disk.
    Local(std::io::Error),
    /// It was cancelled.
    TooLong,
}

fn failed(failure: Failure) -> ReportResult {
    ReportResult {
        status: PhaseStatus::Error,
        failure: Some(failure),
    }
}

impl Runner {
    /// The end of an execution: its report is written, if it is to have one, and what it was given
    /// is forgotten. `None` if it was stopped meanwhile; it goes on later.
    pub(super) async fn reported(
        &self,
        assignment: &Assignment,
        mut report: ExecutionReport,
    ) -> Ended {
        let extensions = &assignment.spec.extensions;
        if let Some(asked) = &extensions.report {
            report.result.report = Some(self.result(assignment, asked, &report).await?);
        }
        let manifest = extensions.manifest.as_ref().map(|m| &m.store.arn);
        let written = extensions.report.as_ref().map(|asked| &asked.store.arn);
        for arn in manifest.into_iter().chain(written) {
            self.endpoints().credentials().forget(arn);
        }
        Some(report)
    }

    async fn result(
        &self,
        assignment: &Assignment,
        asked: &TaskReport,
        report: &ExecutionReport,
    ) -> Option<ReportResult> {
        let begun = assignment.directory.join("journal").exists();
        if let (false, Some(failure)) = (begun, &report.result.failure) {
            let detail = format!("{NOTHING}: {}", failure.detail);
            let failure = Failure::new(ErrorCode::TaskReportNotGenerated, detail);
            return Some(failed(failure));
        }
        let too_long = async {
            assignment.cancel.cancelled().await;
            tokio::time::sleep(PATIENCE_AFTER_CANCEL).await;
        };
        let written = tokio::select! {
            biased;
            () = assignment.stop.cancelled() => return None,
            written = self.write_report(assignment, asked, report) => written,
            () = too_long => Err(Fault::TooLong),
        };
        Some(match written {
            Ok(objects) => {
                tracing::info!(
                    objects,
                    bucket = asked.store.bucket,
                    "the task report is written"
                );
                ReportResult {
                    status: PhaseStatus::Success,
                    failure: None,
                }
            }
            Err(fault) => {
                let failure = told(asked, &fault);
                tracing::error!(%failure, "the task report is not complete");
                failed(failure)
            }
        })
    }

    /// Writes all objects, the summary last; gives their number.
    async fn write_report(
        &self,
        assignment: &Assignment,
        asked: &TaskReport,
        report: &ExecutionReport,
    ) -> Result<u32, Fault> {
        let keys = self.await_keys(&asked.store.arn).await;
        keys.map_err(Fault::NoKeys)?;
        let bucket = retried(|| self.endpoints().bucket(&asked.store)).await?;
        let spec = &assignment.spec;
        let (prefix, execution) = (asked.prefix.as_str(), &spec.execution);
        let mut objects = 0;
        for kind in ReportKind::ALL {
            let mut entries = ReportEntries::of(&assignment.directory, *kind);
            let mut page = Page::new(execution, *kind);
            let mut number = 0;
            loop {
                let entry = entries.next().await.map_err(Fault::Local)?;
                let full = match &entry {
                    Some(entry) => page.add(entry),
                    None => page.take(),
                };
                if let Some(full) = full {
                    number += 1;
                    let key = keys::detailed(prefix, execution, *kind, number);
                    put(&bucket, &key, full).await?;
                }
                if entry.is_none() {
                    break;
                }
            }
            objects += number;
        }
        let summary = summary::summary(spec, report, now_ms()).to_string();
        let key = keys::summary(prefix, execution);
        put(&bucket, &key, summary.into_bytes()).await?;
        Ok(objects + 1)
    }
}

async fn put(bucket: &S3Objects, key: &str, content: Vec<u8>) -> Result<(), Fault> {
    let content = bytes::Bytes::from(content);
    retried(|| bucket.put(key, "application/json", content.clone())).await
}

/// Tries again while an error is transient, a bounded number of times.
async fn retried<T, F>(call: impl Fn() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, EndpointError>>,
{
    let mut failures = 0;
    loop {
        let error = match call().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        failures += 1;
        if !error.kind.is_transient() || failures >= ATTEMPTS_MAX {
            return Err(Fault::Store(error));
        }
        let delay = backoff::STORAGE.random_delay(failures);
        tracing::warn!(%error, failures, retry_ms = delay.as_millis(), "cannot write the task report");
        tokio::time::sleep(delay).await;
    }
}

/// The result's failure: where AWS has words for it, they come first.
fn told(asked: &TaskReport, fault: &Fault) -> Failure {
    let place = format!("s3://{}/{}", asked.store.bucket, asked.prefix);
    let upload = "Failed to upload Task Report(s) to S3";
    let detail = match fault {
        Fault::NoKeys(reason) => format!(
            "{upload} due to an invalid bucket or IAM role: no credentials of {} for {place}: \
             {reason}",
            asked.role_arn
        ),
        Fault::Store(error) => match error.kind {
            ErrorKind::PermissionDenied
            | ErrorKind::Credentials
            | ErrorKind::ContainerNotFound
            | ErrorKind::NotFound => format!(
                "{upload} due to an invalid bucket or IAM role: {error}; the role {} must be \
                 allowed s3:PutObject below {place}",
                asked.role_arn
            ),
            _ => format!("{upload}: {error}"),
        },
        Fault::TooLong => format!("{upload}: the execution was cancelled, and it took too long"),
        Fault::Local(error) => format!("Cannot write to Task Report: on the agent: {error}"),
    };
    Failure::new(ErrorCode::TaskReportUploadFailed, detail)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
