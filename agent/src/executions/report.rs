//! Writing an execution's task report to its bucket, once the engine has ended.
//!
//! A report that cannot be written fails no transfer: the execution's result says so beside.

mod keys;
mod page;
mod signed;
mod summary;
mod writing;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use datasync_endpoint::{EndpointError, ErrorKind, Pace, Unpaced};
use datasync_model::{ErrorCode, ExecutionReport, Failure, ReportResult, TaskReport};

use super::concluded::Concluded;
use super::folder::Folder;
use super::run::Runner;
use super::{Assignment, Ended};
use crate::countersigning::SigningDesk;
use writing::{Writing, Written, retried};

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
    /// Control's words.
    Unsigned(String),
    /// It was cancelled.
    TooLong,
}

impl Runner {
    /// The end of an execution: its report is written, if it is to have one, and what it was given
    /// is forgotten. `None` if it was stopped meanwhile; it goes on later.
    pub(super) async fn reported(
        &self,
        assignment: &Assignment,
        signing: &SigningDesk,
        report: ExecutionReport,
    ) -> Ended {
        let concluded = Concluded {
            report,
            ended_at_ms: now_ms(),
        };
        if assignment.spec.extensions.report.is_some() {
            let folder = Folder::of(assignment.directory.clone());
            if let Err(error) = folder.write_concluded(&concluded) {
                // After a restart the engine finds its end in its journal.
                tracing::error!(%error, "cannot keep the end of an execution");
            }
        }
        self.concluded(assignment, signing, concluded).await
    }

    /// What is left to do for an execution that the engine has ended.
    pub(super) async fn concluded(
        &self,
        assignment: &Assignment,
        signing: &SigningDesk,
        concluded: Concluded,
    ) -> Ended {
        let extensions = &assignment.spec.extensions;
        let report = match &extensions.report {
            None => concluded.report,
            Some(asked) => {
                self.report_of(assignment, asked, signing, &concluded)
                    .await?
            }
        };
        let manifest = extensions.manifest.as_ref().map(|m| &m.store.arn);
        let written = extensions.report.as_ref().map(|asked| &asked.store.arn);
        for arn in manifest.into_iter().chain(written) {
            self.endpoints().credentials().forget(arn);
        }
        Some(report)
    }

    async fn report_of(
        &self,
        assignment: &Assignment,
        asked: &TaskReport,
        signing: &SigningDesk,
        concluded: &Concluded,
    ) -> Ended {
        let result = &concluded.report.result;
        let begun = assignment.directory.join("journal").exists();
        let (cancelled, written) = if let Some(given_up) = &result.report {
            (assignment.cancel.is_cancelled(), given_up.clone())
        } else if let (false, Some(failure)) = (begun, &result.failure) {
            let detail = format!("{NOTHING}: {}", failure.detail);
            let failure = Failure::new(ErrorCode::TaskReportNotGenerated, detail);
            let cancelled = assignment.cancel.is_cancelled();
            (cancelled, ReportResult::error(failure))
        } else {
            let writing = self.write_leased(assignment, asked, signing, concluded);
            match within_patience(assignment, writing).await? {
                Ok(written) => {
                    let (objects, bucket) = (written.objects, &asked.store.bucket);
                    tracing::info!(
                        objects,
                        bucket,
                        event = "report.written",
                        "the task report is written"
                    );
                    (written.cancelled, ReportResult::success())
                }
                Err(fault) => {
                    let failure = told(asked, &fault);
                    tracing::error!(%failure, event = "report.failed", "the task report is not complete");
                    let cancelled = assignment.cancel.is_cancelled();
                    (cancelled, ReportResult::error(failure))
                }
            }
        };
        let mut report = concluded.report_if(cancelled);
        report.result.report = Some(written);
        Some(report)
    }

    /// [`Self::write_report`] while the execution may be written, from the beginning again where it
    /// could not be to the end.
    async fn write_leased(
        &self,
        assignment: &Assignment,
        asked: &TaskReport,
        signing: &SigningDesk,
        concluded: &Concluded,
    ) -> Result<Written, Fault> {
        loop {
            let fence = self.fence(assignment).await;
            let pace = fence.pace(Arc::new(Unpaced));
            let writing = pin!(self.write_report(assignment, asked, signing, (concluded, pace)));
            tokio::select! {
                biased;
                () = fence.shut() => {}
                written = fence.guard(writing) => return written,
            }
        }
    }

    async fn write_report(
        &self,
        assignment: &Assignment,
        asked: &TaskReport,
        signing: &SigningDesk,
        (concluded, pace): (&Concluded, Arc<dyn Pace>),
    ) -> Result<Written, Fault> {
        let keys = self.await_keys(&asked.store.arn).await;
        keys.map_err(Fault::NoKeys)?;
        let bucket = retried(|| self.endpoints().bucket(&asked.store)).await?;
        let writing = Writing {
            assignment,
            asked,
            concluded,
            signing,
            bucket,
            pace,
        };
        writing.all().await
    }
}

/// `None` if the execution was stopped.
async fn within_patience(
    assignment: &Assignment,
    writing: impl Future<Output = Result<Written, Fault>>,
) -> Option<Result<Written, Fault>> {
    let too_long = async {
        assignment.cancel.cancelled().await;
        tokio::time::sleep(PATIENCE_AFTER_CANCEL).await;
    };
    tokio::select! {
        biased;
        () = assignment.stop.cancelled() => None,
        written = writing => Some(written),
        () = too_long => Some(Err(Fault::TooLong)),
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
        Fault::Unsigned(reason) => {
            format!("the report is below {place}, but control did not countersign it: {reason}")
        }
    };
    Failure::new(ErrorCode::TaskReportUploadFailed, detail)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
