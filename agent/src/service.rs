//! What the service manager is told, where one started the program (`Type=notify`): ready, alive,
//! stopping.

use std::convert::Infallible;
use std::io;

use datasync_agent::{Phase, Pulses, feed_watchdog};
use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::sync::watch;

/// Says that the agent is ready once it has left its start behind, and from then on that it lives, as long
/// as its loops do.
pub(crate) async fn tell(mut phase: watch::Receiver<Phase>, pulses: &Pulses) -> Infallible {
    // It is not dropped while the agent runs, and after that nobody waits for this.
    if phase
        .wait_for(|phase| *phase != Phase::Starting)
        .await
        .is_ok()
    {
        told(notify(&[NotifyState::Ready]));
    }
    match watchdog_enabled() {
        Some(allowed) => {
            let alive = || told(notify(&[NotifyState::Watchdog]));
            feed_watchdog(pulses, allowed, alive).await
        }
        None => std::future::pending().await,
    }
}

/// Says that the end was asked for.
pub(crate) fn stopping() {
    told(notify(&[NotifyState::Stopping]));
}

fn told(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}
