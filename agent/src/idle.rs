//! Whether the machine may be disturbed: asked before its operating system is updated.

use std::path::Path;

use crate::local::{self, AskError, Snapshot};

/// Why the machine should be left alone.
#[derive(Debug, thiserror::Error)]
pub enum Busy {
    /// Executions run, or wait for their turn.
    #[error("{0} executions are under way")]
    Executions(usize),
    /// The agent runs and does not say what it does.
    #[error("{0}")]
    Unknown(String),
}

/// Tells whether no execution is under way at the agent on `state_dir`. Where no agent runs, none is.
///
/// # Errors
/// [`Busy`]
pub async fn check_idle(state_dir: &Path) -> Result<(), Busy> {
    match local::ask(state_dir).await {
        Ok(snapshot) => judge(&snapshot),
        Err(AskError::NotRunning(_)) => Ok(()),
        Err(error) => Err(Busy::Unknown(error.to_string())),
    }
}

fn judge(snapshot: &Snapshot) -> Result<(), Busy> {
    let executions = snapshot.executions.iter();
    match executions.filter(|one| !one.status.is_terminal()).count() {
        0 => Ok(()),
        count => Err(Busy::Executions(count)),
    }
}

#[cfg(test)]
mod tests {
    use datasync_model::ExecutionStatus;

    use super::*;
    use crate::executions::launching;
    use crate::local::SessionState;
    use crate::supervisor::Phase;

    fn snapshot(statuses: &[ExecutionStatus]) -> Snapshot {
        let arn = "arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution/exec-0123456789abcdef0";
        let report = |status: &ExecutionStatus| datasync_model::ExecutionReport {
            status: *status,
            ..launching(arn.parse().unwrap())
        };
        let all = statuses.iter().map(report).collect();
        Snapshot::new(Phase::Starting, SessionState::None, all)
    }

    #[tokio::test]
    async fn an_execution_keeps_the_machine_busy_until_it_has_ended() {
        let running = snapshot(&[ExecutionStatus::Success, ExecutionStatus::Verifying]);
        assert!(matches!(judge(&running), Err(Busy::Executions(1))));
        judge(&snapshot(&[
            ExecutionStatus::Success,
            ExecutionStatus::Error,
        ]))
        .unwrap();
        let scratch = tempfile::tempdir().unwrap();
        check_idle(scratch.path()).await.unwrap();
    }
}
