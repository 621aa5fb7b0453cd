//! Agents and what was last heard of them.

use std::collections::BTreeMap;

use datasync_model::{AgentArn, AgentStatus};

use super::snapshot::timestamp;
use crate::fleet::views::{AgentView, Snapshot};
use crate::records::{Agent, AgentPresence, ReleaseWish};
use crate::store::{Record, StoreError, Transaction};

/// Adds every activated agent. Those whose rows cannot be read are held.
pub(super) fn read(rows: &Transaction<'_>, snapshot: &mut Snapshot) -> Result<(), StoreError> {
    let (agents, unreadable) = rows.sorted::<Agent>()?;
    let (presence, silent) = rows.sorted::<AgentPresence>()?;
    for row in unreadable.into_iter().chain(silent) {
        snapshot.held.insert(row.id.clone());
        snapshot.unreadable.push(row);
    }
    let mut presence: BTreeMap<String, AgentPresence> = presence
        .into_iter()
        .map(|row| (row.record.arn.id().to_owned(), row.record))
        .collect();
    let (wishes, unknown) = rows.sorted::<ReleaseWish>()?;
    // Without it agents keep the release that they run.
    snapshot.unreadable.extend(unknown);
    let wishes = wishes.into_iter().map(|row| (row.record.id(), row.record));
    snapshot.wishes.extend(wishes);
    for agent in agents.into_iter().map(|row| row.record) {
        let is_active = agent.public_key_fingerprint.is_some();
        if is_active && !snapshot.held.contains(agent.arn.id()) {
            let presence = presence.remove(agent.arn.id());
            let view = agent_view(agent.arn, presence);
            snapshot.agents.insert(view.arn.to_string(), view);
        }
    }
    Ok(())
}

fn agent_view(arn: AgentArn, presence: Option<AgentPresence>) -> AgentView {
    match presence {
        Some(presence) => AgentView {
            arn,
            online: presence.reported == AgentStatus::Online,
            lost: true,
            gone: false,
            lease_ms: presence.lease_ms,
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
            gone: false,
            lease_ms: 0,
            last_connection: None,
            version: String::new(),
            boot_nonce: String::new(),
            replica: String::new(),
            here: false,
            abilities: Vec::new(),
        },
    }
}
