//! The log of an execution, as its agents made it.

use datasync_model::{AgentArn, LogLine, TaskExecutionArn};
use serde::{Deserialize, Serialize};

use crate::store::Record;

/// How much is kept of the log of one execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExecutionLog {
    pub(crate) execution: TaskExecutionArn,
    /// The logs that agents kept of it, the newest last.
    pub(crate) sources: Vec<LogSource>,
    /// Rows of lines, numbered from 0.
    pub(crate) chunks: u64,
    pub(crate) lines: u64,
    /// By [`LogLine::size`].
    pub(crate) bytes: u64,
    /// Lines that came and found no room.
    pub(crate) left_out: u64,
    /// Rows of lines that were sent to CloudWatch Logs.
    pub(crate) sent_chunks: u64,
}

/// A log that an agent keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogSource {
    pub(crate) log_id: String,
    /// Whose it is; rows of a release before this one do not say so.
    #[serde(default)]
    pub(crate) agent: Option<AgentArn>,
    /// Its lines before this one are kept, or left out.
    pub(crate) next: u64,
}

impl ExecutionLog {
    pub(crate) fn new(execution: TaskExecutionArn) -> Self {
        Self {
            execution,
            sources: Vec::new(),
            chunks: 0,
            lines: 0,
            bytes: 0,
            left_out: 0,
            sent_chunks: 0,
        }
    }
}

impl Record for ExecutionLog {
    const KIND: &'static str = "execution-log";

    fn id(&self) -> String {
        self.execution.id().to_owned()
    }

    fn parent(&self) -> Option<String> {
        None
    }
}

/// Lines that came together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogChunk {
    /// The execution's id.
    pub(crate) execution: String,
    pub(crate) number: u64,
    pub(crate) lines: Vec<LogLine>,
}

impl LogChunk {
    /// Ids sort as the numbers.
    pub(crate) fn id_of(execution: &str, number: u64) -> String {
        format!("{execution}-{number:010}")
    }

    /// The number in an id.
    pub(crate) fn number_of(id: &str) -> Option<u64> {
        id.rsplit_once('-')?.1.parse().ok()
    }
}

impl Record for LogChunk {
    const KIND: &'static str = "log-chunk";

    fn id(&self) -> String {
        Self::id_of(&self.execution, self.number)
    }

    fn parent(&self) -> Option<String> {
        Some(self.execution.clone())
    }
}
