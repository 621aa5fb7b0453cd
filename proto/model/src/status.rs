//! States of agents, tasks and executions, and the one transition table of executions.

use crate::word::words;

words! {
    /// Whether an agent's lease is live.
    AgentStatus { Online = "ONLINE", Offline = "OFFLINE" }
}

words! {
    /// The state of a task.
    TaskStatus {
        Available = "AVAILABLE",
        Creating = "CREATING",
        Queued = "QUEUED",
        Running = "RUNNING",
        Unavailable = "UNAVAILABLE",
    }
}

words! {
    /// The state of a task execution.
    ExecutionStatus {
        Queued = "QUEUED",
        Cancelling = "CANCELLING",
        Launching = "LAUNCHING",
        Preparing = "PREPARING",
        Transferring = "TRANSFERRING",
        Verifying = "VERIFYING",
        Success = "SUCCESS",
        Error = "ERROR",
    }
}

/// What can happen to an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutionEvent {
    /// An agent was chosen and told.
    Launch,
    /// The agent reads source and destination.
    Prepare,
    /// The first byte moves.
    Transfer,
    /// Everything was moved; the end check runs.
    Verify,
    /// CancelTaskExecution.
    Cancel,
    /// Ended with nothing to complain of.
    Succeed,
    /// Ended with an error, or was cancelled.
    Fail,
}

impl ExecutionEvent {
    /// Every event.
    pub const ALL: &'static [Self] = &[
        Self::Launch,
        Self::Prepare,
        Self::Transfer,
        Self::Verify,
        Self::Cancel,
        Self::Succeed,
        Self::Fail,
    ];
}

/// Why an event does not move an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The execution is already where the event leads; nothing changes.
    #[error("already there")]
    AlreadyThere,
    /// The event is not allowed in this state.
    #[error("not allowed in this state")]
    NotAllowed,
}

impl ExecutionStatus {
    /// Whether the state is final.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Success | Self::Error)
    }

    /// The state after `event`.
    ///
    /// # Errors
    /// [`Refused`] tells a repetition from an event that is not allowed.
    pub fn apply(self, event: ExecutionEvent) -> Result<Self, Refused> {
        use ExecutionEvent as E;
        let (target, from): (Self, &[Self]) = match event {
            E::Launch => (Self::Launching, &[Self::Queued]),
            E::Prepare => (Self::Preparing, &[Self::Launching]),
            E::Transfer => (Self::Transferring, &[Self::Launching, Self::Preparing]),
            E::Verify => (
                Self::Verifying,
                &[Self::Launching, Self::Preparing, Self::Transferring],
            ),
            E::Cancel => (
                Self::Cancelling,
                &[
                    Self::Queued,
                    Self::Launching,
                    Self::Preparing,
                    Self::Transferring,
                    Self::Verifying,
                ],
            ),
            E::Succeed => (
                Self::Success,
                &[
                    Self::Launching,
                    Self::Preparing,
                    Self::Transferring,
                    Self::Verifying,
                ],
            ),
            E::Fail => (
                Self::Error,
                &[
                    Self::Queued,
                    Self::Launching,
                    Self::Preparing,
                    Self::Transferring,
                    Self::Verifying,
                    Self::Cancelling,
                ],
            ),
        };
        if self == target {
            Err(Refused::AlreadyThere)
        } else if from.contains(&self) {
            Ok(target)
        } else {
            Err(Refused::NotAllowed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_table_is_the_golden_one() {
        let mut table = String::new();
        for state in ExecutionStatus::ALL {
            for event in ExecutionEvent::ALL {
                let cell = match state.apply(*event) {
                    Ok(next) => next.to_string(),
                    Err(refused) => format!("({refused})"),
                };
                table.push_str(&format!("{state} + {event:?} -> {cell}\n"));
            }
        }
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/status/transitions.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(golden, &table).unwrap();
        }
        assert_eq!(table, std::fs::read_to_string(golden).unwrap());
    }

    #[test]
    fn terminal_states_accept_nothing() {
        for state in ExecutionStatus::ALL
            .iter()
            .filter(|state| state.is_terminal())
        {
            for event in ExecutionEvent::ALL {
                assert!(state.apply(*event).is_err(), "{state} + {event:?}");
            }
        }
    }
}
