//! One execution from its first to its last record.

mod cataloguing;
mod cleanup;
mod deleting;
mod ended;
mod failing;
mod observing;
mod passing;
mod planning;
mod resuming;
mod room;
mod scanning;
mod telling;
mod verifying;
mod watching;

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::{Destination, Source};
use datasync_model::{
    BytesPerSecond, Counters, ErrorCode, ExecutionReport, ExecutionSpec, Failure, Plan, Scope,
    Telemetry, VerifyMode,
};
use tokio::fs::File;
use tokio::io::BufWriter;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::attempts::Attempts;
use crate::budget::Budget;
use crate::catalog::Catalog;
use crate::disk::Disk;
use crate::failures::{FAILURES_FILE, FailureList};
use crate::history::Root;
use crate::journal::{Journal, Record, Stage, State};
use crate::limiter::{Limiter, SharedRate};
use crate::mover::Mover;
use crate::owed::OwedAbort;
use crate::progress::Progress;
use crate::report::Reporter;
use crate::retry::RetryLimits;
use crate::server::{Server, Spared};
use crate::uploads::Uploads;
use crate::verify::Verifier;
pub use cleanup::with_open_uploads;
pub(crate) use ended::Ended;
use ended::local;
use watching::Watch;

/// How an execution is run; the same for all executions of an agent.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the execution may use, in bytes; at least 64 MiB. Half of it holds payloads, a quarter
    /// of that one part: larger ones are read while they are sent.
    pub memory_target_bytes: u64,
    /// Where the identity of the source's root is kept from one execution of the same pair of
    /// locations to the next; `None`: not at all.
    pub history_file: Option<PathBuf>,
    /// Where is kept what is known of every object from one execution of the same pair of locations
    /// to the next; `None`: nowhere, and every object is asked about.
    pub catalog_file: Option<PathBuf>,
    /// Where uploads that could not be aborted are kept for the next execution of the same pair of
    /// locations, which tries again; `None`: they are only named in the result.
    pub owed_aborts_file: Option<PathBuf>,
    /// Where the list of items that were not done is kept, one JSON object a line; `None`: in the
    /// execution's directory.
    pub failures_file: Option<PathBuf>,
    /// Where a dry run writes what would be done, one JSON object a line; `None`: in the execution's
    /// directory.
    pub plan_file: Option<PathBuf>,
    /// The source's server, shared by all executions that read from it.
    pub source_server: Server,
    /// The destination's server, shared by all executions that write to it.
    pub destination_server: Server,
    /// A bandwidth limit for all executions that are given it, on top of each one's own.
    pub shared_rate: Option<SharedRate>,
    /// So many items that failed or differ end the execution; `None`: it always goes on.
    pub failures_max: Option<NonZeroU64>,
    /// What the files of the execution may take together, in bytes; `None`: what is free on their
    /// file system at the start, but for a twentieth of it, at most 1 GiB.
    pub state_disk_max_bytes: Option<u64>,
    /// A run in which nothing moves for so long is given up, to be begun again from its journal.
    /// `None`: it waits for ever.
    pub stalled_after: Option<Duration>,
    /// Retries of a single request.
    pub retries: RetryLimits,
    /// Seeds the jitter of retries.
    pub seed: u64,
    /// Wall clock in seconds since 1970.
    pub now_seconds: fn() -> i64,
    /// CPU time that the process has used; [`Duration::ZERO`] where that is not known.
    pub cpu_time: fn() -> Duration,
}

/// As many as the list of failures keeps: what failed beyond could not be told.
const FAILURES_MAX: u64 = 1_000_000;

/// Longer than any call may take that does not move a whole object.
const STALLED_AFTER: Duration = Duration::from_secs(900);

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory_target_bytes: 256 << 20,
            history_file: None,
            catalog_file: None,
            owed_aborts_file: None,
            failures_file: None,
            plan_file: None,
            shared_rate: None,
            failures_max: NonZeroU64::new(FAILURES_MAX),
            stalled_after: Some(STALLED_AFTER),
            source_server: Server::default(),
            destination_server: Server::default(),
            state_disk_max_bytes: None,
            retries: RetryLimits::default(),
            seed: 0,
            now_seconds,
            cpu_time: || Duration::ZERO,
        }
    }
}

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
    let mut observer = engine.observer().await;
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
    reporter: Option<Arc<Reporter>>,
    /// Entries of the end check, while it runs.
    verified: Option<BufWriter<File>>,
    mover: Arc<Mover<S, D>>,
    /// The source's root when the execution began; `None` before the scan.
    root: Option<Root>,
    /// What a dry run found.
    plan: Option<Plan>,
    /// Deletes that a guard held back.
    withheld: Option<Failure>,
    /// Uploads of earlier executions that are still to be aborted.
    owed: Vec<OwedAbort>,
    /// Items in a row whose endpoint did not answer.
    silent_items: u32,
}

fn now_seconds() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}

impl<S: Source, D: Destination> Engine<S, D> {
    async fn start(
        spec: &ExecutionSpec,
        source: Arc<S>,
        destination: Arc<D>,
        directory: &Path,
        settings: Settings,
        (rate, attempts): (watch::Receiver<BytesPerSecond>, Arc<Attempts>),
        background: &mut JoinSet<()>,
    ) -> Result<(Self, State), Ended> {
        let list = settings.failures_file.clone();
        let list = list.unwrap_or_else(|| directory.join(FAILURES_FILE));
        let disk = room::granted(directory, &list, &settings).await?;
        let (journal, mut state) = Journal::open(directory, background).await?;
        let failures = FailureList::open(list, disk.clone()).await?;
        let catalog = settings.catalog_file.clone();
        let catalog = catalog.map(|file| Catalog::new(file, directory, spec, disk.clone()));
        let limiter = Limiter::start(rate, settings.shared_rate.clone(), background);
        let budget = Budget::new(settings.memory_target_bytes / 2);
        let uploads = Arc::new(Uploads::new(journal.clone(), &mut state));
        let progress = Progress::new(state.counters, state.stage, state.elapsed);
        let verifier = Arc::new(Verifier {
            source: source.clone(),
            destination: destination.clone(),
            options: spec.options.clone(),
            attempts: attempts.clone(),
            budget: budget.clone(),
            is_deep: spec.extensions.verify_deep,
        });
        let mover = Arc::new(Mover {
            source: source.clone(),
            destination: destination.clone(),
            options: spec.options.clone(),
            attempts: attempts.clone(),
            parts: Budget::new(budget.total() - budget.total() / 4),
            budget,
            limiter: limiter.clone(),
            uploads: uploads.clone(),
            progress: progress.clone(),
            verifier,
            now_seconds: settings.now_seconds,
        });
        let reporter = telling::reporter(spec, &settings, &*destination);
        let engine = Self {
            spec: spec.clone(),
            directory: directory.to_owned(),
            settings,
            scope: Arc::new(Scope::new(spec.includes.clone(), spec.excludes.clone())),
            source,
            destination,
            attempts,
            limiter,
            journal,
            disk,
            uploads,
            progress,
            failures,
            catalog,
            reporter,
            verified: None,
            mover,
            root: state.root,
            plan: None,
            withheld: state.withheld.clone(),
            owed: Vec::new(),
            silent_items: 0,
        };
        Ok((engine, state))
    }

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
        if state.stage <= Stage::Delete {
            self.enter(Stage::Delete).await?;
            self.delete(&state, facts).await?;
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

    /// Makes the terminal report; `None` means stopped.
    async fn conclude(
        mut self,
        ended: Option<Result<(), Ended>>,
    ) -> Result<ExecutionReport, Interrupted> {
        if let Some(catalog) = &mut self.catalog {
            catalog.flush().await;
        }
        if let Err(Ended::Local(failure) | Ended::Failed(failure)) = self.end_verified().await {
            return Err(Interrupted::LocalState(failure));
        }
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
        let failure = name_owed(failure, &owed);
        self.pass_on(owed).await;
        let verified = self.spec.options.verify_mode != VerifyMode::None;
        Ok(self.progress.terminal(
            &self.spec.execution,
            self.limiter.granted_bytes(),
            failure,
            verified,
        ))
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
                ErrorCode::ChecksumMismatch
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
}

/// How long the end of an execution may take to abort uploads.
const ABORT_TIME: Duration = Duration::from_secs(5);

fn name_owed(failure: Option<Failure>, owed: &[OwedAbort]) -> Option<Failure> {
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
