//! Where fleet and scheduler meet control's rows.

mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;

use datasync_model::{self as model, AgentArn, AgentStatus, ErrorCode, Failure, LocationArn};
use datasync_proto::Generation;
use jiff::Timestamp;
use tokio::sync::watch;

use super::abandoned::Abandoned;
use super::inbox::Reported;
use super::lease::Facts;
use super::probes::Verdict;
use super::views::{AgentKey, AgentView, LiveExecution, Snapshot, TaskView};
use crate::config::Role;
use crate::credentials::{CredentialService, CredentialsError, Keys, address};
use crate::records::{
    Agent, AgentPresence, Eligible, Execution, Location, LocationDetails, StoreAddress, Task,
};
use crate::scheduler::Launch;
use crate::store::{Store, StoreError, Transaction};

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
        location: &LocationArn,
        now: Timestamp,
    ) -> Result<Keys, CredentialsError> {
        self.credentials.keys_for(location, now).await
    }

    /// Everything the decisions need, of one moment.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let surroundings = self.surroundings.clone();
        self.store
            .read(move |rows| snapshot(rows, &surroundings))
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

fn snapshot(rows: &Transaction<'_>, surroundings: &Surroundings) -> Result<Snapshot, StoreError> {
    let generation = rows.generation()?;
    let mut agents = BTreeMap::new();
    for row in rows.list::<Agent>(None, usize::MAX)? {
        if row.record.public_key_fingerprint.is_none() {
            continue;
        }
        let presence = rows.get::<AgentPresence>(row.record.arn.id())?;
        let view = agent_view(row.record.arn, presence.map(|row| row.record));
        agents.insert(view.arn.to_string(), view);
    }
    let locations: BTreeMap<String, Location> = rows
        .list::<Location>(None, usize::MAX)?
        .into_iter()
        .map(|row| (row.record.arn.id().to_owned(), row.record))
        .collect();
    let mut tasks = Vec::new();
    for row in rows.list::<Task>(None, usize::MAX)? {
        tasks.push(task_view(
            rows,
            surroundings,
            row.record,
            &locations,
            &agents,
        )?);
    }
    let executions = rows
        .live_executions()?
        .into_iter()
        .map(|row| live_execution(row.record, &agents))
        .collect();
    Ok(Snapshot {
        incarnation: generation.incarnation,
        generation: generation.number,
        agents,
        tasks,
        executions,
    })
}

fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default()
}

fn agent_view(arn: AgentArn, presence: Option<AgentPresence>) -> AgentView {
    match presence {
        Some(presence) => AgentView {
            arn,
            online: presence.reported == AgentStatus::Online,
            last_connection: Some(timestamp(presence.last_contact_ms)),
            version: presence.version,
        },
        None => AgentView {
            arn,
            online: false,
            last_connection: None,
            version: String::new(),
        },
    }
}

fn expand(eligible: &Eligible, agents: &BTreeMap<AgentKey, AgentView>) -> Vec<AgentArn> {
    match eligible {
        Eligible::Any => agents.values().map(|view| view.arn.clone()).collect(),
        Eligible::Only(only) => only.clone(),
    }
}

fn task_view(
    rows: &Transaction<'_>,
    surroundings: &Surroundings,
    task: Task,
    locations: &BTreeMap<String, Location>,
    agents: &BTreeMap<AgentKey, AgentView>,
) -> Result<TaskView, StoreError> {
    let source = locations.get(task.source.id());
    let destination = locations.get(task.destination.id());
    let eligible = match (source, destination) {
        (Some(source), Some(destination)) => {
            let eligible = Eligible::of(source, destination, &surroundings.default_agents);
            expand(&eligible, agents)
        }
        _ => Vec::new(),
    };
    let sides = match usable(rows, surroundings, &task.source, source)? {
        Err(failure) => Err(failure),
        Ok(source) => usable(rows, surroundings, &task.destination, destination)?
            .map(|destination| [source, destination]),
    };
    Ok(TaskView {
        status: task.readiness.status(),
        failure: task.readiness.failure().cloned(),
        created: timestamp(task.created_at_ms),
        eligible,
        sides,
        arn: task.arn,
    })
}

/// A location as agents take it, or why no agent can.
fn usable(
    rows: &Transaction<'_>,
    surroundings: &Surroundings,
    arn: &LocationArn,
    location: Option<&Location>,
) -> Result<Result<model::Location, Failure>, StoreError> {
    let Some(location) = location else {
        return Ok(Err(Failure::new(
            ErrorCode::InvalidConfiguration,
            format!("Location {arn} is not found: it was deleted"),
        )));
    };
    let store = match &location.details {
        LocationDetails::S3(s3) => address(&surroundings.roles, rows, &s3.role_arn)?,
        _ => StoreAddress::default(),
    };
    Ok(location
        .to_model(&store, &surroundings.region)
        .ok_or_else(|| {
            Failure::new(
                ErrorCode::NotSupported,
                format!(
                    "location {arn} ({}): this release cannot read or write EFS locations, since \
                     it speaks NFSv3 only and EFS speaks NFSv4",
                    location.uri()
                ),
            )
        }))
}

fn live_execution(execution: Execution, agents: &BTreeMap<AgentKey, AgentView>) -> LiveExecution {
    LiveExecution {
        arn: execution.arn().clone(),
        status: execution.status,
        agent: execution.agent,
        eligible: expand(&execution.eligible, agents),
        requested: timestamp(execution.requested_at_ms),
        spec: execution.spec,
        bytes_per_second: execution.bytes_per_second,
    }
}
