//! One execution from its first to its last record.

mod apart;
mod cataloguing;
mod cleanup;
mod concluding;
mod deciding;
mod deleting;
mod ended;
mod failing;
mod linking;
mod merging;
mod observing;
mod passing;
mod planning;
mod planning_names;
mod recording;
mod resuming;
mod room;
mod scanning;
mod settings;
mod settling;
mod starting;
mod taking;
mod telling;
mod verifying;
mod watching;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datasync_endpoint::{Destination, Source};
use datasync_model::{
    BytesPerSecond, Counters, ErrorCode, ExecutionReport, ExecutionSpec, Failure, Plan, Scope,
    Telemetry, VerifyMode,
};
use tokio::fs::File;
use tokio::io::BufWriter;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::attempts::Attempts;
use crate::catalog::Catalog;
use crate::disk::Disk;
use crate::failures::FailureList;
use crate::history::Root;
use crate::item_log::ItemLog;
use crate::journal::{Journal, Record, Stage, State};
use crate::limiter::Limiter;
use crate::mover::Mover;
use crate::owed::OwedAbort;
use crate::progress::Progress;
use crate::report::Teller;
use crate::server::Spared;
use crate::silence::Silence;
use crate::uploads::Uploads;
use apart::Roots;
pub use cleanup::{let_go, with_open_uploads};
use concluding::name_owed;
pub(crate) use ended::Ended;
use ended::local;
pub use settings::Settings;
use watching::Watch;

/// The handles on a running execution.
#[derive(Debug)]
pub struct Controls {
    /// CancelTaskExecution: ends in ERROR, uploads are aborted.
    pub cancel: CancellationToken,
    /// The process ends: leave everything as it is and resume later.
    pub stop: CancellationToken,
    /// The bandwidth limit, changed live.
    pub rate: watch::Receiver<BytesPerSecond>,
    /// Reports, at most four a second.
    pub reports: watch::Sender<ExecutionReport>,
}

/// Why a run ended without a terminal report. The directory holds everything to resume from.
#[derive(Debug, thiserror::Error)]
pub enum Interrupted {
    /// [`Controls::stop`] fired.
    #[error("stopped; the execution can be resumed")]
    Stopped,
    /// The agent's own disk is full or failing. Nothing is done that is not journalled.
    #[error("{0}")]
    LocalState(Failure),
    /// Nothing has moved for [`Settings::stalled_after`]; the failure says what was waited for.
    #[error("{0}")]
    Stalled(Failure),
}

/// Runs an execution, or resumes it from `directory` (which must exist and belong to it alone).
///
/// # Errors
/// [`Interrupted`] if the execution is not at its end.
pub async fn run<S: Source, D: Destination>(
    spec: &ExecutionSpec,
    source: Arc<S>,
    destination: Arc<D>,
    directory: &Path,
    settings: Settings,
    controls: Controls,
) -> Result<ExecutionReport, Interrupted> {
    let attempts = Arc::new(Attempts::new(settings.retries, settings.seed));
    let waits = attempts.waits();
    let source = Spared::new(source, &settings.source_server, waits.clone());
    let destination = Spared::new(destination, &settings.destination_server, waits.clone());
    let (source, destination) = (Arc::new(source), Arc::new(destination));
    let (source_calls, destination_calls) = (source.calls(), destination.calls());
    let stalled_after = settings.stalled_after;
    let mut background = JoinSet::new();
    let started = Engine::start(
        spec,
        source,
        destination,
        directory,
        settings,
        (controls.rate.clone(), attempts),
        &mut background,
    );
    let (engine, state) = match started.await {
        Ok(started) => started,
        Err(Ended::Local(failure) | Ended::Failed(failure)) => {
            return Err(Interrupted::LocalState(failure));
        }
    };
    let watch = Watch {
        stalled_after,
        progress: engine.progress.clone(),
        limiter: engine.limiter.clone(),
        source: source_calls,
        destination: destination_calls,
    };
    let result = carry_out(engine, state, watch, &controls).await;
    background.shutdown().await;
    if let Ok(report) = &result {
        controls.reports.send_replace(report.clone());
    }
    result
}

/// Runs the stages that are left, to their end or to what breaks them off. What was journalled is on
/// disk afterwards.
async fn carry_out<S: Source, D: Destination>(
    mut engine: Engine<S, D>,
    state: State,
    watch: Watch,
    controls: &Controls,
) -> Result<ExecutionReport, Interrupted> {
    let mut observer = engine.observer(watch.source.clone()).await;
    let mut stall = None;
    let ended = tokio::select! {
        biased;
        () = controls.stop.cancelled() => None,
        () = controls.cancel.cancelled() => Some(Err(Ended::Failed(Failure::new(
            ErrorCode::Cancelled,
            "the execution was cancelled",
        )))),
        ended = engine.stages(state) => Some(ended),
        () = observer.report(&controls.reports) => None,
        failure = watch.stalled() => {
            stall = Some(failure);
            None
        }
    };
    let journal = engine.journal.clone();
    let mut result = engine.conclude(ended).await;
    if let Ok(report) = &mut result {
        let plan = report.telemetry.plan.take();
        report.telemetry = Telemetry {
            plan,
            ..observer.telemetry()
        };
    }
    let last = Record::Counted {
        add: Counters::default(),
    };
    match (journal.commit(last).await, result, stall) {
        (Err(error), Ok(_), _) => match local(&error) {
            Ended::Local(failure) | Ended::Failed(failure) => Err(Interrupted::LocalState(failure)),
        },
        (_, Err(Interrupted::Stopped), Some(failure)) => Err(Interrupted::Stalled(failure)),
        (_, result, _) => result,
    }
}

/// What the stages share.
struct Engine<S, D> {
    spec: ExecutionSpec,
    directory: PathBuf,
    settings: Settings,
    scope: Arc<Scope>,
    source: Arc<S>,
    destination: Arc<D>,
    attempts: Arc<Attempts>,
    limiter: Limiter,
    journal: Journal,
    disk: Disk,
    uploads: Arc<Uploads>,
    progress: Arc<Progress>,
    failures: FailureList,
    catalog: Option<Catalog>,
    /// `None` without a report.
    teller: Option<Arc<Teller>>,
    /// `None` without a log.
    log: Option<ItemLog>,
    /// Entries of the end check, while it runs.
    verified: Option<BufWriter<File>>,
    mover: Arc<Mover<S, D>>,
    /// The source's root when the execution began; `None` before the scan.
    root: Option<Root>,
    roots: Option<Roots>,
    /// What a dry run found.
    plan: Option<Plan>,
    /// Deletes that a guard held back.
    withheld: Option<Failure>,
    /// Uploads of earlier executions that are still to be aborted.
    owed: Vec<OwedAbort>,
    silence: Silence,
}

impl<S: Source, D: Destination> Engine<S, D> {
    /// Runs the stages that are left.
    async fn stages(&mut self, state: State) -> Result<(), Ended> {
        if self.spec.extensions.dry_run {
            self.plan = Some(self.plan().await?);
            return Ok(());
        }
        let facts = if state.stage == Stage::Scan {
            Some(self.scan(&state).await?)
        } else {
            self.abort_earlier(&state).await?;
            None
        };
        if state.stage <= Stage::Link {
            self.link_names(&state, facts.as_ref()).await?;
        }
        if state.stage <= Stage::Delete {
            self.enter(Stage::Delete).await?;
            self.delete(&state, facts).await?;
            self.settle().await?;
            self.adopt_catalog().await;
        } else {
            self.recall_candidates().await?;
        }
        self.enter(Stage::Verify).await?;
        if self.spec.options.verify_mode == VerifyMode::PointInTimeConsistent {
            self.verify().await?;
            self.adopt_catalog().await;
        }
        Ok(())
    }

    async fn enter(&self, stage: Stage) -> Result<(), Ended> {
        self.progress.scan_ended();
        self.journal.commit(Record::Stage { stage }).await?;
        self.progress.enter(stage);
        Ok(())
    }
}
