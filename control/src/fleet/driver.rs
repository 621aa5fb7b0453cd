//! The one task that turns what is known into rows, and rows into what agents should do.
//!
//! A round reads everything, decides, and writes in one commit; rounds repeat until nothing is
//! left to write. Only then is the desired state published.

use std::sync::Arc;
use std::time::Duration;

use datasync_model::AgentStatus;
use tokio::time::Instant;

use super::abandoned::abandoned;
use super::desired::desired;
use super::lease::Leases;
use super::probes::Now;
use super::rows::{Changes, PresenceChange};
use super::views::{AgentView, Snapshot};
use super::{Fleet, Published, lock, wall};
use crate::scheduler;
use crate::store::StoreError;

/// What waits in memory is looked at this often while something waits, and otherwise too, since
/// leases end and trials fall due by the clock.
const TICK: Duration = Duration::from_secs(1);
/// Rounds in a row that all wrote something. More means that two decisions undo each other.
const ROUNDS_MAX: u32 = 64;

/// Why the driver cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriveError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A defect of ours.
    #[error("decisions about agents and executions do not settle")]
    Unsettled,
}

/// Drives until the fleet's shutdown.
pub(crate) async fn drive(fleet: Arc<Fleet>) {
    let mut changes = fleet.rows.changes();
    loop {
        changes.mark_unchanged();
        if let Err(error) = reconcile(&fleet).await {
            tracing::error!(%error, "agents and executions cannot be driven; trying again");
            tokio::time::sleep(TICK).await;
        }
        tokio::select! {
            () = fleet.shutdown.cancelled() => return,
            changed = changes.changed() => if changed.is_err() {
                return;
            },
            () = fleet.wake.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// Writes what is to be written until nothing is left, then publishes.
///
/// # Errors
/// [`DriveError`]; what was not written is kept for the next time.
pub(crate) async fn reconcile(fleet: &Fleet) -> Result<(), DriveError> {
    for _ in 0..ROUNDS_MAX {
        let mut snapshot = fleet.rows.snapshot().await?;
        name_unreadable(fleet, &snapshot);
        let changes = decide(fleet, &mut snapshot);
        if changes.is_empty() {
            if publish(fleet, &snapshot).await? {
                return Ok(());
            }
            continue;
        }
        let reports = changes.reports.clone();
        let launches = changes
            .launches
            .iter()
            .map(|launch| launch.execution.clone());
        // Before any session can see them.
        lock(&fleet.untold).extend(launches);
        if let Err(error) = fleet.rows.apply(changes, wall()).await {
            lock(&fleet.inbox).put_back(reports);
            return Err(error.into());
        }
    }
    Err(DriveError::Unsettled)
}

/// Logs each row that cannot be read once, for as long as it stays so.
fn name_unreadable(fleet: &Fleet, snapshot: &Snapshot) {
    let mut named = lock(&fleet.unreadable);
    for row in &snapshot.unreadable {
        if !named.contains(&row.id) {
            tracing::error!(
                kind = row.kind,
                id = row.id,
                reason = row.reason,
                "a row cannot be read; what it concerns is left as it is"
            );
        }
    }
    *named = snapshot
        .unreadable
        .iter()
        .map(|row| row.id.clone())
        .collect();
}

fn decide(fleet: &Fleet, snapshot: &mut Snapshot) -> Changes {
    let (now, wall) = (Instant::now().into_std(), wall());
    let presence = {
        let mut leases = lock(&fleet.leases);
        let freshness = fleet.settings.offline_after / 4;
        let changes = snapshot
            .agents
            .values_mut()
            .filter_map(|view| presence_change(&leases, view, now, freshness))
            .collect();
        leases.forget_ended(now);
        lock(&fleet.presence).forget_gone(|agent| leases.is_online(agent, now));
        changes
    };
    lock(&fleet.untold).retain(|untold| {
        let mut live = snapshot.executions.iter();
        live.any(|execution| execution.arn == *untold)
    });
    let verdicts = lock(&fleet.probes).step(snapshot, Now { instant: now, wall });
    let reports = {
        let mut inbox = lock(&fleet.inbox);
        inbox.retain(|key| {
            snapshot
                .executions
                .iter()
                .any(|execution| execution.arn.to_string() == key)
        });
        inbox.take(now)
    };
    let abandoned = {
        let leases = lock(&fleet.leases);
        abandoned(snapshot, |agent| leases.is_lost(agent, now))
    };
    Changes {
        presence,
        verdicts,
        reports,
        abandoned,
        launches: scheduler::plan(snapshot, fleet.settings.executions_per_agent),
    }
}

/// Brings `view` to what the lease says, and returns what its row lacks.
fn presence_change(
    leases: &Leases,
    view: &mut AgentView,
    now: std::time::Instant,
    freshness: Duration,
) -> Option<PresenceChange> {
    let lease = leases.live(&view.arn, now);
    let online = lease.is_some();
    view.lost = leases.is_lost(&view.arn, now);
    let stale = lease.is_some_and(|lease| {
        lease.facts.version != view.version
            || lease.facts.abilities != view.abilities
            || view
                .last_connection
                .is_none_or(|written| lease.last_connection >= written + freshness)
    });
    if online == view.online && !stale {
        return None;
    }
    view.online = online;
    if let Some(lease) = lease {
        view.abilities.clone_from(&lease.facts.abilities);
    }
    Some(PresenceChange {
        agent: view.arn.clone(),
        status: if online {
            AgentStatus::Online
        } else {
            AgentStatus::Offline
        },
        heard: lease.map(|lease| (lease.last_connection, lease.facts.clone())),
    })
}

/// Publishes what differs from before. `false` if the generation had to be raised first.
async fn publish(fleet: &Fleet, snapshot: &Snapshot) -> Result<bool, StoreError> {
    let before = fleet.published.borrow().clone();
    let agents = desired(snapshot, &lock(&fleet.probes).asked(), &before.agents);
    let known = !before.incarnation.is_empty();
    if known && before.agents == agents && before.incarnation == snapshot.incarnation {
        return Ok(true);
    }
    let changed = agents
        .iter()
        .find(|(key, desired)| before.agents.get(*key) != Some(*desired))
        .map(|(key, _)| key);
    if let Some(agent) = changed
        && before.generation == snapshot.generation
    {
        fleet.rows.raise_generation(agent).await?;
        return Ok(false);
    }
    fleet.published.send_replace(Arc::new(Published {
        incarnation: snapshot.incarnation.clone(),
        generation: snapshot.generation,
        agents,
    }));
    Ok(true)
}
