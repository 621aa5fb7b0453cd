//! Waiting for CreateAgent to consume any of the keys that were shown.

use std::collections::VecDeque;
use std::time::Duration;

use datasync_model::KEY_LIFETIME_SECONDS;
use datasync_proto::Activated;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::enroll::{EnrollError, Enroller, Ticket};
use crate::backoff;

/// Tickets waited for at once; the oldest goes when one more comes.
pub(super) const LIVE_MAX: usize = 8;

/// Longer than a key lives, so that a CreateAgent in the last second is still seen.
const TICKET_LIFE: Duration = Duration::from_secs(KEY_LIFETIME_SECONDS + 120);

/// Control answers at once although nothing happened: do not spin.
const PAUSE: Duration = Duration::from_millis(500);

/// Takes tickets until one of them is activated; `None` once no more tickets can come.
pub(super) async fn await_any(
    enroller: &Enroller,
    mut tickets: mpsc::Receiver<Ticket>,
) -> Option<Activated> {
    let mut waiting = JoinSet::new();
    let mut live: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        tokio::select! {
            ticket = tickets.recv() => {
                live.retain(|handle| !handle.is_finished());
                if live.len() == LIVE_MAX && let Some(oldest) = live.pop_front() {
                    oldest.abort();
                }
                let enroller = enroller.clone();
                let ticket = ticket?;
                live.push_back(waiting.spawn(async move { await_one(&enroller, &ticket).await }));
            }
            Some(ended) = waiting.join_next() => {
                if let Ok(Some(activated)) = ended {
                    return Some(activated);
                }
            }
        }
    }
}

/// `None` once the ticket is worth nothing any more.
pub(super) async fn await_one(enroller: &Enroller, ticket: &Ticket) -> Option<Activated> {
    let deadline = Instant::now() + TICKET_LIFE;
    let mut failures = 0;
    while Instant::now() < deadline {
        let pause = match enroller.await_activation(ticket).await {
            Ok(Some(activated)) => return Some(activated),
            Ok(None) => {
                failures = 0;
                PAUSE
            }
            Err(EnrollError::Refused { reason, .. }) => {
                tracing::info!(reason, "an activation key is no longer waited for");
                return None;
            }
            Err(EnrollError::Transient(reason)) => {
                failures += 1;
                tracing::warn!(reason, failures, "cannot ask control for the activation");
                backoff::CONTROL.random_delay(failures)
            }
        };
        tokio::time::sleep(pause).await;
    }
    None
}
