//! Activation with a key that control issued beforehand.

use datasync_model::ActivationKey;
use datasync_proto::Activated;

use super::enroll::{EnrollError, Enroller};
use super::tickets;
use crate::backoff;

/// Claims the key and waits for the activation. `None` if the key is worth nothing: it was used,
/// it expired, or control does not know it. Goes on for ever while control cannot be reached.
pub(super) async fn activate(enroller: &Enroller, key: &ActivationKey) -> Option<Activated> {
    let mut failures = 0;
    loop {
        match enroller.claim_key(key).await {
            Ok(ticket) => {
                tracing::info!("the activation key is accepted; waiting for the activation");
                let activated = tickets::await_one(enroller, &ticket).await;
                if activated.is_none() {
                    tracing::error!(
                        "the activation key expired before an agent was created with it; falling back to activation over HTTP"
                    );
                }
                return activated;
            }
            Err(EnrollError::Refused { code, reason }) => {
                tracing::error!(
                    ?code,
                    reason,
                    "control refuses the activation key; issue a new one, or activate over HTTP"
                );
                return None;
            }
            Err(EnrollError::Transient(reason)) => {
                failures += 1;
                let delay = backoff::CONTROL.random_delay(failures);
                tracing::warn!(
                    reason,
                    failures,
                    retry_ms = delay.as_millis(),
                    "cannot claim the activation key"
                );
                tokio::time::sleep(delay).await;
            }
        }
    }
}
