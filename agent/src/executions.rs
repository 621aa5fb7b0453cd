//! The executions on this agent: what control wants, reconciled with what is here.
//!
//! Each execution has a directory of its own with its frozen spec, so that it goes on after a
//! restart whether control is there or not.

mod concluded;
mod failure_list;
mod fence;
mod folder;
mod limits;
mod manifest;
mod progress_log;
mod rate;
mod reconcile;
mod report;
mod run;
mod task;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use datasync_model::{
    BytesPerSecond, ErrorCode, ExecutionReport, ExecutionResult, ExecutionSpec, ExecutionStatus,
    Failure, Rate, TaskExecutionArn, Tenure,
};
use datasync_proto::DesiredExecution;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::local::Watched;
use crate::state::{EXECUTIONS, StateDir, StateError};
use crate::telemetry::Tally;
use folder::{Folder, Order};
use reconcile::{Action, Here, Wanted};

pub(crate) use failure_list::{path as failure_list_path, plan_path};
pub(crate) use limits::Limits;
pub(crate) use rate::follow as follow_rate;
pub(crate) use reconcile::is_current;
pub(crate) use run::{Halt, Runner};
pub(crate) use turn::Turn;

/// An end that control did not keep is told again after this time.
const REPEAT_INTERVAL: Duration = Duration::from_secs(30);

/// What one execution is given to work with.
pub(crate) struct Assignment {
    pub(crate) spec: Arc<ExecutionSpec>,
    pub(crate) directory: PathBuf,
    pub(crate) cancel: CancellationToken,
    /// Fires some time after a cancel: what has not been cleaned up by then stays.
    pub(crate) give_up: CancellationToken,
    pub(crate) stop: CancellationToken,
    /// Has fired along with [`Self::stop`] if the execution is another agent's from now on.
    pub(crate) released: CancellationToken,
    /// Whether it may be written only while the agent's lease lasts.
    pub(crate) leased: bool,
    pub(crate) rate: watch::Receiver<BytesPerSecond>,
    pub(crate) reports: watch::Sender<ExecutionReport>,
    pub(crate) turn: Turn,
}

/// `Some` with the terminal report; `None` if it was stopped and goes on later.
pub(crate) type Ended = Option<ExecutionReport>;

/// How an execution is carried out: [`Runner`], or a fake in tests.
pub(crate) type Work =
    Arc<dyn Fn(Assignment) -> Pin<Box<dyn Future<Output = Ended> + Send>> + Send + Sync>;

#[derive(Debug)]
struct Execution {
    tenure: Tenure,
    order: Order,
    folder: Folder,
    cancel: CancellationToken,
    stop: CancellationToken,
    released: CancellationToken,
    rate: watch::Sender<Rate>,
    /// The task has a clone: its last report must outlive it.
    seen: watch::Sender<ExecutionReport>,
    /// Marks what control was told.
    told: watch::Receiver<ExecutionReport>,
    told_at: Instant,
    /// Control does not list it any more: to be removed once it has ended.
    forgotten: bool,
}

impl Execution {
    fn has_ended(&self) -> bool {
        self.seen.borrow().status.is_terminal()
    }
}

/// All executions of this agent.
pub(crate) struct Executions {
    state: Arc<StateDir>,
    work: Work,
    slots: Arc<Semaphore>,
    here: BTreeMap<String, Execution>,
    /// For whoever looks on.
    watched: Watched,
    /// What all of them have done.
    tally: Tally,
    /// What control wants, as it last said.
    desired: Vec<DesiredExecution>,
    tasks: JoinSet<()>,
    /// Rung at each end, which control is told at once.
    ended: Arc<Notify>,
    stop: CancellationToken,
}

impl std::fmt::Debug for Executions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executions").finish_non_exhaustive()
    }
}

impl Executions {
    /// Takes up what is in the state directory: executions that have not ended go on at once.
    ///
    /// # Errors
    /// If the directory cannot be listed. A single folder that cannot be read is logged and left.
    pub(crate) fn resume(
        state: Arc<StateDir>,
        work: Work,
        executions_max: usize,
    ) -> Result<Self, StateError> {
        let mut executions = Self {
            work,
            slots: Arc::new(Semaphore::new(executions_max)),
            here: BTreeMap::new(),
            watched: Watched::default(),
            tally: Tally::default(),
            desired: Vec::new(),
            tasks: JoinSet::new(),
            ended: Arc::default(),
            stop: CancellationToken::new(),
            state,
        };
        for (id, kept) in folder::kept(&executions.state.path(EXECUTIONS))? {
            match kept.report {
                Some(report) => {
                    executions.keep_ended(id, kept.folder, (kept.tenure, kept.order), report);
                }
                None => {
                    tracing::info!(
                        task_execution_id = id,
                        event = "execution.resumed",
                        "resuming an execution"
                    );
                    executions.launch(id, kept.folder, kept.spec, (kept.tenure, kept.order));
                }
            }
        }
        Ok(executions)
    }

    /// The reports of all that is here and will come.
    pub(crate) fn watched(&self) -> Watched {
        self.watched.clone()
    }

    /// What the executions of this process have done.
    pub(crate) fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// Makes what is here agree with what control wants.
    pub(crate) fn apply(&mut self, desired: &[DesiredExecution]) {
        self.desired = desired.to_vec();
        self.reconcile();
    }

    fn reconcile(&mut self) {
        let (mut wanted, mut unreadable) = (BTreeMap::new(), BTreeSet::new());
        for read in self.desired.iter().map(reconcile::read).collect::<Vec<_>>() {
            match read {
                Ok(read) => {
                    wanted.insert(read.spec.execution.id().to_owned(), read);
                }
                Err(refused) => unreadable.extend(self.refuse(*refused)),
            }
        }
        let here = self.here.iter().map(|(id, execution)| {
            let here = Here {
                tenure: execution.tenure,
                ended: execution.has_ended(),
                order: execution.order,
                forgotten: execution.forgotten,
            };
            (id.clone(), here)
        });
        let actions = reconcile::reconcile(&wanted, &unreadable, &here.collect());
        let mut again = false;
        for (id, action) in actions {
            let wanted = wanted.get(&id).cloned();
            again |= action == Action::Forget && wanted.is_some();
            if let Err(error) = self.carry_out(&id, action, wanted) {
                tracing::error!(task_execution_id = id, %error, ?action, "cannot carry out");
            }
        }
        if again {
            // What ended here is wanted as of another epoch.
            self.reconcile();
        }
    }

    /// The epoch that what is said of `execution` is of; 0 if it is not here.
    pub(crate) fn epoch(&self, execution: &TaskExecutionArn) -> u64 {
        let here = self.here.get(execution.id());
        here.map_or(0, |here| here.tenure.epoch)
    }

    /// Waits until an execution ends, or has ended since the last wait.
    pub(crate) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Reports that control has not seen, or whose end it may have lost; all of them if `all`.
    pub(crate) fn due_reports(&mut self, all: bool) -> Vec<ExecutionReport> {
        self.remove_forgotten();
        let now = Instant::now();
        self.here
            .values_mut()
            .filter(|execution| !execution.forgotten)
            .filter_map(|execution| {
                // The other half is in the same struct, so it cannot be closed.
                let changed = execution.told.has_changed().unwrap_or(true);
                let repeated = execution.has_ended() && execution.told_at + REPEAT_INTERVAL <= now;
                (all || changed || repeated).then(|| {
                    execution.told_at = now;
                    execution.told.borrow_and_update().clone()
                })
            })
            .collect()
    }

    /// Stops everything so that it can go on later; cuts what does not stop in time.
    pub(crate) async fn stop(&mut self, deadline: Duration) {
        self.stop.cancel();
        if !self.drain(deadline).await {
            tracing::warn!("an execution did not stop in time; it resumes from its journal");
        }
    }

    /// Cancels everything, so that no upload stays open, and removes every trace; cuts what has
    /// not ended in time.
    pub(crate) async fn discard(&mut self, deadline: Duration) {
        self.desired.clear();
        for (id, execution) in &mut self.here {
            execution.order.cancel = true;
            // Were the process killed now, it would not go on with the transfer.
            if let Err(error) = execution.folder.write_order(execution.order) {
                tracing::warn!(task_execution_id = id, %error, "cannot keep a cancel");
            }
            execution.cancel.cancel();
        }
        if !self.drain(deadline).await {
            tracing::warn!("an execution did not end in time; its uploads may still be open");
        }
        for (id, execution) in std::mem::take(&mut self.here) {
            if let Err(error) = execution.folder.remove() {
                tracing::error!(task_execution_id = id, %error, "cannot remove an execution's files");
            }
        }
    }

    /// Waits until no task is left; cuts those that are left after `deadline`.
    async fn drain(&mut self, deadline: Duration) -> bool {
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout(deadline, drained).await.is_ok();
        self.tasks.shutdown().await;
        in_time
    }

    fn carry_out(
        &mut self,
        id: &str,
        action: Action,
        wanted: Option<Wanted>,
    ) -> Result<(), StateError> {
        match (action, wanted) {
            (Action::Start, Some(wanted)) => {
                if let Err(error) = self.start(id, &wanted) {
                    self.fail_start(id, &wanted, &error);
                    return Err(error);
                }
            }
            (Action::Change(order), _) => {
                if let Some(execution) = self.here.get_mut(id) {
                    // In force even if the disk refuses: a restart asks control again.
                    execution.order = order;
                    execution.rate.send_replace(order.rate);
                    if order.cancel {
                        execution.cancel.cancel();
                    }
                    execution.folder.write_order(order)?;
                }
            }
            (Action::CancelAndForget, _) => {
                if let Some(execution) = self.here.get_mut(id) {
                    execution.forgotten = true;
                    execution.cancel.cancel();
                }
            }
            (Action::Release, _) => {
                if let Some(execution) = self.here.get_mut(id) {
                    tracing::warn!(
                        task_execution_id = id,
                        epoch = execution.tenure.epoch,
                        event = "execution.released",
                        "the execution is not this agent's any more; nothing more is written for it"
                    );
                    execution.forgotten = true;
                    execution.released.cancel();
                    execution.stop.cancel();
                }
            }
            (Action::Forget, _) => {
                if let Some(execution) = self.here.remove(id) {
                    execution.folder.remove()?;
                }
            }
            (Action::Start, None) => {}
        }
        Ok(())
    }

    fn start(&mut self, id: &str, wanted: &Wanted) -> Result<(), StateError> {
        let given = (wanted.tenure, wanted.order);
        let folder = Folder::create(&self.state.path(EXECUTIONS), id, &wanted.spec, given)?;
        let epoch = wanted.tenure.epoch;
        tracing::info!(
            task_execution_id = id,
            epoch,
            event = "execution.started",
            "starting an execution"
        );
        self.launch(id.to_owned(), folder, Arc::clone(&wanted.spec), given);
        Ok(())
    }

    /// An execution that cannot even be written down ends at once, in memory.
    fn fail_start(&mut self, id: &str, wanted: &Wanted, error: &StateError) {
        let failure = Failure::new(ErrorCode::LocalStateFault, format!("on the agent: {error}"));
        let report = failed(wanted.spec.execution.clone(), failure);
        let folder = Folder::at(&self.state.path(EXECUTIONS), id);
        let given = (wanted.tenure, wanted.order);
        self.keep_ended(id.to_owned(), folder, given, report);
    }

    /// A spec of another version: reported as failed, unless it runs already. The answer is its
    /// id, where that can be read.
    fn refuse(&mut self, refused: reconcile::Unreadable) -> Option<String> {
        let Some(execution) = refused.execution else {
            let reason = refused.reason;
            tracing::error!(reason, "control wants an execution that cannot be read");
            return None;
        };
        let id = execution.id().to_owned();
        if !self.here.contains_key(&id) {
            let detail = format!(
                "agent {} cannot read the execution: {}; update the agent",
                crate::VERSION,
                refused.reason
            );
            let report = failed(execution, Failure::new(ErrorCode::NotSupported, detail));
            let folder = Folder::at(&self.state.path(EXECUTIONS), &id);
            let given = (refused.tenure, Order::default());
            self.keep_ended(id.clone(), folder, given, report);
        }
        Some(id)
    }

    fn keep_ended(
        &mut self,
        id: String,
        folder: Folder,
        (tenure, order): (Tenure, Order),
        report: ExecutionReport,
    ) {
        let (seen, mut told) = watch::channel(report);
        told.mark_changed();
        self.watched.add(seen.subscribe());
        let execution = Execution {
            tenure,
            order,
            folder,
            cancel: CancellationToken::new(),
            stop: CancellationToken::new(),
            released: CancellationToken::new(),
            rate: watch::Sender::new(order.rate),
            seen,
            told,
            told_at: Instant::now(),
            forgotten: false,
        };
        self.here.insert(id, execution);
        self.ended.notify_one();
    }

    fn launch(
        &mut self,
        id: String,
        folder: Folder,
        spec: Arc<ExecutionSpec>,
        (tenure, order): (Tenure, Order),
    ) {
        let (cancel, released) = (CancellationToken::new(), CancellationToken::new());
        let stop = self.stop.child_token();
        if order.cancel {
            cancel.cancel();
        }
        let rate = watch::Sender::new(order.rate);
        let (seen, mut told) = watch::channel(launching(spec.execution.clone()));
        told.mark_changed();
        self.watched.add(seen.subscribe());
        self.tasks.spawn(task::run(task::Task {
            work: Arc::clone(&self.work),
            slots: Arc::clone(&self.slots),
            folder: folder.clone(),
            seen: seen.clone(),
            ended: Arc::clone(&self.ended),
            tally: self.tally.clone(),
            assignment: task::Handed {
                spec,
                leased: tenure.leased,
                cancel: cancel.clone(),
                stop: stop.clone(),
                released: released.clone(),
                rate: rate.subscribe(),
            },
        }));
        let execution = Execution {
            tenure,
            order,
            folder,
            cancel,
            stop,
            released,
            rate,
            seen,
            told,
            told_at: Instant::now(),
            forgotten: false,
        };
        self.here.insert(id, execution);
    }

    fn remove_forgotten(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        let before = self.here.len();
        self.here.retain(|id, execution| {
            let gone = execution.forgotten && execution.has_ended();
            if gone && let Err(error) = execution.folder.remove() {
                tracing::error!(task_execution_id = id, %error, "cannot remove an execution's files");
            }
            !gone
        });
        if self.here.len() < before {
            // Control may have listed one of them again meanwhile: it begins anew.
            self.reconcile();
        }
    }
}

pub(crate) fn launching(execution: TaskExecutionArn) -> ExecutionReport {
    ExecutionReport {
        execution,
        status: ExecutionStatus::Launching,
        counters: datasync_model::Counters::default(),
        result: ExecutionResult::default(),
        telemetry: datasync_model::Telemetry::default(),
    }
}

/// The report of an execution that ended before the engine took over.
pub(crate) fn failed(execution: TaskExecutionArn, failure: Failure) -> ExecutionReport {
    let mut report = launching(execution);
    report.status = ExecutionStatus::Error;
    report.result.prepare_status = datasync_model::PhaseStatus::Error;
    report.result.failure = Some(failure);
    report
}

#[cfg(test)]
mod moving;
#[cfg(test)]
mod simulated;
#[cfg(test)]
pub(crate) mod tests;
