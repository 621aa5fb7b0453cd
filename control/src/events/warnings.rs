//! What is told before something breaks: raised once, and cleared once it is clearly over. Pure.

use crate::records::{AgentPresence, Life, Warning, WarningKind};

/// A state directory with less free than this share of its disk, or than this many bytes, is low.
const DISK_SHARE: u64 = 10;
const DISK_BYTES: u64 = 2 << 30;
/// A certificate that was not renewed with this share of its life left will not be.
const LIFE_SHARE: i64 = 6;
/// Agents whose machines have met lately. A refused one tries again within minutes.
const CLONE_LATELY_MS: i64 = 15 * 60 * 1000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// However long a certificate lives, this is early enough.
const SERVER_LEFT_MAX_MS: i64 = 30 * DAY_MS;
const AUTHORITY_LEFT_MAX_MS: i64 = 180 * DAY_MS;

/// A warning that is raised or cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) is_raised: bool,
    pub(super) warning: Warning,
}

/// What holds now, `None` where nobody knows, and what is said of it.
type Finding = (WarningKind, Option<bool>, String);

/// The warnings that hold now, and which of them are news after `before`.
fn changes(before: &[WarningKind], findings: Vec<Finding>) -> (Vec<WarningKind>, Vec<Change>) {
    let (mut raised, mut changes) = (Vec::new(), Vec::new());
    for (kind, holds, message) in findings {
        let was = before.contains(&kind);
        let holds = holds.unwrap_or(was);
        if holds {
            raised.push(kind);
        }
        if holds != was {
            changes.push(Change {
                is_raised: holds,
                warning: Warning { kind, message },
            });
        }
    }
    (raised, changes)
}

/// Of an agent that was heard of.
pub(super) fn of_agent(
    before: &[WarningKind],
    presence: &AgentPresence,
    now_ms: i64,
) -> (Vec<WarningKind>, Vec<Change>) {
    let was = |kind| before.contains(&kind);
    let (disk, low) = disk(presence, was(WarningKind::StateDiskLow));
    let kind = WarningKind::CertificateExpiring;
    let life = presence.certificate;
    let expiring = life.map(|life| is_expiring(life, i64::MAX, was(kind), now_ms));
    let clone = presence.clone_seen_ms;
    let cloned = clone.is_some_and(|seen| now_ms.saturating_sub(seen) < CLONE_LATELY_MS);
    let findings = vec![
        (WarningKind::StateDiskLow, low, disk),
        (kind, expiring, life.map(ends).unwrap_or_default()),
        (
            WarningKind::CloneDetected,
            Some(cloned),
            "two machines use the agent's identity: the one that was started last acts as the agent; \
             activate the other one as an agent of its own"
                .to_owned(),
        ),
    ];
    changes(before, findings)
}

/// Of control's own certificates.
pub(super) fn of_control(
    before: &[WarningKind],
    (server, authority): (&[Life], Life),
    now_ms: i64,
) -> (Vec<WarningKind>, Vec<Change>) {
    let server_kind = WarningKind::ServerCertificateExpiring;
    let authority_kind = WarningKind::AuthorityExpiring;
    let was = before.contains(&server_kind);
    let first = server.iter().min_by_key(|life| life.until_ms).copied();
    let expiring = first.map(|life| is_expiring(life, SERVER_LEFT_MAX_MS, was, now_ms));
    let was = before.contains(&authority_kind);
    let ending = is_expiring(authority, AUTHORITY_LEFT_MAX_MS, was, now_ms);
    let findings = vec![
        (server_kind, expiring, first.map(ends).unwrap_or_default()),
        (authority_kind, Some(ending), ends(authority)),
    ];
    changes(before, findings)
}

/// Whether little of a life is left: a sixth, or `left_max_ms`. It is over once a fifth more is.
fn is_expiring(life: Life, left_max_ms: i64, was: bool, now_ms: i64) -> bool {
    let whole = life.until_ms.saturating_sub(life.from_ms).max(0);
    let limit = (whole / LIFE_SHARE).min(left_max_ms);
    let limit = if was { limit + limit / 5 } else { limit };
    life.until_ms.saturating_sub(now_ms) < limit
}

fn ends(life: Life) -> String {
    let until = jiff::Timestamp::from_millisecond(life.until_ms).unwrap_or_default();
    format!("the certificate ends at {until}")
}

/// It is low below the bound, and no longer so half as much above it.
fn disk(presence: &AgentPresence, was: bool) -> (String, Option<bool>) {
    let number = |name: &str| presence.host.as_ref()?.get(name)?.as_u64();
    let total = number("state_disk_total_bytes").filter(|total| *total > 0);
    let (Some(total), Some(free)) = (total, number("state_disk_available_bytes")) else {
        return (String::new(), None);
    };
    let limit = (total / DISK_SHARE).min(DISK_BYTES);
    let limit = if was { limit + limit / 2 } else { limit };
    let text =
        format!("{free} of {total} bytes are free on the disk of the agent's state directory");
    (text, Some(free < limit))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use WarningKind::{AuthorityExpiring, CertificateExpiring, CloneDetected};
    use WarningKind::{ServerCertificateExpiring, StateDiskLow};

    const GIB: u64 = 1 << 30;

    fn presence(free: u64, certificate: Option<Life>, clone_seen_ms: Option<i64>) -> AgentPresence {
        AgentPresence {
            host: Some(json!({
                "state_disk_total_bytes": 10 * GIB,
                "state_disk_available_bytes": free,
            })),
            certificate,
            clone_seen_ms,
            ..crate::fleet::fixture::presence(0)
        }
    }

    fn kinds(changes: &[Change]) -> Vec<(WarningKind, bool)> {
        changes
            .iter()
            .map(|change| (change.warning.kind, change.is_raised))
            .collect()
    }

    /// Each step is news or not, given what was raised before.
    fn told(steps: &[(AgentPresence, i64)]) -> Vec<Vec<(WarningKind, bool)>> {
        let mut raised = Vec::new();
        let step = |(presence, now_ms): &(AgentPresence, i64)| {
            let (now, changes) = of_agent(&raised, presence, *now_ms);
            raised = now;
            kinds(&changes)
        };
        steps.iter().map(step).collect()
    }

    #[test]
    fn a_disk_is_low_once_and_well_again_once() {
        let at = |free: u64| (presence(free, None, None), 0);
        let told = told(&[
            at(GIB),
            at(GIB - 1),
            at(GIB + GIB / 3),
            at(GIB / 2),
            at(GIB + GIB / 2),
            at(GIB),
        ]);
        let (raised, cleared) = (vec![(StateDiskLow, true)], vec![(StateDiskLow, false)]);
        assert_eq!(told, [vec![], raised, vec![], vec![], cleared, vec![]]);
        let unknown = AgentPresence {
            host: None,
            ..presence(0, None, None)
        };
        assert_eq!(
            of_agent(&[StateDiskLow], &unknown, 0),
            (vec![StateDiskLow], vec![])
        );
    }

    #[test]
    fn a_certificate_that_is_not_renewed_is_told_until_it_is() {
        let life = |from_ms| {
            Some(Life {
                from_ms,
                until_ms: from_ms + 30 * DAY_MS,
            })
        };
        let at = |from_ms, now_ms| (presence(5 * GIB, life(from_ms), None), now_ms);
        let told = told(&[
            at(0, 25 * DAY_MS),
            at(0, 25 * DAY_MS + 1),
            at(0, 29 * DAY_MS),
            at(29 * DAY_MS, 29 * DAY_MS),
        ]);
        let kind = CertificateExpiring;
        assert_eq!(
            told,
            [vec![], vec![(kind, true)], vec![], vec![(kind, false)]]
        );
    }

    #[test]
    fn a_clone_is_told_while_it_tries_and_a_while_longer() {
        let at = |seen, now_ms| (presence(5 * GIB, None, Some(seen)), now_ms);
        let told = told(&[
            at(1000, 1000),
            at(1000, 1000 + CLONE_LATELY_MS - 1),
            at(CLONE_LATELY_MS, 1000 + CLONE_LATELY_MS),
            at(CLONE_LATELY_MS, 2 * CLONE_LATELY_MS),
        ]);
        let kind = CloneDetected;
        assert_eq!(
            told,
            [vec![(kind, true)], vec![], vec![], vec![(kind, false)]]
        );
    }

    #[test]
    fn controls_own_certificates_are_told_in_time() {
        let life = |days: i64| Life {
            from_ms: 0,
            until_ms: days * DAY_MS,
        };
        let of = |before: &[WarningKind], server: i64, authority: i64, day: i64| {
            let (_, changes) = of_control(before, (&[life(server)], life(authority)), day * DAY_MS);
            kinds(&changes)
        };
        assert_eq!(of(&[], 365, 3650, 335), []);
        assert_eq!(of(&[], 365, 3650, 336), [(ServerCertificateExpiring, true)]);
        assert_eq!(of(&[], 90, 3650, 76), [(ServerCertificateExpiring, true)]);
        assert_eq!(of(&[], 90, 3650, 74), []);
        assert_eq!(of(&[], 9000, 3650, 3471), [(AuthorityExpiring, true)]);
        assert_eq!(
            of(&[AuthorityExpiring], 9000, 7300, 3471),
            [(AuthorityExpiring, false)]
        );
    }
}
