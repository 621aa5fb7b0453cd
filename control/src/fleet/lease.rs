//! When agents were heard of. It lives in memory only, so that after a restart every agent is
//! OFFLINE until it is heard of again.
//!
//! An agent is ONLINE while it was heard of within `offline_after`. Its executions may be given to
//! another one only after `failover_after`, and it writes for them only while its lease lasts, which
//! is shorter by [`MARGIN`] and which it counts from the sending of a heartbeat. So that both hold
//! whichever replica of control decides, a heartbeat counts for the lease only once the agent's row
//! shows it and the agent was told everything that was decided before.

mod longer;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use datasync_model::AgentArn;
use jiff::Timestamp;

use crate::records::Life;
use longer::LongerLeases;

/// The share of `failover_after` that lies between the last write of one agent and the first of the
/// next: for requests on their way, and for clocks that do not run alike.
const MARGIN: u32 = 8;

/// What is known of one agent that was heard of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lease {
    heard: Instant,
    /// Whether its last word was goodbye.
    left: bool,
    /// The same moment on the wall clock, for `LastConnectionTime`.
    pub(crate) last_connection: Timestamp,
    pub(crate) facts: Facts,
    /// The newest heartbeat, by the agent's clock.
    beat: Option<u64>,
    /// What the row shows.
    noted: Option<Contact>,
    /// The newest heartbeat that counts for the agent's lease.
    granted: Option<u64>,
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

/// A moment in which an agent was heard of, and its newest heartbeat then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contact {
    heard: Instant,
    beat: Option<u64>,
}

impl Lease {
    pub(crate) fn contact(&self) -> Contact {
        Contact {
            heard: self.heard,
            beat: self.beat,
        }
    }

    /// Whether the row shows no contact of the last `freshness`, or the first heartbeat not yet.
    pub(crate) fn is_stale(&self, freshness: Duration) -> bool {
        self.noted.is_none_or(|noted| {
            self.heard.saturating_duration_since(noted.heard) >= freshness
                || (noted.beat.is_none() && self.beat.is_some())
        })
    }
}

/// The leases of all agents.
#[derive(Debug)]
pub(crate) struct Leases {
    offline_after: Duration,
    failover_after: Duration,
    /// When this start of control began to listen.
    started: Instant,
    by_agent: HashMap<AgentArn, Lease>,
    longer: LongerLeases,
}

impl Leases {
    pub(crate) fn new(offline_after: Duration, failover_after: Duration, started: Instant) -> Self {
        Self {
            offline_after,
            failover_after,
            started,
            by_agent: HashMap::new(),
            longer: LongerLeases::default(),
        }
    }

    /// The agent said something, and `beat` is its newest heartbeat. Whether that brought it back.
    pub(crate) fn heard(
        &mut self,
        agent: &AgentArn,
        facts: Facts,
        beat: Option<u64>,
        (now, wall): (Instant, Timestamp),
    ) -> bool {
        let returned = !self.is_online(agent, now);
        let before = self.by_agent.get(agent);
        let lease = Lease {
            heard: now,
            left: false,
            last_connection: wall,
            facts,
            beat,
            noted: before.and_then(|before| before.noted),
            granted: before.and_then(|before| before.granted),
        };
        self.by_agent.insert(agent.clone(), lease);
        returned
    }

    /// The agent said goodbye.
    pub(crate) fn left(&mut self, agent: &AgentArn, now: Instant) {
        if let Some(lease) = self.by_agent.get_mut(agent) {
            lease.left = true;
            lease.heard = now;
        }
    }

    /// The agent's row shows `contact`.
    pub(crate) fn noted(&mut self, agent: &AgentArn, contact: Contact) {
        if let Some(lease) = self.by_agent.get_mut(agent) {
            lease.noted = Some(contact);
        }
    }

    /// What the row shows of the agent counts for its lease. `alone`: and what was heard since,
    /// since nobody else decides by the row.
    pub(crate) fn grant(&mut self, agent: &AgentArn, alone: bool) {
        if let Some(lease) = self.by_agent.get_mut(agent)
            && let Some(noted) = lease.noted
        {
            lease.granted = if alone { lease.beat } else { noted.beat };
        }
    }

    /// The heartbeat that the agent's lease is counted from.
    pub(crate) fn granted(&self, agent: &AgentArn) -> Option<u64> {
        self.by_agent.get(agent).and_then(|lease| lease.granted)
    }

    /// How long after such a heartbeat an agent may write.
    pub(crate) fn length(&self) -> Duration {
        self.failover_after - self.failover_after / MARGIN
    }

    /// The length of a lease that the row of an agent of this replica is to show, in milliseconds,
    /// where it shows `row_ms`: never less than what may still last.
    pub(crate) fn shown_ms(&mut self, agent: &AgentArn, row_ms: u64, now: Instant) -> u64 {
        let own_ms = u64::try_from(self.length().as_millis()).unwrap_or(u64::MAX);
        let lease = self.by_agent.get(agent);
        let claimed = lease.map_or(0, |lease| lease.facts.claimed);
        let over_after = self.over_after(row_ms);
        let (agent, lengths) = ((agent, claimed), (row_ms, own_ms));
        self.longer.shown_ms(agent, lengths, (now, over_after))
    }

    /// For how long nothing must have been heard of an agent so that it writes nothing any more, if
    /// its row says that its lease may last `row_ms`.
    pub(crate) fn over_after(&self, row_ms: u64) -> Duration {
        let length = Duration::from_millis(row_ms);
        self.failover_after.max(length + length / (MARGIN - 1))
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

    /// What was heard of an agent that said goodbye before its row showed anything.
    pub(crate) fn unnoted(&self, agent: &AgentArn) -> Option<&Lease> {
        self.by_agent
            .get(agent)
            .filter(|lease| lease.left && lease.noted.is_none())
    }

    /// Whether nothing was heard of the agent for so long that it is OFFLINE. One that has just said
    /// goodbye may be restarting, and after a start of control it had no chance to speak yet.
    pub(crate) fn is_lost(&self, agent: &AgentArn, now: Instant) -> bool {
        self.silent_for(agent, now) >= self.offline_after
    }

    /// Since when nothing was heard of the agent, or this start of control listens.
    pub(crate) fn silent_for(&self, agent: &AgentArn, now: Instant) -> Duration {
        let heard = self.by_agent.get(agent).map_or(self.started, |l| l.heard);
        now.saturating_duration_since(heard)
    }

    /// The agent is another replica's.
    pub(crate) fn forget(&mut self, agent: &AgentArn) {
        self.by_agent.remove(agent);
        self.longer.forget(agent);
    }

    /// Forgets agents that were not heard of for so long that nobody asks how long any more.
    pub(crate) fn forget_ended(&mut self, now: Instant) {
        self.longer.forget_ended(now);
        let limit = self.offline_after.max(self.failover_after);
        self.by_agent.retain(|agent, lease| {
            now.saturating_duration_since(lease.heard) < limit || self.longer.has(agent)
        });
    }
}

#[cfg(test)]
mod tests;
