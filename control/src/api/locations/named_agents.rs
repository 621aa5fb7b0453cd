//! The rows by which an agent's locations are found.

use datasync_model::{AgentArn, LocationArn};

use crate::records::LocationAgent;
use crate::store::{Record, StoreError, Transaction};

/// Makes them say what the location's list of agents says, which was the first and is the second.
///
/// # Errors
/// [`StoreError`] of the database.
pub(super) fn follow(
    tx: &Transaction<'_>,
    location: &LocationArn,
    (before, after): (&[AgentArn], &[AgentArn]),
) -> Result<(), StoreError> {
    let named = |agent: &AgentArn| LocationAgent {
        location: location.clone(),
        agent: agent.clone(),
    };
    for agent in before.iter().filter(|agent| !after.contains(agent)) {
        let id = named(agent).id();
        if let Some(row) = tx.get::<LocationAgent>(&id)? {
            tx.delete::<LocationAgent>(&id, row.version)?;
        }
    }
    for agent in after {
        let named = named(agent);
        if tx.get::<LocationAgent>(&named.id())?.is_none() {
            tx.insert(&named)?;
        }
    }
    Ok(())
}
