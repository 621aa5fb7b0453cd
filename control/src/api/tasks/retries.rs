//! Whether the tasks of a location that changed can be run is unknown again. There may be very many of
//! them: one commit sees to some, so that others need not wait long, and the rest goes in the
//! background.

use std::time::Duration;

use datasync_model::LocationArn;
use tokio_util::sync::CancellationToken;

use super::users::of_locations;
use crate::records::{ChangedLocation, Readiness};
use crate::store::{Record, Store, StoreError, Transaction, Versioned};

/// Tasks that one commit sees to.
const BATCH: usize = 200;
/// How often it is looked whether there is something left.
const TICK: Duration = Duration::from_secs(2);
/// Locations that are looked at together.
const PAGE: usize = 50;

/// Sees to the first tasks of a location that changed, and notes it if there are more.
///
/// # Errors
/// [`StoreError`] of the store.
pub(in crate::api) fn retry_those_of(
    tx: &Transaction<'_>,
    location: &LocationArn,
) -> Result<(), StoreError> {
    let after = retry_some_of(tx, location, None)?;
    let known = tx.get::<ChangedLocation>(location.id())?;
    note(tx, location, known, after)
}

/// Until `shutdown`, sees to what is left.
pub(crate) async fn keep_retrying(store: Store, shutdown: CancellationToken) {
    let mut failure = String::new();
    loop {
        match retry_the_rest(&store).await {
            Ok(()) => failure.clear(),
            Err(error) => {
                // Once for each cause: the store may be away for long.
                let text = error.to_string();
                if text != failure {
                    tracing::error!(%error, "tasks of a changed location cannot be tried again");
                    failure = text;
                }
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// # Errors
/// [`StoreError`] of the first location that could not be seen to; the others were.
async fn retry_the_rest(store: &Store) -> Result<(), StoreError> {
    let mut result = Ok(());
    let mut after: Option<String> = None;
    loop {
        let from = after.clone();
        let page = store.read(move |tx: &Transaction<'_>| {
            tx.sorted_page::<ChangedLocation>(from.as_deref(), PAGE)
        });
        let (locations, _) = page.await?;
        let Some(last) = locations.last() else {
            return result;
        };
        after = Some(last.record.id());
        for location in locations {
            let retried = retry_all_of(store, location.record.arn).await;
            result = result.and(retried);
        }
    }
}

async fn retry_all_of(store: &Store, location: LocationArn) -> Result<(), StoreError> {
    loop {
        let arn = location.clone();
        let part = store.commit(move |tx: &Transaction<'_>| {
            let known = tx.get::<ChangedLocation>(arn.id())?;
            let Some(after) = known.as_ref().map(|row| row.record.after.clone()) else {
                return Ok(true);
            };
            let after = retry_some_of(tx, &arn, Some(&after))?;
            let is_done = after.is_none();
            note(tx, &arn, known, after)?;
            Ok::<_, StoreError>(is_done)
        });
        if part.await? {
            return Ok(());
        }
    }
}

/// The id of the last task that was seen to, if there may be more.
fn retry_some_of(
    tx: &Transaction<'_>,
    location: &LocationArn,
    after: Option<&str>,
) -> Result<Option<String>, StoreError> {
    let users = of_locations(tx, &[location.to_string()], after, BATCH)?;
    let last = users.last().map(|row| row.record.id());
    let last = last.filter(|_| users.len() == BATCH);
    for mut row in users {
        row.record.readiness = Readiness::Creating;
        tx.update(&row)?;
    }
    Ok(last)
}

fn note(
    tx: &Transaction<'_>,
    location: &LocationArn,
    known: Option<Versioned<ChangedLocation>>,
    after: Option<String>,
) -> Result<(), StoreError> {
    match (known, after) {
        (None, None) => Ok(()),
        (Some(row), None) => tx.delete::<ChangedLocation>(location.id(), row.version),
        (None, Some(after)) => tx.insert(&ChangedLocation {
            arn: location.clone(),
            after,
        }),
        (Some(mut row), Some(after)) => {
            row.record.after = after;
            tx.update(&row)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::fixture;
    use crate::records::Task;
    use crate::store::tests::bed::{Bed, contract};

    contract! { one_commit_sees_to_some_tasks_and_the_rest_follows }

    async fn waiting(store: &Store) -> (usize, usize) {
        let counted = store.read(|tx: &Transaction<'_>| {
            let tasks = tx.list::<Task>(None, usize::MAX)?;
            let old = tasks
                .iter()
                .filter(|row| row.record.readiness == Readiness::Available);
            let left = tx.list::<ChangedLocation>(None, usize::MAX)?;
            Ok::<_, StoreError>((old.count(), left.len()))
        });
        counted.await.unwrap()
    }

    async fn one_commit_sees_to_some_tasks_and_the_rest_follows(bed: &Bed<'_>) {
        let store = bed.open();
        let task = |number| Task {
            readiness: Readiness::Available,
            ..fixture::task_row(number, None)
        };
        let rows: Vec<Task> = (0..2 * BATCH as u64 + 50).map(task).collect();
        let location = rows[0].source.clone();
        let made = store.commit(move |tx| rows.iter().try_for_each(|row| tx.insert(row)));
        Box::pin(made).await.unwrap();
        for _ in 0..2 {
            let arn = location.clone();
            let changed = store.commit(move |tx| retry_those_of(tx, &arn)).await;
            changed.unwrap();
            assert_eq!(waiting(&store).await, (BATCH + 50, 1));
        }
        retry_the_rest(&store).await.unwrap();
        assert_eq!(waiting(&store).await, (0, 0));
        let changed = store.commit(move |tx| retry_those_of(tx, &location)).await;
        changed.unwrap();
        assert_eq!(waiting(&store).await, (0, 1), "begun anew");
    }
}
