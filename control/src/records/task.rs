//! Tasks, and whether they can be run.

use datasync_model::{
    AgentArn, Excludes, Failure, Includes, LocationArn, Options, TaskArn, TaskExecutionArn,
    TaskMode, TaskStatus,
};
use serde::{Deserialize, Serialize};

use super::{ManifestConfig, Tags, TaskReportConfig, TaskSchedule};
use crate::store::Record;

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Task {
    /// The task's ARN.
    pub(crate) arn: TaskArn,
    /// Its name.
    pub(crate) name: Option<String>,
    /// When it was made.
    pub(crate) created_at_ms: i64,
    /// Where to read.
    pub(crate) source: LocationArn,
    /// Where to write.
    pub(crate) destination: LocationArn,
    /// BASIC or ENHANCED.
    pub(crate) mode: TaskMode,
    /// Options with every default filled in.
    pub(crate) options: Options,
    /// What to include.
    pub(crate) includes: Includes,
    /// What to leave out.
    pub(crate) excludes: Excludes,
    /// Where the logs of its executions go: an ARN of CloudWatch Logs.
    pub(crate) log_group_arn: Option<String>,
    /// Whether its locations can be used, as an agent found them.
    pub(crate) readiness: Readiness,
    /// Agents that could not use the locations when they tried last: others come before them.
    #[serde(default)]
    pub(crate) unable: Vec<AgentArn>,
    /// The most recent execution.
    pub(crate) last_execution: Option<TaskExecutionArn>,
    /// When it starts by itself; `None`: never.
    #[serde(default)]
    pub(crate) schedule: Option<TaskSchedule>,
    /// What it transfers by; `None`: everything in its filters.
    #[serde(default)]
    pub(crate) manifest: Option<ManifestConfig>,
    /// The report that its executions write.
    #[serde(default)]
    pub(crate) report: Option<TaskReportConfig>,
    /// Its tags.
    pub(crate) tags: Tags,
}

/// Whether a task's locations can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status")]
pub(crate) enum Readiness {
    /// No agent has tried both yet.
    #[serde(rename = "CREATING")]
    Creating,
    /// Both can be used.
    #[serde(rename = "AVAILABLE")]
    Available,
    /// One cannot; it is tried again.
    #[serde(rename = "UNAVAILABLE")]
    Unavailable { failure: Failure },
}

impl Readiness {
    /// What an agent's trial makes of a task.
    pub(crate) fn of(result: Result<(), Failure>) -> Self {
        match result {
            Ok(()) => Self::Available,
            Err(failure) => Self::Unavailable { failure },
        }
    }

    /// The status of a task that has no live execution.
    pub(crate) fn status(&self) -> TaskStatus {
        match self {
            Self::Creating => TaskStatus::Creating,
            Self::Available => TaskStatus::Available,
            Self::Unavailable { .. } => TaskStatus::Unavailable,
        }
    }

    /// Why the task is UNAVAILABLE.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Unavailable { failure } => Some(failure),
            Self::Creating | Self::Available => None,
        }
    }
}

impl Record for Task {
    const KIND: &'static str = "task";

    fn id(&self) -> String {
        self.arn.id().to_owned()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}
