//! What the service manager is told, where one started the program (`Type=notify`): ready, alive,
//! stopping.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use datasync_agent::Phase;
use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// Without a watchdog, how often nothing is done.
const IDLE: Duration = Duration::from_secs(3600);

/// Says that the agent is ready once it has left its start behind, and from then on that it lives,
/// twice in the time that the watchdog gives.
pub(crate) async fn tell(mut phase: watch::Receiver<Phase>) -> Infallible {
    // It is not dropped while the agent runs, and after that nobody waits for this.
    if phase
        .wait_for(|phase| *phase != Phase::Starting)
        .await
        .is_ok()
    {
        told(notify(&[NotifyState::Ready]));
    }
    let allowed = watchdog_enabled();
    let pause = allowed.map_or(IDLE, |allowed| allowed / 2);
    let mut beat = interval(pause.max(Duration::from_millis(1)));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        if allowed.is_some() {
            told(notify(&[NotifyState::Watchdog]));
        }
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
