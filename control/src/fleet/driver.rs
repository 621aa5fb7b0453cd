//! The one task that turns what is known into rows, and rows into what agents should do.
//!
//! A round reads what may matter, decides, and writes in one commit; rounds repeat until nothing is
//! left to write. Only then is the desired state published. Agents and what they were told to run
//! are read whole; of the queue and of the tasks a round reads a part, however many there are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use datasync_model::{AgentArn, AgentStatus};
use datasync_proto::Generation;
use datasync_telemetry::Pulses;
use tokio::time::Instant;

use super::abandoned::abandoned;
use super::desired::desired;
use super::lease::{Contact, Leases};
use super::probes::Now;
use super::rows::{Changes, Heard, Look, PresenceChange, Seen};
use super::views::{AgentView, Snapshot};
use super::{Fleet, Published, lock, wall};
use crate::scheduler;
use crate::state::{StateError, new_incarnation};
use crate::store::StoreError;

/// What waits in memory is looked at this often while something waits, and otherwise too, since
/// leases end and trials fall due by the clock.
const TICK: Duration = Duration::from_secs(1);
/// Commits come closer together than this where many calls are made; one round does for several.
const PAUSE: Duration = Duration::from_millis(20);
/// A round that takes longer is stuck: a database that is away is told within a minute.
const STUCK_AFTER: Duration = Duration::from_secs(300);
/// Rounds in a row that all wrote something. More means that two decisions undo each other.
const ROUNDS_MAX: u32 = 64;
/// A row that cannot be read is named again when it was not seen for this long.
const NAMED_FOR: Duration = Duration::from_secs(3600);

/// Why the driver cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriveError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A defect of ours.
    #[error("decisions about agents and executions do not settle")]
    Unsettled,
    /// The system.
    #[error("no new incarnation can be made: {0}")]
    Incarnation(StateError),
}

/// Drives until the fleet's shutdown, and gives signs of life.
pub(crate) async fn drive(fleet: Arc<Fleet>, pulses: &Pulses) {
    let mut changes = fleet.rows.changes();
    let mut failure = String::new();
    loop {
        pulses.beat("driver of agents and executions", STUCK_AFTER);
        let next = Instant::now() + PAUSE;
        match reconcile(&fleet, || changes.mark_unchanged()).await {
            Ok(()) => failure.clear(),
            Err(error) => {
                // Once for each cause: the store may be away for long.
                let text = error.to_string();
                if text != failure {
                    tracing::error!(%error, event = "store.failed", "agents and executions cannot be driven; trying again");
                    failure = text;
                }
                tokio::time::sleep(TICK).await;
            }
        }
        tokio::select! {
            () = fleet.shutdown.cancelled() => return,
            changed = changes.changed() => if changed.is_err() {
                return;
            },
            () = fleet.wake.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
        tokio::time::sleep_until(next).await;
    }
}

/// Writes what is to be written until nothing is left, then publishes. `looking` is called before each
/// look at the rows, which then shows whatever was committed until the call: its own commits wake
/// nobody.
///
/// # Errors
/// [`DriveError`]; what was not written is kept for the next time.
pub(crate) async fn reconcile(fleet: &Fleet, mut looking: impl FnMut()) -> Result<(), DriveError> {
    lock(&fleet.progress).begin();
    let mut written = 0;
    while written < ROUNDS_MAX {
        let look = look(fleet);
        looking();
        let (mut snapshot, next) = fleet.rows.snapshot(look.clone()).await?;
        if is_behind(fleet, &snapshot) {
            renew_incarnation(fleet).await?;
            written += 1;
            continue;
        }
        name_unreadable(fleet, &snapshot);
        let changes = decide(fleet, &mut snapshot);
        let goes_on = lock(&fleet.progress).advance(next, !changes.launches.is_empty());
        if changes.is_empty() {
            if goes_on {
                continue;
            }
            if publish(fleet, &snapshot).await? {
                grant(fleet, &snapshot);
                return Ok(());
            }
            written += 1;
            continue;
        }
        written += 1;
        let reports = changes.reports.clone();
        let contacts: Vec<_> = changes.presence.iter().filter_map(contact).collect();
        match fleet.rows.apply(changes, look, wall()).await {
            Ok(launched) => {
                let mut leases = lock(&fleet.leases);
                for (agent, contact) in contacts {
                    leases.noted(&agent, contact);
                }
                drop(leases);
                // Before any session can see them: nothing is published yet.
                let launched = launched.into_iter().map(|l| (l.execution, l.agent));
                lock(&fleet.untold).extend(launched);
            }
            Err(error) => {
                lock(&fleet.inbox).put_back(reports);
                return Err(error.into());
            }
        }
    }
    Err(DriveError::Unsettled)
}

fn look(fleet: &Fleet) -> Look {
    let mut progress = lock(&fleet.progress);
    Look {
        executions_per_agent: fleet.settings.executions_per_agent,
        tried: lock(&fleet.probes).tried(),
        is_wide: progress.take_wide(Instant::now().into_std()),
        walk: progress.walk(),
    }
}

/// Whether the store has gone back in time under this control, as a database does whose standby was
/// behind when it took over. Agents may know of more than it does, by whatever control.
fn is_behind(fleet: &Fleet, snapshot: &Snapshot) -> bool {
    let mut newest = lock(&fleet.newest);
    let is_behind =
        newest.incarnation == snapshot.incarnation && newest.generation > snapshot.generation;
    if !is_behind {
        newest.incarnation.clone_from(&snapshot.incarnation);
        newest.generation = snapshot.generation;
    }
    is_behind
}

/// Begins a new incarnation, unless the store is not behind any more, or another control was faster.
async fn renew_incarnation(fleet: &Fleet) -> Result<(), DriveError> {
    let newest = lock(&fleet.newest).clone();
    let next = new_incarnation().map_err(DriveError::Incarnation)?;
    if fleet.rows.outdated_by(&newest, next).await? {
        tracing::error!(
            generation = newest.generation,
            event = "incarnation.renewed",
            "the store has gone back in time, so what was committed last is lost: a new \
             incarnation begins, and executions that the store does not know are cancelled by \
             their agents"
        );
    }
    // What the store says next is taken as it is.
    *lock(&fleet.newest) = Generation::default();
    Ok(())
}

fn contact(change: &PresenceChange) -> Option<(AgentArn, Contact)> {
    let heard = change.heard.as_ref()?;
    Some((change.agent.clone(), heard.contact))
}

/// Lets heartbeats count that the rows of `snapshot` show, now that everything is published that
/// these rows say. Agents that are told nothing new are left out: nobody tells them what they lost.
fn grant(fleet: &Fleet, snapshot: &Snapshot) {
    let mut leases = lock(&fleet.leases);
    for view in snapshot.agents.values() {
        if view.here && !snapshot.held.contains(view.arn.id()) {
            leases.grant(&view.arn, fleet.replica.alone);
        }
    }
}

/// Logs each row that cannot be read once, for as long as it stays so.
fn name_unreadable(fleet: &Fleet, snapshot: &Snapshot) {
    let now = Instant::now();
    let mut named = lock(&fleet.unreadable);
    for row in &snapshot.unreadable {
        if named.insert(row.id.clone(), now).is_none() {
            tracing::error!(
                kind = row.kind,
                id = row.id,
                reason = row.reason,
                event = "row.unreadable",
                "a row cannot be read; what it concerns is left as it is"
            );
        }
    }
    named.retain(|_, seen| now.duration_since(*seen) < NAMED_FOR);
}

fn decide(fleet: &Fleet, snapshot: &mut Snapshot) -> Changes {
    let (now, wall) = (Instant::now().into_std(), wall());
    let presence = attend(fleet, snapshot, now);
    let launched = snapshot.executions.iter().filter(|e| e.is_launched());
    let launched: BTreeSet<String> = launched.map(|e| e.arn.to_string()).collect();
    lock(&fleet.untold).retain(|untold, _| launched.contains(&untold.to_string()));
    let verdicts = lock(&fleet.probes).step(snapshot, Now { instant: now, wall });
    let reports = {
        let mut inbox = lock(&fleet.inbox);
        inbox.retain(|key| launched.contains(key));
        inbox.take(now)
    };
    let abandoned = abandoned(snapshot);
    let gone = snapshot.agents.iter().filter(|(_, view)| view.gone);
    let gone = gone.map(|(key, _)| key.clone()).collect();
    let mut launches = scheduler::plan(snapshot, fleet.settings.executions_per_agent);
    launches.retain(|launch| snapshot.is_here(&launch.agent));
    Changes {
        presence,
        verdicts,
        reports,
        abandoned,
        launches,
        decided_by: snapshot.generation,
        gone,
    }
}

/// Brings the agents of `snapshot` to what leases and silence say, and returns what their rows
/// lack. Sessions of agents that have gone to another replica are told to end.
fn attend(fleet: &Fleet, snapshot: &mut Snapshot, now: std::time::Instant) -> Vec<PresenceChange> {
    let mut leases = lock(&fleet.leases);
    let mut silence = lock(&fleet.silence);
    silence.observe(snapshot.agents.values(), now);
    let freshness = fleet.settings.offline_after / 4;
    let generation = snapshot.generation;
    let mut changes = Vec::new();
    for view in snapshot.agents.values_mut() {
        let is_own = fleet.replica.owns(view);
        view.lost = leases.is_lost(&view.arn, now) && (is_own || silence.is_silent(&view.arn, now));
        // The lease may be a longer one, of a control with other settings.
        let limit = leases.over_after(view.lease_ms);
        view.gone = leases.silent_for(&view.arn, now) >= limit
            && (is_own || silence.is_silent_for(&view.arn, now, limit));
        if lock(&fleet.claiming).contains_key(&view.arn) {
            view.here = is_own && leases.is_online(&view.arn, now);
            continue;
        }
        if is_own {
            changes.extend(own_change(&mut leases, view, (now, freshness)));
            continue;
        }
        let claimed = leases.live(&view.arn, now).map(|lease| lease.facts.claimed);
        if claimed.is_some_and(|claimed| claimed <= generation) {
            leases.forget(&view.arn);
            lock(&fleet.presence).dismiss(&view.arn, &view.boot_nonce);
        }
        if view.online && silence.is_silent(&view.arn, now) {
            tracing::warn!(agent = %view.arn, "the replica of control that the agent was connected \
                to has fallen silent");
            changes.push(offline(view));
        }
    }
    leases.forget_ended(now);
    lock(&fleet.presence).forget_gone(|agent| leases.is_online(agent, now));
    changes
}

fn offline(view: &mut AgentView) -> PresenceChange {
    view.online = false;
    PresenceChange {
        agent: view.arn.clone(),
        status: AgentStatus::Offline,
        heard: None,
        seen: Seen::of(view),
    }
}

/// Brings `view`, of an agent of this replica, to what the lease says, and returns what its row
/// lacks.
fn own_change(
    leases: &mut Leases,
    view: &mut AgentView,
    (now, freshness): (std::time::Instant, Duration),
) -> Option<PresenceChange> {
    let lease_ms = leases.shown_ms(&view.arn, view.lease_ms, now);
    let lease = leases.live(&view.arn, now);
    let online = lease.is_some();
    view.here = online;
    let stale = lease.is_some_and(|lease| {
        lease.facts.version != view.version
            || lease.facts.abilities != view.abilities
            || lease_ms != view.lease_ms
            || lease.is_stale(freshness)
    });
    let heard = lease.or_else(|| leases.unnoted(&view.arn));
    if online == view.online && !stale && (online || heard.is_none()) {
        return None;
    }
    view.online = online;
    if let Some(lease) = heard {
        view.abilities.clone_from(&lease.facts.abilities);
    }
    Some(PresenceChange {
        agent: view.arn.clone(),
        status: if online {
            AgentStatus::Online
        } else {
            AgentStatus::Offline
        },
        heard: heard.map(|lease| Heard {
            at: lease.last_connection,
            facts: lease.facts.clone(),
            lease_ms,
            contact: lease.contact(),
        }),
        seen: Seen::of(view),
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
