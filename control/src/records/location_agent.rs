//! Which locations name an agent, found by the agent.

use datasync_model::{AgentArn, LocationArn};
use serde::{Deserialize, Serialize};

use crate::store::Record;

/// That a location names an agent. Made, and deleted, with the location's own list of agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LocationAgent {
    pub(crate) location: LocationArn,
    pub(crate) agent: AgentArn,
}

impl Record for LocationAgent {
    const KIND: &'static str = "location-agent";

    fn id(&self) -> String {
        format!("{}/{}", self.location.id(), self.agent.id())
    }

    /// The agent's id.
    fn parent(&self) -> Option<String> {
        Some(self.agent.id().to_owned())
    }
}
