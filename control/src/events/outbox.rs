//! Events are written by the commit that changes a state, whichever part of control made it.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use datasync_model::{AgentStatus, ExecutionStatus, TaskStatus};

use crate::records::{
    Agent, AgentPresence, Announced, Delivery, Event, EventQueue, Execution, Subject, Task,
};
use crate::store::{Record, StoreError, Transaction, Versioned};

/// Events that are kept for receivers that cannot be told; the oldest go first. Some 50 MB.
const EVENTS_MAX: u64 = 100_000;
/// An event that a webhook has not taken by then is dropped, as EventBridge does, in milliseconds.
pub(super) const OFFERED_MAX_MS: i64 = 24 * 60 * 60 * 1000;
/// More receivers than controls of one database have.
const RECEIVERS_MAX: usize = 100;
/// Events that are deleted in one commit.
const PRUNED_MAX: usize = 1000;
/// Live executions of a task that are looked at (AWS: 50 wait at most).
const LIVE_MAX: usize = 1000;

/// Whether rows of this kind can change a state that is told.
pub(crate) fn tells(kind: &str) -> bool {
    [
        Agent::KIND,
        AgentPresence::KIND,
        Execution::KIND,
        Task::KIND,
    ]
    .contains(&kind)
}

/// Writes the events of a transaction that changed the rows `touched`, as its last step.
///
/// # Errors
/// [`StoreError`] of the database.
pub(crate) fn record(
    rows: &Transaction<'_>,
    touched: BTreeSet<(&'static str, String)>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let mut made = Made::default();
    let mut tasks = BTreeSet::new();
    for (kind, id) in touched {
        match kind {
            Execution::KIND => passing_over_broken(execution(rows, &id, &mut made, &mut tasks))?,
            Task::KIND => {
                tasks.insert(id);
            }
            _ => passing_over_broken(agent(rows, &id, &mut made))?,
        }
    }
    for id in tasks {
        passing_over_broken(task(rows, &id, &mut made))?;
    }
    append(rows, made, now_ms)
}

/// A row that cannot be read keeps nobody from working: its state is unknown, and not told.
fn passing_over_broken(told: Result<(), StoreError>) -> Result<(), StoreError> {
    match told {
        Err(error @ StoreError::Broken { .. }) => {
            tracing::error!(%error, "a change of state may not be told");
            Ok(())
        }
        told => told,
    }
}

#[derive(Default)]
struct Made(Vec<(Subject, String)>);

fn agent(rows: &Transaction<'_>, id: &str, made: &mut Made) -> Result<(), StoreError> {
    if rows.get::<Agent>(id)?.is_none() {
        return forget(rows, id);
    }
    match rows.get::<AgentPresence>(id)? {
        // It has never been heard of.
        None => Ok(()),
        Some(row) => {
            let status: AgentStatus = row.record.reported;
            tell(
                rows,
                Subject::Agent(row.record.arn),
                &status.to_string(),
                made,
            )
        }
    }
}

fn execution(
    rows: &Transaction<'_>,
    id: &str,
    made: &mut Made,
    tasks: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    let announced = rows.get::<Announced>(id)?;
    tasks.extend(announced.as_ref().and_then(|row| row.record.parent()));
    let Some(Versioned { record, .. }) = rows.get::<Execution>(id)? else {
        return forget(rows, id);
    };
    let ended = record.status.is_terminal();
    // It ended before: something else of it has changed.
    if ended && announced.is_none() {
        return Ok(());
    }
    tasks.insert(record.arn().task().id().to_owned());
    let subject = Subject::Execution(record.arn().clone());
    tell(rows, subject, &record.status.to_string(), made)?;
    if ended { forget(rows, id) } else { Ok(()) }
}

fn task(rows: &Transaction<'_>, id: &str, made: &mut Made) -> Result<(), StoreError> {
    let Some(Versioned { record, .. }) = rows.get::<Task>(id)? else {
        return forget(rows, id);
    };
    let live = rows.list_children::<Announced>(id, None, LIVE_MAX)?;
    let queued = ExecutionStatus::Queued.to_string();
    let status = if live.is_empty() {
        record.readiness.status()
    } else if live.iter().all(|row| row.record.state == queued) {
        TaskStatus::Queued
    } else {
        TaskStatus::Running
    };
    tell(rows, Subject::Task(record.arn), &status.to_string(), made)
}

fn tell(
    rows: &Transaction<'_>,
    subject: Subject,
    state: &str,
    made: &mut Made,
) -> Result<(), StoreError> {
    if announce(rows, &subject, state)? {
        made.0.push((subject, state.to_owned()));
    }
    Ok(())
}

/// Whether the state is another than the announced one.
pub(super) fn announce(
    rows: &Transaction<'_>,
    subject: &Subject,
    state: &str,
) -> Result<bool, StoreError> {
    match rows.get::<Announced>(subject.id())? {
        Some(row) if row.record.state == state => Ok(false),
        Some(mut row) => {
            state.clone_into(&mut row.record.state);
            rows.update(&row).map(|()| true)
        }
        None => {
            let (subject, state) = (subject.clone(), state.to_owned());
            rows.insert(&Announced { subject, state }).map(|()| true)
        }
    }
}

fn forget(rows: &Transaction<'_>, id: &str) -> Result<(), StoreError> {
    match rows.get::<Announced>(id)? {
        Some(row) => rows.delete::<Announced>(id, row.version),
        None => Ok(()),
    }
}

fn append(rows: &Transaction<'_>, made: Made, now_ms: i64) -> Result<(), StoreError> {
    if made.0.is_empty() {
        return Ok(());
    }
    let before = rows.generation()?;
    let added = made.0.len() as u64;
    for (index, (subject, state)) in made.0.into_iter().enumerate() {
        let sequence = Event::sequence(before.number + 1, index);
        rows.insert(&Event {
            id: uuid(&before.incarnation, &sequence),
            sequence,
            subject,
            state,
            at_ms: now_ms,
        })?;
    }
    let mut queue = queue(rows)?;
    queue.record.length += added;
    let excess = queue.record.length.saturating_sub(EVENTS_MAX);
    if excess > 0 {
        let gone = delete_while(
            rows,
            |_| true,
            usize::try_from(excess).unwrap_or(PRUNED_MAX),
        )?;
        queue.record.length -= gone;
        queue.record.dropped += gone;
        tracing::warn!(
            gone,
            dropped = queue.record.dropped,
            "events that were not told are dropped: \
            a receiver has been out of reach for too long"
        );
    }
    rows.update(&queue)
}

/// From what no other event has: version 8 of RFC 9562, section 5.8.
fn uuid(incarnation: &str, sequence: &str) -> String {
    let text = format!("event/{incarnation}/{sequence}");
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_ref()[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ]
    .join("-")
}

fn queue(rows: &Transaction<'_>) -> Result<Versioned<EventQueue>, StoreError> {
    if let Some(row) = rows.get::<EventQueue>(EventQueue::ID)? {
        return Ok(row);
    }
    rows.insert(&EventQueue::default())?;
    Ok(Versioned {
        version: 1,
        record: EventQueue::default(),
    })
}

/// Deletes the oldest events, at most `limit`, up to the first that is to stay; says how many.
fn delete_while(
    rows: &Transaction<'_>,
    is_to_go: impl Fn(&Event) -> bool,
    limit: usize,
) -> Result<u64, StoreError> {
    let mut gone = 0;
    for row in rows.list::<Event>(None, limit)? {
        if !is_to_go(&row.record) {
            break;
        }
        rows.delete::<Event>(&row.record.sequence, row.version)?;
        gone += 1;
    }
    Ok(gone)
}

/// Notes that `receiver` was told up to `delivered` by `holder`, and deletes what all were told:
/// `receivers`, and those that another control has besides. Theirs are waited for as long as an event is
/// offered to a webhook: one that no control has any more does not keep events. `false`: another holder
/// has taken over, and nothing is noted.
///
/// # Errors
/// [`StoreError`] of the database.
pub(super) fn advance(
    rows: &Transaction<'_>,
    delivery: &Delivery,
    receivers: &[&'static str],
    now_ms: i64,
) -> Result<bool, StoreError> {
    match rows.get::<Delivery>(&delivery.receiver)? {
        Some(row) if row.record.holder != delivery.holder => return Ok(false),
        Some(mut row) => {
            row.record.delivered.clone_from(&delivery.delivered);
            rows.update(&row)?;
        }
        None => rows.insert(delivery)?,
    }
    let mut told = Vec::new();
    for receiver in receivers {
        let row = rows.get::<Delivery>(receiver)?;
        told.push(row.map_or_else(String::new, |row| row.record.delivered));
    }
    if let Some(ours) = told.iter().min() {
        let others = rows.list::<Delivery>(None, RECEIVERS_MAX)?;
        let others = others.into_iter().map(|row| row.record.delivered);
        let all = others
            .min()
            .map_or(ours.clone(), |others| others.min(ours.clone()));
        let is_told = |event: &Event| {
            let is_late = now_ms.saturating_sub(event.at_ms) >= OFFERED_MAX_MS;
            event.sequence <= all || (is_late && event.sequence <= *ours)
        };
        let gone = delete_while(rows, is_told, PRUNED_MAX)?;
        if gone > 0 {
            let mut queue = queue(rows)?;
            queue.record.length = queue.record.length.saturating_sub(gone);
            rows.update(&queue)?;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
