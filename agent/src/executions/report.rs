//! Writing an execution's task report to its bucket, once the engine has ended.
//!
//! A report that cannot be written fails no transfer: the execution's result says so beside.

mod keys;
mod page;
mod summary;

use std::time::{SystemTime, UNIX_EPOCH};

use datasync_endpoint::{EndpointError, ErrorKind};
use datasync_model::{
    ErrorCode, ExecutionReport, ExecutionSpec, Failure, PhaseStatus, ReportKind, ReportResult,
    TaskReport,
};
use datasync_s3::S3Objects;
use datasync_transfer::ReportEntries;

use super::Assignment;
use super::run::{ATTEMPTS_MAX, Halt, Runner};
use crate::backoff;
use page::Page;

/// What a report says that was not even begun, in AWS's words.
const NOTHING: &str = "Execution error occurred prior to generating any Task Reports";

/// Why a report is not complete.
#[derive(Debug)]
enum Fault {
    Store(EndpointError),
    NoKeys(String),
    /// The agent's own disk.
    Local(std::io::Error),
}

/// The report's result where the engine never ran.
pub(super) fn not_begun(spec: &ExecutionSpec, failure: &Failure) -> Option<ReportResult> {
    spec.extensions.report.as_ref()?;
    Some(ReportResult {
        status: PhaseStatus::Error,
        failure: Some(Failure::new(
            ErrorCode::TaskReportNotGenerated,
            format!("{NOTHING}: {}", failure.detail),
        )),
    })
}

impl Runner {
    /// Writes the report of an execution that has ended, if it is to have one, and notes the result.
    pub(super) async fn add_report(
        &self,
        assignment: &Assignment,
        report: &mut ExecutionReport,
    ) -> Result<(), Halt> {
        let Some(asked) = &assignment.spec.extensions.report else {
            return Ok(());
        };
        let written = tokio::select! {
            biased;
            () = assignment.stop.cancelled() => return Err(Halt::Stopped),
            written = self.write_report(assignment, asked, report) => written,
            () = assignment.give_up.cancelled() => Err(Fault::NoKeys(
                "the execution was cancelled and the report took too long".to_owned(),
            )),
        };
        report.result.report = Some(match written {
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
                ReportResult {
                    status: PhaseStatus::Error,
                    failure: Some(failure),
                }
            }
        });
        Ok(())
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
