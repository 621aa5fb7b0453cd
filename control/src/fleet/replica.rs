//! Which replica of control an agent is connected to.
//!
//! A session claims its agent in the agent's row. From then on the replica of that session alone
//! says in the row how the agent is, launches executions on it and asks it to try locations. What
//! another replica says of an agent holds until that replica falls silent: silence is measured by
//! the own monotonic clock, since the clocks of two machines differ.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use datasync_model::{AgentArn, AgentStatus};
use jiff::Timestamp;

use super::lease::Facts;
use super::views::AgentView;
use crate::records::AgentPresence;

/// One start of control among those that share a store.
#[derive(Debug)]
pub(crate) struct Replica {
    /// Random, for each start.
    pub(crate) name: String,
    /// Whether the store has no other replica, ever: then every agent is its own.
    pub(crate) alone: bool,
}

impl Replica {
    /// Whether this replica speaks for the agent.
    pub(crate) fn owns(&self, view: &AgentView) -> bool {
        self.alone || view.replica == self.name
    }
}

/// When the rows of agents last showed a new contact.
#[derive(Debug)]
pub(crate) struct Silence {
    limit: Duration,
    /// When the rows were last looked at.
    observed: Option<Instant>,
    changed: HashMap<AgentArn, (Option<Timestamp>, Instant)>,
}

impl Silence {
    /// Contacts are written a quarter of a lease late, and a replica may be slow.
    pub(crate) fn new(offline_after: Duration) -> Self {
        Self {
            limit: offline_after * 3 / 2,
            observed: None,
            changed: HashMap::new(),
        }
    }

    pub(crate) fn observe<'a>(
        &mut self,
        agents: impl Iterator<Item = &'a AgentView> + Clone,
        now: Instant,
    ) {
        self.leave_out_gap(now);
        for view in agents.clone() {
            let (contact, since) = self
                .changed
                .entry(view.arn.clone())
                .or_insert((view.last_connection, now));
            if *contact != view.last_connection {
                (*contact, *since) = (view.last_connection, now);
            }
        }
        if self.changed.len() > agents.clone().count() {
            let known: std::collections::HashSet<&AgentArn> = agents.map(|v| &v.arn).collect();
            self.changed.retain(|agent, _| known.contains(agent));
        }
    }

    /// While the store was away nobody could write: such a time counts only for a part of the
    /// limit, so that whoever lives has a while to show it.
    fn leave_out_gap(&mut self, now: Instant) {
        let before = self.observed.replace(now).unwrap_or(now);
        let gap = now.saturating_duration_since(before);
        let left_out = gap.saturating_sub(self.limit / 6);
        if !left_out.is_zero() {
            for (_, since) in self.changed.values_mut() {
                *since = (*since + left_out).min(now);
            }
        }
    }

    /// Whether the row has shown nothing new for longer than a replica that lives takes.
    pub(crate) fn is_silent(&self, agent: &AgentArn, now: Instant) -> bool {
        self.is_silent_for(agent, now, self.limit)
    }

    /// Whether the row has shown nothing new for `limit`.
    pub(crate) fn is_silent_for(&self, agent: &AgentArn, now: Instant, limit: Duration) -> bool {
        self.changed
            .get(agent)
            .is_some_and(|(_, since)| now.saturating_duration_since(*since) >= limit)
    }
}

/// A machine that lost against the one that is named, which still lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LostTo {
    pub(crate) boot_nonce: String,
}

/// The agent's row once the machine of `facts` has connected to `replica`: the newest machine
/// wins, and one that lost stays out while the winner lives.
///
/// # Errors
/// [`LostTo`]
pub(crate) fn claimed(
    agent: &AgentArn,
    row: Option<AgentPresence>,
    replica: &str,
    facts: &Facts,
    now: Timestamp,
) -> Result<AgentPresence, LostTo> {
    let (mut losers, mut host, mut lease_ms) = (Vec::new(), None, 0);
    let mut clone_seen_ms = None;
    if let Some(before) = row {
        lease_ms = before.lease_ms;
        let same = before.boot_nonce == facts.boot_nonce;
        let lives = before.reported == AgentStatus::Online;
        if !same && lives && before.losers.contains(&facts.boot_nonce) {
            return Err(LostTo {
                boot_nonce: before.boot_nonce,
            });
        }
        if same || lives {
            losers = before.losers;
        }
        if !same && lives {
            losers.push(before.boot_nonce);
            losers.drain(..losers.len().saturating_sub(AgentPresence::LOSERS_MAX));
        }
        host = before.host;
        clone_seen_ms = before.clone_seen_ms;
    }
    Ok(AgentPresence {
        arn: agent.clone(),
        reported: AgentStatus::Online,
        last_contact_ms: now.as_millisecond(),
        version: facts.version.clone(),
        boot_nonce: facts.boot_nonce.clone(),
        abilities: facts.abilities.clone(),
        host,
        replica: replica.to_owned(),
        // What it was given elsewhere may still last.
        lease_ms,
        losers,
        certificate: facts.certificate,
        clone_seen_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn facts(boot_nonce: &str) -> Facts {
        Facts {
            boot_nonce: boot_nonce.to_owned(),
            ..Facts::default()
        }
    }

    fn claim(
        row: Option<&AgentPresence>,
        replica: &str,
        nonce: &str,
    ) -> Result<AgentPresence, LostTo> {
        let now = fixture::at(0);
        claimed(
            &fixture::agent(0),
            row.cloned(),
            replica,
            &facts(nonce),
            now,
        )
    }

    #[test]
    fn the_newest_machine_wins_on_whatever_replica() {
        let one = claim(None, "a", "one").unwrap();
        assert_eq!(one.reported, AgentStatus::Online);
        let moved = claim(Some(&one), "b", "one").unwrap();
        assert_eq!((moved.replica.as_str(), moved.losers.len()), ("b", 0));
        let two = claim(Some(&moved), "a", "two").unwrap();
        assert_eq!(two.losers, ["one"]);
        let lost = claim(Some(&two), "b", "one").unwrap_err();
        assert_eq!(lost.boot_nonce, "two");
        let three = claim(Some(&two), "b", "three").unwrap();
        assert_eq!(three.losers, ["one", "two"]);
        let gone = AgentPresence {
            reported: AgentStatus::Offline,
            ..three
        };
        assert_eq!(claim(Some(&gone), "a", "one").unwrap().losers.len(), 0);
    }

    #[test]
    fn the_number_of_remembered_losers_is_bounded() {
        let mut row = claim(None, "a", "0").unwrap();
        for number in 1..AgentPresence::LOSERS_MAX + 5 {
            row = claim(Some(&row), "a", &number.to_string()).unwrap();
        }
        assert_eq!(row.losers.len(), AgentPresence::LOSERS_MAX);
        assert_eq!(
            row.losers.last().unwrap(),
            &(AgentPresence::LOSERS_MAX + 3).to_string()
        );
    }

    #[test]
    fn a_row_that_shows_nothing_new_falls_silent_by_the_own_clock() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::new(Duration::from_secs(60));
        let mut snapshot = fixture::snapshot(2);
        let agent = fixture::agent(0);
        assert!(!silence.is_silent(&agent, start), "never seen");
        for second in 0..80 {
            silence.observe(snapshot.agents.values(), at(second));
        }
        assert!(!silence.is_silent(&agent, at(89)));
        assert!(silence.is_silent(&agent, at(90)));
        // A contact that lies in the past is news all the same.
        let view = snapshot.agents.get_mut(&agent.to_string()).unwrap();
        view.last_connection = Some(fixture::at(-1000));
        silence.observe(snapshot.agents.values(), at(80));
        assert!(!silence.is_silent(&agent, at(169)));
        assert!(silence.is_silent(&agent, at(170)));
        assert!(silence.is_silent(&fixture::agent(1), at(170)));
        snapshot.agents.remove(&agent.to_string());
        silence.observe(snapshot.agents.values(), at(171));
        assert!(!silence.is_silent(&agent, at(500)), "deleted");
    }

    #[test]
    fn what_could_not_be_looked_at_is_hardly_silence() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::new(Duration::from_secs(60));
        let snapshot = fixture::snapshot(1);
        let agent = fixture::agent(0);
        silence.observe(snapshot.agents.values(), start);
        silence.observe(snapshot.agents.values(), at(10));
        // The store was away for an hour, of which 15 seconds count.
        silence.observe(snapshot.agents.values(), at(3610));
        assert!(!silence.is_silent(&agent, at(3674)));
        assert!(silence.is_silent(&agent, at(3675)));
    }
}
