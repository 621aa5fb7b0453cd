//! Leases that are longer than those of this control: one with other settings gave them, before a
//! restart or on another replica. An agent's row shows the longer one until it is over.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use datasync_model::AgentArn;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Longer {
    row_ms: u64,
    /// The session by which this replica has the agent: another one could give it such a lease
    /// until then.
    claimed: u64,
    /// When it is over, however late it was given.
    until: Instant,
}

/// Those that were seen in rows of agents of this replica.
#[derive(Debug, Default)]
pub(super) struct LongerLeases(HashMap<AgentArn, Longer>);

impl LongerLeases {
    /// What the agent's row is to show, in milliseconds, where it shows `row_ms` and a lease of this
    /// control lasts `own_ms`. A longer one was given before it was first seen here: it is over
    /// `over_after` that.
    pub(super) fn shown_ms(
        &mut self,
        (agent, claimed): (&AgentArn, u64),
        (row_ms, own_ms): (u64, u64),
        (now, over_after): (Instant, Duration),
    ) -> u64 {
        if row_ms <= own_ms {
            self.0.remove(agent);
            return own_ms;
        }
        let fresh = Longer {
            row_ms,
            claimed,
            until: now + over_after,
        };
        let longer = self.0.entry(agent.clone()).or_insert(fresh);
        if (longer.row_ms, longer.claimed) != (row_ms, claimed) {
            *longer = fresh;
        }
        if now < longer.until { row_ms } else { own_ms }
    }

    pub(super) fn forget(&mut self, agent: &AgentArn) {
        self.0.remove(agent);
    }

    pub(super) fn forget_ended(&mut self, now: Instant) {
        self.0.retain(|_, longer| now < longer.until);
    }

    pub(super) fn has(&self, agent: &AgentArn) -> bool {
        self.0.contains_key(agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::fixture;

    #[test]
    fn a_longer_lease_is_shown_until_it_is_over_by_the_clock() {
        let start = Instant::now();
        let mut leases = LongerLeases::default();
        let agent = fixture::agent(0);
        let mut shown = |second, claimed, row_ms| {
            let now = start + Duration::from_secs(second);
            let over_after = Duration::from_millis(row_ms + row_ms / 7);
            let shown = leases.shown_ms((&agent, claimed), (row_ms, 7_000), (now, over_after));
            leases.forget_ended(now);
            (shown, leases.has(&agent))
        };
        assert_eq!(shown(0, 1, 0), (7_000, false), "no row yet");
        assert_eq!(shown(0, 1, 70_000), (70_000, true));
        assert_eq!(shown(79, 1, 70_000), (70_000, true));
        assert_eq!(shown(80, 1, 70_000), (7_000, false));
        assert_eq!(shown(81, 1, 7_000), (7_000, false));
        // The agent was elsewhere meanwhile, and given another one.
        assert_eq!(shown(100, 1, 70_000), (70_000, true));
        assert_eq!(shown(179, 2, 70_000), (70_000, true));
        assert_eq!(shown(258, 2, 70_000), (70_000, true));
        assert_eq!(shown(259, 2, 70_000), (7_000, false));
    }
}
