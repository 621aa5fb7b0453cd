//! The stages in which one CA takes the place of another, decided from values.
//!
//! 1. The next CA is *introduced*: whoever gets a certificate is told to trust both; the old one
//!    still issues.
//! 2. The next CA *issues*: certificates of agents and control's own are its; both are trusted.
//! 3. The old CA is gone.
//!
//! A stage begins only when nobody needs what it ends: an agent that does not trust the next CA
//! would not know control any more, one with a certificate of the old one would not be let in.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::records::AgentCertificate;

/// Controls look for a new stage more often than this.
const SETTLE: Duration = Duration::from_secs(15);

/// Where a rotation stands. Without one there is one CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// The next CA is trusted and does not issue.
    Introduced,
    /// The next CA issues; the old one is trusted.
    Issuing,
}

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Make the next CA and have it trusted.
    Introduce,
    /// Let the next CA issue.
    Issue,
    /// Forget the old CA.
    Finish,
}

/// Why nothing is done yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotYet {
    /// Not every control may have noticed the present stage.
    Settling { until: Timestamp },
    /// Agents that are not ready for the next stage.
    Agents(usize),
}

/// A stage and its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) stage: Stage,
    pub(crate) since: Timestamp,
}

/// The next step, `lacking` being the number of agents that [`lacks`] is true of.
pub(crate) fn next_step(
    standing: Option<Standing>,
    lacking: usize,
    now: Timestamp,
) -> Result<Step, NotYet> {
    let Some(Standing { stage, since }) = standing else {
        return Ok(Step::Introduce);
    };
    let until = since + SETTLE;
    if now < until {
        return Err(NotYet::Settling { until });
    }
    if lacking > 0 {
        return Err(NotYet::Agents(lacking));
    }
    Ok(match stage {
        Stage::Introduced => Step::Issue,
        Stage::Issuing => Step::Finish,
    })
}

/// Whether an agent lacks what the stage brings, and so must renew its certificate before the next
/// one. `next` is the fingerprint of the next CA. Nothing is known of a certificate that was issued
/// by a release before this one: it has ended at `unknown_end` at the latest.
pub(crate) fn lacks(
    stage: Stage,
    next: &str,
    certificate: Option<&AgentCertificate>,
    unknown_end: Timestamp,
    now: Timestamp,
) -> bool {
    let Some(certificate) = certificate else {
        return now < unknown_end;
    };
    if certificate.ends_at_ms <= now.as_millisecond() {
        return false;
    }
    // Until the agent came with it, the answer that brought it may have been lost.
    !certificate.is_shown
        || match stage {
            Stage::Introduced => !certificate.anchors.iter().any(|anchor| anchor == next),
            Stage::Issuing => certificate.issuer != next,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "old";
    const NEXT: &str = "next";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn certificate(issuer: &str, anchors: &[&str], is_shown: bool) -> AgentCertificate {
        AgentCertificate {
            agent: "agent-1".to_owned(),
            sha256: String::new(),
            issuer: issuer.to_owned(),
            anchors: anchors.iter().map(|anchor| (*anchor).to_owned()).collect(),
            ends_at_ms: 100_000,
            is_shown,
        }
    }

    #[test]
    fn steps_follow_each_other_once_nobody_lacks_anything() {
        let standing = |stage| {
            Some(Standing {
                stage,
                since: at(0),
            })
        };
        assert_eq!(next_step(None, 9, at(0)), Ok(Step::Introduce));
        for (stage, step) in [
            (Stage::Introduced, Step::Issue),
            (Stage::Issuing, Step::Finish),
        ] {
            let until = at(15);
            let early = next_step(standing(stage), 0, at(14));
            assert_eq!(early, Err(NotYet::Settling { until }));
            let lacking = next_step(standing(stage), 2, until);
            assert_eq!(lacking, Err(NotYet::Agents(2)));
            assert_eq!(next_step(standing(stage), 0, until), Ok(step));
        }
    }

    #[test]
    fn an_agent_is_ready_when_it_came_with_what_the_stage_brings() {
        let old = certificate(OLD, &[OLD], true);
        let both = certificate(OLD, &[OLD, NEXT], true);
        let unseen = certificate(OLD, &[OLD, NEXT], false);
        let new = certificate(NEXT, &[OLD, NEXT], true);
        let unseen_new = certificate(NEXT, &[OLD, NEXT], false);
        for (held, introduced, issuing) in [
            (&old, true, true),
            (&unseen, true, true),
            (&both, false, true),
            (&unseen_new, true, true),
            (&new, false, false),
        ] {
            let lacks = |stage| lacks(stage, NEXT, Some(held), at(0), at(50));
            assert_eq!(lacks(Stage::Introduced), introduced, "{held:?}");
            assert_eq!(lacks(Stage::Issuing), issuing, "{held:?}");
        }
    }

    #[test]
    fn certificates_that_ended_hold_up_nothing() {
        for stage in [Stage::Introduced, Stage::Issuing] {
            let old = certificate(OLD, &[OLD], true);
            assert!(lacks(stage, NEXT, Some(&old), at(0), at(99)));
            assert!(!lacks(stage, NEXT, Some(&old), at(0), at(100)));
            assert!(lacks(stage, NEXT, None, at(70), at(69)));
            assert!(!lacks(stage, NEXT, None, at(70), at(70)));
        }
    }
}
