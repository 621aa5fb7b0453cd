//! What the executions of this process have done, in sum: it outlives them.
//!
//! It is taken from the reports that executions make anyway, at most four a second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datasync_model::{
    BytesPerSecond, Counters, ExecutionReport, ExecutionStatus, RequestCounts, Telemetry,
};
use tokio::sync::watch;

/// Requests by kind.
pub(super) type Requests = BTreeMap<String, u64>;

/// The sums of one process's executions. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Sums>>);

/// What was done.
#[derive(Debug, Clone, Default)]
pub(super) struct Sums {
    pub(super) counters: Counters,
    pub(super) source_requests: Requests,
    pub(super) destination_requests: Requests,
    pub(super) bytes_read: u64,
    pub(super) retries: u64,
    pub(super) throttles: u64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    /// The limits of those that run, by id.
    limits: BTreeMap<String, watch::Receiver<BytesPerSecond>>,
}

impl Sums {
    /// What all that run may send together in a second; `None`: one of them has no limit, or none
    /// runs.
    pub(super) fn limit(&self) -> Option<u64> {
        let limits = self.limits.values().map(|limit| limit.borrow().limit());
        let limits: Option<Vec<u64>> = limits.map(|limit| Some(limit?.get())).collect();
        limits
            .filter(|limits| !limits.is_empty())
            .map(|limits| limits.into_iter().fold(0, u64::saturating_add))
    }
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sums up to now.
    pub(super) fn sums(&self) -> Sums {
        self.lock().clone()
    }

    /// The account of an execution that begins; `is_resumed`: its first report counts what an
    /// earlier process has done.
    pub(crate) fn open(&self, id: &str, is_resumed: bool) -> Account {
        Account {
            tally: self.clone(),
            id: id.to_owned(),
            seen: (!is_resumed).then(Counters::default),
            told: Telemetry::default(),
        }
    }
}

/// What was seen of one execution.
#[derive(Debug)]
pub(crate) struct Account {
    tally: Tally,
    id: String,
    /// `None` until the first report of one that is resumed.
    seen: Option<Counters>,
    told: Telemetry,
}

impl Account {
    /// It runs, and this is what limits it.
    pub(crate) fn limited_by(&self, limit: watch::Receiver<BytesPerSecond>) {
        self.tally.lock().limits.insert(self.id.clone(), limit);
    }

    /// Adds what is new in `report`. Items in flight that begin anew, or what the engine forgets when
    /// it begins again, takes nothing away.
    pub(crate) fn observe(&mut self, report: &ExecutionReport) {
        if report.status == ExecutionStatus::Launching {
            return;
        }
        let seen = self.seen.get_or_insert(report.counters);
        let added = seen.raise(&report.counters);
        let (before, now) = (&self.told, &report.telemetry);
        let mut sums = self.tally.lock();
        sums.counters.add(&added);
        add_requests(
            &mut sums.source_requests,
            &before.source_requests,
            &now.source_requests,
        );
        add_requests(
            &mut sums.destination_requests,
            &before.destination_requests,
            &now.destination_requests,
        );
        sums.bytes_read += since(before.bytes_read, now.bytes_read);
        sums.retries += since(before.retries, now.retries);
        sums.throttles += since(before.throttles, now.throttles);
        drop(sums);
        self.told = now.clone();
    }

    /// The last report.
    pub(crate) fn close(mut self, report: &ExecutionReport) {
        self.observe(report);
        let mut sums = self.tally.lock();
        if report.status == ExecutionStatus::Success {
            sums.succeeded += 1;
        } else {
            sums.failed += 1;
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.tally.lock().limits.remove(&self.id);
    }
}

/// These counts begin anew with each start of the engine.
fn since(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

fn add_requests(sums: &mut Requests, before: &RequestCounts, now: &RequestCounts) {
    for (kind, count) in now.iter() {
        let added = since(before.of(kind), count);
        match sums.get_mut(kind) {
            Some(sum) => *sum += added,
            None => drop(sums.insert(kind.to_owned(), added)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executions::launching;

    fn report(transferred: u64, reads: u64) -> ExecutionReport {
        let arn = "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution/exec-0123456789abcdef0";
        let mut report = launching(arn.parse().unwrap());
        report.status = ExecutionStatus::Transferring;
        report.counters.transferred = transferred;
        report.telemetry.source_requests = [("READ", reads)].into_iter().collect();
        report.telemetry.retries = reads / 2;
        report
    }

    fn told(tally: &Tally) -> (u64, Option<u64>, u64) {
        let sums = tally.sums();
        let reads = sums.source_requests.get("READ").copied();
        (sums.counters.transferred, reads, sums.retries)
    }

    #[test]
    fn executions_add_up_and_stay_counted() {
        let tally = Tally::default();
        let mut first = tally.open("exec-1", false);
        first.observe(&launching(report(0, 0).execution));
        first.observe(&report(5, 4));
        assert_eq!(told(&tally), (5, Some(4), 2));
        let mut second = tally.open("exec-2", false);
        second.observe(&report(1, 1));
        let mut end = report(7, 6);
        end.status = ExecutionStatus::Success;
        first.close(&end);
        assert_eq!(told(&tally), (8, Some(7), 3));
        second.close(&report(1, 1));
        let sums = tally.sums();
        assert_eq!((sums.succeeded, sums.failed), (1, 1));
    }

    #[test]
    fn what_an_earlier_process_did_is_not_counted_and_an_engine_that_begins_again_takes_nothing() {
        let tally = Tally::default();
        let mut account = tally.open("exec-1", true);
        account.observe(&launching(report(0, 0).execution));
        account.observe(&report(100, 2));
        assert_eq!(told(&tally), (0, Some(2), 1));
        account.observe(&report(103, 10));
        // Two items were in flight; requests are counted by the engine's run.
        account.observe(&report(101, 1));
        account.observe(&report(104, 3));
        assert_eq!(told(&tally), (4, Some(13), 6));
    }

    #[test]
    fn the_limit_is_that_of_all_that_run_if_each_has_one() {
        let tally = Tally::default();
        assert_eq!(tally.sums().limit(), None);
        let limit = |bytes: i64| watch::Sender::new(BytesPerSecond::try_from(bytes).unwrap());
        let (one, two) = (limit(5), limit(-1));
        let first = tally.open("exec-1", false);
        first.limited_by(one.subscribe());
        assert_eq!(tally.sums().limit(), Some(5));
        let second = tally.open("exec-2", false);
        second.limited_by(two.subscribe());
        assert_eq!(tally.sums().limit(), None);
        two.send_replace(BytesPerSecond::try_from(7).unwrap());
        assert_eq!(tally.sums().limit(), Some(12));
        drop(first);
        assert_eq!(tally.sums().limit(), Some(7));
    }
}
