//! Credentials of an execution: waited for, and watched until they run out.

use std::time::{Duration, SystemTime};

use datasync_model::{Failure, Location, LocationArn};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Runner;
use crate::credentials::{Availability, last_use};
use crate::endpoints::needs_keys;

/// How long control may answer that it has no credentials before that counts: a role may become
/// usable a moment after it was made.
const DENIAL_PATIENCE: Duration = Duration::from_secs(30);
/// Expiry is looked at this often: wall time jumps, so no timer runs to it.
const EXPIRY_CHECK: Duration = Duration::from_secs(5);

impl Runner {
    pub(super) async fn await_credentials(&self, location: &Location) -> Result<(), Failure> {
        if !needs_keys(location) {
            return Ok(());
        }
        let keys = self.await_keys(location.arn()).await;
        keys.map_err(|reason| self.endpoints.no_credentials(location, &reason))
    }

    /// Waits for credentials, for ever while their giver is silent.
    ///
    /// # Errors
    /// Why there are none.
    pub(in crate::executions) async fn await_keys(&self, arn: &LocationArn) -> Result<(), String> {
        let store = self.endpoints.credentials();
        let mut changes = store.changes();
        let mut denied_since: Option<Instant> = None;
        loop {
            changes.mark_unchanged();
            let waited = match store.availability(arn, SystemTime::now()) {
                Availability::Usable(_) => return Ok(()),
                Availability::Missing => {
                    tracing::info!(location_arn = %arn, "waiting for credentials");
                    changes.changed().await
                }
                Availability::Denied(reason) => {
                    let since = *denied_since.get_or_insert_with(Instant::now);
                    match tokio::time::timeout_at(since + DENIAL_PATIENCE, changes.changed()).await
                    {
                        Ok(changed) => changed,
                        Err(_) => return Err(reason),
                    }
                }
            };
            if waited.is_err() {
                return Err("the agent is stopping".to_owned());
            }
        }
    }

    /// Fires `pause` when the credentials of a side run out and no others have come.
    pub(super) async fn pause_at_expiry(&self, sides: [&Location; 2], pause: &CancellationToken) {
        let [source, destination] = sides;
        tokio::select! {
            () = self.expiry(source) => {}
            () = self.expiry(destination) => {}
        }
        pause.cancel();
    }

    /// Ends when the credentials of `location` have run out and no others have come.
    async fn expiry(&self, location: &Location) {
        if !needs_keys(location) {
            return std::future::pending().await;
        }
        let location = location.arn();
        let store = self.endpoints.credentials();
        let mut usable_until = None;
        loop {
            let now = SystemTime::now();
            match store.availability(location, now) {
                Availability::Usable(expiry) => usable_until = expiry,
                Availability::Missing | Availability::Denied(_) => {
                    let expired = usable_until.is_some_and(|expiry| now >= last_use(expiry));
                    if expired {
                        tracing::warn!(
                            location_arn = %location,
                            event = "execution.paused",
                            "credentials expired and no others have come; pausing the execution"
                        );
                        return;
                    }
                }
            }
            tokio::time::sleep(EXPIRY_CHECK).await;
        }
    }
}
