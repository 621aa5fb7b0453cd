//! Where the document's parts are read from.

use std::sync::{Arc, Mutex, PoisonError};

use datasync_model::ExecutionReport;
use tokio::sync::watch;

use super::{SessionState, Snapshot};
use crate::supervisor::Phase;
use crate::updates::UpdateTold;

/// The last report of every execution that the agent has, and of the one that ended last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched(Arc<Mutex<All>>);

#[derive(Debug, Default)]
struct All {
    here: Vec<watch::Receiver<ExecutionReport>>,
    /// Control forgets an execution as soon as it has ended; people look a little later.
    ended: Option<ExecutionReport>,
}

impl Watched {
    /// Looks at these reports too, until their sender is gone.
    pub(crate) fn add(&self, reports: watch::Receiver<ExecutionReport>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.tidy();
        all.here.push(reports);
    }

    /// The last reports of what is here, without the one that ended last.
    pub(crate) fn here(&self) -> Vec<ExecutionReport> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.tidy();
        all.here
            .iter()
            .map(|reports| reports.borrow().clone())
            .collect()
    }

    fn reports(&self) -> Vec<ExecutionReport> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.tidy();
        let here = all.here.iter().map(|reports| reports.borrow().clone());
        let mut reports: Vec<_> = here.collect();
        reports.extend(all.ended.clone());
        reports
    }
}

impl All {
    fn tidy(&mut self) {
        let is_open = |reports: &mut watch::Receiver<_>| reports.has_changed().is_ok();
        let gone = self.here.extract_if(.., |reports| !is_open(reports));
        let last = gone
            .map(|reports| reports.borrow().clone())
            .filter(|report| report.status.is_terminal())
            .last();
        self.ended = last.or(self.ended.take());
    }
}

/// Everything that a document is made from.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) session: watch::Receiver<SessionState>,
    pub(crate) executions: Watched,
    pub(crate) update: watch::Receiver<UpdateTold>,
}

impl Board {
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            update: self.update.borrow().clone(),
            ..Snapshot::new(
                self.phase.borrow().clone(),
                self.session.borrow().clone(),
                self.executions.reports(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use datasync_model::ExecutionStatus;

    use super::*;
    use crate::executions::launching;

    fn report(number: u32) -> ExecutionReport {
        let arn = format!(
            "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution/exec-{number:017x}"
        );
        launching(arn.parse().unwrap())
    }

    #[test]
    fn an_execution_is_seen_until_it_is_gone() {
        let (sender, receiver) = watch::channel(report(1));
        let watched = Watched::default();
        watched.add(receiver);
        sender.send_modify(|report| report.counters.transferred = 7);
        assert_eq!(watched.reports()[0].counters.transferred, 7);
        drop(sender);
        assert!(watched.reports().is_empty());
    }

    #[test]
    fn the_one_that_ended_last_is_seen_until_another_ends() {
        let watched = Watched::default();
        for number in [1, 2] {
            let (sender, receiver) = watch::channel(report(number));
            watched.add(receiver);
            sender.send_modify(|report| report.status = ExecutionStatus::Success);
            drop(sender);
            let seen: Vec<_> = watched.reports().into_iter().map(|r| r.execution).collect();
            assert_eq!(seen, [report(number).execution]);
        }
    }
}
