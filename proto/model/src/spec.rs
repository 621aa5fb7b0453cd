//! The frozen description of one execution.

use serde::{Deserialize, Serialize};

use crate::{DeleteShareMax, Excludes, Includes, Location, Options, TaskExecutionArn, TaskMode};

/// Everything an agent needs to run an execution, frozen at StartTaskExecution.
///
/// Editing the task later does not change it; only `options.bytes_per_second` may change while it
/// runs, and travels apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionSpec {
    /// The execution.
    pub execution: TaskExecutionArn,
    /// BASIC or ENHANCED.
    pub task_mode: TaskMode,
    /// Where to read.
    pub source: Location,
    /// Where to write.
    pub destination: Location,
    /// Options with every default filled in.
    pub options: Options,
    /// What to include; empty means everything.
    pub includes: Includes,
    /// What to leave out, besides the built-in excludes.
    pub excludes: Excludes,
    /// How much may be deleted; 50 % in a spec of a control that does not say.
    #[serde(default, skip_serializing_if = "DeleteShareMax::is_default")]
    pub delete_share_max: DeleteShareMax,
}
