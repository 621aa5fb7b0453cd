//! Executions that began before events were written.

use super::outbox::announce;
use crate::records::{Announced, Subject};
use crate::store::{Store, StoreError, Transaction, Versioned};

/// Executions that are taken over in one commit.
const ADOPTED_MAX: usize = 500;

/// Takes them over without telling of them.
///
/// # Errors
/// [`StoreError`] of the database.
pub(crate) async fn adopt(store: &Store) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let from: Option<String> = after;
        after = store
            .commit(move |rows| adopt_some(rows, from.as_deref()))
            .await?;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// The id after which to go on.
fn adopt_some(rows: &Transaction<'_>, after: Option<&str>) -> Result<Option<String>, StoreError> {
    let (live, unreadable) = rows.live_executions(after, ADOPTED_MAX)?;
    let is_full = live.len() + unreadable.len() == ADOPTED_MAX;
    let ids = live.iter().map(|row| row.record.arn().id());
    let ids = ids.chain(unreadable.iter().map(|row| row.id.as_str()));
    let last = ids.max().filter(|_| is_full).map(str::to_owned);
    for Versioned { record, .. } in live {
        if rows.get::<Announced>(record.arn().id())?.is_none() {
            let subject = Subject::Execution(record.arn().clone());
            announce(rows, &subject, &record.status.to_string())?;
        }
    }
    Ok(last)
}
