//! What fleet and scheduler need of control's rows, and no more: their decisions take these values.

use std::collections::BTreeMap;

use datasync_model::{
    AgentArn, BytesPerSecond, ExecutionSpec, ExecutionStatus, Failure, Location, TaskArn,
    TaskExecutionArn, TaskStatus,
};
use jiff::Timestamp;

/// An execution that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveExecution {
    pub(crate) arn: TaskExecutionArn,
    pub(crate) status: ExecutionStatus,
    /// The agent that was told to run it.
    pub(crate) agent: Option<AgentArn>,
    /// Agents that may run it, in order of preference.
    pub(crate) eligible: Vec<AgentArn>,
    /// When it was asked for: the queue's order.
    pub(crate) requested: Timestamp,
    pub(crate) spec: ExecutionSpec,
    /// The present limit, which may differ from the one in the specification.
    pub(crate) bytes_per_second: BytesPerSecond,
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
    pub(crate) sides: Result<[Location; 2], Failure>,
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
}

/// An agent's ARN as text: ordered, so that maps of agents are deterministic.
pub(crate) type AgentKey = String;

/// An agent's row as far as its lease goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentView {
    pub(crate) arn: AgentArn,
    pub(crate) online: bool,
    pub(crate) last_connection: Option<Timestamp>,
    pub(crate) version: String,
}
