//! What the store's rows say, read in one transaction.

use std::collections::BTreeMap;

use datasync_model::{AgentStatus, ExecutionStatus};

use crate::records::{Agent, AgentPresence, AgentUpdate, EventQueue, LogShipment};
use crate::store::{StoreError, Transaction};

/// Counts of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RowCounts {
    pub(super) agents_online: u64,
    pub(super) agents_offline: u64,
    /// Of those that said so, by the word for where their update stands.
    pub(super) updates: BTreeMap<String, u64>,
    /// Those that have not ended, by status.
    pub(super) executions: BTreeMap<&'static str, u64>,
    pub(super) events_waiting: u64,
    pub(super) events_dropped: u64,
    pub(super) logs_waiting: u64,
}

impl RowCounts {
    /// Reads what agents were last heard of, and what they were told to run; of the rest it counts.
    pub(super) fn read(rows: &Transaction<'_>) -> Result<Self, StoreError> {
        let agents = rows.count::<Agent>()?;
        let (heard, _) = rows.sorted::<AgentPresence>()?;
        let heard = heard.iter().map(|row| row.record.reported);
        let online = heard
            .filter(|status| *status == AgentStatus::Online)
            .count();
        let online = u64::try_from(online).unwrap_or(u64::MAX);
        let (said, _) = rows.sorted::<AgentUpdate>()?;
        let mut updates: BTreeMap<String, u64> = BTreeMap::new();
        for row in said {
            *updates.entry(row.record.state).or_default() += 1;
        }
        let (launched, _) = rows.launched_executions()?;
        let mut executions: BTreeMap<&'static str, u64> = BTreeMap::new();
        for row in &launched {
            *executions.entry(row.record.status.as_str()).or_default() += 1;
        }
        executions.insert(ExecutionStatus::Queued.as_str(), rows.queue_length()?);
        let queue = rows.get::<EventQueue>(EventQueue::ID)?;
        let queue = queue.map(|row| row.record).unwrap_or_default();
        Ok(Self {
            agents_online: online,
            agents_offline: agents.saturating_sub(online),
            updates,
            executions,
            events_waiting: queue.length,
            events_dropped: queue.dropped,
            logs_waiting: rows.count::<LogShipment>()?,
        })
    }
}
