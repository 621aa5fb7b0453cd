//! Reports while the stages run.

use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::{Destination, Source};
use datasync_model::{ExecutionReport, ExecutionSpec, Telemetry};
use tokio::sync::watch;
use tokio::time::interval;

use super::Engine;
use crate::journal::{Journal, Record};
use crate::limiter::Limiter;
use crate::progress::Progress;

/// How often reports are made.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// Makes reports while the stages run.
pub(super) struct Observer<S, D> {
    spec: ExecutionSpec,
    progress: Arc<Progress>,
    limiter: Limiter,
    journal: Journal,
    source: Arc<S>,
    destination: Arc<D>,
}

impl<S: Source, D: Destination> Engine<S, D> {
    pub(super) fn observer(&self) -> Observer<S, D> {
        Observer {
            spec: self.spec.clone(),
            progress: self.progress.clone(),
            limiter: self.limiter.clone(),
            journal: self.journal.clone(),
            source: self.source.clone(),
            destination: self.destination.clone(),
        }
    }
}

impl<S: Source, D: Destination> Observer<S, D> {
    pub(super) async fn report(&self, reports: &watch::Sender<ExecutionReport>) {
        let mut ticks = interval(REPORT_EVERY);
        loop {
            ticks.tick().await;
            let sent = self.limiter.granted_bytes();
            let mut report = self.progress.report(&self.spec.execution, sent);
            report.telemetry = self.telemetry();
            reports.send_replace(report);
            let elapsed = self.progress.elapsed();
            if self
                .journal
                .append(Record::Elapsed { elapsed })
                .await
                .is_err()
            {
                // The stages meet the same error and end the run.
                std::future::pending::<()>().await;
            }
        }
    }

    /// How it goes, as of now.
    pub(super) fn telemetry(&self) -> Telemetry {
        Telemetry {
            source_requests: self.source.requests(),
            destination_requests: self.destination.requests(),
        }
    }
}
