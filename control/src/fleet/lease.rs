//! Leases: an agent is ONLINE while it was heard of within `offline_after`. They live in memory
//! only, so that after a restart every agent is OFFLINE until it is heard of again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use datasync_model::AgentArn;
use jiff::Timestamp;

use crate::records::Life;

/// What is known of one agent that was heard of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lease {
    heard: Instant,
    /// Whether its last word was goodbye.
    left: bool,
    /// The same moment on the wall clock, for `LastConnectionTime`.
    pub(crate) last_connection: Timestamp,
    pub(crate) facts: Facts,
}

/// What an agent says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    pub(crate) version: String,
    pub(crate) boot_nonce: String,
    /// What it can do beyond the first release.
    pub(crate) abilities: Vec<String>,
    /// The newest facts about its host.
    pub(crate) host: Option<serde_json::Value>,
    /// Of the certificate that it showed.
    pub(crate) certificate: Option<Life>,
    /// The generation in which its session claimed it; older rows do not say so yet.
    pub(crate) claimed: u64,
}

/// The leases of all agents.
#[derive(Debug)]
pub(crate) struct Leases {
    offline_after: Duration,
    /// When this start of control began to listen.
    started: Instant,
    by_agent: HashMap<AgentArn, Lease>,
}

impl Leases {
    pub(crate) fn new(offline_after: Duration, started: Instant) -> Self {
        Self {
            offline_after,
            started,
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
                left: false,
                last_connection: wall,
                facts,
            },
        );
        returned
    }

    /// The agent said goodbye.
    pub(crate) fn left(&mut self, agent: &AgentArn, now: Instant) {
        if let Some(lease) = self.by_agent.get_mut(agent) {
            lease.left = true;
            lease.heard = now;
        }
    }

    /// Whether the agent's lease is live.
    pub(crate) fn is_online(&self, agent: &AgentArn, now: Instant) -> bool {
        self.live(agent, now).is_some()
    }

    /// The lease, if it is live.
    pub(crate) fn live(&self, agent: &AgentArn, now: Instant) -> Option<&Lease> {
        self.by_agent
            .get(agent)
            .filter(|lease| !lease.left)
            .filter(|lease| now.saturating_duration_since(lease.heard) < self.offline_after)
    }

    /// Whether nothing was heard of the agent for the length of a lease. One that has just said
    /// goodbye may be restarting, and after a start of control it had no chance to speak yet.
    pub(crate) fn is_lost(&self, agent: &AgentArn, now: Instant) -> bool {
        let heard = self.by_agent.get(agent).map_or(self.started, |l| l.heard);
        now.saturating_duration_since(heard) >= self.offline_after
    }

    /// The agent is another replica's.
    pub(crate) fn forget(&mut self, agent: &AgentArn) {
        self.by_agent.remove(agent);
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
        let (start, wall) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let mut leases = Leases::new(Duration::from_secs(60), start);
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
        let now = Instant::now();
        let mut leases = Leases::new(Duration::from_secs(60), now);
        leases.heard(&agent(), Facts::default(), now, Timestamp::UNIX_EPOCH);
        leases.left(&agent(), now);
        assert!(!leases.is_online(&agent(), now));
    }

    #[test]
    fn an_agent_is_lost_after_the_length_of_a_lease_and_never_right_after_a_start() {
        let (start, wall) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut leases = Leases::new(Duration::from_secs(60), start);
        assert!(!leases.is_lost(&agent(), at(59)));
        assert!(leases.is_lost(&agent(), at(60)));
        leases.heard(&agent(), Facts::default(), at(100), wall);
        assert!(!leases.is_lost(&agent(), at(159)));
        leases.left(&agent(), at(150));
        assert!(!leases.is_lost(&agent(), at(209)), "it may be restarting");
        leases.forget_ended(at(210));
        assert!(leases.is_lost(&agent(), at(210)));
    }
}
