//! What the service manager is told, where one started the program (`Type=notify`): ready, alive,
//! stopping.

use std::convert::Infallible;
use std::io;

use datasync_telemetry::{Pulses, feed_watchdog};
use sd_notify::{NotifyState, notify, watchdog_enabled};

/// Says that control serves, and from then on that it lives, as long as its loops do.
pub(super) async fn tell(pulses: &Pulses) -> Infallible {
    told(notify(&[NotifyState::Ready]));
    match watchdog_enabled() {
        Some(allowed) => {
            let alive = || told(notify(&[NotifyState::Watchdog]));
            feed_watchdog(pulses, allowed, alive).await
        }
        None => std::future::pending().await,
    }
}

/// Says that the end was asked for.
pub(super) fn stopping() {
    told(notify(&[NotifyState::Stopping]));
}

fn told(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
