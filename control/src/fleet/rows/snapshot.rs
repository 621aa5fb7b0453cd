//! Everything the decisions need, read at one moment. A row that cannot be read stops nothing but
//! what it concerns.

use std::collections::BTreeMap;

use datasync_model::{
    self as model, AgentArn, AgentStatus, ErrorCode, Failure, LocationArn, TaskExecutionArn,
};
use jiff::Timestamp;

use super::Surroundings;
use crate::credentials::address;
use crate::fleet::views::{AgentKey, AgentView, LiveExecution, Revision, Side, Snapshot, TaskView};
use crate::records::{
    Agent, AgentPresence, Eligible, Execution, Location, LocationDetails, NOBODY, StoreAddress,
    Task,
};
use crate::store::{StoreError, Transaction, Unreadable, Versioned};

/// What was read so far.
struct Reader<'a> {
    rows: &'a Transaction<'a>,
    surroundings: &'a Surroundings,
    snapshot: Snapshot,
    locations: BTreeMap<String, Located>,
}

/// A location and the store of its role, as far as they can be read.
enum Located {
    Here(Box<Versioned<Location>>, StoreAddress),
    Unreadable,
}

pub(super) fn read(
    rows: &Transaction<'_>,
    surroundings: &Surroundings,
) -> Result<Snapshot, StoreError> {
    let generation = rows.generation()?;
    let mut reader = Reader {
        rows,
        surroundings,
        snapshot: Snapshot {
            incarnation: generation.incarnation,
            generation: generation.number,
            ..Snapshot::default()
        },
        locations: BTreeMap::new(),
    };
    reader.agents()?;
    reader.locations()?;
    reader.tasks()?;
    reader.executions()?;
    Ok(reader.snapshot)
}

impl Reader<'_> {
    fn agents(&mut self) -> Result<(), StoreError> {
        let (agents, unreadable) = self.rows.sorted::<Agent>()?;
        let (presence, silent) = self.rows.sorted::<AgentPresence>()?;
        for row in unreadable.into_iter().chain(silent) {
            self.snapshot.held.insert(row.id.clone());
            self.snapshot.unreadable.push(row);
        }
        let mut presence: BTreeMap<String, AgentPresence> = presence
            .into_iter()
            .map(|row| (row.record.arn.id().to_owned(), row.record))
            .collect();
        for agent in agents.into_iter().map(|row| row.record) {
            let is_active = agent.public_key_fingerprint.is_some();
            if is_active && !self.snapshot.held.contains(agent.arn.id()) {
                let presence = presence.remove(agent.arn.id());
                let view = agent_view(agent.arn, presence);
                self.snapshot.agents.insert(view.arn.to_string(), view);
            }
        }
        Ok(())
    }

    fn locations(&mut self) -> Result<(), StoreError> {
        let (locations, unreadable) = self.rows.sorted::<Location>()?;
        for row in unreadable {
            self.locations.insert(row.id.clone(), Located::Unreadable);
            self.snapshot.unreadable.push(row);
        }
        for row in locations {
            let id = row.record.arn.id().to_owned();
            let located = match self.store_of(&row.record) {
                Ok(store) => Located::Here(Box::new(row), store),
                Err(StoreError::Broken { kind, id, reason }) => {
                    let row = Unreadable::new(kind, id, reason);
                    if !self.snapshot.unreadable.contains(&row) {
                        self.snapshot.unreadable.push(row);
                    }
                    Located::Unreadable
                }
                Err(other) => return Err(other),
            };
            self.locations.insert(id, located);
        }
        Ok(())
    }

    fn store_of(&self, location: &Location) -> Result<StoreAddress, StoreError> {
        match &location.details {
            LocationDetails::S3(s3) => address(&self.surroundings.roles, self.rows, &s3.role_arn),
            _ => Ok(StoreAddress::default()),
        }
    }

    fn tasks(&mut self) -> Result<(), StoreError> {
        let (tasks, unreadable) = self.rows.sorted::<Task>()?;
        self.snapshot.unreadable.extend(unreadable);
        for task in tasks {
            let view = self.task_view(task.record);
            self.snapshot.tasks.push(view);
        }
        Ok(())
    }

    fn executions(&mut self) -> Result<(), StoreError> {
        let (executions, unreadable) = self.rows.sorted_live_executions()?;
        for row in unreadable {
            let agent = row.text("/agent");
            let agent = agent.and_then(|arn| arn.parse::<AgentArn>().ok());
            let arn = row.text("/spec/execution");
            let arn = arn.and_then(|arn| arn.parse::<TaskExecutionArn>().ok());
            let (held, busy) = (&mut self.snapshot.held, &mut self.snapshot.busy_tasks);
            held.extend(agent.map(|agent| agent.id().to_owned()));
            busy.extend(arn.map(|arn| arn.task().to_string()));
            self.snapshot.unreadable.push(row);
        }
        for row in executions {
            let view = self.live_execution(row.record)?;
            self.snapshot.executions.push(view);
        }
        Ok(())
    }

    fn task_view(&self, task: Task) -> TaskView {
        let here = |arn: &LocationArn| match self.locations.get(arn.id()) {
            Some(Located::Here(row, _)) => Some(&row.record),
            _ => None,
        };
        let defaults = &self.surroundings.default_agents;
        let allowed = here(&task.source)
            .zip(here(&task.destination))
            .map(|(source, destination)| Eligible::of(source, destination, defaults));
        let eligible = allowed
            .as_ref()
            .map_or_else(Vec::new, |allowed| expand(allowed, &self.snapshot.agents));
        let sides = self.usable(&task.source);
        let mut sides = sides.and_then(|source| Ok([source, self.usable(&task.destination)?]));
        if sides.is_ok() && allowed.is_some_and(|allowed| allowed.is_nobody()) {
            sides = Err(Failure::new(ErrorCode::AgentUnavailable, NOBODY));
        }
        TaskView {
            status: task.readiness.status(),
            failure: task.readiness.failure().cloned(),
            created: timestamp(task.created_at_ms),
            eligible,
            sides,
            arn: task.arn,
        }
    }

    /// A location as agents take it, or why no agent can.
    fn usable(&self, arn: &LocationArn) -> Result<Side, Failure> {
        let (row, store) = match self.locations.get(arn.id()) {
            Some(Located::Here(row, store)) => (row, store),
            Some(Located::Unreadable) => {
                return Err(Failure::new(
                    ErrorCode::Internal,
                    format!(
                        "location {arn}, or the key of its role, cannot be read from control's \
                         store: see control's log"
                    ),
                ));
            }
            None => {
                return Err(Failure::new(
                    ErrorCode::InvalidConfiguration,
                    format!("Location {arn} is not found: it was deleted"),
                ));
            }
        };
        let location = row.record.to_model(store, &self.surroundings.region);
        let location = location.ok_or_else(|| {
            Failure::new(
                ErrorCode::NotSupported,
                format!(
                    "location {arn} ({}): this release cannot read or write EFS locations, since \
                     it speaks NFSv3 only and EFS speaks NFSv4",
                    row.record.uri()
                ),
            )
        })?;
        Ok(Side {
            location,
            revision: self.revision(arn),
        })
    }

    fn revision(&self, arn: &LocationArn) -> Revision {
        match self.locations.get(arn.id()) {
            Some(Located::Here(row, store)) => Revision {
                location: row.version,
                role_key: store.key_version,
            },
            Some(Located::Unreadable) | None => Revision::default(),
        }
    }

    /// The versions of the keys of the roles for manifest and report. One that cannot be read counts
    /// as none: whoever asks for the keys is told.
    fn role_keys(&self, execution: &Execution) -> Result<BTreeMap<String, i64>, StoreError> {
        let mut versions = BTreeMap::new();
        let extensions = &execution.spec.extensions;
        let manifest = extensions.manifest.as_ref().map(|m| &m.role_arn);
        let report = extensions.report.as_ref().map(|report| &report.role_arn);
        for role in manifest.into_iter().chain(report) {
            let version = match address(&self.surroundings.roles, self.rows, role) {
                Ok(address) => address.key_version,
                Err(StoreError::Broken { .. }) => 0,
                Err(other) => return Err(other),
            };
            versions.insert(role.clone(), version);
        }
        Ok(versions)
    }

    fn live_execution(&self, execution: Execution) -> Result<LiveExecution, StoreError> {
        let sides: [&model::Location; 2] = [&execution.spec.source, &execution.spec.destination];
        let role_keys = self.role_keys(&execution)?;
        Ok(LiveExecution {
            arn: execution.arn().clone(),
            status: execution.status,
            agent: execution.agent,
            eligible: expand(&execution.eligible, &self.snapshot.agents),
            requested: timestamp(execution.requested_at_ms),
            revisions: sides.map(|side| self.revision(side.arn())),
            role_keys,
            spec: execution.spec,
            bytes_per_second: execution.bytes_per_second,
        })
    }
}

fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default()
}

fn agent_view(arn: AgentArn, presence: Option<AgentPresence>) -> AgentView {
    match presence {
        Some(presence) => AgentView {
            arn,
            online: presence.reported == AgentStatus::Online,
            lost: true,
            last_connection: Some(timestamp(presence.last_contact_ms)),
            version: presence.version,
            boot_nonce: presence.boot_nonce,
            replica: presence.replica,
            here: false,
            abilities: presence.abilities,
        },
        None => AgentView {
            arn,
            online: false,
            lost: true,
            last_connection: None,
            version: String::new(),
            boot_nonce: String::new(),
            replica: String::new(),
            here: false,
            abilities: Vec::new(),
        },
    }
}

fn expand(eligible: &Eligible, agents: &BTreeMap<AgentKey, AgentView>) -> Vec<AgentArn> {
    match eligible {
        Eligible::Any => agents.values().map(|view| view.arn.clone()).collect(),
        Eligible::Only(only) => only.clone(),
    }
}
