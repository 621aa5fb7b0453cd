//! Waiting for CreateAgent to consume any of the keys that were shown, or for news that it has.

use std::collections::VecDeque;
use std::time::Duration;

use datasync_model::KEY_LIFETIME_SECONDS;
use datasync_proto::Activated;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::enroll::{EnrollError, Enroller, Ticket};
use crate::{backoff, identity};

/// What may lead to the activation.
#[derive(Debug)]
pub(super) enum Lead {
    /// A key was handed out.
    Ticket(Ticket),
    /// An agent may have been created with this key pair unnoticed: before a restart, or with a
    /// key whose ticket is gone.
    KeyPair,
}

/// Tickets waited for at once; the oldest goes when one more comes.
pub(super) const LIVE_MAX: usize = 8;

/// Longer than a key lives, so that a CreateAgent in the last second is still seen.
const TICKET_LIFE: Duration = Duration::from_secs(KEY_LIFETIME_SECONDS + 120);

/// Control answers at once although nothing happened: do not spin.
const PAUSE: Duration = Duration::from_millis(500);

/// Follows leads until one of them ends in the activation; `None` once no more can come.
pub(super) async fn await_any(
    enroller: &Enroller,
    mut leads: mpsc::Receiver<Lead>,
) -> Option<Activated> {
    let mut waiting = JoinSet::new();
    let mut live: VecDeque<AbortHandle> = VecDeque::new();
    let first = enroller.clone();
    live.push_back(waiting.spawn(async move { follow(&first, Lead::KeyPair).await }));
    loop {
        tokio::select! {
            lead = leads.recv() => {
                live.retain(|handle| !handle.is_finished());
                if live.len() == LIVE_MAX && let Some(oldest) = live.pop_front() {
                    oldest.abort();
                }
                let enroller = enroller.clone();
                let lead = lead?;
                live.push_back(waiting.spawn(async move { follow(&enroller, lead).await }));
            }
            Some(ended) = waiting.join_next() => {
                if let Ok(Some(activated)) = ended {
                    return Some(activated);
                }
            }
        }
    }
}

async fn follow(enroller: &Enroller, lead: Lead) -> Option<Activated> {
    match lead {
        Lead::Ticket(ticket) => await_one(enroller, &ticket).await,
        Lead::KeyPair => regain(enroller).await,
    }
}

/// Asks for a certificate as the agent that has this key pair; `None` if control knows none.
async fn regain(enroller: &Enroller) -> Option<Activated> {
    let deadline = Instant::now() + TICKET_LIFE;
    let mut failures = 0;
    while Instant::now() < deadline {
        match enroller.renew().await {
            Ok(issued) => match identity::agent_named_in(&issued.certificate_chain) {
                Ok(agent) => {
                    return Some(Activated {
                        agent_arn: agent.to_string(),
                        certificate_chain: issued.certificate_chain,
                        trust_anchors: issued.trust_anchors,
                    });
                }
                Err(error) => {
                    tracing::error!(%error, "cannot become the agent of this key pair");
                    return None;
                }
            },
            Err(EnrollError::Refused { reason, .. }) => {
                tracing::info!(reason, "no agent has this key pair yet");
                return None;
            }
            Err(EnrollError::Transient(reason)) => {
                failures += 1;
                tracing::warn!(
                    reason,
                    failures,
                    "cannot ask control for this key pair's agent"
                );
                tokio::time::sleep(backoff::CONTROL.random_delay(failures)).await;
            }
        }
    }
    None
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
