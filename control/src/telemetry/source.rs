//! Health and metrics as of now.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use datasync_model::{AgentStatus, ExecutionStatus, UpdateState};
use datasync_telemetry::{Page, Source, cpu_seconds, resident_bytes};
use jiff::Timestamp;

use super::catalogue as metric;
use super::meters::Meters;
use super::rows::RowCounts;
use crate::ca::Authorities;
use crate::fleet::Fleet;
use crate::served_certificate::ServedCertificate;
use crate::store::{Store, StoreError};

/// A store that does not answer within this time counts as away.
const STORE_PATIENCE: Duration = Duration::from_secs(3);

/// Control, as it is seen over HTTP.
pub(crate) struct ControlSource {
    meters: Arc<Meters>,
    store: Store,
    fleet: Arc<Fleet>,
    certificates: Vec<(&'static str, Arc<ServedCertificate>)>,
    authorities: Arc<Authorities>,
    started: Timestamp,
}

impl ControlSource {
    /// `certificates` are told by these names; `now` is when control was started.
    pub(crate) fn new(
        meters: Arc<Meters>,
        (store, fleet): (Store, Arc<Fleet>),
        certificates: Vec<(&'static str, Arc<ServedCertificate>)>,
        authorities: Arc<Authorities>,
        now: Timestamp,
    ) -> Self {
        Self {
            meters,
            store,
            fleet,
            certificates,
            authorities,
            started: now,
        }
    }

    /// What the rows say.
    ///
    /// # Errors
    /// In words.
    async fn rows(&self) -> Result<RowCounts, String> {
        let read = self.store.read::<_, StoreError>(RowCounts::read);
        match tokio::time::timeout(STORE_PATIENCE, read).await {
            Ok(Ok(counts)) => Ok(counts),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(silent_store()),
        }
    }

    fn own(&self, page: &mut Page) {
        page.add(&metric::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], true);
        let started = self.started.as_millisecond();
        let started = u64::try_from(started).unwrap_or(0);
        page.add(
            &metric::START_TIME,
            &[],
            Duration::from_millis(started).as_secs_f64(),
        );
        page.add(&metric::CPU, &[], cpu_seconds());
        if let Some(bytes) = resident_bytes() {
            page.add(&metric::RESIDENT, &[], bytes);
        }
        let calls = &self.meters.calls;
        for (operation, result, count) in calls.told() {
            page.add(&metric::API_CALLS, &[&operation, result], count);
        }
        page.add_histogram(&metric::API_TIMES, &[], &calls.times);
        let refused = [
            ("api", &self.meters.api_refused),
            ("agents", &self.meters.agents_refused),
        ];
        for (port, count) in refused {
            page.add(&metric::REFUSED, &[port], count.load(Ordering::Relaxed));
        }
        page.add(&metric::SESSIONS, &[], self.fleet.sessions());
        let times = self.store.times();
        page.add_histogram(&metric::STORE_TIMES, &["read"], &times.read.0);
        page.add_histogram(&metric::STORE_TIMES, &["write"], &times.written.0);
    }

    fn certificates(&self, page: &mut Page) {
        let mut add = |name: &str, end_ms: i64| {
            let end = u64::try_from(end_ms / 1000).unwrap_or(0);
            page.add(&metric::CERTIFICATE_END, &[name], end);
        };
        for (name, certificate) in &self.certificates {
            // One that cannot be parsed is in the log, and is not told.
            if let Ok(life) = certificate.life() {
                add(name, life.until_ms);
            }
        }
        let authority = self.authorities.trusted();
        add("authority", authority.issuer().not_after().as_millisecond());
    }
}

fn of_rows(page: &mut Page, rows: &RowCounts) {
    let agents = [
        (AgentStatus::Online, rows.agents_online),
        (AgentStatus::Offline, rows.agents_offline),
    ];
    for (status, count) in agents {
        page.add(&metric::AGENTS, &[status.as_str()], count);
    }
    let updates = UpdateState::ALL.iter().filter(|s| **s != UpdateState::None);
    for state in updates.map(|state| state.as_str()) {
        let count = rows.updates.get(state).copied().unwrap_or(0);
        page.add(&metric::AGENT_UPDATES, &[state], count);
    }
    for status in ExecutionStatus::ALL.iter().filter(|s| !s.is_terminal()) {
        let count = rows.executions.get(status.as_str()).copied();
        page.add(&metric::EXECUTIONS, &[status.as_str()], count.unwrap_or(0));
    }
    page.add(&metric::EVENTS_WAITING, &[], rows.events_waiting);
    page.add(&metric::EVENTS_DROPPED, &[], rows.events_dropped);
    page.add(&metric::LOGS_WAITING, &[], rows.logs_waiting);
}

fn silent_store() -> String {
    format!(
        "the store has not answered within {} s",
        STORE_PATIENCE.as_secs()
    )
}

impl Source for ControlSource {
    fn live(&self) -> Result<(), Vec<String>> {
        self.meters.pulses.check()
    }

    /// The ports are open as long as this is asked: they are opened before, and all end together.
    async fn ready(&self) -> Result<(), Vec<String>> {
        let read = self.store.read::<_, StoreError>(|rows| rows.generation());
        match tokio::time::timeout(STORE_PATIENCE, read).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(vec![error.to_string()]),
            Err(_) => Err(vec![silent_store()]),
        }
    }

    async fn metrics(&self) -> Page {
        let mut page = Page::new(metric::CATALOGUE);
        self.own(&mut page);
        self.certificates(&mut page);
        let rows = self.rows().await;
        page.add(&metric::STORE_UP, &[], rows.is_ok());
        match rows {
            Ok(rows) => of_rows(&mut page, &rows),
            Err(error) => tracing::debug!(error, "metrics without the store's rows"),
        }
        page
    }
}
