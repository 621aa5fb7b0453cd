//! Agents: leases, sessions, what they should do and what they say they do.
//!
//! Rows are the truth. Sessions put what agents say into the shared state here; the driver folds
//! it into rows and publishes what every agent should do; sessions send that.

mod abandoned;
mod claim;
mod desired;
mod driver;
mod inbox;
mod lease;
mod observed;
mod presence;
mod probes;
mod progress;
mod replica;
mod rows;
mod session;
mod stream;
pub(crate) mod views;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datasync_model::{AgentArn, TaskExecutionArn};
use datasync_proto::Generation;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub(crate) use driver::{DriveError, drive, reconcile};
pub(crate) use rows::{Rows, Seen, Surroundings};
pub(crate) use session::SessionService;

use desired::AgentDesired;
use inbox::Inbox;
use lease::Leases;
use presence::Presence;
use probes::Probes;
use progress::Progress;
use replica::{Replica, Silence};
use views::AgentKey;

use crate::ca::Authorities;
use crate::state::new_incarnation;

/// How the fleet is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) heartbeat_interval: Duration,
    pub(crate) offline_after: Duration,
    /// Silence after which another agent may be given an agent's executions.
    pub(crate) failover_after: Duration,
    pub(crate) executions_per_agent: std::num::NonZeroU32,
    /// Whether no other control shares the store.
    pub(crate) alone: bool,
}

/// What every activated agent should do, as of one generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Published {
    incarnation: String,
    generation: u64,
    agents: BTreeMap<AgentKey, AgentDesired>,
}

/// The state that sessions and the driver share.
pub(crate) struct Fleet {
    settings: Settings,
    replica: Replica,
    rows: Rows,
    authorities: Arc<Authorities>,
    leases: Mutex<Leases>,
    inbox: Mutex<Inbox>,
    probes: Mutex<Probes>,
    presence: Mutex<Presence>,
    silence: Mutex<Silence>,
    /// Agents that sessions are claiming just now, and how many.
    claiming: Mutex<HashMap<AgentArn, usize>>,
    /// Executions launched by this start of control that no session has sent yet, and their
    /// agents, which cannot have them.
    untold: Mutex<HashMap<TaskExecutionArn, AgentArn>>,
    /// Rows that were named in the log as unreadable, by id, and when they were last seen.
    unreadable: Mutex<BTreeMap<String, Instant>>,
    progress: Mutex<Progress>,
    /// Agents that are given a release just now.
    fetching: Arc<Mutex<HashSet<AgentArn>>>,
    published: watch::Sender<Arc<Published>>,
    /// The newest generation that the store was seen in.
    newest: Mutex<Generation>,
    /// Wakes the driver: something was put into the state above.
    wake: Notify,
    shutdown: CancellationToken,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fleet {
    /// `start` is random: it tells this start of control, and its probes, from another.
    pub(crate) fn new(
        settings: Settings,
        rows: Rows,
        authorities: Arc<Authorities>,
        start: [u8; 8],
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            settings,
            replica: Replica {
                name: hex::encode(start),
                alone: settings.alone,
            },
            rows,
            authorities,
            leases: Mutex::new(Leases::new(
                settings.offline_after,
                settings.failover_after,
                Instant::now().into_std(),
            )),
            inbox: Mutex::new(Inbox::default()),
            probes: Mutex::new(Probes::new(hex::encode(start))),
            presence: Mutex::new(Presence::default()),
            silence: Mutex::new(Silence::new(settings.offline_after)),
            claiming: Mutex::new(HashMap::new()),
            untold: Mutex::new(HashMap::new()),
            unreadable: Mutex::new(BTreeMap::new()),
            progress: Mutex::new(Progress::default()),
            fetching: Arc::default(),
            published: watch::Sender::new(Arc::default()),
            newest: Mutex::new(Generation::default()),
            wake: Notify::new(),
            shutdown,
        }
    }
}

impl Fleet {
    /// How many sessions agents have with this control.
    pub(crate) fn sessions(&self) -> usize {
        lock(&self.presence).sessions()
    }

    /// Compares what an agent works by with the store. An agent that is ahead was told things
    /// that the store does not know: it was restored from a backup.
    ///
    /// # Errors
    /// A status that ends the session: until this is settled the agent must be told nothing.
    async fn note_applied(&self, agent: &AgentArn, applied: &Generation) -> Result<(), Status> {
        {
            let published = self.published.borrow();
            let known = published.incarnation == applied.incarnation
                && published.generation >= applied.generation;
            if known || applied.incarnation.is_empty() {
                return Ok(());
            }
        }
        let unavailable = |error: &(dyn std::error::Error + 'static)| {
            tracing::error!(%agent, error, "an agent's generation cannot be compared");
            Status::unavailable("control's store cannot be used: try again later")
        };
        let next = new_incarnation().map_err(|error| unavailable(&error))?;
        let restored = self.rows.outdated_by(applied, next).await;
        if restored.map_err(|error| unavailable(&error))? {
            tracing::warn!(
                %agent,
                generation = applied.generation,
                event = "incarnation.renewed",
                "the store is older than what this agent works by, so it was restored from a \
                 backup: a new incarnation begins, and executions that the store does not know \
                 are cancelled by their agents"
            );
            self.wake.notify_one();
        }
        Ok(())
    }
}

impl Fleet {
    /// Remembers that a machine was refused because another one acts as `agent`: that is told as a
    /// warning. A store that is away is in the log already, and the machine comes again.
    async fn note_clone(&self, agent: &AgentArn) {
        if let Err(error) = self.rows.note_clone(agent, wall()).await {
            tracing::error!(%agent, %error, "a cloned agent cannot be remembered");
        }
    }
}

/// The wall clock, for records; waits use the monotonic one.
fn wall() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
pub(crate) mod fixture;
