//! Leases: an agent is ONLINE while it was heard of within `offline_after`. They live in memory
//! only, so that after a restart every agent is OFFLINE until it is heard of again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use datasync_model::AgentArn;
use jiff::Timestamp;

/// What is known of one agent that was heard of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lease {
    heard: Instant,
    /// The same moment on the wall clock, for `LastConnectionTime`.
    pub(crate) last_connection: Timestamp,
    pub(crate) facts: Facts,
}

/// What an agent says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) version: String,
    pub(crate) boot_nonce: String,
    /// The newest facts about its host.
    pub(crate) host: Option<serde_json::Value>,
}

/// The leases of all agents.
#[derive(Debug)]
pub(crate) struct Leases {
    offline_after: Duration,
    by_agent: HashMap<AgentArn, Lease>,
}

impl Leases {
    pub(crate) fn new(offline_after: Duration) -> Self {
        Self {
            offline_after,
            by_agent: HashMap::new(),
        }
    }

    /// The agent said something. Whether that brought it back.
    pub(crate) fn heard(
        &mut self,
        agent: &AgentArn,
        facts: Facts,
        now: Instant,
        wall: Timestamp,
    ) -> bool {
        let returned = !self.is_online(agent, now);
        self.by_agent.insert(
            agent.clone(),
            Lease {
                heard: now,
                last_connection: wall,
                facts,
            },
        );
        returned
    }

    /// The agent said goodbye.
    pub(crate) fn left(&mut self, agent: &AgentArn) {
        self.by_agent.remove(agent);
    }

    /// Whether the agent's lease is live.
    pub(crate) fn is_online(&self, agent: &AgentArn, now: Instant) -> bool {
        self.live(agent, now).is_some()
    }

    /// The lease, if it is live.
    pub(crate) fn live(&self, agent: &AgentArn, now: Instant) -> Option<&Lease> {
        self.by_agent
            .get(agent)
            .filter(|lease| now.saturating_duration_since(lease.heard) < self.offline_after)
    }

    /// Forgets leases that ended; the rows say OFFLINE by then.
    pub(crate) fn forget_ended(&mut self, now: Instant) {
        let offline_after = self.offline_after;
        self.by_agent
            .retain(|_, lease| now.saturating_duration_since(lease.heard) < offline_after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent() -> AgentArn {
        "arn:aws:datasync:us-east-1:000000000000:agent/agent-0123456789abcdef0"
            .parse()
            .unwrap()
    }

    #[test]
    fn silence_ends_a_lease_and_a_word_renews_it() {
        let mut leases = Leases::new(Duration::from_secs(60));
        let (start, wall) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!leases.is_online(&agent(), start));
        assert!(leases.heard(&agent(), Facts::default(), start, wall));
        assert!(leases.is_online(&agent(), at(59)));
        assert!(!leases.heard(&agent(), Facts::default(), at(59), wall));
        assert!(leases.is_online(&agent(), at(118)));
        assert!(!leases.is_online(&agent(), at(119)));
        leases.forget_ended(at(119));
        assert!(leases.by_agent.is_empty());
        assert!(leases.heard(&agent(), Facts::default(), at(200), wall));
    }

    #[test]
    fn goodbye_ends_a_lease_at_once() {
        let mut leases = Leases::new(Duration::from_secs(60));
        let now = Instant::now();
        leases.heard(&agent(), Facts::default(), now, Timestamp::UNIX_EPOCH);
        leases.left(&agent());
        assert!(!leases.is_online(&agent(), now));
    }
}
