//! Events that wait to be told: how many, from when to when, and which may go.

use aws_lc_rs::digest;

use super::outbox::Made;
use crate::records::{Delivery, Event, EventQueue};
use crate::store::{StoreError, Transaction, Versioned};

/// Events that are kept for receivers that cannot be told; the oldest go first. Some 50 MB.
const EVENTS_MAX: u64 = 100_000;
/// An event that a webhook has not taken by then is dropped, as EventBridge does, in milliseconds.
pub(super) const OFFERED_MAX_MS: i64 = 24 * 60 * 60 * 1000;
/// More receivers than controls of one database have.
const RECEIVERS_MAX: usize = 100;
/// Events that are deleted in one commit.
const PRUNED_MAX: usize = 1000;

pub(super) fn append(rows: &Transaction<'_>, made: Made, now_ms: i64) -> Result<(), StoreError> {
    if made.0.is_empty() {
        return Ok(());
    }
    let before = rows.generation()?;
    let added = made.0.len() as u64;
    for (index, (subject, state, warning)) in made.0.into_iter().enumerate() {
        let sequence = Event::sequence(before.number + 1, index);
        rows.insert(&Event {
            id: uuid(&before.incarnation, &sequence),
            sequence,
            subject,
            state,
            at_ms: now_ms,
            warning,
        })?;
    }
    let mut queue = queue(rows)?;
    queue.record.length += added;
    let excess = queue.record.length.saturating_sub(EVENTS_MAX);
    if excess > 0 {
        let excess = usize::try_from(excess).unwrap_or(PRUNED_MAX);
        let gone = delete_while(rows, |_, _| true, excess)?;
        queue.record.length = queue.record.length.saturating_sub(gone);
        queue.record.dropped += gone;
        tracing::warn!(
            gone,
            dropped = queue.record.dropped,
            event = "events.dropped",
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
    crate::uuid::text(bytes)
}

/// A row that cannot be read is begun anew: it only counts.
pub(super) fn queue(rows: &Transaction<'_>) -> Result<Versioned<EventQueue>, StoreError> {
    match rows.get::<EventQueue>(EventQueue::ID) {
        Ok(Some(row)) => return Ok(row),
        Ok(None) => {}
        Err(error @ StoreError::Broken { .. }) => {
            tracing::error!(%error, "events are counted anew");
            rows.delete_several::<EventQueue>(&[EventQueue::ID.to_owned()])?;
        }
        Err(error) => return Err(error),
    }
    rows.insert(&EventQueue::default())?;
    Ok(Versioned {
        version: 1,
        record: EventQueue::default(),
    })
}

/// Deletes the oldest events, at most `limit`, up to the first that is to stay; says how many. It is
/// asked by an event's sequence and, where its row can be read, the event.
fn delete_while(
    rows: &Transaction<'_>,
    is_to_go: impl Fn(&str, Option<&Event>) -> bool,
    limit: usize,
) -> Result<u64, StoreError> {
    let (events, unreadable) = rows.sorted_page::<Event>(None, limit)?;
    let events = events.iter().map(|row| &row.record);
    let events = events.map(|event| (event.sequence.as_str(), Some(event)));
    let unreadable = unreadable.iter().map(|row| (row.id.as_str(), None));
    let mut oldest: Vec<_> = events.chain(unreadable).collect();
    oldest.sort_unstable_by_key(|(sequence, _)| *sequence);
    let oldest = oldest.into_iter();
    let gone = oldest.take_while(|(sequence, event)| is_to_go(sequence, *event));
    let gone: Vec<String> = gone.map(|(sequence, _)| sequence.to_owned()).collect();
    rows.delete_several::<Event>(&gone)
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
        let is_told = |sequence: &str, event: Option<&Event>| {
            let age_ms = |event: &Event| now_ms.saturating_sub(event.at_ms);
            let is_late = event.is_none_or(|event| age_ms(event) >= OFFERED_MAX_MS);
            sequence <= all.as_str() || (is_late && sequence <= ours.as_str())
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
