//! Reports while the stages run.

use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::{Destination, Source};
use datasync_model::{ExecutionReport, ExecutionSpec, Telemetry};
use tokio::sync::watch;
use tokio::time::{Instant, interval};

use super::Engine;
use crate::attempts::Attempts;
use crate::bottleneck::Spared;
use crate::journal::{Journal, Record};
use crate::limiter::Limiter;
use crate::outlook::{Outlook, Sight};
use crate::progress::Progress;
use crate::server::{Calls, Server};

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
    source_server: Server,
    destination_server: Server,
    source_calls: Arc<Calls>,
    attempts: Arc<Attempts>,
    cpu_time: fn() -> Duration,
    began: Instant,
    outlook: Outlook,
}

impl<S: Source, D: Destination> Engine<S, D> {
    /// `source_calls` are those that go through the engine's source.
    pub(super) async fn observer(&self, source_calls: Arc<Calls>) -> Observer<S, D> {
        let expected = match &self.catalog {
            Some(catalog) => catalog.remembered().await,
            None => None,
        };
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Observer {
            spec: self.spec.clone(),
            progress: self.progress.clone(),
            limiter: self.limiter.clone(),
            journal: self.journal.clone(),
            source: self.source.clone(),
            destination: self.destination.clone(),
            source_server: self.settings.source_server.clone(),
            destination_server: self.settings.destination_server.clone(),
            source_calls,
            attempts: self.attempts.clone(),
            cpu_time: self.settings.cpu_time,
            began: Instant::now(),
            outlook: Outlook::new(expected, u32::try_from(cpus).unwrap_or(u32::MAX)),
        }
    }
}

impl<S: Source, D: Destination> Observer<S, D> {
    pub(super) async fn report(&mut self, reports: &watch::Sender<ExecutionReport>) {
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
    pub(super) fn telemetry(&mut self) -> Telemetry {
        let told = self.outlook.look(Sight {
            at: self.began.elapsed(),
            waits: self.attempts.waits().sums(),
            cpu: (self.cpu_time)(),
            spared: Spared {
                source: self.source_server.was_refused(),
                destination: self.destination_server.was_refused(),
            },
            progress: self.progress.standing(),
        });
        Telemetry {
            source_requests: self.source.requests(),
            destination_requests: self.destination.requests(),
            bytes_read: self.source_calls.bytes_read(),
            retries: self.attempts.retries(),
            throttles: self.attempts.throttles(),
            bytes_per_second: told.bytes_per_second,
            items_per_second: told.items_per_second,
            time_left: told.time_left,
            bottleneck: told.bottleneck,
            plan: None,
        }
    }
}
