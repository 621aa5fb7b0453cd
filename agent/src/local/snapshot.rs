//! The document.

use datasync_model::{ExecutionReport, ExecutionStatus};
use serde::{Deserialize, Serialize};

use crate::supervisor::Phase;
use crate::updates::UpdateTold;

/// Executions in one document; those that run come first.
const EXECUTIONS_MAX: usize = 16;

/// The session with control.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SessionState {
    /// None has been opened yet.
    #[default]
    None,
    /// Open.
    Open {
        /// The address.
        control: String,
        /// This machine's clock less control's, when the session was opened.
        ahead_seconds: i64,
    },
    /// Lost, or never had; it is tried again.
    Lost {
        /// Why.
        reason: String,
    },
}

/// Where the agent stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// The agent's version.
    pub(crate) version: String,
    pub(crate) phase: Phase,
    pub(crate) session: SessionState,
    /// The executions here, those that run first.
    pub(crate) executions: Vec<ExecutionReport>,
    /// Absent where the agent knows no updates.
    #[serde(default)]
    pub(crate) update: UpdateTold,
}

impl Snapshot {
    pub(crate) fn new(
        phase: Phase,
        session: SessionState,
        mut executions: Vec<ExecutionReport>,
    ) -> Self {
        executions.sort_by_key(rank);
        executions.truncate(EXECUTIONS_MAX);
        Self {
            version: crate::VERSION.to_owned(),
            phase,
            session,
            executions,
            update: UpdateTold::default(),
        }
    }

    /// Whether the agent is a member of a control plane that it has a session with.
    pub(crate) fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Active { .. })
            && matches!(self.session, SessionState::Open { .. })
    }
}

/// Running, then waiting for its turn, then ended.
fn rank(report: &ExecutionReport) -> u8 {
    match report.status {
        status if status.is_terminal() => 2,
        ExecutionStatus::Launching | ExecutionStatus::Queued => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executions::launching;

    fn report(number: u32, status: ExecutionStatus) -> ExecutionReport {
        let arn = format!(
            "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution/exec-{number:017x}"
        );
        ExecutionReport {
            status,
            ..launching(arn.parse().unwrap())
        }
    }

    #[test]
    fn what_runs_comes_first_and_the_number_is_bounded() {
        let mut all: Vec<_> = (0..20)
            .map(|number| report(number, ExecutionStatus::Success))
            .collect();
        all.push(report(30, ExecutionStatus::Launching));
        all.push(report(31, ExecutionStatus::Transferring));
        let snapshot = Snapshot::new(Phase::Starting, SessionState::None, all);
        assert_eq!(snapshot.executions.len(), EXECUTIONS_MAX);
        let first: Vec<_> = snapshot
            .executions
            .iter()
            .map(|r| r.status)
            .take(3)
            .collect();
        assert_eq!(
            first,
            [
                ExecutionStatus::Transferring,
                ExecutionStatus::Launching,
                ExecutionStatus::Success
            ]
        );
        assert!(!snapshot.is_online());
    }
}
