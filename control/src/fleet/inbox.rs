//! Reports that are not yet in rows: the newest of each execution. A change of status is written
//! at once, mere progress once a second for all executions together.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use datasync_model::{AgentArn, ExecutionReport, ExecutionStatus};

const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// A report and who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) agent: AgentArn,
    /// Of the tenure that it is about.
    pub(crate) epoch: u64,
    pub(crate) report: ExecutionReport,
}

/// The newest report of each execution.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    waiting: BTreeMap<String, Reported>,
    /// The status that was last handed out, for as long as the execution is live.
    written: BTreeMap<String, ExecutionStatus>,
    progress_at: Option<Instant>,
}

impl Inbox {
    /// Puts a report in place of an older one, but never progress in place of an end. Whether it
    /// should be written at once.
    pub(crate) fn put(&mut self, reported: Reported) -> bool {
        let key = reported.report.execution.to_string();
        let ended = self.waiting.get(&key).is_some_and(|waiting| {
            (&waiting.agent, waiting.epoch) == (&reported.agent, reported.epoch)
                && waiting.report.status.is_terminal()
        });
        if ended && !reported.report.status.is_terminal() {
            return false;
        }
        let urgent = self.written.get(&key) != Some(&reported.report.status);
        self.waiting.insert(key, reported);
        urgent
    }

    /// What is to be written now.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<Reported> {
        let all = self
            .progress_at
            .is_none_or(|at| now.saturating_duration_since(at) >= PROGRESS_INTERVAL);
        if all {
            self.progress_at = Some(now);
        }
        let keys: Vec<String> = self
            .waiting
            .iter()
            .filter(|(key, reported)| {
                all || self.written.get(*key) != Some(&reported.report.status)
            })
            .map(|(key, _)| key.clone())
            .collect();
        let mut taken = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(reported) = self.waiting.remove(&key) {
                self.written.insert(key, reported.report.status);
                taken.push(reported);
            }
        }
        taken
    }

    /// Puts back what could not be written, unless something newer came meanwhile.
    pub(crate) fn put_back(&mut self, reports: Vec<Reported>) {
        for reported in reports {
            let key = reported.report.execution.to_string();
            self.written.remove(&key);
            let is_newer = self.waiting.get(&key).is_none_or(|waiting| {
                reported.report.status.is_terminal() && !waiting.report.status.is_terminal()
            });
            if is_newer {
                self.waiting.insert(key, reported);
            }
        }
    }

    /// Forgets executions that are no longer live.
    pub(crate) fn retain(&mut self, is_live: impl Fn(&str) -> bool) {
        self.written.retain(|key, _| is_live(key));
        self.waiting.retain(|key, _| is_live(key));
    }
}

#[cfg(test)]
mod tests {
    use datasync_model::{Counters, ExecutionResult, Telemetry};

    use super::super::fixture;
    use super::*;

    fn report(status: ExecutionStatus, transferred: u64) -> Reported {
        Reported {
            agent: fixture::agent(0),
            epoch: 1,
            report: ExecutionReport {
                execution: fixture::execution(1, 1).arn,
                status,
                counters: Counters {
                    transferred,
                    ..Counters::default()
                },
                result: ExecutionResult::default(),
                telemetry: Telemetry::default(),
            },
        }
    }

    #[test]
    fn progress_is_written_once_a_second_and_a_change_at_once() {
        use ExecutionStatus::{Preparing, Transferring};
        let mut inbox = Inbox::default();
        let start = Instant::now();
        assert!(inbox.put(report(Preparing, 0)));
        assert_eq!(inbox.take(start), [report(Preparing, 0)]);
        assert!(!inbox.put(report(Preparing, 1)));
        assert!(!inbox.put(report(Preparing, 2)));
        assert_eq!(inbox.take(start + PROGRESS_INTERVAL / 2), []);
        assert!(inbox.put(report(Transferring, 3)));
        assert_eq!(
            inbox.take(start + PROGRESS_INTERVAL / 2),
            [report(Transferring, 3)]
        );
        assert!(!inbox.put(report(Transferring, 4)));
        assert_eq!(
            inbox.take(start + PROGRESS_INTERVAL),
            [report(Transferring, 4)]
        );
        assert!(inbox.waiting.is_empty());
    }

    #[test]
    fn progress_does_not_replace_an_end() {
        use ExecutionStatus::{Error, Transferring};
        let mut inbox = Inbox::default();
        assert!(inbox.put(report(Error, 2)));
        assert!(!inbox.put(report(Transferring, 1)));
        assert_eq!(inbox.take(Instant::now()), [report(Error, 2)]);
    }

    #[test]
    fn what_could_not_be_written_comes_again_unless_newer_came() {
        use ExecutionStatus::Transferring;
        let mut inbox = Inbox::default();
        let start = Instant::now();
        inbox.put(report(Transferring, 1));
        let taken = inbox.take(start);
        inbox.put(report(Transferring, 2));
        inbox.put_back(taken);
        assert_eq!(inbox.take(start), [report(Transferring, 2)]);
        let key = fixture::execution(1, 1).arn.to_string();
        inbox.put(report(Transferring, 3));
        inbox.retain(|live| live != key);
        assert!(inbox.waiting.is_empty() && inbox.written.is_empty());
    }
}
