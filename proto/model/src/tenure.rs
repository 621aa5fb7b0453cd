//! Whose an execution is.

use serde::{Deserialize, Serialize};

/// One time that an execution was given to an agent. Whatever the agent says of the execution is of
/// one tenure; once the execution is given to another agent, it counts no more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tenure {
    /// 1 at the launch, and one more each time that the execution moves. 0: it was launched by a
    /// control that knew no tenures.
    pub epoch: u64,
    /// Whether the execution may move to another agent: then this one writes to the destination only
    /// while its lease lasts.
    pub leased: bool,
}

impl Tenure {
    /// The tenure of the agent that is given the execution next.
    #[must_use]
    pub fn next(self, leased: bool) -> Self {
        Self {
            epoch: self.epoch.saturating_add(1),
            leased,
        }
    }

    /// Whether what is said of `self` is said of `other`, where one of the two may come from a peer
    /// that knows no tenures.
    #[must_use]
    pub fn is_of(self, other: Self) -> bool {
        let unknown = self.epoch == 0 || other.epoch == 0;
        self.epoch == other.epoch || (unknown && !self.leased && !other.leased)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_without_a_lease_may_a_peer_know_no_tenures() {
        let tenure = |epoch, leased| Tenure { epoch, leased };
        let first = Tenure::default().next(true);
        assert_eq!(first, tenure(1, true));
        assert!(first.is_of(tenure(1, false)));
        assert!(!first.is_of(first.next(true)));
        assert!(!tenure(0, false).is_of(first));
        assert!(tenure(0, false).is_of(tenure(1, false)));
        assert!(tenure(1, false).is_of(tenure(0, false)));
    }
}
