//! Where fleet and scheduler meet control's rows.

mod agents;
mod located;
mod releases;
mod snapshot;
mod walk;
mod writes;

use std::collections::BTreeSet;
use std::sync::Arc;

use datasync_model::{AgentArn, AgentStatus, Location};
use datasync_proto::{Generation, ReportCountersigned};
use jiff::Timestamp;
use tokio::sync::watch;

use super::abandoned::Abandoned;
use super::desired::{KeyUse, NeededStore, RoleUse};
use super::inbox::Reported;
use super::lease::{Contact, Facts};
use super::probes::Verdict;
use super::replica::{LostTo, claimed};
use super::views::{AgentKey, AgentView, Snapshot};
use crate::config::Role;
use crate::credentials::{CredentialService, CredentialsError, Keys};
use crate::logs::{self, Part};
use crate::records::{Agent, AgentCertificate, AgentPresence};
use crate::reports::{Countersigner, Signed, SigningError};
use crate::scheduler::{self, Launch};
use crate::store::{Store, StoreError, Versioned};
pub(super) use snapshot::Look;
pub(super) use walk::Walk;

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
    countersigner: Countersigner,
    surroundings: Surroundings,
}

/// What a lease says that a row does not say yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PresenceChange {
    pub(super) agent: AgentArn,
    pub(super) status: AgentStatus,
    /// Absent where nothing was heard since control started: the row keeps what it knows.
    pub(super) heard: Option<Heard>,
    /// The row as it was seen: one that another replica has written since is left alone.
    pub(super) seen: Seen,
}

/// What was heard of an agent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Heard {
    pub(super) at: Timestamp,
    pub(super) facts: Facts,
    /// The longest lease that is counted from it, in milliseconds.
    pub(super) lease_ms: u64,
    pub(super) contact: Contact,
}

/// What tells whether an agent's row is still what a decision was about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    replica: String,
    last_contact: Option<Timestamp>,
}

impl Seen {
    pub(crate) fn of(view: &AgentView) -> Self {
        Self {
            replica: view.replica.clone(),
            last_contact: view.last_connection,
        }
    }
}

/// Everything one round of the driver writes, in one commit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Changes {
    pub(super) presence: Vec<PresenceChange>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) reports: Vec<Reported>,
    pub(super) abandoned: Vec<Abandoned>,
    pub(super) launches: Vec<Launch>,
    /// The generation that they were decided by.
    pub(super) decided_by: u64,
    /// The agents that were gone then.
    pub(super) gone: BTreeSet<AgentKey>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        let nothing = Self {
            decided_by: self.decided_by,
            gone: self.gone.clone(),
            ..Self::default()
        };
        *self == nothing
    }
}

impl Rows {
    pub(crate) fn new(
        store: Store,
        credentials: Arc<CredentialService>,
        countersigner: Countersigner,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            store,
            credentials,
            countersigner,
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

    /// Remembers that `agent` came with the certificate that it was given last, if it is that one,
    /// and answers what is known of it.
    pub(super) async fn certificate_shown(
        &self,
        agent: &AgentArn,
        sha256: &str,
    ) -> Result<Option<AgentCertificate>, StoreError> {
        let id = agent.id().to_owned();
        let read = self
            .store
            .read(move |rows| rows.get::<AgentCertificate>(&id));
        let known: Option<Versioned<AgentCertificate>> = read.await?;
        let Some(mut row) = known.filter(|row| row.record.sha256 == sha256) else {
            return Ok(None);
        };
        if !row.record.is_shown {
            row.record.is_shown = true;
            let shown = row.clone();
            match self.store.commit(move |rows| rows.update(&shown)).await {
                // It was given another one meanwhile: that one counts.
                Ok(()) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(row.record))
    }

    pub(super) async fn keys_for(
        &self,
        needed: &NeededStore,
        now: Timestamp,
    ) -> Result<Keys, CredentialsError> {
        match (&needed.location, &needed.usage) {
            (Location::S3(store), KeyUse::Location(rights)) => {
                self.credentials.keys_for(store, *rights, now).await
            }
            (Location::S3(store), KeyUse::Role(RoleUse { arn, purpose, path })) => {
                let role = (arn.as_str(), *purpose);
                let keys = self.credentials.keys_for_role(store, path, role, now);
                keys.await
            }
            (Location::Efs(efs), KeyUse::Location(rights)) => {
                let keys = self.credentials.keys_for_file_system(efs, *rights, now);
                keys.await
            }
            (Location::Nfs(_) | Location::Efs(_), _) => {
                let arn = needed.location.arn();
                let why = format!("location {arn} is a file system and has no such credentials");
                Err(CredentialsError::Refused(why))
            }
        }
    }

    pub(super) async fn countersign(
        &self,
        signed: &Signed,
        now: Timestamp,
    ) -> Result<ReportCountersigned, SigningError> {
        self.countersigner.sign(signed, now).await
    }

    /// What the decisions of one round need, of one moment, and where the next look begins.
    pub(super) async fn snapshot(&self, look: Look) -> Result<(Snapshot, Walk), StoreError> {
        let surroundings = self.surroundings.clone();
        self.store
            .read(move |rows| snapshot::read(rows, &surroundings, &look))
            .await
    }

    /// Writes `changes`, each after a look at its row as it is now; says what it launched. What
    /// would be launched is planned anew, by the same `look`, if anything has changed since: another
    /// replica may have launched, too.
    pub(super) async fn apply(
        &self,
        changes: Changes,
        look: Look,
        now: Timestamp,
    ) -> Result<Vec<Launch>, StoreError> {
        let surroundings = self.surroundings.clone();
        self.store
            .commit(move |rows| {
                let is_fresh = rows.generation()?.number == changes.decided_by;
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
                let mut launches = changes.launches;
                if !is_fresh && !launches.is_empty() {
                    let (mut snapshot, _) = snapshot::read(rows, &surroundings, &look)?;
                    for (agent, view) in &mut snapshot.agents {
                        view.gone = changes.gone.contains(agent);
                    }
                    let plan = scheduler::plan(&snapshot, look.executions_per_agent);
                    launches.retain(|launch| plan.contains(launch));
                }
                let mut launched = Vec::new();
                for launch in launches {
                    if writes::write_launch(rows, &launch, now)? {
                        launched.push(launch);
                    }
                }
                Ok(launched)
            })
            .await
    }

    /// Keeps a part of a log; the number of the next line that is wanted.
    pub(super) async fn keep_log(&self, agent: &AgentArn, part: Part) -> Result<u64, StoreError> {
        let agent = agent.clone();
        self.store
            .commit(move |rows| logs::keep(rows, &agent, part))
            .await
    }

    /// Says in the agent's row that it is connected to `replica`. The generation that says so, or
    /// the machine that the agent's machine lost against.
    pub(super) async fn claim(
        &self,
        agent: &AgentArn,
        replica: String,
        facts: Facts,
        now: Timestamp,
    ) -> Result<Result<u64, LostTo>, StoreError> {
        let agent = agent.clone();
        self.store
            .commit(move |rows| {
                let next = rows.generation()?.number + 1;
                if rows.get::<Agent>(agent.id())?.is_none() {
                    return Ok(Ok(next));
                }
                let row = rows.get::<AgentPresence>(agent.id())?;
                let (version, before) = match row {
                    Some(row) => (Some(row.version), Some(row.record)),
                    None => (None, None),
                };
                let record = match claimed(&agent, before, &replica, &facts, now) {
                    Ok(record) => record,
                    Err(lost) => return Ok(Err(lost)),
                };
                match version {
                    Some(version) => rows.update(&Versioned { version, record })?,
                    None => rows.insert(&record)?,
                }
                Ok(Ok(next))
            })
            .await
    }

    /// Says in the agent's row that another machine with its identity was refused; at most once a
    /// minute.
    pub(super) async fn note_clone(
        &self,
        agent: &AgentArn,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let agent = agent.clone();
        self.store
            .commit(move |rows| writes::write_clone(rows, &agent, now.as_millisecond()))
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

#[cfg(test)]
mod tests;
