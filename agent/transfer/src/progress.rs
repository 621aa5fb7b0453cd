//! What is known of an execution while it runs, and the reports made of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datasync_model::{
    Counters, ExecutionReport, ExecutionResult, ExecutionStatus, Failure, PhaseStatus,
    TaskExecutionArn, Telemetry,
};
use tokio::time::Instant;

use crate::journal::{Elapsed, Stage};

/// Counters and phases of an execution. Finished items are counted for good; those in flight are
/// counted as long as their [`InFlight`] lives.
#[derive(Debug)]
pub(crate) struct Progress {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    finished: Counters,
    in_flight: Counters,
    recovered_bytes: u64,
    local_works: u32,
    stage: Stage,
    scan_ended: bool,
    moving: bool,
    /// Time of earlier runs of the process, and of stages that ended in this one.
    elapsed: Elapsed,
    /// Up to when `elapsed` counts.
    counted_to: Instant,
}

/// Where an execution stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) stage: Stage,
    /// Whether source and destination are listed to their ends.
    pub(crate) is_scanned: bool,
    /// Counts of finished items.
    pub(crate) finished: Counters,
    /// Items in flight included.
    pub(crate) counters: Counters,
    /// Those of [`Counters::bytes_written`] that an earlier run of the process had sent and that this
    /// one found.
    pub(crate) recovered_bytes: u64,
}

impl Progress {
    pub(crate) fn new(finished: Counters, stage: Stage, elapsed: Elapsed) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                finished,
                in_flight: Counters::default(),
                recovered_bytes: 0,
                local_works: 0,
                stage,
                scan_ended: stage > Stage::Scan,
                moving: finished.transferred > 0 || stage > Stage::Scan,
                elapsed,
                counted_to: Instant::now(),
            }),
        })
    }

    fn edit<T>(&self, edit: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.count_time(Instant::now());
        edit(&mut inner)
    }

    /// An item of `bytes` bytes begins to move.
    pub(crate) fn begin(self: &Arc<Self>, bytes: u64) -> InFlight {
        self.edit(|inner| {
            inner.moving = true;
            inner.in_flight.to_transfer += 1;
            inner.in_flight.bytes_to_transfer += bytes;
        });
        InFlight {
            progress: self.clone(),
            bytes,
            done: Mutex::default(),
        }
    }

    /// An object of `bytes` bytes that is about to finish was written by an earlier run of the
    /// process.
    pub(crate) fn recover(&self, bytes: u64) {
        self.edit(|inner| inner.recovered_bytes += bytes);
    }

    /// The agent works for itself, which nothing else tells of, until the answer is dropped.
    pub(crate) fn local_work(self: &Arc<Self>) -> LocalWork {
        self.edit(|inner| inner.local_works += 1);
        LocalWork(self.clone())
    }

    /// Whether it does.
    pub(crate) fn works_locally(&self) -> bool {
        self.edit(|inner| inner.local_works > 0)
    }

    /// Something is finished for good.
    pub(crate) fn finish(&self, add: &Counters) {
        self.edit(|inner| inner.finished.add(add));
    }

    /// Source and destination are listed to their ends.
    pub(crate) fn scan_ended(&self) {
        self.edit(|inner| inner.scan_ended = true);
    }

    /// A stage begins.
    pub(crate) fn enter(&self, stage: Stage) {
        self.edit(|inner| inner.stage = stage);
    }

    /// The present stage.
    pub(crate) fn stage(&self) -> Stage {
        self.edit(|inner| inner.stage)
    }

    /// Time spent so far.
    pub(crate) fn elapsed(&self) -> Elapsed {
        self.edit(|inner| inner.elapsed)
    }

    /// Counts of finished items only.
    pub(crate) fn finished(&self) -> Counters {
        self.edit(|inner| inner.finished)
    }

    /// Where it stands now.
    pub(crate) fn standing(&self) -> Standing {
        self.edit(|inner| {
            let mut counters = inner.finished;
            counters.add(&inner.in_flight);
            Standing {
                stage: inner.stage,
                is_scanned: inner.scan_ended,
                finished: inner.finished,
                counters,
                recovered_bytes: inner.recovered_bytes,
            }
        })
    }

    /// A report of the running execution. `bytes_sent` are body bytes given to the network by
    /// this run of the process.
    pub(crate) fn report(&self, execution: &TaskExecutionArn, bytes_sent: u64) -> ExecutionReport {
        self.edit(|inner| {
            let mut counters = inner.finished;
            counters.add(&inner.in_flight);
            counters.bytes_transferred = counters.bytes_transferred.saturating_add(bytes_sent);
            let status = match inner.stage {
                Stage::Scan if !inner.moving => ExecutionStatus::Preparing,
                Stage::Scan | Stage::Link | Stage::Delete => ExecutionStatus::Transferring,
                Stage::Verify => ExecutionStatus::Verifying,
            };
            let done = |is_done| {
                if is_done {
                    PhaseStatus::Success
                } else {
                    PhaseStatus::Pending
                }
            };
            let result = ExecutionResult {
                prepare_status: done(inner.scan_ended),
                prepare_duration_ms: inner.elapsed.prepare_ms,
                transfer_status: done(inner.stage > Stage::Delete),
                transfer_duration_ms: inner.elapsed.transfer_ms,
                verify_status: PhaseStatus::Pending,
                verify_duration_ms: inner.elapsed.verify_ms,
                total_duration_ms: inner.elapsed.total_ms,
                failure: None,
                report: None,
            };
            ExecutionReport {
                execution: execution.clone(),
                status,
                counters,
                result,
                telemetry: Telemetry::default(),
            }
        })
    }

    /// The last report. `verified` tells whether an end check was asked for.
    pub(crate) fn terminal(
        &self,
        execution: &TaskExecutionArn,
        bytes_sent: u64,
        failure: Option<Failure>,
        verified: bool,
    ) -> ExecutionReport {
        let mut report = self.report(execution, bytes_sent);
        let counters = self.finished();
        let scan_ended = self.edit(|inner| inner.scan_ended);
        let stage = self.edit(|inner| inner.stage);
        let ended = |is_reached: bool, is_good: bool| match (is_reached, is_good) {
            (false, _) => PhaseStatus::Pending,
            (true, true) => PhaseStatus::Success,
            (true, false) => PhaseStatus::Error,
        };
        let broke_off = failure.is_some() && counters.failed == 0 && counters.mismatched == 0;
        let result = &mut report.result;
        result.prepare_status = ended(true, scan_ended);
        let transferred = counters.failed == 0 && !(broke_off && stage < Stage::Verify);
        result.transfer_status = ended(scan_ended, transferred);
        let reached_verify = verified && stage == Stage::Verify;
        result.verify_status = ended(reached_verify, counters.mismatched == 0 && !broke_off);
        report.status = if failure.is_some() {
            ExecutionStatus::Error
        } else {
            ExecutionStatus::Success
        };
        result.failure = failure;
        report.counters = Counters {
            bytes_transferred: report.counters.bytes_transferred,
            ..counters
        };
        report
    }
}

impl Inner {
    fn count_time(&mut self, now: Instant) {
        let spent = now.saturating_duration_since(self.counted_to);
        let whole_ms = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
        self.counted_to += std::time::Duration::from_millis(whole_ms);
        self.elapsed.total_ms += whole_ms;
        if self.stage == Stage::Scan && !self.scan_ended {
            self.elapsed.prepare_ms += whole_ms;
        }
        if self.stage < Stage::Verify && self.moving {
            self.elapsed.transfer_ms += whole_ms;
        }
        if self.stage == Stage::Verify {
            self.elapsed.verify_ms += whole_ms;
        }
    }
}

/// Work of the agent for itself.
#[derive(Debug)]
pub(crate) struct LocalWork(Arc<Progress>);

impl Drop for LocalWork {
    fn drop(&mut self) {
        self.0.edit(|inner| inner.local_works -= 1);
    }
}

/// An item that is being moved: counted as planned until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    progress: Arc<Progress>,
    bytes: u64,
    done: Mutex<Done>,
}

/// Bytes of an item that are with the store.
#[derive(Debug, Default)]
struct Done {
    written: u64,
    /// Those of them that were there before.
    recovered: u64,
}

impl InFlight {
    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `bytes` more are with the store.
    pub(crate) fn advance(&self, bytes: u64) {
        self.done().written += bytes;
        self.progress
            .edit(|inner| inner.in_flight.bytes_written += bytes);
    }

    /// As [`InFlight::advance`], of bytes that an earlier run of the process had sent.
    pub(crate) fn recover(&self, bytes: u64) {
        self.done().recovered += bytes;
        self.progress.recover(bytes);
        self.advance(bytes);
    }

    /// The item begins anew, or is given up: what was there is of no use.
    pub(crate) fn restart(&self) {
        let Done { written, recovered } = std::mem::take(&mut *self.done());
        self.progress.edit(|inner| {
            inner.in_flight.bytes_written -= written;
            inner.recovered_bytes -= recovered;
        });
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // What was recovered of an item that is done stays so.
        self.done().recovered = 0;
        self.restart();
        self.progress.edit(|inner| {
            inner.in_flight.to_transfer -= 1;
            inner.in_flight.bytes_to_transfer -= self.bytes;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_work_is_told_as_long_as_any_is_done() {
        let progress = Progress::new(Counters::default(), Stage::Scan, Elapsed::default());
        assert!(!progress.works_locally());
        let (one, other) = (progress.local_work(), progress.local_work());
        drop(one);
        assert!(progress.works_locally());
        drop(other);
        assert!(!progress.works_locally());
    }
}
