//! Which agents may run a task.

use datasync_model::AgentArn;
use serde::{Deserialize, Serialize};

use super::Location;

/// Why nobody may, and what to do.
pub(crate) const NOBODY: &str = "No agent can run the task: the source's and the destination's \
     agents have none in common. Use an agent that both locations name (a location without \
     AgentArns allows control's default agents).";

/// The agents that may run a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Eligible {
    /// Every agent there is.
    Any,
    /// These, in order of preference; nobody if empty.
    Only(Vec<AgentArn>),
}

impl Eligible {
    /// The intersection of both locations' agents. A location that names none allows
    /// `default_agents`, or every agent if that is empty too.
    pub(crate) fn of(
        source: &Location,
        destination: &Location,
        default_agents: &[AgentArn],
    ) -> Self {
        let named = |location: &Location| match location.agents() {
            [] if default_agents.is_empty() => Self::Any,
            [] => Self::Only(default_agents.to_vec()),
            agents => Self::Only(agents.to_vec()),
        };
        match (named(source), named(destination)) {
            (Self::Any, other) | (other, Self::Any) => other,
            (Self::Only(mut agents), Self::Only(others)) => {
                agents.retain(|agent| others.contains(agent));
                Self::Only(agents)
            }
        }
    }

    /// The same agents, those of `last` behind all others.
    pub(crate) fn with_last(self, last: &[AgentArn]) -> Self {
        match self {
            Self::Any => Self::Any,
            Self::Only(agents) => {
                let (behind, mut all): (Vec<_>, Vec<_>) =
                    agents.into_iter().partition(|agent| last.contains(agent));
                all.extend(behind);
                Self::Only(all)
            }
        }
    }

    /// Whether no agent can ever be among them.
    pub(crate) fn is_nobody(&self) -> bool {
        matches!(self, Self::Only(agents) if agents.is_empty())
    }

    /// Whether `agent` is among them.
    pub(crate) fn contains(&self, agent: &AgentArn) -> bool {
        match self {
            Self::Any => true,
            Self::Only(agents) => agents.contains(agent),
        }
    }
}
