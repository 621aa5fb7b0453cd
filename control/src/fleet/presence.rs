//! The live session of each agent. Two sessions with different boot nonces are two machines with
//! one identity (a cloned disk): the newest wins, the other is told.

use std::collections::HashMap;

use datasync_model::AgentArn;
use tokio::sync::oneshot;

/// Why a session must end for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Superseded {
    /// The same process connected again.
    Reconnected,
    /// Another process with the same identity connected.
    Cloned,
}

#[derive(Debug)]
struct Present {
    id: u64,
    boot_nonce: String,
    superseded: oneshot::Sender<Superseded>,
}

/// All live sessions.
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
    /// What became of the session that was there before.
    pub(crate) replaced: Option<Superseded>,
}

impl Presence {
    /// Enters a session, and tells the one before it to end.
    pub(crate) fn enter(&mut self, agent: &AgentArn, boot_nonce: &str) -> Entered {
        self.next_id += 1;
        let (sender, receiver) = oneshot::channel();
        let before = self.by_agent.insert(
            agent.clone(),
            Present {
                id: self.next_id,
                boot_nonce: boot_nonce.to_owned(),
                superseded: sender,
            },
        );
        let replaced = before.and_then(|before| {
            let why = if before.boot_nonce == boot_nonce {
                Superseded::Reconnected
            } else {
                Superseded::Cloned
            };
            // A session that has just ended by itself no longer listens.
            before.superseded.send(why).ok().map(|()| why)
        });
        Entered {
            id: self.next_id,
            superseded: receiver,
            replaced,
        }
    }

    /// Takes out a session, unless a newer one is in its place.
    pub(crate) fn leave(&mut self, agent: &AgentArn, id: u64) {
        if self.by_agent.get(agent).is_some_and(|p| p.id == id) {
            self.by_agent.remove(agent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn the_newest_session_wins_and_clones_are_told_from_reconnections() {
        let mut presence = Presence::default();
        let agent = fixture::agent(0);
        let mut first = presence.enter(&agent, "one");
        assert_eq!(first.replaced, None);
        let mut again = presence.enter(&agent, "one");
        assert_eq!(again.replaced, Some(Superseded::Reconnected));
        assert_eq!(first.superseded.try_recv(), Ok(Superseded::Reconnected));
        let clone = presence.enter(&agent, "two");
        assert_eq!(clone.replaced, Some(Superseded::Cloned));
        assert_eq!(again.superseded.try_recv(), Ok(Superseded::Cloned));
        presence.leave(&agent, again.id);
        assert_eq!(presence.by_agent.len(), 1);
        presence.leave(&agent, clone.id);
        assert!(presence.by_agent.is_empty());
    }

    #[test]
    fn a_session_that_ended_by_itself_was_not_replaced() {
        let mut presence = Presence::default();
        let agent = fixture::agent(0);
        drop(presence.enter(&agent, "one"));
        assert_eq!(presence.enter(&agent, "two").replaced, None);
    }
}
