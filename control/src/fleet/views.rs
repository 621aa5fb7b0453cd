//! What fleet and scheduler need of control's rows, and no more: their decisions take these values.

use std::collections::{BTreeMap, BTreeSet};

use datasync_model::{
    Ability, AgentArn, ExecutionSpec, ExecutionStatus, Failure, Location, Rate, TaskArn,
    TaskExecutionArn, TaskStatus, Tenure,
};
use jiff::Timestamp;

use crate::records::ReleaseWish;
use crate::store::Unreadable;

/// An execution that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveExecution {
    pub(crate) arn: TaskExecutionArn,
    pub(crate) status: ExecutionStatus,
    /// The agent that was told to run it.
    pub(crate) agent: Option<AgentArn>,
    pub(crate) tenure: Tenure,
    /// Agents that may run it, in order of preference.
    pub(crate) eligible: Vec<AgentArn>,
    /// When it was asked for: the queue's order.
    pub(crate) requested: Timestamp,
    pub(crate) spec: ExecutionSpec,
    /// Of source and destination as they are now, which may differ from those in `spec`.
    pub(crate) revisions: [Revision; 2],
    /// The versions of the keys that are set for the roles of its further buckets, by role.
    pub(crate) role_keys: BTreeMap<String, i64>,
    /// What limits it now, which may differ from what the specification says.
    pub(crate) rate: Rate,
}

/// A task as far as its availability goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskView {
    pub(crate) arn: TaskArn,
    pub(crate) status: TaskStatus,
    pub(crate) failure: Option<Failure>,
    pub(crate) created: Timestamp,
    pub(crate) eligible: Vec<AgentArn>,
    /// Source and destination as agents take them, or why no agent can.
    pub(crate) sides: Result<[Side; 2], Failure>,
}

/// The versions of the rows that decide where a location is and which keys it takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Revision {
    pub(crate) location: i64,
    /// Of the key that is set for the location's role; 0 without one.
    pub(crate) role_key: i64,
}

/// A location as agents take it, as of one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) location: Location,
    pub(crate) revision: Revision,
}

/// Everything read in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) incarnation: String,
    pub(crate) generation: u64,
    /// Activated agents and whether their row says ONLINE.
    pub(crate) agents: BTreeMap<AgentKey, AgentView>,
    pub(crate) tasks: Vec<TaskView>,
    pub(crate) executions: Vec<LiveExecution>,
    /// The releases that agents should run, by agents' ids, or for all.
    pub(crate) wishes: BTreeMap<String, ReleaseWish>,
    /// Rows that cannot be read. What they concern is left as it is.
    pub(crate) unreadable: Vec<Unreadable>,
    /// Ids of agents that such rows concern: they are told nothing new.
    pub(crate) held: BTreeSet<String>,
    /// Tasks with an execution that cannot be read: they have no other one launched.
    pub(crate) busy_tasks: BTreeSet<String>,
}

impl LiveExecution {
    /// Whether an agent was told to run it.
    pub(crate) fn is_launched(&self) -> bool {
        !self.status.is_terminal() && self.status != ExecutionStatus::Queued
    }

    pub(crate) fn sides(&self) -> [&Location; 2] {
        [&self.spec.source, &self.spec.destination]
    }
}

impl Snapshot {
    /// Whether `agent` is there for an execution or a trial.
    pub(crate) fn is_available(&self, agent: &AgentArn) -> bool {
        let view = self.agents.get(&agent.to_string());
        view.is_some_and(|view| view.online) && !self.held.contains(agent.id())
    }

    /// Whether `agent` is connected to this replica of control, which alone gives it work.
    pub(crate) fn is_here(&self, agent: &AgentArn) -> bool {
        let view = self.agents.get(&agent.to_string());
        view.is_some_and(|view| view.here)
    }

    /// Whether `agent` has gone with a lease that is over by now.
    pub(crate) fn is_gone(&self, agent: &AgentArn) -> bool {
        let view = self.agents.get(&agent.to_string());
        view.is_some_and(|view| view.gone && !view.online) && !self.held.contains(agent.id())
    }

    /// Whether `agent` named everything in `needs` when it last said Hello.
    pub(crate) fn is_able(&self, agent: &AgentArn, needs: &[Ability]) -> bool {
        let view = self.agents.get(&agent.to_string());
        view.is_some_and(|view| are_among(needs, &view.abilities))
    }

    /// Whether `agent` may be back in a moment.
    pub(crate) fn is_returning(&self, agent: &AgentArn) -> bool {
        let view = self.agents.get(&agent.to_string());
        view.is_some_and(|view| !view.online && !view.lost)
    }

    /// Whether `agent` runs an execution that has `location` at another place. An agent has one
    /// set of keys for a location; those of one place must never be used at another.
    pub(crate) fn has_elsewhere(&self, agent: &AgentArn, location: &Location) -> bool {
        self.executions
            .iter()
            .filter(|execution| execution.is_launched() && execution.agent.as_ref() == Some(agent))
            .flat_map(LiveExecution::sides)
            .any(|side| is_elsewhere(side, location))
    }
}

/// Whether an agent with `abilities` can do what is needed.
pub(crate) fn are_among(needs: &[Ability], abilities: &[String]) -> bool {
    needs
        .iter()
        .all(|need| abilities.iter().any(|ability| ability == need.as_str()))
}

/// Whether both are one location before and after a change of its place.
pub(crate) fn is_elsewhere(one: &Location, other: &Location) -> bool {
    match (one, other) {
        (Location::S3(one), Location::S3(other)) if one.arn == other.arn => {
            (&one.endpoint, &one.bucket, &one.prefix)
                != (&other.endpoint, &other.bucket, &other.prefix)
        }
        _ => false,
    }
}

/// An agent's ARN as text: ordered, so that maps of agents are deterministic.
pub(crate) type AgentKey = String;

/// An agent's row as far as its lease goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentView {
    pub(crate) arn: AgentArn,
    pub(crate) online: bool,
    /// Nothing was heard of it for the length of a lease, as rows cannot tell. One that is OFFLINE
    /// and not lost has just said goodbye: it may be restarting.
    pub(crate) lost: bool,
    /// Nothing was heard of it for so long that it writes nothing under a lease any more, as rows
    /// cannot tell either.
    pub(crate) gone: bool,
    /// The longest lease that it may have, counted from its last connection, in milliseconds.
    pub(crate) lease_ms: u64,
    pub(crate) last_connection: Option<Timestamp>,
    pub(crate) version: String,
    /// Of the machine that acts as the agent.
    pub(crate) boot_nonce: String,
    /// The replica that the agent is connected to.
    pub(crate) replica: String,
    /// Whether that is this one, and the agent is heard of.
    pub(crate) here: bool,
    /// As in its last Hello.
    pub(crate) abilities: Vec<String>,
}
