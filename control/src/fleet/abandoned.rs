//! Executions that their agent will not end: the agent was deleted, or the execution is to be
//! cancelled and the agent cannot be told.

use datasync_model::{
    AgentArn, ErrorCode, ExecutionResult, ExecutionStatus, Failure, PhaseStatus, TaskExecutionArn,
    Tenure,
};
use jiff::Timestamp;

use super::rows::Seen;
use super::views::{AgentView, Snapshot};

/// An execution to be ended by control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Abandoned {
    pub(crate) execution: TaskExecutionArn,
    pub(crate) agent: AgentArn,
    pub(crate) why: Loss,
}

/// What became of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Loss {
    Deleted,
    /// Silent for too long, while CANCELLING.
    Unreachable {
        last_connection: Option<Timestamp>,
        /// Whether its lease is over, so that it writes nothing any more.
        fenced: bool,
        seen: Seen,
    },
}

/// The executions to be ended now. Without a cancel an unreachable agent keeps its executions here:
/// it may well be working. One with a lease is waited for until that is over, so that whatever is
/// started next at the destination is alone there.
pub(crate) fn abandoned(snapshot: &Snapshot) -> Vec<Abandoned> {
    snapshot
        .executions
        .iter()
        .filter_map(|execution| {
            let agent = execution.agent.as_ref()?;
            let why = match snapshot.agents.get(&agent.to_string()) {
                None if snapshot.held.contains(agent.id()) => return None,
                None => Loss::Deleted,
                Some(view)
                    if execution.status == ExecutionStatus::Cancelling
                        && is_unreachable(view, execution.tenure) =>
                {
                    Loss::Unreachable {
                        last_connection: view.last_connection,
                        fenced: execution.tenure.leased,
                        seen: Seen::of(view),
                    }
                }
                Some(_) => return None,
            };
            Some(Abandoned {
                execution: execution.arn.clone(),
                agent: agent.clone(),
                why,
            })
        })
        .collect()
}

fn is_unreachable(view: &AgentView, tenure: Tenure) -> bool {
    if tenure.leased {
        view.gone && !view.online
    } else {
        view.lost
    }
}

impl Abandoned {
    /// Why the execution ends.
    fn failure(&self) -> Failure {
        let agent = &self.agent;
        match &self.why {
            Loss::Deleted => Failure::new(
                ErrorCode::AgentUnavailable,
                format!(
                    "agent {agent}, which ran this execution, was deleted: start the task again"
                ),
            ),
            Loss::Unreachable {
                last_connection,
                fenced,
                ..
            } => {
                let heard = last_connection.map_or_else(
                    || "it was never heard of".to_owned(),
                    |at| format!("it was last heard of at {at}"),
                );
                let then = if *fenced {
                    "Its lease is over, and it writes nothing any more."
                } else {
                    "If it still runs, it stops this execution when it reaches control again; \
                     until then it may write to the destination."
                };
                Failure::new(
                    ErrorCode::Cancelled,
                    format!(
                        "cancelled while agent {agent} could not be reached ({heard}). {then} \
                         Multipart uploads that it began may still be open at the store"
                    ),
                )
            }
        }
    }

    /// The result to record, made of what the agent last reported.
    pub(crate) fn result(&self, mut result: ExecutionResult) -> ExecutionResult {
        for phase in [
            &mut result.prepare_status,
            &mut result.transfer_status,
            &mut result.verify_status,
        ] {
            if *phase == PhaseStatus::Pending {
                *phase = PhaseStatus::Error;
                break;
            }
        }
        result.failure = Some(self.failure());
        result
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn with(status: ExecutionStatus, agent: u8) -> Snapshot {
        let mut snapshot = fixture::snapshot(1);
        let mut execution = fixture::execution(1, 1);
        execution.status = status;
        execution.agent = Some(fixture::agent(agent));
        snapshot.executions.push(execution);
        snapshot
    }

    fn why(snapshot: &Snapshot, lost: bool) -> Vec<Loss> {
        let mut snapshot = snapshot.clone();
        if lost {
            fixture::set_online(&mut snapshot, 0, false);
        }
        let abandoned = abandoned(&snapshot);
        abandoned.into_iter().map(|one| one.why).collect()
    }

    #[test]
    fn only_a_cancel_ends_what_an_unreachable_agent_runs() {
        let cancelling = with(ExecutionStatus::Cancelling, 0);
        let unreachable = Loss::Unreachable {
            last_connection: Some(fixture::at(0)),
            fenced: false,
            seen: Seen::of(&cancelling.agents[&fixture::agent(0).to_string()]),
        };
        assert_eq!(why(&cancelling, true), [unreachable]);
        assert_eq!(why(&cancelling, false), []);
        assert_eq!(why(&with(ExecutionStatus::Transferring, 0), true), []);
    }

    #[test]
    fn an_agent_with_a_lease_is_waited_for_until_it_writes_nothing_any_more() {
        let mut cancelling = with(ExecutionStatus::Cancelling, 0);
        cancelling.executions[0].tenure = Tenure::default().next(true);
        assert_eq!(why(&cancelling, true), []);
        fixture::set_gone(&mut cancelling, 0);
        let [one] = &abandoned(&cancelling)[..] else {
            panic!("it is ended");
        };
        let failure = one.result(ExecutionResult::default()).failure.unwrap();
        assert!(failure.detail.contains("lease is over"), "{failure}");
        assert!(!failure.detail.contains("may write"), "{failure}");
    }

    #[test]
    fn a_deleted_agent_ends_its_executions() {
        let orphan = with(ExecutionStatus::Transferring, 7);
        assert_eq!(why(&orphan, false), [Loss::Deleted]);
        let mut unreadable = orphan;
        unreadable.held.insert(fixture::agent(7).id().to_owned());
        assert_eq!(why(&unreadable, false), [], "it is not gone");
    }

    #[test]
    fn the_phase_in_which_an_agent_was_lost_is_the_one_in_error() {
        let result = ExecutionResult {
            prepare_status: PhaseStatus::Success,
            ..ExecutionResult::default()
        };
        let mut snapshot = with(ExecutionStatus::Cancelling, 0);
        fixture::set_online(&mut snapshot, 0, false);
        let result = abandoned(&snapshot)[0].result(result);
        assert_eq!(result.prepare_status, PhaseStatus::Success);
        assert_eq!(result.transfer_status, PhaseStatus::Error);
        assert_eq!(result.verify_status, PhaseStatus::Pending);
        let failure = result.failure.unwrap();
        assert_eq!(failure.code, ErrorCode::Cancelled);
        assert!(failure.detail.contains("could not be reached"), "{failure}");
        assert!(failure.detail.contains("may still be open"), "{failure}");
    }
}
