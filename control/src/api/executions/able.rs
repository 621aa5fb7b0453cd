//! Whether any agent understands what an execution asks for.

use datasync_model::Ability;

use super::super::error::ApiError;
use crate::fleet::views::are_among;
use crate::records::{AgentPresence, Eligible};
use crate::store::Transaction;

const BATCH: usize = 100;

/// Refuses what none of the agents that have ever connected can do: it would wait for ever. An agent
/// that has not connected yet may be a new one.
pub(super) fn check_able(
    tx: &Transaction<'_>,
    eligible: &Eligible,
    needs: &[Ability],
) -> Result<(), ApiError> {
    if needs.is_empty() {
        return Ok(());
    }
    let (mut after, mut is_any_known) = (None, false);
    loop {
        let rows = tx.list::<AgentPresence>(after.as_deref(), BATCH)?;
        for row in &rows {
            let agent = &row.record;
            if eligible.contains(&agent.arn) {
                is_any_known = true;
                if are_among(needs, &agent.abilities) {
                    return Ok(());
                }
            }
        }
        match rows.last() {
            Some(last) if rows.len() == BATCH => after = Some(last.record.arn.id().to_owned()),
            _ if !is_any_known => return Ok(()),
            _ => break,
        }
    }
    let words: Vec<String> = needs.iter().map(ToString::to_string).collect();
    Err(ApiError::invalid(format!(
        "No agent that may run the task can do what it asks for ({}): update the agents.",
        words.join(", ")
    )))
}
