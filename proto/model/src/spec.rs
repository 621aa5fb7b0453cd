//! The frozen description of one execution.

use serde::{Deserialize, Serialize};

use crate::{
    Ability, Excludes, Extensions, Includes, Location, Options, TaskExecutionArn, TaskMode,
};

/// Everything an agent needs to run an execution, frozen at StartTaskExecution.
///
/// Editing the task later does not change it; only its [`Rate`](crate::Rate) may change while it
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
    /// What is asked for beyond the options.
    #[serde(default)]
    pub extensions: Extensions,
}

impl ExecutionSpec {
    /// What an agent must be able to do for this.
    #[must_use]
    pub fn needs(&self) -> Vec<Ability> {
        let mut needs = self.extensions.needs();
        for location in [&self.source, &self.destination] {
            needs.extend(location.needs());
        }
        if matches!(self.source, Location::S3(_)) {
            needs.push(Ability::S3Source);
        }
        if matches!(self.destination, Location::Nfs(_) | Location::Efs(_)) {
            needs.push(Ability::FileSystemDestination);
        }
        needs
    }
}
