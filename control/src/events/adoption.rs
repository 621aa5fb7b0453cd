//! What is older than events: executions at every start, agents and tasks once, since there may be
//! very many.

use datasync_model::TaskStatus;

use super::outbox::{self, announce};
use super::queue::queue;
use crate::records::{AgentPresence, Announced, EventQueue, Subject, Task};
use crate::store::{Record, Store, StoreError, Transaction, Versioned};

/// Rows that are taken over in one commit.
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
            break;
        }
    }
    let queue_of = |rows: &Transaction<'_>| rows.get::<EventQueue>(EventQueue::ID);
    let queue_of: Result<_, StoreError> = store.read(queue_of).await;
    if queue_of?.is_some_and(|row| row.record.adopted) {
        return Ok(());
    }
    store.commit(adopt_agents).await?;
    for readiness in [
        TaskStatus::Creating,
        TaskStatus::Unavailable,
        TaskStatus::Available,
    ] {
        adopt_tasks(store, readiness).await?;
    }
    let done = |rows: &Transaction<'_>| {
        let mut queue = queue(rows)?;
        queue.record.adopted = true;
        rows.update(&queue)
    };
    store.commit(done).await
}

fn adopt_agents(rows: &Transaction<'_>) -> Result<(), StoreError> {
    let (agents, _) = rows.sorted::<AgentPresence>()?;
    for row in agents {
        outbox::adopt(rows, AgentPresence::KIND, &row.record.id())?;
    }
    Ok(())
}

async fn adopt_tasks(store: &Store, readiness: TaskStatus) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let from: Option<String> = after;
        let some = move |rows: &Transaction<'_>| {
            let page = rows.tasks_by_readiness(readiness, from.as_deref(), ADOPTED_MAX)?;
            let (tasks, unreadable) = page;
            let is_full = tasks.len() + unreadable.len() == ADOPTED_MAX;
            let ids: Vec<String> = tasks.iter().map(|row| row.record.id()).collect();
            for id in &ids {
                outbox::adopt(rows, Task::KIND, id)?;
            }
            let last = ids
                .into_iter()
                .chain(unreadable.into_iter().map(|row| row.id));
            Ok::<_, StoreError>(last.max().filter(|_| is_full))
        };
        after = store.commit(some).await?;
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
