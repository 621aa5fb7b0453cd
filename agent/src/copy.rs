//! One transfer on the agent's engine, without control: for scripts and for measuring.

mod access;
mod flags;
mod options;
mod origin;
mod pair_directory;
mod report;
mod request;
mod summary;

use std::sync::Arc;

use datasync_model::{ExecutionReport, ExecutionStatus, Location, LocationArn, Rate};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use flags::CopyFlags;
pub use report::{CopyReport, CopyStatus};
pub use request::CopyRequest;

pub(crate) use access::{Access, Way};
pub(crate) use request::{parsed, process};

use crate::credentials::{CredentialStore, Giver};
use crate::endpoints::{Endpoints, no_credentials};
use crate::executions::{Assignment, Halt, Limits, Runner, Turn, failed, follow_rate, launching};
use crate::progress_line::{ProgressDisplay, Standing};
use pair_directory::PairDirectory;

const GIVER: Giver = Giver::Environment;
/// Items that were not done and that the report names.
const NAMED_MAX: usize = 5;

/// Copies once, or goes on with a copy that was interrupted, until the end or until `stop`, which
/// leaves everything in place to go on later. Shows progress where standard error is a terminal.
pub async fn copy(request: &CopyRequest, stop: &CancellationToken) -> CopyReport {
    let spec = &request.spec;
    let opened = PairDirectory::open(&request.state_dir, spec);
    let pair = match opened.and_then(|pair| pair.begin().map(|()| pair)) {
        Ok(pair) => pair,
        Err(failure) => {
            let report = failed(spec.execution.clone(), failure);
            return CopyReport::new(spec, CopyStatus::of(&report), report);
        }
    };
    for other in pair.others() {
        let directory = other.display();
        tracing::warn!(%directory, "a copy of the same pair with other options was interrupted; its uploads may be open until it is run again");
    }
    let resumed = pair.has_journal();
    let reports = watch::Sender::new(launching(spec.execution.clone()));
    let result = transfer(request, &pair, stop, &reports).await;
    let is_finished = result.is_ok();
    let last = reports.borrow().clone();
    let (status, report) = concluded(result, last, &spec.destination);
    if is_finished || !pair.has_journal() {
        pair.end();
    }
    let mut report = CopyReport::new(spec, status, report);
    report.resumed = resumed;
    report.journal = pair.has_journal().then(|| pair.execution());
    report.failure_list = pair.failure_list();
    report.plan_list = pair.plan_list();
    report.name_failures(NAMED_MAX).await;
    report
}

async fn transfer(
    request: &CopyRequest,
    pair: &PairDirectory,
    stop: &CancellationToken,
    reports: &watch::Sender<ExecutionReport>,
) -> Result<ExecutionReport, Halt> {
    let store = CredentialStore::new(GIVER);
    let endpoints = Endpoints::new(&request.process, store.clone());
    let mut spec = request.spec.clone();
    let arns = [spec.source.arn().clone(), spec.destination.arn().clone()];
    let profiles = [&request.source_profile, &request.profile];
    let mut accesses = [None, None];
    let sides = [&mut spec.source, &mut spec.destination];
    for ((side, profile), access) in sides.into_iter().zip(profiles).zip(&mut accesses) {
        let Location::S3(store) = side else { continue };
        let egress = &request.process.egress;
        let found = tokio::select! {
            () = stop.cancelled() => return Err(Halt::Stopped),
            found = Access::of(store, profile.as_deref(), egress) => found,
        };
        let found =
            found.map_err(|reason| Halt::Failed(endpoints.no_credentials(side, &reason)))?;
        if let Location::S3(store) = side {
            store.region.clone_from(&found.region);
        }
        *access = Some(found);
    }
    let limits = Limits::shared_by(1, &request.process, None);
    let runner = Runner::new(endpoints, limits, None, pair.history(), pair.failures());
    let order = watch::Sender::new(Rate::of(&spec));
    let (limit, rate) = watch::channel(order.borrow().limit_at(&spec, Timestamp::now()).0);
    let assignment = Assignment {
        directory: pair.execution(),
        cancel: CancellationToken::new(),
        give_up: CancellationToken::new(),
        stop: stop.clone(),
        released: CancellationToken::new(),
        leased: false,
        rate,
        reports: reports.clone(),
        turn: Turn::default(),
        spec: Arc::new(spec),
    };
    let mut progress = reports.subscribe();
    let mut display = ProgressDisplay::new();
    let mut running = Box::pin(runner.run_once(&assignment, None));
    let [of_source, of_destination] = accesses;
    let [source, destination] = &arns;
    let mut keeping = Box::pin(async {
        tokio::join!(
            keep(of_source, &store, source),
            keep(of_destination, &store, destination)
        )
    });
    let following = follow_rate(&assignment.spec, order.subscribe(), limit, Timestamp::now);
    let mut following = Box::pin(following);
    let result = loop {
        tokio::select! {
            result = &mut running => break result,
            _ = &mut keeping => {}
            () = &mut following => {}
            Ok(()) = progress.changed() => {
                display.show(&Standing::from(&*progress.borrow_and_update()));
            }
        }
    };
    display.end();
    result
}

/// Keeps credentials usable for as long as this is polled.
async fn keep(access: Option<Access>, store: &CredentialStore, location: &LocationArn) {
    match access {
        Some(access) => access.keep(store, location).await,
        None => std::future::pending().await,
    }
}

/// The last report, whatever the end was.
fn concluded(
    result: Result<ExecutionReport, Halt>,
    mut last: ExecutionReport,
    destination: &Location,
) -> (CopyStatus, ExecutionReport) {
    let failure = match result {
        Ok(report) => return (CopyStatus::of(&report), report),
        // A copy has no lease.
        Err(Halt::Stopped | Halt::LeaseOver) => return (CopyStatus::Interrupted, last),
        Err(Halt::Failed(failure) | Halt::LocalState(failure) | Halt::Stalled(failure)) => failure,
        Err(Halt::Expired) => no_credentials(destination, GIVER.has_none(), GIVER),
    };
    last.status = ExecutionStatus::Error;
    last.result.failure = Some(failure);
    (CopyStatus::Failed, last)
}

#[cfg(test)]
mod tests {
    use datasync_model::ExecutionSpec;

    use super::*;
    use crate::store_flags::StoreFlags;

    /// A copy from an export to a store of its own.
    pub(super) fn spec() -> ExecutionSpec {
        let flags = CopyFlags {
            source: "nfs://nas/export".to_owned(),
            destination: "s3://bucket/prefix".to_owned(),
            store: StoreFlags {
                endpoint_url: Some("http://store:9000".to_owned()),
                ..StoreFlags::default()
            },
            state_dir: Some("/state".to_owned()),
            ..CopyFlags::default()
        };
        CopyRequest::new(&flags, []).unwrap().spec
    }

    #[test]
    fn every_halt_is_an_end_with_a_reason() {
        let spec = spec();
        let conclude = |halt| {
            let last = launching(spec.execution.clone());
            concluded(Err(halt), last, &spec.destination)
        };
        let (status, report) = conclude(Halt::Stopped);
        assert_eq!(
            (status, report.result.failure),
            (CopyStatus::Interrupted, None)
        );
        let (status, report) = conclude(Halt::Expired);
        let detail = report.result.failure.unwrap().detail;
        assert_eq!(
            (status, report.status),
            (CopyStatus::Failed, ExecutionStatus::Error)
        );
        assert!(
            detail.contains("s3://bucket/prefix/ at http://store:9000"),
            "{detail}"
        );
        assert!(detail.contains("AWS_ACCESS_KEY_ID"), "{detail}");
    }
}
