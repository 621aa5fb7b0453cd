//! The tasks that use a location.

use crate::records::Task;
use crate::store::{Record, StoreError, Transaction, UseOf, Versioned};

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
