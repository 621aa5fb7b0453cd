//! Agents that cannot use the locations of a task, and why.

use std::time::Instant;

use datasync_model::{AgentArn, Failure};

use crate::fleet::views::Revision;

/// Agents that are tried one after the other before a task is called UNAVAILABLE: as many as a
/// location may name.
const TRIED_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Failed {
    /// Of the locations that they tried.
    pub(super) revisions: [Revision; 2],
    pub(super) since: Instant,
    agents: Vec<(AgentArn, Failure)>,
}

impl Failed {
    pub(super) fn new(revisions: [Revision; 2], since: Instant) -> Self {
        Self {
            revisions,
            since,
            agents: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, agent: AgentArn, failure: Failure) {
        self.agents.push((agent, failure));
    }

    pub(super) fn has(&self, agent: &AgentArn) -> bool {
        self.agents.iter().any(|(failed, _)| failed == agent)
    }

    pub(super) fn is_full(&self) -> bool {
        self.agents.len() >= TRIED_MAX
    }

    pub(super) fn agents(&self) -> Vec<AgentArn> {
        self.agents.iter().map(|(agent, _)| agent.clone()).collect()
    }

    /// Why none of the agents can use the locations; with several, who cannot for what reason.
    pub(super) fn why(&self) -> Option<Failure> {
        let [(_, first), others @ ..] = &self.agents[..] else {
            return None;
        };
        if others.is_empty() {
            return Some(first.clone());
        }
        let told = self.agents.iter();
        let told = told.map(|(agent, failure)| format!("agent {agent}: {}", failure.detail));
        let told: Vec<String> = told.collect();
        let count = self.agents.len();
        let told = told.join(". ");
        let detail = format!("none of {count} agents can use the locations. {told}");
        Some(Failure::new(first.code, detail))
    }
}
