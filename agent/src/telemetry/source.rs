//! Health and metrics as of now.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use datasync_model::{BytesPerSecond, ExecutionStatus};
use datasync_telemetry::{Page, Source, cpu_seconds, free_bytes, resident_bytes};
use tokio::sync::watch;

use super::catalogue as metric;
use super::files::Sizes;
use super::tally::{Sums, Tally};
use crate::cgroup;
use crate::health::Vitals;
use crate::local::{Board, SessionState};
use crate::servers::Servers;
use crate::supervisor::Phase;

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) board: Board,
    pub(crate) tally: Tally,
    pub(crate) servers: Servers,
    pub(crate) certificate_end: watch::Receiver<Option<u64>>,
    pub(crate) state_dir: PathBuf,
    pub(crate) memory_target_bytes: u64,
    pub(crate) executions_max: usize,
    /// Of all executions together.
    pub(crate) bytes_per_second: BytesPerSecond,
}

/// The agent, as it is seen over HTTP.
#[derive(Debug)]
pub(crate) struct AgentSource {
    sources: Sources,
    started: f64,
}

impl AgentSource {
    /// `now` is when the process was started.
    pub(crate) fn new(sources: Sources, now: SystemTime) -> Self {
        let started = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            sources,
            started: started.as_secs_f64(),
        }
    }

    fn page(&self) -> Page {
        let mut page = Page::new(metric::CATALOGUE);
        let sums = self.sources.tally.sums();
        self.process(&mut page);
        self.standing(&mut page);
        self.executions(&mut page, &sums);
        counted(&mut page, &sums);
        page
    }

    fn process(&self, page: &mut Page) {
        let sources = &self.sources;
        page.add(&metric::BUILD_INFO, &[crate::VERSION], true);
        page.add(&metric::START_TIME, &[], self.started);
        page.add(&metric::CPU, &[], cpu_seconds());
        if let Some(bytes) = resident_bytes() {
            page.add(&metric::RESIDENT, &[], bytes);
        }
        page.add(&metric::MEMORY_TARGET, &[], sources.memory_target_bytes);
        if let Some(bytes) = cgroup::memory_limit_bytes() {
            page.add(&metric::MEMORY_LIMIT, &[], bytes);
        }
        if let Some((free, size)) = free_bytes(&sources.state_dir) {
            page.add(&metric::DISK_FREE, &[], free);
            page.add(&metric::DISK_SIZE, &[], size);
        }
        let sizes = Sizes::look(&sources.state_dir);
        page.add(&metric::JOURNALS, &[], sizes.journals);
        page.add(&metric::CATALOGS, &[], sizes.catalogs);
        page.add(&metric::LOGS_WAITING, &[], sizes.logs);
    }

    fn standing(&self, page: &mut Page) {
        let sources = &self.sources;
        let active = matches!(*sources.board.phase.borrow(), Phase::Active { .. });
        page.add(&metric::ACTIVATED, &[], active);
        page.add(&metric::CONNECTED, &[], self.is_connected());
        let update = sources.board.update.borrow().clone();
        let version = update.version.map(|v| v.to_string()).unwrap_or_default();
        page.add(&metric::UPDATE, &[update.state.as_str(), &version], true);
        if let Some(end) = *sources.certificate_end.borrow() {
            page.add(&metric::CERTIFICATE_END, &[], end);
        }
        let (nfs, s3) = sources.servers.in_flight();
        page.add(&metric::IN_FLIGHT, &["nfs"], nfs);
        page.add(&metric::IN_FLIGHT, &["s3"], s3);
    }

    fn executions(&self, page: &mut Page, sums: &Sums) {
        let reports = self.sources.board.executions.here();
        for status in ExecutionStatus::ALL {
            let count = reports.iter().filter(|r| r.status == *status).count();
            page.add(&metric::EXECUTIONS, &[status.as_str()], count);
        }
        page.add(&metric::EXECUTIONS_MAX, &[], self.sources.executions_max);
        let running = reports.iter().filter(|r| !r.status.is_terminal());
        let rate: u64 = running.map(|r| r.telemetry.bytes_per_second).sum();
        page.add(&metric::RATE, &[], rate);
        let shared = self
            .sources
            .bytes_per_second
            .limit()
            .map(|limit| limit.get());
        if let Some(limit) = [shared, sums.limit()].into_iter().flatten().min() {
            page.add(&metric::LIMIT, &[], limit);
        }
    }

    fn is_connected(&self) -> bool {
        matches!(
            *self.sources.board.session.borrow(),
            SessionState::Open { .. }
        )
    }
}

fn counted(page: &mut Page, sums: &Sums) {
    let ended = [
        (ExecutionStatus::Success, sums.succeeded),
        (ExecutionStatus::Error, sums.failed),
    ];
    for (status, count) in ended {
        page.add(&metric::EXECUTIONS_ENDED, &[status.as_str()], count);
    }
    let counters = &sums.counters;
    for (metric, count) in [
        (&metric::ITEMS_FOUND, counters.discovered),
        (&metric::ITEMS_UNCHANGED, counters.unchanged),
        (&metric::ITEMS_TRANSFERRED, counters.transferred),
        (&metric::ITEMS_SKIPPED, counters.skipped),
        (&metric::ITEMS_FAILED, counters.failed),
        (&metric::ITEMS_VERIFIED, counters.verified),
        (&metric::ITEMS_MISMATCHED, counters.mismatched),
        (&metric::OBJECTS_DELETED, counters.deleted),
        (&metric::BYTES_READ, sums.bytes_read),
        (&metric::BYTES_WRITTEN, counters.bytes_written),
        (&metric::BYTES_SENT, counters.bytes_transferred),
        (&metric::RETRIES, sums.retries),
        (&metric::THROTTLES, sums.throttles),
    ] {
        page.add(metric, &[], count);
    }
    for (metric, requests) in [
        (&metric::NFS_REQUESTS, &sums.source_requests),
        (&metric::S3_REQUESTS, &sums.destination_requests),
    ] {
        for (kind, count) in requests {
            page.add(metric, &[kind.as_str()], *count);
        }
    }
}

impl Source for AgentSource {
    fn live(&self) -> Result<(), Vec<String>> {
        self.sources.vitals.pulses.check()
    }

    async fn ready(&self) -> Result<(), Vec<String>> {
        let mut missing: Vec<String> = self.sources.vitals.state_fault().into_iter().collect();
        match &*self.sources.board.session.borrow() {
            SessionState::Open { .. } => {}
            SessionState::None => missing.push("no session with control yet".to_owned()),
            SessionState::Lost { reason } => {
                missing.push(format!("no session with control: {reason}"));
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing)
        }
    }

    async fn metrics(&self) -> Page {
        self.page()
    }
}

#[cfg(test)]
mod tests;
