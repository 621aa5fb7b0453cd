//! Task executions.

use datasync_model::{
    AgentArn, BytesPerSecond, ExecutionReport, ExecutionSpec, ExecutionStatus, Rate,
    TaskExecutionArn, Tenure,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Eligible, ManifestConfig, Tags, TaskReportConfig};
use crate::store::Record;

/// One execution of a task, from StartTaskExecution until its history is pruned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Execution {
    /// Everything an agent needs, frozen.
    pub(crate) spec: ExecutionSpec,
    /// What limits it; begins as the spec says.
    #[serde(rename = "bytes_per_second")]
    pub(crate) rate: Rate,
    /// Where it stands. Moves only by [`ExecutionStatus::apply`].
    pub(crate) status: ExecutionStatus,
    /// The agent that runs it; absent while QUEUED.
    pub(crate) agent: Option<AgentArn>,
    /// As what that agent has it. Several agents on one execution will each have a range of its keys
    /// as a row below this one, with a tenure of its own; this one is that of the whole.
    #[serde(default)]
    pub(crate) tenure: Tenure,
    /// The agents that had it before that one, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) earlier_agents: Vec<AgentArn>,
    /// Agents that may run it, frozen at start.
    pub(crate) eligible: Eligible,
    /// When StartTaskExecution was called.
    pub(crate) requested_at_ms: i64,
    /// The planned start of the task's schedule that it was made for.
    #[serde(default)]
    pub(crate) scheduled_for_ms: Option<i64>,
    /// When it was launched.
    pub(crate) launched_at_ms: Option<i64>,
    /// When it ended. Absent exactly while the status is not terminal.
    pub(crate) ended_at_ms: Option<i64>,
    /// What the agent last reported.
    pub(crate) report: Option<ExecutionReport>,
    /// What it transfers by, as it was given.
    #[serde(default)]
    pub(crate) manifest: Option<ManifestConfig>,
    /// The report that it writes, as it was given.
    #[serde(default)]
    pub(crate) report_config: Option<TaskReportConfig>,
    /// Where its log goes besides control's own store: an ARN of CloudWatch Logs.
    #[serde(default)]
    pub(crate) log_group_arn: Option<String>,
    /// Its tags.
    pub(crate) tags: Tags,
}

impl Execution {
    /// The execution's ARN.
    pub(crate) fn arn(&self) -> &TaskExecutionArn {
        &self.spec.execution
    }

    /// Whether it has not ended.
    pub(crate) fn is_live(&self) -> bool {
        !self.status.is_terminal()
    }

    /// Agents of earlier tenures that are remembered.
    const EARLIER_AGENTS_MAX: usize = 16;

    /// Gives it to another agent.
    pub(crate) fn move_to(&mut self, agent: AgentArn, tenure: Tenure) {
        if let Some(before) = self.agent.replace(agent) {
            let earlier = &mut self.earlier_agents;
            earlier.retain(|known| *known != before);
            earlier.push(before);
            earlier.drain(..earlier.len().saturating_sub(Self::EARLIER_AGENTS_MAX));
        }
        self.tenure = tenure;
    }

    /// Whether `agent` has it, or had it.
    pub(crate) fn was_given_to(&self, agent: &AgentArn) -> bool {
        self.agent.as_ref() == Some(agent) || self.earlier_agents.contains(agent)
    }

    /// The bandwidth limit at `now`; once it has ended, the last one.
    pub(crate) fn limit_at(&self, now: Timestamp) -> BytesPerSecond {
        let ended = self.ended_at_ms;
        let ended = ended.and_then(|ended| Timestamp::from_millisecond(ended).ok());
        self.rate.limit_at(&self.spec, ended.unwrap_or(now)).0
    }
}

impl Record for Execution {
    const KIND: &'static str = "execution";

    fn id(&self) -> String {
        self.arn().id().to_owned()
    }

    /// The task's id.
    fn parent(&self) -> Option<String> {
        Some(self.arn().task().id().to_owned())
    }
}
