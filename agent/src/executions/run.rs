//! Carrying out one execution: credentials, both sides open, then the engine.

mod interruption;
mod keys;
mod last_words;
mod opening;
mod stalls;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use datasync_model::{ErrorCode, ExecutionReport, ExecutionSpec, Failure, Severity};
use datasync_transfer::{Controls, Interrupted, LogSink, Settings, let_go, with_open_uploads};

use super::fence::Fence;
use super::folder::Folder;
use super::limits::Limits;
use super::{Assignment, Ended, Work, failed, failure_list};
use crate::countersigning::SigningDesk;
use crate::endpoints::{self, Endpoints, Side};
use crate::host;
use crate::lease::Lease;
use crate::logs::Logs;
pub(super) use interruption::interruptible;
pub(super) use opening::ATTEMPTS_MAX;
use stalls::Stalls;

/// A full disk is looked at again after this time.
const LOCAL_STATE_PAUSE: Duration = Duration::from_secs(10);
/// Runs executions against real servers.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    endpoints: Endpoints,
    limits: Limits,
    /// `None` where control never gives executions to other agents.
    lease: Option<Lease>,
    history: PathBuf,
    failures: PathBuf,
    /// `None`: no logs are kept.
    logs: Option<Logs>,
}

/// Why an execution does not come to the engine, or comes back from it before its end.
pub(crate) enum Halt {
    Failed(Failure),
    Stopped,
    /// The credentials ran out.
    Expired,
    /// Control was not heard of for the length of a lease.
    LeaseOver,
    /// Our own disk is full or failing.
    LocalState(Failure),
    /// Nothing moved for too long.
    Stalled(Failure),
}

impl Runner {
    /// `history` is the directory of what is remembered from one execution of a pair of locations
    /// to the next, `failures` that of the lists of items that were not done.
    pub(crate) fn new(
        endpoints: Endpoints,
        limits: Limits,
        lease: Option<Lease>,
        history: PathBuf,
        failures: PathBuf,
    ) -> Self {
        Self {
            endpoints,
            limits,
            lease,
            history,
            failures,
            logs: None,
        }
    }

    /// Keeps a log of each execution whose `LogLevel` wants one.
    pub(crate) fn with_logs(mut self, logs: Logs) -> Self {
        self.logs = Some(logs);
        self
    }

    /// `signing` is where the roots of task reports are signed.
    pub(crate) fn into_work(self, signing: SigningDesk) -> Work {
        Arc::new(move |assignment| {
            let (runner, signing) = (self.clone(), signing.clone());
            Box::pin(async move { runner.run_logged(&assignment, &signing).await })
                as Pin<Box<dyn Future<Output = Ended> + Send>>
        })
    }

    async fn run_logged(&self, assignment: &Assignment, signing: &SigningDesk) -> Ended {
        let spec = &assignment.spec;
        let begun = match &self.logs {
            Some(logs) => logs.begin(spec).await,
            None => None,
        };
        let Some((sink, writer)) = begun else {
            return self.run(assignment, signing, None).await;
        };
        sink.tell(Severity::Info, last_words::begun(spec));
        let running = Box::pin(self.run(assignment, signing, Some(sink)));
        let (ended, writer) = tokio::join!(running, writer.run());
        let is_released = assignment.released.is_cancelled();
        let last = last_words::last(spec, ended.as_ref(), is_released);
        if let (Some((severity, text)), Some(writer)) = (last, writer) {
            writer.close(severity, text).await;
        }
        ended
    }

    async fn run(
        &self,
        assignment: &Assignment,
        signing: &SigningDesk,
        log: Option<LogSink>,
    ) -> Ended {
        let ended = Box::pin(self.run_to_end(assignment, signing, log)).await;
        if assignment.released.is_cancelled() {
            self.leave_uploads(assignment).await;
            return None;
        }
        ended
    }

    /// What an execution began that is another agent's now. Its uploads are aborted by the next
    /// execution of the pair that this agent has: this one touches the store no more.
    async fn leave_uploads(&self, assignment: &Assignment) {
        if !assignment.directory.join("journal").exists() {
            return;
        }
        let owed_aborts = self.remembered(&assignment.spec, "owed-aborts");
        let left = Failure::new(ErrorCode::AgentUnavailable, "given to another agent");
        let left = let_go(left, &assignment.directory, &owed_aborts).await;
        let task_execution_id = assignment.spec.execution.id();
        tracing::warn!(task_execution_id, detail = left.detail, "execution let go");
    }

    async fn run_to_end(
        &self,
        assignment: &Assignment,
        signing: &SigningDesk,
        log: Option<LogSink>,
    ) -> Ended {
        match Folder::of(assignment.directory.clone()).concluded() {
            Ok(None) => {}
            Ok(Some(concluded)) => return self.concluded(assignment, signing, concluded).await,
            Err(error) => {
                tracing::error!(%error, "the journal tells the end of an execution again")
            }
        }
        failure_list::prune(&self.failures);
        let mut stalls = Stalls::default();
        loop {
            let halt = match self.run_once(assignment, log.clone()).await {
                Ok(report) => return self.reported(assignment, signing, report).await,
                Err(halt) => halt,
            };
            if let (Some(log), Some(text)) = (&log, last_words::halted(&assignment.spec, &halt)) {
                log.tell(Severity::Warn, text);
            }
            // Paused: go on from the journal when there is what it waits for.
            let waited = match halt {
                Halt::Expired => Ok(()),
                Halt::LeaseOver => {
                    tracing::warn!(
                        task_execution_id = assignment.spec.execution.id(),
                        event = "execution.paused",
                        "control was not heard of for the length of a lease; pausing the execution"
                    );
                    Ok(())
                }
                Halt::LocalState(failure) => {
                    let owed_aborts = self.remembered(&assignment.spec, "owed-aborts");
                    pause_for_room(assignment, &owed_aborts, failure).await
                }
                // Begun again with connections of its own.
                Halt::Stalled(failure) => {
                    let owed_aborts = self.remembered(&assignment.spec, "owed-aborts");
                    begin_again(&mut stalls, assignment, &owed_aborts, failure).await
                }
                Halt::Failed(_) | Halt::Stopped => Err(halt),
            };
            match waited {
                Ok(()) => {}
                Err(Halt::Failed(failure)) => {
                    let mut report = failed(assignment.spec.execution.clone(), failure);
                    report.counters = assignment.reports.borrow().counters;
                    return self.reported(assignment, signing, report).await;
                }
                Err(_) => return None,
            }
        }
    }

    /// Opens both sides and runs the engine, up to its end or to what keeps it from going on.
    pub(crate) async fn run_once(
        &self,
        assignment: &Assignment,
        log: Option<LogSink>,
    ) -> Result<ExecutionReport, Halt> {
        let spec = &assignment.spec;
        apart(spec).map_err(Halt::Failed)?;
        let from = endpoints::as_source(&spec.source);
        let to = endpoints::as_destination(&spec.destination);
        let owed_aborts = self.remembered(spec, "owed-aborts");
        let credentials = async {
            self.await_credentials(&spec.destination).await?;
            self.await_credentials(&spec.source).await
        };
        interruptible(assignment, &owed_aborts, credentials).await?;
        self.take_manifest(assignment).await?;
        // Held from before the mounts, so that each is one value for the whole run.
        let source_server = self.endpoints.servers().source(from);
        let destination_server = self.endpoints.servers().destination(to);
        let source = self
            .open(assignment, Side::Source, &spec.source, || {
                let (shape, extended) = (endpoints::shape(spec), endpoints::extended(spec));
                self.endpoints.source(from, shape, extended)
            })
            .await?;
        let leased = async { Ok(self.fence(assignment).await) };
        let fence = interruptible(assignment, &owed_aborts, leased).await?;
        let destination = self.open_destination(assignment, to, &fence).await?;
        self.roots_are_apart(assignment, &source, &destination)
            .await?;
        let controls = Controls {
            cancel: assignment.cancel.clone(),
            stop: fence.run().clone(),
            rate: assignment.rate.clone(),
            reports: assignment.reports.clone(),
        };
        let settings = Settings {
            memory_target_bytes: self.limits.memory_target_bytes,
            state_disk_max_bytes: self.limits.state_disk_max_bytes,
            history_file: Some(self.remembered(spec, "json")),
            catalog_file: Some(self.remembered(spec, "catalog")),
            owed_aborts_file: Some(owed_aborts),
            failures_file: Some(failure_list::path(&self.failures, spec.execution.id())),
            plan_file: Some(failure_list::plan_path(&self.failures, spec.execution.id())),
            source_server: source_server.server,
            destination_server: destination_server.server,
            shared_rate: self.limits.shared_rate.clone(),
            failures_max: self.limits.failures_max,
            stalled_after: self.limits.stalled_after,
            seed: getrandom::u64().unwrap_or_default(),
            cpu_time: host::cpu_time,
            log,
            ..Settings::default()
        };
        let running = datasync_transfer::run(
            spec,
            Arc::new(source),
            Arc::new(destination),
            &assignment.directory,
            settings,
            controls,
        );
        let mut running = Box::pin(running);
        let mut has_expired = false;
        let result = tokio::select! {
            result = &mut running => result,
            () = self.pause_at_expiry([&spec.source, &spec.destination], fence.run()) => {
                has_expired = true;
                running.await
            }
            () = fence.shut() => running.await,
        };
        result.map_err(|why| halt(why, assignment.stop.is_cancelled(), has_expired))
    }

    /// Waits until the execution may be written, which it may for as long as the fence is open.
    pub(super) async fn fence(&self, assignment: &Assignment) -> Fence {
        let lease = self.lease.clone().filter(|_| assignment.leased);
        if let Some(lease) = &lease {
            lease.begun().await;
        }
        Fence::new(lease, assignment.stop.child_token())
    }

    /// The file of this kind that is kept for the pair of locations.
    pub(super) fn remembered(&self, spec: &ExecutionSpec, kind: &str) -> PathBuf {
        let (source, destination) = (spec.source.arn(), spec.destination.arn());
        let pair = format!("{}_{}", source.id(), destination.id());
        self.history.join(format!("{pair}.{kind}"))
    }

    pub(super) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// Why the engine came back before its end: the agent stops, the credentials have expired, or else
/// what stops a run is its fence.
fn halt(why: Interrupted, is_stopped: bool, has_expired: bool) -> Halt {
    match why {
        _ if is_stopped => Halt::Stopped,
        Interrupted::Stopped if has_expired => Halt::Expired,
        Interrupted::Stopped => Halt::LeaseOver,
        Interrupted::LocalState(failure) => Halt::LocalState(failure),
        Interrupted::Stalled(failure) => Halt::Stalled(failure),
    }
}

/// Begins again after a stall, unless that has not helped; then uploads are left to the next
/// execution of the pair.
async fn begin_again(
    stalls: &mut Stalls,
    assignment: &Assignment,
    owed_aborts: &Path,
    failure: Failure,
) -> Result<(), Halt> {
    let done = assignment.reports.borrow().counters;
    if stalls.is_to_go_on(done) {
        let task_execution_id = assignment.spec.execution.id();
        tracing::error!(task_execution_id, %failure, event = "execution.restarted", "the execution is begun again from its journal");
        return Ok(());
    }
    let failure = with_open_uploads(failure, &assignment.directory, Some(owed_aborts)).await;
    Err(Halt::Failed(failure))
}

/// Shows why nothing goes on, and waits a while.
async fn pause_for_room(
    assignment: &Assignment,
    owed_aborts: &Path,
    failure: Failure,
) -> Result<(), Halt> {
    let task_execution_id = assignment.spec.execution.id();
    tracing::error!(task_execution_id, %failure, event = "execution.paused", "the execution is paused");
    assignment
        .reports
        .send_modify(|report| report.result.failure = Some(failure));
    interruptible(assignment, owed_aborts, async {
        tokio::time::sleep(LOCAL_STATE_PAUSE).await;
        Ok(())
    })
    .await
}

/// # Errors
/// For locations of which one lies in the other.
fn apart(spec: &ExecutionSpec) -> Result<(), Failure> {
    match endpoints::overlap(&spec.source, &spec.destination) {
        Some(why) => Err(Failure::new(ErrorCode::InvalidConfiguration, why)),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests;
