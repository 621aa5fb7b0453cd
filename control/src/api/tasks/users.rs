//! The tasks that use a location.

use datasync_model::LocationArn;

use crate::records::{Readiness, Task};
use crate::store::{Record, StoreError, Transaction, UseOf, Versioned};

/// Tasks read at a time where all are changed.
const BATCH: usize = 100;

/// At most `limit` tasks that read from or write to one of the locations with these ARNs, in the
/// order of their ids, beginning after `after`.
pub(in crate::api) fn of_locations(
    tx: &Transaction<'_>,
    locations: &[String],
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Versioned<Task>>, StoreError> {
    let mut users = Vec::new();
    for location in locations {
        for use_of in [UseOf::Source, UseOf::Destination] {
            users.extend(tx.tasks_of_location(location, use_of, after, limit)?);
        }
    }
    users.sort_unstable_by_key(|row| row.record.id());
    users.dedup_by_key(|row| row.record.id());
    users.truncate(limit);
    Ok(users)
}

/// The location changed: whether its tasks can be run is unknown again.
pub(in crate::api) fn retry_those_of(
    tx: &Transaction<'_>,
    location: &LocationArn,
) -> Result<(), StoreError> {
    let location = [location.to_string()];
    let mut after: Option<String> = None;
    loop {
        let users = of_locations(tx, &location, after.as_deref(), BATCH)?;
        after = users.last().map(|row| row.record.id());
        let ended = users.len() < BATCH;
        for mut row in users {
            row.record.readiness = Readiness::Creating;
            tx.update(&row)?;
        }
        if ended {
            return Ok(());
        }
    }
}
