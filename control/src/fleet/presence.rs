//! The live session of each agent. Two processes with different boot nonces are two machines with
//! one identity (a cloned disk), or one machine that was restarted: the newest wins. A machine
//! that lost does not come back while the winner lives, or the two would evict each other for
//! ever.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use datasync_model::AgentArn;
use tokio::sync::oneshot;

use crate::records::AgentPresence;

/// Why a session must end for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Superseded {
    /// The same process connected again.
    Reconnected,
    /// Another process with the same identity connected, or is connected.
    Cloned,
}

/// A process that acts as an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) boot_nonce: String,
    pub(crate) address: SocketAddr,
}

#[derive(Debug)]
struct Session {
    id: u64,
    superseded: oneshot::Sender<Superseded>,
}

/// Who acts as one agent, and who may not.
#[derive(Debug)]
struct Present {
    winner: Machine,
    session: Option<Session>,
    losers: VecDeque<String>,
}

/// The agents that are heard of.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    next_id: u64,
    by_agent: HashMap<AgentArn, Present>,
}

/// A session's own end of its entry.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) id: u64,
    pub(crate) superseded: oneshot::Receiver<Superseded>,
    /// The machine whose live session had to go.
    pub(crate) loser: Option<Machine>,
}

/// A machine that lost against the one that is named, which still lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) winner: Machine,
}

impl Presence {
    /// Enters a session, and tells the one before it to end. `lease` is the boot nonce of the
    /// agent's live lease: a winner lives while its session or its lease does.
    ///
    /// # Errors
    /// [`Lost`] for a machine that was superseded by one that still lives.
    pub(crate) fn enter(
        &mut self,
        agent: &AgentArn,
        machine: Machine,
        lease: Option<&str>,
    ) -> Result<Entered, Lost> {
        let (sender, receiver) = oneshot::channel();
        let (mut losers, mut loser) = (VecDeque::new(), None);
        if let Some(before) = self.by_agent.remove(agent) {
            let same = before.winner.boot_nonce == machine.boot_nonce;
            let lives = before.session.is_some() || lease == Some(&before.winner.boot_nonce);
            if !same && lives && before.losers.contains(&machine.boot_nonce) {
                let winner = before.winner.clone();
                self.by_agent.insert(agent.clone(), before);
                return Err(Lost { winner });
            }
            if same || lives {
                losers = before.losers;
            }
            if !same && lives {
                losers.push_back(before.winner.boot_nonce.clone());
                if losers.len() > AgentPresence::LOSERS_MAX {
                    losers.pop_front();
                }
            }
            let why = if same {
                Superseded::Reconnected
            } else {
                Superseded::Cloned
            };
            // A session that has just ended by itself no longer listens.
            let told = before.session.map(|s| s.superseded.send(why).is_ok());
            loser = Some(before.winner).filter(|_| !same && told == Some(true));
        }
        self.next_id += 1;
        let session = Session {
            id: self.next_id,
            superseded: sender,
        };
        self.by_agent.insert(
            agent.clone(),
            Present {
                winner: machine,
                session: Some(session),
                losers,
            },
        );
        Ok(Entered {
            id: self.next_id,
            superseded: receiver,
            loser,
        })
    }

    /// Sessions that go on.
    pub(crate) fn sessions(&self) -> usize {
        let present = self.by_agent.values();
        present.filter(|present| present.session.is_some()).count()
    }

    /// Takes out a session, unless a newer one is in its place.
    pub(crate) fn leave(&mut self, agent: &AgentArn, id: u64) {
        if let Some(present) = self.by_agent.get_mut(agent) {
            present.session.take_if(|session| session.id == id);
        }
    }

    /// Tells the agent's session to end: the agent has another one on another replica.
    pub(crate) fn dismiss(&mut self, agent: &AgentArn, boot_nonce: &str) {
        let Some(present) = self.by_agent.remove(agent) else {
            return;
        };
        let why = if present.winner.boot_nonce == boot_nonce {
            Superseded::Reconnected
        } else {
            Superseded::Cloned
        };
        // A session that has just ended by itself no longer listens.
        let told = present.session.map(|s| s.superseded.send(why).is_ok());
        if told == Some(true) && why == Superseded::Cloned {
            tracing::warn!(%agent, winner_boot_nonce = boot_nonce, loser = %present.winner.address,
                loser_boot_nonce = present.winner.boot_nonce,
                event = "agent.cloned",
                "two machines use the identity of one agent, on two replicas of control: the one \
                 that was started last wins; activate the other one as an agent of its own");
        }
    }

    /// Forgets agents without a session and without a lease.
    pub(crate) fn forget_gone(&mut self, has_lease: impl Fn(&AgentArn) -> bool) {
        self.by_agent
            .retain(|agent, present| present.session.is_some() || has_lease(agent));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn machine(boot_nonce: &str) -> Machine {
        Machine {
            boot_nonce: boot_nonce.to_owned(),
            address: ([192, 0, 2, 1], 1).into(),
        }
    }

    fn enter(presence: &mut Presence, nonce: &str, lease: Option<&str>) -> Result<Entered, Lost> {
        presence.enter(&fixture::agent(0), machine(nonce), lease)
    }

    #[test]
    fn the_newest_session_wins_and_clones_are_told_from_reconnections() {
        let mut presence = Presence::default();
        let agent = fixture::agent(0);
        let mut first = enter(&mut presence, "one", None).unwrap();
        assert_eq!(first.loser, None);
        let mut again = enter(&mut presence, "one", None).unwrap();
        assert_eq!(presence.sessions(), 1);
        assert_eq!(again.loser, None);
        assert_eq!(first.superseded.try_recv(), Ok(Superseded::Reconnected));
        let clone = enter(&mut presence, "two", None).unwrap();
        assert_eq!(clone.loser, Some(machine("one")));
        assert_eq!(again.superseded.try_recv(), Ok(Superseded::Cloned));
        presence.leave(&agent, again.id);
        presence.forget_gone(|_| false);
        assert_eq!(presence.by_agent.len(), 1);
        presence.leave(&agent, clone.id);
        presence.forget_gone(|_| false);
        assert!(presence.by_agent.is_empty());
    }

    #[test]
    fn a_machine_that_lost_stays_out_while_the_winner_lives() {
        let mut presence = Presence::default();
        let agent = fixture::agent(0);
        let _first = enter(&mut presence, "one", None).unwrap();
        let second = enter(&mut presence, "two", Some("one")).unwrap();
        let winner = machine("two");
        let lost = enter(&mut presence, "one", Some("two")).unwrap_err();
        assert_eq!(lost.winner, winner);
        // The winner's connection broke; its lease lasts.
        presence.leave(&agent, second.id);
        assert!(enter(&mut presence, "one", Some("two")).is_err());
        let again = enter(&mut presence, "two", Some("two")).unwrap();
        assert!(enter(&mut presence, "one", None).is_err(), "a session");
        // A third machine is newer than both.
        let third = enter(&mut presence, "three", Some("two")).unwrap();
        assert!(enter(&mut presence, "one", Some("three")).is_err());
        assert!(enter(&mut presence, "two", Some("three")).is_err());
        presence.leave(&agent, again.id);
        presence.leave(&agent, third.id);
        assert!(enter(&mut presence, "one", None).is_ok(), "all are gone");
    }

    #[test]
    fn a_restart_of_the_process_is_let_in_at_once() {
        let mut presence = Presence::default();
        let agent = fixture::agent(0);
        for boot in ["one", "two", "three"] {
            let entered = enter(&mut presence, boot, Some("one")).unwrap();
            assert_eq!(entered.loser, None, "nobody was there");
            presence.leave(&agent, entered.id);
        }
    }

    #[test]
    fn a_session_that_ended_by_itself_was_not_replaced() {
        let mut presence = Presence::default();
        drop(enter(&mut presence, "one", None).unwrap());
        assert_eq!(enter(&mut presence, "two", None).unwrap().loser, None);
    }

    #[test]
    fn the_number_of_remembered_losers_is_bounded() {
        let mut presence = Presence::default();
        for boot in 0..AgentPresence::LOSERS_MAX + 5 {
            enter(&mut presence, &boot.to_string(), None).unwrap();
        }
        let losers = presence.by_agent[&fixture::agent(0)].losers.len();
        assert_eq!(losers, AgentPresence::LOSERS_MAX);
    }
}
