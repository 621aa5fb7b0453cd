//! The last report of an execution.

use std::collections::BTreeSet;
use std::time::Duration;

use datasync_endpoint::{Destination, EndpointError, Source};
use datasync_model::{ErrorCode, ExecutionReport, Failure, VerifyMode};
use tokio::time::{Instant, timeout};

use super::{Ended, Engine, Interrupted};
use crate::outcome::difference;
use crate::owed::OwedAbort;

/// How long the end of an execution may take to abort uploads.
const ABORT_TIME: Duration = Duration::from_secs(5);
/// How long the end of one that is broken off may take to put the destination right.
const TIDY_TIME: Duration = Duration::from_secs(5);

impl<S: Source, D: Destination> Engine<S, D> {
    /// Makes the terminal report; `None` means stopped.
    pub(super) async fn conclude(
        mut self,
        ended: Option<Result<(), Ended>>,
    ) -> Result<ExecutionReport, Interrupted> {
        if let Some(catalog) = &mut self.catalog {
            catalog.flush().await;
        }
        if let Err(Ended::Local(failure) | Ended::Failed(failure)) = self.end_verified().await {
            return Err(Interrupted::LocalState(failure));
        }
        let is_broken_off = matches!(ended, Some(Err(Ended::Failed(_))));
        let failure = match ended {
            None => return Err(Interrupted::Stopped),
            Some(Err(Ended::Local(failure))) => return Err(Interrupted::LocalState(failure)),
            Some(Err(Ended::Failed(failure))) => Some(failure),
            Some(Ok(())) if self.spec.extensions.dry_run => self.gaps(),
            Some(Ok(())) => self.shortcomings(),
        };
        if self.spec.extensions.dry_run {
            let execution = &self.spec.execution;
            let mut report = self.progress.terminal(execution, 0, failure, false);
            report.telemetry.plan = self.plan;
            return Ok(report);
        }
        let began = Instant::now();
        let owed = self.abort_open(ABORT_TIME).await;
        let left = ABORT_TIME.saturating_sub(began.elapsed());
        self.retry_owed(&BTreeSet::new(), left).await;
        if is_broken_off && self.destination.tree().is_some() {
            self.tidy(TIDY_TIME).await;
        }
        let failure = name_owed(failure, &owed);
        self.pass_on(owed).await;
        let verified = self.spec.options.verify_mode != VerifyMode::None;
        let mut report = self.progress.terminal(
            &self.spec.execution,
            self.limiter.granted_bytes(),
            failure,
            verified,
        );
        report.result.report = self.report_result();
        Ok(report)
    }

    /// Has the destination put right what it can in `time`, where nobody goes on with the execution.
    async fn tidy(&self, time: Duration) {
        let settling = async {
            while self.destination.settle().await?.more {}
            Ok::<(), EndpointError>(())
        };
        match timeout(time, settling).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the destination is left as it was when the execution ended");
            }
            Err(_) => tracing::warn!("putting the destination right took too long"),
        }
    }

    /// What a complete run has to complain of.
    fn shortcomings(&self) -> Option<Failure> {
        let counters = self.progress.finished();
        let items = counters.failed + counters.mismatched;
        if items > 0 {
            let first = self.failures.first().unwrap_or("see the list");
            let code = if counters.failed > 0 {
                ErrorCode::ItemsFailed
            } else {
                difference(self.failures.differences())
            };
            let withheld = self
                .withheld
                .as_ref()
                .map(|w| format!(" {}", w.detail))
                .unwrap_or_default();
            return Some(Failure::new(
                code,
                format!(
                    "Transfer and verification completed. Selected files transferred except for \
                     {items} of {} items ({} failed, {} mismatched); the first: {first}. \
                     The list is on the agent: {}.{withheld}",
                    counters.discovered,
                    counters.failed,
                    counters.mismatched,
                    self.failures.path().display(),
                ),
            ));
        }
        self.withheld.clone()
    }

    /// What a plan has to complain of.
    fn gaps(&self) -> Option<Failure> {
        let failed = self.progress.finished().failed;
        (failed > 0).then(|| {
            Failure::new(
                ErrorCode::ItemsFailed,
                format!(
                    "The plan is not complete: {failed} items cannot be read; the first: {}. \
                     The list is on the agent: {}.",
                    self.failures.first().unwrap_or("see the list"),
                    self.failures.path().display(),
                ),
            )
        })
    }
}

pub(super) fn name_owed(failure: Option<Failure>, owed: &[OwedAbort]) -> Option<Failure> {
    if owed.is_empty() {
        return failure;
    }
    let names: Vec<_> = owed.iter().map(|entry| entry.key.to_string()).collect();
    let names = names.join(", ");
    let note = format!(
        "{} multipart uploads could not be aborted and are still open at the store: {names}",
        owed.len()
    );
    Some(match failure {
        Some(failure) => Failure::new(failure.code, format!("{}; {note}", failure.detail)),
        None => Failure::new(ErrorCode::UploadsOpen, note),
    })
}
