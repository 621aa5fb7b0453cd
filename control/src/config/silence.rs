//! For how long agents may be silent.

use std::time::Duration;

use super::layers::Layers;
use super::{DAY, in_range};

/// AWS calls an agent OFFLINE after this time.
const OFFLINE_AFTER_MAX: Duration = Duration::from_secs(300);
/// Longer leases than this no agent takes.
const FAILOVER_AFTER_MAX: Duration = DAY;

pub(super) fn lease(layers: &mut Layers) -> (Option<Duration>, Option<Duration>) {
    let heartbeat = layers.parsed("heartbeat_interval_seconds", "15", |text| {
        in_range(text, 1, 60, "seconds").map(Duration::from_secs)
    });
    let offline = layers.parsed("offline_after_seconds", "60", |text| {
        in_range(text, 2, OFFLINE_AFTER_MAX.as_secs(), "seconds").map(Duration::from_secs)
    });
    if let (Some(heartbeat), Some(offline)) = (heartbeat, offline)
        && offline < heartbeat * 2
    {
        layers.fault(
            "offline_after_seconds must be at least twice heartbeat_interval_seconds: \
             one late heartbeat must not take an agent offline",
        );
    }
    (heartbeat, offline)
}

/// Twice `offline_after`, if nothing else is set.
pub(super) fn failover(layers: &mut Layers, offline_after: Option<Duration>) -> Option<Duration> {
    let least = offline_after? * 2;
    let default = least.as_secs().to_string();
    let failover = layers.parsed("failover_after_seconds", &default, |text| {
        in_range(text, 1, FAILOVER_AFTER_MAX.as_secs(), "seconds").map(Duration::from_secs)
    })?;
    if failover < least {
        layers.fault(
            "failover_after_seconds must be at least twice offline_after_seconds: an agent that \
             comes back in time keeps what it runs",
        );
    }
    Some(failover)
}
