//! Where fleet and scheduler meet control's rows.

mod snapshot;
mod writes;

use std::sync::Arc;

use datasync_model::{AgentArn, AgentStatus};
use datasync_proto::Generation;
use jiff::Timestamp;
use tokio::sync::watch;

use super::abandoned::Abandoned;
use super::desired::{NeededStore, RoleUse};
use super::inbox::Reported;
use super::lease::Facts;
use super::probes::Verdict;
use super::views::Snapshot;
use crate::config::Role;
use crate::credentials::{CredentialService, CredentialsError, Keys};
use crate::records::{Agent, AgentPresence};
use crate::scheduler::Launch;
use crate::store::{Store, StoreError};

/// What the rows do not say but the configuration does.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) default_agents: Vec<AgentArn>,
    pub(crate) region: String,
    pub(crate) roles: Vec<Role>,
}

/// Access to the rows.
#[derive(Debug)]
pub(crate) struct Rows {
    store: Store,
    credentials: Arc<CredentialService>,
    surroundings: Surroundings,
}

/// What a lease says that a row does not say yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PresenceChange {
    pub(super) agent: AgentArn,
    pub(super) status: AgentStatus,
    /// Absent where nothing was heard since control started: the row keeps what it knows.
    pub(super) heard: Option<(Timestamp, Facts)>,
}

/// Everything one round of the driver writes, in one commit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Changes {
    pub(super) presence: Vec<PresenceChange>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) reports: Vec<Reported>,
    pub(super) abandoned: Vec<Abandoned>,
    pub(super) launches: Vec<Launch>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Rows {
    pub(crate) fn new(
        store: Store,
        credentials: Arc<CredentialService>,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            store,
            credentials,
            surroundings,
        }
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }

    /// The fingerprint of the key that may act as `agent`; `None` if there is no such agent.
    pub(super) async fn agent_key(&self, agent: &AgentArn) -> Result<Option<String>, StoreError> {
        let id = agent.id().to_owned();
        let row = self.store.read(move |rows| rows.get::<Agent>(&id)).await?;
        Ok(row
            .filter(|row| row.record.arn == *agent)
            .and_then(|row| row.record.public_key_fingerprint))
    }

    pub(super) async fn keys_for(
        &self,
        needed: &NeededStore,
        now: Timestamp,
    ) -> Result<Keys, CredentialsError> {
        let store = &needed.location;
        match &needed.role {
            None => self.credentials.keys_for(store, now).await,
            Some(RoleUse { arn, purpose, path }) => {
                let role = (arn.as_str(), *purpose);
                let keys = self.credentials.keys_for_role(store, path, role, now);
                keys.await
            }
        }
    }

    /// Everything the decisions need, of one moment.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let surroundings = self.surroundings.clone();
        self.store
            .read(move |rows| snapshot::read(rows, &surroundings))
            .await
    }

    /// Writes `changes`, each after a look at its row as it is now.
    pub(super) async fn apply(&self, changes: Changes, now: Timestamp) -> Result<(), StoreError> {
        self.store
            .commit(move |rows| {
                for change in &changes.presence {
                    writes::write_presence(rows, change)?;
                }
                for verdict in changes.verdicts {
                    writes::write_verdict(rows, verdict)?;
                }
                for reported in changes.reports {
                    writes::write_report(rows, &reported, now)?;
                }
                for abandoned in &changes.abandoned {
                    writes::end_abandoned(rows, abandoned, now)?;
                }
                for launch in &changes.launches {
                    writes::write_launch(rows, launch, now)?;
                }
                Ok(())
            })
            .await
    }

    /// Begins the incarnation `next` if `applied` is of the present one and ahead of the store:
    /// then the store is older than what an agent was told from it. Whether it did.
    pub(super) async fn outdated_by(
        &self,
        applied: &Generation,
        next: String,
    ) -> Result<bool, StoreError> {
        let applied = applied.clone();
        self.store
            .commit(move |rows| {
                let own = rows.generation()?;
                let ahead =
                    own.incarnation == applied.incarnation && own.number < applied.generation;
                if ahead {
                    rows.set_incarnation(&next)?;
                }
                Ok(ahead)
            })
            .await
    }

    /// Raises the generation where no row changed: agents are asked something that lives in
    /// memory. Every commit that writes a row raises it.
    pub(super) async fn raise_generation(&self, agent: &str) -> Result<(), StoreError> {
        let arn = agent.to_owned();
        self.store
            .commit(move |rows| {
                let id = arn.rsplit('/').next().unwrap_or_default();
                match rows.get::<AgentPresence>(id)? {
                    Some(row) => rows.update(&row),
                    None => Ok(()),
                }
            })
            .await
    }
}
