//! A session takes its agent over from whatever replica of control had it.

use std::sync::Arc;

use datasync_model::AgentArn;
use tonic::Status;

use super::lease::Facts;
use super::session::superseded;
use super::{Fleet, lock, wall};

/// While it exists the driver leaves the agent's row alone: it may say already that the agent is
/// here, where nothing was heard of it yet.
pub(super) struct Claim {
    fleet: Arc<Fleet>,
    agent: AgentArn,
}

impl Claim {
    pub(super) fn new(fleet: &Arc<Fleet>, agent: &AgentArn) -> Self {
        if !fleet.replica.alone {
            *lock(&fleet.claiming).entry(agent.clone()).or_default() += 1;
        }
        Self {
            fleet: fleet.clone(),
            agent: agent.clone(),
        }
    }

    /// Writes the claim, if there may be other replicas; the generation that has it.
    ///
    /// # Errors
    /// The status that ends the session: another machine acts as the agent, or the store is away.
    pub(super) async fn take(&self, facts: &Facts) -> Result<u64, Status> {
        let (fleet, agent) = (&self.fleet, &self.agent);
        if fleet.replica.alone {
            return Ok(0);
        }
        // Another replica may have told it meanwhile.
        lock(&fleet.untold).retain(|_, of| of != agent);
        let name = fleet.replica.name.clone();
        let claimed = fleet.rows.claim(agent, name, facts.clone(), wall()).await;
        let claimed = claimed.map_err(|error| {
            tracing::error!(%agent, %error, "an agent's row cannot be written");
            Status::unavailable("control's store cannot be used: try again later")
        })?;
        if let Err(lost) = &claimed {
            tracing::warn!(%agent, winner_boot_nonce = lost.boot_nonce,
                loser_boot_nonce = facts.boot_nonce,
                "two machines use the identity of one agent: the one that was started last wins; \
                 activate the other one as an agent of its own");
            fleet.note_clone(agent).await;
        }
        claimed.map_err(|_| superseded())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claiming = lock(&self.fleet.claiming);
        if let Some(count) = claiming.get_mut(&self.agent) {
            *count -= 1;
            if *count == 0 {
                claiming.remove(&self.agent);
            }
        }
    }
}
