//! Logs of executions to CloudWatch Logs, where the task names a log group: from rows, in order, at
//! least once, for as long as CloudWatch takes lines of their age.
//!
//! Control sends and not the agents: it has the lines of all of them, the AWS credentials are there,
//! and an agent needs no way to CloudWatch. Signing and HTTP are those of the SDK without its client
//! for CloudWatch Logs: two calls of JSON do not pay for that crate.

mod batch;
mod client;
mod group;
mod sender;

pub(crate) use client::Client;
pub(crate) use sender::{Sender, send};

use crate::records::{Execution, LogShipment};
use crate::store::{StoreError, Transaction};

/// Notes that there is something to send of the log of `execution`, if it goes anywhere.
///
/// # Errors
/// [`StoreError`] of the store.
pub(crate) fn note(rows: &Transaction<'_>, execution: &Execution) -> Result<(), StoreError> {
    let Some(group_arn) = &execution.log_group_arn else {
        return Ok(());
    };
    if rows.get::<LogShipment>(execution.arn().id())?.is_some() {
        return Ok(());
    }
    rows.insert(&LogShipment {
        execution: execution.arn().clone(),
        group_arn: group_arn.clone(),
        failure: None,
    })
}

/// Sends no more of the logs of the executions with these ids.
///
/// # Errors
/// [`StoreError`] of the store.
pub(crate) fn forget(rows: &Transaction<'_>, executions: &[String]) -> Result<(), StoreError> {
    rows.delete_several::<LogShipment>(executions).map(drop)
}
